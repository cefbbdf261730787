package aegis

import (
	"context"
	"slices"

	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// read looks an internal key up in what the transaction sees. ok with a tombstone's kind means
// deleted.
func (tx *Tx) read(internal []byte, hash uint64) (versions.Version, bool, error) {
	snap, release := tx.readSnapshot(internal)
	defer release()
	return snap.Get(tx.ctx, internal, hash)
}

// readSnapshot is the snapshot of one read, or of one loop that begins at internal: the
// transaction's, or for ReadCommitted a fresh one. That is of the applied state too: at visible
// it could be older than the transaction's, which catalog entries are validated against. In a
// keyspace that the transaction created a fresh one could show what another one committed under
// the same id, before Commit finds that out.
func (tx *Tx) readSnapshot(internal []byte) (s *versions.Snapshot, release func()) {
	if tx.isolation != ReadCommitted || tx.readOnly || tx.hasCreated(internal) {
		return tx.snap, func() {}
	}
	s = tx.db.pub.Acquire(true, tx.db.rt.Now())
	tx.fresh = s.Seq
	return s, s.Release
}

// hasCreated reports whether a key is of a keyspace that the transaction created.
func (tx *Tx) hasCreated(internal []byte) bool {
	if len(tx.created) == 0 {
		return false
	}
	id, _, err := pages.SplitKey(internal)
	return err == nil && slices.Contains(tx.created, id)
}

// A source is one sorted stream of a scan. Sources are asked in the order own writes, indexes
// newest first, runs newest first: of equal keys the first source's entry counts.
type source interface {
	seek(ctx context.Context, key []byte, backward bool) bool
	next(ctx context.Context, backward bool) bool
	Key() []byte
	Value() []byte
	Kind() pages.Kind
	seq() pages.Seq // zero where the entry is durable for certain
	failure() error
}

type indexSource struct{ *versions.Cursor }

func (s indexSource) seek(_ context.Context, key []byte, backward bool) bool {
	switch {
	case backward && key == nil:
		return s.Last()
	case backward:
		return s.SeekLT(key)
	}
	return s.SeekGE(key)
}

func (s indexSource) next(_ context.Context, backward bool) bool {
	if backward {
		return s.Prev()
	}
	return s.Next()
}

func (s indexSource) seq() pages.Seq { return s.Seq() }
func (s indexSource) failure() error { return nil }

type runSource struct{ *pages.Cursor }

func (s runSource) seek(ctx context.Context, key []byte, backward bool) bool {
	switch {
	case backward && key == nil:
		return s.Last(ctx)
	case backward:
		return s.SeekLT(ctx, key)
	}
	return s.SeekGE(ctx, key)
}

func (s runSource) next(ctx context.Context, backward bool) bool {
	if backward {
		return s.Prev(ctx)
	}
	return s.Next(ctx)
}

func (s runSource) seq() pages.Seq { return 0 }
func (s runSource) failure() error { return s.Err() }
