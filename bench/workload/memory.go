package workload

func inMemory() []Workload {
	return []Workload{
		{
			Name: "mem-put", Clients: []int{1, 16},
			About:  "single puts of random keys into an empty store in memory",
			Memory: true, every: 4,
			step: putOwn, after: (*client).lastPuts,
		},
		{
			Name: "mem-get", Clients: []int{1, 16},
			About:  "gets of random keys from a store in memory",
			Memory: true, every: 16,
			setup: loadAll, step: getAny,
		},
	}
}
