package propertytests

import (
	"errors"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis"
)

// committed tells the model of a commit that was acknowledged.
func (m *machine) committed(d aegis.Durability, ops ...op) {
	m.model.commit(ops...)
	if d == aegis.Sync && !m.options.DisableWAL {
		m.allDurable()
	}
}

func (m *machine) allDurable() { m.model.durable = len(m.model.states) - 1 }

// ended takes a transaction off the list of the open ones.
func (m *machine) ended(r *running) {
	m.open = slices.DeleteFunc(m.open, func(o *running) bool { return o == r })
}

func (m *machine) Commit(t *rapid.T) {
	if len(m.open) == 0 {
		t.Skip("nothing is open")
	}
	m.commit(t, rapid.SampledFrom(m.open).Draw(t, "tx"))
}

func (m *machine) commit(t *rapid.T, r *running) {
	t.Helper()
	conflicts := r.x.conflicts()
	m.outcome(t, r, conflicts, r.tx.Commit())
}

// outcome compares how a commit ended. A transaction that is older than what the engine keeps
// for judging may be refused without need.
func (m *machine) outcome(t *rapid.T, r *running, conflicts bool, err error) {
	t.Helper()
	m.ended(r)
	switch {
	case errors.Is(err, aegis.ErrConflict) && len(r.x.ops) > 0:
		if !conflicts && r.x.begun == len(m.model.states)-1 {
			t.Fatal("a conflict, and nothing was committed since the transaction began")
		}
	case err != nil:
		t.Fatal(err)
	case conflicts:
		t.Fatalf("committed against a conflict: begun at %d of %d, points %v, spans %v, writes %v",
			r.x.begun, len(m.model.states), r.x.points, r.x.spans, r.x.ops)
	case len(r.x.ops) > 0:
		m.committed(aegis.NoSync, r.x.ops...)
	}
}

// CommitAsync hands several over and waits for them afterwards.
func (m *machine) CommitAsync(t *rapid.T) {
	type handed struct {
		r *running
		p *aegis.Pending
	}
	var all []handed
	for _, r := range slices.Clone(m.open) {
		if !rapid.Bool().Draw(t, "this") {
			continue
		}
		p, err := r.tx.CommitAsync()
		must(t, err) // of the conflicts that the client finds by itself only with many commits
		all = append(all, handed{r, p})
	}
	results := make([]error, len(all))
	order := rapid.Permutation(indices(len(all))).Draw(t, "order of waiting")
	for _, i := range order {
		results[i] = all[i].p.Wait(ctx)
	}
	for i, h := range all { // handed over in this order, so applied in it
		m.outcome(t, h.r, h.r.x.conflicts(), results[i])
	}
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func (m *machine) Rollback(t *rapid.T) {
	r := m.pick(t)
	must(t, r.tx.Rollback())
	m.ended(r)
}

func (m *machine) PutByItself(t *rapid.T) {
	key, value := keys.Draw(t, "key"), values.Draw(t, "value")
	must(t, m.db.Put(ctx, key, value))
	m.committed(m.options.Durability, op{kind: opPut, key: string(key), value: string(value)})
}

func (m *machine) DeleteByItself(t *rapid.T) {
	key := keys.Draw(t, "key")
	must(t, m.db.Delete(ctx, key))
	m.committed(m.options.Durability, op{kind: opDelete, key: string(key)})
}

func (m *machine) GetByItself(t *rapid.T) {
	key := keys.Draw(t, "key")
	v, err := m.db.Get(ctx, key)
	want, there := m.model.now().spaces[aegis.DefaultKeyspaceName].data[string(key)]
	compareGet(t, fmt.Sprintf("DB.Get(%q)", key), v, err, want, there)
}

// PutMany fills indexes, so that flushes and merges come.
func (m *machine) PutMany(t *rapid.T) {
	var ops []op
	o := aegis.TxOptions{Isolation: levels.Draw(t, "level")}
	n, value := rapid.IntRange(1, 60).Draw(t, "n"), values.Draw(t, "value")
	value = value[:min(len(value), 300)]
	must(t, m.db.UpdateWith(ctx, o, func(tx *aegis.Tx) error {
		for i := range n {
			key := fmt.Appendf(nil, "key%02d", i*i%97)
			if err := tx.Put(key, value); err != nil {
				return err
			}
			ops = append(ops, op{kind: opPut, key: string(key), value: string(value)})
		}
		return nil
	}))
	m.committed(m.options.Durability, ops...)
}

func (m *machine) Checkpoint(t *rapid.T) {
	must(t, m.db.Checkpoint(ctx))
	m.allDurable()
}

func (m *machine) Compact(t *rapid.T) {
	must(t, m.db.Compact(ctx, func(aegis.Progress) {}))
	m.allDurable()
}

func (m *machine) Sync(t *rapid.T) {
	must(t, m.db.Sync(ctx))
	m.allDurable()
}

func (m *machine) Verify(t *rapid.T) { must(t, m.db.Verify(ctx, nil)) }

func (m *machine) Stats(t *rapid.T) {
	s, err := m.db.Stats(ctx)
	must(t, err)
	must(t, errors.Join(s.Err, s.Tables.LastError))
	if len(s.Snapshots) != len(m.open) {
		t.Fatalf("%d snapshots are open, want %d", len(s.Snapshots), len(m.open))
	}
}

func (m *machine) BulkLoad(t *rapid.T) {
	name := names.Draw(t, "name")
	rows := map[string]string{}
	for range rapid.IntRange(0, 30).Draw(t, "entries") {
		rows[string(keys.Draw(t, "key"))] = string(values.Draw(t, "value"))
	}
	k := &space{id: m.model.nextID, data: rows}
	m.model.nextID++
	sorted := k.rows(nil, nil, false)
	r, err := m.db.BulkLoad(ctx, name, aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for _, p := range sorted {
			if !yield([]byte(p.key), []byte(p.value)) {
				return
			}
		}
	})
	if m.model.now().spaces[name] != nil {
		if !errors.Is(err, aegis.ErrKeyspaceExists) {
			t.Fatalf("BulkLoad(%q) of what is there: %v", name, err)
		}
		return
	}
	must(t, err)
	if int(r.Entries) != len(rows) {
		t.Fatalf("%d entries were loaded, want %d", r.Entries, len(rows))
	}
	ops := []op{{kind: opCreate, id: k.id, name: name}}
	for _, p := range sorted {
		ops = append(ops, op{kind: opPut, id: k.id, key: p.key, value: p.value})
	}
	m.committed(aegis.Sync, ops...)
	m.allDurable()
}

// Reopen closes the store, with transactions open, and opens it with other options.
func (m *machine) Reopen(t *rapid.T) {
	old := m.open
	m.open = nil
	must(t, m.db.Close())
	for _, r := range old {
		if _, err := r.tx.Get(nil); !errors.Is(err, aegis.ErrClosed) {
			t.Fatalf("Get after Close: %v", err)
		}
		must(t, r.tx.Rollback())
	}
	m.start(t)
	m.allDurable()
	s, err := m.db.Stats(ctx)
	must(t, err)
	if !s.Recovery.Clean || s.Recovery.Records != 0 {
		t.Fatalf("recovery after Close: %+v", s.Recovery)
	}
}

// Kill goes on with what the process would leave if it was killed now: the state after some
// commit, and not before the last durable one.
func (m *machine) Kill(t *rapid.T) {
	if m.disk == nil {
		t.Skip("real files")
	}
	left, err := m.disk.kill()
	must(t, err)
	m.open = nil
	must(t, m.db.Close())
	m.disk = left
	m.start(t)
	got, err := dump(m.db, m.model.blockIDs())
	must(t, err)
	for i := len(m.model.states) - 1; i >= m.model.durable; i-- {
		if equal(got, m.model.states[i]) {
			m.model.crashed(i)
			return
		}
	}
	t.Fatalf("after a kill the store holds\n%s\nwant one of the states since\n%s\nup to\n%s", got, m.model.states[m.model.durable], m.model.now())
}
