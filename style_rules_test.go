package aegis_test

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reporter takes a breach at pos.
type reporter func(pos token.Pos, rule, format string, args ...any)

// fileRules are checked on each file by itself.
var fileRules = []func(source, reporter){
	checkImports, checkConcurrency, checkClock, checkSizes, checkDocs, checkMessages, checkLeftovers, checkSameness,
}

// shells may start goroutines and wait; programs may too.
func isShell(dir string) bool {
	return slices.Contains([]string{"actors", "sim", "sim/world", "sim/explore", "sim/plant"}, dir) || isProgram(dir)
}

func isProgram(dir string) bool {
	top, _, _ := strings.Cut(dir, "/")
	return top == "cmd" || top == "examples"
}

// isMachine: pure state machines and what they are made of.
func isMachine(dir string) bool {
	return slices.Contains([]string{"txcoord", "txcoord/versions", "walwriter", "flusher", "evictor", "messages", "pages"}, dir)
}

// rulesOf returns the directory whose import rules hold for dir.
func rulesOf(dir string) string {
	if isProgram(dir) {
		dir, _, _ = strings.Cut(dir, "/")
	}
	return dir
}

// checkImports: rule 1 of the style, and section 1 of the architecture.
func checkImports(s source, report reporter) {
	allowed, known := imports[rulesOf(s.dir)]
	if !known {
		report(s.file.Package, "imports", "package %s is not in the list of packages in style_test.go", s.dir)
	}
	for _, spec := range s.file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		switch inner, ours := strings.CutPrefix(name, module); {
		case ours && s.test: // a test may look from any side
		case ours:
			inner = strings.TrimPrefix(inner, "/")
			if inner == "" {
				inner = "."
			}
			if !slices.Contains(allowed, inner) {
				report(spec.Pos(), "imports", "%s may not import %s", s.dir, name)
			}
		case name == "unsafe" && isMachine(s.dir):
			report(spec.Pos(), "unsafe", "unsafe needs a reason in style_test.go")
		case strings.Contains(strings.SplitN(name, "/", 2)[0], "."):
			checkModule(s, spec, name, report)
		case isMachine(s.dir) && !s.test && (name == "os" || name == "syscall" || name == "net" || strings.HasPrefix(name, "os/")):
			report(spec.Pos(), "imports", "%s may not import %s: all I/O goes through a Backend", s.dir, name)
		}
	}
}

func checkModule(s source, spec *ast.ImportSpec, name string, report reporter) {
	for mod, users := range modules {
		if name != mod && !strings.HasPrefix(name, mod+"/") {
			continue
		}
		if users != nil && !s.test && !slices.Contains(users, s.dir) {
			report(spec.Pos(), "imports", "only %s may import %s", strings.Join(users, ", "), mod)
		}
		return
	}
	report(spec.Pos(), "imports", "%s is no core dependency: it belongs into a nested module", name)
}

// checkConcurrency: go, select, channels and waiting groups are the shells' alone. Local files
// may use what they need; the root package may receive the answer to a request.
func checkConcurrency(s source, report reporter) {
	if s.test || isShell(s.dir) || s.dir == "backends" || s.dir == "backends/conformance" {
		return
	}
	const rule = "concurrency"
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n.Pos(), rule, "go statement outside actors and sim")
		case *ast.SelectStmt:
			report(n.Pos(), rule, "select outside actors and sim")
		case *ast.SendStmt:
			report(n.Pos(), rule, "channel send outside actors and sim")
		case *ast.ChanType:
			report(n.Pos(), rule, "channel type outside actors and sim")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW && s.dir != "." {
				report(n.Pos(), rule, "channel receive outside actors and sim")
			}
		case *ast.SelectorExpr:
			if isName(n.X, "sync") && (n.Sel.Name == "WaitGroup" || n.Sel.Name == "Cond" || n.Sel.Name == "NewCond") {
				report(n.Pos(), rule, "sync.%s outside actors and sim", n.Sel.Name)
			}
		}
		return true
	})
}

// clock names what reads the clock or waits for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// checkClock: time and chance come in through messages and the Runtime; and no test sleeps.
func checkClock(s source, report reporter) {
	pure := !s.test && (isMachine(s.dir) || s.dir == ".")
	random := importName(s.file, "math/rand")
	if random == "" {
		random = importName(s.file, "math/rand/v2")
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		switch {
		case !ok:
		case isName(sel.X, "time") && s.test && sel.Sel.Name == "Sleep":
			report(sel.Pos(), "clock", "a test that sleeps")
		case isName(sel.X, "time") && pure && slices.Contains(clock, sel.Sel.Name):
			report(sel.Pos(), "clock", "time.%s: time comes in by a Tick or the Runtime", sel.Sel.Name)
		case pure && random != "" && isName(sel.X, random) && ast.IsExported(sel.Sel.Name):
			report(sel.Pos(), "clock", "%s.%s: a machine draws no random numbers", random, sel.Sel.Name)
		}
		return true
	})
	if name := importName(s.file, "crypto/rand"); pure && name != "" && s.dir != "." {
		report(s.file.Package, "clock", "crypto/rand: a machine draws no random numbers")
	}
}

// checkSizes: rule 7.
func checkSizes(s source, report reporter) {
	if s.lines > maxFileLines {
		report(s.file.Package, "size", "the file has %d lines, the most is %d", s.lines, maxFileLines)
	}
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFuncLines {
			report(f.Pos(), "size", "%s has %d lines, the most is %d", f.Name.Name, n, maxFuncLines)
		}
	}
}

// checkDocs: every exported name says what it is, beginning with itself.
func checkDocs(s source, report reporter) {
	if s.test || s.file.Name.Name == "main" {
		return
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && receiverExported(d) && !speaksForItself(d) {
				needDoc(d.Pos(), d.Name.Name, d.Doc, nil, true, report)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				checkSpecDoc(d, spec, report)
			}
		}
	}
}

// speaksForItself: a method that only makes a fmt.Stringer or an error of its type.
func speaksForItself(f *ast.FuncDecl) bool {
	return f.Recv != nil && f.Doc == nil && (f.Name.Name == "String" || f.Name.Name == "Error") &&
		f.Type.Params.NumFields() == 0 && f.Type.Results.NumFields() == 1
}

func checkSpecDoc(d *ast.GenDecl, spec ast.Spec, report reporter) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return
		}
		doc := spec.Doc
		if doc == nil && !d.Lparen.IsValid() {
			doc = d.Doc
		}
		needDoc(spec.Pos(), spec.Name.Name, doc, spec.Comment, doc != nil, report)
		if methods, ok := spec.Type.(*ast.InterfaceType); ok {
			checkMethodDocs(spec.Name.Name, methods.Methods.List, report)
		}
		if fields, ok := spec.Type.(*ast.StructType); ok && spec.Name.Name == "Options" {
			for _, f := range fields.Fields.List {
				needDoc(f.Pos(), "Options."+f.Names[0].Name, f.Doc, nil, false, report)
			}
		}
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			if n.IsExported() && d.Doc == nil {
				needDoc(n.Pos(), n.Name, spec.Doc, spec.Comment, false, report)
			}
		}
	}
}

// checkMethodDocs: the doc of a small interface may speak for all of its methods, but then it
// does for all of them.
func checkMethodDocs(name string, methods []*ast.Field, report reporter) {
	const small = 4
	bare := func(m *ast.Field) bool { return m.Doc == nil && m.Comment == nil }
	if len(methods) <= small && !slices.ContainsFunc(methods, func(m *ast.Field) bool { return !bare(m) }) {
		return
	}
	for _, m := range methods {
		if len(m.Names) > 0 && m.Names[0].IsExported() && bare(m) {
			report(m.Pos(), "docs", "exported %s.%s has no doc", name, m.Names[0].Name)
		}
	}
}

// needDoc reports a missing doc, and one of a function or type that does not begin with its name.
func needDoc(pos token.Pos, name string, doc, line *ast.CommentGroup, named bool, report reporter) {
	if doc == nil && line == nil {
		report(pos, "docs", "exported %s has no doc", name)
		return
	}
	if !named {
		return
	}
	words := strings.FieldsFunc(doc.Text(), func(r rune) bool { return strings.ContainsRune(" \n:,.'’(", r) })
	if len(words) > 0 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
		words = words[1:]
	}
	if len(words) == 0 || words[0] != name {
		report(pos, "docs", "the doc of %s does not begin with its name", name)
	}
}

// receiverExported reports whether f is a function, or a method of an exported type.
func receiverExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// checkMessages: rule 2. Nothing in messages is untyped; a constraint is no message.
func checkMessages(s source, report reporter) {
	if s.dir != "messages" || s.test {
		return
	}
	constraints := map[ast.Node]bool{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			constraints[n.TypeParams] = n.TypeParams != nil
		case *ast.FuncType:
			constraints[n.TypeParams] = n.TypeParams != nil
		case *ast.FieldList:
			return !constraints[n]
		case *ast.Ident:
			if n.Name == "any" {
				report(n.Pos(), "messages", "any: messages are typed")
			}
		case *ast.InterfaceType:
			if n.Methods.NumFields() == 0 {
				report(n.Pos(), "messages", "interface{}: messages are typed")
			}
		}
		return true
	})
}

// leftover marks work that was put off. It is written so that it does not find itself.
var leftover = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)

// checkLeftovers: nothing prints, exits or waits for another day.
func checkLeftovers(s source, report reporter) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if word := leftover.FindString(c.Text); word != "" {
				report(c.Pos(), "leftovers", "%s", word)
			}
		}
	}
	if isProgram(s.dir) {
		return
	}
	example := strings.HasSuffix(s.path, "example_test.go")
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			if f.Name == "println" || f.Name == "print" {
				report(f.Pos(), "leftovers", "%s", f.Name)
			}
		case *ast.SelectorExpr:
			prints := strings.HasPrefix(f.Sel.Name, "Print")
			if isName(f.X, "fmt") && prints && !example || isName(f.X, "log") && (prints || strings.HasPrefix(f.Sel.Name, "Fatal")) {
				report(f.Pos(), "leftovers", "%s: a library does not print", f.Sel.Name)
			}
			if isName(f.X, "os") && f.Sel.Name == "Exit" && s.file.Name.Name != "main" {
				report(f.Pos(), "leftovers", "os.Exit in a library")
			}
		}
		return true
	})
}

// checkPackage: a package has a doc.go, and each message says who sends it to whom.
func checkPackage(dir string, files []source) []violation {
	found := checkMapOrder(dir, files)
	library, documented := false, false
	docs, sent := map[string]*ast.CommentGroup{}, map[string]source{}
	for _, s := range files {
		if s.test {
			continue
		}
		library = true
		main := s.file.Name.Name == "main"
		documented = documented || s.file.Doc != nil && (main || path.Base(s.path) == "doc.go")
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				if spec, ok := d.Specs[0].(*ast.TypeSpec); ok {
					docs[spec.Name.Name] = d.Doc
				}
			case *ast.FuncDecl:
				if dir == "messages" && d.Recv != nil && strings.HasPrefix(d.Name.Name, "to") && !d.Name.IsExported() {
					sent[receiverName(d)] = s
				}
			}
		}
	}
	if library && !documented {
		at := token.Position{Line: 1}
		found = append(found, violation{at, path.Join(dir, "doc.go"), "docs", "the package has no doc.go with a package comment"})
	}
	for name, s := range sent {
		if !strings.Contains(docs[name].Text(), "→") {
			at := s.fset.Position(s.file.Package)
			found = append(found, violation{at, s.path, "messages", "the doc of " + name + " does not say sender → receiver"})
		}
	}
	return found
}

func receiverName(f *ast.FuncDecl) string {
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func isName(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

// importName returns the name under which file imports pkg, or "".
func importName(file *ast.File, pkg string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(pkg) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return strings.TrimSuffix(path.Base(strings.TrimSuffix(pkg, "/v2")), "/")
	}
	return ""
}
