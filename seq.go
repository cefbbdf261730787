package aegis

// ReadSeq returns the number of the newest commit that the transaction's reads may see: its
// snapshot, or with ReadCommitted the one that its last operation read at. Commits are numbered
// 1, 2, 3, … in the order in which they are applied. A crash loses the last numbers with their
// commits, and the next ones use them again.
func (tx *Tx) ReadSeq() uint64 { return uint64(max(tx.snap.Seq, tx.fresh)) }

// CommitSeq returns the number of the transaction's commit, or 0 as long as it has none: before
// Commit, when Commit failed, and when nothing was written.
func (tx *Tx) CommitSeq() uint64 { return tx.seq }

// CommitSeq returns the number of the commit once Wait has returned nil; else 0, and so when
// nothing was written.
func (p *Pending) CommitSeq() uint64 { return uint64(p.seq) }
