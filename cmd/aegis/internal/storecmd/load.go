package storecmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/stream"
)

func loadCommand() *cli.Command {
	return &cli.Command{
		Name: "load", Args: "STORE [FILE]", Least: 1, Most: 2, Short: "put what a stream, JSON lines or CSV hold into a store",
		Long: `
FILE, or standard input, is a stream of aegis dump, JSON lines or CSV; --format says which, or it is
found out from the first bytes (CSV has to be said). What is loaded is added: a key that is there gets
the new value. A block whose id another block of the store has is refused: ids are of each store.

A keyspace of a stream that the store does not have is loaded in bulk, and appears whole or not at
all. All else goes in transactions of --batch entries. A stream in a file is checked to its end before
anything is written; one from standard input, JSON lines and CSV are loaded up to the damage, and the
error says how much that was.

JSON lines are objects with "key" or "key_hex", "value" or "value_hex", and "keyspace" if it is not
the one of --keyspace; aegis dump --format jsonl writes such. CSV has the columns key and value, or
key_hex, value_hex, and keyspace; the first line names them, or --columns does.`,
		Examples: `  aegis load --create copy data.dump
  zstd -dc data.dump.zst | aegis load --create copy
  aegis load data --format csv --columns key,value --keyspace users users.csv`,
		Begin: func(f *cli.Flags) cli.Work {
			l := &loadFlags{}
			f.StringVar(&l.format, "format", "auto", "read `F`: stream, jsonl, csv, or auto to find out")
			f.StringVarP(&l.keyspace, "keyspace", "k", aegis.DefaultKeyspaceName, "the keyspace `NAME` of entries that name none")
			f.StringSliceVar(&l.columns, "columns", nil, "the `NAMES` of the columns of a CSV without a line of them")
			f.IntVar(&l.batch, "batch", 1000, "commit after `N` entries, or 4 MiB of them")
			f.BoolVar(&l.create, "create", false, "make the store if there is none")
			f.BoolVar(&l.json, "json", false, "print what was loaded as JSON")
			return l.run
		},
	}
}

type loadFlags struct {
	format, keyspace string
	columns          []string
	batch            int
	create, json     bool
}

// record is what comes next in an input: the options of a keyspace, a block, or an entry.
type record struct {
	stream.Item
	keyspace string // of an entry; "": that of the last Keyspace
	line     int    // of a text, where it begins; 0: it is no text
}

// at adds to an error where in a text its cause is.
func (r *record) at(err error) error {
	if err == nil || r.line == 0 {
		return err
	}
	return fmt.Errorf("line %d: %w", r.line, err)
}

// source is an input. Its end is io.EOF.
type source interface {
	next() (record, error)
	// sorted says that the entries between two keyspaces ascend.
	sorted() bool
}

// loaded is what --json prints.
type loaded struct {
	Entries uint64  `json:"entries"`
	Blocks  uint64  `json:"blocks"`
	Bulk    int     `json:"keyspaces_in_bulk"`
	Seconds float64 `json:"seconds"`
}

func (l *loaded) String() string {
	return cli.Count(int(l.Entries), "entry", "entries") + " and " + cli.Count(int(l.Blocks), "block", "blocks")
}

func (l *loadFlags) run(ctx context.Context, a *cli.App, args []string) (int, error) {
	if l.batch < 1 {
		return cli.ExitUsage, fmt.Errorf("--batch %d: it has to be 1 or more", l.batch)
	}
	c := access{write: true, create: l.create, makes: true, json: l.json}
	if err := c.check(args[0]); err != nil { // before all of the input is read
		return cli.ExitUsage, err
	}
	in, name := a.In, "standard input"
	if len(args) == 1 {
		a.Awaits("JSON lines")
	}
	var file *os.File
	if len(args) == 2 {
		var err error
		if file, err = os.Open(args[1]); err != nil {
			return cli.ExitUsage, err
		}
		defer file.Close()
		in, name = file, args[1]
	}
	buffered := bufio.NewReaderSize(in, 1<<20)
	format, err := l.detect(buffered)
	if err == nil && format == "stream" && file != nil {
		buffered, err = l.checkFirst(a, file, buffered)
	}
	if err != nil {
		return cli.ExitUsage, damagedInput(name, err)
	}
	return c.with(a, args[0], func(db *aegis.DB) (int, error) {
		src, err := l.open(format, buffered)
		if err != nil {
			return cli.ExitUsage, damagedInput(name, err)
		}
		return l.load(ctx, a, db, src, name)
	})
}

// damagedInput makes an error of an input one that names it, and what the exit code follows from.
func damagedInput(name string, err error) error {
	if bad := new(stream.Error); errors.As(err, &bad) {
		return cli.Found{Err: fmt.Errorf("%s: %w", name, err)}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// detect finds out the format.
func (l *loadFlags) detect(r *bufio.Reader) (string, error) {
	switch l.format {
	case "stream":
		return l.format, nil
	case "jsonl", "csv":
		skipMark(r)
		return l.format, nil
	case "auto":
	default:
		return "", fmt.Errorf("--format %s: there are: auto, stream, jsonl, csv", l.format)
	}
	skipMark(r)
	head, err := r.Peek(len(stream.Magic()))
	switch trimmed := bytes.TrimLeft(head, " \t\r\n"); {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return "", errors.New("it is empty")
	case bytes.Equal(head, stream.Magic()):
		return "stream", nil
	case bytes.HasPrefix(trimmed, []byte("{")):
		return "jsonl", nil
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	}
	return "", errors.New("it is neither a stream of aegis dump nor JSON lines: for CSV say --format csv")
}

// skipMark passes over the mark that some programs begin a UTF-8 text with.
func skipMark(r *bufio.Reader) {
	const mark = "\ufeff"
	if head, _ := r.Peek(len(mark)); string(head) == mark {
		_, _ = r.Discard(len(mark)) // it is there
	}
}

// checkFirst reads a stream in a file to its end, and begins again. What cannot be read twice, a pipe
// say, is not checked.
func (l *loadFlags) checkFirst(a *cli.App, file *os.File, buffered *bufio.Reader) (*bufio.Reader, error) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return buffered, err
	}
	tell := cli.NewTeller(a, l.json)
	defer tell.End()
	if _, err := stream.Check(&told{r: buffered, tell: tell, total: info.Size()}); err != nil {
		return nil, fmt.Errorf("%w; nothing was loaded", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	buffered.Reset(file)
	return buffered, nil
}

// told tells how much of an input was read.
type told struct {
	r           io.Reader
	tell        *cli.Teller
	done, total int64
}

func (t *told) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.done += int64(n)
	t.tell.Tell(aegis.Progress{Stage: "check the stream", Done: t.done, Total: t.total, Unit: "bytes"})
	return n, err
}

func (l *loadFlags) open(format string, r *bufio.Reader) (source, error) {
	switch format {
	case "stream":
		s, err := stream.NewReader(r)
		return &streamSource{s}, err
	case "csv":
		return newCSVSource(r, l.keyspace, l.columns)
	}
	return &jsonSource{r: r, keyspace: l.keyspace, most: maxLine}, nil
}

func (l *loadFlags) load(ctx context.Context, a *cli.App, db *aegis.DB, src source, name string) (int, error) {
	tell := cli.NewTeller(a, l.json)
	work := &loading{db: db, src: src, most: l.batch, made: map[string]bool{}, tell: tell}
	err := work.all(ctx)
	took := tell.End()
	sum := loaded{work.entries, work.blocks, work.bulk, took.Seconds()}
	if err != nil {
		if sum.Entries+sum.Blocks > 0 {
			err = fmt.Errorf("%w; loaded before it: %s", err, &sum)
		}
		return cli.ExitUsage, damagedInput(name, err)
	}
	if l.json {
		return cli.ExitClean, cli.WriteJSON(a.Out, sum)
	}
	a.Out.Printf("%s loaded in %v\n", &sum, took.Round(time.Millisecond))
	return cli.ExitClean, nil
}

// loading puts a source into a store.
type loading struct {
	db   *aegis.DB
	src  source
	tell *cli.Teller
	most int             // entries of a batch
	made map[string]bool // keyspaces that are known to be there

	current string // keyspace of entries that name none
	batch   []record
	bytes   int
	ended   error // of the source, found by a bulk load
	ahead   *record

	entries, blocks uint64
	bulk            int
}

// batchBytes bounds the keys and values of a transaction.
const batchBytes = 4 << 20

func (l *loading) all(ctx context.Context) error {
	l.current = aegis.DefaultKeyspaceName
	for {
		r, err := l.next()
		if errors.Is(err, io.EOF) {
			return l.commit(ctx)
		}
		if err != nil {
			return err
		}
		if r.Keyspace != nil {
			if err := l.commit(ctx); err != nil {
				return err
			}
			err = r.at(l.keyspace(ctx, r.Keyspace))
		} else {
			err = l.add(ctx, r)
		}
		if err != nil {
			return err
		}
	}
}

// add puts an entry or a block into the batch.
func (l *loading) add(ctx context.Context, r record) error {
	if r.keyspace == "" {
		r.keyspace = l.current
	}
	l.batch = append(l.batch, r)
	if l.bytes += len(r.Key) + len(r.Value); r.Block != nil {
		l.bytes += len(r.Block.Stored)
	}
	if len(l.batch) < l.most && l.bytes < batchBytes {
		return nil
	}
	return l.commit(ctx)
}

func (l *loading) next() (record, error) {
	if r := l.ahead; r != nil {
		l.ahead = nil
		return *r, nil
	}
	if l.ended != nil {
		return record{}, l.ended
	}
	return l.src.next()
}

// keyspace begins a keyspace: one that is not there is loaded in bulk, if its entries ascend.
func (l *loading) keyspace(ctx context.Context, k *stream.Keyspace) error {
	l.current = k.Name
	if k.Name == aegis.DefaultKeyspaceName || l.made[k.Name] {
		return nil
	}
	there := false
	err := l.db.View(ctx, func(tx *aegis.Tx) error {
		_, err := tx.Keyspace(k.Name)
		if there = err == nil; errors.Is(err, aegis.ErrNotFound) {
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	l.made[k.Name] = true
	o := aegis.KeyspaceOptions{Compression: k.Compression, CompressionLevel: k.CompressionLevel}
	switch {
	case there:
		return nil
	case l.src.sorted():
		return l.bulkLoad(ctx, k.Name, o)
	}
	return l.db.Update(ctx, func(tx *aegis.Tx) error {
		_, err := tx.CreateKeyspace(k.Name, o)
		return err
	})
}

// bulkLoad makes a keyspace of the entries up to the next keyspace. When the source fails, an entry
// that BulkLoad refuses makes it leave nothing behind.
func (l *loading) bulkLoad(ctx context.Context, name string, o aegis.KeyspaceOptions) error {
	result, err := l.db.BulkLoad(ctx, name, o, func(yield func(k, v []byte) bool) {
		for n := int64(0); ; n++ {
			r, err := l.src.next()
			switch {
			case errors.Is(err, io.EOF):
				l.ended = err
				return
			case err != nil:
				l.ended = err
				yield(make([]byte, aegis.MaxKeyBytes+1), nil)
				return
			case r.Keyspace != nil || r.Block != nil:
				l.ahead = &r
				return
			}
			l.tell.Tell(aegis.Progress{Stage: "load " + name + " in bulk", Done: n, Unit: "entries"})
			if !yield(r.Key, r.Value) {
				return
			}
		}
	})
	if l.ended != nil && !errors.Is(l.ended, io.EOF) {
		return l.ended
	}
	if err != nil {
		return err
	}
	l.bulk++
	l.entries += result.Entries
	return nil
}

// commit writes the batch in one transaction.
func (l *loading) commit(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	err := l.db.Update(ctx, func(tx *aegis.Tx) error {
		spaces := map[string]*aegis.Keyspace{}
		for i := range l.batch {
			r := &l.batch[i]
			if err := r.at(r.put(tx, spaces)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range l.batch {
		if r.Block != nil {
			l.blocks++
		} else {
			l.entries++
		}
	}
	l.tell.Tell(aegis.Progress{Stage: "load", Done: int64(l.entries + l.blocks), Unit: "entries"})
	l.batch, l.bytes = l.batch[:0], 0
	return nil
}

// put writes an entry or a block. spaces are the keyspaces that the transaction has found.
func (r *record) put(tx *aegis.Tx, spaces map[string]*aegis.Keyspace) error {
	if r.Block != nil {
		return putBlock(tx, r.Block)
	}
	k := spaces[r.keyspace]
	if k == nil {
		var err error
		if k, err = tx.Keyspace(r.keyspace); errors.Is(err, aegis.ErrNotFound) {
			k, err = tx.CreateKeyspace(r.keyspace, aegis.KeyspaceOptions{})
		}
		if err != nil {
			return err
		}
		spaces[r.keyspace] = k
	}
	if err := k.Put(r.Key, r.Value); err != nil {
		return fmt.Errorf("the key \"%s\": %w", beginning(r.Key), err)
	}
	return nil
}

// putBlock writes a block under its id, unless another block has it.
func putBlock(tx *aegis.Tx, b *stream.Block) error {
	there, err := tx.ReadBlock(b.ID)
	if err != nil && !errors.Is(err, aegis.ErrNotFound) {
		return err
	}
	if copyErr := tx.CopyBlock(b.ID, b.Stored); copyErr != nil || err != nil {
		return copyErr
	}
	loaded, err := tx.ReadBlock(b.ID)
	if err == nil && !bytes.Equal(there.Data(), loaded.Data()) {
		err = fmt.Errorf("the store has another block %d: load into a new store, or dump with --only, without blocks", b.ID)
	}
	return err
}
