package aegis_test

import (
	"fmt"
	"strings"
	"testing"
)

// clean is a source that breaks no rule; the bad ones below differ from it in one thing.
const clean = `// Package p is a sample.
package p

import "time"

// Wait is documented.
type Wait struct{ D time.Duration }

// Get is documented.
func (w *Wait) Get() time.Duration { return w.D }

// Names in a group share its doc.
const (
	One = 1
	Two = 2
)
`

// styleCases are small sources, and the rule that each of them breaks: "" for none.
var styleCases = []struct{ name, path, text, want string }{
	{"clean", "pages/doc.go", clean, ""},
	{"clean root", "doc.go", clean, ""},
	{"upward import", "pages/doc.go", imp(module + "/messages"), "imports"},
	{"import of the root", "flusher/doc.go", imp(module), "imports"},
	{"backend in evictor", "evictor/doc.go", imp(module + "/backends"), "imports"},
	{"backend in walwriter", "walwriter/doc.go", imp(module + "/backends"), ""},
	{"machine imports actors", "txcoord/doc.go", imp(module + "/actors"), "imports"},
	{"test imports upward", "pages/a_test.go", imp(module + "/messages"), ""},
	{"foreign module", "pages/doc.go", imp("example.com/heavy"), "imports"},
	{"toml in pages", "pages/doc.go", imp("github.com/pelletier/go-toml/v2"), "imports"},
	{"os in a machine", "flusher/doc.go", imp("os"), "imports"},
	{"unsafe in a machine", "flusher/doc.go", imp("unsafe"), "unsafe"},
	{"unknown package", "newpkg/doc.go", clean, "imports"},
	{"go", "flusher/doc.go", body("go f()"), "concurrency"},
	{"go in actors", "actors/doc.go", body("go f()"), ""},
	{"select", "doc.go", body("select {}"), "concurrency"},
	{"send", "pages/doc.go", body("c <- 1"), "concurrency"},
	{"receive in pages", "pages/doc.go", body("<-c"), "concurrency"},
	{"receive in root", "doc.go", body("<-c"), ""},
	{"chan", "evictor/doc.go", clean + "\nvar c chan int\n", "concurrency"},
	{"wait group", "txcoord/doc.go", clean + "\nvar c sync.WaitGroup\n", "concurrency"},
	{"clock", "walwriter/doc.go", body("time.Now()"), "clock"},
	{"clock in root", "doc.go", body("time.After(1)"), "clock"},
	{"clock in a test", "walwriter/a_test.go", body("time.Now()"), ""},
	{"sleeping test", "walwriter/a_test.go", body("time.Sleep(1)"), "clock"},
	{"chance", "evictor/doc.go", strings.Replace(body("rand.IntN(3)"), `import "time"`, `import "math/rand/v2"`, 1), "clock"},
	{"clock in actors", "actors/doc.go", body("time.Now()"), "sameness"},
	{"clock in the production runtime", production, strings.Replace(body("time.Now()"), "// Package p is a sample.\n", "", 1), "docs"},
	{"clock in the simulated disk", "sim/disk/doc.go", body("time.Since(x)"), "sameness"},
	{"clock in the runner", "sim/doc.go", body("time.Since(x)"), ""},
	{"chance in the swarm", "sim/swarm/doc.go", imp("math/rand/v2"), "sameness"},
	{"seeded hash", "pages/doc.go", imp("hash/maphash"), "sameness"},
	{"finalizer", "doc.go", strings.Replace(body("runtime.AddCleanup(x)"), `import "time"`, `import ("time"; "runtime")`, 1), "sameness"},
	{"errgroup", "actors/doc.go", imp("golang.org/x/sync/errgroup"), "sameness"},
	{"deadline of the process", "sim/history/doc.go", strings.Replace(body("context.WithTimeout(x)"), `import "time"`, `import ("time"; "context")`, 1), "sameness"},
	{"keys of a map", "flusher/doc.go", strings.Replace(body("x = slices.Collect(maps.Keys(m))"), `import "time"`, `import ("time"; "maps"; "slices")`, 1), "sameness"},
	{"sorted keys of a map", "flusher/doc.go", strings.Replace(body("x = slices.Sorted(maps.Keys(m))"), `import "time"`, `import ("time"; "maps"; "slices")`, 1), ""},
	{"range over a field", "doc.go", clean + "type t struct{ all map[int]int }\nfunc f(x *t) {\n\tfor range x.all {\n\t}\n}\n", "sameness"},
	{"range over a parameter", "sim/disk/doc.go", clean + "func f(m map[int]int) {\n\tfor range m {\n\t}\n}\n", "sameness"},
	{"range over a variable", "sim/history/doc.go", body("m := make(set)\n\tfor range m {\n\t}") + "type set map[int]bool\n", "sameness"},
	{"range over a slice of that name", "actors/doc.go", body("m := map[int]int{}") + "func f(m []int) {\n\tfor range m {\n\t}\n}\n", ""},
	{"range over a map in a test", "pages/a_test.go", clean + "func f(m map[int]int) {\n\tfor range m {\n\t}\n}\n", ""},
	{"range over a map in the runner", "sim/doc.go", clean + "func f(m map[int]int) {\n\tfor range m {\n\t}\n}\n", ""},
	{"long function", "pages/doc.go", clean + longFunc, "size"},
	{"long file", "pages/doc.go", clean + strings.Repeat("\n", maxFileLines), "size"},
	{"bare function", "pages/doc.go", clean + "func Bare() {}\n", "docs"},
	{"bare method", "pages/doc.go", clean + "func (w *Wait) Bare() {}\n", "docs"},
	{"bare type", "pages/doc.go", clean + "type Bare int\n", "docs"},
	{"bare constant", "pages/doc.go", clean + "const Bare = 1\n", "docs"},
	{"bare interface method", "pages/doc.go", clean + "// I is one.\ntype I interface{\n// M is.\nM()\nN()\n}\n", "docs"},
	{"large bare interface", "pages/doc.go", clean + "// I is one.\ntype I interface{ A(); B(); C(); D(); E() }\n", "docs"},
	{"small bare interface", "pages/doc.go", clean + "// I is one.\ntype I interface{ M(); N() }\n", ""},
	{"bare option", "doc.go", clean + "// Options are some.\ntype Options struct{ A int }\n", "docs"},
	{"doc without the name", "pages/doc.go", clean + "// Something else.\nfunc Named() {}\n", "docs"},
	{"method of an inner type", "pages/doc.go", clean + "func (w inner) Bare() {}\n", ""},
	{"no doc.go", "pages/other.go", clean, "docs"},
	{"any", "messages/doc.go", clean + "// M is one.\ntype M struct{ V any }\n", "messages"},
	{"empty interface", "messages/doc.go", clean + "// M is one.\ntype M struct{ V interface{} }\n", "messages"},
	{"constraint", "messages/doc.go", clean + "// M is one.\ntype M[T any] struct{ V T }\n", ""},
	{"unaddressed message", "messages/doc.go", clean + "// M is one.\ntype M struct{}\nfunc (M) toEvictor() {}\n", "messages"},
	{"addressed message", "messages/doc.go", clean + "// M: a → b.\ntype M struct{}\nfunc (M) toEvictor() {}\n", ""},
	{"print", "pages/doc.go", body(`fmt.Println("x")`), "leftovers"},
	{"builtin print", "pages/a_test.go", body(`println("x")`), "leftovers"},
	{"print in an example", "example_test.go", body(`fmt.Println("x")`), ""},
	{"exit", "pages/doc.go", body("os.Exit(1)"), "leftovers"},
	{"put off", "pages/doc.go", clean + "// TO" + "DO: more.\n", "leftovers"},
}

// longFunc is one line above the limit.
var longFunc = "func f() {\n" + strings.Repeat("\t_ = 1\n", maxFuncLines-1) + "}\n"

// TestStyleCatches proves that each rule can fail: the checker runs over small bad sources.
func TestStyleCatches(t *testing.T) {
	for _, c := range styleCases {
		s, err := parseSource(c.path, c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		found := checkAll([]source{s})
		rules := map[string]bool{}
		for _, v := range found {
			rules[v.rule] = true
		}
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %v, want nothing", c.name, found)
		case c.want != "" && (len(rules) != 1 || !rules[c.want]):
			t.Errorf("%s: found %v, want a breach of %q alone", c.name, found, c.want)
		}
	}
}

// TestStylePosition: a breach names its file and line.
func TestStylePosition(t *testing.T) {
	s, err := parseSource("pages/doc.go", clean+"func Bare() {}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("pages/doc.go:%d: docs: exported Bare has no doc", strings.Count(clean, "\n")+1)
	if found := checkAll([]source{s}); len(found) != 1 || found[0].String() != want {
		t.Errorf("found %v, want %s", found, want)
	}
}

// imp is clean with an import of pkg instead of time.
func imp(pkg string) string {
	text := strings.Replace(clean, `import "time"`, `import _ "`+pkg+`"`, 1)
	return strings.ReplaceAll(text, "time.Duration", "int")
}

// body is clean with a function of one statement.
func body(statement string) string { return clean + "\nfunc g() {\n\t" + statement + "\n}\n" }
