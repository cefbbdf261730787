package flusher

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// Publish writes c as the newest checkpoint and, once it is durable, removes the older ones.
// Every table that c names must be synced, with its directory entry. c.Number is raised above
// that of every checkpoint file that is there, so that nothing is ever overwritten.
func Publish(b backends.Backend, c *Checkpoint) error {
	stale, err := checkpointFiles(b)
	if err != nil {
		return err
	}
	for _, name := range stale {
		if n, _ := parseCheckpointName(name); n >= c.Number {
			c.Number = n + 1
		}
	}
	if _, err := writeCheckpoint(b, c); err != nil {
		return err
	}
	removeNames(b, stale)
	return nil
}

// checkpointFiles returns the names of all checkpoint files.
func checkpointFiles(b backends.Backend) ([]string, error) {
	files, err := b.List()
	if err != nil {
		return nil, fmt.Errorf("flusher: list files: %w", err)
	}
	var names []string
	for _, f := range files {
		if _, ok := parseCheckpointName(f.Name); ok {
			names = append(names, f.Name)
		}
	}
	return names, nil
}

// writeCheckpoint makes c durable. After a failure either copy may be on the medium, whole or
// not, so everything that c names must stay until a later checkpoint is durable.
//
// The first copy is synced before the second one is created: Load tells by that a first
// publication that was cut short from a store that was damaged.
func writeCheckpoint(b backends.Backend, c *Checkpoint) (written int, err error) {
	contents := c.AppendTo(nil)
	for i, suffix := range copies {
		if err := writeFile(b, checkpointName(c.Number, suffix), contents); err != nil {
			for _, suffix := range copies[:i+1] {
				_ = b.Remove(checkpointName(c.Number, suffix))
			}
			return 0, err
		}
	}
	if err := b.SyncDir(); err != nil {
		return 0, fmt.Errorf("flusher: sync directory: %w", err)
	}
	return len(copies) * len(contents), nil
}

func writeFile(b backends.Backend, name string, contents []byte) error {
	f, err := b.Create(name)
	if err != nil {
		return fmt.Errorf("flusher: create %s: %w", name, err)
	}
	if _, err = f.WriteAt(contents, 0); err != nil {
		err = fmt.Errorf("flusher: write %s: %w", name, err)
	} else if err = f.Sync(); err != nil {
		err = fmt.Errorf("flusher: sync %s: %w", name, err)
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("flusher: close %s: %w", name, closeErr)
	}
	return err
}

// removeNames removes files and returns those that are still there.
func removeNames(b backends.Backend, names []string) (left []string) {
	for _, name := range names {
		if err := b.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			left = append(left, name)
		}
	}
	return left
}

// publishJob makes one staged state durable.
type publishJob struct {
	backend    backends.Backend
	checkpoint *Checkpoint
	runs       []*pages.Run
	revision   uint64                // of the staged state
	leaving    []*pages.Table        // named by an earlier checkpoint, not by this one
	foreign    int                   // Ingests that it names first: their directory entries are made durable before
	keep       bool                  // the files of older checkpoints stay: somebody holds one
	find       bool                  // the files of older checkpoints are not known yet
	ingests    []messages.ErrorReply // answered once this is published
	flushes    int                   // staged, and answered once this is published

	stale []string // in: files of older checkpoints; out: all checkpoint files that may be there
	bytes uint64   // written
}

// Run implements messages.FlusherJob.
func (j *publishJob) Run(yield messages.Yield) error {
	if !yield() {
		return messages.ErrClosed
	}
	if err := j.prepare(); err != nil {
		return err
	}
	written, err := writeCheckpoint(j.backend, j.checkpoint)
	if err == nil && !j.keep {
		j.stale = removeNames(j.backend, j.stale)
	}
	j.bytes = uint64(written)
	for _, suffix := range copies {
		j.stale = append(j.stale, checkpointName(j.checkpoint.Number, suffix))
	}
	return err
}

// Report implements messages.Reporter.
func (j *publishJob) Report() messages.JobReport {
	r := messages.JobReport{Number: j.checkpoint.Number, Bytes: int64(j.bytes), Runs: len(j.runs), Seq: j.checkpoint.Freeze}
	for _, run := range j.runs {
		r.Tables += len(run.Tables)
	}
	return r
}

func (j *publishJob) prepare() error {
	if j.find {
		names, err := checkpointFiles(j.backend)
		if err != nil {
			return err
		}
		j.stale = names
	}
	for _, name := range j.stale {
		if n, _ := parseCheckpointName(name); n >= j.checkpoint.Number {
			j.checkpoint.Number = n + 1
		}
	}
	if j.foreign == 0 {
		return nil
	}
	if err := j.backend.SyncDir(); err != nil {
		return fmt.Errorf("flusher: sync directory: %w", err)
	}
	return nil
}

// newCheckpoint writes down the staged state.
func (m *Machine) newCheckpoint() *Checkpoint {
	s := &m.staged
	c := &Checkpoint{
		Number: m.number + 1, Store: m.store, Epoch: m.epoch, Freeze: s.freeze, NextFile: m.files.Bound(), Clean: s.clean, Log: m.log,
		Keyspaces: s.keyspaces, Dropped: s.dropped, Pending: s.pending, UserBytes: s.user, WrittenBytes: s.written,
	}
	for _, r := range s.runs {
		rm := RunMeta{Tier: r.Tier, SeqLo: r.SeqLo, SeqHi: r.SeqHi, Consumed: r.Consumed}
		for _, t := range r.Tables {
			rm.Tables = append(rm.Tables, *t.Meta())
		}
		c.Runs = append(c.Runs, rm)
	}
	return c
}

// maxUnseen is how many messages txcoord may have before it that it has not taken in; the end of a
// publication under way may add one.
const maxUnseen = 4

func (m *Machine) unseen() uint64 { return m.told - m.seen }

// tellFailed tells txcoord of a failure, or keeps it until txcoord has taken in what it was told.
func (m *Machine) tellFailed(f messages.FlushFailed, out *Outbox) {
	if m.unseen() >= maxUnseen {
		if f.Merge {
			m.unsaidMerge = f.Err
		} else {
			m.unsaidFlush = f.Err
		}
		return
	}
	m.told++
	f.No = m.told
	out.Txcoord = append(out.Txcoord, f)
}

// seenBy takes txcoord's acknowledgement in, and says what was kept meanwhile, if that still waits
// to be tried again.
func (m *Machine) seenBy(s messages.Seen, out *Outbox) {
	if s.UpTo > m.told || s.UpTo < m.seen {
		panic(fmt.Sprintf("flusher: %d messages are seen of %d, before it were %d", s.UpTo, m.told, m.seen))
	}
	m.seen = s.UpTo
	flush, merge := m.unsaidFlush, m.unsaidMerge
	m.unsaidFlush, m.unsaidMerge = nil, nil
	if flush != nil && (m.waits.flush || m.waits.publish) {
		m.tellFailed(messages.FlushFailed{Err: flush}, out)
	}
	if merge != nil && (m.waits.merge || m.waits.publish) {
		m.tellFailed(messages.FlushFailed{Err: merge, Merge: true}, out)
	}
}

// schedulePublish starts a publication if something is staged that no checkpoint says yet.
func (m *Machine) schedulePublish(out *Outbox) {
	if m.publishing != nil || m.waits.publish || m.unseen() >= maxUnseen || m.revision == m.publishedRevision {
		return
	}
	m.publishing = &publishJob{
		backend: m.backend, checkpoint: m.newCheckpoint(), runs: m.staged.views(), revision: m.revision,
		leaving: slices.Clone(m.leaving), foreign: m.foreign, ingests: slices.Clone(m.ingests),
		flushes: m.unanswered, keep: m.held(), find: !m.foundStale, stale: slices.Clone(m.stale),
	}
	out.Jobs = append(out.Jobs, m.publishing)
}

// publishDone: the state is durable, or is tried again under the next number.
func (m *Machine) publishDone(j *publishJob, err error, out *Outbox) {
	m.publishing = nil
	m.number = max(m.number, j.checkpoint.Number)
	m.stale, m.foundStale = j.stale, true
	if err != nil {
		m.publishFailed(j, err, out)
		return
	}
	m.published, m.publishedRuns = j.checkpoint.Number, j.runs
	m.stats.Checkpoints++
	m.stats.CheckpointBytes += j.bytes
	m.publishedRevision = j.revision
	m.unpublishedSteps = 0
	m.foreign -= j.foreign
	m.leaving = m.leaving[len(j.leaving):]
	m.ingests = m.ingests[len(j.ingests):]
	for _, t := range j.leaving {
		m.reclaimable += t.Meta().Size
	}
	m.told++
	out.Txcoord = append(out.Txcoord, messages.Flushed{
		No: m.told, Runs: j.runs, Covered: j.checkpoint.Freeze, Retired: j.leaving, Debt: m.debt(), Final: j.checkpoint.Clean,
	})
	if j.checkpoint.Freeze > m.publishedFreeze || j.checkpoint.Clean {
		m.publishedFreeze = j.checkpoint.Freeze
		m.release(messages.Release{UpTo: j.checkpoint.Freeze, Final: j.checkpoint.Clean}, out)
	}
	m.unanswered -= j.flushes
	out.Replies = append(out.Replies, j.ingests...)
}

// publishFailed tells everybody who waits for the state to be durable; it is tried again. What is
// left of the attempt is looked for then: a list of its files would grow with every failure.
func (m *Machine) publishFailed(j *publishJob, err error, out *Outbox) {
	m.fail(err)
	m.stale, m.foundStale = nil, false
	m.waits.publish = !m.stopping
	// Without a flush in it, it is the merges' steps that are not there for anybody yet.
	m.tellFailed(messages.FlushFailed{Err: told(err), Merge: m.unanswered == 0}, out)
	m.answerCompacts(err, out)
	for _, r := range j.ingests {
		out.Replies = append(out.Replies, messages.ErrorReply{To: r.To, Err: err})
	}
	m.ingests = m.ingests[len(j.ingests):]
}
