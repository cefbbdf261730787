package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/aegis-storage/aegis"
)

const (
	rawBytes     = 4 << 10 // of a raw write
	rawFile      = 16 << 20
	scanEntries  = 100
	accounts     = 10_000
	firstBalance = 1000
)

var workloads = []workload{
	{name: "fdatasync", text: "the disk alone: 4 KiB written over a file, and synced", clients: 1, prepare: fillRaw, do: rawSync},
	{name: "load", text: "put all keys, in transactions of 1,000, to the checkpoint"},
	{name: "put-sync", text: "put a new key, durable when answered", do: putSync},
	{name: "put-nosync", text: "put a new key, durable a moment later", do: putNoSync},
	{name: "get", text: "get a key that was loaded, at random, from memory as far as it fits", prepare: warm, do: get},
	{name: "scan", text: "read 100 entries in order, from a random key on", prepare: warm, do: scan},
	{name: "transfers", text: "read two of 10,000 balances and write them, serializable and durable", prepare: open, do: transfer},
}

// key spreads numbers over the key space, so that neighbours in time are none in order.
func key(n uint64) []byte {
	const odd = 0x9e3779b97f4a7c15 // a product with it modulo 2⁶⁴ is a different one for each n
	return fmt.Appendf(make([]byte, 0, keyBytes), "%016x", n*odd)
}

func (b *bench) value(r *rand.Rand) []byte {
	n := b.c.ValueBytes
	at := r.IntN(len(b.values) - n + 1)
	return b.values[at : at+n]
}

// fillRaw makes the file of the raw writes: they change bytes that are there.
func fillRaw(_ context.Context, b *bench) error {
	for off := int64(0); off < rawFile; off += int64(len(b.values)) {
		if _, err := b.raw.WriteAt(b.values, off); err != nil {
			return err
		}
	}
	return b.raw.Sync()
}

func rawSync(_ context.Context, b *bench, who int, _ *rand.Rand) (uint64, error) {
	off := int64(b.next[who]*rawBytes) % rawFile
	b.next[who]++
	if _, err := b.raw.WriteAt(b.values[:rawBytes], off); err != nil {
		return 0, err
	}
	return 0, b.raw.Sync()
}

// fresh is a key that was not put before.
func (b *bench) fresh(who int) []byte {
	b.next[who]++
	return key(b.keys + b.next[who]*uint64(b.c.Clients) + uint64(who))
}

func putSync(ctx context.Context, b *bench, who int, r *rand.Rand) (uint64, error) {
	return 0, b.db.Put(ctx, b.fresh(who), b.value(r))
}

func putNoSync(ctx context.Context, b *bench, who int, r *rand.Rand) (uint64, error) {
	return 0, b.db.UpdateWith(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}, func(tx *aegis.Tx) error {
		return tx.Put(b.fresh(who), b.value(r))
	})
}

// warm reads all keys once.
func warm(ctx context.Context, b *bench) error {
	return b.db.View(ctx, func(tx *aegis.Tx) error {
		for range tx.Range(nil, nil) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
}

func get(ctx context.Context, b *bench, _ int, r *rand.Rand) (uint64, error) {
	_, err := b.db.Get(ctx, key(r.Uint64N(b.keys)))
	return 0, err
}

func scan(ctx context.Context, b *bench, _ int, r *rand.Rand) (entries uint64, err error) {
	err = b.db.View(ctx, func(tx *aegis.Tx) error {
		for range tx.Range(key(r.Uint64N(b.keys)), nil) {
			if entries++; entries == scanEntries {
				break
			}
		}
		return nil
	})
	return entries, err
}

func account(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte("account/"), n) }

// open makes the accounts.
func open(ctx context.Context, b *bench) error {
	return b.db.Update(ctx, func(tx *aegis.Tx) error {
		for n := range uint64(accounts) {
			if err := tx.Put(account(n), binary.BigEndian.AppendUint64(nil, firstBalance)); err != nil {
				return err
			}
		}
		return nil
	})
}

var errNoBalance = errors.New("an account without a balance")

func transfer(ctx context.Context, b *bench, _ int, r *rand.Rand) (uint64, error) {
	from, to := r.Uint64N(accounts), r.Uint64N(accounts-1)
	if to >= from {
		to++
	}
	return 0, b.db.Update(ctx, func(tx *aegis.Tx) error {
		for _, side := range []struct{ account, change uint64 }{{from, ^uint64(0)}, {to, 1}} {
			v, err := tx.Get(account(side.account))
			if err != nil {
				return err
			}
			if len(v) != 8 {
				return errNoBalance
			}
			if err := tx.Put(account(side.account), binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(v)+side.change)); err != nil {
				return err
			}
		}
		return nil
	})
}
