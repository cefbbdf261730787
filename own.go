package aegis

import (
	"bytes"
	"context"

	"github.com/google/btree"

	"github.com/aegis-storage/aegis/pages"
)

// ownSource walks a transaction's own writes, as they were when the loop began: the tree is a
// copy-on-write clone. It fetches them in pieces, so that a short loop over a large
// transaction stays cheap.
type ownSource struct {
	tree   *btree.BTreeG[write]
	lo, hi []byte
	piece  []write
	i      int
}

const ownPiece = 32

func newOwnSource(tree *btree.BTreeG[write], lo, hi []byte) *ownSource {
	return &ownSource{tree: tree.Clone(), lo: lo, hi: hi}
}

func (s *ownSource) seek(_ context.Context, key []byte, backward bool) bool {
	return s.fetch(key, backward, true)
}

func (s *ownSource) next(_ context.Context, backward bool) bool {
	if s.i+1 < len(s.piece) {
		s.i++
		return true
	}
	return s.fetch(s.piece[s.i].key, backward, false)
}

// fetch gets the next writes after key (before it when backward). A forward seek takes key
// itself too.
func (s *ownSource) fetch(key []byte, backward, seek bool) bool {
	s.piece, s.i = s.piece[:0], 0
	take := func(w write) bool {
		switch {
		case backward && bytes.Compare(w.key, s.lo) < 0, !backward && s.hi != nil && bytes.Compare(w.key, s.hi) >= 0:
			return false
		case bytes.Equal(w.key, key) && (backward || !seek):
			return true
		}
		s.piece = append(s.piece, w)
		return len(s.piece) < ownPiece
	}
	switch {
	case !backward:
		s.tree.AscendGreaterOrEqual(write{key: key}, take)
	case key == nil:
		s.tree.Descend(take)
	default:
		s.tree.DescendLessOrEqual(write{key: key}, take)
	}
	return len(s.piece) > 0
}

func (s *ownSource) Key() []byte      { return s.piece[s.i].key }
func (s *ownSource) Value() []byte    { return s.piece[s.i].value }
func (s *ownSource) Kind() pages.Kind { return s.piece[s.i].kind }
func (s *ownSource) seq() pages.Seq   { return 0 }
func (s *ownSource) failure() error   { return nil }
