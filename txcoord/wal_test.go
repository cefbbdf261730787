package txcoord

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

var errFull = errors.New("medium is full")

// fakeWal plays walwriter: one current segment, at most one spare, credit backed by the larger
// of the two, groups never split. It keeps walwriter's protocol and nothing of its bytes.
type fakeWal struct {
	w       *world
	segment int64 // bytes that an ordinary segment takes
	mailbox []messages.ToWalwriter
	room    int64 // of the current segment
	spare   int64 // room of the spare; 0: none
	granted int64

	reserve   int64
	preparing int64 // bytes of the spare being prepared; 0: none
	failed    error // the last preparation failed, and no Tick since
	told      bool  // NoSpace was sent, and no credit since
	full      bool  // preparations fail
	oversize  int64 // preparations above this many bytes fail; 0: none do

	last, synced pages.Seq
	live         int64 // log bytes
	poisoned     bool
}

// start grants the first credit.
func (f *fakeWal) start(room int64) {
	f.room = room
	f.finish(nil, false)
}

// take handles up to n messages as one Turn. How much of it is synced when nobody asked is up
// to rotation.
func (f *fakeWal) take(n int, fail bool) {
	n = min(n, len(f.mailbox))
	batch := f.mailbox[:n]
	f.mailbox = f.mailbox[n:]
	if f.poisoned {
		return
	}
	var turn []messages.Append
	sync := false
	before := f.synced
	for _, msg := range batch {
		switch msg := msg.(type) {
		case messages.Append:
			turn = append(turn, msg)
			sync = sync || msg.Sync
			if fail && msg.Count > 1 && f.w.chance(2) {
				// A rotation in the middle of this Append syncs what was written, then a write fails.
				f.last = msg.First + pages.Seq(f.w.n(msg.Count-1))
				f.synced = f.last
				f.poison(before)
				return
			}
			f.write(msg)
		case messages.Reserve:
			f.reserve = max(f.reserve, msg.Bytes)
		}
	}
	if fail {
		f.poison(before)
		return
	}
	if sync {
		f.synced = f.last
	}
	f.finish(turn, sync || f.synced > before)
}

func (f *fakeWal) poison(before pages.Seq) {
	f.poisoned = true
	if f.synced > before {
		f.w.send(messages.Durable{UpTo: f.synced})
	}
	f.w.send(messages.Poisoned{Err: errors.New("write failed")})
}

// write places an Append's records one after the other, and checks them.
func (f *fakeWal) write(a messages.Append) {
	if len(a.Records) == 0 != (a.Count == 0) || a.Count == 0 && !a.Sync {
		f.w.fatalf("append of %d records in %d bytes, sync %t", a.Count, len(a.Records), a.Sync)
	}
	charged, rest := int64(0), a.Records
	for i := range a.Count {
		n := int(binary.LittleEndian.Uint32(rest[4:]))
		seq := pages.Seq(binary.LittleEndian.Uint64(rest[8:]))
		if seq != f.last+1 || i == 0 && seq != a.First {
			f.w.fatalf("record %d after %d, the append begins at %d", seq, f.last, a.First)
		}
		if payload := rest[messages.RecordOverhead : messages.RecordOverhead+n]; string(payload) != string(f.w.model.batches[seq-1]) {
			f.w.fatalf("record %d holds %q, the commit %q", seq, payload, f.w.model.batches[seq-1])
		}
		rest = rest[messages.RecordOverhead+n:]
		cost := messages.CreditFor(n)
		if cost > f.room {
			f.synced = f.last
			f.room, f.spare = f.spare, 0
			if cost > f.room {
				f.w.fatalf("a record of %d does not fit the spare of %d", cost, f.room)
			}
		}
		if cost > f.granted {
			f.w.fatalf("a record of %d with a credit of %d", cost, f.granted)
		}
		f.room -= cost
		f.granted -= cost
		f.live += cost
		charged += cost
		f.last = seq
	}
	if len(rest) > 0 || charged != a.Charged || a.Count > 0 && f.last != a.Last {
		f.w.fatalf("append up to %d charged %d ends at %d, worth %d", a.Last, a.Charged, f.last, charged)
	}
}

// finish reports a Turn: Written for each Append, with the credit; Durable; NoSpace.
func (f *fakeWal) finish(turn []messages.Append, durable bool) {
	if f.preparing == 0 && f.failed == nil {
		if f.reserve > 0 {
			f.preparing = max(f.granted, f.segment) + f.reserve
		} else if f.spare == 0 {
			f.preparing = f.segment
		}
	}
	credit := f.grant()
	for _, a := range turn {
		f.w.send(messages.Written{Credit: credit, Appends: 1, LogBytes: f.live, Buffer: a.Records})
		f.told = f.told && credit == 0
		credit = 0
	}
	if credit > 0 {
		f.w.send(messages.Written{Credit: credit, LogBytes: f.live})
		f.told = false
	}
	if durable {
		f.w.send(messages.Durable{UpTo: f.synced})
	}
	if f.failed == nil || f.reserve == 0 && (f.told || f.granted >= f.segment/2) {
		return
	}
	f.told, f.reserve = true, 0
	f.w.count("no space")
	f.w.send(messages.NoSpace{Err: fmt.Errorf("%w: %w", messages.ErrNoSpace, f.failed)})
}

func (f *fakeWal) grant() int64 {
	room := max(f.room, f.spare)
	if f.reserve == 0 {
		credit := max(0, room-f.granted)
		f.granted += credit
		return credit
	}
	if bytes := f.reserve; f.granted+bytes <= room {
		f.reserve = 0
		f.granted += bytes
		f.w.count("oversize granted")
		return bytes
	}
	return 0
}

// prepared ends the preparation that is under way.
func (f *fakeWal) prepared() {
	size := f.preparing
	f.preparing = 0
	if f.poisoned {
		return
	}
	if f.full || f.oversize > 0 && size > f.oversize {
		f.failed = errFull
	} else {
		f.spare = max(f.spare, size)
	}
	f.finish(nil, false)
}

// tick tries again what failed.
func (f *fakeWal) tick() {
	f.failed = nil
	if !f.poisoned {
		f.finish(nil, false)
	}
}

// busy reports whether something is on its way here.
func (f *fakeWal) busy() bool { return len(f.mailbox) > 0 || f.preparing != 0 && !f.poisoned }

// outstanding is the credit that was granted and is charged to commits not written yet.
func (f *fakeWal) outstanding() (appends int, charged int64) {
	for _, msg := range f.mailbox {
		if a, ok := msg.(messages.Append); ok {
			appends++
			charged += a.Charged
		}
	}
	return appends, charged
}
