package report

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// parsed writes a regression test, and checks that it is formatted and parses. It returns the
// one call of the test and the imports.
func parsed(t *testing.T, c TestCase) (call *ast.CallExpr, imports []string, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := RegressionTest(&b, c); err != nil {
		t.Fatal(err)
	}
	text = b.String()
	if again, err := format.Source(b.Bytes()); err != nil || string(again) != text {
		t.Fatalf("not as gofmt writes it (%v):\n%s", err, text)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "regression_test.go", text, parser.ParseComments)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	for _, spec := range file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		imports = append(imports, name)
	}
	if len(file.Decls) != 2 {
		t.Fatalf("%d declarations:\n%s", len(file.Decls), text)
	}
	f, ok := file.Decls[1].(*ast.FuncDecl)
	if !ok || !isTestName(f.Name.Name) || len(f.Body.List) != 1 {
		t.Fatalf("no test of one statement:\n%s", text)
	}
	call, ok = f.Body.List[0].(*ast.ExprStmt).X.(*ast.CallExpr)
	if !ok {
		t.Fatalf("no call:\n%s", text)
	}
	return call, imports, text
}

// TestRegressionGolden: both shapes, word by word.
func TestRegressionGolden(t *testing.T) {
	r := sampleRun()
	own := TestCase{Package: "swarm_test", Name: "TestLostCommit", Token: r.Token, Profile: r.Profile, Broke: r.Failure}
	_, _, text := parsed(t, own)
	golden(t, "regression-own.golden", []byte(text))
	_, _, text = parsed(t, TestCase{Package: "bank", Token: r.Token, Subject: "newBank(10)"})
	golden(t, "regression-subject.golden", []byte(text))
}

// TestRegressionCalls: the test replays exactly the token, of the right subject.
func TestRegressionCalls(t *testing.T) {
	const base = "github.com/aegis-storage/aegis/sim"
	for _, c := range []struct{ subject, replay, path string }{
		{"", "swarm", base + "/swarm"},
		{"bank", "sim", base},
		{"subjects.Bank", "sim", base},
		{"func() func(*sim.Life) { return nil }", "sim", base},
	} {
		token := "a\"b\\c`\n$1é"
		call, imports, text := parsed(t, TestCase{Package: "p", Token: token, Subject: c.subject})
		fun := call.Fun.(*ast.SelectorExpr)
		if fun.X.(*ast.Ident).Name != c.replay || fun.Sel.Name != "Replay" {
			t.Errorf("subject %q: the call is\n%s", c.subject, text)
		}
		if last, err := strconv.Unquote(call.Args[len(call.Args)-1].(*ast.BasicLit).Value); err != nil || last != token {
			t.Errorf("the token is %q (%v), want %q", last, err, token)
		}
		if strings.Join(imports, " ") != "testing "+c.path {
			t.Errorf("subject %q: imports %v", c.subject, imports)
		}
	}
}

// TestRegressionComment: whatever the failure says stays a comment.
func TestRegressionComment(t *testing.T) {
	for _, broke := range []string{
		"*/ }\nfunc init() { panic(1) }", "a\r\nb\x00\u2028c", "# head\n- list\n\n\n\tcode", "go:build ignore", "+build ignore",
		strings.Repeat("word ", 100), strings.Repeat("x", 300), "\n\n", "[link]: http://x",
	} {
		_, _, text := parsed(t, TestCase{Package: "p", Token: "t", Broke: broke, Profile: "a\nb"})
		head, _, _ := strings.Cut(text, "\nfunc ")
		_, comment, _ := strings.Cut(head, "\n)\n")
		for line := range strings.Lines(comment) {
			if line != "\n" && !strings.HasPrefix(line, "//") {
				t.Errorf("%q: the line %q is no comment", broke, line)
			}
		}
	}
}

// TestRegressionRefuses: what would not compile is an error.
func TestRegressionRefuses(t *testing.T) {
	for name, c := range map[string]TestCase{
		"no package":      {Token: "t"},
		"keyword":         {Package: "func", Token: "t"},
		"blank":           {Package: "_", Token: "t"},
		"path":            {Package: "a/b", Token: "t"},
		"no token":        {Package: "p"},
		"lower name":      {Package: "p", Token: "t", Name: "Testing"},
		"other name":      {Package: "p", Token: "t", Name: "BenchmarkX"},
		"spaced name":     {Package: "p", Token: "t", Name: "Test x"},
		"two expressions": {Package: "p", Token: "t", Subject: "a, b"},
		"statement":       {Package: "p", Token: "t", Subject: "a) ; panic(1"},
		"comment":         {Package: "p", Token: "t", Subject: "a // b"},
		"number":          {Package: "p", Token: "t", Subject: "7"},
	} {
		if err := RegressionTest(new(bytes.Buffer), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
