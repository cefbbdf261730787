package aegis_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The house style that a machine can check, over every Go file of this module: who may import
// whom, where concurrency, clocks and chance may appear, sizes, docs, and what must not be left
// behind. The rules are in style_rules_test.go, a proof that each of them can fail in
// style_self_test.go.

const module = "github.com/aegis-storage/aegis"

const (
	maxFileLines = 500
	maxFuncLines = 70
)

// imports lists, for each package, the packages of this module that its non-test files may
// import. A package that is not listed may import none and must be added here.
var imports = map[string][]string{
	"backends":             {},
	"backends/conformance": {"backends"},
	"pages":                {},
	"txcoord/versions":     {"pages"},
	"messages":             {"pages", "txcoord/versions"},
	"txcoord":              {"messages", "pages", "txcoord/versions"},
	"walwriter":            {"messages", "backends", "pages"},
	"flusher":              {"messages", "pages", "backends", "txcoord/versions"},
	"evictor":              {"messages", "pages"},
	"actors":               {"txcoord", "walwriter", "flusher", "evictor", "messages", "pages", "txcoord/versions"},
	// Open recovers the machines' state and makes them; from then on the root talks to actors.
	".":                {"actors", "backends", "messages", "pages", "txcoord/versions", "txcoord", "walwriter", "flusher", "evictor"},
	"salvage":          {".", "backends", "flusher", "messages", "pages", "walwriter"},
	"sim/trace":        {},
	"sim/disk":         {"backends", "sim/trace"},
	"sim/history":      {},
	"sim/world":        {"actors", "messages", "sim/disk", "sim/trace"},
	"sim":              {".", "backends", "messages", "sim/disk", "sim/report", "sim/trace", "sim/world"},
	"sim/report":       {"sim/trace"},
	"sim/swarm":        {".", "messages", "txcoord", "sim", "sim/disk", "sim/history"},
	"sim/explore":      {"sim", "sim/disk", "sim/world"},
	"sim/plant":        {"sim/plant/active"},
	"sim/plant/active": {},
	"property_tests":   {".", "backends", "sim", "sim/disk", "sim/swarm", "actors", "messages"},
	"cmd": {".", "sim", "sim/disk", "sim/explore", "sim/plant", "sim/plant/active", "sim/report", "sim/swarm", "backends",
		"salvage", "flusher", "messages", "pages", "walwriter", // to show files that no store opens
		"cmd/aegis/internal/bench", "cmd/aegis/internal/cli", "cmd/aegis/internal/inspect", "cmd/aegis/internal/simcmd",
		"cmd/aegis/internal/storecmd", "cmd/aegis/internal/stream"},
	"examples": {".", "sim", "backends", "backends/conformance"},
}

// modules are the core dependencies; anything else belongs into a nested module. The value
// names the packages that may import it, or nil for all.
var modules = map[string][]string{
	"github.com/klauspost/compress":   nil,
	"github.com/pierrec/lz4/v4":       nil,
	"github.com/cespare/xxhash/v2":    nil,
	"github.com/google/btree":         nil,
	"github.com/pelletier/go-toml/v2": {"."},
	"github.com/spf13/cobra":          {"cmd/aegis/internal/cli"},
	"github.com/spf13/pflag":          {"cmd/aegis/internal/cli"},
	"golang.org/x/sync":               {"actors", "sim"},
	"golang.org/x/sys":                {"backends"},
	"pgregory.net/rapid":              {"sim", "property_tests"},
}

// exempt are the known exceptions: the file, the rule, and why it is right there. An exception
// that nothing needs any more is a failure too.
var exempt = []exemption{
	{"messages/reply.go", "concurrency", "the one-shot Reply is the channel that a client waits on"},
	{"pages/gate.go", "concurrency", "readers wait here for a load under way and for room in memory: no actor takes part"},
	{"debug.go", "sameness", "a page bounds how long a person waits for it; nothing of the store depends on it"},
	{"pages/page.go", "unsafe", "sizes of structs, for the books of residency"},
	{"pages/stripe.go", "unsafe", "a stack address picks the cell of a counter; it is not used as a pointer"},
	{"pages/leafmem.go", "unsafe", "a leaf is one block without pointers that begins with its header"},
	{"backends/local_lock_test.go", "leftovers", "a second process, which talks through its output"},
}

// exemption takes one rule back for one file.
type exemption struct{ file, rule, why string }

// source is one parsed Go file.
type source struct {
	path  string // relative to the module's root, with slashes
	dir   string // its package's directory; "." is the root package
	test  bool
	lines int
	file  *ast.File
	fset  *token.FileSet
}

// violation is one breach of a rule.
type violation struct {
	at   token.Position
	path string
	rule string
	text string
}

func (v violation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", v.path, v.at.Line, v.rule, v.text)
}

// TestStyle holds the whole module to the rules.
func TestStyle(t *testing.T) {
	sources := moduleSources(t)
	used := make([]bool, len(exempt))
	for _, v := range checkAll(sources) {
		i := slices.IndexFunc(exempt, func(e exemption) bool { return e.file == v.path && e.rule == v.rule })
		if i < 0 {
			t.Error(v)
			continue
		}
		used[i] = true
	}
	for i, e := range exempt {
		if !used[i] {
			t.Errorf("style_test.go: exemption %s of %s (%s) is not needed any more", e.rule, e.file, e.why)
		}
	}
}

// checkAll applies the rules for files and the rules for packages.
func checkAll(sources []source) []violation {
	var found []violation
	packages := map[string][]source{}
	for _, s := range sources {
		report := func(pos token.Pos, rule, format string, args ...any) {
			found = append(found, violation{s.fset.Position(pos), s.path, rule, fmt.Sprintf(format, args...)})
		}
		for _, rule := range fileRules {
			rule(s, report)
		}
		packages[s.dir] = append(packages[s.dir], s)
	}
	for dir, files := range packages {
		found = append(found, checkPackage(dir, files)...)
	}
	slices.SortFunc(found, func(a, b violation) int {
		if c := strings.Compare(a.path, b.path); c != 0 {
			return c
		}
		return a.at.Line - b.at.Line
	})
	return found
}

// moduleSources parses every Go file of this module. Nested modules have rules of their own.
func moduleSources(t *testing.T) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enterDir(name, d.Name())
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parseSource(filepath.ToSlash(name), string(text))
		sources = append(sources, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 20 {
		t.Fatalf("only %d files were found: the walk is broken", len(sources))
	}
	return sources
}

// enterDir answers SkipDir for directories whose files are not of this module's packages.
func enterDir(name, base string) error {
	if name == "." {
		return nil
	}
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// parseSource parses one file; name decides which rules hold for it.
func parseSource(name, text string) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{
		path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(text, "\n"), file: file, fset: fset,
	}, nil
}
