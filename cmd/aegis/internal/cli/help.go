package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpFor explains the command that words lead to from x, or a topic.
func (t *tree) helpFor(x *cobra.Command, words []string) error {
	for _, word := range words {
		if isHelp(word) {
			continue
		}
		if topic, ok := t.topic(word); ok && x == t.cobra {
			t.app.Out.Printf("%s", topic)
			return nil
		}
		sub, err := t.sub(x, word)
		if err != nil {
			return err
		}
		x = sub
	}
	t.help(t.app.Out, x)
	return nil
}

func (t *tree) topic(name string) (text string, ok bool) {
	for _, topic := range t.root.Topics {
		if topic.Name == name {
			return topic.Text, true
		}
	}
	return "", false
}

// visible calls do with the flags that the help lists.
func visible(f *Flags, do func(*pflag.Flag)) {
	f.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			do(f)
		}
	})
}

func hasFlags(f *Flags) (has bool) {
	visible(f, func(*pflag.Flag) { has = true })
	return has
}

// help explains a command.
func (t *tree) help(w *Sink, x *cobra.Command) {
	c, path := t.of[x], x.CommandPath()
	if c == nil {
		c, path = t.root, t.root.Name
	}
	w.Printf("%s: %s\n\n", path, c.Short)
	if len(c.Subs) > 0 {
		t.helpGroup(w, c, path)
		return
	}
	usage := []string{path}
	if hasFlags(x.Flags()) {
		usage = append(usage, "[FLAGS]")
	}
	if c.Args != "" {
		usage = append(usage, c.Args)
	}
	w.Printf("usage: %s\n", strings.Join(usage, " "))
	paragraph(w, "", c.Long)
	paragraph(w, "examples:\n", c.Examples)
	if hasFlags(x.Flags()) {
		w.Printf("\nflags:\n")
		flagTable(w, x.Flags())
	}
	w.Printf("\n%s", ExitHelp)
}

func paragraph(w *Sink, head, text string) {
	if text = strings.Trim(text, "\n"); text != "" {
		w.Printf("\n%s%s\n", head, text)
	}
}

// helpGroup lists the commands of a group.
func (t *tree) helpGroup(w *Sink, c *Command, path string) {
	w.Printf("usage: %s COMMAND\n", path)
	paragraph(w, "", c.Long)
	w.Printf("\ncommands:\n")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range c.Subs {
		fmt.Fprintf(tab, "  %s\t%s\n", s.Name, s.Short)
	}
	fmt.Fprintf(tab, "  help\texplain a command: %s help COMMAND\n", path)
	_ = tab.Flush() // w keeps the error
	if len(c.Topics) > 0 {
		w.Printf("\nfurther help, by %s help TOPIC:\n", path)
		for _, topic := range c.Topics {
			fmt.Fprintf(tab, "  %s\t%s\n", topic.Name, topic.Short)
		}
		_ = tab.Flush() // w keeps the error
	}
	paragraph(w, "examples:\n", c.Examples)
	w.Printf("\n%s", ExitHelp)
}

// valueName is the annotation of a flag that has the name of its value.
const valueName = "aegis_value"

// nameValue takes the backquotes out of a flag's text, which shells show as it is, and keeps the name of the
// flag's value, which they were around.
func nameValue(f *pflag.Flag) {
	name, usage := pflag.UnquoteUsage(f)
	f.Usage, f.Annotations = usage, map[string][]string{valueName: {name}}
}

func flagTable(w io.Writer, f *Flags) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	visible(f, func(f *pflag.Flag) {
		value, usage := strings.Join(f.Annotations[valueName], ""), f.Usage
		if value != "" {
			value = " " + value
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if d := f.DefValue; d != "" && d != "0" && d != "0s" && d != "false" && d != "[]" {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(t, "  %s%s\t%s\n", name, value, usage)
	})
	_ = t.Flush() // w keeps the error
}
