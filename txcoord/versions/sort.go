package versions

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// item is an entry to be sorted, by head first: the eight key bytes at the depth of the moment,
// big endian, padded with zeros.
type item struct {
	head uint64
	ref  entryRef
}

const (
	radixMin = 256 // items; below, comparing is faster
	smallRun = 12  // items with equal heads that are compared whole
)

// headAt is the head of key at depth.
func headAt(key []byte, depth int) uint64 {
	if len(key) >= depth+8 {
		return binary.BigEndian.Uint64(key[depth:])
	}
	var b [8]byte
	if len(key) > depth {
		copy(b[:], key[depth:])
	}
	return binary.BigEndian.Uint64(b[:])
}

// sortItems sorts items by key. Their keys agree in the first depth bytes and their heads are
// those at depth. It is a multikey sort on words of eight bytes: sort by head, then sort each
// run of equal heads further on. A key is read once per word that it shares with others, so
// keys with long common parts do not turn each comparison into cache misses.
func (x *Index) sortItems(items, scratch []item, depth int) {
	sortHeads(items, scratch)
	for i := 0; i < len(items); {
		j := i + 1
		for j < len(items) && items[j].head == items[i].head {
			j++
		}
		if j-i > 1 {
			x.sortRun(items[i:j], scratch[i:j], depth)
		}
		i = j
	}
}

// sortRun sorts items that have one head at depth, and leaves that head in them.
func (x *Index) sortRun(items, scratch []item, depth int) {
	if len(items) <= smallRun {
		slices.SortFunc(items, func(a, b item) int {
			return bytes.Compare(x.keyAt(a.ref)[depth:], x.keyAt(b.ref)[depth:])
		})
		return
	}
	// A key that ends within the word equals the others up to zero bytes at their ends or after
	// it: such keys come first, by length, as each is a prefix of the next.
	head, next, ended := items[0].head, depth+8, 0
	for i := range items {
		if len(x.keyAt(items[i].ref)) <= next {
			items[i], items[ended] = items[ended], items[i]
			ended++
		}
	}
	slices.SortFunc(items[:ended], func(a, b item) int {
		return cmp.Compare(len(x.keyAt(a.ref)), len(x.keyAt(b.ref)))
	})
	if rest := items[ended:]; len(rest) > 1 {
		next = x.commonDepth(rest, next)
		for i := range rest {
			rest[i].head = headAt(x.keyAt(rest[i].ref), next)
		}
		x.sortItems(rest, scratch[ended:], next)
		for i := range rest {
			rest[i].head = head
		}
	}
}

// commonDepth is the length of the items' common prefix, known to be at least depth.
func (x *Index) commonDepth(items []item, depth int) int {
	common := x.keyAt(items[0].ref)
	for _, it := range items[1:] {
		common = common[:depth+commonLen(common[depth:], x.keyAt(it.ref)[depth:])]
		if len(common) == depth {
			break
		}
	}
	return len(common)
}

func commonLen(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// sortHeads sorts by head alone: an LSD radix sort that skips the bytes that all heads share.
func sortHeads(items, scratch []item) {
	if len(items) < radixMin {
		slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.head, b.head) })
		return
	}
	var counts [8][256]uint32
	sorted := true
	for i := range items {
		h := items[i].head
		sorted = sorted && (i == 0 || items[i-1].head <= h)
		for d := range counts {
			counts[d][byte(h>>(8*d))]++
		}
	}
	if sorted {
		return
	}
	from, to := items, scratch[:len(items)]
	for d := range counts {
		c := &counts[d]
		if c[byte(items[0].head>>(8*d))] == uint32(len(items)) {
			continue
		}
		var sum uint32
		for i := range c {
			c[i], sum = sum, sum+c[i]
		}
		for i := range from {
			b := byte(from[i].head >> (8 * d))
			to[c[b]] = from[i]
			c[b]++
		}
		from, to = to, from
	}
	if &from[0] != &items[0] {
		copy(items, from)
	}
}

func (x *Index) keyAt(r entryRef) []byte { return x.keyOf(x.entry(r)) }
