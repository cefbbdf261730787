package flusher

import (
	"errors"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// maxUnpublished is how many merge steps may be staged and not published. The next step runs
// beside a publication, but does not run away from publications that take long.
const maxUnpublished = 2

// merge is a merge under way. It is remembered in memory only: what its steps did is in the
// checkpoints, and after a restart the policy looks at the runs that it left.
type merge struct {
	sources []uint64 // ids, newest first
	target  uint64   // id of the run that is made; 0: none yet, or all of it was dropped since
	tier    uint8    // of the target
	bottom  bool
	lo, hi  pages.Seq // of the target, when all is done
	bound   []byte    // where the last step ended
	read    uint64    // raw bytes behind it
	total   uint64    // raw bytes in all, about
}

// scheduleMerge starts the next step of the merge that matters most, after starting a merge if
// the policy has a better one.
func (m *Machine) scheduleMerge(out *Outbox) {
	if m.stepping != nil || m.final || m.stopping || m.waits.merge || m.waits.publish || m.unpublishedSteps >= maxUnpublished {
		return
	}
	if mg := m.plan(); mg != nil {
		m.merges = append(m.merges, mg)
	}
	mg := m.foremost()
	if mg == nil {
		return
	}
	m.stepping, m.steppingFor = m.newStep(mg), mg
	out.Jobs = append(out.Jobs, m.stepping)
}

// foremost returns the merge of the lowest tier: small merges do not wait for large ones, so the
// number of runs stays small while a merge into the bottom takes its time.
func (m *Machine) foremost() *merge {
	var best *merge
	for _, mg := range m.merges {
		if best == nil || mg.tier < best.tier {
			best = mg
		}
	}
	return best
}

// plan returns a merge to start, nil if there is none that goes before those under way.
func (m *Machine) plan() *merge {
	sizes := m.sizes()
	all := m.wantsAll()
	pl, ok := m.policy.pick(sizes, all)
	if !ok {
		if all && len(m.merges) == 0 && m.dirty() {
			return m.newMerge(nil, BottomTier)
		}
		return nil
	}
	if best := m.foremost(); best != nil && pl.tier >= best.tier {
		return nil
	}
	return m.newMerge(m.staged.runs[pl.newest:pl.oldest+1], pl.tier)
}

// newMerge describes the merge of neighbours into the bottom run, or into a new run of the tier.
func (m *Machine) newMerge(sources []*run, tier uint8) *merge {
	mg := &merge{bottom: tier == BottomTier, tier: tier}
	for _, r := range sources {
		mg.sources = append(mg.sources, r.id)
		mg.total += r.raw
	}
	if n := len(sources); n > 0 {
		mg.lo, mg.hi = sources[n-1].SeqLo, sources[0].SeqHi
	}
	if b := m.staged.bottom(); mg.bottom && b != nil {
		mg.target, mg.lo, mg.hi = b.id, b.SeqLo, max(mg.hi, b.SeqHi)
		mg.total += b.raw
	}
	return mg
}

// sizes describes the staged runs to the policy, until the next call.
func (m *Machine) sizes() []runSize {
	m.sizesBuf = slices.Grow(m.sizesBuf[:0], len(m.staged.runs))[:len(m.staged.runs)]
	sizes := m.sizesBuf
	for i, r := range m.staged.runs {
		sizes[i] = runSize{tier: r.Tier, bytes: r.bytes, entries: r.entries, tombstones: r.tombstones,
			blocked: slices.Contains(m.blocked, r.id)}
		for _, mg := range m.merges {
			if mg.target == r.id || slices.Contains(mg.sources, r.id) {
				sizes[i].busy = true
			}
		}
	}
	return sizes
}

// newStep describes the next step of a merge. It is worth at least half a table: steps end tables.
func (m *Machine) newStep(mg *merge) *stepJob {
	s := &m.staged
	j := &stepJob{
		from: mg.bound, purge: mg.bottom, limit: max(m.limits.MergeStep, m.limits.TableBytes/2),
		dead: ranges(s.dropped), codecs: m.codecs(), out: m.output(mg.tier, mg.lo, mg.hi), report: m.reporter(mg),
	}
	for _, id := range mg.sources {
		if i := s.find(id); i >= 0 {
			j.sources = append(j.sources, s.runs[i].Run)
		}
	}
	if b := s.bottom(); mg.bottom && b != nil {
		j.target = b.Tables
	}
	return j
}

// stepDone stages a step, or gives it up.
func (m *Machine) stepDone(j *stepJob, err error, out *Outbox) {
	mg := m.steppingFor
	m.stepping, m.steppingFor = nil, nil
	if err != nil {
		m.stepFailed(mg, err, out)
		m.purge()
		return
	}
	if m.final {
		// The last checkpoint is on its way without this step.
		for _, t := range j.out.tables {
			m.condemned = append(m.condemned, condemned{id: t.ID, size: t.Size})
			m.reclaimable += t.Size
		}
		return
	}
	m.stats.MergeSteps++
	m.stats.MergedBytes += uint64(j.out.stored)
	m.stageStep(mg, j)
	if j.done {
		m.stats.Merges++
		m.merges = slices.DeleteFunc(m.merges, func(x *merge) bool { return x == mg })
	}
	m.purge()
	m.revision++
	m.unpublishedSteps++
}

// stageStep moves what the step merged from the sources to the target.
func (m *Machine) stageStep(mg *merge, j *stepJob) {
	s := &m.staged
	mg.read += j.read
	mg.bound = j.bound
	at := len(s.runs) // the target's place: behind its sources
	for _, id := range mg.sources {
		if i := s.find(id); i >= 0 {
			at = i + 1
		}
	}
	added := append(m.open(j.out.tables), j.moved...)
	s.written += uint64(j.out.stored)
	m.retarget(mg, at, j.gone, added, j.done)
	for _, id := range mg.sources {
		i := s.find(id)
		if i < 0 {
			continue
		}
		left, gone := s.runs[i].consumeUpTo(j.bound)
		if j.done {
			left, gone = nil, s.runs[i].Tables
		}
		s.set(i, left)
		m.leave(slices.DeleteFunc(slices.Clone(gone), func(t *pages.Table) bool { return slices.Contains(j.moved, t) }))
	}
	m.leave(j.gone)
}

// retarget replaces tables of the merge's target, which it makes at position at if it is not
// there. Until the merge is done the target is labelled as older than all of its sources.
func (m *Machine) retarget(mg *merge, at int, gone, added []*pages.Table, done bool) {
	s := &m.staged
	if i := s.find(mg.target); mg.target != 0 && i >= 0 {
		r := s.runs[i].with(replace(s.runs[i].Tables, gone, added), nil)
		if r != nil && done {
			r.SeqLo, r.SeqHi = mg.lo, mg.hi // of the copy that with made
		}
		s.set(i, r)
		return
	}
	mg.target = 0
	if len(added) == 0 {
		return
	}
	r := &pages.Run{Tier: mg.tier, SeqLo: mg.lo, SeqHi: mg.lo, Tables: replace(nil, nil, added)}
	if done {
		r.SeqHi = mg.hi
	}
	mg.target = m.newRunID()
	s.insert(at, newRun(mg.target, r))
}

// stepFailed has the step tried again later. A run with a damaged page is left alone for long;
// its merge is given up, and what its steps did stays.
func (m *Machine) stepFailed(mg *merge, err error, out *Outbox) {
	m.fail(err)
	m.waits.merge = !m.stopping
	m.tellFailed(messages.FlushFailed{Err: told(err), Merge: true}, out)
	m.answerCompacts(err, out)
	var bad *pages.CorruptionError
	if !errors.As(err, &bad) {
		return
	}
	m.merges = slices.DeleteFunc(m.merges, func(x *merge) bool { return x == mg })
	id, _ := pages.ParseTableName(bad.File)
	for _, r := range m.staged.runs {
		ours := r.id == mg.target || slices.Contains(mg.sources, r.id)
		if ours && slices.ContainsFunc(r.Tables, func(t *pages.Table) bool { return t.Meta().ID == id }) {
			m.blocked = append(m.blocked, r.id)
			m.revision++ // for the debt in Flushed: writers are not held for this run
		}
	}
}

// leave notes tables that the staged state does not name any more.
func (m *Machine) leave(tables []*pages.Table) { m.leaving = append(m.leaving, tables...) }

// purge takes out the tables of dropped keyspaces; not under a merge step, which may be about to
// hand some of them over.
func (m *Machine) purge() {
	if m.stepping != nil {
		return
	}
	before := len(m.staged.dropped)
	gone := m.staged.purge()
	m.leave(gone)
	if len(gone) > 0 || len(m.staged.dropped) < before {
		m.revision++
	}
}

// compile-time check that the jobs are jobs.
var _ = []messages.FlusherJob{(*flushJob)(nil), (*stepJob)(nil), (*publishJob)(nil), (*removeJob)(nil)}
