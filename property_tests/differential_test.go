package propertytests

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/sim"
)

// One plan, four worlds: a map, a store in memory, a store on real files, both under real
// goroutines, and a store on the simulated disk under the simulator's scheduler. All of them answer
// the same, operation for operation.

// stage is one step of a plan: a transaction, or what an operator does.
type stage struct {
	does     string // "transact", "checkpoint", "compact", "sync", "reopen"
	moves    []move
	rollback bool
}

// move is one operation of a transaction.
type move struct {
	does    string // "get", "put", "delete", "scan", "scan back"
	key, to string // to: the end of a scan; "" is the end of all keys
	value   string
}

func drawStages(t *rapid.T) []stage {
	key := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("key %02d", rapid.IntRange(0, 40).Draw(t, "n"))
	})
	drawMove := rapid.Custom(func(t *rapid.T) move {
		m := move{does: rapid.SampledFrom([]string{"put", "put", "put", "get", "delete", "scan", "scan back"}).Draw(t, "does"), key: key.Draw(t, "key")}
		switch {
		case m.does == "put":
			m.value = fmt.Sprintf("%d %s", rapid.IntRange(0, 1000).Draw(t, "value"), strings.Repeat("x", rapid.SampledFrom([]int{0, 5, 100, 400}).Draw(t, "size")))
		case strings.HasPrefix(m.does, "scan") && rapid.Bool().Draw(t, "bounded"):
			m.to = key.Draw(t, "to")
		}
		return m
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) stage {
		s := stage{does: rapid.SampledFrom([]string{"transact", "transact", "transact", "transact", "checkpoint", "compact", "sync", "reopen"}).Draw(t, "does")}
		if s.does == "transact" {
			s.moves = rapid.SliceOfN(drawMove, 1, 10).Draw(t, "moves")
			s.rollback = rapid.IntRange(0, 5).Draw(t, "rollback") == 5
		}
		return s
	}), 1, 25).Draw(t, "stages")
}

// inModel is what a map answers.
func inModel(stages []stage) (answers []string) {
	state, commits := map[string]string{}, 0
	for _, s := range stages {
		if s.does != "transact" {
			answers = append(answers, s.does+": <nil>")
			continue
		}
		own, writes := maps.Clone(state), 0
		for _, m := range s.moves {
			answers = append(answers, m.inMap(own, &writes))
		}
		switch {
		case s.rollback:
			answers = append(answers, "rolled back: <nil>")
			continue
		case writes > 0:
			commits++
		}
		state = own
		answers = append(answers, fmt.Sprintf("committed, newest %d: <nil>", commits))
	}
	return append(answers, scanned(slices.Sorted(maps.Keys(state)), state, "", ""))
}

func (m move) inMap(state map[string]string, writes *int) string {
	keys := slices.Sorted(maps.Keys(state))
	switch m.does {
	case "put":
		state[m.key] = m.value
		*writes++
		return "put: <nil>"
	case "delete":
		delete(state, m.key)
		*writes++
		return "delete: <nil>"
	case "get":
		v, found := state[m.key]
		return fmt.Sprintf("get: %q, %t", v, found)
	case "scan back":
		slices.Reverse(keys)
	}
	return scanned(keys, state, m.key, m.to)
}

func scanned(keys []string, state map[string]string, from, to string) string {
	var b strings.Builder
	for _, k := range keys {
		if k >= from && (to == "" || k < to) {
			fmt.Fprintf(&b, "%q=%q ", k, state[k])
		}
	}
	return b.String() + "<nil>"
}

// inStore is what a store answers. open opens it again and again.
func inStore(stages []stage, open func() (*aegis.DB, error)) (answers []string, err error) {
	db, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, s := range stages {
		switch s.does {
		case "transact":
			own, err := s.transact(db)
			if answers = append(answers, own...); err != nil {
				return answers, err
			}
			continue
		case "checkpoint":
			err = db.Checkpoint(ctx)
		case "compact":
			err = db.Compact(ctx, nil)
		case "sync":
			err = db.Sync(ctx)
		case "reopen":
			if err = db.Close(); err != nil {
				return answers, err
			}
			again, err := open()
			if err != nil {
				return answers, err
			}
			db = again
		}
		answers = append(answers, fmt.Sprintf("%s: %v", s.does, err))
	}
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	if err != nil {
		return answers, err
	}
	defer tx.Rollback()
	answers = append(answers, (move{does: "scan"}).inTx(tx))
	return answers, db.Verify(ctx, nil)
}

func (s stage) transact(db *aegis.DB) (answers []string, err error) {
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	for _, m := range s.moves {
		answers = append(answers, m.inTx(tx))
	}
	if s.rollback {
		return append(answers, fmt.Sprintf("rolled back: %v", tx.Rollback())), nil
	}
	err = tx.Commit()
	return append(answers, fmt.Sprintf("committed, newest %d: %v", db.Seq(), err)), nil
}

func (m move) inTx(tx *aegis.Tx) string {
	var to []byte
	if m.to != "" {
		to = []byte(m.to)
	}
	pairs := tx.Range([]byte(m.key), to)
	switch m.does {
	case "put":
		return fmt.Sprintf("put: %v", tx.Put([]byte(m.key), []byte(m.value)))
	case "delete":
		return fmt.Sprintf("delete: %v", tx.Delete([]byte(m.key)))
	case "get":
		v, err := tx.Get([]byte(m.key))
		if err != nil && !errors.Is(err, aegis.ErrNotFound) {
			return err.Error()
		}
		return fmt.Sprintf("get: %q, %t", v, err == nil)
	case "scan back":
		pairs = tx.RangeBackward([]byte(m.key), to)
	}
	var b strings.Builder
	for k, v := range pairs {
		fmt.Fprintf(&b, "%q=%q ", k, v)
	}
	return b.String() + fmt.Sprint(tx.Err())
}

// inSimulator runs the plan in one life without a crash.
func inSimulator(stages []stage, o aegis.Options, plan sim.Plan) (answers []string, err error) {
	subject := func() func(*sim.Life) {
		return func(l *sim.Life) {
			if l.Last() {
				return
			}
			l.Go("client", func(*sim.Client) {
				answers, err = inStore(stages, func() (*aegis.DB, error) {
					own := o
					own.Backend, own.Runtime = l.Options().Backend, l.Options().Runtime
					return aegis.Open("", &own)
				})
			})
		}
	}
	plan.Lives, plan.Ends = 1, []sim.End{{Life: 1, Kind: sim.Kill}}
	res, failed := sim.Execute(plan, subject, sim.Fast)
	if failed == nil && res.Failure != nil {
		failed = res.Failure
	}
	return answers, errors.Join(err, failed)
}

// world is where a plan runs.
type world struct {
	name string
	run  func() ([]string, error)
}

const onFiles = "the store on files"

// TestDifferential runs plans in all worlds.
func TestDifferential(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		stages, options := drawStages(t), drawOptions(t)
		options.Durability = aegis.Sync // so that Seq, what readers see, is the last commit
		plan := drawPlan(t, []string{"kind", "sector", "torn", "slow"}, 0)
		memory := backends.NewMemory()
		runs++
		worlds := []world{
			{"the store in memory", func() ([]string, error) {
				return inStore(stages, func() (*aegis.DB, error) {
					own := options
					own.Backend = memory
					return aegis.Open("", &own)
				})
			}},
			{onFiles, func() ([]string, error) {
				return inStore(stages, func() (*aegis.DB, error) {
					own := options
					return aegis.Open(fmt.Sprintf("%s/%d", dir, runs), &own)
				})
			}},
			{"the store in the simulator", func() ([]string, error) { return inSimulator(stages, options, plan) }},
		}
		if !rapid.SampledFrom([]bool{false, false, true}).Draw(t, "files") { // their syncs take longest
			worlds = slices.DeleteFunc(worlds, func(w world) bool { return w.name == onFiles })
		}
		want := inModel(stages)
		for _, w := range worlds {
			got, err := w.run()
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("%s, answer %d of %d: %.200q, the model's is %.200q (%v)", w.name, i, len(want), append(got, "none")[min(i, len(got))], want[i], err)
				}
			}
			if err != nil {
				t.Fatalf("%s: %v", w.name, err)
			}
		}
	})
}
