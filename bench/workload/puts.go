package workload

func puts() []Workload {
	nosync := Workload{
		Name: "put-nosync", Clients: []int{1, 16}, Quick: []int{16},
		About: "single puts of random keys that exist, not synced",
		Start: Copied, From: Loaded, every: 4,
		step: putOwn, after: (*client).lastPuts,
	}
	durable := nosync
	durable.Name, durable.About = "put-durable", "single puts of random keys that exist, each synced"
	durable.Clients, durable.Quick = []int{1, 16, 64, 256}, []int{1, 16}
	durable.durable, durable.every = true, 1
	return []Workload{nosync, durable}
}

// putOwn puts a random key that no other client puts.
func putOwn(c *client) (int, error) {
	index := c.ownIndex()
	if err := c.put(index); err != nil {
		return 0, err
	}
	c.remember(index)
	return 1, nil
}
