package propertytests

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aegis-storage/aegis"
)

// bank moves money between accounts. Whatever happens, every transaction sees the same sum.
type bank struct {
	db       *aegis.DB
	accounts int
	sum      int64
}

func account(i int) []byte { return fmt.Appendf(nil, "account %03d", i) }

func balance(v []byte) int64 { return int64(binary.BigEndian.Uint64(v)) }

func money(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// total scans all accounts.
func (k *bank) total(tx *aegis.Tx, backward bool) error {
	loop := tx.Prefix
	if backward {
		loop = tx.PrefixBackward
	}
	n, sum := 0, int64(0)
	for _, v := range loop([]byte("account ")) {
		n++
		sum += balance(v)
	}
	if err := tx.Err(); err != nil {
		return err
	}
	if n != k.accounts || sum != k.sum {
		return fmt.Errorf("%d accounts hold %d, want %d and %d", n, sum, k.accounts, k.sum)
	}
	return nil
}

// transfer moves a random sum between two accounts, and counts it.
func (k *bank) transfer(r *rand.Rand, tx *aegis.Tx, client int) error {
	from, to := r.IntN(k.accounts), r.IntN(k.accounts)
	if from == to {
		to = (to + 1) % k.accounts
	}
	a, err := tx.Get(account(from))
	if err != nil {
		return err
	}
	b, err := tx.Get(account(to))
	if err != nil {
		return err
	}
	n := r.Int64N(10)
	counter := fmt.Appendf(nil, "count %d", client)
	c, err := tx.Get(counter)
	if errors.Is(err, aegis.ErrNotFound) {
		c, err = money(0), nil
	}
	// A padded history makes the log, the indexes and the tables move.
	return errors.Join(err, tx.Put(account(from), money(balance(a)-n)), tx.Put(account(to), money(balance(b)+n)),
		tx.Put(counter, money(balance(c)+1)), tx.Put(fmt.Appendf(nil, "pad %d", r.IntN(50)), make([]byte, r.IntN(300))))
}

// client commits transfers in all the ways that there are.
func (k *bank) client(r *rand.Rand, id, transfers int) error {
	for i := range transfers {
		o := aegis.TxOptions{}
		switch i % 5 {
		case 1:
			o.Isolation = aegis.Snapshot // writes all that it reads
		case 2:
			o.Durability = aegis.WithDurability(aegis.NoSync)
		}
		if err := k.once(r, id, i, o); err != nil {
			return fmt.Errorf("client %d, transfer %d: %w", id, i, err)
		}
	}
	return nil
}

func (k *bank) once(r *rand.Rand, id, i int, o aegis.TxOptions) error {
	if i%5 != 4 {
		return k.db.UpdateWith(ctx, o, func(tx *aegis.Tx) error {
			if i%7 == 0 {
				if err := k.total(tx, i%2 == 0); err != nil {
					return err
				}
			}
			return k.transfer(r, tx, id)
		})
	}
	for { // by hand, and asynchronously
		tx, err := k.db.Begin(ctx, o)
		if err != nil {
			return err
		}
		if err := k.transfer(r, tx, id); err != nil {
			return err
		}
		p, err := tx.CommitAsync()
		if err == nil {
			err = p.Wait(ctx)
		}
		if !errors.Is(err, aegis.ErrConflict) {
			return err
		}
	}
}

// reader checks sums until the clients are done, some of them in transactions that stay open.
func (k *bank) reader(r *rand.Rand, done <-chan struct{}) error {
	old, err := k.db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = old.Rollback() }()
	for i := 0; ; i++ {
		select {
		case <-done:
			return k.total(old, false)
		default:
		}
		if i%20 == 0 {
			if err := errors.Join(k.total(old, false), old.Commit()); err != nil {
				return fmt.Errorf("old reader: %w", err)
			}
			if old, err = k.db.Begin(ctx, aegis.TxOptions{ReadOnly: true}); err != nil {
				return err
			}
		}
		if err := k.db.View(ctx, func(tx *aegis.Tx) error { return k.total(tx, i%2 == 0) }); err != nil {
			return fmt.Errorf("reader: %w", err)
		}
		if _, err := k.db.Get(ctx, account(r.IntN(k.accounts))); err != nil {
			return fmt.Errorf("Get: %w", err)
		}
	}
}

// maintain flushes, merges and verifies until the clients are done.
func (k *bank) maintain(r *rand.Rand, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		default:
		}
		var err error
		switch r.IntN(5) {
		case 0, 1:
			err = k.db.Checkpoint(ctx)
		case 2:
			err = k.db.Compact(ctx, nil)
		case 3:
			err = k.db.Verify(ctx, nil)
		case 4:
			err = k.db.Sync(ctx)
		}
		if err != nil {
			return fmt.Errorf("maintenance: %w", err)
		}
	}
}

func (k *bank) run(seed uint64, clients, transfers int) error {
	var work, rest errgroup.Group
	done := make(chan struct{})
	for i := range 2 {
		rest.Go(func() error { return k.reader(rand.New(rand.NewPCG(seed, uint64(100+i))), done) })
	}
	rest.Go(func() error { return k.maintain(rand.New(rand.NewPCG(seed, 200)), done) })
	for i := range clients {
		work.Go(func() error { return k.client(rand.New(rand.NewPCG(seed, uint64(i))), i, transfers) })
	}
	err := work.Wait()
	close(done)
	return errors.Join(err, rest.Wait())
}

// smallLimits are drawn from a seed, without rapid: these properties are about concurrency.
func smallLimits(r *rand.Rand) *aegis.Limits {
	l := aegis.Limits{
		IndexBytes: 4 << 10 << r.IntN(4), SegmentBytes: 16 << 10 << r.IntN(3), FirstSegment: 16 << 10, LogBytes: 64 << 10 << r.IntN(3),
		TableBytes: 1 << 10 << r.IntN(6), LeafBytes: 64 << r.IntN(6), InnerBytes: 64 << r.IntN(6), FanIn: 2 + r.IntN(3), MaxRuns: 6 + r.IntN(10),
		MergeStep: 1 << 10 << r.IntN(6), ChunkBytes: 256 << r.IntN(3), TurnLimit: []int{3, 16, 256}[r.IntN(3)], Inbox: []int{1, 4, 64}[r.IntN(3)],
		SettleAfter: time.Millisecond << r.IntN(8), RetryInterval: time.Millisecond, SyncInterval: time.Millisecond << r.IntN(5),
	}
	return &l
}

func TestTransfers(t *testing.T) {
	const rounds, reopens, clients, transfers = 4, 3, 6, 40
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		o := aegis.Options{Backend: newDisk(), Limits: smallLimits(r), MemoryBudget: 256 << 10}
		dir := ""
		if seed == rounds-1 {
			dir, o.Backend = t.TempDir(), nil
		}
		k := &bank{accounts: 12, sum: 1200}
		for reopen := range reopens {
			db, err := aegis.Open(dir, &o)
			must(t, err)
			k.db = db
			if reopen == 0 {
				must(t, db.Update(ctx, func(tx *aegis.Tx) error {
					for i := range k.accounts {
						if err := tx.Put(account(i), money(100)); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			if err := k.run(seed*10+uint64(reopen), clients, transfers); err != nil {
				t.Fatalf("seed %d, reopen %d, limits %+v: %v", seed, reopen, *o.Limits, err)
			}
			must(t, db.View(ctx, func(tx *aegis.Tx) error {
				for i := range clients { // nothing was lost
					v, err := tx.Get(fmt.Appendf(nil, "count %d", i))
					if err != nil || balance(v) != int64(transfers*(reopen+1)) {
						return fmt.Errorf("client %d counted %v, %w", i, v, err)
					}
				}
				return k.total(tx, false)
			}))
			must(t, db.Verify(ctx, nil))
			must(t, db.Close())
			o.Limits = smallLimits(r)
			o.DisableWAL = r.IntN(3) == 0
		}
	}
}

// TestCloseUnderLoad: Close beside readers and writers: each call ends, with its result or with
// ErrClosed, and what was acknowledged is there afterwards.
func TestCloseUnderLoad(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		o := aegis.Options{Backend: newDisk(), Limits: smallLimits(r), MemoryBudget: 128 << 10}
		db, err := aegis.Open("", &o)
		must(t, err)
		var group errgroup.Group
		acknowledged := make([]int, 4)
		started := make(chan struct{}, 100)
		for c := range acknowledged {
			group.Go(func() error {
				for i := 0; ; i++ {
					err := db.Put(ctx, fmt.Appendf(nil, "%d/%05d", c, i), make([]byte, 100))
					if errors.Is(err, aegis.ErrClosed) {
						return nil
					}
					if err != nil {
						return err
					}
					acknowledged[c] = i + 1
					select {
					case started <- struct{}{}:
					default:
					}
				}
			})
			group.Go(func() error {
				for {
					err := db.View(context.Background(), func(tx *aegis.Tx) error { return count(tx) })
					if errors.Is(err, aegis.ErrClosed) {
						return nil
					}
					if err != nil {
						return err
					}
				}
			})
		}
		for range 100 {
			<-started
		}
		must(t, db.Close())
		must(t, group.Wait())
		db, err = aegis.Open("", &o)
		must(t, err)
		for c, n := range acknowledged {
			for i := range n {
				if _, err := db.Get(ctx, fmt.Appendf(nil, "%d/%05d", c, i)); err != nil {
					t.Fatalf("seed %d: %d of client %d, acknowledged %d: %v", seed, i, c, n, err)
				}
			}
		}
		must(t, db.Close())
	}
}

// count runs a loop to its end.
func count(tx *aegis.Tx) error {
	for range tx.Range(nil, nil) {
	}
	return tx.Err()
}
