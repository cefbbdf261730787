package pages

import (
	"context"
	"errors"
	"fmt"
)

// Run is a sorted sequence of tables that do not overlap: at most one version of each key.
// Once published it does not change; Tables may be shared between runs. Safe for concurrent use.
//
// Invariants:
//
//  1. Tables ascend: each one's Max is below the next one's Min.
//  2. Keys ≤ Consumed are not in this run any more, whatever its tables hold; nil means none
//     are consumed. (A merge has moved them into the run below.)
type Run struct {
	Tier         uint8
	SeqLo, SeqHi Seq // the commits that the run covers
	Consumed     []byte
	Tables       []*Table

	index *runIndex // made by Seal; nil, or of other tables: searches compare whole keys
}

// runIndex finds a run's table for a key as an inner page finds its child: the Min of each table
// but the first is a separator.
type runIndex struct {
	tables []*Table
	mins   inner
}

// Seal prepares the run for fast lookups, and returns it. Call it before the run is shared.
// Without it lookups are right, but slower when the run has many tables.
func (r *Run) Seal() *Run {
	if len(r.Tables) < 2 {
		return r
	}
	x := &runIndex{tables: r.Tables, mins: inner{heads: make([]uint64, len(r.Tables)-1)}}
	for _, t := range r.Tables[1:] {
		x.mins.seps = append(x.mins.seps, t.meta.Min...)
		x.mins.ends = append(x.mins.ends, uint32(len(x.mins.seps)))
	}
	x.mins.fillHeads()
	r.index = x
	return r
}

// sealed returns the index if it is of the tables that r has now: a Run may be copied by value
// and given other tables.
func (r *Run) sealed() *runIndex {
	x := r.index
	if x == nil || len(x.tables) != len(r.Tables) || &x.tables[0] != &r.Tables[0] {
		return nil
	}
	return x
}

// Check verifies the run's invariants.
func (r *Run) Check() error {
	if r.SeqLo > r.SeqHi {
		return fmt.Errorf("pages: run of seqs %d to %d", r.SeqLo, r.SeqHi)
	}
	for i, t := range r.Tables {
		if t == nil {
			return errors.New("pages: run with a nil table")
		}
		if err := t.meta.check(); err != nil {
			return fmt.Errorf("pages: run: %s: %w", t.name(), err)
		}
		if i > 0 && string(r.Tables[i-1].meta.Max) >= string(t.meta.Min) {
			return fmt.Errorf("pages: run: %s up to %q overlaps %s from %q",
				r.Tables[i-1].name(), r.Tables[i-1].meta.Max, t.name(), t.meta.Min)
		}
	}
	return nil
}

// Get looks key up as Table.Get does.
func (r *Run) Get(ctx context.Context, key []byte, hash uint64) (value []byte, kind Kind, ok bool, err error) {
	if t := r.table(key); t != nil {
		return t.Get(ctx, key, hash)
	}
	return nil, 0, false, nil
}

// GetFiltered is Get for a run that has older runs below it, so that it most likely does not
// have the key: filters that are in memory are asked before pages are.
func (r *Run) GetFiltered(ctx context.Context, key []byte, hash uint64) (value []byte, kind Kind, ok bool, err error) {
	if t := r.table(key); t != nil {
		return t.getFiltered(ctx, key, hash)
	}
	return nil, 0, false, nil
}

// table returns the table that has key if any has.
func (r *Run) table(key []byte) *Table {
	if r.Consumed != nil && string(key) <= string(r.Consumed) {
		return nil
	}
	if x := r.sealed(); x != nil {
		i := x.mins.search(key)
		t := x.tables[i]
		if string(key) > string(t.meta.Max) || i == 0 && string(key) < string(t.meta.Min) {
			return nil
		}
		return t
	}
	i := r.find(key)
	if i == len(r.Tables) || string(key) < string(r.Tables[i].meta.Min) {
		return nil
	}
	return r.Tables[i]
}

// find returns the index of the first table whose Max is ≥ key.
func (r *Run) find(key []byte) int {
	lo, hi := 0, len(r.Tables)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if string(r.Tables[mid].meta.Max) < string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// findBelow returns the index of the last table whose Min is < key, or -1.
func (r *Run) findBelow(key []byte) int {
	lo, hi := 0, len(r.Tables)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if string(r.Tables[mid].meta.Min) < string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}
