package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// VersionCommand prints which build this is.
func VersionCommand() *Command {
	return &Command{
		Name: "version", Short: "print which build this is",
		Begin: func(f *Flags) Work {
			json := JSONFlag(f)
			return func(_ context.Context, a *App, _ []string) (int, error) {
				if *json {
					return ExitClean, WriteJSON(a.Out, map[string]string{
						"version": buildVersion(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
					})
				}
				a.Out.Printf("aegis %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
				return ExitClean, nil
			}
		},
	}
}

// JSONFlag declares --json of a command that prints one document.
func JSONFlag(f *Flags) *bool { return f.Bool("json", false, "print one JSON document") }

// buildVersion is the module's version, and of a build from a checkout its revision.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	const most = 12
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version += " " + s.Value[:min(most, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			version += " modified"
		}
	}
	return version
}

// CompletionCommand writes what a shell has to know to complete command lines.
func CompletionCommand() *Command {
	shells := []struct{ name, use string }{
		{"bash", "source <(aegis completion bash)"},
		{"zsh", "aegis completion zsh > \"${fpath[1]}/_aegis\""},
		{"fish", "aegis completion fish > ~/.config/fish/completions/aegis.fish"},
		{"powershell", "aegis completion powershell | Out-String | Invoke-Expression"},
	}
	c := &Command{Name: "completion", Short: "write the completion script of a shell"}
	for _, shell := range shells {
		c.Subs = append(c.Subs, &Command{
			Name: shell.name, Short: "write the completion script of " + shell.name,
			Long: "The script goes to standard output. Where the shell reads it from:", Examples: "  " + shell.use,
			Begin: func(f *Flags) Work {
				json := JSONFlag(f)
				return func(_ context.Context, a *App, _ []string) (int, error) {
					if !*json {
						return ExitClean, a.root.script(a.Out, shell.name)
					}
					var text bytes.Buffer
					err := a.root.script(&text, shell.name)
					if err != nil {
						return ExitUsage, err
					}
					return ExitClean, WriteJSON(a.Out, map[string]string{"shell": shell.name, "script": text.String()})
				}
			},
		})
	}
	return c
}

// script writes the completion script of a shell.
func (t *tree) script(w io.Writer, shell string) error {
	switch shell {
	case "bash":
		return t.cobra.GenBashCompletionV2(w, true)
	case "zsh":
		return t.cobra.GenZshCompletion(w)
	case "fish":
		return t.cobra.GenFishCompletion(w, true)
	case "powershell":
		return t.cobra.GenPowerShellCompletionWithDesc(w)
	}
	return fmt.Errorf("there is no completion for %q", shell)
}
