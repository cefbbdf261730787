package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
	"github.com/aegis-storage/aegis/sim"
)

// What follows are the two checks of a Backend. The first asks whether it keeps to the contract,
// call by call. The second runs a store on it, through crashes and power cuts: it finds what only
// shows when a disk fails.

// subject is what the conformance suite needs: a Backend on empty storage, how another process
// would open that, and how to cut its power. A Backend that has storage of its own gives its own
// power cut; without one leave it nil, and those cases are left out.
func subject(f fault) conformance.Subject {
	storage := sim.NewStorage()
	return conformance.Subject{
		Backend:  Over(storage.Backend(), f),
		Reopen:   func() (backends.Backend, error) { return Over(storage.Backend(), f), nil },
		PowerCut: func() (backends.Backend, error) { return Over(storage.PowerCut(), f), nil },
	}
}

// finding is what a check says.
type finding struct{ check, says string }

// conform runs all cases of the suite, without the testing package.
func conform(f fault) (found []finding) {
	for _, c := range conformance.Cases() {
		if says := c.Failures(subject(f)); len(says) > 0 {
			found = append(found, finding{c.Name, says[0]})
		}
	}
	return found
}

// simulate runs a store on the Backend, for a number of seeds. The finding's check is "" if all went
// well.
func simulate(f fault, seeds int) (finding, error) {
	c := sim.Config{Seeds: seeds, NoShrink: true}
	if p := table[f].profile; p != "" {
		c.Profiles = []string{p}
	}
	rep, err := sim.Run(context.Background(), c, storeOn(f))
	if err != nil || len(rep.Failures) == 0 {
		return finding{}, err
	}
	res := rep.Failures[0]
	return finding{"a store, on a disk like " + res.Profile, res.Failure.Text}, nil
}

// storeOn is a store on the Backend over the simulated disk. Three clients count, each under keys of
// its own; after each crash no count may be below what was acknowledged.
//
// For a Backend of your own, sim.Over with swarm.Subject of package sim/swarm as the second argument
// runs aegis's own workload instead, which does more.
func storeOn(f fault) sim.Subject {
	return sim.Over(func(disk backends.Backend) backends.Backend { return Over(disk, f) }, func() func(*sim.Life) {
		acknowledged := map[string]uint64{}
		return func(l *sim.Life) {
			db, err := aegis.Open("", l.Options())
			l.Must(err)
			l.AtClose(db.Close)
			for key, n := range acknowledged {
				v, err := db.Get(l.Context(), []byte(key))
				if errors.Is(err, aegis.ErrNotFound) {
					l.Failf("%s was acknowledged, and is lost after a %s: what Sync or SyncDir covered is gone", key, l.Before())
				}
				l.Must(err)
				if got := binary.BigEndian.Uint64(v); got < n {
					l.Failf("%s is %d after a %s, %d was acknowledged: what Sync covered is gone", key, got, l.Before(), n)
				}
			}
			l.Must(db.Verify(l.Context(), nil))
			for _, name := range []string{"a", "b", "c"} {
				l.Go(name, func(c *sim.Client) { count(c, db, acknowledged) })
			}
		}
	})
}

// count raises the client's counts.
func count(c *sim.Client, db *aegis.DB, acknowledged map[string]uint64) {
	for c.Next() {
		if c.Intn(6) == 0 {
			c.Life().Excuse(db.Checkpoint(c.Context()))
			continue
		}
		key := fmt.Sprintf("%s-%d", c.Name(), c.Intn(4))
		var n uint64
		err := db.Update(c.Context(), func(tx *aegis.Tx) error {
			v, err := tx.Get([]byte(key))
			if err != nil && !errors.Is(err, aegis.ErrNotFound) {
				return err
			}
			n = 1
			if err == nil {
				n += binary.BigEndian.Uint64(v)
			}
			return tx.Put([]byte(key), append(binary.BigEndian.AppendUint64(nil, n), make([]byte, c.Intn(900))...))
		})
		c.Must(err)
		acknowledged[key] = n
	}
}
