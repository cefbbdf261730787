package workload

func growth() []Workload {
	load := Workload{
		Name: string(Grown), Clients: []int{1}, Growth: true,
		About: "load without compression: rate, bytes written, and disk space while loading",
		plain: true, fixed: true, settle: true,
		begin: beginBatch, step: loadBatch, finish: syncStore, check: checkLoaded,
	}
	read := Workload{
		Name: "growth-get", Clients: []int{1, 16}, Growth: true,
		About: "gets of random keys from a settled store; disk space when settled",
		Start: Shared, From: Grown, plain: true, every: 4, step: getAny,
	}
	read.ByClients = true
	scan := read
	scan.ByClients = false
	scan.Name, scan.About, scan.Clients = "growth-scan", "entries from a random key on, 100 each time", []int{1}
	scan.every, scan.begin, scan.step = 1, beginSeek, seekSome
	open := Workload{
		Name: "growth-open", Clients: []int{1}, Growth: true,
		About: "opening a store that was closed, and a first get; each in a new process",
		Start: Shared, From: Grown, plain: true, Repeats: 3, run: (*Run).opening,
	}
	put := Workload{
		Name: "growth-put", Clients: []int{16}, Growth: true, ByClients: true,
		About: "single puts of random keys that exist, not synced",
		Start: Copied, From: Grown, plain: true, every: 4,
		step: putOwn, after: (*client).lastPuts,
	}
	durable := put
	durable.Name, durable.About = "growth-put-durable", "the same, each synced"
	durable.durable, durable.every = true, 1
	update := Workload{
		Name: "growth-update", Clients: []int{1}, Growth: true,
		About: "puts of random keys that exist, half as many as there are, transactions of 1,000; bytes written until settled",
		Start: Taken, From: Grown, plain: true, fixed: true, settle: true,
		begin: beginBatch, step: updateBatch, finish: syncStore, after: (*client).lastPuts,
	}
	return []Workload{load, read, scan, open, put, durable, update}
}

// updateBatch puts new versions of random keys, until half as many are put as there are keys.
func updateBatch(c *client) (int, error) {
	n := min(len(c.batch), max(1, c.run.Keys/2)-c.next)
	if n == 0 {
		return 0, errDone
	}
	for i := range n {
		index := c.anyIndex()
		c.version++
		c.setPair(&c.batch[i], index, c.version)
		c.remember(index)
	}
	c.next += n
	return n, c.commitBatch(c.batch[:n])
}
