package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// said is what a command line came to.
type said struct {
	out, err string
	code     int
}

func run(args ...string) said {
	var out, err bytes.Buffer
	a := &cli.App{In: strings.NewReader(""), Out: cli.NewSink(&out), Err: cli.NewSink(&err), Subject: swarm.Subject}
	code := a.Main(context.Background(), root(), args)
	return said{out.String(), err.String(), code}
}

// want checks the exit code, and that each text is in the output.
func (s said) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if s.code != code {
		t.Errorf("exit code %d, want %d", s.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(s.out, text) {
			t.Errorf("%q is not in the output", text)
		}
	}
	if t.Failed() {
		t.Fatalf("output:\n%s\nerrors:\n%s", s.out, s.err)
	}
}

// leaves calls f with every command that does something, and the words that lead to it.
func leaves(c *cli.Command, path []string, f func(c *cli.Command, path []string)) {
	if len(c.Subs) == 0 {
		f(c, path)
	}
	for _, s := range c.Subs {
		leaves(s, append(path[:len(path):len(path)], s.Name), f)
	}
}

// TestHelp: every command explains itself in every way of asking, and can print JSON.
func TestHelp(t *testing.T) {
	seen := 0
	leaves(root(), nil, func(c *cli.Command, path []string) {
		seen++
		texts := []string{"usage: aegis " + strings.Join(path, " "), c.Short, cli.ExitHelp, "--json", strings.TrimSpace(c.Long)}
		last := len(path) - 1
		for _, args := range [][]string{
			append([]string{"help"}, path...), append(path[:len(path):len(path)], "-h"), append(path[:len(path):len(path)], "--help"),
			append(path[:len(path):len(path)], "-help"), append(append(path[:last:last], "help"), path[last]),
		} {
			s := run(args...)
			s.want(t, cli.ExitClean, texts...)
			if strings.ContainsAny(s.out, "\x00\x1b\r") || s.err != "" {
				t.Errorf("%v: control codes, or messages: %q", args, s.err)
			}
		}
		for line := range strings.Lines(c.Long + "\n" + c.Examples) {
			if len([]rune(line)) > 110 {
				t.Errorf("%v: a line of the help is too long: %q", path, line)
			}
		}
	})
	if seen < 12 {
		t.Errorf("%d commands", seen)
	}
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"sim", "help"}, {"keyspaces", "help"}, {"help", "sim"}, {"sim", "-h"}} {
		run(args...).want(t, cli.ExitClean, "commands:", "help ")
	}
	for _, args := range [][]string{{}, {"sim"}, {"sim", "explore"}, {"completion"}} {
		if s := run(args...); s.code != cli.ExitUsage || s.out != "" || !strings.Contains(s.err, "commands:") {
			t.Errorf("%v: %+v", args, s)
		}
	}
	for _, topic := range root().Topics {
		run("help", topic.Name).want(t, cli.ExitClean, topic.Text)
	}
}

// TestDoc: the package's comment has the commands and the exit codes.
func TestDoc(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.ReplaceAll(strings.ReplaceAll(string(text), "//\t", "  "), "//", "")
	for line := range strings.Lines(cli.ExitHelp) {
		if !strings.HasPrefix(line, "exit") && !strings.Contains(doc, line) {
			t.Errorf("doc.go does not say %q", line)
		}
	}
	flat := strings.Join(strings.Fields(doc), " ")
	say := func(prefix string, subs []*cli.Command) {
		for _, c := range subs {
			words := strings.Join(strings.Fields(prefix+c.Name+" "+c.Short), " ")
			if !strings.Contains(flat, words) {
				t.Errorf("doc.go does not say %q", words)
			}
		}
	}
	for _, c := range root().Subs {
		if c.Name == "sim" {
			say("aegis sim ", c.Subs)
		}
	}
	say("aegis ", root().Subs)
}

// TestUnknown: a command that is not there is answered with those that are, and the nearest.
func TestUnknown(t *testing.T) {
	for args, says := range map[string]string{
		"nosuch":         `aegis: there is no command "nosuch", there are: `,
		"verison":        "did you mean version?",
		"--nosuch":       "aegis: flags come after a command",
		"help nosuch":    "there are: ",
		"sim explore x":  "there are: boundaries, nested, interleavings",
		"help version x": "it has no commands of its own",
		"version x":      `"x" is one argument too many: it takes none`,
		"version --x":    "there is no flag --x, there are: --json",

		"keyspaces lst x":       `there is no command "lst" (did you mean list?), there are: list, create, drop, help`,
		"keyspaces nosuch":      "aegis keyspaces list: there is no directory nosuch",
		"--json=1 keyspaces x":  "aegis keyspaces: flags come after a command",
		"keyspaces --json list": "aegis keyspaces: flags come after a command: list, create, drop, help",
	} {
		s := run(strings.Fields(args)...)
		if s.code != cli.ExitUsage || s.out != "" || !strings.Contains(s.err, says) || strings.Count(s.err, "\n") != 1 {
			t.Errorf("aegis %s: %+v, want %q", args, s, says)
		}
	}
}

// TestVersion: in every way of asking.
func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}} {
		run(args...).want(t, cli.ExitClean, "aegis ", "go1")
	}
	var v struct{ Version, Go, OS, Arch string }
	s := run("version", "--json")
	if err := json.Unmarshal([]byte(s.out), &v); err != nil || v.Version == "" || v.Arch == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCompletion: each shell has a script, and what a shell asks for while a line is typed is answered.
func TestCompletion(t *testing.T) {
	for shell, text := range map[string]string{
		"bash": "__start_aegis", "zsh": "#compdef aegis", "fish": "complete -c aegis", "powershell": "Register-ArgumentCompleter",
	} {
		run("completion", shell).want(t, cli.ExitClean, text)
		var v struct{ Shell, Script string }
		s := run("completion", shell, "--json")
		if err := json.Unmarshal([]byte(s.out), &v); err != nil || v.Shell != shell || !strings.Contains(v.Script, text) {
			t.Errorf("%s: %v", shell, err)
		}
	}
	run("__complete", "sim", "re").want(t, cli.ExitClean, "replay\t", "regress\t")
	run("__complete", "sim", "run", "--see").want(t, cli.ExitClean, "--seeds")
	run("__complete", "help", "s").want(t, cli.ExitClean, "sim")
	if s := run("__complete", "bench", "--"); strings.Contains(s.out, "`") || !strings.Contains(s.out, "load MIB of keys") {
		t.Errorf("%s", s.out)
	}
	run("bench", "--help").want(t, cli.ExitClean, "--size MIB ", "load MIB of keys and values (default 64)")
	const directories, files, nothing = ":16\n", ":0\n", ":4\n" // the directives of the library
	for words, want := range map[string]string{
		"get": directories, "get data": nothing, "restore": directories, "restore new": files, "restore new a b": files, "bench": directories,
		"checkpoint data": directories, "dump data": files, "dump data file": nothing, "delete data a": nothing, "version": nothing,
	} {
		if s := run(append(append([]string{"__complete"}, strings.Fields(words)...), "")...); !strings.HasSuffix(s.out, want) {
			t.Errorf("%s: %q, want %q", words, s.out, want)
		}
	}
	if s := run("completion", "tcsh"); s.code != cli.ExitUsage || !strings.Contains(s.err, "there are: bash, zsh, fish, powershell") {
		t.Errorf("%+v", s)
	}
}
