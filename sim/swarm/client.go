package swarm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/history"
)

// client runs operations until it has done enough. number tells it from others of its life.
func (s *swarm) client(c *sim.Client, number int) {
	for c.Next() {
		switch n := c.Intn(20); {
		case n < 6:
			s.update(c, number)
		case n < 15:
			s.byHand(c, number)
		case n < 17:
			s.view(c, number)
		case n < 18:
			s.getOnce(c, number)
		default:
			s.special(c, number)
		}
	}
}

// special is an operation of the run's mode.
func (s *swarm) special(c *sim.Client, number int) {
	switch c.Life().Mode() {
	case Bulk:
		s.bulkLoad(c, number)
	case Large:
		s.blocks.use(s, c)
	default:
		s.byHand(c, number)
	}
}

// levels are those of read-write transactions, in both worlds.
var levels = []struct {
	of   history.Level
	real aegis.Isolation
}{{history.Serializable, aegis.Serializable}, {history.Snapshot, aegis.Snapshot}, {history.ReadCommitted, aegis.ReadCommitted}}

// options draws a transaction's.
func (s *swarm) txOptions(c *sim.Client) (aegis.TxOptions, history.Level) {
	level := 0
	if n := c.Life().Intn("levels", 4); n > 0 { // in one of four runs all are serializable
		level = c.Intn(min(n+1, 3))
	}
	o := aegis.TxOptions{Isolation: levels[level].real}
	switch c.Life().Intn("durabilities", 4) {
	case 0:
		o.Durability = aegis.WithDurability(aegis.Durability(c.Intn(2)))
	case 1:
		o.Durability = aegis.WithDurability(aegis.Sync)
	}
	return o, levels[level].of
}

// noSyncOf reports whether a transaction with these options is answered before it is durable.
func (s *swarm) noSyncOf(o aegis.TxOptions, l *sim.Life) bool {
	if o.Durability != nil {
		return *o.Durability == aegis.NoSync
	}
	return l.Intn("nosync", 3) == 0
}

// update runs a closure with its retries. Each attempt is a transaction.
func (s *swarm) update(c *sim.Client, number int) {
	o, level := s.txOptions(c)
	noSync := s.noSyncOf(o, c.Life())
	s.noSync = s.noSync || noSync
	giveUp := c.Intn(8) == 0
	c.Does("Update, %s", level)
	var r *recorded
	err := s.db.UpdateWith(c.Context(), o, func(tx *aegis.Tx) error {
		if r != nil {
			r.end(history.Refused)
		}
		r = s.begin(c, number, level)
		r.started(tx)
		if err := s.operations(c, r, 1+c.Intn(5)); err != nil {
			return err
		}
		if giveUp {
			return errOwn
		}
		r.committing = true
		r.tx.NoSync = noSync
		return nil
	})
	if r == nil {
		s.outcome(c.Life(), 0, err)
		c.Did("%v", err)
		return
	}
	outcome := s.outcome(c.Life(), r.tx.Begin, err)
	r.tx.Waited = !noSync && (err == nil || errors.Is(err, errOwn) && !errors.Is(err, aegis.ErrPoisoned) && errors.Unwrap(err) == nil)
	r.end(outcome)
	c.Did("T%d %s as %d: %v", r.tx.ID, outcome, r.tx.Seq, err)
}

// byHand holds a transaction by Begin, and ends it in one of the ways there are.
func (s *swarm) byHand(c *sim.Client, number int) {
	o, level := s.txOptions(c)
	noSync := s.noSyncOf(o, c.Life())
	s.noSync = s.noSync || noSync
	ctx := c.Context()
	if c.Intn(12) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = c.WithTimeout(time.Duration(1+c.Intn(2000)) * time.Microsecond)
		defer cancel()
	}
	r := s.begin(c, number, level)
	tx, err := s.db.Begin(ctx, o)
	if err != nil {
		r.end(s.outcome(c.Life(), r.tx.Begin, err))
		return
	}
	defer tx.Rollback()
	r.started(tx)
	r.tx.NoSync = noSync
	c.Does("T%d begins at %d, %s", r.tx.ID, r.tx.Snapshot, level)
	if err := s.operations(c, r, 1+c.Intn(6)); err != nil {
		s.outcome(c.Life(), r.tx.Begin, err)
		r.end(history.Refused)
		c.Did("T%d: %v", r.tx.ID, err)
		return
	}
	switch n := c.Intn(10); {
	case n < 7:
		r.committing = true
		err = tx.Commit()
		outcome := s.outcome(c.Life(), r.tx.Begin, err)
		r.tx.Waited = !noSync && err == nil
		r.end(outcome)
		c.Did("T%d commits: %s as %d: %v", r.tx.ID, outcome, r.tx.Seq, err)
	case n < 8:
		_ = tx.Rollback()
		r.end(history.Refused)
		c.Did("T%d is rolled back", r.tx.ID)
	default:
		s.async(c, r, tx)
	}
}

// async hands the commit over, does something else, and waits for it, or never does.
func (s *swarm) async(c *sim.Client, r *recorded, tx *aegis.Tx) {
	r.committing = true
	p, err := tx.CommitAsync()
	if err != nil {
		r.end(s.outcome(c.Life(), r.tx.Begin, err))
		return
	}
	switch c.Intn(4) {
	case 0: // it stays open: when the life ends, its outcome is unknown; what comes next is another session's
		r.tx.Client = int(-r.tx.ID)
		c.Did("T%d is handed over, and abandoned", r.tx.ID)
		return
	case 1:
		c.Sleep(time.Duration(c.Intn(300)) * time.Microsecond)
	default:
		c.Yield()
	}
	err = p.Wait(c.Context())
	outcome := s.outcome(c.Life(), r.tx.Begin, err)
	if outcome == history.Committed {
		r.tx.Seq = p.CommitSeq()
	}
	r.end(outcome)
	c.Did("T%d, handed over, %s as %d: %v", r.tx.ID, outcome, r.tx.Seq, err)
}

// view reads in a read-only transaction.
func (s *swarm) view(c *sim.Client, number int) {
	r := s.begin(c, number, history.ReadOnly)
	// Without a commit that did not wait for its sync, all that can be seen is durable.
	r.tx.Waited = !s.noSync
	err := s.db.View(c.Context(), func(tx *aegis.Tx) error {
		r.started(tx)
		c.Does("T%d reads at %d", r.tx.ID, r.tx.Snapshot)
		for range 1 + c.Intn(4) {
			if err := s.read(c, r); err != nil {
				return err
			}
		}
		return nil
	})
	if outcome := s.outcome(c.Life(), r.tx.Begin, err); outcome != history.Committed || s.noSync {
		r.tx.Waited = false
	}
	outcome := history.Committed
	if err != nil {
		outcome = history.Refused
	}
	r.end(outcome)
	c.Did("T%d ends: %v", r.tx.ID, err)
}

// getOnce is a Get without a transaction.
func (s *swarm) getOnce(c *sim.Client, number int) {
	key := s.key(c)
	r := s.begin(c, number, history.ReadOnly)
	v, err := s.db.Get(c.Context(), []byte(key))
	if err != nil && !errors.Is(err, aegis.ErrNotFound) {
		s.outcome(c.Life(), r.tx.Begin, err)
		r.end(history.Refused)
		return
	}
	r.op(history.Op{Kind: history.Get, Key: key, Value: string(v), Found: err == nil})
	r.end(history.Committed)
	c.Did("Get %s: %d bytes, %v", key, len(v), err)
}

// operations does n things in a transaction.
func (s *swarm) operations(c *sim.Client, r *recorded, n int) error {
	for i := range n {
		if err := s.operation(c, r, i); err != nil {
			return err
		}
		if c.Intn(4) == 0 {
			c.Yield()
		}
	}
	return nil
}

func (s *swarm) operation(c *sim.Client, r *recorded, i int) error {
	mode := c.Life().Mode()
	if mode == Lists {
		return s.listOperation(c, r)
	}
	if (mode == Keyspaces || mode == Bulk) && c.Intn(6) == 0 {
		name := s.spaceToChange(c)
		if c.Intn(3) == 0 {
			return r.drop(name)
		}
		return r.create(name)
	}
	switch n := c.Intn(10); {
	case n < 4:
		return r.put(s.space(c), s.key(c), s.value(c, r, i))
	case n < 5:
		return r.del(s.space(c), s.key(c))
	default:
		return s.read(c, r)
	}
}

// read gets a key, or scans.
func (s *swarm) read(c *sim.Client, r *recorded) error {
	if c.Life().Mode() == Lists || c.Intn(3) > 0 {
		_, _, err := r.get(s.space(c), s.key(c))
		return err
	}
	lo, hi := "", ""
	if c.Intn(3) > 0 {
		lo = s.key(c)
	}
	if c.Intn(3) > 0 {
		hi = s.key(c)
	}
	var each func()
	if c.Intn(4) == 0 {
		each = c.Yield
	}
	return r.scan(s.space(c), lo, hi, c.Intn(2) == 0, c.Intn(3)*c.Intn(6), each)
}

// listOperation reads a list, or appends to it.
func (s *swarm) listOperation(c *sim.Client, r *recorded) error {
	key := s.key(c)
	list, _, err := r.get("", key)
	if err != nil || c.Intn(3) == 0 {
		return err
	}
	return r.put("", key, history.AppendList(list, fmt.Sprintf("%d.%d", r.tx.ID, len(r.tx.Ops))))
}

// key draws one of few keys, so that transactions meet. Some share long beginnings.
func (s *swarm) key(c *sim.Client) string {
	n := c.Intn([]int{2, 5, 20, 100}[c.Life().Intn("keys", 4)])
	if c.Life().Intn("long keys", 4) == 0 && n%3 == 0 {
		return strings.Repeat("a long beginning ", 8) + fmt.Sprintf("%03d", n)
	}
	return fmt.Sprintf("k%03d", n)
}

// value makes one that no other operation writes.
func (s *swarm) value(c *sim.Client, r *recorded, i int) string {
	v := fmt.Sprintf("T%d.%d ", r.tx.ID, i)
	size := c.Intn([]int{1, 20, 200, 1000, 3000}[c.Life().Intn("values", 5)])
	if c.Life().Mode() == Large && c.Intn(8) == 0 {
		size = 6<<10 + c.Intn(20<<10)
	}
	if c.Intn(40) == 0 {
		return "" // an empty value is a value
	}
	if c.Intn(2) == 0 {
		return v + strings.Repeat("x", size)
	}
	return v + noise(uint64(r.tx.ID), size)
}

// noise is text that does not compress.
func noise(seed uint64, size int) string {
	b := make([]byte, size)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte('0' + seed>>58)
	}
	return string(b)
}

// space draws the keyspace of an operation.
func (s *swarm) space(c *sim.Client) string {
	if m := c.Life().Mode(); m != Keyspaces && m != Bulk || c.Intn(3) == 0 {
		return ""
	}
	return s.spaceToChange(c)
}

func (s *swarm) spaceToChange(c *sim.Client) string { return fmt.Sprintf("space-%d", c.Intn(2)) }
