package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// command is a word of the command line: a group of further commands, or one that does something.
type command struct {
	name  string
	args  string // "TOKEN", for the help
	most  int    // how many arguments it takes; that many are needed
	short string // one line, lower case
	long  string // paragraphs below the usage line; may be empty
	subs  []*command
	// begin declares the flags, and returns what does the work once they are set.
	begin func(f *flag.FlagSet) work
}

// work does what a command is for. With an error the exit code is exitUsage, whatever it returns.
type work func(ctx context.Context, a *app, args []string) (int, error)

// commands is the whole command line.
func commands() *command {
	return &command{
		name: "aegis", short: "the command line of the aegis storage engine",
		subs: []*command{simCommands(), versionCommand()},
	}
}

// hidden marks the usage of a flag that the help leaves out.
const hidden = "\x00"

// main runs a command line and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	code, err := a.dispatch(ctx, args)
	if err == nil {
		err = a.out.err
	}
	if err != nil {
		a.err.printf("%v\n", err)
		return exitUsage
	}
	return code
}

// dispatch walks down to the command that args name, and runs it.
func (a *app) dispatch(ctx context.Context, args []string) (int, error) {
	c, path := commands(), "aegis"
	for len(c.subs) > 0 {
		if len(args) == 0 {
			c.help(a.err, path)
			return exitUsage, nil
		}
		var word string
		word, args = args[0], args[1:]
		switch {
		case isHelp(word):
			return c.helpFor(a, path, args)
		case path == "aegis" && (word == "--version" || word == "-version"):
			word = "version"
		}
		sub, err := c.sub(path, word)
		if err != nil {
			return exitUsage, err
		}
		c, path = sub, path+" "+word
	}
	return c.run(ctx, a, path, args)
}

func isHelp(word string) bool {
	return word == "help" || word == "-h" || word == "-help" || word == "--help"
}

// helpFor explains the command that words lead to.
func (c *command) helpFor(a *app, path string, words []string) (int, error) {
	for _, word := range words {
		if isHelp(word) {
			continue
		}
		sub, err := c.sub(path, word)
		if err != nil {
			return exitUsage, err
		}
		c, path = sub, path+" "+word
	}
	c.help(a.out, path)
	return exitClean, nil
}

// sub finds the command with a name. The error says which ones exist.
func (c *command) sub(path, name string) (*command, error) {
	var names []string
	for _, s := range c.subs {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: it has no commands of its own", path)
	}
	if strings.HasPrefix(name, "-") {
		return nil, fmt.Errorf("%s: flags come after a command: %s, help", path, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%s: there is no command %q, there are: %s, help", path, name, strings.Join(names, ", "))
}

// run parses the flags, which may stand before, between and after the arguments, and does the work.
func (c *command) run(ctx context.Context, a *app, path string, args []string) (int, error) {
	f := flag.NewFlagSet(path, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	do := c.begin(f)
	var words []string
	for len(args) > 0 {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			c.help(a.out, path)
			return exitClean, nil
		} else if err != nil {
			return exitUsage, fmt.Errorf("%s: %s", path, flagError(f, err))
		}
		rest := f.Args()
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			words = append(words, rest...)
			break
		}
		if len(rest) > 0 {
			words, rest = append(words, rest[0]), rest[1:]
		}
		args = rest
	}
	switch {
	case len(words) > c.most:
		return exitUsage, fmt.Errorf("%s: %q is one argument too many: it takes %s", path, words[c.most], c.takes())
	case len(words) < c.most:
		return exitUsage, fmt.Errorf("%s: it needs %s", path, c.takes())
	}
	code, err := do(ctx, a, words)
	if err != nil {
		return exitUsage, fmt.Errorf("%s: %w", path, err)
	}
	return code, nil
}

func (c *command) takes() string {
	if c.args == "" {
		return "none"
	}
	return c.args
}

// flagWords writes flags as the help does.
var flagWords = strings.NewReplacer("for flag -", "for flag --", "for -", "for --", "an argument: -", "an argument: --")

// flagError says in the words of this program what package flag complains about.
func flagError(f *flag.FlagSet, err error) string {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var names []string
		visible(f, func(f *flag.Flag) { names = append(names, "--"+f.Name) })
		if len(names) == 0 {
			return fmt.Sprintf("there is no flag --%s: it takes none", strings.TrimLeft(name, "-"))
		}
		return fmt.Sprintf("there is no flag --%s, there are: %s", strings.TrimLeft(name, "-"), strings.Join(names, ", "))
	}
	return flagWords.Replace(err.Error())
}

func visible(f *flag.FlagSet, do func(*flag.Flag)) {
	f.VisitAll(func(f *flag.Flag) {
		if f.Usage != hidden {
			do(f)
		}
	})
}

// help explains a command.
func (c *command) help(w *sink, path string) {
	w.printf("%s: %s\n\n", path, c.short)
	if len(c.subs) > 0 {
		w.printf("usage: %s COMMAND\n\ncommands:\n", path)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range c.subs {
			fmt.Fprintf(t, "  %s\t%s\n", s.name, s.short)
		}
		fmt.Fprintf(t, "  help\texplain a command: %s help COMMAND\n", path)
		_ = t.Flush() // w keeps the error
		w.printf("\n%s", exitHelp)
		return
	}
	f := flag.NewFlagSet(path, flag.ContinueOnError)
	c.begin(f)
	w.printf("usage: %s\n", strings.Join(slices.DeleteFunc([]string{path, "[FLAGS]", c.args}, func(s string) bool {
		return s == "" || s == "[FLAGS]" && !hasFlags(f)
	}), " "))
	if c.long != "" {
		w.printf("\n%s\n", strings.TrimSpace(c.long))
	}
	if hasFlags(f) {
		w.printf("\nflags:\n")
		flagTable(w, f)
	}
	w.printf("\n%s", exitHelp)
}

func hasFlags(f *flag.FlagSet) (has bool) {
	visible(f, func(*flag.Flag) { has = true })
	return has
}

func flagTable(w io.Writer, f *flag.FlagSet) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	visible(f, func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if value != "" {
			value = " " + value
		}
		if d := f.DefValue; d != "" && d != "0" && d != "0s" && d != "false" {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(t, "  --%s%s\t%s\n", f.Name, value, usage)
	})
	_ = t.Flush() // w keeps the error
}
