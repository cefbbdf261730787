package walwriter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/pages"
)

// told is what Describe told of a file.
type told struct {
	segment SegmentInfo
	groups  []GroupInfo
	records []RecordInfo
	damages []string
	end     LogEnd
}

func describe(t testing.TB, b []byte) (d told) {
	t.Helper()
	var err error
	d.end, err = Describe(bytes.NewReader(b), int64(len(b)), Description{
		Segment: func(s SegmentInfo) { d.segment = s },
		Group:   func(g GroupInfo) { d.groups = append(d.groups, g) },
		Record: func(r RecordInfo) {
			r.Batch = bytes.Clone(r.Batch)
			d.records = append(d.records, r)
		},
		Damage: func(off int64, what string) { d.damages = append(d.damages, fmt.Sprintf("%d: %s", off, what)) },
	})
	must(t, err)
	return d
}

// segments are the files of the sample that are in use, by name, with what is told of them.
func (s *sample) segments(t testing.TB) map[string]told {
	t.Helper()
	all := map[string]told{}
	for name, b := range s.files {
		if d := describe(t, b); d.segment.Copies > 0 {
			all[name] = d
		}
	}
	if len(all) < 3 {
		t.Fatalf("%d segments", len(all))
	}
	return all
}

// TestDescribeLog: of a sound log every record is told, with the batch that was committed.
func TestDescribeLog(t *testing.T) {
	s := newSample(t)
	for name, d := range s.segments(t) {
		if len(d.damages) > 0 || d.segment.Copies != 2 || d.segment.Size != int64(len(s.files[name])) || d.segment.OtherVersion != 0 {
			t.Errorf("%s: %+v, %q", name, d.segment, d.damages)
		}
		if len(d.groups) == 0 || d.end.Groups != len(d.groups) || d.end.First != d.segment.Base || d.records[0].Seq != d.end.First ||
			d.records[len(d.records)-1].Seq != d.end.Last || d.end.Last-d.end.First+1 != pages.Seq(len(d.records)) {
			t.Errorf("%s: %+v, %d groups, %d records", name, d.end, len(d.groups), len(d.records))
		}
		if !IsLogName(name) || IsLogName(name+".a") {
			t.Errorf("%s is no name of the log, or all are", name)
		}
		for _, r := range d.records {
			if r.Seq <= s.m.last && s.source.Seq < r.Seq && !bytes.Equal(r.Batch, s.commits[r.Seq-1]) {
				t.Errorf("%s: commit %d is another one", name, r.Seq)
			}
		}
	}
}

// TestDescribeDamagedLog: a changed byte of a group costs that group at most; the groups behind it are told.
func TestDescribeDamagedLog(t *testing.T) {
	s := newSample(t)
	for name, sound := range s.segments(t) {
		b := s.files[name]
		last := sound.groups[len(sound.groups)-1].Offset
		for at := int64(dataStart); at < sound.end.Offset; at += 11 {
			c := bytes.Clone(b)
			c[at] ^= 1 << (at % 8)
			d := describe(t, c)
			lost := len(sound.groups) - len(d.groups)
			torn := at >= last && at < last+groupHeaderBytes // without its header the last group is not there
			if lost > 1 || lost == 1 && d.groups[len(d.groups)-1].Offset != last && !torn {
				t.Fatalf("%s, byte %d: %d groups are lost", name, at, lost)
			}
			padding := !slices.ContainsFunc(sound.groups, func(g GroupInfo) bool {
				return at >= g.Offset && at < g.Offset+groupHeaderBytes+int64(g.BodyBytes)
			})
			if len(d.damages) == 0 && !torn && !padding {
				t.Fatalf("%s, byte %d: nothing is told", name, at)
			}
			for _, r := range d.records { // what is told is what was committed
				i := slices.IndexFunc(sound.records, func(o RecordInfo) bool { return o.Seq == r.Seq })
				if i < 0 || !bytes.Equal(sound.records[i].Batch, r.Batch) {
					t.Fatalf("%s, byte %d: commit %d is made up", name, at, r.Seq)
				}
			}
		}
	}
}

// TestDescribeHeaders: one copy of the header is enough; without both the groups say which segment it is.
func TestDescribeHeaders(t *testing.T) {
	s := newSample(t)
	for name, sound := range s.segments(t) {
		for _, lost := range [][]int{{0}, {headerCopyAt}, {0, headerCopyAt}} {
			b := bytes.Clone(s.files[name])
			for _, at := range lost {
				b[at+20] ^= 1
			}
			d := describe(t, b)
			if d.segment.Copies != 2-len(lost) || len(d.damages) != len(lost) || len(d.records) != len(sound.records) {
				t.Errorf("%s without %v: %+v, %d of %d records, %q", name, lost, d.segment, len(d.records), len(sound.records), d.damages)
			}
		}
		b := bytes.Clone(s.files[name])
		h, _ := decodeSegmentHeader(b)
		h.chain++ // as if the record before the segment was another one
		copy(b, h.appendTo(nil))
		copy(b[headerCopyAt:], h.appendTo(nil))
		if d := describe(t, b); len(d.damages) != 1 || !strings.Contains(d.damages[0], "does not follow") || len(d.records) != len(sound.records) {
			t.Errorf("%s of another history: %q", name, d.damages)
		}
		b = append(bytes.Clone(s.files[name]), 0)
		if d := describe(t, b); len(d.damages) != 1 || !strings.Contains(d.damages[0], "the header says") {
			t.Errorf("%s with a byte more: %q", name, d.damages)
		}
	}
	for _, size := range []int{0, 1, headerBytes, headerCopyAt, dataStart, 3 * dataStart} { // prepared, and not in use
		if d := describe(t, make([]byte, size)); len(d.damages) > 0 || d.segment.Copies != 0 || d.end.Groups != 0 || d.end.Offset > int64(size) {
			t.Errorf("%d zeros: %+v", size, d)
		}
	}
}

// TestDescribeError: what the medium says is returned, and taken for no damage.
func TestDescribeError(t *testing.T) {
	errMedium := errors.New("the medium fails")
	f := readerAt(func([]byte, int64) (int, error) { return 0, errMedium })
	if _, err := Describe(f, 1<<20, Description{}); !errors.Is(err, errMedium) {
		t.Error(err)
	}
}

type readerAt func(p []byte, off int64) (int, error)

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

// withVersion writes another format version into a header copy, whole.
func withVersion(b []byte, at int, version uint32) {
	head := b[at : at+headerBytes]
	binary.LittleEndian.PutUint32(head[8:], version)
	clear(head[12:16])
	binary.LittleEndian.PutUint32(head[12:], crc32.Checksum(head, castagnoli))
}

// TestOtherVersions: a segment of another format version is told as that, by recovery as well, and never
// passed over; a header whose version is merely damaged is one that is not whole.
func TestOtherVersions(t *testing.T) {
	s := newSample(t)
	for _, name := range s.names() {
		if describe(t, s.files[name]).segment.Copies == 0 {
			continue
		}
		for _, copies := range [][]int{{0}, {headerCopyAt}, {0, headerCopyAt}} {
			b := bytes.Clone(s.files[name])
			for _, at := range copies {
				withVersion(b, at, 2)
			}
			const says = "a log segment of format version 2, this code reads 1"
			_, lost := s.try(t, name, b)
			if lost == nil || lost.File != name || lost.Offset != int64(copies[0]) || lost.What != says {
				t.Errorf("%s, copies %v: %v", name, copies, lost)
			}
			d := describe(t, b)
			if d.segment.OtherVersion != 2 || len(d.damages) < len(copies) || d.damages[0] != fmt.Sprintf("%d: %s", copies[0], says) {
				t.Errorf("%s, copies %v: %+v, %q", name, copies, d.segment, d.damages)
			}
		}
		b := bytes.Clone(s.files[name])
		b[8] ^= 2
		if d := describe(t, b); d.segment.OtherVersion != 0 || d.segment.Copies != 1 {
			t.Errorf("%s: a damaged version: %+v", name, d.segment)
		}
	}
}

// FuzzDescribe: no bytes panic, and what is told lies within the file.
func FuzzDescribe(f *testing.F) {
	for _, b := range newSample(f).files {
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := describe(t, b)
		for _, g := range d.groups {
			if g.Offset < dataStart || g.Offset+groupHeaderBytes > int64(len(b)) {
				t.Fatalf("%+v in %d bytes", g, len(b))
			}
		}
		if d.end.Offset > int64(len(b)) {
			t.Fatalf("%+v in %d bytes", d.end, len(b))
		}
	})
}
