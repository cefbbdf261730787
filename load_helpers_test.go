package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aegis-storage/aegis"
)

// crashLoad is what clients do to a store that is about to crash, and the oracle of what may be left.
// Client i's n-th commit is a function of (seed, i, n). It writes the client's marker, which holds
// n and how many commits of each client had been acknowledged before this one began. So an image
// tells by itself which commits it has, whether each is whole, and whether what is missing is a
// suffix.
type crashLoad struct {
	seed      uint64
	acked     []atomic.Uint64 // per client: the last commit that was acknowledged
	attempted []atomic.Uint64
	floor     []atomic.Uint64 // the last commit that must survive
	wal       bool            // an acknowledged Sync commit survives
	strict    bool            // all commits are Sync: what a View saw survives
	large     bool            // oversize commits too
	depth     int             // commits that a client may have under way; 0 where one may be refused

	mu     sync.Mutex
	models []*loadModel // per client, the oracle's state after some commits
	acks   func(client int, n uint64, durable bool)
}

func newLoad(seed uint64, clients int) *crashLoad {
	l := &crashLoad{
		seed: seed, acked: make([]atomic.Uint64, clients), attempted: make([]atomic.Uint64, clients),
		floor: make([]atomic.Uint64, clients), models: make([]*loadModel, clients), wal: true,
	}
	for i := range l.models {
		l.models[i] = &loadModel{keys: map[string]string{}}
	}
	return l
}

// loadModel is the state that a client's first n commits leave; its marker aside.
type loadModel struct {
	n    uint64
	keys map[string]string
	ks   map[string]string // its keyspace; nil: not there
}

// loadOp is one commit.
type loadOp struct {
	marker  bool // nothing but the marker
	put     map[string]string
	deletes []string
	ks      string // "create", "drop", "put" or nothing
}

const loadKeys = 24

func (l *crashLoad) op(client int, n uint64) loadOp {
	rng := rand.New(rand.NewPCG(l.seed^uint64(client)<<32, n))
	op := loadOp{put: map[string]string{}}
	switch kind := rng.IntN(24); {
	case kind < 6:
		op.marker = true
		return op
	case kind == 6:
		op.ks = "create"
	case kind == 7:
		op.ks = "put"
	case kind == 8:
		op.ks = "drop"
	case kind == 9 && l.large:
		op.put[loadKey(client, 0)] = loadValue(rng, 9000+rng.IntN(30000))
		return op
	}
	for range 1 + rng.IntN(6) {
		op.put[loadKey(client, rng.IntN(loadKeys))] = loadValue(rng, rng.IntN(400))
	}
	for range rng.IntN(4) {
		key := loadKey(client, rng.IntN(loadKeys))
		if _, ok := op.put[key]; !ok {
			op.deletes = append(op.deletes, key)
		}
	}
	return op
}

func loadKey(client, i int) string { return fmt.Sprintf("c%02d/%03d", client, i) }

func loadMarker(client int) string { return fmt.Sprintf("n%02d", client) }

func loadKeyspace(client int) string { return fmt.Sprintf("ks%02d", client) }

// loadValue is text that compresses by about half.
func loadValue(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rng.Uint32()%16)
	}
	return string(b)
}

// apply is the oracle's commit.
func (m *loadModel) apply(op loadOp) {
	m.n++
	maps.Copy(m.keys, op.put)
	for _, key := range op.deletes {
		delete(m.keys, key)
	}
	switch {
	case op.ks == "create" && m.ks == nil:
		m.ks = maps.Clone(op.put)
	case op.ks == "drop":
		m.ks = nil
	case op.ks != "" && m.ks != nil:
		maps.Copy(m.ks, op.put)
	}
}

// at returns the oracle's state after n commits.
func (l *crashLoad) at(client int, n uint64) *loadModel {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.models[client]
	if m.n > n {
		m = &loadModel{keys: map[string]string{}}
	}
	for m.n < n {
		m.apply(l.op(client, m.n+1))
	}
	l.models[client] = m
	return m
}

// vector is the marker's text of commit n.
func (l *crashLoad) vector(n uint64) string {
	b := strconv.AppendUint(nil, n, 10)
	for i := range l.acked {
		b = strconv.AppendUint(append(b, ' '), l.acked[i].Load(), 10)
	}
	return string(b)
}

// loadRaise lifts a watermark to n.
func loadRaise(w *atomic.Uint64, n uint64) {
	for old := w.Load(); old < n && !w.CompareAndSwap(old, n); old = w.Load() {
	}
}

// ack notes that commit n was acknowledged.
func (l *crashLoad) ack(client int, n uint64, durable bool) {
	loadRaise(&l.acked[client], n)
	if durable && l.wal {
		loadRaise(&l.floor[client], n)
	}
	if l.acks != nil {
		l.acks(client, n, durable && l.wal)
	}
}

// synced raises every floor to what was acknowledged when f, a Sync or Checkpoint, began.
func (l *crashLoad) synced(f func() error) error {
	before := make([]uint64, len(l.acked))
	for i := range before {
		before[i] = l.acked[i].Load()
	}
	if err := f(); err != nil {
		return err
	}
	for i, n := range before {
		loadRaise(&l.floor[i], n)
		if l.acks != nil && n > 0 {
			l.acks(i, n, true)
		}
	}
	return nil
}

// loadClient is one goroutine's session.
type loadClient struct {
	*crashLoad
	ctx     context.Context // ends with the life
	db      *aegis.DB
	id      int
	rng     *rand.Rand
	n       uint64 // the last commit handed over
	pending []loadPending
}

type loadPending struct {
	n       uint64
	durable bool
	p       *aegis.Pending
}

// session runs up to count operations of one client. It ends early with the first error.
func (l *crashLoad) session(ctx context.Context, db *aegis.DB, id, count int, seed uint64) error {
	c := &loadClient{crashLoad: l, ctx: ctx, db: db, id: id, rng: rand.New(rand.NewPCG(seed, uint64(id))), n: l.acked[id].Load()}
	for range count {
		if err := c.step(); err != nil {
			return err
		}
	}
	return c.settle(0)
}

func (c *loadClient) step() error {
	switch k := c.rng.IntN(40); {
	case k == 0:
		return c.synced(func() error { return c.db.Checkpoint(c.ctx) })
	case k == 1:
		return c.synced(func() error { return c.db.Sync(c.ctx) })
	case k == 2:
		return c.db.Compact(c.ctx, nil)
	case k < 6:
		return c.look()
	}
	n := c.n + 1
	op := c.op(c.id, n)
	durability := aegis.Sync
	if !c.strict && c.rng.IntN(2) == 0 {
		durability = aegis.NoSync
	}
	if op.ks == "" && c.rng.IntN(3) == 0 {
		return c.async(n, op, durability)
	}
	if err := c.settle(0); err != nil {
		return err
	}
	c.attempted[c.id].Store(n)
	var err error
	if op.marker && c.rng.IntN(2) == 0 {
		durability = aegis.Sync // the store's own
		err = c.db.Put(c.ctx, []byte(loadMarker(c.id)), []byte(c.vector(n)))
	} else {
		isolation := aegis.Isolation(c.rng.IntN(3))
		err = c.db.UpdateWith(c.ctx, aegis.TxOptions{Isolation: isolation, Durability: &durability}, func(tx *aegis.Tx) error {
			if err := c.session1(tx, n); err != nil {
				return err
			}
			return c.write(tx, n, op)
		})
	}
	if err != nil {
		return c.refused(n, err)
	}
	c.n = n
	c.ack(c.id, n, durability == aegis.Sync)
	return nil
}

// refused takes commit n back if the error says that it is certainly absent.
func (c *loadClient) refused(n uint64, err error) error {
	if errors.Is(err, aegis.ErrNoSpace) {
		c.n = n - 1
		c.attempted[c.id].Store(n - 1)
	}
	return err
}

// errLoad marks what no crash may cause.
var errLoad = errors.New("wrong")

// session1: a client sees its own commits.
func (c *loadClient) session1(tx *aegis.Tx, n uint64) error {
	v, err := tx.Get([]byte(loadMarker(c.id)))
	if errors.Is(err, aegis.ErrNotFound) && n == 1 {
		return nil
	}
	if err != nil {
		return err
	}
	if got, _, _ := strings.Cut(string(v), " "); got != strconv.FormatUint(n-1, 10) {
		return fmt.Errorf("%w: client %d reads its marker %q before commit %d", errLoad, c.id, got, n)
	}
	return nil
}

// write puts commit n into a transaction.
func (c *loadClient) write(tx *aegis.Tx, n uint64, op loadOp) error {
	err := tx.Put([]byte(loadMarker(c.id)), []byte(c.vector(n)))
	for key, value := range op.put {
		err = errors.Join(err, tx.Put([]byte(key), []byte(value)))
	}
	for _, key := range op.deletes {
		err = errors.Join(err, tx.Delete([]byte(key)))
	}
	if err != nil || op.ks == "" {
		return err
	}
	name := loadKeyspace(c.id)
	ks, err := tx.Keyspace(name)
	switch {
	case errors.Is(err, aegis.ErrNotFound) && op.ks != "create":
		return nil
	case errors.Is(err, aegis.ErrNotFound):
		compression := []aegis.Compression{aegis.NoCompression, aegis.LZ4, aegis.Zstd}[c.id%3]
		ks, err = tx.CreateKeyspace(name, aegis.KeyspaceOptions{Compression: compression})
	case err == nil && op.ks == "drop":
		return tx.DropKeyspace(name)
	}
	if err != nil {
		return err
	}
	for key, value := range op.put {
		err = errors.Join(err, ks.Put([]byte(key), []byte(value)))
	}
	return err
}

// async hands a commit over and waits for some earlier one.
func (c *loadClient) async(n uint64, op loadOp, durability aegis.Durability) error {
	tx, err := c.db.Begin(c.ctx, aegis.TxOptions{Isolation: aegis.ReadCommitted, Durability: &durability})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	c.attempted[c.id].Store(n)
	if err := c.write(tx, n, op); err != nil {
		return err
	}
	p, err := tx.CommitAsync()
	if err != nil {
		return err
	}
	c.n = n
	c.pending = append(c.pending, loadPending{n, durability == aegis.Sync, p})
	return c.settle(c.depth)
}

// settle waits until at most left commits are under way.
func (c *loadClient) settle(left int) error {
	for len(c.pending) > left {
		w := c.pending[0]
		if err := w.p.Wait(c.ctx); err != nil {
			return c.refused(w.n, err)
		}
		c.pending = c.pending[1:]
		c.ack(c.id, w.n, w.durable)
	}
	return nil
}

// look reads all markers in one View, which must show all that was acknowledged before it began.
// While all commits are Sync, what it saw survives.
func (c *loadClient) look() error {
	before := make([]uint64, len(c.acked))
	for i := range before {
		before[i] = c.acked[i].Load()
	}
	return c.db.View(c.ctx, func(tx *aegis.Tx) error {
		for i := range before {
			n, _, err := loadReadMarker(tx, i)
			if err != nil {
				return err
			}
			if n < before[i] {
				return fmt.Errorf("%w: a View shows commit %d of client %d, %d was acknowledged before", errLoad, n, i, before[i])
			}
			if c.strict && c.wal && n > 0 {
				loadRaise(&c.floor[i], n)
				if c.acks != nil {
					c.acks(i, n, true)
				}
			}
		}
		return nil
	})
}

// loadReadMarker returns a client's last commit and its vector.
func loadReadMarker(tx *aegis.Tx, client int) (n uint64, vector []uint64, err error) {
	v, err := tx.Get([]byte(loadMarker(client)))
	if errors.Is(err, aegis.ErrNotFound) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	for i, word := range strings.Fields(string(v)) {
		m, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return 0, nil, fmt.Errorf("%w: marker %q of client %d", errLoad, v, client)
		}
		if i == 0 {
			n = m
		} else {
			vector = append(vector, m)
		}
	}
	return n, vector, nil
}

// check holds a recovered store against the oracle and prepares the next life: what was
// recovered must stay.
func (l *crashLoad) check(db *aegis.DB) error {
	return db.View(ctx, func(tx *aegis.Tx) error {
		now := make([]uint64, len(l.acked))
		vectors := make([][]uint64, len(l.acked))
		for i := range now {
			var err error
			if now[i], vectors[i], err = loadReadMarker(tx, i); err != nil {
				return err
			}
			if floor, most := l.floor[i].Load(), l.attempted[i].Load(); now[i] < floor || now[i] > most {
				return fmt.Errorf("%w: client %d is at commit %d, which must be %d to %d", errLoad, i, now[i], floor, most)
			}
		}
		for i, vector := range vectors {
			for j, n := range vector {
				if j < len(now) && now[j] < n {
					return fmt.Errorf("%w: commit %d of client %d is there, and began after commit %d of client %d, which is lost (it is at %d)",
						errLoad, now[i], i, n, j, now[j])
				}
			}
		}
		if err := l.checkState(tx, now); err != nil {
			return err
		}
		for i, n := range now {
			l.acked[i].Store(n)
			l.attempted[i].Store(n)
			l.floor[i].Store(n)
		}
		return nil
	})
}

// checkState compares everything, both ways.
func (l *crashLoad) checkState(tx *aegis.Tx, now []uint64) error {
	want := map[string]string{}
	for i, n := range now {
		m := l.at(i, n)
		maps.Copy(want, m.keys)
		ks, err := tx.Keyspace(loadKeyspace(i))
		switch {
		case errors.Is(err, aegis.ErrNotFound) && m.ks == nil:
			continue
		case err != nil && !errors.Is(err, aegis.ErrNotFound):
			return err
		case err != nil || m.ks == nil:
			return fmt.Errorf("%w: client %d at commit %d: keyspace there: %v", errLoad, i, n, err == nil)
		}
		if err := loadCompare(m.ks, ks.Range(nil, nil), tx); err != nil {
			return fmt.Errorf("keyspace of client %d at commit %d: %w", i, n, err)
		}
	}
	if err := loadCompare(want, tx.Range([]byte("c"), []byte("d")), tx); err != nil {
		return fmt.Errorf("at commits %d: %w", now, err)
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		v, err := tx.Get([]byte(key))
		if err != nil && !errors.Is(err, aegis.ErrNotFound) {
			return err
		}
		if err != nil || string(v) != want[key] {
			return fmt.Errorf("%w: Get(%q) = %.20q…, %v; want %.20q…", errLoad, key, v, err, want[key])
		}
	}
	return nil
}

// loadCompare holds a range against a map.
func loadCompare(want map[string]string, got func(func(k, v []byte) bool), tx *aegis.Tx) error {
	seen := 0
	for k, v := range got {
		w, ok := want[string(k)]
		if !ok || !bytes.Equal(v, []byte(w)) {
			return fmt.Errorf("%w: %q is %.20q…, want %.20q… (there: %v)", errLoad, k, v, w, ok)
		}
		seen++
	}
	if tx.Err() == nil && seen != len(want) {
		return fmt.Errorf("%w: %d entries, want %d", errLoad, seen, len(want))
	}
	return tx.Err()
}
