package salvage

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// stretch is a sequence of sound commits without a gap, and the damage that was met before it.
type stretch struct {
	lo, hi pages.Seq
	before Lost // File, Offset and Why
}

// logSurvey is what a first reading of the log tells.
type logSurvey struct {
	stretches []stretch
	tail      *Lost // damage behind the last sound commit
	gap       bool  // commits are lost
	first     pages.Seq
}

// surveyLog reads the log for its gaps, and for what it says of keyspaces.
func (s *salvage) surveyLog() error {
	var damage *Lost
	note := func(file string, offset int64, what string) {
		if damage != nil {
			s.report.note("%s at offset %d: %s", file, offset, what)
			return
		}
		damage = &Lost{Kind: Commits, File: file, Offset: offset, Why: what}
	}
	var ops []messages.Op
	err := s.log.Each(func(seq pages.Seq, batch []byte) error {
		var err error
		if ops, err = messages.DecodeBatch(batch, ops[:0]); err != nil {
			note(s.log.File(), 0, fmt.Sprintf("commit %d: %v", seq, err))
			return s.ctx.Err()
		}
		s.learn(batch, ops)
		list := &s.survey.stretches
		if n := len(*list); n > 0 && (*list)[n-1].hi+1 == seq {
			(*list)[n-1].hi = seq
			if damage != nil { // and yet nothing is missing
				s.report.note("%s at offset %d: %s", damage.File, damage.Offset, damage.Why)
				damage = nil
			}
			return s.ctx.Err()
		}
		next := stretch{lo: seq, hi: seq}
		if damage != nil {
			next.before, damage = *damage, nil
		}
		*list = append(*list, next)
		return s.ctx.Err()
	}, note)
	s.survey.tail = damage
	s.findGaps()
	return err
}

// learn takes what a commit says of keyspaces.
func (s *salvage) learn(batch []byte, ops []messages.Op) {
	for i := range ops {
		key := ops[i].Key(batch)
		if ops[i].Kind == pages.KindValue {
			s.catalog.learn(key, ops[i].Value(batch))
		}
	}
}

// findGaps decides which commits are applied, and lists those that are missing.
func (s *salvage) findGaps() {
	covers := s.source.covers
	v := &s.survey
	v.first = covers + 1
	if !s.source.whole {
		// Commits may be in the log and only in part in tables, as their flush was under way. Applying
		// a commit again does no harm, as long as all that came after it is applied too.
		for _, x := range v.stretches {
			if x.hi >= covers {
				v.first = min(v.first, x.lo)
				break
			}
		}
	}
	next := v.first
	for _, x := range v.stretches {
		lo := max(x.lo, v.first)
		if b := x.before; b.Why != "" && (x.hi < v.first || lo == next) {
			s.report.note("%s at offset %d: %s", b.File, b.Offset, b.Why)
		}
		if x.hi < v.first {
			continue
		}
		if lo > next {
			l := x.before
			l.Kind, l.SeqLo, l.SeqHi = Commits, uint64(next), uint64(lo-1)
			if l.Why == "" {
				l.Why = "a segment of the log is missing"
			}
			s.report.add(l)
			v.gap = true
		}
		if v.gap {
			s.report.add(Lost{Kind: AfterGap, SeqLo: uint64(lo), SeqHi: uint64(x.hi), Why: "commits before them are lost"})
		}
		next = x.hi + 1
	}
	s.report.LastSeq = uint64(next - 1)
	s.logEnd(next)
}

// goBack has commits applied again that are in tables, where tables have lost some: from as far back
// as the log has all up to its end. Applying a commit again does no harm then.
func (s *salvage) goBack() {
	lost := func(h *hole) bool { return h.Kind == Entries }
	if !slices.ContainsFunc(s.tables.holes, lost) {
		return
	}
	for _, x := range s.survey.stretches {
		if x.lo <= s.source.covers && s.source.covers <= x.hi {
			s.survey.first = min(s.survey.first, x.lo)
		}
	}
}

// logEnd lists what is missing behind the last sound commit, next-1.
func (s *salvage) logEnd(next pages.Seq) {
	v, c := &s.survey, s.source.checkpoint
	l := Lost{Kind: Commits, SeqLo: uint64(next)}
	if v.tail != nil {
		l = *v.tail
		l.SeqLo = uint64(next)
	}
	keeps := c != nil && c.Log && !c.Clean && s.source.whole
	reach := s.log.Asserted // the log goes at least so far
	if n := len(v.stretches); n > 0 {
		reach = max(reach, v.stretches[n-1].hi)
	}
	switch synced := s.log.Asserted; {
	case synced >= next:
		if l.Why != "" {
			l.Why += "; "
		}
		l.Why += fmt.Sprintf("a header of the log says that commits up to %d, at least, were synced", synced)
	case v.tail != nil:
		l.Why += "; it is the end of the log, or commits were behind it"
	case keeps && s.log.Epoch() < c.Epoch:
		l.Why = fmt.Sprintf("no segment of the log is of epoch %d, in which the checkpoint was written", c.Epoch)
	case s.unreadLog(&l):
	case keeps && reach < c.Freeze:
		// What a table holds was in the log before, and the log's last segment is never given back.
		l.Why = fmt.Sprintf("the log ends at commit %d, before the checkpoint's commit %d: its last segment is missing", reach, c.Freeze)
	case keeps || !s.source.whole || s.log.File() != "":
		s.report.UnknownFrom, s.report.LogEnds = uint64(next), s.logEnds(next-1)
		return
	default: // the checkpoint says that no log follows
		return
	}
	v.gap = true
	s.report.add(l)
}

// unreadLog says in l that a file of the log cannot be read, if there is one of which nothing is known.
func (s *salvage) unreadLog(l *Lost) bool {
	name, u := s.from.first(func(name string) bool { return strings.HasPrefix(name, "wal-") && !s.log.Reads(name) })
	if u != nil {
		l.File, l.Offset, l.Why = name, u.offset, fmt.Sprintf("the file cannot be read: %v", u.err)
	}
	return u != nil
}

// logEnds says where the log ends, where nothing tells that it went on.
func (s *salvage) logEnds(last pages.Seq) string {
	file := s.log.File()
	if file == "" {
		return "no segment of a log is there"
	}
	text := fmt.Sprintf("the log ends at commit %d in %s; a segment behind that would leave no trace", last, file)
	if missing := s.log.Missing(); len(missing) > 0 {
		text += fmt.Sprintf(" (not there, and of no use any more or lost: %s)", strings.Join(missing, " "))
	}
	return text
}

// applyLog writes the sound commits, in their order, to the new store.
func (s *salvage) applyLog() error {
	var ops []messages.Op
	err := s.log.Each(func(seq pages.Seq, batch []byte) (err error) {
		if seq < s.survey.first {
			return nil
		}
		if ops, err = messages.DecodeBatch(batch, ops[:0]); err != nil {
			return nil // listed by the survey
		}
		batch = slices.Clone(batch)
		if len(batch) >= batchBytes {
			if err := s.makeRoom(batch, ops); err != nil {
				return err
			}
		}
		for i := range ops {
			if err := s.apply(ops[i].Key(batch), ops[i].Value(batch), ops[i].Kind); err != nil {
				return err
			}
		}
		s.report.Commits++
		s.progress.Done = int64(seq)
		if s.target.full() {
			s.tell()
			return s.target.flush()
		}
		return s.ctx.Err()
	}, func(string, int64, string) {})
	if err != nil {
		return err
	}
	return s.target.flush()
}

// makeRoom has a commit that may be as large as any begin a batch of its own, in keyspaces that are
// there.
func (s *salvage) makeRoom(batch []byte, ops []messages.Op) error {
	for i := range ops {
		id, _, err := pages.SplitKey(ops[i].Key(batch))
		if err != nil || id < pages.FirstUserKeyspace || s.catalog.dropped[id] {
			continue
		}
		if _, err := s.open(id); err != nil {
			return err
		}
	}
	return s.target.flush()
}

// apply adds one write of a commit.
func (s *salvage) apply(internal, value []byte, kind pages.Kind) error {
	id, key, err := pages.SplitKey(internal)
	if err != nil || len(key) > aegis.MaxKeyBytes {
		s.report.note("a commit writes %d bytes that are no key", len(internal))
		return nil
	}
	o := op{kind: opPut, key: key, value: value}
	if kind == pages.KindTombstone {
		o.kind = opDelete
	}
	switch {
	case id == pages.CatalogKeyspace:
		return nil // the survey has learned all that it says
	case id == pages.BlocksKeyspace:
		if len(key) != blockKeyBytes {
			return nil
		}
		o.id = aegis.BlockID(binary.BigEndian.Uint64(key))
		o.kind = opCopyBlock
		if kind == pages.KindTombstone {
			o.kind = opDeleteBlock
		}
	case s.catalog.dropped[id]:
		return nil
	default:
		if o.keyspace, err = s.open(id); err != nil {
			return err
		}
	}
	s.target.add(o)
	return nil
}
