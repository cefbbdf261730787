package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// Config says what is measured.
type Config struct {
	Dir        string // an empty directory, in which files are made
	Bytes      int64  // of keys and values that are loaded
	ValueBytes int
	Clients    int
	Duration   time.Duration // of each workload
	Workloads  []string      // of Names
	Cache      int64         // aegis.Options.MemoryBudget; 0: its default
}

// Result is what a workload came to.
type Result struct {
	Workload   string  `json:"workload"`
	Clients    int     `json:"clients"`
	Operations uint64  `json:"operations"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"per_second"`
	P50        float64 `json:"p50_us"`
	P90        float64 `json:"p90_us"`
	P99        float64 `json:"p99_us"`
	P999       float64 `json:"p999_us"`
	Max        float64 `json:"max_us"`
	Entries    uint64  `json:"entries,omitempty"` // of an operation that has several, all together
}

// workload does one operation after the other, for client number who.
type workload struct {
	name, text string
	clients    int // 0: those of Config
	prepare    func(ctx context.Context, b *bench) error
	do         func(ctx context.Context, b *bench, who int, r *rand.Rand) (entries uint64, err error)
}

// Names are the workloads, in the order in which they run, and what each does.
func Names() (names, texts []string) {
	for _, w := range workloads {
		names, texts = append(names, w.name), append(texts, w.text)
	}
	return names, texts
}

// bench is one run.
type bench struct {
	c       Config
	db      *aegis.DB
	backend *backends.Local
	raw     backends.File
	keys    uint64 // that are loaded
	next    []uint64
	values  []byte
}

// poolBytes is what values are cut from: as much of it as not repeats where a page is compressed.
const poolBytes = 4 << 20

// keyBytes is the length of a key.
const keyBytes = 16

// Run measures. told is given each result as it comes, and say what is begun. The files in c.Dir are left
// to the caller.
func Run(ctx context.Context, c Config, say func(text string), told func(Result)) (err error) {
	b := &bench{c: c, next: make([]uint64, c.Clients), values: make([]byte, poolBytes)}
	source := rand.New(rand.NewPCG(1, 2))
	for i := range b.values {
		b.values[i] = byte(source.Uint32() % 64) // six bits of each byte are random
	}
	if b.backend, err = backends.NewLocal(c.Dir, false); err != nil {
		return err
	}
	if b.raw, err = b.backend.Create("raw"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.raw.Close()) }()
	if b.db, err = aegis.Open(filepath.Join(c.Dir, "store"), &aegis.Options{MemoryBudget: c.Cache}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.Close()) }()
	b.keys = max(1, uint64(c.Bytes)/uint64(keyBytes+c.ValueBytes))
	say("loading")
	load, err := b.load(ctx)
	if err != nil {
		return err
	}
	for _, w := range workloads {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !slices.Contains(c.Workloads, w.name) {
			continue
		}
		if w.name == "load" {
			told(load)
			continue
		}
		say(w.name)
		result, err := b.measure(ctx, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		told(result)
	}
	return nil
}

// load puts the keys, a thousand at a time, and makes them durable.
func (b *bench) load(ctx context.Context) (Result, error) {
	const batch = 1000
	var h histogram
	r := rand.New(rand.NewPCG(3, 4))
	start := time.Now()
	for n := uint64(0); n < b.keys; {
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		begun := time.Now()
		err := b.db.UpdateWith(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}, func(tx *aegis.Tx) error {
			for i := n; i < min(n+batch, b.keys); i++ {
				if err := tx.Put(key(i), b.value(r)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return Result{}, err
		}
		n = min(n+batch, b.keys)
		h.add(time.Since(begun))
	}
	if err := b.db.Checkpoint(ctx); err != nil {
		return Result{}, err
	}
	result := newResult("load", 1, &h, time.Since(start), b.keys)
	result.PerSecond = float64(b.keys) / result.Seconds
	return result, nil
}

// measure runs the clients of a workload until its time is over.
func (b *bench) measure(ctx context.Context, w workload) (Result, error) {
	if w.prepare != nil {
		if err := w.prepare(ctx, b); err != nil {
			return Result{}, err
		}
	}
	clients := b.c.Clients
	if w.clients > 0 {
		clients = w.clients
	}
	type outcome struct {
		h       histogram
		entries uint64
		err     error
	}
	all := make([]outcome, clients)
	var group sync.WaitGroup
	start := time.Now()
	for who := range clients {
		group.Go(func() {
			o := &all[who]
			r := rand.New(rand.NewPCG(uint64(who), 5))
			for begun := time.Now(); begun.Sub(start) < b.c.Duration && o.err == nil && ctx.Err() == nil; {
				var n uint64
				n, o.err = w.do(ctx, b, who, r)
				o.entries += n
				now := time.Now()
				o.h.add(now.Sub(begun))
				begun = now
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	var h histogram
	var entries uint64
	errs := []error{ctx.Err()}
	for i := range all {
		h.merge(&all[i].h)
		entries += all[i].entries
		errs = append(errs, all[i].err)
	}
	return newResult(w.name, clients, &h, took, entries), errors.Join(errs...)
}

func newResult(name string, clients int, h *histogram, took time.Duration, entries uint64) Result {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	return Result{
		Workload: name, Clients: clients, Operations: h.count, Seconds: took.Seconds(), PerSecond: float64(h.count) / took.Seconds(),
		P50: us(h.quantile(0.5)), P90: us(h.quantile(0.9)), P99: us(h.quantile(0.99)), P999: us(h.quantile(0.999)), Max: us(h.max),
		Entries: entries,
	}
}
