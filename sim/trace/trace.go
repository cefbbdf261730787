package trace

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Kind says what an Event is.
type Kind uint8

// The kinds of events.
const (
	Op      Kind = iota // a client begins or ends an operation; Text says which, and how it ended
	Send                // From sends a message to the actor To
	Publish             // From publishes a View or a watermark
	Answer              // From answers a client's request
	IO                  // From calls the disk: Text is the call, To the file
	Fault               // the disk strikes: Text says how, To is the file
	Crash               // the life ends; Text says how, and what was lost
	Life                // a life begins
	Time                // a timer rings
	Note                // a person's remark: Life.Logf, Client.Logf
	Failure             // what broke
)

var kindNames = [...]string{"op", "send", "publish", "answer", "io", "fault", "crash", "life", "time", "note", "failure"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Event is one thing that happened in a run.
type Event struct {
	Step int64         // scheduler steps since the run began
	Life int           // from 1
	Time time.Duration // virtual time since the run began
	Kind Kind
	From string // the task: an actor, a job, a client, "main", or "world"
	To   string // the receiving actor or the file; "" if there is none
	Off  int64  // of an I/O call, bytes
	Len  int64  // of an I/O call, bytes
	Text string
	Hash uint64 // of the run up to and with this event; for comparing two runs
}

// Log collects a run's events. The zero value only hashes. It is for one goroutine at a time.
type Log struct {
	Keep   bool    // append to Events
	Events []Event // in order
	hash   uint64
}

// Add records an event.
func (l *Log) Add(e Event) {
	l.Mix(uint64(e.Kind)<<56 ^ uint64(e.Step))
	l.Mix(uint64(e.Off)<<20 ^ uint64(e.Len))
	l.MixString(e.From)
	l.MixString(e.To)
	l.MixString(e.Text)
	if l.Keep {
		e.Hash = l.hash
		l.Events = append(l.Events, e)
	}
}

// Mix adds a number to the hash.
func (l *Log) Mix(v uint64) {
	// The finalizer of splitmix64, over the running value.
	h := l.hash ^ v
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	l.hash = h ^ h>>31 + 0x9e3779b97f4a7c15
}

// MixString adds a string to the hash.
func (l *Log) MixString(s string) {
	if len(s) <= 8 {
		var b [8]byte
		copy(b[:], s)
		l.Mix(binary.LittleEndian.Uint64(b[:]) + uint64(len(s)))
		return
	}
	l.Mix(xxhash.Sum64String(s))
}

// MixBytes adds the bytes of a write to the hash.
func (l *Log) MixBytes(b []byte) { l.Mix(sum(b)) }

// Writes that only fill a file are many, and large: what their hashes are is remembered.
const zeroPiece = 4 << 10

var (
	zeroes   [256 << 10]byte                          // never written to
	zeroSums [len(zeroes)/zeroPiece + 1]atomic.Uint64 // of so many pieces; 0: not known
)

// sum is xxhash.Sum64.
func sum(b []byte) uint64 {
	if len(b) == 0 || len(b) > len(zeroes) || len(b)%zeroPiece != 0 || !bytes.Equal(b, zeroes[:len(b)]) {
		return xxhash.Sum64(b)
	}
	known := &zeroSums[len(b)/zeroPiece]
	if h := known.Load(); h != 0 {
		return h
	}
	h := xxhash.Sum64(b)
	known.Store(h)
	return h
}

// Hash is the hash of all that was added.
func (l *Log) Hash() uint64 { return l.hash }
