package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// TestReadersNeverConflict: a read-only transaction commits whatever happened since it began,
// sees one state all the time, and holds no writer up.
func TestReadersNeverConflict(t *testing.T) {
	for _, level := range levels {
		h := &history{t: t, db: open(t, "", aegis.Options{Backend: backends.NewMemory()}), level: level, flush: true}
		r := h.beginAt(aegis.TxOptions{ReadOnly: true, Isolation: level})
		for i := range 10 {
			w := h.begin()
			w.all(always)
			w.put("k", i)
			w.put(strconv.Itoa(i), i)
			if !w.commit() {
				t.Errorf("%s: a writer conflicted with a reader", levelNames[level])
			}
			if got := r.all(always); got != "" || r.get("k") != -1 {
				t.Errorf("%s: the reader sees %q", levelNames[level], got)
			}
		}
		must(t, h.db.Compact(ctx, nil))
		if got := r.all(always); got != "" || !r.commit() {
			t.Errorf("%s: after Compact the reader sees %q", levelNames[level], got)
		}
	}
}

// TestConflictThenRetry: the loser applied nothing, and finds what beat it when it begins again.
func TestConflictThenRetry(t *testing.T) {
	h := &history{t: t, db: open(t, "", aegis.Options{Backend: backends.NewMemory()})}
	a, b := h.begin(), h.begin()
	a.put("n", a.get("n")+2)
	b.put("n", b.get("n")+2)
	b.put("other", 1)
	if !a.commit() || b.commit() {
		t.Fatal("the first committer did not win")
	}
	if got := h.final(); got != "n=1" {
		t.Errorf("the loser left %s", got)
	}
	c := h.begin()
	c.put("n", c.get("n")+2)
	if got := c.commit(); !got || h.final() != "n=3" {
		t.Errorf("the retry: %t, %s", got, h.final())
	}
}

// TestUpdateReturnsItsFunctionsError: also when it is ErrConflict, of another store for example;
// only a conflict of the commit runs the function again.
func TestUpdateReturnsItsFunctionsError(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	runs := 0
	err := db.Update(bounded, func(tx *aegis.Tx) error {
		if runs++; runs == 3 {
			cancel()
		}
		return fmt.Errorf("another store: %w", aegis.ErrConflict)
	})
	if !errors.Is(err, aegis.ErrConflict) || runs != 1 {
		t.Errorf("Update ran its function %d times and returned %v", runs, err)
	}
}

// TestCounter: nothing is lost of what eight goroutines add to one key.
func TestCounter(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		limits := tiny()
		for _, level := range []aegis.Isolation{aegis.Serializable, aegis.Snapshot} {
			db := open(aegis.Options{Limits: &limits})
			key := fmt.Appendf(nil, "counter %d", level)
			const clients, each = 8, 40
			var group errgroup.Group
			for range clients {
				group.Go(func() error {
					for range each {
						if err := db.UpdateWith(ctx, aegis.TxOptions{Isolation: level}, func(tx *aegis.Tx) error {
							return addTo(tx, key, 1)
						}); err != nil {
							return err
						}
					}
					return nil
				})
			}
			must(t, group.Wait())
			wantGet(t, db, string(key), strconv.Itoa(clients*each))
			must(t, db.Close())
		}
	})
}

func addTo(tx *aegis.Tx, key []byte, n int) error {
	v, err := tx.Get(key)
	if err != nil && !errors.Is(err, aegis.ErrNotFound) {
		return err
	}
	runtime.Gosched() // the others come in between
	old, _ := strconv.Atoi(string(v))
	return tx.Put(key, strconv.AppendInt(nil, int64(old+n), 10))
}

// TestWriteSkewStress: two accounts may go below zero one by one, but not together. Pairs of
// withdrawals that begin at the same time keep to that under Serializable; under Snapshot they
// do not, which shows that the test can fail.
func TestWriteSkewStress(t *testing.T) {
	for _, level := range []aegis.Isolation{aegis.Serializable, aegis.Snapshot} {
		db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Durability: aegis.NoSync})
		broken := 0
		for range 200 {
			must(t, db.Put(ctx, b("x"), b("50")))
			must(t, db.Put(ctx, b("y"), b("50")))
			var begun sync.WaitGroup
			begun.Add(2)
			var group errgroup.Group
			for _, key := range []string{"x", "y"} {
				group.Go(func() error {
					first := sync.OnceFunc(func() { begun.Done(); begun.Wait() })
					return db.UpdateWith(ctx, aegis.TxOptions{Isolation: level}, func(tx *aegis.Tx) error {
						first()
						if sum := total(tx, "x", "y"); sum >= 100 {
							return addTo(tx, b(key), -100)
						}
						return nil
					})
				})
			}
			must(t, group.Wait())
			must(t, db.View(ctx, func(tx *aegis.Tx) error {
				if total(tx, "x", "y") < 0 {
					broken++
				}
				return nil
			}))
		}
		if (broken > 0) != (level == aegis.Snapshot) {
			t.Errorf("%s: %d of 200 rounds broke the rule", levelNames[level], broken)
		}
	}
}

func total(tx *aegis.Tx, keys ...string) (sum int) {
	for _, k := range keys {
		v, _ := tx.Get(b(k))
		n, _ := strconv.Atoi(string(v))
		sum += n
	}
	return sum
}

// TestReadCommittedBeforeTheSync: a transaction begins while a commit is applied and not yet
// synced. What its keyspaces are validated against and what it reads of them is the same
// state: it must not write into a keyspace that the commit dropped, nor take an id twice.
func TestReadCommittedBeforeTheSync(t *testing.T) {
	for _, level := range levels {
		h := newHooks()
		db := open(t, "", aegis.Options{Backend: h})
		create := func(tx *aegis.Tx, name string) {
			t.Helper()
			k, err := tx.CreateKeyspace(name, aegis.KeyspaceOptions{})
			must(t, err)
			must(t, k.Put(b("of"), b(name)))
		}
		must(t, db.Update(ctx, func(tx *aegis.Tx) error { create(tx, "old"); return nil }))
		held, release := h.holdSync("first")
		first, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		must(t, first.DropKeyspace("old"))
		create(first, "new")
		must(t, first.Put(b("key"), b("first")))
		committed := make(chan error)
		go func() { committed <- first.Commit() }()
		<-held // applied, and waiting for its sync
		tx, err := db.Begin(ctx, aegis.TxOptions{Isolation: level})
		must(t, err)
		if v, err := tx.Get(b("key")); err != nil || string(v) != "first" {
			t.Errorf("%s: Get = %q, %v", levelNames[level], v, err)
		}
		if _, err := tx.Keyspace("old"); !errors.Is(err, aegis.ErrNotFound) {
			t.Errorf("%s: the dropped keyspace: %v", levelNames[level], err)
		}
		create(tx, "newest")
		release()
		must(t, <-committed)
		must(t, tx.Commit())
		must(t, db.View(ctx, func(tx *aegis.Tx) error {
			for _, name := range []string{"new", "newest"} {
				k, err := tx.Keyspace(name)
				must(t, err)
				if v, err := k.Get(b("of")); err != nil || string(v) != name {
					t.Errorf("%s: keyspace %s holds %q, %v", levelNames[level], name, v, err)
				}
			}
			return nil
		}))
	}
}

// TestCreatedKeyspaceIsOnesOwn: a keyspace that a transaction creates holds what it writes, also
// when another one that commits meanwhile was given the same id, which makes this one fail.
func TestCreatedKeyspaceIsOnesOwn(t *testing.T) {
	for _, level := range levels {
		for _, bulk := range []bool{false, true} {
			db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
			tx, err := db.Begin(ctx, aegis.TxOptions{Isolation: level})
			must(t, err)
			mine, err := tx.CreateKeyspace("mine", aegis.KeyspaceOptions{})
			must(t, err)
			if bulk {
				_, err := db.BulkLoad(ctx, "other", aegis.KeyspaceOptions{}, entries(3))
				must(t, err)
			} else {
				inKeyspace(t, db, "other", func(k *aegis.Keyspace) error { return k.Put(b("00000000"), nil) })
			}
			_, err = mine.Get(b("00000000"))
			wantErr(t, levelNames[level], err, aegis.ErrNotFound)
			if got := collect(mine.Range(nil, nil)); len(got) > 0 {
				t.Errorf("%s, bulk %t: the keyspace holds %q", levelNames[level], bulk, got)
			}
			wantErr(t, levelNames[level], tx.Commit(), aegis.ErrConflict)
		}
	}
}
