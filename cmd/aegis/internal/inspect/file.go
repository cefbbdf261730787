package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/walwriter"
)

// Options say how much is told.
type Options struct {
	// Entries tells each write of a record, and each entry of a leaf. Default: false.
	Entries bool
	// Values tells how the values of entries begin, too: at most 256 bytes of each. Default: false.
	Values bool
}

// maxShown is how much of a value is told, in bytes.
const maxShown = 256

// Mark is the file that says that a store is being put together in a directory.
const Mark = "RESTORE-UNFINISHED"

const markText = "a restore or checkpoint into this directory has not ended: run it again"

// Kind is what a file is, by its name or, if that says nothing, by how it begins: "checkpoint", "table",
// "log", "mark" or, for what is no file of a store, "".
func Kind(name string, head []byte) string {
	_, table := pages.ParseTableName(name)
	_, checkpoint := flusher.ParseCheckpointName(name)
	switch {
	case name == Mark:
		return "mark"
	case checkpoint || bytes.HasPrefix(head, []byte("AEGISCKP")):
		return "checkpoint"
	case walwriter.IsLogName(name) || bytes.HasPrefix(head, []byte("AEGISWAL")):
		return "log"
	case table || bytes.HasPrefix(head, []byte("AEPg")):
		return "table"
	}
	return ""
}

// File tells what is in a file of size bytes called name. An error is one of reading, or of ctx: what
// is wrong with the bytes is an Item.
func File(ctx context.Context, f io.ReaderAt, size int64, name string, o Options, emit func(Item)) error {
	head := make([]byte, min(size, 8))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch Kind(name, head) {
	case "checkpoint":
		return checkpointFile(f, size, name, emit)
	case "log":
		_, err := logFile(f, size, o, emit)
		return err
	case "table":
		return tableFile(ctx, f, size, o, emit)
	case "mark":
		emit(Item{Kind: "mark", Fields: []Field{{"what", markText}}})
		return nil
	}
	return fmt.Errorf("%s is no file of a store: it is called neither checkpoint-…, table-… nor wal-…, and does not begin like one", name)
}

// maxCheckpoint bounds the checkpoints that are read whole, in bytes.
const maxCheckpoint = 1 << 30

// readCheckpoint reads a file whole.
func readCheckpoint(f io.ReaderAt, size int64, name string) ([]byte, error) {
	if size > maxCheckpoint {
		return nil, &pages.CorruptionError{File: name, What: fmt.Sprintf("%d bytes are no checkpoint", size)}
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

func loadCheckpoint(f io.ReaderAt, size int64, name string) (*flusher.Checkpoint, error) {
	b, err := readCheckpoint(f, size, name)
	if err != nil {
		return nil, err
	}
	return flusher.DecodeCheckpoint(b, name)
}

// checkpointFile tells what a checkpoint says. Of a damaged one it tells what its bytes seem to say.
func checkpointFile(f io.ReaderAt, size int64, name string, emit func(Item)) error {
	b, err := readCheckpoint(f, size, name)
	var c *flusher.Checkpoint
	if err == nil {
		c, err = flusher.DecodeCheckpoint(b, name)
	}
	var bad *pages.CorruptionError
	switch {
	case err == nil:
		checkpointItems(c, emit)
		return nil
	case !errors.As(err, &bad):
		return err
	}
	c, at, why := flusher.GuessCheckpoint(b)
	if c == nil {
		emit(damage(bad.Offset, bad.What+"; nothing of this copy can be believed, there may be another one"))
		return nil
	}
	emit(damage(bad.Offset, bad.What+"; what follows is what the bytes seem to say, there may be a sound copy"))
	checkpointItems(c, func(i Item) {
		i.Unproven = true
		emit(i)
	})
	if why != nil {
		emit(damage(int64(at), fmt.Sprintf("from here on the bytes make no sense: %v", why)))
	}
	return nil
}

func checkpointItems(c *flusher.Checkpoint, emit func(Item)) {
	emit(Item{Kind: "checkpoint", Fields: []Field{
		{"number", c.Number}, {"epoch", c.Epoch}, {"commits_up_to", uint64(c.Freeze)}, {"next_file", uint64(c.NextFile)},
		{"clean", c.Clean}, {"log", c.Log}, {"runs", len(c.Runs)},
	}})
	for _, k := range c.Keyspaces {
		emit(Item{Kind: "keyspace", Fields: []Field{{"number", uint32(k.ID)}, {"compression", k.Codec.Compression.String()}, {"level", k.Codec.Level}}})
	}
	for _, d := range c.Dropped {
		emit(Item{Kind: "dropped", Fields: []Field{{"number", uint32(d.Keyspace)}, {"commit", uint64(d.Seq)}}})
	}
	for _, r := range c.Runs {
		emit(Item{Kind: "run", Fields: []Field{
			{"tier", tierText(r.Tier)}, {"commits_from", uint64(r.SeqLo)}, {"to", uint64(r.SeqHi)}, {"tables", len(r.Tables)},
		}})
		for i := range r.Tables {
			t := tableItem(&r.Tables[i])
			t.Inner = true
			emit(t)
		}
	}
}

func tableItem(m *pages.TableMeta) Item {
	return Item{Kind: "table", Fields: []Field{
		{"file", pages.TableName(m.ID)}, {"bytes", m.Size}, {"entries", m.Entries}, {"tombstones", m.Tombstones}, {"tier", tierText(m.Tier)},
		{"commits_from", uint64(m.SeqLo)}, {"to", uint64(m.SeqHi)}, {"first", Key(m.Min)}, {"last", Key(m.Max)},
	}}
}

func tableFile(ctx context.Context, f io.ReaderAt, size int64, o Options, emit func(Item)) error {
	m, err := pages.ReadTableMeta(f, size, "")
	var bad *pages.CorruptionError
	switch {
	case err == nil:
		emit(tableItem(&m))
	case !errors.As(err, &bad):
		return err
	}
	return pages.DescribeTable(ctx, f, size, func(p pages.PageInfo) {
		fields := []Field{{"what", p.Kind}}
		if p.Kind == "inner" {
			fields = append(fields, Field{"level", p.Level})
		}
		fields = append(fields, Field{"bytes", p.Length}, Field{"raw", p.RawBytes}, Field{"compression", p.Compression.String()}, Field{"count", p.Count})
		if p.First != nil {
			fields = append(fields, Field{"first", Key(p.First)}, Field{"last", Key(p.Last)})
		}
		emit(Item{Kind: "page", Offset: p.Offset, Fields: fields})
		for i := range p.Len() {
			if !o.Entries {
				break
			}
			key, value, kind := p.Entry(i)
			emit(entryItem(p.Offset, key, value, kind, o))
		}
	}, func(off int64, what string) { emit(damage(off, what)) })
}

func entryItem(off int64, key, value []byte, kind pages.Kind, o Options) Item {
	item := Item{Kind: "put", Offset: off, Inner: true, Fields: []Field{{"key", Key(key)}}}
	if kind == pages.KindTombstone {
		item.Kind = "delete"
		return item
	}
	item.Fields = append(item.Fields, Field{"value_bytes", len(value)})
	if o.Values {
		item.Fields = append(item.Fields, Field{"value", value[:min(len(value), maxShown)]})
	}
	return item
}

// logSum is what a log file comes to.
type logSum struct {
	walwriter.LogEnd
	segment walwriter.SegmentInfo
	records int
}

func logFile(f io.ReaderAt, size int64, o Options, emit func(Item)) (logSum, error) {
	var sum logSum
	end, err := walwriter.Describe(f, size, walwriter.Description{
		Segment: func(s walwriter.SegmentInfo) {
			sum.segment = s
			emit(Item{Kind: "segment", Fields: []Field{
				{"number", s.Number}, {"epoch", s.Epoch}, {"first_commit", uint64(s.Base)}, {"synced_through", uint64(s.SyncedThrough)},
				{"bytes", s.Size}, {"whole_headers", s.Copies},
			}})
		},
		Group: func(g walwriter.GroupInfo) {
			emit(Item{Kind: "group", Offset: g.Offset, Fields: []Field{{"bytes", g.BodyBytes}, {"synced_through", uint64(g.SyncedThrough)}}})
		},
		Record: func(r walwriter.RecordInfo) {
			sum.records++
			recordItems(r, o, emit)
		},
		Damage: func(off int64, what string) { emit(damage(off, what)) },
	})
	if err != nil {
		return sum, err
	}
	sum.LogEnd = end
	emit(Item{Kind: "end", Offset: end.Offset, Fields: []Field{
		{"groups", end.Groups}, {"records", sum.records}, {"unused_bytes", max(0, end.Size-end.Offset)},
	}})
	return sum, nil
}

func recordItems(r walwriter.RecordInfo, o Options, emit func(Item)) {
	ops, err := messages.DecodeBatch(r.Batch, nil)
	if len(r.Batch) > math.MaxInt32 {
		ops = nil
	}
	emit(Item{Kind: "record", Offset: r.Offset, Inner: true, Fields: []Field{
		{"commit", uint64(r.Seq)}, {"writes", len(ops)}, {"bytes", len(r.Batch)}, {"stored", r.StoredBytes}, {"compression", r.Compression},
	}})
	for i := range ops {
		if !o.Entries {
			break
		}
		emit(entryItem(r.Offset, ops[i].Key(r.Batch), ops[i].Value(r.Batch), ops[i].Kind, o))
	}
	if err != nil {
		emit(damage(r.Offset, err.Error()))
	}
}
