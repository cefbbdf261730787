package walwriter

import (
	"fmt"

	"github.com/aegis-storage/aegis/messages"
)

// minCharge is the least that a commit is charged.
const minCharge = messages.RecordOverhead + messages.GroupOverhead

// ledger counts the credit that txcoord was granted and has not had written yet.
//
// A commit of n payload bytes is charged n+60 and takes, in a group of its own, at most that
// much of a segment as long as groups are aligned to 8 bytes. With a wider alignment the
// padding is not in the charge; then room is counted as if each 60 bytes of credit took one
// padding more.
//
// Invariants:
//  1. 0 ≤ granted.
//  2. granted ≤ the placeable part of the current segment's room, or of the first spare's.
//
// Why 2 is enough, groups never being split over segments: as long as groups fit the current
// segment they go there. The first that does not fit is charged more than the placeable room
// that is left, so granted is above that, so by 2 it is within the first spare, and the group
// and all that is granted besides fit there.
type ledger struct {
	align   int64
	granted int64
}

// placeable returns how much credit room bytes of a segment back.
func (l *ledger) placeable(room int64) int64 {
	if l.align <= minAlign {
		return room
	}
	return room * minCharge / (minCharge + l.align)
}

// roomFor returns the least room that backs credit: placeable(roomFor(c)) ≥ c.
func (l *ledger) roomFor(credit int64) int64 {
	if l.align <= minAlign {
		return credit
	}
	return (credit*(minCharge+l.align) + minCharge - 1) / minCharge
}

// spend takes back the credit of a record that was written.
func (l *ledger) spend(charge int64) {
	if charge > l.granted {
		panic(fmt.Sprintf("walwriter: records charged %d with a credit of %d", charge, l.granted))
	}
	l.granted -= charge
}

// topUp grants what room backs on top of what is granted, and returns it.
func (l *ledger) topUp(room int64) int64 {
	credit := max(0, l.placeable(max(0, room))-l.granted)
	l.granted += credit
	return credit
}
