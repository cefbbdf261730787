package aegis_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// The real engine, with its goroutines, over a disk that loses its power at a random call, again
// and again, during recovery and Close too. AEGIS_CRASH_SEEDS sets how many seeds are run,
// AEGIS_CRASH_SEED runs one alone. With goroutines a seed does not repeat exactly.

// crashCount is the number of seeds, and of rounds of other tests here, with a default.
func crashCount(t testing.TB, name string, count int) int {
	t.Helper()
	if testing.Short() || raceDetector {
		count = max(1, count/4)
	}
	if s := os.Getenv(name); s != "" {
		n, err := strconv.Atoi(s)
		must(t, err)
		return n
	}
	return count
}

// crashWatch ends the process with all stacks if a test hangs. limit is ample for a quiet machine;
// a busy one may be several times slower without anything being wrong.
func crashWatch(t testing.TB, what string, limit time.Duration) (stop func()) {
	t.Helper()
	const busy = 8
	timer := time.AfterFunc(busy*limit, func() {
		buf := make([]byte, 1<<20)
		panic(fmt.Sprintf("%s hangs\n%s", what, buf[:runtime.Stack(buf, true)]))
	})
	return func() { timer.Stop() }
}

// crashMode is what the seeds of one test have in common.
type crashMode struct {
	name     string
	wal      bool
	faults   bool // injected errors of writes, syncs and names
	strict   bool // all commits are Sync
	toggling bool // the log is switched off and on between lives
}

func TestCrashPowerCuts(t *testing.T) {
	for _, mode := range []crashMode{
		{name: "sync", wal: true, strict: true},
		{name: "mixed", wal: true},
		{name: "faults", wal: true, faults: true},
		{name: "strict faults", wal: true, faults: true, strict: true},
		{name: "no log", wal: false},
		{name: "toggling", wal: true, toggling: true, faults: true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			if s := os.Getenv("AEGIS_CRASH_SEED"); s != "" {
				seed, err := strconv.ParseUint(s, 10, 64)
				must(t, err)
				crashOne(t, mode, seed)
				return
			}
			for i := range crashCount(t, "AEGIS_CRASH_SEEDS", 100) {
				crashOne(t, mode, uint64(i))
			}
		})
	}
}

func crashOne(t *testing.T, mode crashMode, seed uint64) {
	t.Helper()
	stop := crashWatch(t, fmt.Sprintf("%s, seed %d", t.Name(), seed), 15*time.Second)
	defer stop()
	r := &crashRun{mode: mode, seed: seed, rng: rand.New(rand.NewPCG(fnvSeed("%s %d", mode.name, seed), 0)), disk: newCrashDisk()}
	if err := r.run(); err != nil {
		t.Fatalf("AEGIS_CRASH_SEED=%d: %v\n%s", seed, err, strings.Join(r.story, "\n"))
	}
}

// crashRun is one seed: some lives of a store.
type crashRun struct {
	mode  crashMode
	seed  uint64
	rng   *rand.Rand
	disk  *crashDisk
	load  *crashLoad
	story []string

	life    *crashLife
	faulted bool // under life.disk.mu
}

func (r *crashRun) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf(format, args...))
}

func (r *crashRun) run() error {
	r.load = newLoad(r.seed, 1+r.rng.IntN(4))
	if !r.mode.faults {
		r.load.depth = r.rng.IntN(4)
	}
	r.load.strict, r.load.large = r.mode.strict, r.rng.IntN(3) == 0
	for i := range 2 + r.rng.IntN(3) {
		cutAt := 0
		if r.rng.IntN(5) > 0 {
			cutAt = 1 + r.rng.IntN([]int{30, 100, 400, 1500}[r.rng.IntN(4)])
		}
		if err := r.oneLife(i, cutAt); err != nil {
			return fmt.Errorf("life %d: %w", i, err)
		}
	}
	r.mode.faults = false
	for range 2 {
		if err := r.last(); err != nil {
			return fmt.Errorf("last life: %w", err)
		}
	}
	return nil
}

// fault makes one call of a life fail.
func (r *crashRun) fault(life *crashLife) {
	r.faulted = false
	if !r.mode.faults || r.rng.IntN(3) == 0 {
		return
	}
	op := []string{"sync", "sync", "write", "syncdir", "create", "remove"}[r.rng.IntN(6)]
	kind := []string{"", "wal-", "table-", "checkpoint-"}[r.rng.IntN(4)]
	left := r.rng.IntN(20)
	r.tell("fault: %s of %q number %d", op, kind, left)
	life.fail = func(o, name string) error {
		if o != op || name != "" && !strings.HasPrefix(name, kind) {
			return nil
		}
		if left--; left != 0 {
			return nil
		}
		r.faulted = true
		return errInjected
	}
}

// excused says whether an error may be the crash's or the fault's.
func (r *crashRun) excused(err error) bool {
	var bad *aegis.CorruptionError
	if errors.Is(err, errLoad) || errors.As(err, &bad) {
		return false
	}
	r.life.disk.mu.Lock()
	defer r.life.disk.mu.Unlock()
	return r.life.dead || r.faulted
}

func (r *crashRun) options() aegis.Options {
	if r.mode.toggling {
		r.load.wal = r.rng.IntN(3) > 0
	} else {
		r.load.wal = r.mode.wal
	}
	return aegis.Options{
		Backend: r.life, Limits: crashLimits(r.rng), DisableWAL: !r.load.wal,
		MemoryBudget: 256 << 10, Compression: aegis.Compression(r.rng.IntN(4)),
	}
}

func (r *crashRun) oneLife(i, cutAt int) (err error) {
	r.life = r.disk.life(fnvSeed("life %d %d", r.seed, i), cutAt)
	r.fault(r.life)
	o := r.options()
	r.tell("life %d: cut at %d, log %v, limits %+v", i, cutAt, r.load.wal, *o.Limits)
	end := r.rng.IntN(3)
	defer func() { r.disk = r.life.end(end == 1) }()
	db, err := aegis.Open("", &o)
	if err != nil {
		r.tell("open ended: %v", err)
		if r.excused(err) {
			return nil
		}
		return err
	}
	if err := r.load.check(db); err != nil && !r.excused(err) {
		return errors.Join(err, db.Close())
	} else if err == nil {
		if err := r.clients(db, 5+r.rng.IntN(40)); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if end > 0 {
		r.disk = r.life.end(end == 1) // the engine dies in the middle of what it does
	}
	err = db.Close()
	r.tell("close after %d calls, end %d: %v", r.life.did(), end, err)
	if err == nil && end == 0 && r.life.did() > 0 && !r.life.isDead() {
		for i := range r.load.acked {
			r.load.floor[i].Store(r.load.acked[i].Load()) // a clean Close keeps everything
		}
	} else if err != nil && !r.excused(err) {
		return err
	}
	return nil
}

func (l *crashLife) isDead() bool {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	return l.dead
}

// clients runs the sessions, each on a goroutine.
func (r *crashRun) clients(db *aegis.DB, count int) error {
	errs := make([]error, len(r.load.acked))
	var wg sync.WaitGroup
	for i := range errs {
		seed := r.rng.Uint64()
		wg.Go(func() { errs[i] = r.load.session(r.life.ctx, db, i, count, seed) })
	}
	wg.Wait()
	for i, err := range errs {
		r.tell("client %d handed over %d, acknowledged %d, sure of %d: %v",
			i, r.load.attempted[i].Load(), r.load.acked[i].Load(), r.load.floor[i].Load(), err)
		if err != nil && !r.excused(err) {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	return nil
}

// last opens what is left, without faults: everything must hold.
func (r *crashRun) last() error {
	r.life = r.disk.life(1, 0)
	o := r.options()
	db, err := aegis.Open("", &o)
	if err != nil {
		return err
	}
	err = errors.Join(r.load.check(db), db.Verify(ctx, nil), r.clients(db, 3), db.Close())
	r.disk = r.life.end(true)
	for i := range r.load.acked {
		r.load.floor[i].Store(r.load.acked[i].Load())
	}
	return err
}

// crashOpen opens a store for the tests that cut the power at every call.
func crashOpen(life *crashLife, limits *aegis.Limits) (*aegis.DB, error) {
	return aegis.Open("", &aegis.Options{Backend: life, Limits: limits, MemoryBudget: 256 << 10})
}

// crashSaved are a load's watermarks, to try several futures of one past.
func (l *crashLoad) save() (restore func()) {
	var saved [][3]uint64
	for i := range l.acked {
		saved = append(saved, [3]uint64{l.acked[i].Load(), l.attempted[i].Load(), l.floor[i].Load()})
	}
	return func() {
		for i, s := range saved {
			l.acked[i].Store(s[0])
			l.attempted[i].Store(s[1])
			l.floor[i].Store(s[2])
		}
	}
}

// crashPast makes a disk with a load on it: the process was killed, so the cache survives with all
// that was not synced.
func crashPast(t *testing.T, seed uint64, limits *aegis.Limits) (*crashDisk, *crashLoad) {
	t.Helper()
	life := newCrashDisk().life(seed, 0)
	db, err := crashOpen(life, limits)
	must(t, err)
	load := newLoad(seed, 2)
	load.depth = 2
	for i := range load.acked {
		must(t, load.session(ctx, db, i, 25, seed))
	}
	disk := life.end(false)
	_ = db.Close()
	return disk, load
}

// The power goes at each call of a recovery, and at a later call of the recovery of that.
func TestCrashAtEachCallOfRecovery(t *testing.T) {
	defer crashWatch(t, t.Name(), 60*time.Second)()
	for seed := range uint64(crashCount(t, "AEGIS_CRASH_PASTS", 6)) {
		rng := rand.New(rand.NewPCG(seed, 1))
		limits := crashLimits(rng)
		past, load := crashPast(t, seed, limits)
		restore := load.save()
		for cut, again := 1, true; again; cut++ {
			restore()
			disk := past.clone()
			for depth := range 3 {
				life := disk.life(seed<<16|uint64(cut)<<2|uint64(depth), cut)
				if depth > 0 {
					life.cutAt = 1 + rng.IntN(60)
				}
				opened, err := crashRecover(load, life, limits)
				if depth == 0 {
					again = !opened
				}
				if err != nil && !life.cut() {
					t.Fatalf("seed %d, cut at %d, depth %d: %v", seed, cut, depth, err)
				}
				disk = life.end(true)
			}
			if _, err := crashRecover(load, disk.life(1, 0), limits); err != nil {
				t.Fatalf("seed %d, cut at %d: %v", seed, cut, err)
			}
		}
	}
}

// crashRecover opens a store, holds it against the load and leaves it without Close.
func crashRecover(load *crashLoad, life *crashLife, limits *aegis.Limits) (opened bool, err error) {
	db, err := crashOpen(life, limits)
	if err != nil {
		return false, err
	}
	err = load.check(db)
	life.end(true)
	_ = db.Close()
	return true, err
}

// cut reports whether the power went at the life's chosen call.
func (l *crashLife) cut() bool {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	return l.cutAt > 0 && l.calls >= l.cutAt
}

// The power goes at each call of Close.
func TestCrashAtEachCallOfClose(t *testing.T) {
	defer crashWatch(t, t.Name(), 60*time.Second)()
	for seed := range uint64(crashCount(t, "AEGIS_CRASH_PASTS", 6)) {
		limits := crashLimits(rand.New(rand.NewPCG(seed, 2)))
		past, load := crashPast(t, seed, limits)
		restore := load.save()
		for cut, again := 1, true; again; cut++ {
			restore()
			life := past.clone().life(seed<<16|uint64(cut), 0)
			db, err := crashOpen(life, limits)
			must(t, err)
			must(t, load.check(db))
			must(t, load.session(ctx, db, 0, 5, uint64(cut)))
			life.cutAfter(cut)
			err = db.Close()
			if again = life.isDead(); !again && err != nil {
				t.Fatalf("seed %d: Close: %v", seed, err)
			}
			if _, err := crashRecover(load, life.end(true).life(1, 0), limits); err != nil {
				t.Fatalf("seed %d, cut at %d: %v", seed, cut, err)
			}
		}
	}
}
