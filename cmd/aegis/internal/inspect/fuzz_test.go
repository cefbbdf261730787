package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
)

// sample are the files of a small store that is in use, by name.
func sample(t testing.TB) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	db, err := aegis.Open(dir, &aegis.Options{MemoryBudget: 1 << 20, Limits: &aegis.Limits{SegmentBytes: 64 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(n int) {
		err := db.Update(context.Background(), func(tx *aegis.Tx) error {
			for i := range n {
				if err := tx.Put(fmt.Appendf(nil, "key %04d", i), bytes.Repeat([]byte{byte(i)}, 50)); err != nil {
					return err
				}
			}
			return tx.Delete([]byte("key 0001"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(500)
	if err := db.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	put(1)
	put(20)
	all := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = b
	}
	return all
}

// tell returns the text of a file's items, and how many of them are damages.
func tell(t testing.TB, name string, b []byte) (text string, damages int, err error) {
	t.Helper()
	var out strings.Builder
	err = File(context.Background(), bytes.NewReader(b), int64(len(b)), name, Options{Entries: true, Values: true}, func(i Item) {
		fmt.Fprintln(&out, i.Text())
		if _, err := json.Marshal(i.JSON()); err != nil {
			t.Errorf("%+v: %v", i, err)
		}
		if i.Kind == Damage {
			if damages++; i.Offset < 0 {
				t.Errorf("%+v", i)
			}
		}
	})
	return out.String(), damages, err
}

// TestEveryByte: whatever byte of a table or a checkpoint is changed, it is noticed, and the pages
// before and behind it are shown all the same.
func TestEveryByte(t *testing.T) {
	for name, b := range sample(t) {
		if Kind(name, nil) == "log" {
			continue
		}
		sound, damages, err := tell(t, name, b)
		if err != nil || damages > 0 {
			t.Fatalf("%s: %v\n%.3000s", name, err, sound)
		}
		step := 1 + len(b)/100
		for at := 0; at < len(b); at += step {
			c := bytes.Clone(b)
			c[at] ^= 0x10
			text, damages, err := tell(t, name, c)
			if err != nil || damages == 0 {
				t.Fatalf("%s, byte %d: %v\n%.3000s", name, at, err, text)
			}
			if lost := strings.Count(sound, "put ") - strings.Count(text, "put "); lost > 150 {
				t.Fatalf("%s, byte %d: %d entries are not shown", name, at, lost)
			}
		}
		for at := 0; at < len(b); at += step {
			if _, damages, err := tell(t, name, b[:at]); err != nil || damages == 0 {
				t.Fatalf("%s, cut at %d: %d damages, %v", name, at, damages, err)
			}
		}
	}
}

// TestLog: a changed byte of a group or record is noticed, and the groups behind it are shown.
func TestLog(t *testing.T) {
	for name, b := range sample(t) {
		if Kind(name, nil) != "log" {
			continue
		}
		sound, damages, err := tell(t, name, b)
		if err != nil || damages > 0 {
			t.Fatalf("%s: %v\n%.3000s", name, err, sound)
		}
		if !strings.Contains(sound, "commit 3") {
			continue
		}
		used := len(bytes.TrimRight(b, "\x00"))
		last := bytes.LastIndex(b, []byte("AEGP"))
		for at := 8192; at < used; at += 1 + (used-8192)/150 {
			c := bytes.Clone(b)
			c[at] ^= 0x10
			text, damages, err := tell(t, name, c)
			header := at >= last && at < last+32 // without its header the last group is not there
			if err != nil || (damages == 0) != header {
				t.Fatalf("byte %d: %v\n%.3000s", at, err, text)
			}
		}
		c := bytes.Clone(b)
		first := bytes.Index(c[8192:], []byte("AEGP")) + 8192
		second := bytes.Index(c[first+4:], []byte("AEGP")) + first + 4
		if second < first {
			t.Fatal("there is one group only")
		}
		c[first+40] ^= 1
		if text, _, _ := tell(t, name, c); !strings.Contains(text, "damage") || strings.Count(text, "  group ") != strings.Count(sound, "  group ") {
			t.Errorf("%.3000s\nsound:\n%.3000s", text, sound)
		}
		clear(c[:5000]) // both headers
		if text, _, _ := tell(t, name, c); !strings.Contains(text, "commit 3") {
			t.Errorf("without headers:\n%s", text)
		}
	}
}

type failing struct{}

var errMedium = errors.New("the medium fails")

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errMedium }

// TestMedium: an error of reading is returned, not taken for damage.
func TestMedium(t *testing.T) {
	for name := range sample(t) {
		err := File(context.Background(), failing{}, 10_000, name, Options{}, func(Item) {})
		if !errors.Is(err, errMedium) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFile: no bytes panic.
func FuzzFile(f *testing.F) {
	kinds := []string{"table-0000000000000001", "wal-00000000", "checkpoint-0000000000000001.a", "unknown"}
	for name, b := range sample(f) {
		for i, kind := range kinds {
			if kind[:3] == name[:3] {
				f.Add(i, b[:min(len(b), 20_000)])
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		name := kinds[uint(kind)%uint(len(kinds))]
		if _, _, err := tell(t, name, b); err != nil && name != "unknown" {
			t.Fatal(err)
		}
	})
}
