package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/sim/trace"
)

// Client is one concurrent user of the store. It is for the function that Life.Go was given.
type Client struct {
	life *Life
	name string
	op   int
	what string
}

// Next begins the client's next operation, or answers false when it has done enough. A shrinking
// run leaves single operations out, so each should stand for itself.
func (c *Client) Next() bool {
	c.end("")
	r := c.life.run
	if c.life.last || r.end.Idle {
		return false
	}
	for c.op < r.drawn.ops {
		c.op++
		key := r.world.BeginOp(c.op)
		if r.plan.Ops != nil && !r.plan.Ops[key] {
			continue
		}
		r.ops = append(r.ops, key)
		return true
	}
	return false
}

// Op is the number of the present operation, from 1.
func (c *Client) Op() int { return c.op }

// Name is the one given to Life.Go.
func (c *Client) Name() string { return c.name }

// Life is the one that the client lives in.
func (c *Client) Life() *Life { return c.life }

// Intn returns a number in [0, n). The same operation draws the same numbers, whatever happened
// before it.
func (c *Client) Intn(n int) int { return c.life.run.world.Draw(n) }

// Context returns a context that never ends.
func (c *Client) Context() context.Context { return context.Background() }

// WithTimeout is like context.WithTimeout, by the world's clock: so is the context's deadline.
func (c *Client) WithTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return newDeadline(c.life.run.world, d)
}

// Now is Life.Now.
func (c *Client) Now() time.Time { return c.life.Now() }

// Sleep lets virtual time go by.
func (c *Client) Sleep(d time.Duration) { c.life.run.world.Sleep(d) }

// Yield lets others run here.
func (c *Client) Yield() { c.life.run.world.Park(context.Background(), nil) }

// Must is Life.Must.
func (c *Client) Must(err error) { c.life.Must(err) }

// Excuse is Life.Excuse.
func (c *Client) Excuse(err error) { c.life.Excuse(err) }

// Failf is Life.Failf.
func (c *Client) Failf(format string, args ...any) { c.life.Failf(format, args...) }

// Logf adds a remark to the trace.
func (c *Client) Logf(format string, args ...any) { c.life.Logf(format, args...) }

// Does tells the trace what the present operation is; Did how it ended.
func (c *Client) Does(format string, args ...any) {
	if c.life.run.world.Words() {
		c.what = fmt.Sprintf(format, args...)
		c.life.run.note(trace.Op, "begin "+c.what)
	}
}

// Did tells the trace how the present operation ended.
func (c *Client) Did(format string, args ...any) {
	if c.life.run.world.Words() {
		c.end(fmt.Sprintf(format, args...))
	}
}

// begin is called on the client's own task.
func (c *Client) begin() { c.life.run.world.BeginOp(0) }

func (c *Client) end(how string) {
	if how != "" {
		c.life.run.note(trace.Op, "end "+c.what+": "+how)
	}
	c.what = ""
}
