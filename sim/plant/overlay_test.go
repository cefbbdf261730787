package plant

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestCatalogue: every bug says who it is, once.
func TestCatalogue(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	classes := []string{"crash", "restart", "eio-read", "eio-sync", "enospc", "media", "concurrency", "none", "local"}
	modes := []string{"", "nosync", "bulk", "keyspaces", "merge", "small-cache", "age"}
	seen := make(map[string]bool)
	for _, b := range Catalogue() {
		if !name.MatchString(b.Name) || seen[b.Name] {
			t.Errorf("%q is no name, or there twice", b.Name)
		}
		seen[b.Name] = true
		if !strings.HasSuffix(b.What, ".") || !slices.Contains(classes, b.Class) || !slices.Contains(modes, b.Mode) {
			t.Errorf("%s: what %q, class %q, mode %q", b.Name, b.What, b.Class, b.Mode)
		}
		asks := false
		for _, e := range b.Edits {
			asks = asks || strings.Contains(e.New, `planted("`+b.Name+`")`)
			for _, other := range regexp.MustCompile(`planted\("([^"]*)"\)`).FindAllStringSubmatch(e.New, -1) {
				if other[1] != b.Name {
					t.Errorf("%s asks for %s", b.Name, other[1])
				}
			}
		}
		if !asks {
			t.Errorf("%s never asks whether it is on", b.Name)
		}
		if found, ok := Find(b.Name); !ok || found.What != b.What {
			t.Errorf("Find(%q) = %v, %t", b.Name, found, ok)
		}
	}
	if _, ok := Find("no-such-bug"); ok || len(seen) < 40 {
		t.Errorf("%d bugs, and one that is not there: %t", len(seen), ok)
	}
}

// TestOverlayFits: every edit matches the sources as they are, and reads as gofmt has it.
func TestOverlayFits(t *testing.T) {
	o, err := NewOverlay(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Formatted(); err != nil {
		t.Error(err)
	}
	for _, file := range []string{"walwriter/planted_overlay.go", "planted_overlay.go", "sim/plant/active/active.go"} {
		if o.Files[file] == "" {
			t.Errorf("no file %s", file)
		}
	}
	if text := o.Files["planted_overlay.go"]; !strings.HasPrefix(text, "package aegis\n") {
		t.Errorf("the root's switch: %s", text)
	}
}

// TestPatchErrors: what does not fit is named.
func TestPatchErrors(t *testing.T) {
	edit := func(old, text string) placedEdit {
		return placedEdit{Edit: Edit{File: "f.go", Old: old, New: text}, bug: "bug-" + old}
	}
	for _, c := range []struct {
		text  string
		edits []placedEdit
		want  string // the text, or a part of the error
		fails bool
	}{
		{"abcd", []placedEdit{edit("c", "C"), edit("a", "Aplus")}, "AplusbCd", false},
		{"abab", []placedEdit{edit("ab", "x")}, "bug bug-ab: f.go has 2 times", true},
		{"abab", []placedEdit{edit("c", "x"), edit("d", "x")}, "bug bug-d: f.go has 0 times", true},
		{"abab", []placedEdit{edit("", "x")}, "not once", true},
		{"abcd", []placedEdit{edit("bc", "x"), edit("ab", "y")}, "bugs bug-ab and bug-bc change the same place of f.go", true},
	} {
		got, err := patch("f.go", c.text, c.edits)
		if c.fails && (err == nil || !strings.Contains(err.Error(), c.want)) || !c.fails && (err != nil || got != c.want) {
			t.Errorf("patch(%q) = %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	bugs := []Bug{{Name: "lost-file", Edits: []Edit{{File: "no/such.go", Old: "a", New: "b"}}}}
	if _, err := overlayOf(root, bugs); err == nil || !strings.Contains(err.Error(), "lost-file") {
		t.Errorf("overlay of a file that is not there: %v", err)
	}
}

// TestPlantedBuild: the planted sources compile and vet finds nothing in them; a planted binary
// has the bugs, an ordinary one has not.
func TestPlantedBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the module")
	}
	ctx := context.Background()
	if err := Go(ctx, root, "build", "./..."); err != nil {
		t.Fatal(err)
	}
	packages := []string{"vet"}
	for _, b := range Catalogue() {
		for _, e := range b.Edits {
			if dir := "./" + filepath.ToSlash(filepath.Dir(e.File)); !slices.Contains(packages, dir) {
				packages = append(packages, dir)
			}
		}
	}
	if err := Go(ctx, root, packages...); err != nil {
		t.Error(err)
	}
	out := filepath.Join(t.TempDir(), "switches")
	if err := Build(ctx, root, "./sim/plant/testdata/switches", out); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Size() == 0 {
		t.Fatal(err)
	}
	checkSwitches(t, out, true)
	ordinary := filepath.Join(t.TempDir(), "ordinary")
	buildOrdinary(t, ordinary)
	checkSwitches(t, ordinary, false)
}
