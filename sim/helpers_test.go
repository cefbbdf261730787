package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
)

// fakeT is a T that goes on after Fatalf.
type fakeT struct {
	name  string
	logs  []string
	fatal []string
}

func (t *fakeT) Helper() {}

func (t *fakeT) Name() string { return t.name }

func (t *fakeT) Logf(format string, args ...any) {
	t.logs = append(t.logs, fmt.Sprintf(format, args...))
}

func (t *fakeT) Fatalf(format string, args ...any) {
	t.fatal = append(t.fatal, fmt.Sprintf(format, args...))
}

// counter is three clients that count up, each its own key. With noSync they take a commit for
// durable that is not.
func counter(noSync bool) Subject {
	return func() func(*Life) {
		acked := map[string]byte{}
		return func(l *Life) {
			db, err := aegis.Open("", l.Options())
			l.Must(err)
			l.AtClose(db.Close)
			audit(l, db, acked)
			for _, name := range []string{"a", "b", "c"} {
				l.Go(name, func(c *Client) {
					for c.Next() {
						acked[name] = increment(c, db, noSync)
					}
				})
			}
		}
	}
}

func audit(l *Life, db *aegis.DB, acked map[string]byte) {
	for _, k := range []string{"a", "b", "c"} {
		got, err := db.Get(l.Context(), []byte(k))
		if errors.Is(err, aegis.ErrNotFound) {
			got = []byte{0}
		} else {
			l.Must(err)
		}
		if got[0] < acked[k] {
			l.Failf("%s is %d, %d was acknowledged", k, got[0], acked[k])
		}
	}
}

func increment(c *Client, db *aegis.DB, noSync bool) (n byte) {
	c.Does("count")
	o := aegis.TxOptions{Durability: aegis.WithDurability(aegis.Sync)}
	if noSync {
		o.Durability = aegis.WithDurability(aegis.NoSync)
	}
	err := db.UpdateWith(context.Background(), o, func(tx *aegis.Tx) error {
		n = 1
		if v, err := tx.Get([]byte(c.Name())); err == nil {
			n = v[0] + 1
		}
		return tx.Put([]byte(c.Name()), []byte{n})
	})
	c.Must(err)
	c.Did("%d", n)
	return n
}

// every makes a subject of a function that is called for each life.
func every(live func(*Life)) Subject { return func() func(*Life) { return live } }

// client makes a subject of a function that one client runs in each life.
func client(f func(*Client)) Subject {
	return every(func(l *Life) { l.Go("client", f) })
}

// run executes a plan.
func execute1(t *testing.T, plan Plan, subject Subject, mode Mode) *Result {
	t.Helper()
	res, err := Execute(plan, subject, mode)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// fails runs a plan and wants a failure of one check, whose text has these pieces.
func fails(t *testing.T, plan Plan, subject Subject, check string, pieces ...string) *Result {
	t.Helper()
	res := execute1(t, plan, subject, Fast)
	wants(t, res, check, pieces...)
	return res
}

func wants(t *testing.T, res *Result, check string, pieces ...string) {
	t.Helper()
	if res.Failure == nil || res.Failure.Check != check {
		t.Fatalf("failure %v, want one of the check %q", res.Failure, check)
	}
	for _, piece := range pieces {
		if !strings.Contains(res.Failure.Text, piece) {
			t.Errorf("%s\nwant it to contain %q", res.Failure.Text, piece)
		}
	}
}

// holds runs a plan and wants no failure.
func holds(t *testing.T, plan Plan, subject Subject) *Result {
	t.Helper()
	res := execute1(t, plan, subject, Fast)
	if res.Failure != nil {
		t.Fatalf("life %d: %v", res.Failure.Life, res.Failure)
	}
	return res
}
