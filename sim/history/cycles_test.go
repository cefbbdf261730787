package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lt makes a list transaction: "r x 1 2" reads x = [1 2], "a x 1 2 3" puts [1 2 3], "s x 1; y 2" scans
// everything. Each key of an append is read first, unless the line says otherwise.
func lt(id int, level Level, begin, end int64, lines ...string) Tx {
	t := Tx{ID: int64(id), Client: id, Level: level, Acked: true, Begin: begin, End: end, Snapshot: NoSeq}
	for _, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		key, list, _ := strings.Cut(rest, " ")
		switch kind {
		case "r":
			t.Ops = append(t.Ops, Op{Kind: Get, Key: key, Value: list, Found: list != ""})
		case "a":
			old, _ := lastOf(list)
			t.Ops = append(t.Ops, Op{Kind: Get, Key: key, Value: old, Found: old != ""}, Op{Kind: Put, Key: key, Value: list})
		case "w": // blind
			t.Ops = append(t.Ops, Op{Kind: Put, Key: key, Value: list})
		case "s":
			op := Op{Kind: Scan}
			for _, pair := range strings.Split(rest, "; ") {
				if k, l, ok := strings.Cut(pair, " "); ok {
					op.Pairs = append(op.Pairs, Pair{k, l})
				}
			}
			t.Ops = append(t.Ops, op)
		}
	}
	return t
}

func refused(t Tx) Tx { t.Outcome, t.Acked = Refused, false; return t }

var allLevels = []Level{ser, si, rc}

var anomalies = []struct {
	name    string
	anomaly Anomaly
	found   []Level // the levels at which it is one
	txs     func(l Level) []Tx
}{
	{"one after the other", "", nil, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 2, "a x 1"), lt(2, l, 3, 4, "r x 1", "a x 1 2", "a x 1 2 3"), lt(3, ro, 5, 6, "s x 1 2 3")}
	}},
	{"dirty write", G0, allLevels, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "w x 1", "w y 2 1"), lt(2, l, 1, 9, "w x 1 2", "w y 2")}
	}},
	{"aborted read", G1a, allLevels, func(l Level) []Tx {
		return []Tx{refused(lt(1, l, 1, 9, "a x 1")), lt(2, l, 1, 9, "r x 1")}
	}},
	{"intermediate read", G1b, allLevels, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "a x 1", "a x 1 2"), lt(2, l, 1, 9, "r x 1")}
	}},
	{"circular reads", G1c, allLevels, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "w x 1", "r y 2"), lt(2, l, 1, 9, "w y 2", "r x 1")}
	}},
	{"invented", Invented, allLevels, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "r x 7")}
	}},
	{"lost update", LostUpdate, []Level{ser, si}, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "a x 1"), lt(2, l, 1, 9, "a x 2")}
	}},
	{"read skew", GSingle, []Level{ser, si}, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "a x 1", "a y 2"), lt(2, l, 1, 9, "r x 1", "r y")}
	}},
	{"read skew with an unknown one", GSingle, []Level{ser, si}, func(l Level) []Tx {
		return []Tx{crashed(lt(1, l, 1, 9, "a x 1", "a y 2")), lt(2, l, 1, 9, "r x 1", "r y")}
	}},
	{"long fork", GNonadjacent, []Level{ser, si}, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "w x 1"), lt(2, l, 1, 9, "w y 2"), lt(3, l, 1, 9, "r x 1", "r y"), lt(4, l, 1, 9, "r x", "r y 2")}
	}},
	{"write skew", G2Item, []Level{ser}, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "r y", "a x 1"), lt(2, l, 1, 9, "r x", "a y 2")}
	}},
	{"phantom", G2, []Level{ser}, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 9, "s ", "w x 1"), lt(2, l, 1, 9, "s ", "w y 2")}
	}},
	{"stale read", GSingle, allLevels, func(l Level) []Tx {
		return []Tx{lt(1, l, 1, 2, "a x 1"), lt(2, l, 3, 4, "r x")}
	}},
	{"read-only anomaly", G2Item, []Level{ser}, func(l Level) []Tx { // Fekete, O'Neil and O'Neil, 2004
		return []Tx{lt(1, l, 1, 9, "r y", "a x 1"), lt(2, l, 1, 4, "a y 2"), lt(3, ro, 5, 6, "r x", "r y 2")}
	}},
}

// TestAnomalies: what each level gets, and what it does not.
func TestAnomalies(t *testing.T) {
	for _, x := range anomalies {
		for _, l := range allLevels {
			h := &History{}
			for _, tx := range x.txs(l) {
				h.Add(1, tx)
			}
			got := Cycles(h)
			if want := slices.Contains(x.found, l); want != (len(got) > 0) {
				t.Errorf("%s at %s: found %t", x.name, l, !want)
			}
			for _, v := range got {
				t.Logf("%s at %s: %s", x.name, l, v.Text)
			}
			if len(got) > 1 || len(got) == 1 && got[0].Anomaly != x.anomaly {
				t.Errorf("%s at %s: %v", x.name, l, got)
			}
			if as := CyclesAs(h, Serializable); (x.anomaly != "") != (len(as) > 0) {
				t.Errorf("%s at %s, as serializable: %v", x.name, l, as)
			}
			if x.anomaly != "" && x.name != "stale read" && l.Allows(x.anomaly) == slices.Contains(x.found, l) {
				t.Errorf("%s: %s allows it: %t", x.name, l, l.Allows(x.anomaly))
			}
		}
	}
}

// listRun records a run of a store of lists by 4 clients. They ask for one level and the store gives
// them another one.
func listRun(seed uint64, n int, ask, give Level) *History {
	rnd := rand.New(rand.NewPCG(seed, 14))
	h := &History{}
	states := []map[string]string{{}}
	active := make([]*Tx, 4)
	step, id := int64(0), 0
	for id < n {
		step++
		i := rnd.IntN(len(active))
		a := active[i]
		now := uint64(len(states) - 1)
		if a == nil {
			id++
			active[i] = &Tx{ID: int64(id), Client: i, Level: ask, Acked: true, Begin: step, Snapshot: now}
			continue
		}
		if len(a.Ops) < 4 {
			at := a.Snapshot
			if give == ReadCommitted {
				at = now
			}
			// A new group of keys now and then, as lists grow.
			key := fmt.Sprintf("k%d.%d", id/20, rnd.IntN(4))
			old := states[at][key]
			if slices.ContainsFunc(a.Ops, func(o Op) bool { return o.Key == key }) {
				continue
			}
			a.Ops = append(a.Ops, Op{Kind: Get, Key: key, Value: old, Found: old != ""})
			if rnd.IntN(2) == 0 {
				a.Ops = append(a.Ops, Op{Kind: Put, Key: key, Value: AppendList(old, fmt.Sprint(a.ID))})
			}
			continue
		}
		next := states[now]
		wrote := false
		for _, op := range a.Ops {
			moved := states[now][op.Key] != states[a.Snapshot][op.Key]
			written := op.Kind == Put
			if moved && (give == Serializable || give == Snapshot && written) {
				a.Outcome, a.Acked = Refused, false
			}
			wrote = wrote || written
		}
		if a.Outcome == Committed && wrote {
			next = recent(next, id/20)
			for _, op := range a.Ops {
				if op.Kind == Put {
					next[op.Key] = op.Value
				}
			}
			states = append(states, next)
		}
		a.End = step
		h.Add(1, *a)
		active[i] = nil
	}
	return h
}

// recent copies the lists of the groups that are in use.
func recent(lists map[string]string, group int) map[string]string {
	c := map[string]string{}
	for k, v := range lists {
		name, _, _ := strings.Cut(k[1:], ".")
		if n, _ := strconv.Atoi(name); n >= group-2 {
			c[k] = v
		}
	}
	return c
}

// TestListRuns: a store that gives what was asked for is right, one that gives less is found out.
func TestListRuns(t *testing.T) {
	weaker := map[Anomaly]int{}
	for _, ask := range []Level{Serializable, Snapshot, ReadCommitted} {
		for give := Serializable; give <= ReadCommitted; give++ {
			found := 0
			for seed := range uint64(60) {
				h := listRun(seed, 100, ask, give)
				got := Cycles(h)
				if len(got) > 0 {
					found++
				}
				for _, v := range got {
					weaker[v.Anomaly]++
					if ask.Allows(v.Anomaly) && v.Anomaly != G2Item { // long ones may be of either sort
						t.Errorf("asked for %s, got %s: %s", ask, give, v.Text)
					}
				}
			}
			if right := give <= ask; right == (found > 0) {
				t.Errorf("asked for %s, got %s: %d of 60 runs are wrong", ask, give, found)
			}
		}
	}
	for _, a := range []Anomaly{LostUpdate, GSingle, GNonadjacent, G2Item} {
		if weaker[a] == 0 {
			t.Errorf("no run has shown %s", a)
		}
	}
}

func BenchmarkCycles100000(b *testing.B) {
	h := listRun(1, 100_000, Serializable, Serializable)
	for b.Loop() {
		if got := Cycles(h); len(got) > 0 {
			b.Fatal(got[0].Text)
		}
	}
}
