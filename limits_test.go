package aegis_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// TestSizeLimits: the largest key works everywhere, one byte more nowhere.
func TestSizeLimits(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		db := open(aegis.Options{})
		longest := noise(aegis.MaxKeyBytes, 1)
		tooLong := append(bytes.Clone(longest), 0)
		tooLarge := make([]byte, aegis.MaxValueBytes+1) // never touched, so it costs nothing
		must(t, db.Put(ctx, longest, longest))
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			k, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
			must(t, err)
			must(t, k.Put(longest, b("in k")))
			_, get := tx.Get(tooLong)
			_, block := tx.WriteBlock(aegis.NewBlock(tooLarge))
			for what, err := range map[string]error{
				"Tx.Put key": tx.Put(tooLong, nil), "Tx.Put value": tx.Put(nil, tooLarge), "Tx.Delete": tx.Delete(tooLong),
				"Tx.Get": get, "Keyspace.Put": k.Put(tooLong, nil), "WriteBlock": block,
			} {
				wantErr(t, what, err, aegis.ErrTooLarge)
			}
			return nil
		}))
		_, get := db.Get(ctx, tooLong)
		for what, err := range map[string]error{
			"Put key": db.Put(ctx, tooLong, nil), "Put value": db.Put(ctx, nil, tooLarge), "Delete": db.Delete(ctx, tooLong), "Get": get,
		} {
			wantErr(t, what, err, aegis.ErrTooLarge)
		}
		for range 2 {
			if v, err := db.Get(ctx, longest); err != nil || !bytes.Equal(v, longest) {
				t.Errorf("the longest key has %d bytes, %v", len(v), err)
			}
			wantContents(t, db, "k", pair{string(longest), "in k"})
			must(t, db.Compact(ctx, nil))
			must(t, db.Close())
			db = open(aegis.Options{})
		}
	})
}

// TestLongKeys: many keys of the full length, which differ at their very ends.
func TestLongKeys(t *testing.T) {
	limits := tiny()
	o := aegis.Options{Backend: backends.NewMemory(), Limits: &limits, Durability: aegis.NoSync}
	db := open(t, "", o)
	key := bytes.Repeat(b("x"), aegis.MaxKeyBytes)
	state := map[string]string{}
	for i := range 100 {
		key[len(key)-1] = byte(i * 7)
		state[string(key)] = fmt.Sprint(i)
		must(t, db.Put(ctx, key, fmt.Append(nil, i)))
	}
	must(t, db.Compact(ctx, nil))
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		if got := collect(tx.Range(nil, nil)); len(got) != len(state) {
			t.Errorf("%d keys, want %d", len(got), len(state))
		}
		return nil
	}))
	for k, want := range state {
		wantGet(t, db, k, want)
	}
	must(t, db.Verify(ctx, nil))
}

// TestLargeCommits: one value, and one transaction of many writes, above all default sizes of the
// log and of the index.
func TestLargeCommits(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		db := open(aegis.Options{})
		value := noise(20<<20, 1)
		must(t, db.Put(ctx, b("large"), value))
		small := value[:4096]
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for i := range 40 << 20 >> 12 {
				if err := tx.Put(fmt.Appendf(nil, "small%06d", i), small); err != nil {
					return err
				}
			}
			return nil
		}))
		must(t, db.Put(ctx, b("after"), b("1")))
		s, err := db.Stats(ctx)
		must(t, err)
		if s.Commits.Oversize == 0 { // one may fit into what is prepared
			t.Errorf("%d oversize commits", s.Commits.Oversize)
		}
		check := func(db *aegis.DB) {
			t.Helper()
			if v, err := db.Get(ctx, b("large")); err != nil || !bytes.Equal(v, value) {
				t.Errorf("the large value has %d bytes, %v", len(v), err)
			}
			must(t, db.View(ctx, func(tx *aegis.Tx) error {
				n := 0
				for _, v := range tx.Prefix(b("small")) {
					if !bytes.Equal(v, small) {
						return errors.New("a small value is wrong")
					}
					n++
				}
				if n != 40<<20>>12 {
					t.Errorf("%d small values", n)
				}
				return nil
			}))
			wantGet(t, db, "after", "1")
		}
		check(db)
		must(t, db.Verify(ctx, nil))
		must(t, db.Close())
		db = open(aegis.Options{})
		check(db)
		must(t, db.Close())
	})
}

// TestLargeCommitsAreReplayed: an oversize commit is in the log like any other.
func TestLargeCommitsAreReplayed(t *testing.T) {
	limits := tiny()
	limits.IndexBytes, limits.LogBytes = 4<<20, 64<<20
	o := aegis.Options{Backend: backends.NewMemory(), Limits: &limits}
	db := open(t, "", o)
	must(t, db.Put(ctx, b("before"), b("1")))
	must(t, db.Put(ctx, b("noise"), noise(300_000, 1)))
	must(t, db.Put(ctx, b("zeros"), make([]byte, 300_000)))
	must(t, db.Put(ctx, b("after"), b("1")))
	from := o.Backend
	o.Backend = copyFiles(t, from)
	db = open(t, "", o)
	s, err := db.Stats(ctx)
	must(t, err)
	if s.Recovery.Records != 4 || s.Recovery.Clean {
		t.Errorf("recovery: %+v", s.Recovery)
	}
	wantGet(t, db, "noise", string(noise(300_000, 1)))
	wantGet(t, db, "zeros", string(make([]byte, 300_000)))
	wantGet(t, db, "before", "1")
	wantGet(t, db, "after", "1")
}

// TestReturnedValuesStay: a value that Get returned does not change through overwrites, deletes,
// merges, eviction and Close.
func TestReturnedValuesStay(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		limits := tiny()
		o := aegis.Options{Limits: &limits, MemoryBudget: 64 << 10, Durability: aegis.NoSync}
		db := open(o)
		type kept struct{ got, want []byte }
		var all []kept
		const n = 400
		key := func(i int) []byte { return fmt.Appendf(nil, "%04d", i) }
		get := func(i int) {
			v, err := db.Get(ctx, key(i))
			must(t, err)
			all = append(all, kept{v, bytes.Clone(v)})
			_ = append(v, "must not reach the page"...)
		}
		for i := range n {
			must(t, db.Put(ctx, key(i), noise(100, uint64(i))))
			get(i) // of the index
		}
		must(t, db.Compact(ctx, nil))
		for i := range n {
			get(i) // of a page
		}
		for i := range n {
			if i%3 == 0 {
				must(t, db.Delete(ctx, key(i)))
			} else {
				must(t, db.Put(ctx, key(i), noise(90, uint64(i+n))))
			}
		}
		must(t, db.Compact(ctx, nil))
		for i := range n {
			if i%3 != 0 {
				get(i)
			}
		}
		s, err := db.Stats(ctx)
		must(t, err)
		if s.Cache.Evicted == 0 {
			t.Error("nothing was evicted")
		}
		must(t, db.Close())
		for i, k := range all {
			if !bytes.Equal(k.got, k.want) {
				t.Fatalf("value %d changed", i)
			}
		}
	})
}

// TestCallerReusesItsSlices: what was passed in is copied before the call returns.
func TestCallerReusesItsSlices(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	var pending []*aegis.Pending
	key, value := make([]byte, 4), make([]byte, 300_000) // the batch is large enough to be adopted
	scribble := func() { copy(key, "????"); copy(value, bytes.Repeat(b("?"), 100)) }
	fill := func(k string, i int) {
		copy(key, fmt.Sprintf(k, i))
		copy(value, bytes.Repeat(b("v"), 100))
		copy(value, fmt.Sprintf("value %04d", i))
	}
	for i := range 20 {
		fill("%04d", i)
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		must(t, tx.Put(key, value))
		must(t, tx.Put(append(bytes.Clone(key), 's'), value[:10]))
		if _, err := tx.Get([]byte("no" + string(key))); !errors.Is(err, aegis.ErrNotFound) {
			t.Fatal(err)
		}
		scribble()
		p, err := tx.CommitAsync()
		must(t, err)
		pending = append(pending, p)
	}
	for _, p := range pending {
		must(t, p.Wait(ctx))
		must(t, p.Wait(ctx))
	}
	for i := range 20 {
		fill("p%03d", i)
		must(t, db.Put(ctx, key, value[:10+i*1000]))
		scribble()
	}
	for i := range 20 {
		want := fmt.Sprintf("value %04d", i)
		for _, k := range []string{"%04d", "%04ds", "p%03d"} {
			v, err := db.Get(ctx, fmt.Appendf(nil, k, i))
			if err != nil || !bytes.HasPrefix(v, []byte(want[:10])) || bytes.Contains(v, b("?")) {
				t.Errorf("%s: %.20q, %v", fmt.Sprintf(k, i), v, err)
			}
		}
	}
}

// TestPendingOutlivesClose: a commit that was handed over is finished by Close, and its Pending
// says so afterwards.
func TestPendingOutlivesClose(t *testing.T) {
	o := aegis.Options{Backend: backends.NewMemory()}
	db := open(t, "", o)
	var pending []*aegis.Pending
	for i := range 10 {
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		must(t, tx.Put([]byte{byte(i)}, b("v")))
		p, err := tx.CommitAsync()
		must(t, err)
		pending = append(pending, p)
	}
	must(t, db.Close())
	for _, p := range pending {
		must(t, p.Wait(ctx))
	}
	db = open(t, "", o)
	for i := range 10 {
		wantGet(t, db, string([]byte{byte(i)}), "v")
	}
}
