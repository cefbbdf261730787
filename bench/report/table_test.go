package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aegis-storage/aegis/bench/measure"
)

var update = flag.Bool("update", false, "write the golden files")

// few is a part of what was made up, small enough to be read.
func few() []measure.Result {
	var list []measure.Result
	for _, r := range madeUp() {
		switch r.Workload {
		case "load", "get-cold-plain", "reopen", "raw-overwrite":
			list = append(list, r)
		case "put-durable", "full-scan":
			if r.Engine == aegis || r.Engine == "pebble" || r.Engine == "lmdb" {
				list = append(list, r)
			}
		}
	}
	return list
}

func TestGolden(t *testing.T) {
	for file, write := range map[string]func(*strings.Builder) error{
		"table.txt": func(b *strings.Builder) error { return Text(b, few()) },
		"table.md":  func(b *strings.Builder) error { return Markdown(b, few()) },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs from what is written (run with -update and look at the difference):\n%s", file, b.String())
		}
	}
}

func TestTextFitsATerminal(t *testing.T) {
	results := append(madeUp(), with(one("badger", "seek-100", 16), func(r *measure.Result) {
		r.Limited = strings.Repeat("a long reason ", 20) + "\nof two lines"
	}))
	var b strings.Builder
	if err := Text(&b, results); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 140 && !strings.HasPrefix(line, "Engines: ") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestMarkdownRowsHaveAsManyCellsAsTheHeader(t *testing.T) {
	results := append(madeUp(), one(aegis, "a|b", 1))
	var b strings.Builder
	if err := Markdown(&b, results); err != nil {
		t.Fatal(err)
	}
	cells := 0
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells != 0 && n != cells {
			t.Errorf("%d cells, want %d: %s", n, cells, line)
		}
		cells = n
	}
}

func TestTablesOfNothing(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, nil); err != nil || !strings.Contains(b.String(), "0 met, 0 missed") {
		t.Errorf("Text of nothing: %v\n%s", err, b.String())
	}
	b.Reset()
	if err := Markdown(&b, nil); err != nil || !strings.Contains(b.String(), "not recorded") {
		t.Errorf("Markdown of nothing: %v\n%s", err, b.String())
	}
}
