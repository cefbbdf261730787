package flusher

import "slices"

// The layout is that of a lazily leveled LSM tree (Dayan and Idreos, "Dostoevsky", SIGMOD 2018):
// small runs in tiers over one bottom run. FanIn runs of a tier become one of the next; when the
// runs above the bottom hold bottomShare of what it holds, all of them are merged into it.
//
// Write amplification at uniform random keys is then one for the flush, one for each tier that an
// entry climbs, and (1+bottomShare)/bottomShare for the bottom. Three things keep it low:
// everything above the bottom goes along when the bottom is rewritten, so that the newest entries
// never climb; a merge whose result would soon go into the bottom anyway is put off until there
// are more than 5/16 of MaxRuns; and the share is as large as the space that dead versions
// may take allows. TestPolicyFigures simulates it.
const (
	bottomShareNum = 9 // bottomShare = 9/20
	bottomShareDen = 20
	// The bottom run is made of so many times FanIn runs: a store that is filled for the first time
	// has few, and merging them early would take a core from the writers.
	firstBottom = 2
	// A bottom run of fewer than so many indexes is small: what dead versions take is little, and
	// rewriting it every few flushes would be most of the work.
	smallBottom = 4
	// A merge within tiers is put off if its result would hold this share of what triggers a
	// merge into the bottom.
	putOffDen = 10
	// … unless there are more runs than this share of MaxRuns.
	runsPutOffNum = 5
	runsPutOffDen = 16
)

// runSize is what the policy knows of a run.
type runSize struct {
	tier       uint8
	bytes      int64
	entries    uint64
	tombstones uint64 // of entries
	busy       bool   // a merge has it as a source or target
	blocked    bool   // reading it failed lately
}

// plan names the runs to merge: from newest to oldest, positions in the list of runs. tier is what
// they become: BottomTier for the bottom run, which is the one behind oldest or does not exist yet.
type plan struct {
	newest, oldest int
	tier           uint8
}

// policy decides which runs to merge. It is a pure function of their sizes.
type policy struct {
	fanIn, maxRuns int
	small          int64 // a bottom run below this size, in bytes, is rewritten only when as much is above it
}

// pick returns the next merge to start, given runs from the newest to the oldest. A merge into
// the bottom takes everything that is above, so it waits until no other merge is under way; then
// merges within tiers go on beside it. all asks for everything to be merged into the bottom,
// whatever it costs.
func (p policy) pick(runs []runSize, all bool) (plan, bool) {
	upper := runs
	var bottom runSize
	if n := len(runs); n > 0 && runs[n-1].tier == BottomTier {
		upper, bottom = runs[:n-1], runs[n-1]
	}
	if !anyBusy(runs) {
		if pl, ok := p.pickBottom(upper, bottom, all); ok {
			return pl, true
		}
	}
	if bottom.tier == BottomTier || len(upper) > firstBottom*p.fanIn {
		if pl, ok := p.pickTier(upper, bottom); ok {
			return pl, true
		}
	}
	return p.pickAny(upper)
}

// pickBottom merges into the bottom run all that is above it, from the oldest run up to one that
// cannot be read. Without a bottom run it makes one.
func (p policy) pickBottom(upper []runSize, bottom runSize, all bool) (plan, bool) {
	first := len(upper)
	for first > 0 && !upper[first-1].blocked {
		first--
	}
	if first == len(upper) || bottom.blocked {
		return plan{}, false
	}
	if !all {
		if bottom.tier != BottomTier && len(upper)-first < firstBottom*p.fanIn || !p.due(sum(upper[first:]), bottom, 1) {
			return plan{}, false
		}
	}
	return plan{newest: first, oldest: len(upper) - 1, tier: BottomTier}, true
}

// due reports whether r is at least bottomShare of bottom, divided by den: by its bytes, or by
// what its tombstones may delete.
func (p policy) due(r, bottom runSize, den int64) bool {
	num := int64(bottomShareNum)
	if bottom.bytes < p.small {
		num = bottomShareDen
	}
	return r.bytes*bottomShareDen*den >= bottom.bytes*num ||
		r.tombstones > 0 && r.tombstones*bottomShareDen*uint64(den) >= bottom.entries*uint64(num)
}

// pickTier merges runs of the lowest tier that has enough of them. They are neighbours: a run
// that is busy, or of another tier, ends the group.
func (p policy) pickTier(upper []runSize, bottom runSize) (plan, bool) {
	best, found := plan{}, false
	for first := 0; first < len(upper); {
		end := first
		for end < len(upper) && upper[end].tier == upper[first].tier && !upper[end].busy && !upper[end].blocked {
			end++
		}
		group := upper[first:max(end, first+1)]
		if end-first >= p.fanIn && p.worthTier(sum(group), bottom, len(upper)) &&
			(!found || group[0].tier < upper[best.newest].tier) {
			best, found = plan{newest: first, oldest: end - 1, tier: min(group[0].tier+1, BottomTier-1)}, true
		}
		first = max(end, first+1)
	}
	return best, found
}

// pickAny merges the newest runs whatever their tiers, when writers are slowed for the number of
// runs and no merge is going to change that: with a MaxRuns that is small against the number of
// tiers, writers would otherwise be held for ever.
func (p policy) pickAny(upper []runSize) (plan, bool) {
	if len(upper) < p.maxRuns/2 || anyBusy(upper) {
		return plan{}, false
	}
	for first := range upper {
		end := first
		for end < len(upper) && end-first < p.fanIn && !upper[end].blocked {
			end++
		}
		if end-first >= 2 {
			return plan{newest: first, oldest: end - 1, tier: upper[end-1].tier}, true
		}
	}
	return plan{}, false
}

func (p policy) worthTier(r, bottom runSize, runs int) bool {
	return runs > p.maxRuns*runsPutOffNum/runsPutOffDen || bottom.tier != BottomTier || !p.due(r, bottom, putOffDen)
}

// debt is what writers are slowed by: the runs above the bottom, and more when these hold much
// more than they should, because merging into the bottom does not keep up. It reaches MaxRuns/2
// (where writers are slowed) when they hold as much as 3/5 of the bottom. Only runs that can be
// merged count; and only their number while one of them cannot, or the bottom is small (in bytes).
func (p policy) debt(runs []runSize, small int64) int {
	free := 0
	for _, r := range runs {
		if !r.blocked && r.tier != BottomTier {
			free++
		}
	}
	n := len(runs)
	if n == 0 || runs[n-1].tier != BottomTier || runs[n-1].bytes < small || anyBlocked(runs) {
		return free
	}
	upper, bottom := sum(runs[:n-1]), runs[n-1]
	return max(free, int(upper.bytes*5*int64(p.maxRuns)/(6*bottom.bytes)))
}

func sum(runs []runSize) (total runSize) {
	for _, r := range runs {
		total.bytes += r.bytes
		total.entries += r.entries
		total.tombstones += r.tombstones
	}
	return total
}

func anyBusy(runs []runSize) bool {
	return slices.ContainsFunc(runs, func(r runSize) bool { return r.busy })
}

func anyBlocked(runs []runSize) bool {
	return slices.ContainsFunc(runs, func(r runSize) bool { return r.blocked })
}
