package history

import "slices"

// dependency is why one event comes before another.
type dependency uint8

// The dependencies, as bits.
const (
	ww   dependency = 1 << iota // the other one overwrote what this one had written
	wr                          // the other one read what this one had written
	rw                          // the other one overwrote what this one had read
	time                        // this one had ended before the other one began
	own                         // both are of one transaction
)

// edge is a dependency between two events.
type edge struct {
	from, to  int32
	kind      dependency
	predicate bool  // of rw: a scan found nothing there
	version   int32 // what was written and read; of rw and ww: what was overwritten
	next      int32 // of rw and ww: what took its place
}

// graph is a directed graph of events.
type graph struct {
	nodes int
	edges []edge
	first []int32 // where the edges of a node begin in out
	out   []int32 // edges, by the node that they leave
	work  int     // edges that the search for short cycles may still look at

	back, dist, queue []int32 // of bfs: the edge that led to a node; its distance
}

func (g *graph) node() int32 {
	g.nodes++
	return int32(g.nodes - 1)
}

func (g *graph) add(e edge) {
	if e.from != e.to {
		g.edges = append(g.edges, e)
	}
}

// seal sorts the edges by the node that they leave.
func (g *graph) seal() {
	g.first = make([]int32, g.nodes+1)
	for _, e := range g.edges {
		g.first[e.from+1]++
	}
	for i := range g.nodes {
		g.first[i+1] += g.first[i]
	}
	at := slices.Clone(g.first)
	g.out = make([]int32, len(g.edges))
	for i, e := range g.edges {
		g.out[at[e.from]] = int32(i)
		at[e.from]++
	}
	g.back, g.dist = make([]int32, g.nodes), make([]int32, g.nodes)
	for i := range g.dist {
		g.dist[i] = -1
	}
}

func (g *graph) leaving(n int32) []int32 { return g.out[g.first[n]:g.first[n+1]] }

// components returns the strongly connected components of more than one node, over the edges in
// mask (Tarjan, "Depth-first search and linear graph algorithms", 1972), each sorted.
func (g *graph) components(mask dependency) (list [][]int32) {
	const unseen, done = 0, -1
	order, low, at := make([]int32, g.nodes), make([]int32, g.nodes), make([]int32, g.nodes)
	var path, stack []int32
	count := int32(0)
	enter := func(n int32) {
		count++
		order[n], low[n] = count, count
		path, stack = append(path, n), append(stack, n)
	}
	for root := range int32(g.nodes) {
		if order[root] != unseen {
			continue
		}
		enter(root)
		for len(path) > 0 {
			n := path[len(path)-1]
			if out := g.leaving(n); int(at[n]) < len(out) {
				e := &g.edges[out[at[n]]]
				at[n]++
				switch {
				case e.kind&mask == 0:
				case order[e.to] == unseen:
					enter(e.to)
				case order[e.to] != done:
					low[n] = min(low[n], order[e.to])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				up := path[len(path)-1]
				low[up] = min(low[up], low[n])
			}
			if low[n] != order[n] {
				continue
			}
			from := len(stack) - 1
			for stack[from] != n {
				from--
			}
			found := stack[from:]
			for _, m := range found {
				order[m] = done
			}
			if len(found) > 1 {
				list = append(list, slices.Sorted(slices.Values(found)))
			}
			stack = stack[:from]
		}
	}
	return list
}

// shortest returns the shortest cycle through a component over the edges in mask, as edges; if
// there is one with a single rw edge, the shortest of those. It looks at a limited number of
// starting points in large components.
func (g *graph) shortest(component []int32, mask dependency) []int32 {
	var best []int32
	better := func(p []int32) {
		if p != nil && (best == nil || len(p) < len(best)) {
			best = p
		}
	}
	inside := func(n int32) bool { _, ok := slices.BinarySearch(component, n); return ok }
	if mask&rw != 0 {
		for _, n := range component {
			for _, i := range g.leaving(n) {
				if e := &g.edges[i]; e.kind == rw && inside(e.to) && g.work > 0 {
					if p := g.bfs(e.to, n, mask&^rw, inside, best); p != nil {
						better(append([]int32{i}, p...))
					}
				}
			}
		}
		if best != nil {
			return best
		}
	}
	for _, n := range component {
		if g.work <= 0 && best != nil {
			break
		}
		better(g.bfs(n, n, mask, inside, best))
	}
	return best
}

// bfs returns the edges of a shortest way from one node to another one, or nil. A way from a node to
// itself has at least one edge. Ways that are not shorter than limit are not looked for.
func (g *graph) bfs(from, to int32, mask dependency, inside func(int32) bool, limit []int32) []int32 {
	g.queue = append(g.queue[:0], from)
	g.dist[from] = 0
	found := int32(-1)
	for i := 0; i < len(g.queue) && found < 0; i++ {
		n := g.queue[i]
		if limit != nil && int(g.dist[n])+1 >= len(limit) {
			break
		}
		for _, j := range g.leaving(n) {
			g.work--
			e := &g.edges[j]
			if e.kind&mask == 0 || !inside(e.to) {
				continue
			}
			if e.to == to {
				found = j
				break
			}
			if g.dist[e.to] < 0 {
				g.dist[e.to], g.back[e.to] = g.dist[n]+1, j
				g.queue = append(g.queue, e.to)
			}
		}
	}
	for _, n := range g.queue {
		g.dist[n] = -1
	}
	if found < 0 {
		return nil
	}
	way := []int32{found}
	for n := g.edges[found].from; n != from; n = g.edges[g.back[n]].from {
		way = append(way, g.back[n])
	}
	slices.Reverse(way)
	return way
}
