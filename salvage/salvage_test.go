package salvage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/salvage"
)

// named reports whether the report says that the key may not be as it was, and whether it says that
// its value may be wrong.
func named(r *salvage.Report, ks, key string, versions []version) (lost, wrong bool) {
	if r.UnknownFrom > 0 { // the end of the log may be gone without a trace
		lost = versions != nil && versions[len(versions)-1].seq > r.LastSeq
	}
	for i := range r.Lost {
		l := &r.Lost[i]
		switch l.Kind {
		case salvage.Commits:
			for _, v := range versions {
				lost = lost || v.seq >= l.SeqLo && (l.SeqHi == 0 || v.seq <= l.SeqHi)
			}
		case salvage.Unordered:
			lost = true
		case salvage.Entries, salvage.Unproven:
			in := (l.Keyspace == ks || l.Keyspace == "") && key >= string(l.Lo) && (l.Hi == nil || key < string(l.Hi))
			lost = lost || in
			wrong = wrong || in && l.Kind == salvage.Unproven
		}
	}
	return lost, wrong
}

// compare holds the new store against the model, and returns how many keys are not as they were.
func compare(t *testing.T, s *sample, r *result) (differ int) {
	t.Helper()
	renamed := slices.ContainsFunc(r.report.Lost, func(l salvage.Lost) bool {
		return l.Kind == salvage.Name || l.Kind == salvage.Unproven && l.Keyspace == salvage.CatalogLabel
	})
	for ks, keys := range s.model {
		if slices.Contains(s.dropped, ks) {
			if _, ok := r.state[ks]; ok && !loses(r.report, salvage.Commits) && r.report.LastSeq >= r.lastSeq(s) {
				t.Errorf("keyspace %q came back", ks)
			}
			continue
		}
		state, ok := r.state[ks]
		if !ok && renamed {
			continue
		}
		for key, versions := range keys {
			want := versions[len(versions)-1].value
			got, ok := state[key]
			if ok == (want != nil) && (!ok || got == *want) {
				continue
			}
			differ++
			lost, wrong := named(r.report, ks, key, versions)
			if !lost {
				t.Errorf("%q of %q is %q (%v), and the report does not say so", key, ks, got, ok)
			}
			known := slices.ContainsFunc(versions, func(v version) bool { return v.value != nil && *v.value == got })
			if ok && !known && !wrong {
				t.Errorf("%q of %q is %q, which it never was", key, ks, got)
			}
		}
		for key := range state {
			if _, ok := keys[key]; !ok {
				if _, wrong := named(r.report, ks, key, nil); !wrong {
					t.Errorf("key %q of %q never was", key, ks)
				}
			}
		}
	}
	if t.Failed() {
		t.Log(r.report)
	}
	return differ
}

func loses(r *salvage.Report, kind salvage.Kind) bool {
	return slices.ContainsFunc(r.Lost, func(l salvage.Lost) bool { return l.Kind == kind })
}

func TestUndamaged(t *testing.T) {
	s := theSample()
	r := run(t, s.files, s.model)
	if n := compare(t, s, r); n != 0 || !r.report.Sound() || len(r.report.Notes) > 0 {
		t.Errorf("%d keys differ: %v", n, r.report)
	}
	if !slices.Equal(r.spaces, s.spaces) {
		t.Errorf("keyspaces %v, want %v", r.spaces, s.spaces)
	}
	if r.report.Commits == 0 || r.report.Tables < 5 || r.report.Blocks == 0 {
		t.Errorf("the sample is too small: %v", r.report)
	}
	t.Log(r.report)
}

// TestMissingFile takes each file away.
func TestMissingFile(t *testing.T) {
	s, older := theSample(), int64(0)
	for _, name := range s.files.names() {
		t.Run(name, func(t *testing.T) {
			r := run(t, s.files.with(name, nil), s.model)
			differ := compare(t, s, r)
			for _, l := range r.report.Lost {
				older += l.Older
			}
			if strings.HasPrefix(name, "checkpoint") && (differ > 0 || !r.report.Sound()) {
				t.Errorf("one copy of the checkpoint is enough: %v", r.report)
			}
			if strings.HasPrefix(name, "table") && r.report.Sound() {
				t.Errorf("the loss of a table is not told: %v", r.report)
			}
		})
	}
	if older == 0 {
		t.Error("nothing was copied from older tables instead")
	}
}

// lastSeq is the last commit of the sample.
func (r *result) lastSeq(s *sample) (last uint64) {
	for _, keys := range s.model {
		for _, versions := range keys {
			last = max(last, versions[len(versions)-1].seq)
		}
	}
	return last
}

// stride samples what would take too long.
func stride(t *testing.T, n int) int {
	if testing.Short() {
		return 4 * n
	}
	return n
}

func TestTruncatedFile(t *testing.T) {
	s := theSample()
	for _, name := range s.files.names() {
		t.Run(name, func(t *testing.T) {
			whole := s.files[name]
			step := max(1, len(whole)/stride(t, 8)*4)
			for n := 0; n < len(whole); n += step {
				r := run(t, s.files.with(name, whole[:n:n]), s.model)
				compare(t, s, r)
				if t.Failed() {
					t.Fatalf("cut to %d bytes", n)
				}
			}
		})
	}
}

// TestFlippedByte flips a byte in each sector: a table loses a leaf at most, a log a commit.
func TestFlippedByte(t *testing.T) {
	const leafEntries = 60
	s := theSample()
	for _, name := range s.files.names() {
		t.Run(name, func(t *testing.T) {
			whole := s.files[name]
			for at := len(name) % 512; at < len(whole); at += 512 * stride(t, 1) {
				damaged := slices.Clone(whole)
				damaged[at+int(damaged[at])%min(7, len(whole)-at)] ^= 1 << (at / 512 % 8)
				r := run(t, s.files.with(name, damaged), s.model)
				differ := compare(t, s, r)
				lost, unproven := 0, 0
				for _, l := range r.report.Lost {
					switch l.Kind {
					case salvage.Entries:
						lost++
					case salvage.Commits:
						if l.SeqHi > l.SeqLo {
							t.Errorf("one byte has cost the commits %d to %d", l.SeqLo, l.SeqHi)
						}
					case salvage.Unproven:
						if l.Keyspace == aegis.DefaultKeyspaceName || l.Keyspace == "plain" { // Zstd hides the others' checksums
							unproven++
						}
					}
				}
				if differ > leafEntries || lost > 3 || unproven > 2 { // a leaf may lie in three keyspaces
					t.Errorf("%d keys differ, %d ranges are lost, %d are unproven", differ, lost, unproven)
				}
				if t.Failed() {
					t.Fatalf("byte %d: %v", at, r.report)
				}
			}
		})
	}
}

func TestZeroedSector(t *testing.T) {
	s := theSample()
	for _, name := range s.files.names() {
		t.Run(name, func(t *testing.T) {
			whole := s.files[name]
			for at := 0; at < len(whole); at += 512 * stride(t, 1) {
				damaged := slices.Clone(whole)
				clear(damaged[at:min(at+512, len(damaged))])
				r := run(t, s.files.with(name, damaged), s.model)
				compare(t, s, r)
				if traceless := r.lastSeq(s) - r.report.LastSeq; r.report.UnknownFrom > 0 && traceless > 8 { // as many as a sector holds
					t.Errorf("the log's last %d commits are gone without a trace", traceless)
				}
				if t.Failed() {
					t.Fatalf("sector at %d", at)
				}
			}
		})
	}
}

// TestNoCheckpoint: the tables tell their order by themselves.
func TestNoCheckpoint(t *testing.T) {
	s := theSample()
	f := s.files
	for _, name := range f.names() {
		if strings.HasPrefix(name, "checkpoint-") {
			f = f.with(name, nil)
		}
	}
	r := run(t, f, s.model)
	if n := compare(t, s, r); n != 0 || !r.report.Sound() || r.report.Checkpoint != "" {
		t.Errorf("%d keys differ: %v", n, r.report)
	}
	if !slices.Equal(r.spaces, s.spaces) {
		t.Errorf("keyspaces %v, want %v", r.spaces, s.spaces)
	}
}

// TestMissingTablesAreNotRead: the report counts the tables that were read, not those that were named.
func TestMissingTablesAreNotRead(t *testing.T) {
	s := theSample()
	before := run(t, s.files, s.model).report.Tables
	f, gone := s.files, 0
	for _, name := range f.names() {
		if !strings.HasPrefix(name, "table-") {
			continue
		}
		f, gone = f.with(name, nil), gone+1
		if r := run(t, f, s.model); r.report.Tables > before-1 || !strings.Contains(r.report.String(), "the file is missing") {
			t.Errorf("%d tables are missing, %d of %d read: %v", gone, r.report.Tables, before, r.report)
		}
		before--
	}
	if gone < 2 || before != 0 {
		t.Errorf("%d tables, %d too many were read", gone, before)
	}
}

func TestReportEncodes(t *testing.T) {
	s := theSample()
	name := s.files.names()[len(s.files)/2]
	r := run(t, s.files.with(name, nil), s.model)
	b, err := json.Marshal(r.report)
	must(t, err)
	var back salvage.Report
	must(t, json.Unmarshal(b, &back))
	if fmt.Sprint(&back) != fmt.Sprint(r.report) || !strings.Contains(r.report.String(), name) {
		t.Errorf("%s\nis not\n%s", &back, r.report)
	}
}

func TestRefusals(t *testing.T) {
	s := theSample()
	from := s.files.backend(t)
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	must(t, err)
	defer db.Close()
	release, err := from.Lock(true)
	must(t, err)
	if _, err := salvage.Run(ctx, from, db, salvage.Options{}); !errors.Is(err, aegis.ErrLocked) {
		t.Errorf("of a live store: %v", err)
	}
	must(t, release())
	if _, err := salvage.Run(ctx, backends.NewMemory(), db, salvage.Options{}); !errors.Is(err, aegis.ErrNoStore) {
		t.Errorf("of nothing: %v", err)
	}
	must(t, db.Put(ctx, []byte("k"), nil))
	if _, err := salvage.Run(ctx, from, db, salvage.Options{}); !errors.Is(err, salvage.ErrNotEmpty) {
		t.Errorf("into a store that holds something: %v", err)
	}
}
