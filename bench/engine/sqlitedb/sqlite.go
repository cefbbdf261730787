// Package sqlitedb drives SQLite, a B-tree with a write-ahead log, through go-sqlite3.
package sqlitedb

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/mattn/go-sqlite3"

	"github.com/aegis-storage/aegis/bench/engine"
)

// Driver is SQLite with one table of keys and values.
var Driver = engine.Driver{
	Name:     "sqlite",
	Version:  version(),
	Settings: "WAL mode, checkpoint each 16384 pages; synchronous FULL when durable, else NORMAL (OFF in memory); WITHOUT ROWID; mapped; half the memory for the writer's page cache, the rest for readers'; prepared statements, called without database/sql",
	InMemory: true,
	Open:     open,
}

func version() string {
	lib, _, _ := sqlite3.Version()
	return lib + ", go-sqlite3 " + engine.ModuleVersion("github.com/mattn/go-sqlite3")
}

// store has one connection that writes, and as many that read as there have been readers at a time.
// A connection is for one goroutine.
type store struct {
	dsn string

	writing sync.Mutex
	writer  *conn

	mu      sync.Mutex
	readers []*conn // that are idle
}

func open(c engine.Config) (engine.Store, error) {
	// NORMAL syncs at checkpoints only: a crash of the machine loses the last commits, no more.
	synchronous := "NORMAL"
	switch {
	case c.Memory:
		synchronous = "OFF"
	case c.Durable:
		synchronous = "FULL"
	}
	// _mutex=no: the library need not lock what one goroutine uses.
	dsn := "file:" + filepath.Join(c.Dir, "sqlite.db") +
		"?_mutex=no&_journal_mode=WAL&_busy_timeout=60000&_synchronous=" + synchronous
	// A page cache belongs to a connection, so 16 readers share the other half. Most of what they read
	// is in the map (2 GiB, the most that is compiled in), and not copied into their caches.
	s := &store{dsn: dsn + fmt.Sprintf("&_cache_size=-%d", max(c.CacheBytes/32>>10, 1<<10))}
	w, err := connect(dsn + fmt.Sprintf("&_cache_size=-%d", max(c.CacheBytes/2>>10, 1<<10)))
	if err != nil {
		return nil, err
	}
	s.writer = w
	return s, nil
}

func (s *store) Put(key, value []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writer.Put(key, value)
}

func (s *store) Batch(pairs []engine.Pair) error {
	return s.Update(func(tx engine.Tx) error {
		for _, p := range pairs {
			if err := tx.Put(p.Key, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Update never conflicts: BEGIN IMMEDIATE makes writers take turns, from their first read on.
func (s *store) Update(write func(engine.Tx) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	w := s.writer
	if err := w.exec(w.immediate, 0); err != nil {
		return err
	}
	err := write(w)
	if err == nil {
		if err = w.exec(w.commit, 0); err == nil {
			return nil
		}
	}
	return errors.Join(err, w.exec(w.rollback, 0))
}

func (s *store) Get(key, dst []byte) ([]byte, error) {
	r, err := s.reader()
	if err != nil {
		return dst, err
	}
	defer s.release(r)
	return r.Get(key, dst)
}

func (s *store) View(read func(engine.Reader) error) error {
	r, err := s.reader()
	if err != nil {
		return err
	}
	defer s.release(r)
	if err := r.exec(r.begin, 0); err != nil {
		return err
	}
	if err = r.snapshot(); err == nil {
		err = read(r)
	}
	return errors.Join(err, r.exec(r.commit, 0))
}

func (s *store) reader() (*conn, error) {
	s.mu.Lock()
	if n := len(s.readers); n > 0 {
		r := s.readers[n-1]
		s.readers = s.readers[:n-1]
		s.mu.Unlock()
		return r, nil
	}
	s.mu.Unlock()
	return connect(s.dsn)
}

func (s *store) release(r *conn) {
	s.mu.Lock()
	s.readers = append(s.readers, r)
	s.mu.Unlock()
}

// Sync makes a checkpoint, which syncs the log first.
func (s *store) Sync() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writer.checkpoint()
}

// Settle empties the log, which readers would search otherwise.
func (s *store) Settle() error { return s.Sync() }

func (s *store) Close() error {
	var errs []error
	for _, r := range s.readers {
		errs = append(errs, r.close())
	}
	return errors.Join(append(errs, s.writer.close())...)
}

var errBusy = errors.New("a reader kept the checkpoint from its end")

// checkpoint moves the whole log into the database.
func (c *conn) checkpoint() error {
	rows, err := c.c.Query("PRAGMA wal_checkpoint(FULL)", nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := rows.Next(c.dest[:3]); err != nil && err != io.EOF {
		return err
	}
	if busy, _ := c.dest[0].(int64); busy != 0 {
		return errBusy
	}
	return nil
}
