package versions

import (
	"sort"

	"github.com/aegis-storage/aegis/pages"
)

// Since calls f for the keys written at a seq above after and at or below upTo, in no order,
// until f returns false. A key can come more than once. A write that trimming took out may be
// left out: then the same key was written again, at a higher seq that Since reports if it is at
// or below upTo. So the keys of Since(a, b) and Since(b, c) together are those of Since(a, c).
//
// It may run beside the writer for an upTo that Applied has reached. The key aliases memory that
// is never written again.
func (x *Index) Since(after, upTo pages.Seq, f func(key []byte, seq pages.Seq) bool) {
	more := true
	visit := func(ref entryRef, seq pages.Seq) bool {
		more = f(x.keyOf(x.entry(ref)), seq)
		return more
	}
	// The slabs are in the order of their seqs: from the newest back until one begins at or
	// below after.
	if tail := entryRef(x.tail.Load()); tail != 0 {
		for no := tail.slab(); more && no > 0; no-- {
			recs := filled(x.entries.get(no).recs, no == tail.slab(), tail.off())
			between(len(recs), func(i int) pages.Seq { return recs[i].seq }, after, upTo, func(i int) bool {
				// A bare entry's first version is found among the versions.
				return recs[i].kind() == noVersion || visit(entryRef(no<<entryBits|uint64(i)), recs[i].seq)
			})
			if recs[0].seq <= after {
				break
			}
		}
	}
	if tail := versionRef(x.versionTail.Load()); tail != 0 {
		for no := tail.slab(); more && no > 0; no-- {
			s := x.versions.get(no)
			if s == nil {
				continue
			}
			recs := filled(s.recs, no == tail.slab(), tail.off())
			between(len(recs), func(i int) pages.Seq { return recs[i].seq }, after, upTo, func(i int) bool {
				return visit(recs[i].entry(), recs[i].seq)
			})
			if recs[0].seq <= after {
				break
			}
		}
	}
}

// filled cuts the slab of the tail at its last published record.
func filled[T any](recs []T, isTail bool, last int) []T {
	if isTail {
		return recs[:last+1]
	}
	return recs
}

// between calls f for the indexes of the records with after < seq ≤ upTo, seqs ascending.
func between(n int, seq func(int) pages.Seq, after, upTo pages.Seq, f func(int) bool) {
	from := sort.Search(n, func(i int) bool { return seq(i) > after })
	for i := from; i < n && seq(i) <= upTo && f(i); i++ {
	}
}
