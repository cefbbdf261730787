package plant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	module     = "github.com/aegis-storage/aegis"
	activeDir  = "sim/plant/active"
	switchFile = "planted_overlay.go"
)

// Variable is the environment variable by which a planted build that has no flag for it, such as a
// test, is told the bug to switch on.
const Variable = "AEGIS_PLANTED"

// Overlay holds the files of a planted build that differ from the checkout's, by their path below
// the module's root, with slashes.
type Overlay struct{ Files map[string]string }

// NewOverlay patches every bug of the catalogue into the sources below root, the module's root. It
// reads the checkout and changes nothing there. An edit that does not fit, or that overlaps another
// one, is an error that names the bug, the file and the text; all such errors are reported.
func NewOverlay(root string) (Overlay, error) { return overlayOf(root, Catalogue()) }

func overlayOf(root string, bugs []Bug) (Overlay, error) {
	o := Overlay{Files: make(map[string]string)}
	byFile := make(map[string][]placedEdit)
	for _, b := range bugs {
		for _, e := range b.Edits {
			byFile[e.File] = append(byFile[e.File], placedEdit{Edit: e, bug: b.Name})
		}
	}
	var errs []error
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			errs = append(errs, fmt.Errorf("plant: bug %s: %w", byFile[file][0].bug, err))
			continue
		}
		patched, err := patch(file, string(text), byFile[file])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o.Files[file] = patched
		if err := o.addSwitch(file, patched); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Overlay{}, err
	}
	o.Files[activeDir+"/active.go"] = activeSource(bugs)
	return o, nil
}

// placedEdit is an edit with its place in the original text.
type placedEdit struct {
	Edit
	bug      string
	from, to int // bytes
}

// patch applies edits to the original text of a file, all of them or none.
func patch(file, text string, edits []placedEdit) (string, error) {
	var errs []error
	for i := range edits {
		e := &edits[i]
		if n := strings.Count(text, e.Old); n != 1 || e.Old == "" {
			errs = append(errs, fmt.Errorf("plant: bug %s: %s has %d times, not once:\n%s", e.bug, file, n, e.Old))
			continue
		}
		e.from = strings.Index(text, e.Old)
		e.to = e.from + len(e.Old)
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	slices.SortFunc(edits, func(a, b placedEdit) int { return a.from - b.from })
	var out strings.Builder
	at := 0
	for i, e := range edits {
		if e.from < at {
			return "", fmt.Errorf("plant: bugs %s and %s change the same place of %s:\n%s", edits[i-1].bug, e.bug, file, e.Old)
		}
		out.WriteString(text[at:e.from])
		out.WriteString(e.New)
		at = e.to
	}
	out.WriteString(text[at:])
	return out.String(), nil
}

// addSwitch gives the package of a patched file the function planted.
func (o *Overlay) addSwitch(file, text string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("plant: %s is no Go any more: %w", file, err)
	}
	o.Files[path.Join(path.Dir(file), switchFile)] = fmt.Sprintf(`package %s

import "%s/%s"

// planted reports whether the planted bug with the name is on.
func planted(name string) bool { return active.Is(name) }
`, parsed.Name.Name, module, activeDir)
	return nil
}

// activeSource is the planted build's package active.
func activeSource(bugs []Bug) string {
	var names bytes.Buffer
	for _, b := range bugs {
		fmt.Fprintf(&names, "\t%q,\n", b.Name)
	}
	return fmt.Sprintf(activeText, names.String(), Variable)
}

const activeText = `package active

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// ErrNotPlanted is what Set answers in an ordinary build.
var ErrNotPlanted = errors.New("not a planted build")

var names = []string{
%s}

// on is set before the engine runs, and read by many goroutines after that.
var on string

// Available reports whether this is a planted build.
func Available() bool { return true }

// Names returns the bugs that can be switched on, sorted.
func Names() []string { return slices.Clone(names) }

// Set switches one bug on, or all off.
func Set(name string) error {
	if name != "" && !slices.Contains(names, name) {
		return fmt.Errorf("no planted bug %%q", name)
	}
	on = name
	return nil
}

// Is reports whether the bug with the name is on.
func Is(name string) bool { return on == name }

func init() {
	if err := Set(os.Getenv(%q)); err != nil {
		panic(err)
	}
}
`

// Write writes the overlay's files into dir, which exists, and returns the path of the file that
// `go build -overlay` takes. root is the module's root.
func (o Overlay) Write(root, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("plant: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("plant: %w", err)
	}
	replace := make(map[string]string, len(o.Files))
	for file, text := range o.Files {
		name := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("plant: %w", err)
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = name
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("plant: %w", err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		return "", fmt.Errorf("plant: %w", err)
	}
	return name, nil
}

// Formatted reports the first patched file that gofmt would change: edits should read like the rest.
func (o Overlay) Formatted() error {
	for _, file := range slices.Sorted(maps.Keys(o.Files)) {
		text, err := format.Source([]byte(o.Files[file]))
		if err != nil {
			return fmt.Errorf("plant: %s: %w", file, err)
		}
		if string(text) != o.Files[file] {
			return fmt.Errorf("plant: %s is not formatted", file)
		}
	}
	return nil
}

// Build compiles pkg, a main package of the checkout in root, with every planted bug in it, into
// the file out. It needs the go command.
func Build(ctx context.Context, root, pkg, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("plant: %w", err)
	}
	return Go(ctx, root, "build", "-o", out, pkg)
}

// Go runs a go command (build, vet, test) in root with the planted sources in place of the
// checkout's: args begin with its name. What it prints is in the error if it fails.
func Go(ctx context.Context, root string, args ...string) error {
	o, err := NewOverlay(root)
	if err != nil {
		return err
	}
	return o.run(ctx, root, args)
}

// run runs a go command with the overlay's sources in place of the checkout's.
func (o Overlay) run(ctx context.Context, root string, args []string) (err error) {
	dir, err := os.MkdirTemp("", "aegis-plant-")
	if err != nil {
		return fmt.Errorf("plant: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	list, err := o.Write(root, dir)
	if err != nil {
		return err
	}
	args = append([]string{args[0], "-overlay", list}, args[1:]...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("plant: go %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return nil
}
