package aegis

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// DefaultKeyspaceName is the name that the default keyspace answers to. It is always there and
// cannot be created or dropped.
const DefaultKeyspaceName = "default"

// MaxKeyspaceName bounds the name of a keyspace, in bytes.
const MaxKeyspaceName = 255

// Keyspace is a named, ordered set of keys as one transaction sees it. One transaction may use
// several. It lives as long as its transaction and is for the same goroutine.
type Keyspace struct {
	tx   *Tx
	id   pages.KeyspaceID
	name string
	// catalog is the internal key of the catalog entry, which every commit that writes here
	// validates; nil for the default keyspace.
	catalog []byte
	relied  bool // the catalog entry is among the transaction's points
}

// KeyspaceOptions are fixed when a keyspace is created.
type KeyspaceOptions struct {
	// Compression of the keyspace's pages. Default: that of Options, as LZ4 if it is not set there.
	Compression Compression
	// CompressionLevel counts for Zstd only: 1 (fastest) to 4 (smallest). Default: 1.
	CompressionLevel int
}

// KeyspaceInfo describes a keyspace.
type KeyspaceInfo struct {
	Name             string
	Compression      Compression
	CompressionLevel int // of Zstd; 0 of others
}

// Name returns the keyspace's name.
func (k *Keyspace) Name() string { return k.name }

// Keyspace returns the keyspace with this name, or ErrNotFound.
func (tx *Tx) Keyspace(name string) (*Keyspace, error) {
	if name == DefaultKeyspaceName {
		return &tx.def, tx.usable()
	}
	entry, err := tx.catalogEntry(name)
	if err != nil {
		return nil, err
	}
	key := pages.NameKey(name)
	if slices.Contains(tx.created, entry.ID) && !tx.wrote(key) {
		// With ReadCommitted: another transaction has taken the id that this one gave to a keyspace of
		// its own. Commit would refuse; until then their keys must not be mixed.
		return nil, tx.fail(fmt.Errorf("keyspace %q: %w", name, ErrConflict))
	}
	return &Keyspace{tx: tx, id: entry.ID, name: name, catalog: key}, nil
}

// wrote reports whether the transaction itself has written or removed an internal key.
func (tx *Tx) wrote(internal []byte) bool {
	return tx.writes.has(pages.Hash(internal), internal)
}

// catalogEntry reads the catalog. The read is validated at every isolation level, because what
// follows from it is written under the keyspace's id.
func (tx *Tx) catalogEntry(name string) (e pages.CatalogEntry, err error) {
	if err := tx.usable(); err != nil {
		return e, err
	}
	key := pages.NameKey(name)
	value, err := tx.get(key)
	if errors.Is(err, ErrNotFound) {
		return e, fmt.Errorf("keyspace %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return e, err
	}
	if e, err = pages.DecodeCatalogEntry(value); err != nil {
		return e, tx.fail(fmt.Errorf("aegis: catalog entry of keyspace %q: %w", name, err))
	}
	return e, nil
}

// CreateKeyspace makes a keyspace, as part of the transaction. A name that is taken gives
// ErrKeyspaceExists.
func (tx *Tx) CreateKeyspace(name string, o KeyspaceOptions) (*Keyspace, error) {
	codec, err := tx.db.keyspaceCodec(name, o)
	if err != nil {
		return nil, err
	}
	if tx.readOnly {
		return nil, ErrReadOnly
	}
	if _, err := tx.catalogEntry(name); err == nil {
		return nil, fmt.Errorf("keyspace %q: %w", name, ErrKeyspaceExists)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	id, err := tx.nextKeyspaceID()
	if err != nil {
		return nil, err
	}
	key := pages.NameKey(name)
	tx.rely(key)
	if err := tx.set(key, pages.CatalogEntry{ID: id, Codec: codec}.AppendEntry(nil), pages.KindValue); err != nil {
		return nil, err
	}
	tx.created = append(tx.created, id)
	return &Keyspace{tx: tx, id: id, name: name, catalog: key, relied: true}, nil
}

// keyspaceCodec checks a new keyspace's name and options.
func (db *DB) keyspaceCodec(name string, o KeyspaceOptions) (pages.Codec, error) {
	if name == "" || len(name) > MaxKeyspaceName {
		return pages.Codec{}, fmt.Errorf("aegis: keyspace name of %d bytes, allowed are 1 to %d", len(name), MaxKeyspaceName)
	}
	if name == DefaultKeyspaceName {
		return pages.Codec{}, fmt.Errorf("keyspace %q: %w", name, ErrKeyspaceExists)
	}
	if o.Compression == DefaultCompression && o.CompressionLevel == 0 {
		return db.codec, nil
	}
	return o.Compression.codec(o.CompressionLevel)
}

// nextKeyspaceID counts the catalog's id counter up. Two transactions that create keyspaces
// conflict here; ids are never used again.
func (tx *Tx) nextKeyspaceID() (pages.KeyspaceID, error) {
	id, err := tx.keyspaceCounter()
	if err != nil {
		return 0, err
	}
	key := pages.NextIDKey()
	tx.rely(key)
	return id, tx.set(key, binary.BigEndian.AppendUint32(nil, uint32(id)+1), pages.KindValue)
}

// keyspaceCounter returns the id that the next keyspace gets.
func (tx *Tx) keyspaceCounter() (pages.KeyspaceID, error) {
	value, err := tx.get(pages.NextIDKey())
	switch {
	case errors.Is(err, ErrNotFound):
		return pages.FirstUserKeyspace, nil
	case err != nil:
		return 0, err
	case len(value) != 4:
		return 0, tx.fail(fmt.Errorf("aegis: keyspace counter has %d bytes, not 4", len(value)))
	}
	return pages.KeyspaceID(binary.BigEndian.Uint32(value)), nil
}

// skipKeyspaceID sees to it that no keyspace gets the id from now on.
func (tx *Tx) skipKeyspaceID(id pages.KeyspaceID) error {
	next, err := tx.keyspaceCounter()
	if err != nil || next > id {
		return err
	}
	return tx.set(pages.NextIDKey(), binary.BigEndian.AppendUint32(nil, uint32(id)+1), pages.KindValue)
}

// DropKeyspace removes a keyspace with all it holds, as part of the transaction, or answers
// ErrNotFound. The space is given back in the background. A keyspace that is created later
// under the same name is a new one.
func (tx *Tx) DropKeyspace(name string) error {
	if tx.readOnly {
		return ErrReadOnly
	}
	if name == DefaultKeyspaceName {
		return fmt.Errorf("aegis: the keyspace %q cannot be dropped", name)
	}
	entry, err := tx.catalogEntry(name)
	if err != nil {
		return err
	}
	tx.dropOwnWrites(entry.ID)
	tx.dropped = append(tx.dropped, entry.ID)
	key := pages.NameKey(name)
	tx.rely(key)
	if err := tx.set(key, nil, pages.KindTombstone); err != nil {
		return err
	}
	return tx.set(pages.DropKey(entry.ID), nil, pages.KindValue)
}

// dropOwnWrites forgets what this transaction wrote to a keyspace that it drops.
func (tx *Tx) dropOwnWrites(id pages.KeyspaceID) {
	tx.writes.forget(pages.AppendKeyspace(nil, id))
}

// Keyspaces lists the named keyspaces that the transaction sees, ordered by name. The default
// one is not among them.
func (tx *Tx) Keyspaces() ([]KeyspaceInfo, error) {
	var list []KeyspaceInfo
	err := tx.eachKeyspace(func(name string, e pages.CatalogEntry) {
		list = append(list, KeyspaceInfo{Name: name, Compression: compressionOf(e.Codec), CompressionLevel: int(e.Codec.Level)})
	})
	return list, err
}

// eachKeyspace walks the catalog.
func (tx *Tx) eachKeyspace(f func(name string, e pages.CatalogEntry)) error {
	if err := tx.usable(); err != nil {
		return err
	}
	catalog := Keyspace{tx: tx, id: pages.CatalogKeyspace, name: "catalog"}
	_, prefix, err := pages.SplitKey(pages.NameKey(""))
	if err != nil {
		return err
	}
	for k, v := range catalog.Prefix(prefix) {
		e, err := pages.DecodeCatalogEntry(v)
		if err != nil {
			return tx.fail(fmt.Errorf("aegis: catalog entry %q: %w", k, err))
		}
		f(string(k[len(prefix):]), e)
	}
	return tx.err
}

// keyspaceIDs returns the ids that have a name.
func (tx *Tx) keyspaceIDs() (map[pages.KeyspaceID]bool, error) {
	ids := make(map[pages.KeyspaceID]bool)
	err := tx.eachKeyspace(func(_ string, e pages.CatalogEntry) { ids[e.ID] = true })
	return ids, err
}

// keyspaceNames returns the names of all keyspaces by their numbers.
func (tx *Tx) keyspaceNames() (map[uint32]string, error) {
	names := map[uint32]string{}
	err := tx.eachKeyspace(func(name string, e pages.CatalogEntry) { names[uint32(e.ID)] = name })
	return names, err
}

func compressionOf(c pages.Codec) Compression {
	return [...]Compression{pages.None: NoCompression, pages.LZ4: LZ4, pages.Zstd: Zstd}[c.Compression]
}

// usable is checked by every operation on the keyspace.
func (k *Keyspace) usable() error {
	if slices.Contains(k.tx.dropped, k.id) {
		return fmt.Errorf("keyspace %q was dropped by this transaction: %w", k.name, ErrNotFound)
	}
	return k.tx.usable()
}

// Get returns the value of key, or ErrNotFound. See Tx.Get.
func (k *Keyspace) Get(key []byte) ([]byte, error) {
	if err := cmp.Or(k.usable(), checkKey(key)); err != nil {
		return nil, err
	}
	latency := &k.tx.db.latency
	watch := latency.startGet()
	value, err := k.tx.get(k.internal(key))
	latency.stop(watch, &latency.get)
	return value, err
}

// Put sets key. See Tx.Put.
func (k *Keyspace) Put(key, value []byte) error {
	if len(value) > MaxValueBytes {
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrTooLarge, len(value), MaxValueBytes)
	}
	return k.write(key, value, pages.KindValue)
}

// Delete removes key. See Tx.Delete.
func (k *Keyspace) Delete(key []byte) error { return k.write(key, nil, pages.KindTombstone) }

func (k *Keyspace) write(key, value []byte, kind pages.Kind) error {
	tx := k.tx
	if err := cmp.Or(k.usable(), checkKey(key)); err != nil {
		return err
	}
	if tx.readOnly {
		return ErrReadOnly
	}
	if k.catalog != nil && !k.relied {
		k.relied = true
		tx.rely(k.catalog)
	}
	return tx.set(k.internal(key), value, kind)
}

// internal returns key's internal key, in the transaction's buffer: valid until the next one.
func (k *Keyspace) internal(key []byte) []byte {
	k.tx.key = pages.AppendKey(k.tx.key[:0], k.id, key)
	return k.tx.key
}

// keyBuffer is the size of internal keys that are built on the stack.
const keyBuffer = 128

func checkKey(key []byte) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrTooLarge, len(key), MaxKeyBytes)
	}
	return nil
}

// rely adds a key to what Commit validates, at every isolation level.
func (tx *Tx) rely(internal []byte) {
	tx.points = append(tx.points, messages.Point{Hash: pages.Hash(internal), Key: slices.Clone(internal)})
}

// set records one of the transaction's own writes; both slices are copied.
func (tx *Tx) set(internal, value []byte, kind pages.Kind) error {
	const perWrite = 16 // kind and lengths in the encoding, rounded up
	tx.written += len(internal) + len(value) + perWrite
	if tx.written > MaxTransactionBytes {
		tx.written -= len(internal) + len(value) + perWrite
		return fmt.Errorf("%w: transaction above %d bytes", ErrTooLarge, MaxTransactionBytes)
	}
	if tx.writes.c == nil {
		tx.writes.c = tx.db.request()
	}
	if before := tx.writes.put(pages.Hash(internal), internal, value, kind); before >= 0 {
		tx.written -= before + perWrite
	}
	return nil
}

// get reads an internal key: own writes, then the snapshot.
func (tx *Tx) get(internal []byte) ([]byte, error) {
	hash := pages.Hash(internal)
	if w, ok := tx.writes.get(hash, internal); ok {
		if w.kind == pages.KindTombstone {
			return nil, ErrNotFound
		}
		return w.value, nil
	}
	tx.db.rt.Park(tx.ctx, nil)
	v, ok, err := tx.read(internal, hash)
	if err != nil {
		return nil, tx.fail(err)
	}
	if !tx.readOnly {
		tx.note(internal, hash, v.Seq)
	}
	if !ok || v.Kind == pages.KindTombstone {
		return nil, ErrNotFound
	}
	return v.Value, nil
}

// firstPoints is how many reads a transaction makes room for at first.
const firstPoints = 4

// note records a read of a read-write transaction.
func (tx *Tx) note(internal []byte, hash uint64, seq pages.Seq) {
	tx.maxRead = max(tx.maxRead, seq)
	if tx.isolation == Serializable {
		if tx.points == nil {
			tx.points = make([]messages.Point, 0, firstPoints)
		}
		tx.points = append(tx.points, messages.Point{Hash: hash, Key: tx.arena.copyOf(internal)})
	}
}
