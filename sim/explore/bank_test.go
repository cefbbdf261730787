package explore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
)

// bank is a small workload: clients that move money between three accounts and count what they did
// in a transaction each. No money may be lost, and no acknowledged move. With closes set, the store is
// closed at the end of a life.
func bank(clients int, closes bool) sim.Subject {
	return func() func(*sim.Life) {
		acked := make([]uint64, clients)
		begun := make([]uint64, clients)
		return func(l *sim.Life) {
			db, err := aegis.Open("", l.Options())
			l.Must(err)
			audit(l, db, acked, begun)
			if closes {
				l.AtClose(db.Close)
			}
			for i := range clients {
				l.Go(fmt.Sprintf("teller-%d", i+1), func(c *sim.Client) {
					for c.Next() {
						begun[i]++
						c.Must(db.Update(c.Context(), func(tx *aegis.Tx) error { return move(tx, i, begun[i]) }))
						acked[i] = begun[i]
					}
				})
			}
		}
	}
}

// move takes one from an account and gives it to another; accounts may be overdrawn.
func move(tx *aegis.Tx, teller int, n uint64) error {
	from, to := (n+uint64(teller))%3, (n+uint64(teller)+1)%3
	a, err := number(tx, fmt.Sprintf("account-%d", from))
	if err != nil {
		return err
	}
	b, err := number(tx, fmt.Sprintf("account-%d", to))
	if err != nil {
		return err
	}
	return errors.Join(
		put(tx, fmt.Sprintf("account-%d", from), a-1),
		put(tx, fmt.Sprintf("account-%d", to), b+1),
		put(tx, fmt.Sprintf("teller-%d", teller), n),
	)
}

// audit checks a bank after recovery.
func audit(l *sim.Life, db *aegis.DB, acked, begun []uint64) {
	l.Must(db.View(l.Context(), func(tx *aegis.Tx) error {
		sum := uint64(0)
		for i := range 3 {
			n, err := number(tx, fmt.Sprintf("account-%d", i))
			if err != nil {
				return err
			}
			sum += n
		}
		if sum != 0 {
			l.Failf("the accounts sum up to %d", int64(sum))
		}
		for i := range acked {
			n, err := number(tx, fmt.Sprintf("teller-%d", i))
			if err != nil {
				return err
			}
			if n < acked[i] || n > begun[i] {
				l.Failf("teller %d is at move %d; %d were acknowledged, %d begun", i+1, n, acked[i], begun[i])
			}
		}
		return nil
	}))
}

func number(tx *aegis.Tx, key string) (uint64, error) {
	v, err := tx.Get([]byte(key))
	if errors.Is(err, aegis.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

func put(tx *aegis.Tx, key string, n uint64) error {
	return tx.Put([]byte(key), binary.BigEndian.AppendUint64(nil, n))
}
