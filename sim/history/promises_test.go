package history

import (
	"strings"
	"testing"
)

// ct makes a transaction with seqs, from begin to end: "r k v", "r k" (not there), "p k v", "d k", "s k v;
// k v".
func ct(id int, level Level, begin, end int64, snapshot, seq uint64, lines ...string) Tx {
	t := Tx{ID: int64(id), Client: id, Level: level, Acked: true, Begin: begin, End: end, Snapshot: snapshot, Seq: seq}
	for _, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		key, value, _ := strings.Cut(rest, " ")
		op := Op{Key: key, Value: value, At: snapshot}
		switch kind {
		case "r":
			op.Kind, op.Found = Get, value != ""
		case "p":
			op.Kind = Put
		case "d":
			op.Kind = Delete
		case "s":
			op = Op{Kind: Scan, At: snapshot}
			for _, pair := range strings.Split(rest, ";") {
				if k, v, ok := strings.Cut(pair, " "); ok {
					op.Pairs = append(op.Pairs, Pair{k, v})
				}
			}
		}
		t.Ops = append(t.Ops, op)
	}
	return t
}

func with(t Tx, change func(t *Tx)) Tx { change(&t); return t }

func crashed(t Tx) Tx { t.Outcome, t.Acked, t.End = Unknown, false, NeverEnded; return t }
func noSync(t Tx) Tx  { t.NoSync = true; return t }
func waited(t Tx) Tx  { t.Waited = true; return t }

func left(pairs ...string) State {
	s := Space{}
	for i := 0; i < len(pairs); i += 2 {
		s.Pairs = append(s.Pairs, Pair{pairs[i], pairs[i+1]})
	}
	return State{s}
}

// promiseCase is one hand-made life, and what is wrong with it: "" for nothing, else part of a text.
type promiseCase struct {
	name  string
	end   EndKind
	rules Rules
	left  State // nil: not looked at
	wrong string
	txs   []Tx
}

const (
	ser = Serializable
	si  = Snapshot
	rc  = ReadCommitted
	ro  = ReadOnly
)

var promiseCases = []promiseCase{
	{name: "write skew at snapshot", txs: []Tx{ct(1, si, 1, 9, 0, 1, "r y", "p x 1"), ct(2, si, 1, 9, 0, 2, "r x", "p y 1")}},
	{name: "write skew at serializable", wrong: "just before its own commit at seq 2",
		txs: []Tx{ct(1, ser, 1, 9, 0, 1, "r y", "p x 1"), ct(2, ser, 1, 9, 0, 2, "r x", "p y 1")}},
	{name: "phantom at snapshot", txs: []Tx{ct(1, si, 1, 9, 0, 1, "s ", "p x 1"), ct(2, si, 1, 9, 0, 2, "s ", "p y 1")}},
	{name: "phantom at serializable", wrong: "missed x",
		txs: []Tx{ct(1, ser, 1, 9, 0, 1, "s ", "p x 1"), ct(2, ser, 1, 9, 0, 2, "s ", "p y 1")}},
	{name: "lost update at snapshot", wrong: "lost update",
		txs: []Tx{ct(1, si, 1, 9, 0, 1, "r x", "p x 1"), ct(2, si, 1, 9, 0, 2, "r x", "p x 2")}},
	{name: "lost update at read committed", txs: []Tx{ct(1, rc, 1, 9, 0, 1, "r x", "p x 1"), ct(2, rc, 1, 9, 0, 2, "r x", "p x 2")}},
	{name: "blind writes at serializable", txs: []Tx{ct(1, ser, 1, 9, 0, 1, "p x 1"), ct(2, ser, 1, 9, 0, 2, "p x 2")}},
	{name: "read skew at snapshot", wrong: "read y = not there",
		txs: []Tx{ct(1, si, 1, 9, 0, 1, "p x 1", "p y 1"), ct(2, si, 1, 9, 1, 0, "r x 1", "r y")}},
	{name: "read skew at read committed", txs: []Tx{ct(1, rc, 1, 9, 0, 1, "p x 1", "p y 1"),
		with(ct(2, rc, 1, 9, 1, 0, "r x", "r y 1"), func(t *Tx) { t.Ops[0].At = 0 })}},
	{name: "reads of a refused transaction", wrong: "nobody has written",
		txs: []Tx{with(ct(1, si, 1, 9, 0, 0, "r x 7"), func(t *Tx) { t.Outcome = Refused })}},
	{name: "read of what was refused", wrong: "was refused",
		txs: []Tx{with(ct(1, ser, 1, 9, 0, 0, "p x 7"), func(t *Tx) { t.Outcome, t.Acked = Refused, false }), ct(2, ro, 1, 9, 0, 0, "r x 7")}},
	{name: "own writes", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p a 1", "p b 1", "d a", "r a", "s b 1", "p a 2", "s a 2;b 1")}},
	{name: "own writes not seen", wrong: "its own doing", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p a 1", "r a")}},
	{name: "stale read only", wrong: "had been acknowledged", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ro, 3, 4, 0, 0, "r x")}},
	{name: "stale and overlapping", txs: []Tx{ct(1, ser, 1, 3, 0, 1, "p x 1"), ct(2, ro, 3, 4, 0, 0, "r x")}},
	{name: "read from the future", wrong: "began only at step 3", txs: []Tx{ct(2, ro, 1, 2, 1, 0, "r y"), ct(1, ser, 3, 4, 0, 1, "p x 1")}},
	{name: "read only going back", wrong: "had seen seq 1",
		txs: []Tx{ct(2, ro, 1, 2, 1, 0, "r x 1"), ct(3, ro, 3, 4, 0, 0, "r x"), ct(1, ser, 1, 9, 0, 1, "p x 1")}},
	{name: "session going back", wrong: "the same client had read at snapshot 1", txs: []Tx{
		with(ct(2, ser, 1, 2, 1, 0, "r x 1"), func(t *Tx) { t.Client = 9 }),
		with(ct(3, ser, 3, 4, 0, 0, "r x"), func(t *Tx) { t.Client = 9 }), ct(1, ser, 1, 9, 0, 1, "p x 1")}},
	{name: "read committed going back", wrong: "after it had read at seq 1", txs: []Tx{ct(1, ser, 1, 9, 0, 1, "p x 1"),
		with(ct(2, rc, 1, 9, 0, 0, "r x 1", "r x"), func(t *Tx) { t.Ops[0].At = 1 })}},
	{name: "one state fits", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ser, 3, 9, 1, 2, "p x 2"), ct(3, ser, 3, 9, 2, 3, "p y 3"),
		ct(4, ro, 4, 9, NoSeq, 0, "r x 2", "r y")}},
	{name: "no state fits", wrong: "no single state", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ser, 3, 9, 1, 2, "p x 2"),
		ct(3, ser, 3, 9, 2, 3, "p y 3"), ct(4, ro, 4, 9, NoSeq, 0, "r x 1", "r y 3")}},
	{name: "one state fits, but it is too old", wrong: "no single state",
		txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ser, 1, 2, 0, 2, "p x 2"), ct(3, ro, 3, 4, NoSeq, 0, "r x 1")}},
	{name: "some state fits a read", wrong: "at any moment", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ser, 3, 9, 1, 2, "p x 2"),
		ct(3, rc, 4, 9, NoSeq, 0, "r x 1", "r x 2", "r x 1", "r x")}},
	{name: "write to no keyspace", wrong: "does not exist", txs: []Tx{with(ct(1, ser, 1, 2, 0, 1, "p k 1"), func(t *Tx) { t.Ops[0].Space = "a" })}},
	{name: "stale handle of a keyspace", txs: staleHandle(true)},
	{name: "stale handle and known seqs", txs: staleReads(2)},
	{name: "handle and known seqs", wrong: "but there it is \"1\"", txs: staleReads(1)},
	{name: "handle of a keyspace", wrong: "fit no state", txs: staleHandle(false)},

	{name: "all there", left: left("x", "1"), txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1")}},
	{name: "synced commit lost", left: left(), wrong: "acknowledged as synced", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1")}},
	{name: "synced commit lost in a kill", end: Kill, left: left(), wrong: "after the kill", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1")}},
	{name: "unsynced commit lost", left: left(), txs: []Tx{noSync(ct(1, ser, 1, 2, 0, 1, "p x 1"))}},
	{name: "unsynced commit lost in a close", end: Closed, left: left(), wrong: "had been closed", txs: []Tx{noSync(ct(1, ser, 1, 2, 0, 1, "p x 1"))}},
	{name: "unsynced commit lost, later one kept", left: left("y", "2"), wrong: "no state",
		txs: []Tx{noSync(ct(1, ser, 1, 2, 0, 1, "p x 1")), noSync(ct(2, ser, 1, 2, 0, 2, "p y 2"))}},
	{name: "unsynced commit before a synced one", left: left("y", "2"), wrong: "which T1",
		txs: []Tx{noSync(ct(1, ser, 1, 2, 0, 1, "p x 1")), ct(2, ser, 1, 2, 0, 2, "p y 2")}},
	{name: "what was read is lost", left: left(), wrong: "had read", txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 1, "p x 1")), ct(2, ro, 1, 3, 1, 0, "r x 1")}},
	{name: "what was read unsynced is lost", left: left(),
		txs: []Tx{noSync(ct(1, ser, 1, 2, 0, 1, "p x 1")), ct(2, ro, 1, 3, 1, 0, "r x 1")}},
	{name: "what an update read is lost", left: left(), wrong: "had read",
		txs: []Tx{noSync(ct(1, ser, 1, 2, 0, 1, "p x 1")), waited(ct(2, ser, 1, 3, 1, 0, "r x 1"))}},
	{name: "what a transaction read without waiting is lost", left: left(),
		txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 1, "p x 1")), ct(2, ser, 1, 3, 1, 0, "r x 1")}},
	{name: "a deletion that was read is lost", left: left("x", "1"), wrong: "had read",
		txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ro, 1, 8, 2, 0, "s "), crashed(ct(3, ser, 3, 4, 1, 2, "d x"))}},
	{name: "half a commit", left: left("x", "1"), wrong: "y is not there, should be \"1\"", txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 1, "p x 1", "p y 1"))}},
	{name: "half a commit of unknown seq", left: left("x", "1"), wrong: "no state",
		txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 0, "p x 1", "p y 1"))}},
	{name: "unknown and there", left: left("x", "1", "y", "1"), txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 0, "p x 1", "p y 1"))}},
	{name: "unknown and not there", left: left(), txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 0, "p x 1", "p y 1"))}},
	{name: "unknown in the middle", left: left("x", "2", "y", "1"),
		txs: []Tx{ct(2, ser, 1, 2, 0, 2, "p x 2"), crashed(ct(1, ser, 1, 2, 0, 0, "p x 1", "p y 1"))}},
	{name: "unknown before what was acknowledged", left: left("x", "2", "y", "1"), wrong: "no state",
		txs: []Tx{ct(2, ser, 1, 2, 0, 2, "p x 2"), crashed(ct(1, ser, 3, 4, 2, 0, "p x 1", "p y 1"))}},
	{name: "unknown and seen", left: left("x", "1"), txs: []Tx{ct(2, ser, 3, 5, 1, 2, "r x 1"), crashed(ct(1, ser, 1, 2, 0, 0, "p x 1"))}},
	{name: "two unknown, one over the other", left: left("x", "1", "y", "2"),
		txs: []Tx{crashed(ct(1, ser, 1, 2, 0, 0, "p x 1")), crashed(ct(2, ser, 1, 2, 0, 0, "p x 2", "p y 2"))}},
	{name: "unknown delete", left: left(), txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), crashed(ct(2, ser, 3, 4, 1, 0, "d x"))}},
	{name: "committed at an unknown seq", left: left("x", "1"), txs: []Tx{ct(1, ser, 1, 2, NoSeq, 0, "p x 1"), ct(2, ro, 3, 4, NoSeq, 0, "r x 1")}},
	{name: "committed at an unknown seq, lost", left: left(), wrong: "acknowledged as synced", txs: []Tx{ct(1, ser, 1, 2, NoSeq, 0, "p x 1")}},
	{name: "no log", rules: NoLog, left: left("x", "1"), txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ser, 3, 4, 1, 2, "p x 2")}},
	{name: "no log and too little", rules: NoLog, left: left(), wrong: "up to seq 1", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1"), ct(2, ser, 3, 4, 1, 2, "p x 2")}},
	{name: "lying", rules: Lying, left: left(), txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1")}},
	{name: "lying in a kill", rules: Lying, end: Kill, left: left(), wrong: "acknowledged", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1")}},
	{name: "lying and half", rules: Lying, left: left("x", "1"), wrong: "no state", txs: []Tx{ct(1, ser, 1, 2, 0, 1, "p x 1", "p y 1")}},
}

// staleHandle is a read of a keyspace of which half is gone, which is right only if it may have been
// dropped since the reader began.
func staleHandle(dropped bool) []Tx {
	create := ct(1, ser, 1, 2, 0, 1)
	create.Ops = []Op{{Kind: CreateSpace, Space: "a"}, {Kind: Put, Space: "a", Key: "k", Value: "1"}, {Kind: Put, Space: "a", Key: "l", Value: "2"}}
	drop := ct(2, ser, 3, 5, 1, 2, "p x 1")
	if dropped {
		drop.Ops = append(drop.Ops, Op{Kind: DropSpace, Space: "a", Found: true})
	}
	read := ct(3, rc, 3, 9, 0, 0)
	read.Ops = []Op{{Kind: OpenSpace, Space: "a", Found: true, At: NoSeq}, {Kind: Scan, Space: "a", At: NoSeq, Pairs: []Pair{{"l", "2"}}},
		{Kind: Get, Space: "a", Key: "k", At: NoSeq}}
	return []Tx{create, drop, read}
}

// staleReads is staleHandle with reads at known seqs, the later ones at at.
func staleReads(at uint64) []Tx {
	txs := staleHandle(true)
	for i := range txs[2].Ops {
		txs[2].Ops[i].At = at
	}
	txs[2].Ops[0].At = 1
	txs[2].Ops[1] = Op{Kind: Get, Space: "a", Key: "k", At: 1, Found: true, Value: "1"}
	return append(txs[:2:2], with(txs[2], func(t *Tx) { t.Ops = append(t.Ops, Op{Kind: Scan, Space: "a", At: at, Pairs: []Pair{{"l", "2"}}}) }))
}

// TestPromises: hand-made lives, each right or wrong in one way.
func TestPromises(t *testing.T) {
	var c Checker
	for _, x := range promiseCases {
		h := &History{}
		for _, tx := range x.txs {
			h.Add(1, tx)
		}
		if x.left != nil {
			end := x.end
			if end == Running {
				end = PowerCut
			}
			h.Ended(1, end, x.rules)
			if x.rules == NoLog {
				h.Synced(1, 1)
			}
			h.Recovered(2, x.left)
		}
		r := c.Check(h)
		switch {
		case (x.wrong != "") != (len(r.Violations) > 0):
			t.Errorf("%s: %v", x.name, r.Violations)
		case x.wrong != "" && !strings.Contains(r.Violations[0].Text, x.wrong):
			t.Errorf("%s: %q is not in %q", x.name, x.wrong, r.Violations[0].Text)
		}
		for _, v := range r.Violations {
			t.Logf("%s: %s: %s", x.name, v.Check, v.Text)
		}
	}
}

// TestUnsyncedByOthers: a NoSync commit that is in no transaction of the history makes all before
// it visible, so what a reader saw from there on may be lost; below it, not.
func TestUnsyncedByOthers(t *testing.T) {
	for _, x := range []struct {
		unsynced []uint64
		wrong    bool
	}{{nil, true}, {[]uint64{3}, true}, {[]uint64{5, 2, 4}, false}, {[]uint64{1}, false}} {
		h := &History{}
		h.Add(1, crashed(ct(1, ser, 1, 2, 0, 1, "p x 1")))
		h.Add(1, ct(2, ro, 1, 3, 2, 0, "r x 1"))
		for _, seq := range x.unsynced {
			h.Unsynced(1, seq)
		}
		h.Ended(1, PowerCut, Honest)
		h.Recovered(2, left())
		if r := Check(h); (len(r.Violations) > 0) != x.wrong {
			t.Errorf("unsynced %d: %v", x.unsynced, r.Violations)
		}
	}
}

// TestOlderLife: after a power cut a lying disk may have what an earlier life had, but nothing that
// no life had, and nothing of a life that was undone.
func TestOlderLife(t *testing.T) {
	for _, x := range []struct {
		name   string
		states []State // what lives 2, 3 and 4 begin with; life n writes x n
		cuts   []Cut
	}{
		{"back to the first life", []State{left("x", "1"), left("x", "2"), left("x", "1")}, []Cut{{2, 1, 1, true}, {3, 2, 1, true}, {4, 2, 0, true}}},
		{"back to the beginning", []State{left("x", "1"), left("x", "2"), left()}, []Cut{{2, 1, 1, true}, {3, 2, 1, true}, {4, 1, 0, true}}},
		{"back to nothing", []State{left("x", "1"), left(), left()}, []Cut{{2, 1, 1, true}, {3, 1, 0, true}, {4, 3, 0, true}}},
		{"of a life that was undone", []State{left("x", "1"), left(), left("x", "1")}, nil},
		{"of no life", []State{left("x", "1"), left("x", "2"), left("x", "7")}, nil},
	} {
		h := &History{}
		for n := 1; n <= 3; n++ {
			h.Add(n, ct(n, ser, int64(10*n), int64(10*n+1), 0, 1, "p x "+string(rune('0'+n))))
			h.Ended(n, PowerCut, Lying)
			h.Recovered(n+1, x.states[n-1])
		}
		r := Check(h)
		if (x.cuts == nil) != (len(r.Violations) > 0) {
			t.Errorf("%s: %v", x.name, r.Violations)
		}
		for i := range x.cuts {
			if r.Cuts[i] != x.cuts[i] {
				t.Errorf("%s: %v, should be %v", x.name, r.Cuts[i], x.cuts[i])
			}
		}
	}
}

// TestLivesNobodySaw: a life that died in recovery leaves what the one before it had left; one that
// wrote although its beginning is not known cannot be checked.
func TestLivesNobodySaw(t *testing.T) {
	h := &History{}
	h.Add(1, ct(1, ser, 1, 2, 0, 1, "p x 1"))
	h.Ended(1, PowerCut, Honest)
	h.Ended(2, PowerCut, Honest)
	h.Recovered(3, left("x", "1"))
	if r := Check(h); len(r.Violations) > 0 || r.Cuts[0] != (Cut{3, 1, 1, true}) {
		t.Error(r)
	}
	h.Recovered(3, left())
	if r := Check(h); len(r.Violations) != 1 {
		t.Error(r)
	}
	h.Add(2, ct(2, ser, 3, 4, 0, 1, "p x 2"))
	if r := Check(h); len(r.Violations) == 0 || r.Violations[0].Check != "undecided" {
		t.Error(r)
	}
	h.Reset()
	if h.Add(1, ct(1, ro, 1, 2, 0, 0, "r x")); len(h.Lives) != 1 || len(Check(h).Violations) > 0 {
		t.Error("a history is not empty after Reset")
	}
}
