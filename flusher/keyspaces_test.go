package flusher

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func TestDroppedKeyspaceDisappears(t *testing.T) {
	for seed := range uint64(10) {
		d, disk := newTest(t, seed)
		w := d.world
		for _, id := range []pages.KeyspaceID{16, 17, 18} {
			w.name(id, pages.Codec{Compression: pages.Compression(id % 3)})
		}
		for range 6 {
			for _, id := range []pages.KeyspaceID{pages.DefaultKeyspace, 16, 17, 18} {
				w.write(40, id, 100)
			}
			d.step(w.freeze())
			for range w.rng.IntN(5) {
				if len(d.jobs) > 0 {
					d.runJob()
				}
			}
		}
		before := d.m.Stats().TableBytes
		w.write(10, 17, 100) // in the same index as the drop
		w.drop(17)
		d.step(w.freeze())
		w.write(40, 18, 100)
		d.step(w.freeze())
		d.drain()
		if err := d.compact(); err != nil {
			t.Fatal(err)
		}
		if n := d.keys(17); n != 0 {
			t.Fatalf("seed %d: %d keys of the dropped keyspace are left", seed, n)
		}
		c, err := w.reload(disk, true)
		if err != nil || len(c.Dropped) != 0 {
			t.Fatalf("seed %d: dropped keyspaces %v are still remembered (%v)", seed, c.Dropped, err)
		}
		for _, k := range c.Keyspaces {
			if k.ID == 17 || k.Codec.Compression != pages.Compression(k.ID%3) {
				t.Fatalf("seed %d: keyspaces %+v", seed, c.Keyspaces)
			}
		}
		if len(c.Keyspaces) != 2 {
			t.Fatalf("seed %d: keyspaces %+v", seed, c.Keyspaces)
		}
		if after := d.m.Stats().TableBytes; after > before*9/10 {
			t.Fatalf("seed %d: tables have %d bytes, before the drop %d", seed, after, before)
		}
		checkFiles(t, d)
		// And it is gone after a restart.
		if err := d.open(tinyLimits()); err != nil {
			t.Fatal(err)
		}
		d.drain()
		if n := d.keys(17); n != 0 {
			t.Fatalf("seed %d: %d keys came back", seed, n)
		}
	}
}

func TestFlushSkipsDroppedKeyspace(t *testing.T) {
	d, _ := newTest(t, 25)
	d.world.name(16, pages.Codec{})
	d.sequential(16, 0, 10)
	d.world.drop(16)
	d.flush()
	if n := d.keys(16); n != 0 || d.covered != d.world.seq {
		t.Fatalf("%d keys were flushed", n)
	}
}

// TestTablesWithDroppedKeysDoNotMove: moved they would have to be rewritten at once.
func TestTablesWithDroppedKeysDoNotMove(t *testing.T) {
	d, _ := newTest(t, 26)
	for id := range pages.KeyspaceID(3) {
		d.sequential(16+id, 0, 1)
	}
	d.flush()
	j := &stepJob{sources: d.runs, out: output{limit: 1 << 10}}
	table := d.runs[0].Tables[0]
	if len(d.runs[0].Tables) != 1 || !j.canMove(0, table) {
		t.Fatalf("%d tables, of which the first cannot move", len(d.runs[0].Tables))
	}
	j.dead = ranges([]Dropped{{Keyspace: 17}})
	if j.canMove(0, table) {
		t.Fatal("a table with dropped keys moves")
	}
}

func TestWholeTablesOfDroppedKeyspaceGoUnread(t *testing.T) {
	d, disk := newTest(t, 8)
	d.world.name(16, pages.Codec{})
	d.sequential(16, 0, 2000)
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	merged := d.m.Stats().MergedBytes
	d.world.drop(16)
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	if n := d.m.Stats().MergedBytes - merged; n > 6<<10 {
		t.Fatalf("dropping a keyspace wrote %d bytes", n)
	}
	if n := len(disk.now); n > 5 {
		t.Fatalf("%d files left", n)
	}
}

// tryBulk writes tables as a bulk load does that leaves the directory unsynced.
func (d *driver) tryBulk(files *FileIDs, id pages.KeyspaceID, n int) (metas []pages.TableMeta, err error) {
	o := output{backend: d.backend, files: files, limit: 2 << 10, pace: &pacer{yield: func() bool { return true }},
		options: pages.TableOptions{LeafBytes: 256, InnerBytes: 256}}
	defer func() {
		if err != nil {
			o.abort()
			d.bulkFailed = true
		}
	}()
	key := func(i int) []byte { return pages.AppendKey(nil, id, fmt.Appendf(nil, "bulk-%05d", i)) }
	value := func(i int) string { return fmt.Sprintf("value-%040d", i) }
	for i := range n {
		if err := o.add(key(i), []byte(value(i)), pages.KindValue); err != nil {
			return nil, err
		}
	}
	if err := o.cut(); err != nil {
		return nil, err
	}
	d.world.named[id] = pages.MaxSeq
	for i := range n {
		d.world.now[string(key(i))] = value(i)
	}
	return o.tables, nil
}

func (d *driver) bulk(files *FileIDs, id pages.KeyspaceID, n int) []pages.TableMeta {
	d.t.Helper()
	tables, err := d.tryBulk(files, id, n)
	if err != nil {
		d.t.Fatal(err)
	}
	return tables
}

func TestIngest(t *testing.T) {
	for _, before := range []string{"empty store", "beside the bottom", "within a bottom table"} {
		t.Run(before, func(t *testing.T) {
			d, disk := newTest(t, 9)
			w := d.world
			switch before {
			case "beside the bottom":
				w.write(100, pages.DefaultKeyspace, 100)
				d.flush()
			case "within a bottom table":
				w.put(pages.AppendKey(nil, 19, []byte("x")), "older")
				w.put(pages.AppendKey(nil, 21, []byte("y")), "older")
				d.flush()
			}
			tables := d.bulk(d.m.files, 20, 300)
			msg := &messages.Ingest{Keyspace: 20, Codec: pages.Codec{Compression: pages.LZ4}, Tables: tables, Reply: messages.NewReply[error]()}
			d.step(msg)
			if msg.Reply.Ready() {
				t.Fatal("answered before a checkpoint names the tables")
			}
			d.drain()
			if !msg.Reply.Ready() {
				t.Fatal("not answered")
			}
			if err := <-msg.Reply.Done(); err != nil {
				t.Fatal(err)
			}
			c, err := w.reload(disk.crash("none", nil), true)
			if err != nil || !slices.Equal(c.Pending, []pages.KeyspaceID{20}) {
				t.Fatalf("pending %v, %v", c.Pending, err)
			}
			w.name(20, pages.Codec{Compression: pages.LZ4})
			w.named[20] = w.seq
			w.write(50, 20, 100)
			w.write(50, pages.DefaultKeyspace, 100)
			d.flush()
			if err := d.compact(); err != nil {
				t.Fatal(err)
			}
			c, err = w.reload(disk.crash("none", nil), true)
			if err != nil || len(c.Pending) != 0 || len(c.Keyspaces) != 1 || len(c.Runs) != 1 {
				t.Fatalf("pending %v, keyspaces %v, %d runs, %v", c.Pending, c.Keyspaces, len(c.Runs), err)
			}
			checkFiles(t, d)
		})
	}
}

// TestDirtyTablesAreCleaned drops a keyspace that shares a table with others, of which nothing is
// written any more.
func TestDirtyTablesAreCleaned(t *testing.T) {
	d, disk := newTest(t, 22)
	d.sequential(pages.DefaultKeyspace, 0, 300)
	for _, id := range []pages.KeyspaceID{16, 17, 18} {
		d.world.name(id, pages.Codec{})
		d.sequential(id, 0, 3)
	}
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	d.world.drop(17)
	d.flush()
	if c, err := d.world.reload(disk, true); err != nil || len(c.Dropped) != 1 {
		t.Fatalf("dropped keyspaces %v, %v", c.Dropped, err)
	}
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	c, err := d.world.reload(disk, true)
	if err != nil || len(c.Dropped) != 0 || d.keys(17) != 0 || d.keys(16) != 3 || d.keys(18) != 3 {
		t.Fatalf("dropped %v, %v; keys %d, %d, %d", c.Dropped, err, d.keys(16), d.keys(17), d.keys(18))
	}
}

// TestCodecsOfKeyspaces flushes and merges the same compressible values under two codecs, one of
// them learned in the same flush.
func TestCodecsOfKeyspaces(t *testing.T) {
	d, _ := newTest(t, 23)
	limits := tinyLimits()
	limits.LeafBytes, limits.TableBytes, limits.MergeStep = 4<<10, 32<<10, 64<<10
	if err := d.open(limits); err != nil {
		t.Fatal(err)
	}
	fill := func(id pages.KeyspaceID) {
		for i := range 300 {
			d.world.put(pages.AppendKey(nil, id, fmt.Appendf(nil, "key-%04d", i)), fmt.Sprintf("%0200d", d.world.seq))
		}
	}
	ratio := func(id pages.KeyspaceID) float64 {
		raw, stored := uint64(0), uint64(0)
		for _, r := range d.runs {
			for _, table := range r.Tables {
				if m := table.Meta(); keyspaceOf(string(m.Min)) == id && keyspaceOf(string(m.Max)) == id {
					raw += m.RawBytes
					stored += m.LeafBytes
				}
			}
		}
		return float64(stored) / float64(raw)
	}
	check := func(when string) {
		t.Helper()
		none, packed, plain := ratio(16), ratio(17), ratio(pages.DefaultKeyspace)
		if none < 0.9 || plain < 0.9 || packed > 0.4 {
			t.Errorf("%s: stored/raw is %.2f uncompressed, %.2f compressed, %.2f by default", when, none, packed, plain)
		}
	}
	d.world.name(16, pages.Codec{})
	d.world.name(17, pages.Codec{Compression: pages.LZ4})
	for range 2 {
		for _, id := range []pages.KeyspaceID{pages.DefaultKeyspace, 16, 17} {
			fill(id)
		}
		d.flush()
		check("flushed")
		if err := d.compact(); err != nil {
			t.Fatal(err)
		}
		check("merged")
	}
	if err := d.open(limits); err != nil {
		t.Fatal(err)
	}
	fill(16)
	fill(17)
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	check("in the next life")
}
