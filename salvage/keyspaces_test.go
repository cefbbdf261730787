package salvage_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/salvage"
)

// fill puts n entries into a keyspace, in one commit.
func (s *store) fill(name string, n int) {
	s.t.Helper()
	must(s.t, s.Update(ctx, func(tx *aegis.Tx) error {
		k, err := tx.Keyspace(name)
		if err != nil {
			return err
		}
		for i := range n {
			if err := k.Put(fmt.Appendf(nil, "%s-%04d", name, i), []byte("some value")); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *store) create(name string) {
	s.t.Helper()
	(&builder{db: s.DB}).create(name, aegis.KeyspaceOptions{})
}

func (s *store) drop(name string) {
	s.t.Helper()
	must(s.t, s.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace(name) }))
}

// only checks that a salvaged store has one keyspace, and that nothing is lost, or something is.
func (s *store) only(name string, f files, sound bool) {
	s.t.Helper()
	r := run(s.t, f, nil)
	if len(r.spaces) != 1 || r.spaces[0].Name != name || r.report.Sound() != sound {
		s.t.Errorf("%v, want %s only: %v", r.spaces, name, r.report)
	}
}

// TestDroppedInLog: what the log writes to a keyspace that it drops is passed over.
func TestDroppedInLog(t *testing.T) {
	s := newStore(t, smallLimits())
	s.create("gone")
	s.create("kept")
	s.fill("gone", 10)
	s.fill("kept", 10)
	s.drop("gone")
	s.only("kept", s.killed(), true)
}

// TestDroppedInTables: a dropped keyspace of which tables have keys still does not come back, also if
// the catalog's mark is lost: the checkpoint has it too.
func TestDroppedInTables(t *testing.T) {
	limits := smallLimits()
	limits.TableBytes = 1 << 20 // one table for all keyspaces, which is not removed unread
	s := newStore(t, limits)
	s.create("gone")
	s.create("kept")
	s.fill("gone", 60)
	s.fill("kept", 60)
	must(t, s.Checkpoint(ctx))
	s.drop("gone")
	must(t, s.Checkpoint(ctx))
	f := s.killed()
	var newest, name string
	for _, name = range f.names() {
		if isTable(name) {
			newest = name
		}
	}
	name = slices.Max(slices.DeleteFunc(f.names(), noCheckpoint))
	c, err := flusher.DecodeCheckpoint(f[name], name)
	must(t, err)
	if len(c.Dropped) != 1 || len(c.Runs) != 2 {
		t.Fatalf("the checkpoint has %d dropped keyspaces and %d runs", len(c.Dropped), len(c.Runs))
	}
	s.only("kept", f, true)
	noLog := f.only(func(name string) bool { return !isLog(name) })
	s.only("kept", noLog.with(newest, nil), false)
	s.only("kept", f.with(newest, nil), true)
}

// TestNotCommittedLoad: the keyspace of a bulk load that a crash has ended before its commit is not
// made; one whose commit may be lost is.
func TestNotCommittedLoad(t *testing.T) {
	s := newStore(t, smallLimits())
	s.create("kept")
	s.fill("kept", 10)
	_, err := s.BulkLoad(ctx, "loaded", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		_ = yield([]byte("k"), []byte("v"))
	})
	must(t, err)
	f := s.killed()
	name := slices.Max(slices.DeleteFunc(f.names(), noCheckpoint))
	c, err := flusher.DecodeCheckpoint(f[name], name)
	must(t, err)
	if !slices.Equal(c.Pending, []pages.KeyspaceID{pages.FirstUserKeyspace + 1}) {
		t.Fatalf("pending: %v", c.Pending)
	}
	r := run(t, f, nil)
	if len(r.spaces) != 2 || !r.report.Sound() {
		t.Errorf("with its commit: %v, %v", r.spaces, r.report)
	}
	log := lastSegment(f)
	at := groups(f[log], 0)
	cut := slices.Clone(f[log])
	clear(cut[at[len(at)-1]:])
	s.only("kept", f.with(log, cut), true)
	cut = slices.Clone(f[log])
	cut[at[len(at)-1]+50] ^= 1
	if r := run(t, f.with(log, cut), nil); len(r.spaces) != 2 || r.state[r.spaces[1].Name]["k"] != "v" {
		t.Errorf("with its commit damaged: %v, %v", r.spaces, r.report)
	}
}

// TestLostDrop: of two keyspaces with a name the older one was dropped.
func TestLostDrop(t *testing.T) {
	s := newStore(t, smallLimits())
	s.create("twice")
	s.fill("twice", 10)
	s.drop("twice")
	s.create("twice")
	s.fill("twice", 3)
	f := s.killed()
	log := lastSegment(f)
	at := groups(f[log], 0)
	damaged := slices.Clone(f[log])
	damaged[at[2]+40] ^= 1 // the sequence number of the third commit
	damaged[at[2]+60] ^= 1
	r := run(t, f.with(log, damaged), nil)
	if len(r.spaces) != 1 || len(r.state["twice"]) != 3 || len(r.report.Notes) == 0 || r.report.Sound() {
		t.Errorf("%v, %v: %v", r.spaces, r.state, r.report)
	}
}

// TestRetiredLoad: without a checkpoint, a bulk-loaded table that was merged brings nothing back.
func TestRetiredLoad(t *testing.T) {
	s := newStore(t, smallLimits())
	s.puts(0, 5, "before %d")
	must(t, s.Checkpoint(ctx))
	_, err := s.BulkLoad(ctx, "loaded", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range 400 {
			if !yield(fmt.Appendf(nil, "%03d", i), []byte("loaded")) {
				return
			}
		}
	})
	must(t, err)
	before := s.killed()
	want := 400
	for i := 0; i < 400; i += 3 {
		must(t, s.Update(ctx, func(tx *aegis.Tx) error {
			k, err := tx.Keyspace("loaded")
			must(t, err)
			return k.Delete(fmt.Appendf(nil, "%03d", i))
		}))
		want--
	}
	must(t, s.Compact(ctx, nil))
	after := s.killed().only(noCheckpoint)
	for name, contents := range before {
		if isTable(name) && after[name] == nil {
			r := run(t, after.with(name, contents), nil)
			if got := len(r.state["loaded"]); got != want && r.report.Sound() {
				t.Errorf("with %s: %d entries, want %d: %v", name, got, want, r.report)
			}
			if loses(r.report, salvage.Entries) {
				t.Error(r.report)
			}
		}
	}
}
