package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis/bench/engine"
)

func checkUpdate(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	fill(t, s, 0, 10, 1)
	err := s.Update(func(tx engine.Tx) error {
		expect(t, tx, 1, 1)
		if v, err := tx.Get(key(77), nil); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("absent in an Update: %q, %v", v, err)
		}
		k, v := key(1), value(1, 2)
		must(t, tx.Put(k, v))
		// The buffers are the caller's again, here too.
		copy(k, key(2))
		copy(v, value(2, 2))
		must(t, tx.Put(k, v))
		clear(k)
		clear(v)
		expect(t, tx, 1, 2) // its own writes
		expect(t, tx, 2, 2)
		return nil
	})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no transactions")
	}
	must(t, err)
	expect(t, s, 1, 2)
	expect(t, s, 2, 2)
	err = s.Update(func(tx engine.Tx) error {
		must(t, tx.Put(key(3), value(3, 2)))
		return errMine
	})
	if !errors.Is(err, errMine) {
		t.Fatalf("Update lost its function's error: %v", err)
	}
	expect(t, s, 3, 1)
	must(t, s.Put(key(3), value(3, 3)))
	expect(t, s, 3, 3)
}

// together runs n clients, and wants all of them to succeed.
func together(t *testing.T, n int, client func(id int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for id := range n {
		wg.Go(func() { errs[id] = client(id) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
}

// checkConcurrent has writers that must not lose each other's writes, and readers who must not see
// half of a batch.
func checkConcurrent(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	const clients, each = 8, 60
	both := func(version int) error {
		return s.Batch([]engine.Pair{{Key: key(1), Value: value(1, version)}, {Key: key(2), Value: value(1, version)}})
	}
	must(t, both(0))
	together(t, clients, func(id int) error {
		for i := range each {
			k := 1000 + id*each + i
			if err := s.Put(key(k), value(k, 1)); err != nil {
				return err
			}
			if v, err := s.Get(key(k), nil); err != nil || string(v) != string(value(k, 1)) {
				return fmt.Errorf("my own key %d: %q, %w", k, v, err)
			}
			if err := both(id*each + i); err != nil {
				return err
			}
			err := s.View(func(r engine.Reader) error {
				a, errA := r.Get(key(1), nil)
				b, errB := r.Get(key(2), nil)
				if string(a) != string(b) {
					return fmt.Errorf("half of a batch: %q, %q", a, b)
				}
				return errors.Join(errA, errB)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for k := 1000; k < 1000+clients*each; k++ {
		expect(t, s, k, 1)
	}
}

// checkTransfers moves money between a few accounts; a lost update or a dirty read changes the sum.
func checkTransfers(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	const accounts, clients, transfers, start = 10, 8, 60, 1000
	money := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	for i := range accounts {
		must(t, s.Put(key(i), money(start)))
	}
	if err := s.Update(func(engine.Tx) error { return nil }); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no transactions")
	}
	sum := func() (total uint64, err error) {
		err = s.View(func(r engine.Reader) error {
			total = 0
			n, err := r.Scan(nil, 0, func(_, v []byte) { total += binary.BigEndian.Uint64(v) })
			if n != accounts {
				return fmt.Errorf("%d accounts, %w", n, err)
			}
			return err
		})
		if err == nil && total != accounts*start {
			err = fmt.Errorf("the sum is %d, want %d", total, accounts*start)
		}
		return total, err
	}
	together(t, clients, func(id int) error {
		random := rand.New(rand.NewPCG(uint64(id), 1))
		for range transfers {
			from := random.IntN(accounts)
			to := (from + 1 + random.IntN(accounts-1)) % accounts
			err := s.Update(func(tx engine.Tx) error {
				a, errA := tx.Get(key(from), nil)
				b, errB := tx.Get(key(to), nil)
				if err := errors.Join(errA, errB); err != nil {
					return err
				}
				have, has := binary.BigEndian.Uint64(a), binary.BigEndian.Uint64(b)
				return errors.Join(tx.Put(key(from), money(have-1)), tx.Put(key(to), money(has+1)))
			})
			if err != nil {
				return err
			}
			if _, err := sum(); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := sum()
	must(t, err)
}

// checkFailures has transactions that give up beside others that commit, which some drivers let share
// a commit.
func checkFailures(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	if err := s.Update(func(engine.Tx) error { return nil }); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no transactions")
	}
	const clients, each = 8, 40
	together(t, clients, func(id int) error {
		for i := range each {
			k := id*each + i
			var want error
			if k%3 == 0 {
				want = errMine
			}
			err := s.Update(func(tx engine.Tx) error {
				return errors.Join(tx.Put(key(k), value(k, 1)), want)
			})
			if !errors.Is(err, want) {
				return fmt.Errorf("client %d: %w, want %v", id, err, want)
			}
		}
		return nil
	})
	for k := range clients * each {
		if k%3 != 0 {
			expect(t, s, k, 1)
		} else if v, err := s.Get(key(k), nil); !errors.Is(err, engine.ErrNotFound) {
			t.Fatalf("key %d of a transaction that gave up: %q, %v", k, v, err)
		}
	}
}
