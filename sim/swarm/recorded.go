package swarm

import (
	"errors"
	"slices"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/history"
)

// recorded is a transaction, and the record of it.
type recorded struct {
	s          *swarm
	l          *sim.Life
	client     string
	tx         history.Tx
	real       *aegis.Tx
	spaces     map[string]*aegis.Keyspace // opened by this transaction, but the default one
	committing bool                       // Commit was called
	sent       bool                       // its commit was seen on its way
	names      string                     // a bulk load: the keyspace that its commit names
}

// begin records the beginning of a transaction; real is set once there is one.
func (s *swarm) begin(c *sim.Client, client int, level history.Level) *recorded {
	s.nextTx++
	r := &recorded{s: s, l: c.Life(), client: c.Name(), tx: history.Tx{
		ID: s.nextTx, Client: client, Level: level, Begin: c.Life().Step(), Snapshot: history.NoSeq,
	}}
	s.open = append(s.open, r)
	return r
}

// started takes over the transaction that Begin answered.
func (r *recorded) started(tx *aegis.Tx) {
	r.real = tx
	r.tx.Snapshot = tx.ReadSeq()
	r.s.newest = max(r.s.newest, r.tx.Snapshot)
}

// end records how the transaction ended. outcome is that of its commit, or Refused.
func (r *recorded) end(outcome history.Outcome) {
	s := r.s
	i := slices.Index(s.open, r)
	s.open = slices.Delete(s.open, i, i+1)
	r.tx.Outcome, r.tx.End = outcome, r.l.Step()
	r.tx.Acked = outcome == history.Committed
	if outcome == history.Refused {
		r.tx.Seq = 0
	}
	if r.real != nil && outcome == history.Committed && r.real.CommitSeq() > 0 {
		r.tx.Seq = r.real.CommitSeq()
	}
	s.acked = max(s.acked, r.tx.Seq)
	s.promiseNothing(&r.tx)
	s.history.Add(r.l.Number(), r.tx)
}

// promiseNothing makes of a transaction without a log one that is lost unless a checkpoint covers it.
func (s *swarm) promiseNothing(tx *history.Tx) {
	if s.noLog {
		tx.NoSync, tx.Waited = true, false
	}
}

// space returns the keyspace with this name, opening it at its first use. nil: it is not there.
func (r *recorded) space(name string) (*aegis.Keyspace, error) {
	if name == "" {
		name = aegis.DefaultKeyspaceName
	}
	if k := r.spaces[name]; k != nil {
		return k, nil
	}
	k, err := r.real.Keyspace(name)
	if name == aegis.DefaultKeyspaceName || err != nil && !errors.Is(err, aegis.ErrNotFound) {
		return k, err
	}
	r.op(history.Op{Kind: history.OpenSpace, Space: name, Found: err == nil})
	if err != nil {
		return nil, nil
	}
	r.remember(name, k)
	return k, nil
}

func (r *recorded) remember(name string, k *aegis.Keyspace) {
	if r.spaces == nil {
		r.spaces = map[string]*aegis.Keyspace{}
	}
	r.spaces[name] = k
}

// op records an operation that was answered.
func (r *recorded) op(op history.Op) {
	// In a named keyspace one operation reads more than once: the catalog, and what it is asked for.
	if op.At = history.NoSeq; r.tx.Level == history.ReadCommitted && op.Space == "" {
		op.At = r.real.ReadSeq()
	}
	r.tx.Ops = append(r.tx.Ops, op)
	r.tell(&op)
}

// tell adds an operation to the trace.
func (r *recorded) tell(op *history.Op) {
	if r.l.Traced() {
		r.l.Logf("T%d %s", r.tx.ID, describe(op))
	}
}

// get reads a key. found is false for one that is absent, and for a keyspace that is.
func (r *recorded) get(space, key string) (value string, found bool, err error) {
	k, err := r.space(space)
	if err != nil || k == nil {
		return "", false, err
	}
	v, err := k.Get([]byte(key))
	if err != nil && !errors.Is(err, aegis.ErrNotFound) {
		return "", false, err
	}
	r.op(history.Op{Kind: history.Get, Space: space, Key: key, Value: string(v), Found: err == nil})
	return string(v), err == nil, nil
}

func (r *recorded) put(space, key, value string) error {
	k, err := r.space(space)
	if err != nil || k == nil {
		return err
	}
	if err := k.Put([]byte(key), []byte(value)); err != nil {
		return err
	}
	r.op(history.Op{Kind: history.Put, Space: space, Key: key, Value: value})
	return nil
}

func (r *recorded) del(space, key string) error {
	k, err := r.space(space)
	if err != nil || k == nil {
		return err
	}
	if err := k.Delete([]byte(key)); err != nil {
		return err
	}
	r.op(history.Op{Kind: history.Delete, Space: space, Key: key})
	return nil
}

// scan reads lo ≤ key < hi (no end if it is empty) and stops after limit pairs (0: it does not).
// each, if not nil, is called between two pairs.
func (r *recorded) scan(space, lo, hi string, reverse bool, limit int, each func()) error {
	k, err := r.space(space)
	if err != nil || k == nil {
		return err
	}
	op := history.Op{Kind: history.Scan, Space: space, Key: lo, Hi: hi, Reverse: reverse}
	var to []byte
	if hi != "" {
		to = []byte(hi)
	}
	pairs := k.Range([]byte(lo), to)
	if reverse {
		pairs = k.RangeBackward([]byte(lo), to)
	}
	at := len(r.tx.Ops)
	for key, value := range pairs {
		op.Pairs = append(op.Pairs, history.Pair{Key: string(key), Value: string(value)})
		if limit > 0 && len(op.Pairs) == limit {
			op.Stopped = true
			break
		}
		if each != nil {
			each()
		}
	}
	if err := r.real.Err(); err != nil {
		return err
	}
	// The scan saw what was written before its loop began, so that is where it stands.
	if op.At = history.NoSeq; r.tx.Level == history.ReadCommitted && space == "" && each == nil {
		op.At = r.real.ReadSeq()
	}
	r.tx.Ops = slices.Insert(r.tx.Ops, at, op)
	r.tell(&op)
	return nil
}

// create makes a keyspace.
func (r *recorded) create(name string) error {
	k, err := r.real.CreateKeyspace(name, aegis.KeyspaceOptions{})
	if err != nil && !errors.Is(err, aegis.ErrKeyspaceExists) {
		return err
	}
	if err != nil {
		r.op(history.Op{Kind: history.OpenSpace, Space: name, Found: true})
		return nil
	}
	r.op(history.Op{Kind: history.CreateSpace, Space: name})
	r.remember(name, k)
	return nil
}

// drop removes a keyspace.
func (r *recorded) drop(name string) error {
	err := r.real.DropKeyspace(name)
	if err != nil && !errors.Is(err, aegis.ErrNotFound) {
		return err
	}
	if err != nil {
		r.op(history.Op{Kind: history.OpenSpace, Space: name})
		return nil
	}
	r.op(history.Op{Kind: history.DropSpace, Space: name, Found: true})
	delete(r.spaces, name)
	return nil
}
