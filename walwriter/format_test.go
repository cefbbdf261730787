package walwriter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestFileNames(t *testing.T) {
	for _, slot := range []uint32{0, 1, 0xdeadbeef, 1<<32 - 1} {
		if got, ok := parseFileName(fileName(slot)); !ok || got != slot {
			t.Errorf("%s is slot %d", fileName(slot), got)
		}
	}
	for _, name := range []string{"", "wal-", "wal-1", "wal-0000000A", "wal-000000001", "wal--0000001", "wal-+0000001", "WAL-00000001", "wal-0000000g"} {
		if slot, ok := parseFileName(name); ok {
			t.Errorf("%q is slot %d", name, slot)
		}
	}
}

func TestSegmentHeaderRefusesWhatCannotBe(t *testing.T) {
	good := segmentHeader{number: 7, epoch: 3, base: 100, syncedThrough: 90, bodyThrough: 120, size: 1 << 20, chain: 5, align: 8}
	b := good.appendTo(nil)
	if len(b) != headerBytes {
		t.Fatalf("%d bytes", len(b))
	}
	if h, ok := decodeSegmentHeader(b); !ok || h != good {
		t.Fatalf("%+v, %v", h, ok)
	}
	for name, change := range map[string]func(h *segmentHeader){
		"base 0":       func(h *segmentHeader) { h.base = 0 },
		"huge base":    func(h *segmentHeader) { h.base = pages.MaxSeq },
		"synced ahead": func(h *segmentHeader) { h.syncedThrough = h.base },
		"body behind":  func(h *segmentHeader) { h.bodyThrough = h.base - 2 },
		"huge body":    func(h *segmentHeader) { h.bodyThrough = pages.MaxSeq },
		"small":        func(h *segmentHeader) { h.size = dataStart - 1 },
		"huge":         func(h *segmentHeader) { h.size = maxSegmentBytes + 1 },
		"negative":     func(h *segmentHeader) { h.size = -1 },
		"align 0":      func(h *segmentHeader) { h.align = 0 },
		"align 12":     func(h *segmentHeader) { h.align = 12 },
		"huge align":   func(h *segmentHeader) { h.align = 2 * maxAlign },
	} {
		h := good
		change(&h)
		if _, ok := decodeSegmentHeader(h.appendTo(nil)); ok {
			t.Errorf("%s was accepted", name)
		}
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x10
		if _, ok := decodeSegmentHeader(c); ok {
			t.Errorf("a flip in byte %d was accepted", i)
		}
		if _, ok := decodeSegmentHeader(b[:i]); ok {
			t.Errorf("%d bytes were accepted", i)
		}
	}
}

// goldenLog writes the log of the golden file: every kind of group and record.
func goldenLog(t testing.TB, d *disk) *harness {
	l := testLimits()
	l.GroupAlign = 16
	h := newTestLog(t, d, l)
	h.mustAppend(t, true, []byte("one commit"))
	h.mustAppend(t, false, []byte("two"), nil, bytes.Repeat([]byte("compressed "), 100))
	h.mustAppend(t, true, []byte("five"))
	must(t, h.tick())
	must(t, h.tick())
	h.mustAppend(t, true, []byte("after a header without records"))
	if h.m.stats.IdleHeaders != 1 || h.m.enc.stored == 0 {
		t.Fatalf("%+v", h.m.stats)
	}
	return h
}

// TestGoldenSegment: segments that earlier versions wrote are read as they were written, and
// this version writes the same bytes. (The compressor's output is not the same on all machines.)
func TestGoldenSegment(t *testing.T) {
	d := newDisk()
	h := goldenLog(t, d)
	path := filepath.Join("testdata", "segment-v1.golden")
	wrote := d.names[fileName(h.m.current().slot)].cache
	if *update {
		must(t, os.WriteFile(path, wrote, 0o644))
	}
	if golden := must1(os.ReadFile(path)); runtime.GOARCH == "amd64" && !bytes.Equal(golden, wrote) {
		t.Error("this version writes other bytes")
	}
	readGolden(t, path, h.commits)
	readGolden(t, filepath.Join("testdata", "segment-v1-lz4.golden"), h.commits)
}

func readGolden(t *testing.T, path string, commits [][]byte) {
	golden := must1(os.ReadFile(path))
	b := backends.NewMemory()
	f := must1(b.Create(fileName(42)))
	must1(f.WriteAt(golden, 0))
	var read [][]byte
	r, err := Recover(b, Source{Epoch: 1}, func(_ pages.Seq, batch []byte) error {
		read = append(read, bytes.Clone(batch))
		return nil
	}, nil)
	must(t, err)
	if fmt.Sprintf("%q", read) != fmt.Sprintf("%q", commits) || r.Last() != 6 || r.tail.base != 5 {
		t.Errorf("%s: read %q", path, read)
	}
}

func FuzzSegmentHeader(f *testing.F) {
	h := segmentHeader{number: 1, epoch: 1, base: 1, size: 1 << 20, align: 8}
	f.Add(h.appendTo(nil))
	h = segmentHeader{number: 1 << 31, epoch: 9, base: 1 << 40, syncedThrough: 1<<40 - 1, bodyThrough: 1<<40 + 5, size: 1 << 30, chain: 77, align: 4096}
	f.Add(h.appendTo(nil))
	f.Add(make([]byte, headerBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := decodeSegmentHeader(b)
		if ok && !bytes.Equal(h.appendTo(nil), b[:headerBytes]) {
			t.Errorf("%x decoded as %+v", b[:headerBytes], h)
		}
		// With a good checksum whatever it says must be harmless.
		if len(b) >= headerBytes {
			c := bytes.Clone(b[:headerBytes])
			binary.LittleEndian.PutUint64(c, segmentMagic)
			binary.LittleEndian.PutUint32(c[8:], formatVersion)
			repairHeader(c)
			if h, ok := decodeSegmentHeader(c); ok && !bytes.Equal(h.appendTo(nil), c) {
				t.Errorf("%x decoded as %+v", c, h)
			}
		}
	})
}

// repairHeader makes the checksum of a segment header good.
func repairHeader(b []byte) {
	binary.LittleEndian.PutUint32(b[12:], 0)
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:headerBytes], castagnoli))
}

// FuzzGroup reads a body of records whose checksums were made good: nothing that it says may
// do harm.
func FuzzGroup(f *testing.F) {
	body := messages.AppendRecord(nil, 1, []byte("a"))
	f.Add(messages.AppendRecord(body, 2, []byte("bb")))
	e := encoder{compressAbove: 64, chain: salt(0, 1, 1)}
	e.add(messages.AppendRecord(nil, 1, bytes.Repeat([]byte("abc"), 300)))
	f.Add(bytes.Clone(e.buf[groupHeaderBytes:]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := recoverGroups(t, body)
		var lost *pages.CorruptionError
		if err != nil && !errors.As(err, &lost) {
			t.Fatal(err)
		}
		if err == nil && r.Records() != int64(r.Last()) {
			t.Errorf("%d records, last %d", r.Records(), r.Last())
		}
	})
}

// FuzzRecover recovers from any bytes as a segment, as they are or with checksums made good
// (repair). If that works, the log can be started, and recovered to the same again.
func FuzzRecover(f *testing.F) {
	d := newDisk()
	h := goldenLog(f, d)
	golden := d.names[fileName(h.m.current().slot)].cache
	f.Add(golden, false, uint64(0))
	f.Add(golden[:dataStart+600], true, uint64(3))
	flipped := bytes.Clone(golden[:dataStart+800])
	flipped[dataStart+100] ^= 4
	f.Add(flipped, true, uint64(1))
	f.Add([]byte{}, false, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, repair bool, from uint64) {
		if repair {
			b = repairSegment(bytes.Clone(b))
		}
		back := backends.NewMemory()
		file := must1(back.Create(fileName(1)))
		must1(file.WriteAt(b, 0))
		source := Source{Seq: pages.Seq(from % 100), Epoch: from % 3, Clean: from%2 == 1}
		var first, second []string
		read := func(into *[]string) func(pages.Seq, []byte) error {
			return func(seq pages.Seq, batch []byte) error {
				*into = append(*into, fmt.Sprintf("%d %x", seq, batch))
				return nil
			}
		}
		r, err := Recover(back, source, read(&first), nil)
		var lost *pages.CorruptionError
		if err != nil {
			if !errors.As(err, &lost) {
				t.Fatal(err)
			}
			return
		}
		m, err := r.Start(Config{Backend: back, Limits: testLimits(), Epoch: max(source.Epoch, r.Epoch()) + 1})
		if err != nil {
			return
		}
		must(t, m.Check())
		if _, err := Recover(back, source, read(&second), nil); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("recovered %v, then %v", first, second)
		}
	})
}

// repairSegment makes the checksums of the headers, groups and records in b good.
func repairSegment(b []byte) []byte {
	if len(b) < dataStart {
		return b
	}
	binary.LittleEndian.PutUint64(b[48:], uint64(min(len(b), 1<<20)))
	repairHeader(b)
	h, ok := decodeSegmentHeader(b)
	if !ok {
		return b
	}
	chain := salt(h.chain, h.number, h.epoch)
	for off := int64(dataStart); off+groupHeaderBytes <= int64(len(b)); {
		if binary.LittleEndian.Uint32(b[off:]) != groupMagic {
			break
		}
		g := groupHeader{
			bodyBytes: binary.LittleEndian.Uint32(b[off+8:]), chain: chain, number: h.number, epoch: h.epoch,
			syncedThrough: pages.Seq(binary.LittleEndian.Uint64(b[off+16:])),
		}
		g.put(b[off:])
		end := min(int64(len(b)), off+groupHeaderBytes+int64(g.bodyBytes))
		for at := off + groupHeaderBytes; at+messages.RecordOverhead <= end; {
			n := int64(recordBytes(b[at:]))
			if n > end-at {
				break
			}
			chain = crc32.Update(chain, castagnoli, b[at+4:at+n])
			binary.LittleEndian.PutUint32(b[at:], chain)
			at += n
		}
		off = alignUp(end, int64(h.align))
	}
	return b
}
