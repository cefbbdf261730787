package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aegis-storage/aegis/bench/measure"
	"github.com/aegis-storage/aegis/bench/workload"
)

// storeKey tells prepared stores apart.
type storeKey struct {
	engine     string
	from       workload.Prepared
	keys       int
	valueBytes int
}

// prepared is a store that measurements start from.
type prepared struct {
	dir     string         // empty if it could not be made
	limited string         // why not
	failure error          // of the engine, likewise
	result  measure.Result // of making it
}

// keyOf returns the prepared store that a job needs. An engine that does not compress has one and
// the same store with and without compression.
func keyOf(j Job) storeKey {
	k := storeKey{j.Engine.Name, j.Workload.From, j.Keys, j.ValueBytes}
	if makes := workload.Prepared(j.Workload.Name); makes == workload.Grown {
		k.from = makes
	}
	if k.from == workload.LoadedPlain && !j.Engine.Compresses {
		k.from = workload.Loaded
	}
	return k
}

// prepare returns the store of key k, and makes it if there is none. An error is one of the engine.
func (r *Runner) prepare(ctx context.Context, j Job, k storeKey) (*prepared, error) {
	if p := r.stores[k]; p != nil {
		return p, p.failure
	}
	work, found := workload.Find(string(k.from))
	if !found {
		return nil, fmt.Errorf("no prepared store %q", k.from)
	}
	dir, err := os.MkdirTemp(r.root, fmt.Sprintf("%s-%s-*", k.engine, k.from))
	if err != nil {
		return nil, err
	}
	job := Job{Point{work, 1, k.keys, k.valueBytes}, j.Engine, j.Round}
	spec := r.spec(job, dir)
	result, err := r.startChild(ctx, spec, work.Kill)
	p := &prepared{dir: dir, result: result}
	switch {
	case err == errLimit:
		p.limited = fmt.Sprintf("%s did not end within %v", work.Name, r.Limit)
	case err != nil:
		p.failure = fmt.Errorf("%s: %w", work.Name, err)
	case result.Limited != "":
		p.limited = result.Limited
	}
	if p.limited != "" || p.failure != nil {
		p.dir = ""
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	r.stores[k] = p
	return p, p.failure
}

// drop deletes a prepared store.
func (r *Runner) drop(k storeKey) error {
	p := r.stores[k]
	if p == nil {
		return nil
	}
	delete(r.stores, k)
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// place is where a measurement has its store.
type place struct {
	dir     string
	limited string // why there is none
	remove  bool   // afterwards
}

// provide returns a directory with the store that a job starts from.
func (r *Runner) provide(ctx context.Context, j Job) (place, error) {
	if j.Workload.Start == workload.Fresh {
		root := r.root
		if j.Workload.Memory {
			root = r.memoryRoot
		}
		dir, err := os.MkdirTemp(root, j.Engine.Name+"-*")
		return place{dir: dir, remove: true}, err
	}
	p, err := r.prepare(ctx, j, keyOf(j))
	if err != nil {
		return place{}, err
	}
	if p.limited != "" || j.Workload.Start != workload.Copied {
		return place{dir: p.dir, limited: p.limited}, nil
	}
	dir, err := os.MkdirTemp(r.root, j.Engine.Name+"-*")
	if err != nil {
		return place{}, err
	}
	if err := copyTree(p.dir, dir); err != nil {
		return place{}, joinRemove(err, dir)
	}
	// The copy must not be written out at the cost of the measurement.
	syscall.Sync()
	return place{dir: dir, remove: true}, nil
}

// roots makes the directories that all stores are in, and returns a function that deletes them.
func (r *Runner) roots() (remove func() error, err error) {
	if r.root, err = os.MkdirTemp(r.Dir, "aegis-bench-*"); err != nil {
		return nil, err
	}
	if r.root, err = filepath.Abs(r.root); err != nil {
		return nil, err
	}
	if r.memoryRoot, err = os.MkdirTemp(r.MemoryDir, "aegis-bench-*"); err != nil {
		return nil, joinRemove(err, r.root)
	}
	return func() error {
		return joinRemove(os.RemoveAll(r.memoryRoot), r.root)
	}, nil
}
