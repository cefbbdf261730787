package aegis

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// Options configure a store. The zero value, and a nil *Options, give a durable store in local
// files. A zero field means its default. Open copies the Options: changing them later has no
// effect.
type Options struct {
	// Backend keeps the store's files. Default: nil: files in the directory given to Open. With a
	// Backend the directory is not used.
	Backend backends.Backend

	// ReadOnly opens the store for reading, beside other readers but not beside a writer. Nothing
	// is written, not even by recovery; writing calls fail with ErrReadOnly. Default: false.
	ReadOnly bool

	// Compression of table pages in keyspaces that do not choose their own. It can change from one
	// open to the next: each page says how it is stored. Default: lz4.
	Compression Compression

	// CompressionLevel, 1 (fastest) to 4 (smallest), counts for Zstd only. Default: 1 with Zstd, else
	// 0; other compressions have no levels.
	CompressionLevel int

	// MemoryBudget bounds the bytes of memory that recent writes, cached pages and filters hold
	// together. Cached pages get what the version indexes leave, less what the garbage collector
	// needs to keep the process itself near the budget. Default: 256 MiB. At least 64 KiB.
	//
	// Indexes that only open transactions still hold count too. One transaction holds at most three
	// of about CheckpointBytes, however long it is open. Transactions of different ages hold different
	// ones: when the others hold more than three times CheckpointBytes (but 192 KiB at least) beside
	// what the oldest holds, the oldest is ended with ErrSnapshotTooOld. So it is when they hold more
	// bytes of files beside the oldest's than the store has itself and than 16 times CheckpointBytes.
	// A transaction is never ended for what it holds alone.
	MemoryBudget int64

	// Durability of commits that do not choose their own: Sync, or NoSync. Default: sync.
	Durability Durability

	// SyncInterval is the longest time that a NoSync commit stays unsynced in the background.
	// Default: 100ms.
	SyncInterval time.Duration

	// DisableWAL writes no log: commits are acknowledged when applied, whatever their Durability, and
	// a crash takes the store back to its last checkpoint. Close still keeps everything. For data
	// that can be made again. Default: false.
	DisableWAL bool

	// CheckpointBytes is how many bytes of recent writes gather in memory before they are flushed to
	// tables. More makes fewer, larger flushes and less write amplification; it is taken from
	// MemoryBudget up to three times (one index in use, two being flushed), so it may be a quarter
	// of it at most. Default: 32 MiB with the default MemoryBudget, else an eighth of it.
	CheckpointBytes int64

	// MaxSnapshotAge ends transactions that are open for longer with ErrSnapshotTooOld, which frees
	// the memory and the files that only they still need, also if their owners have forgotten them.
	// Default: 0s: no limit on age.
	MaxSnapshotAge time.Duration

	// Logger receives rare events: recovery, flushes, failures, stalls. Nothing is logged for each
	// operation. The Event constants list the names and the fields. Events are handed over aside, so
	// that a slow handler holds nothing up. Default: nil: discards.
	Logger *slog.Logger

	// Observer is told of progress, of spans for a tracer, and where transactions begin. It is copied.
	// Default: nil: nobody is told, and nothing is spent on it.
	Observer *Observer

	// Limits are the sizes of inner structures; they exist for the simulator and for experiments. A
	// zero field takes its default. Default: nil: all defaults.
	Limits *Limits

	// Runtime starts the store's actors and waits on their behalf. Default: nil: goroutines. The
	// simulator has the other implementation.
	Runtime Runtime
}

// Limits are the sizes of the engine's inner structures.
type Limits = messages.Limits

// Runtime is the seam between production and the simulator.
type Runtime = actors.Runtime

// Durability says when a commit is answered: Sync or NoSync.
type Durability = messages.Durability

// The durabilities of a commit.
const (
	// Sync: answered once its log record is synced. It survives a crash of the process and of the
	// machine.
	Sync = messages.Sync
	// NoSync: answered when applied, and synced within SyncInterval. A crash of the process or of the
	// machine may lose the last commits, always a suffix of them.
	NoSync = messages.NoSync
)

// Compression names how table pages are compressed. A page that does not shrink is stored raw
// whatever is asked for.
type Compression uint8

// The compressions.
const (
	DefaultCompression Compression = iota // LZ4
	NoCompression                         // pages are stored raw
	LZ4                                   // fast both ways
	Zstd                                  // smaller, and slower to write
)

// String returns the name that configuration files use.
func (c Compression) String() string {
	switch c {
	case DefaultCompression, LZ4:
		return "lz4"
	case NoCompression:
		return "none"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("Compression(%d)", uint8(c))
}

// codec returns how pages are written with compression c at a level (0: the default one).
func (c Compression) codec(level int) (pages.Codec, error) {
	kinds := [...]pages.Compression{DefaultCompression: pages.LZ4, NoCompression: pages.None, LZ4: pages.LZ4, Zstd: pages.Zstd}
	if int(c) >= len(kinds) {
		return pages.Codec{}, fmt.Errorf("aegis: option Compression is %d, allowed are NoCompression, LZ4 and Zstd", uint8(c))
	}
	if c != Zstd {
		if level != 0 {
			return pages.Codec{}, fmt.Errorf("aegis: option CompressionLevel is %d, but only Zstd has levels: with %s it must be 0", level, c)
		}
		return pages.Codec{Compression: kinds[c]}, nil
	}
	if level < 0 || level > maxZstdLevel {
		return pages.Codec{}, fmt.Errorf("aegis: option CompressionLevel is %d, allowed are 1 to %d, and 0 for the default of 1", level, maxZstdLevel)
	}
	return pages.Codec{Compression: pages.Zstd, Level: int8(max(level, 1))}, nil
}

const (
	maxZstdLevel        = 4
	minMemoryBudget     = 64 << 10
	defaultMemoryBudget = 256 << 20
	// An index in use and two being flushed hold CheckpointBytes each.
	defaultCheckpointShare = 8
	maxCheckpointShare     = 4
	// A chunk of an index is at most this share of it, so that a small index stays small.
	chunkShare    = 16
	minChunkBytes = 4 << 10
)

// effective returns the options with every default filled in (Backend and Runtime excepted),
// or says which of them cannot be. It accepts nil. Effective options stay as they are.
func (o *Options) effective() (Options, error) {
	var e Options
	if o != nil {
		e = *o
	}
	codec, err := e.Compression.codec(e.CompressionLevel)
	if err != nil {
		return e, err
	}
	if e.Compression == DefaultCompression {
		e.Compression = LZ4
	}
	e.CompressionLevel = int(codec.Level)
	if e.Durability != Sync && e.Durability != NoSync {
		return e, fmt.Errorf("aegis: option Durability is %d, allowed are Sync and NoSync", uint8(e.Durability))
	}
	if e.MaxSnapshotAge < 0 {
		return e, fmt.Errorf("aegis: option MaxSnapshotAge is %s, allowed are 0 (no limit) and above", e.MaxSnapshotAge)
	}
	if e.MemoryBudget == 0 {
		e.MemoryBudget = defaultMemoryBudget
	}
	if e.MemoryBudget < minMemoryBudget {
		return e, fmt.Errorf("aegis: option MemoryBudget is %d bytes, the least is %d (%s)", e.MemoryBudget, minMemoryBudget, formatSize(minMemoryBudget))
	}
	if err := e.fillLimits(); err != nil {
		return e, err
	}
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	e.Observer = e.Observer.effective()
	return e, nil
}

// fillLimits completes Limits, and the two options that are limits too.
func (o *Options) fillLimits() error {
	var l Limits
	if o.Limits != nil {
		l = *o.Limits
	}
	if o.SyncInterval < 0 {
		return fmt.Errorf("aegis: option SyncInterval is %s, allowed are 0 (default) and above", o.SyncInterval)
	}
	if o.SyncInterval != 0 && l.SyncInterval != 0 && o.SyncInterval != l.SyncInterval {
		return fmt.Errorf("aegis: options SyncInterval (%s) and Limits.SyncInterval (%s) disagree, set one of them", o.SyncInterval, l.SyncInterval)
	}
	if o.CheckpointBytes < 0 {
		return fmt.Errorf("aegis: option CheckpointBytes is %d, allowed are 0 (default) and above", o.CheckpointBytes)
	}
	if o.CheckpointBytes != 0 && l.IndexBytes != 0 && o.CheckpointBytes != l.IndexBytes {
		return fmt.Errorf("aegis: options CheckpointBytes (%d) and Limits.IndexBytes (%d) disagree, set one of them", o.CheckpointBytes, l.IndexBytes)
	}
	l = l.Or(Limits{SyncInterval: o.SyncInterval, IndexBytes: o.CheckpointBytes})
	l = l.Or(Limits{IndexBytes: o.MemoryBudget / defaultCheckpointShare})
	if most := o.MemoryBudget / maxCheckpointShare; l.IndexBytes > most {
		return fmt.Errorf("aegis: option CheckpointBytes is %d, the most is %d: a quarter of MemoryBudget", l.IndexBytes, most)
	}
	d := messages.DefaultLimits()
	l = l.Or(Limits{ChunkBytes: int(min(max(l.IndexBytes/chunkShare, minChunkBytes), int64(d.ChunkBytes)))})
	l = l.Or(d)
	if err := l.Validate(); err != nil {
		return fmt.Errorf("aegis: options: %w", err)
	}
	o.Limits, o.SyncInterval, o.CheckpointBytes = &l, l.SyncInterval, l.IndexBytes
	return nil
}
