package workload

import (
	"fmt"
	"sync"

	"github.com/aegis-storage/aegis/bench/engine"
)

const snapshotGets = 100

func gets() []Workload {
	cached := Workload{
		Name: "get-cached", Clients: []int{1, 16}, Quick: []int{1, 16},
		About: "gets of random keys, all of which fit into the cache",
		Start: Shared, From: Loaded, every: 16, read: true,
		setup: readThrough, step: getAny,
	}
	snapshot := cached
	snapshot.Name, snapshot.About = "get-snapshot", "the same, 100 gets in each snapshot; the latency is that of a snapshot"
	snapshot.Quick, snapshot.every = nil, 1
	snapshot.begin, snapshot.step = beginSnapshot, getSnapshot
	cold := Workload{
		Name: "get-cold", Clients: []int{1, 16}, Quick: []int{16},
		About: "gets of random keys, with a cache of a quarter of the data, compressed, files in memory of the OS",
		Start: Shared, From: Loaded, cacheParts: 4, packs: true, every: 4, read: true,
		step: getAny,
	}
	plain := cold
	plain.Name, plain.About = "get-cold-plain", "the same without compression"
	plain.From, plain.plain, plain.packs, plain.Quick = LoadedPlain, true, false, nil
	return []Workload{cached, snapshot, cold, plain}
}

func getAny(c *client) (int, error) { return 1, c.get(c.anyIndex(), c.run.store) }

func beginSnapshot(c *client) {
	c.viewer = func(snapshot engine.Reader) error {
		for range snapshotGets {
			if err := c.get(c.anyIndex(), snapshot); err != nil {
				return err
			}
		}
		return nil
	}
}

func getSnapshot(c *client) (int, error) { return snapshotGets, c.run.store.View(c.viewer) }

// readThrough reads one in eight pairs, which is nearly every page, so that they are cached. Two
// goroutines share the work.
func readThrough(r *Run) error {
	const parts, stride = 2, 8
	var all sync.WaitGroup
	var errs [parts]error
	for part := range parts {
		all.Go(func() {
			c := &client{run: r}
			for i := part * stride; i < r.Keys && errs[part] == nil; i += parts * stride {
				errs[part] = c.get(i, r.store)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("read through: %w", err)
		}
	}
	return nil
}
