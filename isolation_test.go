package aegis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// The anomalies of the Hermitage tests (Martin Kleppmann), as interleavings of two or three
// transactions held by hand. Writes gather in their transaction until Commit, so no step waits
// for another transaction. Every case begins with 1 = 10 and 2 = 20.

// levels in the order of anomaly.allowed.
var levels = []aegis.Isolation{aegis.Serializable, aegis.Snapshot, aegis.ReadCommitted}

var levelNames = map[aegis.Isolation]string{
	aegis.Serializable: "serializable", aegis.Snapshot: "snapshot", aegis.ReadCommitted: "read committed",
}

// anomaly is one interleaving. happens reports whether the anomaly came about.
type anomaly struct {
	name    string
	allowed string // the levels that let it happen: s(napshot), r(ead committed)
	happens func(h *history) bool
}

// history runs the steps of one case.
type history struct {
	t     *testing.T
	db    *aegis.DB
	level aegis.Isolation
	flush bool // take a checkpoint after every commit
}

func (h *history) begin() *hand { return h.beginAt(aegis.TxOptions{Isolation: h.level}) }

func (h *history) beginReader() *hand { return h.beginAt(aegis.TxOptions{ReadOnly: true}) }

func (h *history) beginAt(o aegis.TxOptions) *hand {
	h.t.Helper()
	tx, err := h.db.Begin(ctx, o)
	must(h.t, err)
	return &hand{h: h, tx: tx}
}

// final is the committed state as "key=value key=value".
func (h *history) final() string {
	r := h.beginReader()
	defer r.rollback()
	return r.all(func(int) bool { return true })
}

// hand is one transaction of a history. Values are numbers; -1 is "not there".
type hand struct {
	h  *history
	tx *aegis.Tx
}

func (x *hand) get(key string) int {
	x.h.t.Helper()
	v, err := x.tx.Get([]byte(key))
	if errors.Is(err, aegis.ErrNotFound) {
		return -1
	}
	must(x.h.t, err)
	n, err := strconv.Atoi(string(v))
	must(x.h.t, err)
	return n
}

func (x *hand) put(key string, n int) {
	x.h.t.Helper()
	must(x.h.t, x.tx.Put([]byte(key), strconv.AppendInt(nil, int64(n), 10)))
}

func (x *hand) delete(key string) {
	x.h.t.Helper()
	must(x.h.t, x.tx.Delete([]byte(key)))
}

// all reads the whole range and returns what where accepts.
func (x *hand) all(where func(n int) bool) string {
	x.h.t.Helper()
	var found []string
	for k, v := range x.tx.Range(nil, nil) {
		if n, err := strconv.Atoi(string(v)); err == nil && where(n) {
			found = append(found, fmt.Sprintf("%s=%d", k, n))
		}
	}
	must(x.h.t, x.tx.Err())
	return strings.Join(found, " ")
}

// commit reports whether the transaction was applied.
func (x *hand) commit() bool {
	x.h.t.Helper()
	err := x.tx.Commit()
	if err != nil && !errors.Is(err, aegis.ErrConflict) {
		x.h.t.Fatal(err)
	}
	if x.h.flush && err == nil {
		must(x.h.t, x.h.db.Checkpoint(ctx))
	}
	return err == nil
}

func (x *hand) rollback() { must(x.h.t, x.tx.Rollback()) }

func divides(by int) func(int) bool { return func(n int) bool { return n%by == 0 } }

func is(want int) func(int) bool { return func(n int) bool { return n == want } }

func always(int) bool { return true }

var anomalies = []anomaly{
	{"G0 write cycle", "", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.put("1", 11)
		b.put("1", 12)
		a.put("2", 21)
		a.commit()
		b.put("2", 22)
		b.commit()
		got := h.final()
		return got != "1=11 2=21" && got != "1=12 2=22"
	}},
	{"G1a aborted read", "", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.put("1", 101)
		dirty := b.get("1") == 101 || strings.Contains(b.all(always), "101")
		a.rollback()
		dirty = dirty || b.get("1") == 101 || strings.Contains(b.all(always), "101")
		b.commit()
		return dirty || h.final() != "1=10 2=20"
	}},
	{"G1b intermediate read", "", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.put("1", 101)
		dirty := b.get("1") == 101
		a.put("1", 11)
		a.commit()
		dirty = dirty || b.get("1") == 101 || strings.Contains(b.all(always), "101")
		b.commit()
		return dirty || h.final() != "1=11 2=20"
	}},
	{"G1c circular information flow", "", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.put("1", 11)
		b.put("2", 22)
		ax, bx := a.get("2"), b.get("1")
		a.commit()
		b.commit()
		return ax == 22 || bx == 11
	}},
	{"OTV observed transaction vanishes", "", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.put("1", 11)
		a.put("2", 19)
		b.put("1", 12)
		a.commit()
		c := h.begin()
		c.get("1")
		b.put("2", 18)
		c.get("2")
		b.commit()
		seen, later := c.get("2"), c.get("1")
		c.commit()
		return seen == 18 && later != 12
	}},
	{"PMP predicate-many-preceders", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		before := a.all(is(30))
		b.put("3", 30)
		b.commit()
		after := a.all(divides(3))
		a.commit()
		return before != after
	}},
	{"PMP predicate-many-preceders, write", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		for _, k := range []string{"1", "2"} {
			a.put(k, a.get(k)+10)
		}
		if b.all(is(20)) == "2=20" {
			b.delete("2")
		}
		first := a.commit()
		return b.commit() && first // what has 20 now is 1
	}},
	{"P4 lost update", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		n, m := a.get("1"), b.get("1")
		a.put("1", n+1)
		b.put("1", m+1)
		first := a.commit()
		return b.commit() && first
	}},
	{"P4 lost update after a delete", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		n, m := a.get("1"), b.get("1")
		a.delete("1")
		b.put("1", m+1)
		return a.commit() && b.commit() && n == m
	}},
}

var skewAnomalies = []anomaly{
	{"G-single read skew", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		n := a.get("1")
		b.put("1", 12)
		b.put("2", 18)
		b.commit()
		m := a.get("2")
		a.commit()
		return n == 10 && m == 18
	}},
	{"G-single read skew on predicates", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.all(divides(5))
		b.put("1", 12)
		b.commit()
		found := a.all(divides(3))
		a.commit()
		return found != ""
	}},
	{"G-single read skew, write predicate", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		n := a.get("1")
		b.put("1", 12)
		b.put("2", 18)
		b.commit()
		sum := n + a.get("2")
		a.put("2", sum)
		return a.commit() && sum != 30
	}},
	{"G-single read skew, blind delete", "r", func(h *history) bool {
		a, b := h.begin(), h.begin()
		n := a.get("1")
		b.put("1", 12)
		b.put("2", 18)
		a.delete("2")
		b.commit()
		return a.commit() && n == 10
	}},
	{"G2-item write skew", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		_, _ = a.get("1")+a.get("2"), b.get("1")+b.get("2")
		a.put("1", 11)
		b.put("2", 21)
		first := a.commit()
		return b.commit() && first
	}},
	{"G2-item write skew over keys that are not there", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		n, m := a.get("x"), b.get("y")
		a.put("y", 1)
		b.put("x", 1)
		first := a.commit()
		return b.commit() && first && n == -1 && m == -1
	}},
	{"G2-item write skew against a delete", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.get("2")
		b.get("1")
		a.delete("1")
		b.delete("2")
		first := a.commit()
		return b.commit() && first
	}},
	{"G2 anti-dependency cycle over a predicate", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.all(divides(3))
		b.all(divides(3))
		a.put("3", 30)
		b.put("4", 42)
		first := a.commit()
		return b.commit() && first
	}},
	{"G2 phantom by a delete", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.all(always)
		b.all(always)
		a.delete("1")
		b.delete("2")
		first := a.commit()
		return b.commit() && first
	}},
	{"G2 two anti-dependency edges", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.all(always)
		b.put("2", b.get("2")+5)
		b.commit()
		c := h.begin()
		seen := c.all(always)
		c.commit()
		a.put("1", 0)
		return a.commit() && seen == "1=10 2=25"
	}},
	{"G2 two edges, seen by a reader alone", "sr", func(h *history) bool {
		a, b := h.begin(), h.begin()
		a.get("1")
		a.get("2")
		b.put("2", b.get("2")+20)
		b.commit()
		c := h.beginReader()
		seen := c.all(always)
		c.commit()
		a.put("1", -11)
		return a.commit() && seen == "1=10 2=40"
	}},
}

func TestAnomalies(t *testing.T) {
	for _, c := range append(anomalies, skewAnomalies...) {
		for _, level := range levels {
			letter := levelNames[level][:1]
			allowed := level != aegis.Serializable && strings.Contains(c.allowed, letter)
			for _, flush := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/flush=%t", c.name, levelNames[level], flush), func(t *testing.T) {
					h := &history{t: t, db: open(t, "", aegis.Options{Backend: backends.NewMemory()}), level: level, flush: flush}
					seed := h.begin()
					seed.put("1", 10)
					seed.put("2", 20)
					seed.commit()
					happened := c.happens(h)
					if happened && !allowed {
						t.Errorf("happened, left %s", h.final())
					}
					// A conflict that is not needed is right, but at this size none may come.
					if !happened && allowed {
						t.Errorf("was prevented, left %s: the level is stricter than it says", h.final())
					}
				})
			}
		}
	}
}

// TestConflictsAreExact: a serializable transaction conflicts over what it has read, not over
// what lies beside it.
func TestConflictsAreExact(t *testing.T) {
	first := func(seq func(func(k, v []byte) bool)) {
		for range seq {
			break
		}
	}
	cases := []struct {
		name     string
		read     func(tx *aegis.Tx)
		write    string
		conflict bool
	}{
		{"in the range", func(tx *aegis.Tx) { drain(tx.Range(b("c"), b("g"))) }, "f", true},
		{"at its beginning", func(tx *aegis.Tx) { drain(tx.Range(b("c"), b("g"))) }, "c", true},
		{"at its end", func(tx *aegis.Tx) { drain(tx.Range(b("c"), b("g"))) }, "g", false},
		{"just before its end", func(tx *aegis.Tx) { drain(tx.Range(b("c"), b("g"))) }, "f\xff\xff", true},
		{"before it", func(tx *aegis.Tx) { drain(tx.Range(b("c"), b("g"))) }, "b\xff", false},
		{"empty range", func(tx *aegis.Tx) { drain(tx.Range(b("m1"), b("m2"))) }, "m15", true},
		{"inverted range", func(tx *aegis.Tx) { drain(tx.Range(b("g"), b("c"))) }, "d", false},
		{"backward", func(tx *aegis.Tx) { drain(tx.RangeBackward(b("c"), b("g"))) }, "f", true},
		{"backward, at its end", func(tx *aegis.Tx) { drain(tx.RangeBackward(b("c"), b("g"))) }, "g", false},
		{"stopped, the key it stopped at", func(tx *aegis.Tx) { first(tx.Range(b("c"), nil)) }, "d", true},
		{"stopped, before it", func(tx *aegis.Tx) { first(tx.Range(b("c"), nil)) }, "ca", true},
		{"stopped, beyond", func(tx *aegis.Tx) { first(tx.Range(b("c"), nil)) }, "d\x00", false},
		{"stopped backward, the key", func(tx *aegis.Tx) { first(tx.RangeBackward(nil, b("k"))) }, "h", true},
		{"stopped backward, between", func(tx *aegis.Tx) { first(tx.RangeBackward(nil, b("k"))) }, "i", true},
		{"stopped backward, below", func(tx *aegis.Tx) { first(tx.RangeBackward(nil, b("k"))) }, "g\xff", false},
		{"prefix", func(tx *aegis.Tx) { drain(tx.Prefix(b("d"))) }, "d\xff\xff", true},
		{"outside the prefix", func(tx *aegis.Tx) { drain(tx.Prefix(b("d"))) }, "e", false},
		{"everything", func(tx *aegis.Tx) { drain(tx.PrefixBackward(nil)) }, "", true},
		{"a key", func(tx *aegis.Tx) { _, _ = tx.Get(b("d")) }, "d", true},
		{"a key that is not there", func(tx *aegis.Tx) { _, _ = tx.Get(b("e")) }, "e", true},
		{"another key", func(tx *aegis.Tx) { _, _ = tx.Get(b("d")) }, "h", false},
		{"its own write, read back", func(tx *aegis.Tx) { _ = tx.Put(b("own"), nil); _, _ = tx.Get(b("own")) }, "d", false},
		{"two ranges that touch", func(tx *aegis.Tx) { drain(tx.Range(b("a"), b("c"))); drain(tx.Range(b("c"), b("e"))) }, "c", true},
		{"between two ranges", func(tx *aegis.Tx) { drain(tx.Range(b("f"), b("g"))); drain(tx.Range(b("a"), b("c"))) }, "d", false},
		{"in the second of two ranges", func(tx *aegis.Tx) { drain(tx.Range(b("a"), b("c"))); drain(tx.Range(b("f"), b("i"))) }, "h", true},
		{"a range within another", func(tx *aegis.Tx) { drain(tx.Range(b("a"), b("k"))); drain(tx.Range(b("b"), b("c"))) }, "j", true},
	}
	for _, c := range cases {
		for _, others := range []int{1, 200} { // with many commits the client validates itself
			t.Run(fmt.Sprintf("%s/%d commits", c.name, others), func(t *testing.T) {
				db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Durability: aegis.NoSync})
				for _, k := range []string{"d", "h", "l"} {
					must(t, db.Put(ctx, b(k), b("x")))
				}
				tx, err := db.Begin(ctx, aegis.TxOptions{})
				must(t, err)
				c.read(tx)
				must(t, tx.Put(b("result"), nil))
				for i := range others - 1 {
					must(t, db.Put(ctx, fmt.Appendf(nil, "zz%d", i%7), nil))
					if i == others/2 && c.name != "everything" {
						must(t, db.Put(ctx, b(c.write), nil))
					}
				}
				must(t, db.Put(ctx, b(c.write), nil))
				if err := tx.Commit(); errors.Is(err, aegis.ErrConflict) != c.conflict || (err != nil && !c.conflict) {
					t.Errorf("Commit = %v, want conflict: %t", err, c.conflict)
				}
			})
		}
	}
}

// drain runs a loop to its end and counts.
func drain(seq func(func(k, v []byte) bool)) (n int) {
	for range seq {
		n++
	}
	return n
}
