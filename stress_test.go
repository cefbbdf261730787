package aegis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// Every call of the API from many goroutines at once, with limits so small that everything rotates,
// flushes, merges and evicts all the time. It is made for -race; what it checks by itself is that
// money is neither made nor lost, that no call fails in a way that it must not, that Close ends
// whatever is under way, and that no goroutine stays. AEGIS_STRESS_OPS sets the calls per
// goroutine.

const (
	stressAccounts = 32
	stressMoney    = 1000
)

func TestStress(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		defer crashWatch(t, t.Name(), 120*time.Second)()
		before := runtime.NumGoroutine()
		for round := range 2 {
			limits := crashLimits(rand.New(rand.NewPCG(99, uint64(round))))
			limits.IndexBytes, limits.ChunkBytes = 16<<10, 1<<10
			db := open(aegis.Options{Limits: limits, MemoryBudget: 256 << 10, Compression: aegis.Compression(round + 2)})
			s := &stress{db: db, t: t}
			must(t, s.deposit())
			s.run(crashCount(t, "AEGIS_STRESS_OPS", 150), 8)
			must(t, s.audit())
			must(t, db.Verify(ctx, nil))
			s.closeUnderLoad()
			db = open(aegis.Options{Limits: limits})
			s.db = db
			must(t, s.audit())
			must(t, db.Close())
		}
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			}
		}
	})
}

type stress struct {
	t      *testing.T
	db     *aegis.DB
	blocks sync.Map // aegis.BlockID → data
	loads  atomic.Int64
}

func stressAccount(i int) []byte { return fmt.Appendf(nil, "account%03d", i) }

func (s *stress) deposit() error {
	return s.db.Update(ctx, func(tx *aegis.Tx) error {
		for i := range stressAccounts {
			if err := tx.Put(stressAccount(i), binary.BigEndian.AppendUint64(nil, stressMoney)); err != nil {
				return err
			}
		}
		return nil
	})
}

// audit: the money of all accounts is what was deposited, both ways round.
func (s *stress) audit() error {
	return s.db.View(ctx, func(tx *aegis.Tx) error {
		for _, scan := range []iter.Seq2[[]byte, []byte]{tx.Prefix([]byte("account")), tx.PrefixBackward([]byte("account"))} {
			var sum uint64
			n := 0
			for _, v := range scan {
				sum += binary.BigEndian.Uint64(v)
				n++
			}
			if err := tx.Err(); err != nil {
				return err
			}
			if sum != stressAccounts*stressMoney || n != stressAccounts {
				return fmt.Errorf("%w: %d accounts hold %d", errLoad, n, sum)
			}
		}
		return nil
	})
}

// transfer moves money between two accounts.
func stressTransfer(tx *aegis.Tx, rng *rand.Rand) error {
	from, to := rng.IntN(stressAccounts), rng.IntN(stressAccounts)
	if from == to {
		return nil
	}
	a, err := tx.Get(stressAccount(from))
	if err != nil {
		return err
	}
	b, err := tx.Get(stressAccount(to))
	if err != nil {
		return err
	}
	have := binary.BigEndian.Uint64(a)
	amount := min(have, rng.Uint64N(50))
	return errors.Join(
		tx.Put(stressAccount(from), binary.BigEndian.AppendUint64(nil, have-amount)),
		tx.Put(stressAccount(to), binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(b)+amount)))
}

// run lets workers make count calls each.
func (s *stress) run(count, workers int) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 5))
			for range count {
				if err := s.call(rng); err != nil && !stressExpected(err) {
					s.t.Errorf("worker %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// stressExpected are the errors that contention, and contexts that end, may give.
func stressExpected(err error) bool {
	return errors.Is(err, aegis.ErrConflict) || errors.Is(err, aegis.ErrNotFound) || errors.Is(err, aegis.ErrKeyspaceExists) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// call makes one call, with a context that may end in the middle.
func (s *stress) call(rng *rand.Rand) error {
	ctx := ctx
	if rng.IntN(8) == 0 {
		short, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
		defer cancel()
		ctx = short
	}
	key := fmt.Appendf(nil, "key%03d", rng.IntN(300))
	switch rng.IntN(20) {
	case 0:
		return s.db.Put(ctx, key, bytes.Repeat(key, rng.IntN(60)))
	case 1:
		return s.db.Delete(ctx, key)
	case 2:
		_, err := s.db.Get(ctx, key)
		return err
	case 3, 4, 5:
		return s.db.Update(ctx, func(tx *aegis.Tx) error { return stressTransfer(tx, rng) })
	case 6, 7:
		return s.audit()
	case 8:
		return s.begin(ctx, rng, key)
	case 9:
		return s.async(ctx, rng)
	case 10:
		return s.keyspaces(ctx, rng, key)
	case 11, 12:
		return s.block(ctx, rng)
	case 13:
		return s.bulk(ctx, rng)
	case 14:
		return s.db.Checkpoint(ctx)
	case 15:
		return s.db.Sync(ctx)
	case 16:
		return s.db.Compact(ctx, func(aegis.Progress) {})
	case 17:
		_, err := s.db.Stats(ctx)
		return err
	case 18:
		if rng.IntN(4) > 0 {
			return nil
		}
		return s.db.Verify(ctx, func(aegis.Progress) {})
	default:
		_ = s.db.Seq()
		_ = s.db.String()
		return nil
	}
}

// begin is a transaction by hand at some level, which may be rolled back.
func (s *stress) begin(ctx context.Context, rng *rand.Rand, key []byte) error {
	o := aegis.TxOptions{Isolation: aegis.Isolation(rng.IntN(3)), Durability: aegis.WithDurability(aegis.Durability(rng.IntN(2))), ReadOnly: rng.IntN(4) == 0}
	tx, err := s.db.Begin(ctx, o)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for k := range tx.RangeBackward(nil, key) {
		if rng.IntN(20) == 0 || o.ReadOnly {
			break
		}
		if bytes.HasPrefix(k, []byte("key")) {
			if err := tx.Delete(k); err != nil {
				return err
			}
		}
	}
	if !o.ReadOnly {
		if err := tx.Put(key, key); err != nil {
			return err
		}
	}
	if rng.IntN(3) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}

func (s *stress) async(ctx context.Context, rng *rand.Rand) error {
	var pending []*aegis.Pending
	var first error
	for range 1 + rng.IntN(5) {
		tx, err := s.db.Begin(ctx, aegis.TxOptions{})
		if err != nil {
			return err
		}
		if err := stressTransfer(tx, rng); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		p, err := tx.CommitAsync()
		if err != nil {
			return err
		}
		pending = append(pending, p)
	}
	for _, p := range pending {
		if err := p.Wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *stress) keyspaces(ctx context.Context, rng *rand.Rand, key []byte) error {
	name := fmt.Sprintf("space%d", rng.IntN(4))
	return s.db.Update(ctx, func(tx *aegis.Tx) error {
		k, err := tx.Keyspace(name)
		if errors.Is(err, aegis.ErrNotFound) {
			k, err = tx.CreateKeyspace(name, aegis.KeyspaceOptions{Compression: aegis.Compression(rng.IntN(4))})
		}
		if err != nil {
			return err
		}
		for range 10 {
			if err := k.Put(fmt.Appendf(key, "%d", rng.IntN(50)), bytes.Repeat(key, 10)); err != nil {
				return err
			}
		}
		for range k.Range(nil, nil) {
		}
		if rng.IntN(3) == 0 {
			return tx.DropKeyspace(name)
		}
		_, err = tx.Keyspaces()
		return err
	})
}

func (s *stress) block(ctx context.Context, rng *rand.Rand) error {
	data := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(3000))
	id, err := s.db.WriteBlock(ctx, aegis.NewBlock(data).WithCompression(aegis.Compression(1+rng.IntN(3))))
	if err == nil {
		s.blocks.Store(id, data)
	}
	s.blocks.Range(func(known, want any) bool {
		id := known.(aegis.BlockID)
		var b *aegis.Block
		if b, err = s.db.ReadBlock(ctx, id); err == nil && !bytes.Equal(b.Data(), want.([]byte)) {
			err = fmt.Errorf("%w: block %d has other data", errLoad, id)
		}
		if rng.IntN(2) == 0 && err == nil {
			s.blocks.Delete(id)
			err = s.db.DeleteBlock(ctx, id)
		}
		return rng.IntN(4) > 0 && err == nil
	})
	return err
}

func (s *stress) bulk(ctx context.Context, rng *rand.Rand) error {
	if rng.IntN(4) > 0 {
		return nil
	}
	name := fmt.Sprintf("bulk%d", s.loads.Add(1))
	n := rng.IntN(500)
	_, err := s.db.BulkLoad(ctx, name, aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range n {
			if !yield(tailKey(i), tailValue(i)) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return s.db.View(ctx, func(tx *aegis.Tx) error {
		k, err := tx.Keyspace(name)
		if err != nil {
			return fmt.Errorf("%w: loaded keyspace: %w", errLoad, err)
		}
		seen := 0
		for range k.Range(nil, nil) {
			seen++
		}
		if tx.Err() == nil && seen != n {
			return fmt.Errorf("%w: loaded keyspace has %d of %d entries", errLoad, seen, n)
		}
		return tx.Err()
	})
}

// closeUnderLoad closes while workers go on: what they have handed over ends, then they get
// ErrClosed.
func (s *stress) closeUnderLoad() {
	var wg sync.WaitGroup
	var calls atomic.Int64
	for w := range 6 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 6))
			for {
				calls.Add(1)
				err := s.call(rng)
				if errors.Is(err, aegis.ErrClosed) {
					return
				}
				if err != nil && !stressExpected(err) {
					s.t.Errorf("while closing: %v", err)
					return
				}
			}
		})
	}
	for calls.Load() < 100 {
		runtime.Gosched()
	}
	if err := s.db.Close(); err != nil {
		s.t.Errorf("Close: %v", err)
	}
	wg.Wait()
}
