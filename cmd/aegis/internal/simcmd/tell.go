package simcmd

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/report"
)

// teller tells failing runs as the flags want it.
type teller struct {
	json    bool
	html    string
	planted string
}

func (t *teller) declare(f *cli.Flags) {
	f.BoolVar(&t.json, "json", false, "print JSON lines")
	f.StringVar(&t.html, "html", "", "write each failing run into `DIR`, as a page and as text")
	f.StringVar(&t.planted, "planted", "", plantedUsage)
}

// begin switches the planted bug on and makes the directory for pages.
func (t *teller) begin() error {
	if err := plantBug(t.planted); err != nil || t.html == "" {
		return err
	}
	return os.MkdirAll(t.html, 0o755)
}

// tell prints a failing run, and writes its files.
func (t *teller) tell(a *cli.App, res *sim.Result, n, of int) error {
	told := describe(res, t.planted)
	page, err := t.files(told, fmt.Sprintf("seed-%d-%d", told.Seed, n))
	if err != nil {
		return err
	}
	if t.json {
		return cli.WriteJSON(a.Out, newFailureLine(res, page))
	}
	var text bytes.Buffer
	if err := report.Text(&text, told); err != nil {
		return err
	}
	a.Out.Printf("failure %d of %d: seed %d, %s\n%s", n, of, res.Plan.Seed, sizes(res), excerpt(text.String(), told.Commands[0].Line))
	if page != "" {
		a.Out.Printf("  written       %s, %s\n", page, textName(page))
	}
	a.Out.Printf("\n")
	return nil
}

// files writes a run as a page and as text, and returns the page's name.
func (t *teller) files(told report.Run, name string) (string, error) {
	if t.html == "" {
		return "", nil
	}
	page := filepath.Join(t.html, fmt.Sprintf("%s.html", name))
	err := writeFile(page, func(w io.Writer) error { return report.HTML(w, told) })
	return page, cmp.Or(err, writeFile(textName(page), func(w io.Writer) error { return report.Text(w, told) }))
}

func textName(page string) string { return strings.TrimSuffix(page, ".html") + ".txt" }

// writeFile makes a file of what write writes.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// excerpt is the head of a trace, and its end; whole is the command that prints all of it.
func excerpt(text, whole string) string {
	const tail = 45
	lines := strings.SplitAfter(strings.TrimRight(text, "\n"), "\n")
	head := 0
	for head < len(lines) && !strings.HasPrefix(lines[head], "──") {
		head++
	}
	left := len(lines) - tail - head
	if left < 2 {
		return text
	}
	note := fmt.Sprintf("  … %s: %s\n", cli.Count(left, "line is left out", "lines are left out"), whole)
	return strings.Join(lines[:head], "") + note + strings.Join(lines[len(lines)-tail:], "") + "\n"
}
