package history

import "math"

// Level is the isolation that a transaction asked for.
type Level uint8

// The levels.
const (
	Serializable  Level = iota // reads hold just before the transaction's own commit
	Snapshot                   // reads are of one moment; the first committer wins on written keys
	ReadCommitted              // each read is of some committed state
	ReadOnly                   // reads are of one moment, nothing is written
)

var levelNames = [...]string{"serializable", "snapshot", "read committed", "read only"}

// String returns the level's name.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// Seq values with a meaning.
const (
	// NoSeq in Tx.Snapshot or Op.At: the store does not say. Such a read has to fit some state that
	// it may have seen, by the time when its transaction ran.
	NoSeq = math.MaxUint64
	// NeverEnded in Tx.End: the transaction was under way when the life ended.
	NeverEnded = math.MaxInt64
)

// OpKind says what an operation does.
type OpKind uint8

// The operations.
const (
	Get         OpKind = iota // Space, Key → Value, Found
	Put                       // Space, Key, Value
	Delete                    // Space, Key
	Scan                      // Space, Key ≤ k < Hi, Reverse, Limit → Pairs
	OpenSpace                 // Space → Found
	CreateSpace               // Space → Found: it was there, and nothing was done
	DropSpace                 // Space → Found: if not, there was none, and nothing was done
)

// Pair is a key with its value.
type Pair struct{ Key, Value string }

// Op is one operation that was answered without an error. The operations of a transaction are in
// the order in which they began: a scan sees of its own transaction what was written before its
// loop began.
type Op struct {
	Kind    OpKind
	Found   bool // of Get, OpenSpace, CreateSpace, DropSpace
	Reverse bool // of Scan: descending
	// Stopped, of Scan: the loop was left early, and has seen exactly Pairs.
	Stopped bool
	Limit   int    // of Scan: it ends after so many pairs; 0 means no limit
	Space   string // "" is the default one, which always exists
	Key     string // of Scan: the lower bound, inclusive
	Hi      string // of Scan: the upper bound, exclusive; "" means to the end
	Value   string
	Pairs   []Pair // in the order in which the scan returned them
	// At is the seq whose state the operation saw, or NoSeq. It counts for ReadCommitted only; the
	// others read at Tx.Snapshot.
	At uint64
}

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes.
const (
	// Committed: it ended without an error.
	Committed Outcome = iota
	// Refused: certainly not applied (a conflict, no space, rolled back, commit never called).
	Refused
	// Unknown: applied or not, but whole (a crash during commit, a poisoned store, a context that
	// ended).
	Unknown
)

var outcomeNames = [...]string{"committed", "refused", "unknown"}

// String returns the outcome's name.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "invalid"
}

// Tx is what one transaction did and saw. The slices and strings belong to the history.
type Tx struct {
	ID      int64 // unique in the history; people see it as T17
	Client  int
	Level   Level
	Outcome Outcome
	// Acked: the answer reached the client. An Unknown one is never acknowledged.
	Acked bool
	// NoSync: the commit was answered before it was durable. Otherwise Acked promises that it is.
	NoSync bool
	// Waited: the answer came only when all that the transaction had read was durable, whatever the
	// outcome.
	Waited bool
	// Begin and End are steps of the world: when the client called for the transaction, and when it
	// had the answer of its end. NeverEnded, if it has none.
	Begin, End int64
	// Snapshot is the seq that the transaction read at, or NoSeq. ReadCommitted ignores it.
	Snapshot uint64
	// Seq is the place of its commit in the life's order, from 1; 0 if nothing was written or the
	// store does not say. An Unknown one carries it if it is known.
	Seq uint64
	Ops []Op
}

// Space is one keyspace of a State. Pairs are in ascending order of their keys, each key once.
type Space struct {
	Name  string
	Pairs []Pair
}

// State is all that a store holds: its spaces, each once. The default space may be left out when
// it is empty. A State must not be changed once it is in a history.
type State []Space

// EndKind is how a life ended.
type EndKind uint8

// The ends of a life.
const (
	Running  EndKind = iota // it has not ended; nothing is checked of what comes after
	PowerCut                // what was not synced may be lost
	Kill                    // the process dies, the operating system's cache survives
	Closed                  // an orderly close that was acknowledged: nothing is lost
)

var endNames = [...]string{"running", "power cut", "kill", "close"}

// String returns the end's name.
func (k EndKind) String() string {
	if int(k) < len(endNames) {
		return endNames[k]
	}
	return "unknown"
}

// Rules say what must be left after the end of a life.
type Rules uint8

// The rules.
const (
	// Honest: every acknowledged Sync commit, and all that was read as durable.
	Honest Rules = iota
	// NoLog: the store writes no log; all up to the last acknowledged checkpoint is left (see
	// Life.Synced), or more.
	NoLog
	// Lying: the disk's sync does nothing. Any prefix may be left, also one of an earlier life.
	Lying
)

// Life is one run of the store, from its opening to a crash or a close. Seqs are unique within a
// life; the next one uses those again that were lost.
type Life struct {
	Number int
	// Known: Base is the whole state that was read after recovery. The first life starts from an
	// empty store if it is not.
	Known bool
	Base  State
	Txs   []Tx // in the order in which they ended
	// Synced is the seq up to which all commits, NoSync ones too, were acknowledged to be durable: by
	// a checkpoint, or by a call that waits for the log.
	Synced uint64
	// Unsynced is the first seq of a commit that no Tx tells of (or not with its seq) and that may
	// have been seen before it was durable; 0: there is none.
	Unsynced uint64
	End      EndKind
	Rules    Rules
}

// History is what a run recorded, life by life. The zero value is empty and ready. It is for one
// goroutine at a time.
type History struct {
	Lives []*Life // ascending by number; some may be missing
	spare []*Life
}

// Life returns the life with this number, a new one if need be. Numbers must not go down from
// call to call, but for lives that are there already.
func (h *History) Life(number int) *Life {
	for i := len(h.Lives) - 1; i >= 0; i-- {
		if h.Lives[i].Number == number {
			return h.Lives[i]
		}
	}
	l := &Life{}
	if n := len(h.spare); n > 0 {
		l, h.spare = h.spare[n-1], h.spare[:n-1]
	}
	l.Number = number
	h.Lives = append(h.Lives, l)
	return l
}

// Add records a transaction that has ended, or was under way when its life did.
func (h *History) Add(life int, tx Tx) {
	l := h.Life(life)
	l.Txs = append(l.Txs, tx)
}

// Synced records that all commits of a life up to seq are durable, as the store has said.
func (h *History) Synced(life int, seq uint64) {
	l := h.Life(life)
	l.Synced = max(l.Synced, seq)
}

// Unsynced records a commit that is in no Tx, or there without its seq: it has this seq or a higher
// one, and may have been seen before it was durable, with all that was committed before it.
func (h *History) Unsynced(life int, seq uint64) {
	l := h.Life(life)
	if l.Unsynced == 0 || seq < l.Unsynced {
		l.Unsynced = seq
	}
}

// Ended records how a life ended, and what must be left of it.
func (h *History) Ended(life int, end EndKind, rules Rules) {
	l := h.Life(life)
	l.End, l.Rules = end, rules
}

// Recovered records the whole state that was read when a life began. A life that died before
// somebody could read it has none, and no commits.
func (h *History) Recovered(life int, s State) {
	l := h.Life(life)
	l.Known, l.Base = true, s
}

// Reset empties the history and keeps its memory. What it held may be written over.
func (h *History) Reset() {
	for _, l := range h.Lives {
		txs := l.Txs
		clear(txs)
		*l = Life{Txs: txs[:0]}
	}
	h.spare = append(h.spare, h.Lives...)
	h.Lives = h.Lives[:0]
}

// Violation is one breach of a promise.
type Violation struct {
	Check string  // "replay", "order", "recovery", "cycle", or "undecided"
	Life  int     // in which life
	Txs   []int64 // the ids of the transactions that have a part in it
	// Anomaly names what Cycles has found.
	Anomaly Anomaly
	Text    string // one line for a person
}

// Cut tells what the recovery of a life has left of the one before it.
type Cut struct {
	Life  int    // the life that recovered
	Of    int    // the life whose commits are left
	Seq   uint64 // up to this seq; 0: none of them
	Found bool   // false if no prefix fits
}

// Result is what Check found. A history without violations is right.
type Result struct {
	Violations []Violation
	Cuts       []Cut // one for each life that recovered from an earlier one
}
