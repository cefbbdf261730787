// Package fake is an engine for tests of the harness: a map under a mutex, written to a file by
// Sync and Close. It can be broken on purpose.
package fake

import (
	"encoding/gob"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aegis-storage/aegis/bench/engine"
)

// Fault is what an engine does wrong.
type Fault string

// The faults. Each but None makes some workload fail.
const (
	None       Fault = ""
	LosesPuts  Fault = "loses puts"     // one in 50
	Races      Fault = "races"          // transactions do not exclude each other
	WrongValue Fault = "wrong value"    // a get returns another key's
	LosesKeys  Fault = "loses keys"     // a scan leaves one out
	NoUpdate   Fault = "no update"      // not wrong: it has no transactions
	Hangs      Fault = "hangs"          // opening takes for ever
	FailsOpen  Fault = "fails to open"  // with an error
	Forgets    Fault = "forgets a sync" // what was synced is not there after a kill
)

// Driver returns an engine called name.
func Driver(name string, fault Fault) engine.Driver {
	return engine.Driver{
		Name: name, Version: "1", Settings: "none", Compresses: true, InMemory: true,
		Open: func(c engine.Config) (engine.Store, error) { return open(c, fault) },
	}
}

type store struct {
	fault Fault
	file  string
	mu    sync.Mutex
	pairs map[string][]byte
	puts  int
	order []string // of keys, or nil if it is to be made
}

func open(c engine.Config, fault Fault) (*store, error) {
	switch fault {
	case Hangs:
		select {}
	case FailsOpen:
		return nil, errors.New("no luck")
	}
	s := &store{fault: fault, file: filepath.Join(c.Dir, "pairs"), pairs: map[string][]byte{}}
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return s, gob.NewDecoder(f).Decode(&s.pairs)
}

func (s *store) Put(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.puts++; s.fault == LosesPuts && s.puts%50 == 0 {
		return nil
	}
	if _, found := s.pairs[string(key)]; !found {
		s.order = nil
	}
	s.pairs[string(key)] = slices.Clone(value)
	return nil
}

func (s *store) Batch(pairs []engine.Pair) error {
	for _, p := range pairs {
		if err := s.Put(p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) Get(key, dst []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(key, dst)
}

func (s *store) get(key, dst []byte) ([]byte, error) {
	value, found := s.pairs[string(key)]
	if !found {
		return dst, engine.ErrNotFound
	}
	if s.fault == WrongValue {
		for _, other := range s.pairs {
			value = other
			break
		}
	}
	return append(dst, value...), nil
}

// reader reads while its store is locked.
type reader struct{ s *store }

func (r reader) Get(key, dst []byte) ([]byte, error) { return r.s.get(key, dst) }

func (r reader) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	if r.s.order == nil {
		r.s.order = slices.Sorted(maps.Keys(r.s.pairs))
	}
	start, _ := slices.BinarySearch(r.s.order, string(from))
	n := 0
	for i, key := range r.s.order[start:] {
		if r.s.fault == LosesKeys && i == 1 {
			continue
		}
		each([]byte(key), r.s.pairs[key])
		if n++; n == limit {
			break
		}
	}
	return n, nil
}

func (s *store) View(read func(engine.Reader) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return read(reader{s})
}

// tx writes while its store is locked.
type tx struct{ reader }

func (t tx) Put(key, value []byte) error {
	t.s.pairs[string(key)] = slices.Clone(value)
	return nil
}

// racing locks for each call alone.
type racing struct{ s *store }

func (t racing) Get(key, dst []byte) ([]byte, error) {
	value, err := t.s.Get(key, dst)
	time.Sleep(50 * time.Microsecond) // another transaction comes in between
	return value, err
}

func (t racing) Put(key, value []byte) error { return t.s.Put(key, value) }

func (s *store) Update(write func(engine.Tx) error) error {
	switch s.fault {
	case NoUpdate:
		return errors.ErrUnsupported
	case Races:
		return write(racing{s})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return write(tx{reader{s}})
}

func (s *store) Sync() error {
	if s.fault == Forgets {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.Create(s.file)
	if err != nil {
		return err
	}
	return errors.Join(gob.NewEncoder(f).Encode(s.pairs), f.Close())
}

func (s *store) Settle() error { return nil }

func (s *store) Close() error { return s.Sync() }
