package workload

import (
	"fmt"

	"github.com/aegis-storage/aegis/bench/engine"
)

const (
	batchPairs = 1000
	batchBytes = 1 << 20 // for large values
)

func loads() []Workload {
	load := Workload{
		Name: "load", Clients: []int{1}, Quick: []int{1},
		About: "all keys in random order, transactions of 1,000, a sync at the end; then close",
		fixed: true,
		begin: beginBatch, step: loadBatch, finish: syncStore, check: checkLoaded,
	}
	settled := load
	settled.Name, settled.About = string(Loaded), "load, and settled before it is closed"
	settled.Hidden, settled.settle, settled.Quick = true, true, nil
	plain := settled
	plain.Name, plain.About, plain.plain = string(LoadedPlain), "the same without compression", true
	killed := Workload{
		Name: string(Killed), About: "200 K single puts and a sync, then it is killed",
		Clients: []int{1}, Hidden: true, Kill: true, maxKeys: killedKeys, run: (*Run).fill,
	}
	return []Workload{load, settled, plain, killed}
}

// beginBatch makes room for a batch.
func beginBatch(c *client) {
	n := min(batchPairs, max(1, batchBytes/(KeyBytes+c.run.ValueBytes)))
	c.batch = make([]engine.Pair, n)
}

// loadBatch writes the next pairs, in the order of indexes, which is a random one of keys.
func loadBatch(c *client) (int, error) {
	n := min(len(c.batch), c.run.Keys-c.next)
	if n == 0 {
		return 0, errDone
	}
	for i := range n {
		c.setPair(&c.batch[i], c.next+i, 0)
	}
	c.next += n
	return n, c.commitBatch(c.batch[:n])
}

func (c *client) setPair(p *engine.Pair, index int, version uint64) {
	p.Key = AppendKey(p.Key[:0], index)
	p.Value = AppendValue(p.Value[:0], p.Key, version, c.run.ValueBytes)
}

func (c *client) commitBatch(pairs []engine.Pair) error {
	if err := c.run.store.Batch(pairs); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	c.pairs += int64(len(pairs))
	return nil
}

func syncStore(r *Run) error {
	if err := r.store.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// checkLoaded reads some of the pairs.
func checkLoaded(r *Run) error {
	const sample = 1000
	for i := range min(sample, r.Keys) {
		if err := r.expect(int(int64(i)*int64(r.Keys)/int64(min(sample, r.Keys))), 0); err != nil {
			return err
		}
	}
	return nil
}

// expect returns an error unless an index has a version.
func (r *Run) expect(index int, version uint64) error {
	key := AppendKey(nil, index)
	value, err := r.store.Get(key, nil)
	if err != nil {
		return fmt.Errorf("get of key %x (index %d): %w", key, index, err)
	}
	if _, err := checkValue(key, value, r.ValueBytes, nil); err != nil {
		return err
	}
	if got := versionOf(key, value); got != version {
		return fmt.Errorf("wrong value: key %x (index %d) has version %d, want %d", key, index, got, version)
	}
	return nil
}

// loadAll writes all pairs, not measured.
func loadAll(r *Run) error {
	c := &client{run: r}
	beginBatch(c)
	for {
		switch _, err := loadBatch(c); err {
		case nil:
		case errDone:
			return r.store.Settle()
		default:
			return err
		}
	}
}

// fill puts all pairs one by one and syncs them. The store stays open, to be killed.
func (r *Run) fill() error {
	if err := r.openStore(); err != nil {
		return err
	}
	c := &client{run: r}
	for i := range r.Keys {
		c.setPut(i, 0)
		if err := r.store.Put(c.key, c.value); err != nil {
			return fmt.Errorf("put: %w", err)
		}
	}
	r.result.Ops = int64(r.Keys)
	return syncStore(r)
}
