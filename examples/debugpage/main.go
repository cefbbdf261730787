// Debugpage keeps a store busy, and shows on a page of this machine what it does: Sync commits of
// several clients, reads, loops, two keyspaces, and a transaction that stays open for a while.
//
//	go run ./examples/debugpage
//	go run ./examples/debugpage -addr localhost:6070 -clients 4 -rate 100 -for 1m
//
// Then open http://localhost:6069/debug/aegis/. The program ends with Ctrl-C.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/aegis-storage/aegis"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("debugpage: ")
	var w workload
	addr := flag.String("addr", "localhost:6069", "address of the page; keep it on this machine")
	flag.IntVar(&w.clients, "clients", 8, "clients that write and read")
	flag.IntVar(&w.rate, "rate", 200, "transactions per second of each client, at most")
	flag.Int64Var(&w.memory, "memory", 32<<20, "memory budget in bytes; a small one shows more flushes, merges and evictions")
	long := flag.Duration("for", 0, "how long to run; 0: until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *long > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *long)
		defer cancel()
	}
	if err := run(ctx, *addr, w); err != nil {
		log.Fatal(err)
	}
}

// run opens a store in a temporary directory, and serves its page until ctx ends.
func run(ctx context.Context, addr string, w workload) (err error) {
	dir, err := os.MkdirTemp("", "debugpage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := aegis.Open(filepath.Join(dir, "store"), &aegis.Options{
		MemoryBudget: w.memory,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Observer:     &aegis.Observer{SnapshotOrigins: true},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/aegis/", aegis.DebugHandler(db))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Printf("http://%s/debug/aegis/\n", listener.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	err = w.run(ctx, db)
	err = errors.Join(err, server.Close())
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// workload is what the store has to do.
type workload struct {
	clients, rate int
	memory        int64
}

const accounts = 200_000

func (w workload) run(ctx context.Context, db *aegis.DB) error {
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		_, err := tx.CreateKeyspace("journal", aegis.KeyspaceOptions{Compression: aegis.Zstd})
		return err
	})
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var clients sync.WaitGroup
	for range w.clients {
		clients.Go(func() {
			fail(each(ctx, time.Second/time.Duration(max(w.rate, 1)), func() error { return transfer(ctx, db) }))
		})
	}
	clients.Go(func() { fail(each(ctx, 100*time.Millisecond, func() error { return report(ctx, db) })) })
	clients.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// each calls f at every tick until ctx ends.
func each(ctx context.Context, tick time.Duration, f func() error) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := f(); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// transfer writes two accounts and a line of the journal.
func transfer(ctx context.Context, db *aegis.DB) error {
	return db.Update(ctx, func(tx *aegis.Tx) error {
		journal, err := tx.Keyspace("journal")
		if err != nil {
			return err
		}
		line := make([]byte, 400)
		for range 2 {
			account := fmt.Appendf(nil, "account/%08d", rand.IntN(accounts))
			balance, err := tx.Get(account)
			if err != nil && !errors.Is(err, aegis.ErrNotFound) {
				return err
			}
			line = append(line, balance...)
			if err := tx.Put(account, binary.BigEndian.AppendUint64(nil, rand.Uint64())); err != nil {
				return err
			}
		}
		return journal.Put(fmt.Appendf(nil, "%020d/%08x", time.Now().UnixNano(), rand.Uint32()), line[:400])
	})
}

// report reads a part of the accounts, and now and then takes its time.
func report(ctx context.Context, db *aegis.DB) error {
	return db.View(ctx, func(tx *aegis.Tx) error {
		if rand.IntN(100) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Second):
			}
		}
		n := 0
		for range tx.Prefix(fmt.Appendf(nil, "account/%05d", rand.IntN(accounts/1000))) {
			n++
		}
		return tx.Err()
	})
}
