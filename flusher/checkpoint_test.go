package flusher

import (
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

var update = flag.Bool("update", false, "write the golden files")

// sampleCheckpoint has something in every field.
func sampleCheckpoint() *Checkpoint {
	table := func(id pages.FileID, lo, hi string) pages.TableMeta {
		return pages.TableMeta{ID: id, Size: 5000, Root: pages.Ref{Offset: 4000, Length: 300, CRC: 7}, Levels: 1,
			FilterKind: pages.BlockedBloom, Filter: pages.Ref{Offset: 4300, Length: 100, CRC: 8},
			Min: []byte(lo), Max: []byte(hi), Entries: 10, Tombstones: 1, RawBytes: 900, LeafBytes: 4000, SeqLo: 1, SeqHi: 9}
	}
	return &Checkpoint{
		Number: 12, Epoch: 3, Freeze: 400, NextFile: 77, Clean: true, Log: true,
		Runs: []RunMeta{
			{Tier: 0, SeqLo: 301, SeqHi: 400, Consumed: []byte("b"), Tables: []pages.TableMeta{table(70, "a", "c"), table(71, "d", "e")}},
			{Tier: BottomTier, SeqLo: 1, SeqHi: 300, Tables: []pages.TableMeta{table(5, "a", "k"), table(6, "l", "z")}},
		},
		Keyspaces: []pages.CatalogEntry{{ID: 16, Codec: pages.Codec{Compression: pages.Zstd, Level: 3}}, {ID: 300, Codec: pages.Codec{Compression: pages.LZ4}}},
		Dropped:   []Dropped{{Keyspace: 17, Seq: 222}},
		Pending:   []pages.KeyspaceID{300},
		UserBytes: 1 << 40, WrittenBytes: 5 << 40,
	}
}

func TestCheckpointRoundTrip(t *testing.T) {
	for _, c := range []*Checkpoint{{}, sampleCheckpoint()} {
		b := c.AppendTo([]byte("prefix"))
		got, err := DecodeCheckpoint(b[len("prefix"):], "x")
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("decoded %+v, %v, want %+v", got, err, c)
		}
	}
}

func TestCheckpointGolden(t *testing.T) {
	path := filepath.Join("testdata", "checkpoint-v1")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, sampleCheckpoint().AppendTo(nil), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeCheckpoint(b, path)
	if err != nil || !reflect.DeepEqual(got, sampleCheckpoint()) {
		t.Fatalf("the golden file decodes as %+v, %v", got, err)
	}
	if !slices.Equal(got.AppendTo(nil), b) {
		t.Error("the golden file is encoded otherwise now")
	}
}

// TestCheckpointDamage changes each byte, and cuts off each tail.
func TestCheckpointDamage(t *testing.T) {
	whole := sampleCheckpoint().AppendTo(nil)
	refused := func(b []byte, what string, at int) {
		t.Helper()
		c, err := DecodeCheckpoint(b, "name")
		var bad *pages.CorruptionError
		if c != nil || !errors.As(err, &bad) || bad.File != "name" {
			t.Fatalf("%s at %d: %+v, %v", what, at, c, err)
		}
	}
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 0x41
		refused(b, "damage", i)
		refused(whole[:i], "cut", i)
	}
	refused(append(slices.Clone(whole), 0), "longer", len(whole))
}

// TestCheckpointsThatCannotBe have a right checksum and contents that no flusher writes.
func TestCheckpointsThatCannotBe(t *testing.T) {
	for name, f := range map[string]func(c *Checkpoint){
		"tables overlap":            func(c *Checkpoint) { c.Runs[0].Tables[1].Min = []byte("b") },
		"id not below next":         func(c *Checkpoint) { c.NextFile = 71 },
		"table named twice":         func(c *Checkpoint) { c.Runs[1].Tables[0].ID = 70 },
		"runs in wrong order":       func(c *Checkpoint) { slices.Reverse(c.Runs); c.Runs[0].Tier = 1 },
		"bottom above others":       func(c *Checkpoint) { c.Runs[0].Tier = BottomTier },
		"run without tables":        func(c *Checkpoint) { c.Runs[0].Tables = nil },
		"run covers seqs backwards": func(c *Checkpoint) { c.Runs[1].SeqLo = 301 },
		"consumed whole":            func(c *Checkpoint) { c.Runs[0].Consumed = []byte("c") },
		"unknown compression":       func(c *Checkpoint) { c.Keyspaces[0].Codec.Compression = 9 },
		"table without entries":     func(c *Checkpoint) { c.Runs[0].Tables[0].Entries = 0 },
	} {
		c := sampleCheckpoint()
		f(c)
		if _, err := DecodeCheckpoint(c.AppendTo(nil), "x"); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func TestLoadWithDamagedCopies(t *testing.T) {
	var bad *pages.CorruptionError
	write := func(b backends.Backend, number uint64) {
		c := &Checkpoint{Number: number, Epoch: 1, Freeze: pages.Seq(number)}
		if _, err := writeCheckpoint(b, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		damage []string
		want   uint64 // 0: a corruption
	}{
		{"none", nil, 5},
		{"first", []string{checkpointName(5, ".a")}, 5},
		{"second", []string{checkpointName(5, ".b")}, 5},
		{"both", []string{checkpointName(5, ".a"), checkpointName(5, ".b")}, 4},
		{"all", []string{checkpointName(5, ".a"), checkpointName(5, ".b"), checkpointName(4, ".a"), checkpointName(4, ".b")}, 0},
	} {
		size := len((&Checkpoint{Number: 5, Epoch: 1, Freeze: 5}).AppendTo(nil))
		for at := range size {
			d := newDisk()
			write(d, 4)
			write(d, 5)
			for _, name := range c.damage {
				d.now[name].data[at] ^= 0x10
			}
			got, err := Load(d)
			if c.want == 0 {
				if got != nil || !errors.As(err, &bad) {
					t.Fatalf("%s damaged at %d: %+v, %v", c.name, at, got, err)
				}
			} else if err != nil || got.Number != c.want {
				t.Fatalf("%s damaged at %d: %+v, %v, want %d", c.name, at, got, err, c.want)
			}
		}
	}
	d := newDisk()
	write(d, 5)
	for _, suffix := range copies {
		d.now[checkpointName(5, suffix)].data = nil
	}
	if _, err := Load(d); !errors.As(err, &bad) || bad.File != checkpointName(5, ".a") {
		t.Fatalf("two empty copies: %v", err)
	}
}

// TestLoadPrefersErrorsToOldStates: a checkpoint that cannot be read is not passed over.
func TestLoadPrefersErrorsToOldStates(t *testing.T) {
	d := newDisk()
	for n := uint64(1); n <= 2; n++ {
		if _, err := writeCheckpoint(d, &Checkpoint{Number: n}); err != nil {
			t.Fatal(err)
		}
	}
	for _, unreadable := range [][]string{{".a"}, {".b"}, {".a", ".b"}} {
		b := &unreadableDisk{disk: d}
		for _, suffix := range unreadable {
			b.names = append(b.names, checkpointName(2, suffix))
		}
		c, err := Load(b)
		if len(unreadable) == 2 && !errors.Is(err, errIO) {
			t.Errorf("both unreadable: %+v, %v", c, err)
		}
		if len(unreadable) == 1 && (err != nil || c.Number != 2) {
			t.Errorf("%v unreadable: %+v, %v", unreadable, c, err)
		}
	}
}

type unreadableDisk struct {
	*disk
	names []string
}

func (d *unreadableDisk) Open(name string) (backends.File, error) {
	if slices.Contains(d.names, name) {
		return nil, errIO
	}
	return d.disk.Open(name)
}

func TestLoadOfAFirstPublicationCutShort(t *testing.T) {
	if c, err := Load(newDisk()); c != nil || err != nil {
		t.Fatalf("an empty directory: %+v, %v", c, err)
	}
	d := newDisk()
	torn := (&Checkpoint{Number: 1}).AppendTo(nil)[:20]
	for n := range uint64(3) {
		d.now[checkpointName(n, ".a")] = &diskFile{data: torn}
	}
	if c, err := Load(d); c != nil || err != nil {
		t.Fatalf("torn first copies alone: %+v, %v", c, err)
	}
	// The next life starts among them.
	c := &Checkpoint{Number: 1}
	if err := Publish(d, c); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(d); err != nil || got.Number != c.Number || len(d.now) != 2 {
		t.Fatalf("%+v, %v, %d files", got, err, len(d.now))
	}
	delete(d.now, checkpointName(c.Number, ".b"))
	d.now[checkpointName(c.Number, ".a")].data = torn
	d.now[pages.TableName(1)] = &diskFile{data: torn}
	var bad *pages.CorruptionError
	if c, err := Load(d); !errors.As(err, &bad) {
		t.Fatalf("a torn copy beside a table: %+v, %v", c, err)
	}
}

func TestOpenMissesNothing(t *testing.T) {
	d, disk := newTest(t, 30)
	d.world.write(100, pages.DefaultKeyspace, 100)
	d.flush()
	c, err := Load(disk)
	if err != nil {
		t.Fatal(err)
	}
	name := pages.TableName(c.Runs[0].Tables[0].ID)
	var bad *pages.CorruptionError
	file := disk.now[name]
	for _, f := range []*diskFile{nil, {data: file.data[:len(file.data)-1]}, {data: append(slices.Clone(file.data), 0)}} {
		delete(disk.now, name)
		if f != nil {
			disk.now[name] = f
		}
		if _, err := Open(disk, c, pages.NewCache(nil, nil)); !errors.As(err, &bad) || bad.File != name {
			t.Errorf("opened with a changed table: %v", err)
		}
	}
}

// TestCheckCopies: each bad copy is told, and that the other is good only if it is.
func TestCheckCopies(t *testing.T) {
	b, c := backends.NewMemory(), &Checkpoint{Number: 3, Epoch: 1, NextFile: 1}
	if err := errors.Join(Publish(b, c), CheckCopies(b, c.Number), b.Remove(checkpointName(c.Number, copies[0]))); err != nil {
		t.Fatal(err)
	}
	if err := CheckCopies(b, c.Number); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), otherCopy) {
		t.Errorf("one copy is missing: %v", err)
	}
	damaged := checkpointName(c.Number, copies[0])
	f, err := b.Create(damaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var bad *pages.CorruptionError
	if err := CheckCopies(b, c.Number); !errors.As(err, &bad) || bad.File != damaged || !strings.HasSuffix(bad.What, otherCopy) {
		t.Errorf("one copy is damaged: %v", err)
	}
	if err := b.Remove(checkpointName(c.Number, copies[1])); err != nil {
		t.Fatal(err)
	}
	err = CheckCopies(b, c.Number)
	if !errors.As(err, &bad) || !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), otherCopy) {
		t.Errorf("both are bad: %v", err)
	}
}

func TestRemoveOrphansKeepsForeignFiles(t *testing.T) {
	d := newDisk()
	for _, name := range []string{"notes", "table-1", "wal-00000001", "checkpoint-zz", pages.TableName(9) + ".old", pages.TableName(9), checkpointName(1, ".a"), checkpointName(2, ".a")} {
		d.now[name] = &diskFile{}
	}
	n, err := RemoveOrphans(d, &Checkpoint{Number: 2})
	if n != 2 || err != nil || len(d.now) != 6 {
		t.Fatalf("removed %d, %v: %v left", n, err, sortedNames(d.now))
	}
}

func TestIDsPassOverExistingFiles(t *testing.T) {
	d := newDisk()
	d.now[pages.TableName(5)] = &diskFile{}
	d.now[pages.TableName(6)] = &diskFile{}
	f := NewFileIDs(5)
	if _, id, err := f.CreateTable(d); id != 7 || err != nil || f.Bound() != 8 {
		t.Fatalf("created %d, %v", id, err)
	}
}

// reframe completes a head and a body to a file.
func reframe(b []byte) []byte {
	binary.LittleEndian.PutUint64(b[16:], uint64(len(b)-checkpointHead))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func FuzzCheckpoint(f *testing.F) {
	f.Add((&Checkpoint{}).AppendTo(nil))
	f.Add(sampleCheckpoint().AppendTo(nil))
	whole := sampleCheckpoint().AppendTo(nil)
	f.Add(whole[checkpointHead : len(whole)-4])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeCheckpoint(b, "x"); err == nil {
			if again, err := DecodeCheckpoint(c.AppendTo(nil), "x"); err != nil || !reflect.DeepEqual(again, c) {
				t.Fatalf("%+v encodes to %+v, %v", c, again, err)
			}
		}
		// With a right frame, so that the body is reached.
		framed := (&Checkpoint{}).AppendTo(nil)[:checkpointHead]
		framed = reframe(append(framed, b...))
		if c, err := DecodeCheckpoint(framed, "x"); err == nil {
			if again, err := DecodeCheckpoint(c.AppendTo(nil), "x"); err != nil || !reflect.DeepEqual(again, c) {
				t.Fatalf("%+v encodes to %+v, %v", c, again, err)
			}
		}
	})
}

// TestCheckNewest: in a store that nobody writes a copy that is missing is a fault, unless the publication
// was cut short.
func TestCheckNewest(t *testing.T) {
	b := backends.NewMemory()
	if _, err := CheckNewest(b); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty store: %v", err)
	}
	c := &Checkpoint{Log: true, NextFile: 1}
	for number, cutShort := range map[uint64]bool{1: true, 2: false, 7: false} {
		c.Number = number
		if _, err := writeCheckpoint(b, c); err != nil {
			t.Fatal(err)
		}
		if got, err := CheckNewest(b); err != nil || got.Number != number {
			t.Errorf("checkpoint %d, whole: %v", number, err)
		}
		removeNames(b, []string{checkpointName(number, copies[1])})
		if _, err := CheckNewest(b); (err == nil) != cutShort {
			t.Errorf("checkpoint %d without its second copy: %v", number, err)
		}
		older := &Checkpoint{Log: true, NextFile: 1}
		if number > 1 {
			older.Number = number - 1
			if _, err := writeCheckpoint(b, older); err != nil {
				t.Fatal(err)
			}
			if _, err := CheckNewest(b); err != nil {
				t.Errorf("checkpoint %d without its second copy, beside an older one: %v", number, err)
			}
		}
		names, err := checkpointFiles(b)
		if err != nil {
			t.Fatal(err)
		}
		removeNames(b, names)
	}
}
