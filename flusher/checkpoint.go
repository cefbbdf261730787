package flusher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/aegis-storage/aegis/pages"
)

// BottomTier is the tier of the oldest run, into which all others are merged in the end. It has
// no tombstones, and its tables are replaced one by one.
const BottomTier = 0xFF

// Checkpoint is the complete state of the store on the backend as of one freeze seq: which
// tables there are, in which runs, and where the log goes on. It is immutable once published.
type Checkpoint struct {
	Number       uint64       // of the file; the highest valid one counts
	Store        StoreID      // whose it is; zero: a store that no life has given one yet
	Epoch        uint64       // of the life that wrote it
	Freeze       pages.Seq    // every commit at or below is in Runs
	NextFile     pages.FileID // above the id of every table named here
	Clean        bool         // written by Close: no log follows
	Log          bool         // the store keeps a log
	Runs         []RunMeta    // newest first
	Keyspaces    []pages.CatalogEntry
	Dropped      []Dropped          // keyspaces of which tables may still hold keys
	Pending      []pages.KeyspaceID // bulk-loaded, and not named by the catalog yet
	UserBytes    uint64             // keys and values flushed since the store began
	WrittenBytes uint64             // table bytes written since then
}

// StoreID tells a store from every other one, its own copies included. It never changes.
type StoreID [16]byte

// Dropped is a keyspace that was dropped by the commit Seq, at or below the Freeze of the
// checkpoint that first names it.
type Dropped struct {
	Keyspace pages.KeyspaceID
	Seq      pages.Seq
}

// RunMeta is a run as a checkpoint stores it.
type RunMeta struct {
	Tier         uint8
	SeqLo, SeqHi pages.Seq
	Consumed     []byte // keys at or below are no longer in this run; nil: none
	Tables       []pages.TableMeta
}

// A checkpoint file, little endian; v is an unsigned varint, "n ×" a varint count:
//
//	 0         8            12           16            24          24+length
//	┌─────────┬────────────┬────────────┬─────────────┬──────────┬────────────┐
//	│ magic   │ version u32│ zero u32   │ length u64  │ body     │ CRC-32C of │
//	│ u64     │            │            │ of body     │          │ all before │
//	└─────────┴────────────┴────────────┴─────────────┴──────────┴────────────┘
//
//	body: number v │ epoch v │ freeze v │ nextFile v │ userBytes v │ writtenBytes v │ flags u8
//	      store: 16 bytes                                         with its flag only
//	      n × keyspace: id v │ compression u8 │ level i8          ascending ids
//	      n × dropped:  id v │ seq v                              ascending ids
//	      n × pending:  id v                                      ascending ids
//	      n × run:      tier u8 │ seqLo v │ seqHi v │ consumed length v │ consumed
//	                    n × table: pages.TableMeta                ascending keys
//	flags: 1 clean, 2 log, 4 store
//
// Each checkpoint is written twice, as checkpoint-NUMBER.a and .b with the same contents.
const (
	checkpointMagic    = 0x50_4b_43_53_49_47_45_41 // "AEGISCKP"
	checkpointVersion  = 1
	checkpointHead     = 24
	checkpointOverhead = checkpointHead + 4

	flagClean = 1
	flagLog   = 2
	flagStore = 4

	maxConsumed = 1 << 16 // bytes; keys are shorter
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendTo appends the file contents of c to dst.
func (c *Checkpoint) AppendTo(dst []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, 1<<10) // enough for most, so that it is not grown again and again
	dst = binary.LittleEndian.AppendUint64(dst, checkpointMagic)
	dst = binary.LittleEndian.AppendUint32(dst, checkpointVersion)
	dst = append(dst, make([]byte, 4+8)...)
	dst = c.appendBody(dst)
	binary.LittleEndian.PutUint64(dst[start+16:], uint64(len(dst)-start-checkpointHead))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func (c *Checkpoint) appendBody(dst []byte) []byte {
	for _, v := range [...]uint64{c.Number, c.Epoch, uint64(c.Freeze), uint64(c.NextFile), c.UserBytes, c.WrittenBytes} {
		dst = binary.AppendUvarint(dst, v)
	}
	var flags byte
	if c.Clean {
		flags |= flagClean
	}
	if c.Log {
		flags |= flagLog
	}
	if c.Store != (StoreID{}) {
		dst = append(append(dst, flags|flagStore), c.Store[:]...)
	} else {
		dst = append(dst, flags)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Keyspaces)))
	for _, k := range c.Keyspaces {
		dst = binary.AppendUvarint(dst, uint64(k.ID))
		dst = append(dst, byte(k.Codec.Compression), byte(k.Codec.Level))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Dropped)))
	for _, d := range c.Dropped {
		dst = binary.AppendUvarint(dst, uint64(d.Keyspace))
		dst = binary.AppendUvarint(dst, uint64(d.Seq))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Pending)))
	for _, id := range c.Pending {
		dst = binary.AppendUvarint(dst, uint64(id))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Runs)))
	for i := range c.Runs {
		dst = c.Runs[i].appendTo(dst)
	}
	return dst
}

func (r *RunMeta) appendTo(dst []byte) []byte {
	dst = append(dst, r.Tier)
	dst = binary.AppendUvarint(dst, uint64(r.SeqLo))
	dst = binary.AppendUvarint(dst, uint64(r.SeqHi))
	dst = binary.AppendUvarint(dst, uint64(len(r.Consumed)))
	dst = append(dst, r.Consumed...)
	dst = binary.AppendUvarint(dst, uint64(len(r.Tables)))
	for i := range r.Tables {
		dst = r.Tables[i].AppendTo(dst)
	}
	return dst
}

// DecodeCheckpoint decodes the contents of the checkpoint file called name. Whatever is wrong
// with them is a *pages.CorruptionError.
func DecodeCheckpoint(b []byte, name string) (*Checkpoint, error) {
	bad := func(off int, format string, args ...any) (*Checkpoint, error) {
		return nil, &pages.CorruptionError{File: name, Offset: int64(off), What: fmt.Sprintf(format, args...)}
	}
	if len(b) < checkpointOverhead {
		return bad(0, "%d bytes are no checkpoint", len(b))
	}
	if magic := binary.LittleEndian.Uint64(b); magic != checkpointMagic {
		return bad(0, "checkpoint magic %#x, want %#x", magic, uint64(checkpointMagic))
	}
	if n := binary.LittleEndian.Uint64(b[16:]); n != uint64(len(b)-checkpointOverhead) {
		return bad(16, "checkpoint body of %d bytes in a file of %d", n, len(b))
	}
	end := len(b) - 4
	if got, want := crc32.Checksum(b[:end], castagnoli), binary.LittleEndian.Uint32(b[end:]); got != want {
		return bad(end, "checkpoint checksum %#x, want %#x", got, want)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != checkpointVersion {
		return bad(8, "checkpoint version %d, this code reads %d", v, checkpointVersion)
	}
	d := decoder{b: b[:end], off: checkpointHead}
	c := d.checkpoint()
	if d.err == nil && d.off != end {
		d.err = fmt.Errorf("%d bytes after the last run", end-d.off)
	}
	if d.err == nil {
		d.err = c.check()
	}
	if d.err != nil {
		return bad(d.off, "%v", d.err)
	}
	return c, nil
}

// decoder reads a body front to back; after the first error it yields zeros.
type decoder struct {
	b   []byte
	off int
	err error
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.off:])
	if n <= 0 {
		d.err = errors.New("bad varint")
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) u8() byte {
	if d.err != nil {
		return 0
	}
	if d.off >= len(d.b) {
		d.err = errors.New("body ends early")
		return 0
	}
	d.off++
	return d.b[d.off-1]
}

// count reads the length of a list whose items take at least size bytes each, so that a hostile
// count cannot make the caller allocate more than a small multiple of the file.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if left := len(d.b) - d.off; d.err == nil && n > uint64(left/size) {
		d.err = fmt.Errorf("%d items in %d bytes", n, left)
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *decoder) keyspace() pages.KeyspaceID {
	id := d.uvarint()
	if d.err == nil && id > 1<<32-1 {
		d.err = fmt.Errorf("keyspace id %d", id)
	}
	return pages.KeyspaceID(id)
}

func (d *decoder) checkpoint() *Checkpoint {
	c := &Checkpoint{Number: d.uvarint(), Epoch: d.uvarint(), Freeze: pages.Seq(d.uvarint()),
		NextFile: pages.FileID(d.uvarint()), UserBytes: d.uvarint(), WrittenBytes: d.uvarint()}
	flags := d.u8()
	if flags > flagClean|flagLog|flagStore && d.err == nil {
		d.err = fmt.Errorf("unknown flags %#x", flags)
	}
	c.Clean, c.Log = flags&flagClean != 0, flags&flagLog != 0
	if flags&flagStore != 0 {
		for i := range c.Store {
			c.Store[i] = d.u8()
		}
	}
	for range d.count(3) {
		k := pages.CatalogEntry{ID: d.keyspace()}
		k.Codec = pages.Codec{Compression: pages.Compression(d.u8()), Level: int8(d.u8())}
		if k.Codec.Compression > pages.Zstd && d.err == nil {
			d.err = fmt.Errorf("compression %d of keyspace %d", k.Codec.Compression, k.ID)
		}
		if d.err != nil {
			break
		}
		c.Keyspaces = append(c.Keyspaces, k)
	}
	for range d.count(2) {
		o := Dropped{Keyspace: d.keyspace(), Seq: pages.Seq(d.uvarint())}
		if d.err != nil {
			break
		}
		c.Dropped = append(c.Dropped, o)
	}
	for range d.count(1) {
		id := d.keyspace()
		if d.err != nil {
			break
		}
		c.Pending = append(c.Pending, id)
	}
	for range d.count(5) {
		c.Runs = append(c.Runs, d.run())
		if d.err != nil {
			break
		}
	}
	return c
}

func (d *decoder) run() RunMeta {
	r := RunMeta{Tier: d.u8(), SeqLo: pages.Seq(d.uvarint()), SeqHi: pages.Seq(d.uvarint())}
	n := d.count(1)
	if n > maxConsumed && d.err == nil {
		d.err = fmt.Errorf("consumed key of %d bytes", n)
	}
	if d.err == nil && n > 0 {
		r.Consumed = bytes.Clone(d.b[d.off : d.off+n])
		d.off += n
	}
	for range d.count(1) {
		if d.err != nil {
			break
		}
		m, rest, err := pages.DecodeTableMeta(d.b[d.off:])
		if err != nil {
			d.err = err
			break
		}
		d.off = len(d.b) - len(rest)
		r.Tables = append(r.Tables, m)
	}
	return r
}

// check verifies what Open and the machine rely on.
func (c *Checkpoint) check() error {
	seen := make(map[pages.FileID]bool)
	for i := range c.Runs {
		r := &c.Runs[i]
		if r.SeqLo > r.SeqHi {
			return fmt.Errorf("run %d covers %d to %d", i, r.SeqLo, r.SeqHi)
		}
		if i > 0 && c.Runs[i-1].SeqLo < r.SeqHi {
			return fmt.Errorf("run %d ends at seq %d, a newer one begins at %d", i, r.SeqHi, c.Runs[i-1].SeqLo)
		}
		if r.Tier == BottomTier && i != len(c.Runs)-1 {
			return fmt.Errorf("bottom run at %d of %d", i, len(c.Runs))
		}
		if len(r.Tables) == 0 {
			return fmt.Errorf("run %d has no tables", i)
		}
		for j := range r.Tables {
			t := &r.Tables[j]
			if j > 0 && bytes.Compare(r.Tables[j-1].Max, t.Min) >= 0 {
				return fmt.Errorf("tables %d and %d of run %d overlap", r.Tables[j-1].ID, t.ID, i)
			}
			if t.ID >= c.NextFile || seen[t.ID] {
				return fmt.Errorf("table id %d is named twice or not below %d", t.ID, c.NextFile)
			}
			seen[t.ID] = true
		}
		if r.Consumed != nil && bytes.Compare(r.Tables[0].Max, r.Consumed) <= 0 {
			return fmt.Errorf("first table of run %d is consumed whole", i)
		}
	}
	return nil
}
