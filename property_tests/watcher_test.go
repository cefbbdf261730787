package propertytests

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/sim"
	simdisk "github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/txcoord"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// The rules that a watcher checks.
const (
	watermarksRise   = "watermarks only rise"
	logOrder         = "commits reach the log in order"
	answersAreSeen   = "what is acknowledged is visible"
	logBeforeData    = "log before data"
	namesSyncedFiles = "a checkpoint names synced files"
	logOutlives      = "log until a checkpoint covers it"
	tablesOutlive    = "tables until nothing names them"
	runsInOrder      = "runs in order"
)

// watcher looks at a store from both sides: at the messages of its actors, and at its calls of the
// disk, of which it is told before they take effect. It outlives crashes.
type watcher struct {
	rule string // of all rules only this one ends the run
	seen *int   // times that the rule was looked at
	life *sim.Life

	// of the present life
	marks   messages.Watermarks
	last    pages.Seq // appended to the log
	synced  pages.Seq // as the log writer said
	view    *versions.View
	started bool // the coordinator was heard of

	// of all lives
	written map[string]*flusher.Checkpoint // by the name of the copy, as it was written
	durable *flusher.Checkpoint            // the newest one that was synced, with its name
	headers map[string]header              // of log segments, as they were written
	count   int                            // of headers
}

// header is the beginning of a log segment. Segments follow each other by epoch and number; an
// epoch of which a crash left nothing is begun again.
type header struct {
	epoch, number uint32
	base          pages.Seq
	written       int // counts headers
}

func (h header) before(o header) bool {
	return cmp.Or(cmp.Compare(h.epoch, o.epoch), cmp.Compare(h.number, o.number), cmp.Compare(h.written, o.written)) < 0
}

func newWatcher(rule string, seen *int) *watcher {
	return &watcher{rule: rule, seen: seen, written: map[string]*flusher.Checkpoint{}, headers: map[string]header{}}
}

// begin is called at the start of each life, before the store is opened.
func (w *watcher) begin(l *sim.Life) {
	w.life, w.marks, w.last, w.synced, w.view, w.started = l, messages.Watermarks{}, 0, 0, nil, false
	clear(w.written) // a crash may have torn what was not durable
	l.Observe(w.observe)
}

// look counts that a rule is looked at, and reports whether it is the watcher's.
func (w *watcher) look(rule string) bool {
	if w.rule == rule {
		*w.seen++
	}
	return w.rule == rule
}

func (w *watcher) observe(from, _ string, what messages.Message) {
	switch m := what.(type) {
	case *messages.Watermarks:
		w.watermarks(*m)
	case messages.Append:
		w.appended(m)
	case messages.Durable:
		w.synced = max(w.synced, m.UpTo)
	case *versions.View:
		w.view = m
		w.runs(m)
	case *txcoord.CommitReply:
		if m.Result.Err == nil && w.look(answersAreSeen) && uint64(m.Result.Seq) > w.marks.Visible {
			w.life.Fail(answersAreSeen, "commit %d is acknowledged, visible is %d", m.Result.Seq, w.marks.Visible)
		}
	}
}

func (w *watcher) watermarks(m messages.Watermarks) {
	if w.look(watermarksRise) {
		if m.Durable > m.Visible || m.Visible > m.Applied {
			w.life.Fail(watermarksRise, "durable %d ≤ visible %d ≤ applied %d does not hold", m.Durable, m.Visible, m.Applied)
		}
		if m.Durable < w.marks.Durable || m.Visible < w.marks.Visible || m.Applied < w.marks.Applied {
			w.life.Fail(watermarksRise, "after %v came %v", &w.marks, &m)
		}
	}
	w.marks = m
}

func (w *watcher) appended(a messages.Append) {
	if a.Count == 0 {
		return
	}
	if !w.started { // all below was recovered, and synced again when the store was opened
		w.started, w.synced, w.last = true, max(w.synced, a.First-1), a.First-1
	}
	if w.look(logOrder) && (a.First != w.last+1 || int(a.Last-a.First)+1 != a.Count) {
		w.life.Fail(logOrder, "%d commits, %d to %d, follow commit %d", a.Count, a.First, a.Last, w.last)
	}
	w.last = a.Last
}

// runs: tables of a run do not overlap, runs are newest first by the seqs that they cover.
func (w *watcher) runs(v *versions.View) {
	if !w.look(runsInOrder) {
		return
	}
	if err := v.Check(); err != nil {
		w.life.Fail(runsInOrder, "%v", err)
	}
	for i, r := range v.Runs {
		if i > 0 && v.Runs[i-1].SeqLo < r.SeqHi {
			w.life.Fail(runsInOrder, "run %d begins at seq %d, the older run %d ends at %d", i-1, v.Runs[i-1].SeqLo, i, r.SeqHi)
		}
		for j, t := range r.Tables {
			if bytes.Compare(t.Meta().Min, t.Meta().Max) > 0 || j > 0 && bytes.Compare(r.Tables[j-1].Meta().Max, t.Meta().Min) >= 0 {
				w.life.Fail(runsInOrder, "run %d, table %d: keys %q to %q, after a table up to %q", i, j, t.Meta().Min, t.Meta().Max, r.Tables[max(j-1, 0)].Meta().Max)
			}
		}
	}
}

// writes is told of a write before it is done.
func (w *watcher) writes(name string, p []byte, off int64) {
	switch {
	case strings.HasPrefix(name, "checkpoint-") && off == 0:
		if c, err := flusher.DecodeCheckpoint(p, name); err == nil {
			w.published(c)
			w.written[name] = c
		}
	case strings.HasPrefix(name, "wal-") && off == 0:
		h, ok := decodeHeader(p)
		if old, had := w.headers[name]; had && (!ok || old.epoch != h.epoch || old.number != h.number) {
			w.forgets(name)
		}
		if ok {
			w.count++
			h.written = w.count
			w.headers[name] = h
		}
	}
}

// decodeHeader reads the beginning of a log segment, see walwriter's format.go.
func decodeHeader(p []byte) (h header, ok bool) {
	if len(p) < 64 || string(p[:8]) != "AEGISWAL" {
		return h, false
	}
	return header{
		number: binary.LittleEndian.Uint32(p[16:]), epoch: binary.LittleEndian.Uint32(p[20:]), base: pages.Seq(binary.LittleEndian.Uint64(p[24:])),
	}, true
}

// published: before the first byte of a checkpoint is written, all that it names is synced, names
// too, and so is the log up to its freeze seq.
func (w *watcher) published(c *flusher.Checkpoint) {
	if w.started && c.Log && w.look(logBeforeData) && c.Freeze > w.synced {
		w.life.Fail(logBeforeData, "checkpoint %d covers seq %d, durable is %d", c.Number, c.Freeze, w.synced)
	}
	if w.rule != namesSyncedFiles {
		return
	}
	files := map[string]simdisk.FileState{}
	for _, f := range w.life.Files() {
		files[f.Name] = f
	}
	for _, r := range c.Runs {
		for i := range r.Tables {
			name, size := pages.TableName(r.Tables[i].ID), r.Tables[i].Size
			f, there := files[name]
			w.look(namesSyncedFiles)
			if !there || !f.Named || f.Unsynced > 0 || f.Synced != size || f.Size != size {
				w.life.Fail(namesSyncedFiles, "checkpoint %d names %s of %d bytes, which is %+v", c.Number, name, size, f)
			}
		}
	}
}

// directorySynced looks which checkpoint counts if the power goes now. One of an earlier life does
// until this life has one: its number may be used again, if its publication failed.
func (w *watcher) directorySynced() {
	var newest *flusher.Checkpoint
	for _, f := range w.life.Files() {
		c := w.written[f.Name]
		if c != nil && f.Named && f.Unsynced == 0 && f.Synced == f.Size && f.Size > 0 && (newest == nil || c.Number > newest.Number) {
			newest = c
		}
	}
	if newest != nil {
		w.durable = newest
	}
}

// forgets is told of a log segment that is about to be removed, or used for another one: a durable
// checkpoint must cover what it holds.
func (w *watcher) forgets(name string) {
	h, ok := w.headers[name]
	if !ok {
		return
	}
	delete(w.headers, name)
	last := w.last
	if !w.started {
		last = pages.MaxSeq // recovered up to a seq that only the segments tell
	}
	for _, o := range w.headers { // a later segment has what is at or above its base
		if h.before(o) && o.base <= last {
			last = o.base - 1
		}
	}
	if last == pages.MaxSeq || !w.look(logOutlives) {
		return
	}
	covered := pages.Seq(0)
	if w.durable != nil {
		covered = w.durable.Freeze
	}
	if last >= h.base && last > covered {
		w.life.Fail(logOutlives, "%s, segment %d of epoch %d, goes with commits %d to %d; the durable checkpoint covers %d", name, h.number, h.epoch, h.base, last, covered)
	}
}

// removes is told of a file that is about to be removed.
func (w *watcher) removes(name string) {
	if strings.HasPrefix(name, "wal-") {
		w.forgets(name)
	}
	id, ok := pages.ParseTableName(name)
	if !ok || !w.look(tablesOutlive) {
		return
	}
	if w.durable != nil {
		for _, r := range w.durable.Runs {
			for i := range r.Tables {
				if r.Tables[i].ID == id {
					w.life.Fail(tablesOutlive, "%s is removed, the durable checkpoint %d names it", name, w.durable.Number)
				}
			}
		}
	}
	if w.view == nil {
		return
	}
	for _, r := range w.view.Runs {
		for _, t := range r.Tables {
			if t.Meta().ID == id {
				w.life.Fail(tablesOutlive, "%s is removed, the published View %d has it", name, w.view.Epoch)
			}
		}
	}
}

// over lays the watcher between the store and its disk.
func (w *watcher) over(b backends.Backend) backends.Backend { return &watchedDisk{b, w} }

type watchedDisk struct {
	backends.Backend
	w *watcher
}

func (d *watchedDisk) Create(name string) (backends.File, error) {
	f, err := d.Backend.Create(name)
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, name, d.w}, nil
}

func (d *watchedDisk) Open(name string) (backends.File, error) {
	f, err := d.Backend.Open(name)
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, name, d.w}, nil
}

func (d *watchedDisk) Remove(name string) error {
	d.w.removes(name)
	return d.Backend.Remove(name)
}

func (d *watchedDisk) SyncDir() error {
	err := d.Backend.SyncDir()
	if err == nil {
		d.w.directorySynced()
	}
	return err
}

type watchedFile struct {
	backends.File
	name string
	w    *watcher
}

func (f *watchedFile) WriteAt(p []byte, off int64) (int, error) {
	f.w.writes(f.name, p, off)
	return f.File.WriteAt(p, off)
}
