package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

// TestCase is a run that becomes a test of its own.
type TestCase struct {
	Package string // of the file, say "bank_test"; required
	Name    string // "TestLostDeposit"; "" makes one of the token
	Token   string // required
	Profile string // for the comment
	Broke   string // for the comment: what broke, in one or more lines

	// Subject is the Go expression that sim.Replay gets as its subject, say "bank" or
	// "newBank()", in the scope of Package. "" stands for aegis's own workload: the test calls
	// swarm.Replay.
	Subject string
}

//go:embed page/regression.go.tmpl
var regressionText string

var regressionTemplate = template.Must(template.New("regression").Parse(regressionText))

// RegressionTest writes a Go test file that replays t.Token and fails as long as the run does.
// The file is formatted and parses. The error is w's, or says which field of t is no Go.
func RegressionTest(w io.Writer, t TestCase) error {
	if err := t.check(); err != nil {
		return err
	}
	if t.Name == "" {
		t.Name = testName(t.Token)
	}
	var buf bytes.Buffer
	err := regressionTemplate.Execute(&buf, struct {
		TestCase
		Quoted  string
		Comment []string
	}{t, strconv.Quote(t.Token), t.comment()})
	if err != nil {
		return fmt.Errorf("report: regression test: %w", err)
	}
	text, err := format.Source(buf.Bytes())
	if err != nil {
		return fmt.Errorf("report: regression test: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// check says what would not compile.
func (t *TestCase) check() error {
	switch {
	case !token.IsIdentifier(t.Package) || t.Package == "_":
		return fmt.Errorf("report: regression test: package %q is no name", t.Package)
	case t.Token == "":
		return fmt.Errorf("report: regression test: no token")
	case t.Name != "" && !isTestName(t.Name):
		return fmt.Errorf("report: regression test: %q is no name of a test", t.Name)
	case t.Subject == "":
		return nil
	}
	subject, err := parser.ParseExpr(t.Subject)
	if err != nil {
		return fmt.Errorf("report: regression test: subject %q: %w", t.Subject, err)
	}
	// A subject of several lines could end the call and go on: a name, a selector, a call or a
	// function literal cannot.
	switch subject.(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.CallExpr, *ast.FuncLit, *ast.CompositeLit, *ast.UnaryExpr:
		return nil
	}
	return fmt.Errorf("report: regression test: subject %q is no value", t.Subject)
}

// isTestName reports whether the go command runs a function of this name as a test.
func isTestName(name string) bool {
	rest, ok := strings.CutPrefix(name, "Test")
	if !ok || !token.IsIdentifier(name) {
		return false
	}
	first, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || !unicode.IsLower(first)
}

// testName makes a test's name of the letters and digits of a token.
func testName(token string) string {
	const most = 24
	name := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, token)
	return "TestReplay_" + name[:min(most, len(name))]
}

// comment says what the test is about, in lines that fit into a comment.
func (t *TestCase) comment() []string {
	const width = 94
	text := "replays a run of the simulator that failed"
	if p := strings.Join(strings.Fields(clean(t.Profile)), " "); p != "" {
		text += " under the profile " + p
	}
	name := t.Name
	if name == "" {
		name = testName(t.Token)
	}
	broke := strings.TrimSpace(clean(t.Broke))
	if broke == "" {
		return wrap(name+" "+text+".", width)
	}
	lines := append(wrap(name+" "+text+":", width), "")
	for line := range strings.Lines(broke) {
		for _, part := range wrap(line, width) {
			if strings.HasPrefix(part, "+build") {
				part = "> " + part // gofmt takes it for a build constraint, wherever it stands
			}
			lines = append(lines, "\t"+part)
		}
	}
	return lines
}

// wrap breaks a line between words. A word that is longer than the line stays whole.
func wrap(line string, width int) []string {
	var lines []string
	at := ""
	for _, word := range strings.Fields(line) {
		switch {
		case at == "":
			at = word
		case utf8.RuneCountInString(at)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, at)
			at = word
		default:
			at += " " + word
		}
	}
	return append(lines, at)
}
