package disk

import (
	"slices"
	"time"
)

// Profile says what a disk may do. The zero value of each field is the kindest; Sector 0 means
// 512. Rates are "once in so many calls": 0 is never, 1 always.
type Profile struct {
	Name string // as ProfileNamed knows it

	// What a power cut may do to work that is not synced.

	Sector          int64     // bytes that the medium writes at once: 512 or 4096
	AtomicSectors   bool      // a sector holds one of the versions that it had since the sync; else any part of each write may be missing
	Ordered         bool      // writes, truncations and names reach the medium in order: a crash keeps a prefix
	Torn            bool      // a piece of a write may be cut short within its sector, with garbage behind; needs AtomicSectors unset
	SizeWithoutData bool      // a file may be longer than what arrived of its data
	DataWithoutSize bool      // a file may be shorter than what arrived of its data
	NamesApart      bool      // each unsynced Create and Remove survives by itself; else they reach the medium in order
	Unwritten       Unwritten // what stands in bytes that the size has and the data has not

	// Faults of calls.

	FailedSync  FailedSync // what becomes of unsynced writes when a sync fails
	ReadError   int        // of ReadAt: EIO
	WriteError  int        // of WriteAt and Truncate: EIO, and a part may be written
	SyncError   int        // of Sync and SyncDir: EIO
	CreateError int        // of Create: EIO
	OpenError   int        // of Open and List: EIO
	RemoveError int        // of Remove: EIO
	Lasting     int        // of these errors, one in so many lasts until the life ends, for that call on that file

	NoSpace      int   // of WriteAt, Truncate, Create and Sync: the medium is full
	NoSpaceCalls int   // at most so many calls that need space fail until there is relief; 0 means 1
	Capacity     int64 // bytes of all files together; 0: unlimited

	LyingSync int // of Sync and SyncDir: answers nil and does nothing

	// Damage of synced bytes.

	BitFlip     int // of ReadAt: a bit in the range has changed for good
	BadSector   int // of ReadAt: a sector in the range cannot be read until it is written whole
	Misdirected int // of WriteAt: the bytes go elsewhere, over synced ones
	StaleWrite  int // of WriteAt: the bytes go nowhere
	ZeroTail    int // of Open: the last sectors of the file are zeros

	// Time.

	Slow     int           // of all calls: takes up to SlowFor
	SlowFor  time.Duration // virtual
	Stuck    int           // of all calls on a file: this one and all later ones on that file take StuckFor each, until the life ends; one file at most
	StuckFor time.Duration // virtual
}

// Unwritten says what bytes read as that a size covers, but no data, and no sync of the file.
type Unwritten uint8

// The contents of unwritten bytes.
const (
	UnwrittenZero    Unwritten = iota // zeros
	UnwrittenOld                      // zeros, or what another file had there
	UnwrittenGarbage                  // zeros, or what was never written
	UnwrittenAny                      // zeros, old contents, or garbage
)

// FailedSync says what becomes of unsynced writes when a sync fails.
type FailedSync uint8

// The ways in which systems treat what a failed sync has not written.
const (
	SyncKeeps    FailedSync = iota // it stays unsynced: a later sync that succeeds makes it durable
	SyncReadsNew                   // it is marked clean: it reads as written until the power cut, no later sync writes it
	SyncReadsOld                   // it is thrown away: reads show what the medium has at once
	SyncEither                     // the one or the other, drawn each time
)

// Has reports whether faults of a class can happen under p. Crash always can.
func (p *Profile) Has(c Class) bool {
	switch c {
	case Crash:
		return true
	case EIORead:
		return p.ReadError > 0
	case EIOWrite:
		return p.WriteError > 0
	case EIOSync:
		return p.SyncError > 0
	case EIOName:
		return p.CreateError+p.OpenError+p.RemoveError > 0
	case NoSpace:
		return p.NoSpace > 0 || p.Capacity > 0
	case Media:
		return p.BitFlip+p.BadSector+p.Misdirected+p.StaleWrite+p.ZeroTail > 0
	case Lying:
		return p.LyingSync > 0
	case Time:
		return p.Slow+p.Stuck > 0
	}
	return false
}

// Honest reports whether the disk keeps what it has acknowledged: no lying sync, no media faults.
func (p *Profile) Honest() bool { return !p.Has(Lying) && !p.Has(Media) }

// Quiet returns p without faults of calls, damage and delays: crashes alone.
func (p *Profile) Quiet() Profile {
	return Profile{
		Name: p.Name, Sector: p.Sector, AtomicSectors: p.AtomicSectors, Ordered: p.Ordered, Torn: p.Torn,
		SizeWithoutData: p.SizeWithoutData, DataWithoutSize: p.DataWithoutSize, NamesApart: p.NamesApart,
		Unwritten: p.Unwritten,
	}
}

// Profiles returns the named profiles, from the weakest to the hardest.
func Profiles() []Profile { return slices.Clone(named) }

var named = profiles()

func profiles() []Profile {
	kind := Profile{Name: "kind", Sector: 4096, AtomicSectors: true, Ordered: true}
	sector := Profile{Name: "sector", Sector: 512, AtomicSectors: true, NamesApart: true}
	torn := Profile{
		Name: "torn", Sector: 512, Torn: true, SizeWithoutData: true, DataWithoutSize: true, NamesApart: true,
		Unwritten: UnwrittenAny,
	}
	slow := torn
	slow.Name, slow.Slow, slow.SlowFor, slow.Stuck, slow.StuckFor = "slow", 20, 500*time.Millisecond, 500, 2*time.Second
	full := torn
	full.Name, full.NoSpace, full.NoSpaceCalls = "full", 60, 8
	eio := torn
	eio.Name, eio.ReadError, eio.WriteError, eio.SyncError = "eio", 100, 100, 100
	eio.CreateError, eio.OpenError, eio.RemoveError, eio.Lasting = 30, 30, 30, 4
	drops := torn
	drops.Name, drops.SyncError, drops.FailedSync = "drops", 20, SyncEither
	honest := eio
	honest.Name, honest.FailedSync = "all-honest", SyncEither
	honest.NoSpace, honest.NoSpaceCalls = full.NoSpace, full.NoSpaceCalls
	honest.Slow, honest.SlowFor, honest.Stuck, honest.StuckFor = slow.Slow, slow.SlowFor, slow.Stuck, slow.StuckFor
	lying := torn
	lying.Name, lying.LyingSync = "lying", 3
	media := torn
	media.Name, media.BitFlip, media.BadSector, media.Misdirected, media.StaleWrite, media.ZeroTail = "media", 60, 200, 200, 200, 60
	return []Profile{kind, sector, torn, slow, full, eio, drops, honest, lying, media}
}

// ProfileNamed returns the profile of a name, and whether there is one.
func ProfileNamed(name string) (Profile, bool) {
	for i := range named {
		if named[i].Name == name {
			return named[i], true
		}
	}
	return Profile{}, false
}
