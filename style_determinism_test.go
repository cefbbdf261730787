package aegis_test

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// What the simulator runs has to do the same whenever the same happens to it. What would come in
// from the process instead is forbidden here, in addition to the rules for concurrency and clocks.

// isSimulated: packages whose code decides what a simulated run does, or what is told of it.
func isSimulated(dir string) bool {
	return isMachine(dir) ||
		slices.Contains([]string{".", "actors", "sim/disk", "sim/history", "sim/swarm", "sim/trace", "sim/world"}, dir)
}

// production is the Runtime that the simulator replaces: what it does is seen nowhere else.
const production = "actors/runtime.go"

// processOnly names what differs from process to process, by package: "" stands for all of it.
// Clocks and chance in machines and the root are checkClock's.
var processOnly = map[string][]string{
	"math/rand":     {""},
	"math/rand/v2":  {""},
	"crypto/rand":   {""},
	"hash/maphash":  {""},
	"weak":          {""},
	"runtime":       {"SetFinalizer", "AddCleanup", "NumGoroutine", "NumCPU", "GOMAXPROCS", "ReadMemStats", "LockOSThread"},
	"runtime/debug": {"FreeOSMemory", "ReadGCStats", "SetGCPercent", "SetMemoryLimit"},
	"os":            {"Getpid", "Getenv", "LookupEnv", "Environ", "Hostname"},
	"context":       {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
	"time":          clock,
	"maps":          {"Keys", "Values", "All"},
}

// clocks are the packages of which checkClock keeps machines and the root.
var clocks = []string{"time", "math/rand", "math/rand/v2", "crypto/rand"}

// ordered are functions whose result does not depend on the order in which a map is walked.
var ordered = []string{"Sorted", "SortedFunc"}

// checkSameness: no chance, no clocks and no state of the process in what the simulator runs.
func checkSameness(s source, report reporter) {
	if s.test || !isSimulated(s.dir) || s.path == production {
		return
	}
	excused := map[ast.Node]bool{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr: // slices.Sorted(maps.Keys(m))
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && isName(f.X, "slices") && slices.Contains(ordered, f.Sel.Name) {
				if inner, ok := n.Args[0].(*ast.CallExpr); ok {
					excused[inner.Fun] = true
				}
			}
		case *ast.SelectorExpr:
			if !excused[n] {
				checkProcessOnly(s, n, report)
			}
		}
		return true
	})
	for _, spec := range s.file.Imports {
		pkg := strings.Trim(spec.Path.Value, `"`)
		if slices.Contains(processOnly[pkg], "") && !leftToClock(s, pkg) || strings.HasPrefix(pkg, "golang.org/x/sync/") {
			report(spec.Pos(), "sameness", "import of %s: a simulated run could not be repeated", pkg)
		}
	}
}

// leftToClock: checkClock finds it.
func leftToClock(s source, pkg string) bool {
	return slices.Contains(clocks, pkg) && (isMachine(s.dir) || s.dir == ".")
}

func checkProcessOnly(s source, n *ast.SelectorExpr, report reporter) {
	id, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	for pkg, names := range processOnly {
		if slices.Contains(names, n.Sel.Name) && importName(s.file, pkg) == id.Name && !leftToClock(s, pkg) {
			report(n.Pos(), "sameness", "%s.%s: a simulated run could not be repeated", id.Name, n.Sel.Name)
		}
	}
}

// mapNames are the names that a package declares as maps: fields and types, and variables.
type mapNames struct{ fields, vars map[string]bool }

// checkMapOrder finds ranges over maps in the files of one package. It goes by names: what a struct
// of the package declares as a map is taken for one in all others, too.
func checkMapOrder(dir string, files []source) []violation {
	if !isSimulated(dir) {
		return nil
	}
	files = slices.DeleteFunc(slices.Clone(files), func(s source) bool { return s.test || s.path == production })
	names := mapNames{map[string]bool{}, map[string]bool{}}
	for before := -1; before != len(names.fields); { // a type may stand for another that is a map
		before = len(names.fields)
		for _, s := range files {
			names.collect(s)
		}
	}
	var found []violation
	for _, s := range files {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			local := mapNames{names.fields, maps.Clone(names.vars)}
			local.enter(f)
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if r, ok := n.(*ast.RangeStmt); ok && local.isMap(r.X) {
					found = append(found, violation{s.fset.Position(r.Pos()), s.path, "sameness", "a range over a map, whose order differs from run to run: sort the keys"})
				}
				return true
			})
		}
	}
	return found
}

// collect adds the fields, types and variables of a file's package level.
func (m mapNames) collect(s source) {
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if m.isMap(spec.Type) {
					m.fields[spec.Name.Name] = true
				}
			case *ast.ValueSpec:
				m.declare(spec)
			}
		}
		ast.Inspect(g, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok {
				for _, id := range f.Names {
					m.fields[id.Name] = m.fields[id.Name] || m.isMap(f.Type)
				}
			}
			return true
		})
	}
	maps.DeleteFunc(m.fields, func(_ string, is bool) bool { return !is })
}

func (m mapNames) declare(spec *ast.ValueSpec) {
	for i, id := range spec.Names {
		m.vars[id.Name] = spec.Type != nil && m.isMap(spec.Type) || i < len(spec.Values) && m.isMap(spec.Values[i])
	}
}

// enter adds what a function declares, over what the package does: a name that stands for a map
// anywhere in it does so everywhere in it.
func (m mapNames) enter(f *ast.FuncDecl) {
	mine := map[string]bool{}
	add := func(x ast.Expr, is bool) {
		if id, ok := x.(*ast.Ident); ok {
			mine[id.Name] = mine[id.Name] || is
			m.vars[id.Name] = mine[id.Name]
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				add(id, m.isMap(n.Type))
			}
		case *ast.ValueSpec:
			m.declare(n)
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE && n.Value != nil {
				add(n.Value, false)
			}
		case *ast.AssignStmt:
			for i, x := range n.Lhs {
				if n.Tok == token.DEFINE {
					add(x, len(n.Lhs) == len(n.Rhs) && m.isMap(n.Rhs[i]))
				}
			}
		}
		return true
	})
}

// isMap reports whether an expression is a map, or the type of one, as far as names tell.
func (m mapNames) isMap(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.MapType:
		return true
	case *ast.Ident:
		is, local := m.vars[x.Name]
		return is || !local && m.fields[x.Name]
	case *ast.SelectorExpr:
		return m.fields[x.Sel.Name]
	case *ast.ParenExpr:
		return m.isMap(x.X)
	case *ast.StarExpr:
		return m.isMap(x.X)
	case *ast.CompositeLit:
		return x.Type != nil && m.isMap(x.Type)
	case *ast.CallExpr: // make(T), maps.Clone(m), T(x)
		if isName(x.Fun, "make") && len(x.Args) > 0 {
			return m.isMap(x.Args[0])
		}
		if f, ok := x.Fun.(*ast.SelectorExpr); ok {
			return isName(f.X, "maps") && f.Sel.Name == "Clone"
		}
		return m.isMap(x.Fun)
	}
	return false
}
