package storecmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/pages"
)

func scanCommand() *cli.Command {
	return &cli.Command{
		Name: "scan", Args: "STORE", Least: 1, Most: 1, Short: "print the entries of a range, in order",
		Long: `
A line has a key, a tab and its value; see aegis help notation. What is printed is as of one moment.
--from, --to and --prefix together mean the keys that are within all of them.`,
		Examples: `  aegis scan data
  aegis scan data --prefix user/ --limit 10
  aegis scan data --from 2026-01 --to 2026-02 --reverse
  aegis scan data --keyspace users --count`,
		Begin: func(f *cli.Flags) cli.Work {
			s := &scanner{}
			s.place.declare(f)
			s.json = f.Bool("json", false, "print JSON lines, one an entry")
			f.StringVar(&s.prefix, "prefix", "", "keys that begin with `P`")
			f.StringVar(&s.from, "from", "", "keys from `KEY` on")
			f.StringVar(&s.to, "to", "", "keys below `KEY`")
			f.IntVar(&s.limit, "limit", 0, "end after `N` entries")
			f.BoolVar(&s.reverse, "reverse", false, "print the last key first")
			f.BoolVar(&s.keysOnly, "keys-only", false, "print no values")
			f.BoolVar(&s.count, "count", false, "print how many entries there are, and their bytes, instead of them")
			return s.run
		},
	}
}

type scanner struct {
	place
	prefix, from, to         string
	limit                    int
	reverse, keysOnly, count bool
}

// bounds are the keys lo ≤ key < hi that the flags mean; nil is open.
func (s *scanner) bounds() (lo, hi []byte, err error) {
	prefix, err1 := s.parse(s.prefix)
	from, err2 := s.parse(s.from)
	to, err3 := s.parse(s.to)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, nil, err
	}
	if bytes.Compare(from, prefix) > 0 {
		lo = from
	} else if len(prefix) > 0 {
		lo = prefix
	}
	if len(prefix) > 0 {
		hi = pages.PrefixEnd(prefix)
	}
	if len(to) > 0 && (hi == nil || bytes.Compare(to, hi) < 0) {
		hi = to
	}
	return lo, hi, nil
}

// scanSum is what --count prints.
type scanSum struct {
	Keyspace   string `json:"keyspace"`
	Entries    int64  `json:"entries"`
	KeyBytes   int64  `json:"key_bytes"`
	ValueBytes int64  `json:"value_bytes"`
}

func (s *scanner) run(ctx context.Context, a *cli.App, args []string) (int, error) {
	lo, hi, err := s.bounds()
	if err == nil && s.limit < 0 {
		err = fmt.Errorf("--limit %d: it cannot be negative", s.limit)
	}
	if err != nil {
		return cli.ExitUsage, err
	}
	return access{json: *s.json}.with(a, args[0], func(db *aegis.DB) (int, error) {
		sum := scanSum{Keyspace: s.keyspace}
		out := bufio.NewWriter(a.Out)
		err := view(ctx, db, s.keyspace, func(k *aegis.Keyspace) error {
			all := k.Range(lo, hi)
			if s.reverse {
				all = k.RangeBackward(lo, hi)
			}
			return s.print(ctx, out, all, &sum)
		})
		if flushErr := out.Flush(); err == nil {
			err = flushErr
		}
		switch {
		case err != nil || !s.count:
			return cli.ExitClean, err
		case *s.json:
			return cli.ExitClean, cli.WriteJSON(a.Out, sum)
		}
		a.Out.Printf("%s, %s of keys, %s of values\n", cli.Count(int(sum.Entries), "entry", "entries"), cli.Size(sum.KeyBytes), cli.Size(sum.ValueBytes))
		return cli.ExitClean, nil
	})
}

// print writes entries, and counts them.
func (s *scanner) print(ctx context.Context, out *bufio.Writer, all iter.Seq2[[]byte, []byte], sum *scanSum) error {
	const often = 1024
	var line []byte
	for key, value := range all {
		if s.limit > 0 && sum.Entries == int64(s.limit) {
			return nil
		}
		if sum.Entries%often == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		sum.Entries++
		sum.KeyBytes += int64(len(key))
		sum.ValueBytes += int64(len(value))
		if s.count {
			continue
		}
		var err error
		if line, err = s.entry(line[:0], key, value); err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// entry appends the line of an entry.
func (s *scanner) entry(dst, key, value []byte) ([]byte, error) {
	switch {
	case *s.json && s.keysOnly:
		return appendJSON(dst, s.keyLine(key))
	case *s.json:
		return appendJSON(dst, s.line(key, value))
	case s.keysOnly:
		return append(append(dst, s.show(key)...), '\n'), nil
	}
	dst = append(append(dst, s.show(key)...), '\t')
	return append(append(dst, s.show(value)...), '\n'), nil
}
