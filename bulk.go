package aegis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// BulkResult tells what a bulk load stored.
type BulkResult struct {
	Entries     uint64
	RawBytes    int64 // keys and values
	StoredBytes int64 // table files
	Tables      int
}

// BulkLoad makes the keyspace name from entries that come in strictly ascending order of their
// keys, at the speed of the disk: they go straight into tables, past the log and the version
// index. It is atomic: one commit, after the tables are synced, makes the keyspace with all of
// it appear; when BulkLoad fails nothing does. It is durable when it returns, whatever the
// store's durability. Keys out of order give an error that names the entry.
func (db *DB) BulkLoad(ctx context.Context, name string, o KeyspaceOptions, entries iter.Seq2[[]byte, []byte]) (BulkResult, error) {
	codec, err := db.keyspaceCodec(name, o)
	if err != nil {
		return BulkResult{}, err
	}
	if err := db.enterWrite(); err != nil {
		return BulkResult{}, err
	}
	defer db.leave()
	id, err := db.reserveKeyspace(ctx, name)
	if err != nil {
		return BulkResult{}, err
	}
	l := loader{db: db, id: id, codec: codec}
	defer l.abort() // also when the sequence panics
	if err := l.load(ctx, entries); err != nil {
		return BulkResult{}, fmt.Errorf("aegis: bulk load of %q: %w", name, spaceError(err))
	}
	if len(l.tables) > 0 {
		req := &messages.Ingest{Keyspace: id, Codec: codec, Tables: l.tables, Reply: messages.NewReply[error]()}
		l.created = nil // from here on they are the engine's, whatever the outcome
		if err := db.graph.Ingest(ctx, req); err != nil {
			err = errors.Join(err, db.dropUnpublished([]pages.KeyspaceID{id}))
			return BulkResult{}, fmt.Errorf("aegis: bulk load of %q: %w", name, err)
		}
	}
	if err := db.publishKeyspace(ctx, name, pages.CatalogEntry{ID: id, Codec: codec, Loaded: len(l.tables) > 0}); err != nil {
		return BulkResult{}, errors.Join(err, db.dropUnpublished([]pages.KeyspaceID{id}))
	}
	return l.result, nil
}

// reserveKeyspace takes a keyspace id out of the counter, for good.
func (db *DB) reserveKeyspace(ctx context.Context, name string) (id pages.KeyspaceID, err error) {
	err = db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.catalogEntry(name); err == nil {
			return fmt.Errorf("keyspace %q: %w", name, ErrKeyspaceExists)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		id, err = tx.nextKeyspaceID()
		return err
	})
	return id, err
}

// publishKeyspace is the commit that makes a loaded keyspace appear.
func (db *DB) publishKeyspace(ctx context.Context, name string, e pages.CatalogEntry) error {
	err := db.UpdateWith(ctx, TxOptions{Durability: WithDurability(Sync)}, func(tx *Tx) error {
		if _, err := tx.catalogEntry(name); err == nil {
			return fmt.Errorf("keyspace %q: %w", name, ErrKeyspaceExists)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		key := pages.NameKey(name)
		tx.rely(key)
		return tx.set(key, e.AppendEntry(nil), pages.KindValue)
	})
	if err == nil && db.opts.DisableWAL { // only a checkpoint makes it durable then
		err = db.graph.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()})
	}
	return err
}

// loader writes the tables of one bulk load.
type loader struct {
	db      *DB
	id      pages.KeyspaceID
	codec   pages.Codec
	created []pages.FileID
	tables  []pages.TableMeta
	result  BulkResult

	file    *sequentialFile
	builder *pages.Builder
	last    []byte
	key     []byte
}

func (l *loader) load(ctx context.Context, entries iter.Seq2[[]byte, []byte]) (err error) {
	for k, v := range entries {
		if err = l.add(ctx, k, v); err != nil {
			return err
		}
	}
	if err := l.cut(); err != nil {
		return err
	}
	if len(l.created) == 0 {
		return nil
	}
	return l.db.backend.SyncDir()
}

func (l *loader) add(ctx context.Context, k, v []byte) error {
	n := l.result.Entries
	if n%1024 == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	if err := checkKey(k); err != nil {
		return fmt.Errorf("entry %d: %w", n, err)
	}
	if len(v) > MaxValueBytes {
		return fmt.Errorf("entry %d: %w: value of %d bytes, at most %d", n, ErrTooLarge, len(v), MaxValueBytes)
	}
	if n > 0 && bytes.Compare(k, l.last) <= 0 {
		return fmt.Errorf("entry %d: key %q does not come after %q", n, k, l.last)
	}
	l.last = append(l.last[:0], k...)
	l.key = pages.AppendKey(l.key[:0], l.id, k)
	if l.builder != nil && l.builder.Size() >= l.db.opts.Limits.TableBytes {
		if err := l.cut(); err != nil {
			return err
		}
	}
	if l.builder == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	l.result.Entries++
	l.result.RawBytes += int64(len(k) + len(v))
	return l.builder.Add(l.key, v, pages.KindValue)
}

func (l *loader) open() error {
	f, id, err := l.db.files.CreateTable(l.db.backend)
	if err != nil {
		return err
	}
	l.created = append(l.created, id)
	l.file = &sequentialFile{f: f}
	limits := l.db.opts.Limits
	l.builder = pages.NewBuilder(l.file, pages.TableOptions{
		LeafBytes: limits.LeafBytes, InnerBytes: limits.InnerBytes, FilterBitsPerKey: limits.FilterBits, ID: id,
	})
	l.builder.SetCodec(l.codec)
	return nil
}

// cut finishes the table that is being written.
func (l *loader) cut() error {
	if l.builder == nil {
		return nil
	}
	m, err := l.builder.Finish()
	if err == nil {
		err = l.file.f.Sync()
	}
	if closeErr := l.file.f.Close(); err == nil {
		err = closeErr
	}
	l.file, l.builder = nil, nil
	if err != nil {
		return err
	}
	l.tables = append(l.tables, m)
	l.result.StoredBytes += m.Size
	l.result.Tables++
	return nil
}

// abort removes the tables that were written and not handed over. What cannot be removed goes at
// the next Open.
func (l *loader) abort() {
	if l.file != nil {
		_ = l.file.f.Close()
	}
	for _, id := range l.created {
		_ = l.db.backend.Remove(pages.TableName(id))
	}
}

// sequentialFile writes front to back.
type sequentialFile struct {
	f   backends.File
	off int64
}

var _ io.Writer = (*sequentialFile)(nil)

func (s *sequentialFile) Write(p []byte) (int, error) {
	n, err := s.f.WriteAt(p, s.off)
	s.off += int64(n)
	return n, err
}
