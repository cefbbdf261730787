package pages_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/pages"
)

// file is a table file in memory.
type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// A table is built once, from ascending keys, and read through runs and their cursors.
func Example() {
	var medium bytes.Buffer
	b := pages.NewBuilder(&medium, pages.TableOptions{ID: 1, SeqLo: 1, SeqHi: 3})
	b.SetCodec(pages.Codec{Compression: pages.LZ4})
	key := func(s string) []byte { return pages.AppendKey(nil, pages.DefaultKeyspace, []byte(s)) }
	for _, e := range []struct {
		key, value string
		kind       pages.Kind
	}{
		{"ant", "small", pages.KindValue},
		{"bee", "", pages.KindTombstone},
		{"cat", "", pages.KindValue},
	} {
		if err := b.Add(key(e.key), []byte(e.value), e.kind); err != nil {
			fmt.Println(err)
			return
		}
	}
	meta, err := b.Finish()
	if err != nil {
		fmt.Println(err)
		return
	}

	open := func() (pages.File, error) { return file{bytes.NewReader(medium.Bytes())}, nil }
	table := pages.NewTable(meta, open, pages.NewCache(nil, nil))
	run := (&pages.Run{SeqLo: 1, SeqHi: 3, Tables: []*pages.Table{table}}).Seal()

	ctx := context.Background()
	value, _, ok, err := run.Get(ctx, key("ant"), pages.Hash(key("ant")))
	fmt.Printf("%s %v %v\n", value, ok, err)

	c := run.NewCursor(pages.CursorOptions{Lo: key("b")})
	for ok := c.First(ctx); ok; ok = c.Next(ctx) {
		_, user, _ := pages.SplitKey(c.Key())
		fmt.Printf("%s tombstone=%v\n", user, c.Kind() == pages.KindTombstone)
	}
	fmt.Println(c.Err())
	// Output:
	// small true <nil>
	// bee tombstone=true
	// cat tombstone=false
	// <nil>
}

// The meta of a table can be had from its own file, when nothing else is left.
func ExampleReadTableMeta() {
	var medium bytes.Buffer
	b := pages.NewBuilder(&medium, pages.TableOptions{ID: 7, SeqLo: 10, SeqHi: 20, Tier: 1})
	if err := b.Add([]byte("\x02key"), []byte("value"), pages.KindValue); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Finish(); err != nil {
		fmt.Println(err)
		return
	}
	var f io.ReaderAt = bytes.NewReader(medium.Bytes())
	m, err := pages.ReadTableMeta(f, int64(medium.Len()), pages.TableName(7))
	fmt.Println(pages.TableName(m.ID), m.Entries, m.SeqLo, m.SeqHi, err)
	// Output: table-0000000000000007 1 10 20 <nil>
}
