package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis"
)

// The accounts of a bank, and what each is opened with.
const (
	accounts = 5
	opening  = 100
)

// errFunds: the account holds less than the amount.
var errFunds = errors.New("bank: not enough money in the account")

// Bank keeps accounts in an aegis store. It is an ordinary program: nothing in it knows of the
// simulator. All that testing asks of it is that it takes its Options from the caller.
type Bank struct{ db *aegis.DB }

// OpenBank opens a bank, and a new one's accounts.
func OpenBank(o *aegis.Options) (*Bank, error) {
	db, err := aegis.Open("bank", o)
	if err != nil {
		return nil, err
	}
	err = db.Update(context.Background(), func(tx *aegis.Tx) error {
		if _, err := tx.Get(account(0)); !errors.Is(err, aegis.ErrNotFound) {
			return err
		}
		for n := range accounts {
			if err := tx.Put(account(n), amount(opening)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Bank{db}, nil
}

// Close ends the bank's business.
func (b *Bank) Close() error { return b.db.Close() }

// Transfer is an order to move money. Its ID is the customer's, and is used once.
type Transfer struct {
	ID              string
	From, To, Cents int
}

// Transfer moves money, all of it or none. When it returns nil the money has arrived for good, and
// a receipt is kept. errFunds: nothing was moved.
func (b *Bank) Transfer(ctx context.Context, t Transfer) error {
	return b.db.Update(ctx, func(tx *aegis.Tx) error {
		if err := add(tx, t.From, -t.Cents); err != nil {
			return err
		}
		if err := add(tx, t.To, t.Cents); err != nil {
			return err
		}
		return tx.Put(receipt(t.ID), nil)
	})
}

// Total is the money in all accounts.
func (b *Bank) Total(ctx context.Context) (total int, err error) {
	err = b.db.View(ctx, func(tx *aegis.Tx) error {
		for _, v := range tx.Prefix([]byte("account/")) {
			total += int(binary.BigEndian.Uint64(v))
		}
		return nil
	})
	return total, err
}

// Receipt reports whether a transfer was made.
func (b *Bank) Receipt(ctx context.Context, id string) (bool, error) {
	_, err := b.db.Get(ctx, receipt(id))
	if errors.Is(err, aegis.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// add changes an account, which never holds less than nothing.
func add(tx *aegis.Tx, number, sum int) error {
	v, err := tx.Get(account(number))
	if err != nil {
		return err
	}
	balance := int(binary.BigEndian.Uint64(v)) + sum
	if balance < 0 {
		return errFunds
	}
	return tx.Put(account(number), amount(balance))
}

func account(n int) []byte     { return fmt.Appendf(nil, "account/%d", n) }
func receipt(id string) []byte { return []byte("receipt/" + id) }
func amount(n int) []byte      { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
