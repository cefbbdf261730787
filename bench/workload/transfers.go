package workload

import (
	"encoding/binary"
	"fmt"

	"github.com/aegis-storage/aegis/bench/engine"
)

const (
	manyAccounts = 10_000
	hotAccounts  = 10
	firstBalance = 1000
	// An account's value begins with its balance and the number of transfers that it took part in.
	accountBytes = 16
)

func transfers() []Workload {
	nosync := Workload{
		Name: "transfers-nosync", Clients: []int{16}, Quick: []int{16},
		About:   "serializable transfers between two of 10,000 accounts: two reads, two writes; not synced",
		maxKeys: manyAccounts,
		setup:   openAccounts, begin: beginTransfers, step: transfer, check: checkAccounts,
	}
	durable := nosync
	durable.Name, durable.About = "transfers-durable", "the same, each synced"
	durable.durable = true
	hot := nosync
	hot.Name, hot.About = "transfers-hot-nosync", "the same between 10 accounts, not synced"
	hot.maxKeys, hot.Quick = hotAccounts, nil
	hotDurable := hot
	hotDurable.Name, hotDurable.About = "transfers-hot-durable", "the same between 10 accounts, each synced"
	hotDurable.durable = true
	return []Workload{nosync, durable, hot, hotDurable}
}

// move is one transfer, and how many were committed.
type move struct {
	from, to int
	amount   int64
	done     int64
}

func openAccounts(r *Run) error {
	if r.ValueBytes < accountBytes {
		return fmt.Errorf("values of %d bytes are too small for an account", r.ValueBytes)
	}
	if r.Keys < 2 {
		return fmt.Errorf("%d accounts are too few", r.Keys)
	}
	c := &client{run: r}
	beginBatch(c)
	for c.next < r.Keys {
		n := min(len(c.batch), r.Keys-c.next)
		for i := range n {
			c.setPair(&c.batch[i], c.next+i, 0)
			setAccount(c.batch[i].Value, firstBalance, 0)
		}
		c.next += n
		if err := c.commitBatch(c.batch[:n]); err != nil {
			return err
		}
	}
	return syncStore(r)
}

func setAccount(value []byte, balance, count int64) {
	binary.LittleEndian.PutUint64(value, uint64(balance))
	binary.LittleEndian.PutUint64(value[8:], uint64(count))
}

func account(value []byte) (balance, count int64) {
	return int64(binary.LittleEndian.Uint64(value)), int64(binary.LittleEndian.Uint64(value[8:]))
}

func beginTransfers(c *client) {
	c.mover = func(tx engine.Tx) error {
		// The source is read first and written first; the second value has a buffer of its own, as
		// both are held at once.
		var err error
		if c.value, err = c.readAccount(tx, c.move.from, c.value); err != nil {
			return err
		}
		if c.scratch, err = c.readAccount(tx, c.move.to, c.scratch); err != nil {
			return err
		}
		if err := c.writeAccount(tx, c.move.from, c.value, -c.move.amount); err != nil {
			return err
		}
		return c.writeAccount(tx, c.move.to, c.scratch, c.move.amount)
	}
}

func (c *client) readAccount(tx engine.Tx, index int, buffer []byte) ([]byte, error) {
	c.key = AppendKey(c.key[:0], index)
	value, err := tx.Get(c.key, buffer[:0])
	if err != nil {
		return buffer, err // as it is: it may say that the transaction is to run again
	}
	if len(value) != c.run.ValueBytes {
		return value, fmt.Errorf("wrong value: %d bytes of key %x", len(value), c.key)
	}
	return value, nil
}

func (c *client) writeAccount(tx engine.Tx, index int, value []byte, amount int64) error {
	balance, count := account(value)
	setAccount(value, balance+amount, count+1)
	c.key = AppendKey(c.key[:0], index)
	return tx.Put(c.key, value)
}

func transfer(c *client) (int, error) {
	c.move.from = c.anyIndex()
	c.move.to = (c.move.from + 1 + c.random.Below(c.run.Keys-1)) % c.run.Keys
	c.move.amount = 1 + int64(c.random.Below(10))
	if err := c.run.store.Update(c.mover); err != nil {
		return 0, fmt.Errorf("transfer: %w", err)
	}
	c.move.done++
	c.pairs += 2
	return 1, nil
}

// checkAccounts returns an error if the sum of all balances has changed, or if the accounts' counts
// are not those of the transfers that were committed.
func checkAccounts(r *Run) error {
	var sum, counts, want int64
	for _, c := range r.clients {
		want += 2 * c.move.done
	}
	err := r.store.View(func(snapshot engine.Reader) error {
		for i := range r.Keys {
			value, err := snapshot.Get(AppendKey(nil, i), nil)
			if err != nil {
				return fmt.Errorf("get of account %d: %w", i, err)
			}
			balance, count := account(value)
			sum, counts = sum+balance, counts+count
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case sum != int64(r.Keys)*firstBalance:
		return fmt.Errorf("lost update: the sum of balances is %d, was %d", sum, int64(r.Keys)*firstBalance)
	case counts != want:
		return fmt.Errorf("lost update: accounts count %d writes, %d were committed", counts, want)
	}
	return nil
}
