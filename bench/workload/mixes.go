package workload

func mixes() []Workload {
	b := Workload{
		Name: "ycsb-b-nosync", Clients: []int{16}, Quick: []int{16},
		About: "YCSB B: 95 % gets and 5 % puts of existing keys, scrambled zipfian 0.99, not synced",
		Start: Copied, From: Loaded, every: 4, read: true,
		setup: setupMix, step: mixed(0.95),
	}
	bDurable := b
	bDurable.Name, bDurable.About, bDurable.Quick = "ycsb-b-durable", "YCSB B, puts are synced", nil
	bDurable.durable, bDurable.every = true, 1
	a := b
	a.Name, a.About, a.Quick = "ycsb-a-nosync", "YCSB A: 50 % gets and 50 % puts, otherwise as B; not synced", nil
	a.step = mixed(0.5)
	aDurable := a
	aDurable.Name, aDurable.About, aDurable.Quick = "ycsb-a-durable", "YCSB A, puts are synced", []int{16}
	aDurable.durable, aDurable.every = true, 1
	return []Workload{b, bDurable, a, aDurable}
}

func setupMix(r *Run) error {
	r.zipf = newZipf(r.Keys)
	return readThrough(r)
}

// mixed returns a step that reads with a probability, and writes otherwise.
func mixed(reads float64) func(*client) (int, error) {
	return func(c *client) (int, error) {
		read := c.random.Float() < reads
		index := c.run.zipf.index(&c.random)
		if read {
			return 1, c.get(index, c.run.store)
		}
		return 1, c.put(index)
	}
}
