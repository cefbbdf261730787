package aegis_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The documents' examples are code like any other. A block that is marked go is compiled:
//
//   - One that begins with a package clause is a program: it is built, and run in an empty directory.
//   - One that consists of declarations gets the imports that it uses.
//   - Any other is the body of a function that returns an error. It gets the imports that it uses and
//     the variables of docsEnvironment.
//
// "{ … }" in it stands for code of the reader's and counts as an empty block. A block marked "go
// elsewhere" needs a module that this one does not: here it has to parse only, the tests of bench/ build and
// run it. One marked "go metrics"
// needs the nested module metrics, and is compiled where that module's dependencies are at hand.
//
// Of blocks marked sh each aegis command line is held against the help of the command.

// docsImports are the packages that fragments may use without saying so.
var docsImports = docsImportTable("bytes", "context", "encoding/json", "errors", "fmt", "io", "iter", "log", "log/slog", "net/http", "os",
	"path/filepath", "strings", "testing", "time", module, module+"/backends", module+"/backends/conformance", module+"/metrics",
	module+"/salvage", module+"/sim", module+"/sim/swarm", "github.com/prometheus/client_golang/prometheus",
	"github.com/prometheus/client_golang/prometheus/promhttp", "go.opentelemetry.io/otel")

// docsEnvironment is what fragments find beside them.
const docsEnvironment = `package %s

import (
	"context"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
)

var (
	ctx        context.Context
	db         *aegis.DB
	tx         *aegis.Tx
	key, value []byte
)

// Functions of the reader's application.
func count(l *sim.Life, db *aegis.DB) int                                   { return 0 }
func transfer(ctx context.Context, db *aegis.DB, from, to int) error        { return nil }
`

func docsImportTable(paths ...string) map[string]string {
	m := map[string]string{}
	for _, p := range paths {
		m[p[strings.LastIndexByte(p, '/')+1:]] = p
	}
	return m
}

// docsBlock is a fenced block of a document.
type docsBlock struct {
	file string
	line int    // of its first line of text
	mark string // behind the fence
	text string
}

func (b *docsBlock) at() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// documents returns the names of all documents for people.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d pages in docs: %v", len(names), err)
	}
	return append(names, "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
}

// docsBlocks returns the fenced blocks of a document.
func docsBlocks(t *testing.T, file string) (blocks []docsBlock) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := false
	line := 0
	for s := range strings.Lines(string(text)) {
		line++
		mark, fence := strings.CutPrefix(strings.TrimRight(s, "\n"), "```")
		switch {
		case fence && !open:
			blocks = append(blocks, docsBlock{file: file, line: line + 1, mark: mark})
			open = true
		case fence:
			open = false
		case open:
			blocks[len(blocks)-1].text += s
		}
	}
	if open {
		t.Fatalf("%s: a block that does not end", file)
	}
	return blocks
}

// docsSource makes a Go file of a block. Its positions are those of the document.
func docsSource(b docsBlock, name string) (source string, program bool, err error) {
	text := regexp.MustCompile(`\{ … \}`).ReplaceAllString(b.text, "{ }")
	fset := token.NewFileSet()
	root, err := os.Getwd()
	if err != nil {
		return "", false, err
	}
	at := fmt.Sprintf("//line %s:%d\n", filepath.Join(root, b.file), b.line)
	if strings.HasPrefix(text, "package ") {
		_, err = parser.ParseFile(fset, "", at+text, parser.SkipObjectResolution)
		return at + text, true, err
	}
	f, err := parser.ParseFile(fset, "", "package p\n"+text, parser.SkipObjectResolution)
	if err != nil {
		body := "package p; func fragment() error {\n" + at + text
		f, err = parser.ParseFile(fset, "", body+"\n}", parser.SkipObjectResolution)
		if err != nil {
			return "", false, err
		}
		text = "func fragment() error {\n" + at + text + "\nreturn nil\n}\n"
	} else {
		text = at + text
	}
	head := "package " + name + "\n"
	for _, p := range docsUses(f) {
		head += fmt.Sprintf("import %q\n", p)
	}
	return head + text, false, nil
}

// docsUses returns the paths of the packages of docsImports that f uses and does not import itself.
func docsUses(f *ast.File) []string {
	paths := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && docsImports[x.Name] != "" {
				paths[docsImports[x.Name]] = true
			}
		}
		return true
	})
	for _, i := range f.Imports {
		delete(paths, strings.Trim(i.Path.Value, `"`))
	}
	return slices.Sorted(maps.Keys(paths))
}

// docsModule makes a module in dir that uses this checkout, and reports whether it can use metrics.
func docsModule(t *testing.T, dir string) (metrics bool) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	probe := exec.Command("go", "list", "-deps", ".")
	probe.Dir, probe.Env = filepath.Join(root, "metrics"), append(os.Environ(), "GOPROXY=off")
	if metrics = probe.Run() == nil; !metrics {
		t.Log("the dependencies of metrics are not at hand: its examples are not compiled")
	}
	from := "."
	if metrics {
		from = "metrics"
	}
	mod, err := os.ReadFile(filepath.Join(from, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(from, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^(module|replace) .*$`).ReplaceAllString(string(mod), "")
	text = "module docs\n" + regexp.MustCompile(`(?m)^\s+`+module+` v.*$`).ReplaceAllString(text, "")
	text += fmt.Sprintf("\nrequire %s v0.0.0\nreplace %[1]s => %s\n", module, root)
	if metrics {
		text += fmt.Sprintf("require %s/metrics v0.0.0\nreplace %[1]s/metrics => %s/metrics\n", module, root)
	}
	docsWrite(t, filepath.Join(dir, "go.mod"), text)
	docsWrite(t, filepath.Join(dir, "go.sum"), string(sum))
	return metrics
}

func docsWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocsExamples compiles the examples of all documents, and runs the programs among them.
func TestDocsExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	dir := t.TempDir()
	metrics := docsModule(t, dir)
	programs, fragments := map[string]docsBlock{}, 0
	for _, file := range documents(t) {
		for _, b := range docsBlocks(t, file) {
			if b.mark != "go" && !strings.HasPrefix(b.mark, "go ") {
				continue
			}
			name := fmt.Sprintf("%s%d", strings.ToLower(strings.TrimSuffix(filepath.Base(file), ".md")), b.line)
			name = strings.NewReplacer("-", "").Replace(name)
			source, program, err := docsSource(b, name)
			if err != nil {
				t.Errorf("%s: %v", b.at(), err)
				continue
			}
			if b.mark == "go elsewhere" || b.mark == "go metrics" && !metrics {
				continue
			}
			docsWrite(t, filepath.Join(dir, name, "example.go"), source)
			if fragments++; program {
				programs[name] = b
				continue
			}
			docsWrite(t, filepath.Join(dir, name, "environment.go"), fmt.Sprintf(docsEnvironment, name))
		}
	}
	if fragments < 20 || len(programs) < 1 {
		t.Errorf("%d examples, %d programs among them", fragments, len(programs))
	}
	docsBuildAndRun(t, dir, programs)
}

// docsBuildAndRun compiles all packages in dir, and runs the programs, each in a directory of its own.
// Both commands are needed: build passes over what is no program when it has a place for programs.
func docsBuildAndRun(t *testing.T, dir string, programs map[string]docsBlock) {
	t.Helper()
	for _, args := range [][]string{
		{"vet", "-mod=mod", "-unreachable=false", "./..."},
		{"build", "-mod=mod", "-o", filepath.Join(dir, "bin") + "/", "./..."},
	} {
		run := exec.Command("go", args...)
		run.Dir, run.Env = dir, append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("examples do not compile: go %s: %v\n%s", args[0], err, out)
		}
	}
	for name, b := range programs {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		run := exec.CommandContext(ctx, filepath.Join(dir, "bin", name))
		run.Dir = t.TempDir()
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("%s: the program fails: %v\n%s", b.at(), err, out)
		}
		cancel()
	}
}

// TestDocsFormat: examples are written as gofmt writes them.
func TestDocsFormat(t *testing.T) {
	for _, file := range documents(t) {
		for _, b := range docsBlocks(t, file) {
			if b.mark != "go" && !strings.HasPrefix(b.mark, "go ") || strings.Contains(b.text, "{ … }") {
				continue
			}
			text, err := format.Source([]byte(b.text))
			if err != nil || !bytes.Equal(text, []byte(b.text)) {
				t.Errorf("%s: not formatted: %v\n%s", b.at(), err, text)
			}
		}
	}
}

var (
	docsLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docsHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	docsNoSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocsLinks: every relative link leads to a file, and to a heading in it. The index of docs has
// every page.
func TestDocsLinks(t *testing.T) {
	linked := map[string]bool{}
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range docsLink.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if file == filepath.Join("docs", "README.md") {
				linked[target] = true
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			} else if heading != "" && !docsHasHeading(t, target, heading) {
				t.Errorf("%s links to %s: there is no such heading", file, m[1])
			}
		}
	}
	pages, _ := filepath.Glob("docs/*.md")
	for _, p := range pages {
		if p != filepath.Join("docs", "README.md") && !linked[p] {
			t.Errorf("docs/README.md does not link to %s", p)
		}
	}
}

// docsHasHeading reports whether a document has the heading that an anchor names.
func docsHasHeading(t *testing.T, file, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range docsHeading.FindAllStringSubmatch(string(text), -1) {
		if strings.ReplaceAll(docsNoSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

var (
	docsCommand = regexp.MustCompile(`(?:^|[|;&(]\s*)(?:go run \./cmd/)?aegis ([^|;&#)]*)`)
	docsFlag    = regexp.MustCompile(`--[a-z-]+`)
)

// TestDocsCommands: the aegis commands in blocks marked sh exist, and have the flags that are used.
func TestDocsCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command line")
	}
	aegis := filepath.Join(t.TempDir(), "aegis")
	if out, err := exec.Command("go", "build", "-o", aegis, "./cmd/aegis").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := map[string]string{}
	seen := 0
	for _, file := range documents(t) {
		for _, b := range docsBlocks(t, file) {
			if b.mark != "sh" {
				continue
			}
			for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
				for _, m := range docsCommand.FindAllStringSubmatch(line, -1) {
					seen++
					docsCheckCommand(t, aegis, b.at(), m[1], help)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d command lines in all documents", seen)
	}
}

// docsCheckCommand holds what follows aegis in a command line against the help of the command.
func docsCheckCommand(t *testing.T, aegis, at, args string, help map[string]string) {
	t.Helper()
	words := strings.Fields(args)
	if len(words) == 0 {
		t.Errorf("%s: aegis without a command", at)
		return
	}
	path := words[:1]
	if slices.Contains([]string{"sim", "config", "keyspaces"}, words[0]) && len(words) > 1 {
		path = words[:2]
	}
	name := strings.Join(path, " ")
	if help[name] == "" {
		out, err := exec.Command(aegis, append([]string{"help"}, path...)...).CombinedOutput()
		if err != nil || len(out) == 0 {
			t.Errorf("%s: aegis %s: %v\n%s", at, name, err, out)
			return
		}
		help[name] = string(out)
	}
	for _, f := range docsFlag.FindAllString(args, -1) {
		if !regexp.MustCompile(`(?m)^ .*` + f + `( |$)`).MatchString(help[name]) {
			t.Errorf("%s: aegis %s has no flag %s", at, name, f)
		}
	}
}
