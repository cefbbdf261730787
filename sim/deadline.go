package sim

import (
	"context"
	"time"

	"github.com/aegis-storage/aegis/sim/world"
)

// deadline is a context that ends by the world's clock. It is for tasks, which run one at a time.
// Contexts made from it by package context end with it, and start no goroutine for that.
type deadline struct {
	at    time.Time
	done  chan struct{}
	err   error
	after []func()
}

func newDeadline(w *world.World, d time.Duration) (*deadline, context.CancelFunc) {
	c := &deadline{at: w.Now().Add(d), done: make(chan struct{})}
	stop := w.After(d, func() { c.end(context.DeadlineExceeded) })
	return c, func() { stop(); c.end(context.Canceled) }
}

func (c *deadline) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	for _, f := range c.after {
		if f != nil {
			f()
		}
	}
}

func (c *deadline) Deadline() (time.Time, bool) { return c.at, true }

func (c *deadline) Done() <-chan struct{} { return c.done }

func (c *deadline) Err() error { return c.err }

func (c *deadline) Value(any) any { return nil }

// AfterFunc is what package context looks for in a context of another make, to have its own end
// with it. f is short and does not wait.
func (c *deadline) AfterFunc(f func()) (stop func() bool) {
	i := len(c.after)
	c.after = append(c.after, f)
	return func() bool {
		waits := c.err == nil && c.after[i] != nil
		c.after[i] = nil
		return waits
	}
}
