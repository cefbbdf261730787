package workload

import (
	"fmt"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/measure"
)

// client is one goroutine that does operations. It shares nothing with others.
type client struct {
	run     *Run
	id      int
	random  Random
	latency *measure.Latency
	ops     int64
	pairs   int64 // written
	version uint64
	reads   uint64
	key     []byte
	value   []byte
	scratch []byte
	recent  [recentPuts]put // a ring
	batch   []engine.Pair
	next    int // the index from which on a fixed amount of work is left
	move    move
	viewer  func(engine.Reader) error
	mover   func(engine.Tx) error
	visit   visit
	_       [64]byte // its counters are not in the cache line of another client's
}

// put is one that a client did.
type put struct {
	index   int
	version uint64
}

// recentPuts of each client are checked after the measurement.
const recentPuts = 64

func (r *Run) begin() {
	for id := range r.Clients {
		c := &client{
			run: r, id: id, random: NewRandom(1, r.Round, id), latency: measure.NewLatency(),
			// A version of each client's own, above that of the load, which is 0.
			version: uint64(id+1) << 40,
		}
		if r.work.begin != nil {
			r.work.begin(c)
		}
		r.clients = append(r.clients, c)
	}
}

// get reads the value of an index, and checks it: its length always, the rest of one in 64.
func (c *client) get(index int, from getter) error {
	c.key = AppendKey(c.key[:0], index)
	var err error
	if c.value, err = from.Get(c.key, c.value[:0]); err != nil {
		return fmt.Errorf("get of key %x (index %d): %w", c.key, index, err)
	}
	if c.reads++; c.reads%64 == 1 {
		c.scratch, err = checkValue(c.key, c.value, c.run.ValueBytes, c.scratch)
		return err
	}
	if len(c.value) != c.run.ValueBytes {
		return fmt.Errorf("wrong value: %d bytes of key %x (index %d)", len(c.value), c.key, index)
	}
	return nil
}

type getter interface {
	Get(key, dst []byte) ([]byte, error)
}

// put writes a new version of an index.
func (c *client) put(index int) error {
	c.version++
	c.setPut(index, c.version)
	if err := c.run.store.Put(c.key, c.value); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	c.pairs++
	return nil
}

// setPut sets key and value.
func (c *client) setPut(index int, version uint64) {
	c.key = AppendKey(c.key[:0], index)
	c.value = AppendValue(c.value[:0], c.key, version, c.run.ValueBytes)
}

// anyIndex returns an index of all there are.
func (c *client) anyIndex() int { return c.random.Below(c.run.Keys) }

// ownIndex returns an index that no other client draws. The indexes of all clients together are
// uniform.
func (c *client) ownIndex() int {
	share := c.run.Keys / c.run.Clients
	if c.id < c.run.Keys%c.run.Clients {
		share++
	}
	if share == 0 { // more clients than keys
		return c.anyIndex()
	}
	return c.id + c.run.Clients*c.random.Below(share)
}

// remember keeps a put of an own index, to be checked by lastPuts.
func (c *client) remember(index int) {
	c.recent[c.version%recentPuts] = put{index, c.version}
}

// lastPuts checks that what was put last is there: that no put is lost.
func (c *client) lastPuts() error {
	if c.run.Clients > c.run.Keys {
		return nil // they share indexes
	}
	last := map[int]uint64{}
	for _, p := range c.recent {
		if p.version > 0 {
			last[p.index] = max(last[p.index], p.version)
		}
	}
	for index, version := range last {
		key := AppendKey(nil, index)
		value, err := c.run.store.Get(key, nil)
		if err != nil {
			return fmt.Errorf("get of key %x (index %d) after a put: %w", key, index, err)
		}
		if c.scratch, err = checkValue(key, value, c.run.ValueBytes, c.scratch); err != nil {
			return err
		}
		if got := versionOf(key, value); got != version {
			return fmt.Errorf("lost update: key %x (index %d) has version %d, put %d", key, index, got, version)
		}
	}
	return nil
}
