package flusher

import (
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/pages"
)

// Check verifies the machine's invariants. It reads no page.
func (m *Machine) Check() error {
	if err := m.checkRuns(); err != nil {
		return err
	}
	if err := m.checkTables(); err != nil {
		return err
	}
	if m.seen > m.told || m.unseen() > maxUnseen+1 {
		return fmt.Errorf("flusher: txcoord was told %d messages and has seen %d", m.told, m.seen)
	}
	return m.checkMerges()
}

// checkRuns verifies invariant 1 and what a run is.
func (m *Machine) checkRuns() error {
	runs := m.staged.runs
	for i, r := range runs {
		if err := r.Run.Check(); err != nil {
			return fmt.Errorf("flusher: run %d: %w", r.id, err)
		}
		if len(r.Tables) == 0 {
			return fmt.Errorf("flusher: run %d has no tables", r.id)
		}
		if i > 0 && runs[i-1].SeqLo < r.SeqHi {
			return fmt.Errorf("flusher: run %d ends at seq %d, newer run %d begins at %d", r.id, r.SeqHi, runs[i-1].id, runs[i-1].SeqLo)
		}
		if r.SeqHi > m.staged.freeze {
			return fmt.Errorf("flusher: run %d ends at seq %d, above the freeze seq %d", r.id, r.SeqHi, m.staged.freeze)
		}
		if r.Tier == BottomTier && (i != len(runs)-1 || r.tombstones > 0 || r.Consumed != nil) {
			return fmt.Errorf("flusher: bottom run %d at %d of %d has %d tombstones, consumed %q", r.id, i, len(runs), r.tombstones, r.Consumed)
		}
	}
	if m.publishedFreeze > m.staged.freeze {
		return fmt.Errorf("flusher: published freeze seq %d is above the staged %d", m.publishedFreeze, m.staged.freeze)
	}
	return nil
}

// checkTables verifies invariants 2 to 4.
func (m *Machine) checkTables() error {
	seen := make(map[pages.FileID]string)
	note := func(id pages.FileID, where string) error {
		if before, ok := seen[id]; ok {
			return fmt.Errorf("flusher: table %d is in %s and in %s", id, before, where)
		}
		if id >= m.files.Bound() {
			return fmt.Errorf("flusher: table %d is not below %d", id, m.files.Bound())
		}
		seen[id] = where
		return nil
	}
	for _, r := range m.staged.runs {
		for _, t := range r.Tables {
			if err := note(t.Meta().ID, fmt.Sprintf("run %d", r.id)); err != nil {
				return err
			}
			if t.Retired() {
				return fmt.Errorf("flusher: table %d of run %d is retired", t.Meta().ID, r.id)
			}
		}
	}
	for _, t := range m.leaving {
		if err := note(t.Meta().ID, "what leaves"); err != nil {
			return err
		}
	}
	for _, t := range m.retired {
		if err := note(t.Meta().ID, "what is retired"); err != nil {
			return err
		}
	}
	for _, c := range m.condemned {
		if err := note(c.id, "what is removed"); err != nil {
			return err
		}
	}
	return nil
}

// checkMerges verifies invariant 5.
func (m *Machine) checkMerges() error {
	for _, mg := range m.merges {
		at := -1
		for _, id := range append(slices.Clone(mg.sources), mg.target) {
			i := m.staged.find(id)
			if i < 0 {
				continue
			}
			if at >= 0 && i != at+1 {
				return fmt.Errorf("flusher: run %d of a merge is at %d, the one before it at %d", id, i, at)
			}
			at = i
		}
	}
	return nil
}
