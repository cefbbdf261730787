package aegis_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// The benchmarks use 16 B keys and 100 B values of which half compress. Their figures stand in
// the README, with the machine.

const benchValue = 100

func benchKey(i int) []byte {
	k := make([]byte, 16)
	// A multiplicative hash spreads the keys over the whole range.
	binary.BigEndian.PutUint64(k, uint64(i)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(k[8:], uint64(i))
	return k
}

func benchValues() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	vs := make([][]byte, 1024)
	for i := range vs {
		vs[i] = make([]byte, benchValue)
		for j := range benchValue / 2 {
			vs[i][j] = byte(r.Uint32())
		}
	}
	return vs
}

func benchOpen(b *testing.B, local bool, o aegis.Options) *aegis.DB {
	b.Helper()
	dir := ""
	if local {
		dir = b.TempDir()
	} else if o.Backend == nil {
		o.Backend = backends.NewMemory()
	}
	db, err := aegis.Open(dir, &o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

// spread runs op from clients goroutines, b.N times in all.
func spread(b *testing.B, clients int, op func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				if err := op(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkPut(b *testing.B) {
	for _, store := range []struct {
		name  string
		local bool
		d     aegis.Durability
	}{{"memory", false, aegis.Sync}, {"memory/nosync", false, aegis.NoSync}, {"local/nosync", true, aegis.NoSync}, {"local/sync", true, aegis.Sync}} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", store.name, clients), func(b *testing.B) {
				db := benchOpen(b, store.local, aegis.Options{Durability: store.d})
				vs := benchValues()
				b.ReportAllocs()
				spread(b, clients, func(i int) error { return db.Put(ctx, benchKey(i), vs[i%len(vs)]) })
			})
		}
	}
}

// BenchmarkTransfer is two reads and two writes, serializable, between many accounts and few.
func BenchmarkTransfer(b *testing.B) {
	for _, accounts := range []int{10_000, 10} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("accounts=%d/clients=%d", accounts, clients), func(b *testing.B) {
				db := benchOpen(b, false, aegis.Options{Durability: aegis.NoSync})
				load(b, db, accounts, accounts)
				b.ReportAllocs()
				spread(b, clients, func(i int) error {
					from := int(uint64(i) * 0x9E3779B97F4A7C15 >> 20 % uint64(accounts))
					return db.Update(ctx, func(tx *aegis.Tx) error {
						for _, n := range []int{from, (from + 1 + i%(accounts-1)) % accounts} {
							v, err := tx.Get(benchKey(n))
							if err != nil {
								return err
							}
							if err := tx.Put(benchKey(n), v); err != nil {
								return err
							}
						}
						return nil
					})
				})
			})
		}
	}
}

func load(b *testing.B, db *aegis.DB, n, perTx int) {
	b.Helper()
	vs := benchValues()
	for i := 0; i < n; {
		tx, err := db.Begin(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)})
		if err != nil {
			b.Fatal(err)
		}
		for range perTx {
			if err := tx.Put(benchKey(i), vs[i%len(vs)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Sync(ctx); err != nil {
		b.Fatal(err)
	}
}

const million = 1_000_000

func BenchmarkLoadMillion(b *testing.B) {
	for _, local := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "local"}[local], func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				db := benchOpen(b, local, aegis.Options{})
				b.StartTimer()
				load(b, db, million, 1000)
			}
			b.ReportMetric(float64(b.N)*million/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// filled is a memory store of a million settled entries, made once.
var filled = sync.OnceValue(func() *aegis.DB {
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory(), MemoryBudget: 1 << 30, CheckpointBytes: 32 << 20})
	if err != nil {
		panic(err)
	}
	vs := benchValues()
	for i := 0; i < million; {
		err := db.UpdateWith(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}, func(tx *aegis.Tx) error {
			for range 1000 {
				if err := tx.Put(benchKey(i), vs[i%len(vs)]); err != nil {
					return err
				}
				i++
			}
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	if err := db.Compact(ctx, nil); err != nil {
		panic(err)
	}
	err = db.View(ctx, func(tx *aegis.Tx) error {
		for range tx.Range(nil, nil) {
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return db
})

func BenchmarkGet(b *testing.B) {
	db := filled()
	for _, readers := range []int{1, 2, 16} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			b.ReportAllocs()
			spread(b, readers, func(i int) error {
				_, err := db.Get(ctx, benchKey(int(uint64(i)*0x9E3779B97F4A7C15>>20%million)))
				return err
			})
		})
	}
}

func BenchmarkScan(b *testing.B) {
	db := filled()
	b.Run("full", func(b *testing.B) {
		b.ReportAllocs()
		entries := 0
		for range b.N {
			err := db.View(ctx, func(tx *aegis.Tx) error {
				for range tx.Range(nil, nil) {
					entries++
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("seek100", func(b *testing.B) {
		b.ReportAllocs()
		entries := 0
		for i := range b.N {
			err := db.View(ctx, func(tx *aegis.Tx) error {
				n := 0
				for range tx.Range(benchKey(i*7919%million), nil) {
					entries++
					if n++; n == 100 {
						break
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkReopen opens a store whose process died with 200 K commits in the log and none of
// them in tables.
func BenchmarkReopen(b *testing.B) {
	const n = 200_000
	o := aegis.Options{Durability: aegis.NoSync, MemoryBudget: 1 << 30, CheckpointBytes: 128 << 20}
	dir := b.TempDir()
	db, err := aegis.Open(dir, &o)
	if err != nil {
		b.Fatal(err)
	}
	vs := benchValues()
	for i := range n {
		if err := db.Put(ctx, benchKey(i), vs[i%len(vs)]); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	image := filepath.Join(b.TempDir(), "image") // as a kill would leave it
	if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		again := filepath.Join(b.TempDir(), strconv.Itoa(i))
		if err := os.CopyFS(again, os.DirFS(image)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		db, err := aegis.Open(again, &o)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		if s, err := db.Stats(ctx); err != nil || s.Recovery.Records != n {
			b.Fatal(s.Recovery, err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
