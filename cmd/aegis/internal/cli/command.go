package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Flags are the flags of a command.
type Flags = pflag.FlagSet

// Command is a word of the command line: a group of further commands, or one that does something.
type Command struct {
	Name        string
	Args        string // "TOKEN", for the help
	Least, Most int    // how many arguments it takes; a negative Most is no limit
	Short       string // one line, lower case
	Long        string // paragraphs below the usage line; may be empty
	Examples    string // command lines, one a line; may be empty
	Subs        []*Command
	Implied     string  // of Subs, the one that a single argument is for; empty: none
	Topics      []Topic // of the root: what help explains besides commands
	// Begin declares the flags, and returns what does the work once they are set.
	Begin func(f *Flags) Work
}

// Topic is a text that aegis help NAME prints.
type Topic struct{ Name, Short, Text string }

// Work does what a command is for. With an error the exit code follows from the error, whatever the
// Work returns.
type Work func(ctx context.Context, a *App, args []string) (int, error)

// tree is a command line in the words of the library.
type tree struct {
	app   *App
	root  *Command
	cobra *cobra.Command
	of    map[*cobra.Command]*Command
	code  int
}

// Main runs a command line and returns the exit code.
func (a *App) Main(ctx context.Context, root *Command, args []string) int {
	t := newTree(a, root)
	a.root = t
	t.cobra.SetArgs(t.normalize(args))
	err := t.cobra.ExecuteContext(ctx)
	if err == nil {
		err = a.Out.Err()
	}
	if err == nil {
		return t.code
	}
	code, text := a.judge(ctx, err)
	if text != "" {
		a.Err.Printf("%s\n", text)
	}
	return code
}

func newTree(a *App, root *Command) *tree {
	t := &tree{app: a, root: root, of: map[*cobra.Command]*Command{}}
	t.cobra = t.add(root)
	t.cobra.CompletionOptions.DisableDefaultCmd = true
	t.cobra.SetOut(a.Out)
	t.cobra.SetErr(a.Err)
	t.cobra.SetFlagErrorFunc(t.flagError)
	t.cobra.SetHelpFunc(func(c *cobra.Command, _ []string) { t.help(a.Out, c) })
	t.cobra.SetHelpCommand(&cobra.Command{
		Use: "help", Short: "explain a command", DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, words []string) error { return t.helpFor(t.cobra, words) },
		ValidArgsFunction: func(_ *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
			return t.below(words), cobra.ShellCompDirectiveNoFileComp
		},
	})
	return t
}

// add makes the library's command of c and of those below it.
func (t *tree) add(c *Command) *cobra.Command {
	x := &cobra.Command{
		Use: c.Name, Short: c.Short, Args: cobra.ArbitraryArgs, SilenceErrors: true, SilenceUsage: true,
		ValidArgsFunction: c.complete, SuggestionsMinimumDistance: 2,
	}
	t.of[x] = c
	for _, s := range c.Subs {
		x.AddCommand(t.add(s))
	}
	if c.Begin == nil {
		x.RunE = func(x *cobra.Command, args []string) error { return t.group(x, args) }
		return x
	}
	do := c.Begin(x.Flags())
	x.Flags().VisitAll(nameValue)
	x.RunE = func(x *cobra.Command, args []string) (err error) {
		if err := c.checkArgs(x.CommandPath(), args); err != nil {
			return err
		}
		if t.code, err = do(x.Context(), t.app, args); err != nil {
			return fmt.Errorf("%s: %w", x.CommandPath(), err)
		}
		return nil
	}
	return x
}

// complete says what a shell offers for an argument: directories for a store, files otherwise. What the
// last word of Args says holds for all that follow, if it ends in "…".
func (c *Command) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	words := strings.Fields(c.Args)
	at := len(args)
	if n := len(words); at >= n && n > 0 && strings.HasSuffix(words[n-1], "…") {
		at = n - 1
	}
	if at >= len(words) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	switch strings.Trim(words[at], "[]…") {
	case "STORE", "NEW", "DIR":
		return nil, cobra.ShellCompDirectiveFilterDirs
	case "FILE":
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// group answers for a command that has only commands below it.
func (t *tree) group(x *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		t.help(t.app.Err, x)
		t.code = ExitUsage
		return nil
	case isHelp(args[0]):
		return t.helpFor(x, args[1:])
	}
	_, err := t.sub(x, args[0])
	return err
}

func isHelp(word string) bool {
	return word == "help" || word == "-h" || word == "-help" || word == "--help"
}

// sub finds the command with a name. The error says which ones exist.
func (t *tree) sub(x *cobra.Command, name string) (*cobra.Command, error) {
	for _, s := range x.Commands() {
		if s.Name() == name && t.of[s] != nil {
			return s, nil
		}
	}
	names := t.names(x)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: it has no commands of its own", x.CommandPath())
	}
	near := ""
	if like := x.SuggestionsFor(name); len(like) > 0 {
		near = fmt.Sprintf(" (did you mean %s?)", like[0])
	}
	return nil, fmt.Errorf("%s: there is no command %q%s, there are: %s, help", x.CommandPath(), name, near, strings.Join(names, ", "))
}

// names are those of the commands below x, in the order in which they were given.
func (t *tree) names(x *cobra.Command) (names []string) {
	for _, s := range t.of[x].Subs {
		names = append(names, s.Name)
	}
	return names
}

// below are the words that may follow help.
func (t *tree) below(words []string) []string {
	x := t.cobra
	for _, word := range words {
		var err error
		if x, err = t.sub(x, word); err != nil {
			return nil
		}
	}
	names := t.names(x)
	if x == t.cobra {
		for _, topic := range t.root.Topics {
			names = append(names, topic.Name)
		}
	}
	return names
}

func (c *Command) checkArgs(path string, args []string) error {
	takes := c.Args
	if takes == "" {
		takes = "none"
	}
	switch {
	case c.Most >= 0 && len(args) > c.Most:
		return fmt.Errorf("%s: %q is one argument too many: it takes %s", path, args[c.Most], takes)
	case len(args) < c.Least:
		root, words, _ := strings.Cut(path, " ")
		return fmt.Errorf("%s: it needs %s: %s help %s explains it", path, takes, root, words)
	}
	return nil
}

// normalize writes -name for a flag that has this name as --name, as package flag reads it, and the
// version flags as the command.
func (t *tree) normalize(args []string) []string {
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-version") {
		return append([]string{"version"}, args[1:]...)
	}
	x, rest, err := t.cobra.Find(args)
	if err != nil || len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args
	}
	args = slices.Clone(args)
	if at, name := len(args)-len(rest), t.implied(x, rest); name != "" && slices.Equal(args[at:], rest) {
		return t.normalize(slices.Insert(args, at, name))
	}
	for i := len(args) - len(rest); i < len(args) && args[i] != "--"; i++ {
		word := args[i]
		name, _, valued := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if len(name) < 2 || !strings.HasPrefix(word, "-") {
			if len(word) == 2 && word[0] == '-' && takesValue(x.Flags().ShorthandLookup(name)) {
				i++
			}
			continue
		}
		f := x.Flags().Lookup(name)
		if (f != nil || name == "help") && !strings.HasPrefix(word, "--") {
			args[i] = "-" + word
		}
		if takesValue(f) && !valued {
			i++
		}
	}
	return args
}

// implied is the command below x that is meant by rest, if that is one word besides flags, and no command's.
func (t *tree) implied(x *cobra.Command, rest []string) string {
	words := slices.DeleteFunc(slices.Clone(rest), func(word string) bool { return strings.HasPrefix(word, "-") })
	if t.of[x] == nil || t.of[x].Implied == "" || len(words) != 1 || isHelp(words[0]) {
		return ""
	}
	if _, err := t.sub(x, words[0]); err == nil {
		return ""
	}
	return t.of[x].Implied
}

func takesValue(f *pflag.Flag) bool { return f != nil && f.NoOptDefVal == "" }
