package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/messages"
)

var background = context.Background()

// ErrOutcomeUnknown: the context ended after the commit was handed over. It may or may not be
// applied; when it is, it is whole.
var ErrOutcomeUnknown = fmt.Errorf("aegis: the outcome of the commit is not known")

// Commit hands a transaction over and waits for its answer. Before it is enqueued a context
// that ends cancels it (the context's error); after that the outcome is ErrOutcomeUnknown
// wrapped with the context's error, and c must not be used again (abandoned is true).
func (g *Graph) Commit(ctx context.Context, c *messages.Commit) (r messages.CommitResult, abandoned bool) {
	if err := g.enqueue(ctx, c, c.Durability == messages.Sync && patient(ctx)); err != nil {
		return messages.CommitResult{Err: err}, false
	}
	return g.AwaitCommit(ctx, c)
}

// Enqueue hands a transaction over without waiting for its answer. It waits for admission while
// the coordinator holds an inbox full of commits back, so that what nobody waits for is bounded
// too.
func (g *Graph) Enqueue(ctx context.Context, c *messages.Commit) error {
	return g.enqueue(ctx, c, false)
}

// patient: a client that may have to return early cannot take the turn in which the log is synced.
func patient(ctx context.Context) bool { return ctx.Done() == nil }

// enqueue is Enqueue; through says that the client may take the log writer's turn.
func (g *Graph) enqueue(ctx context.Context, c *messages.Commit, through bool) error {
	if held := g.held.Load(); held != nil {
		g.rt.Wait(ctx, txcoordName, "fewer commits that are held back", func() bool { return isClosed(*held) || g.failedErr.Load() != nil })
		if err := g.wait(ctx, *held); err != nil {
			return err
		}
	}
	if err := enter[messages.ToTxcoord](ctx, g, g.tx, c); err != nil {
		return err
	}
	g.drive(c.Reply.Ready, through)
	return nil
}

// AwaitCommit waits for the answer of a transaction that was handed over.
func (g *Graph) AwaitCommit(ctx context.Context, c *messages.Commit) (r messages.CommitResult, abandoned bool) {
	r, err := await(ctx, g, txcoordName, "the answer to its Commit", c.Reply)
	switch {
	case err == nil:
		return r, false
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return messages.CommitResult{Err: err}, true
}

// Await waits until durable reaches upTo.
func (g *Graph) Await(ctx context.Context, a *messages.Await) error {
	if err := enter[messages.ToTxcoord](ctx, g, g.tx, a); err != nil {
		return err
	}
	g.drive(a.Reply.Ready, patient(ctx))
	return flatten(await(ctx, g, txcoordName, "the answer to its Await", a.Reply))
}

// Checkpoint waits until everything applied is flushed.
func (g *Graph) Checkpoint(ctx context.Context, c *messages.Checkpoint) error {
	if err := enter[messages.ToTxcoord](ctx, g, g.tx, c); err != nil {
		return err
	}
	g.tx.wakeUp()
	return flatten(await(ctx, g, txcoordName, "the answer to its Checkpoint", c.Reply))
}

// Compact waits until one run is left.
func (g *Graph) Compact(ctx context.Context, c *messages.Compact) error {
	if err := enter[messages.ToFlusher](ctx, g, g.flush, c); err != nil {
		return err
	}
	g.flush.wakeUp()
	return flatten(await(ctx, g, flusherName, "the answer to its Compact", c.Reply))
}

// Ingest waits until a checkpoint names the tables.
func (g *Graph) Ingest(ctx context.Context, i *messages.Ingest) error {
	if err := enter[messages.ToFlusher](ctx, g, g.flush, i); err != nil {
		return err
	}
	g.flush.wakeUp()
	return flatten(await(ctx, g, flusherName, "the answer to its Ingest", i.Reply))
}

// Hold has the flusher keep the published checkpoint, see messages.Hold, until unhold is called, which
// must be done once if there is no error. Unhold's argument is whether the flusher undoes the pins of the
// tables.
func (g *Graph) Hold(ctx context.Context) (held messages.Held, unhold func(unpin bool), err error) {
	h := &messages.Hold{Reply: messages.NewReply[messages.Held]()}
	if err := enter[messages.ToFlusher](ctx, g, g.flush, h); err != nil {
		return held, nil, err
	}
	g.flush.wakeUp()
	unhold = func(unpin bool) {
		if enter[messages.ToFlusher](background, g, g.flush, messages.Unhold{Hold: h, Unpin: unpin}) == nil {
			g.flush.wakeUp()
		}
	}
	if held, err = await(ctx, g, flusherName, "the answer to its Hold", h.Reply); err != nil {
		unhold(true)
		return held, nil, err
	}
	return held, unhold, nil
}

// Stats are the figures of all machines.
type Stats struct {
	Txcoord   messages.TxcoordStats
	Walwriter messages.WalStats
	Flusher   messages.FlusherStats
	Evictor   messages.EvictorStats
}

// Stats asks every machine in turn; those that are not there leave their figures zero.
func (g *Graph) Stats(ctx context.Context) (s Stats, err error) {
	if g.tx != nil {
		r := &messages.TxcoordStatsRequest{Reply: messages.NewReply[messages.TxcoordStats]()}
		if s.Txcoord, err = ask[messages.ToTxcoord](ctx, g, g.tx, r, r.Reply); err != nil {
			return s, err
		}
	}
	if g.flush != nil {
		r := &messages.FlusherStatsRequest{Reply: messages.NewReply[messages.FlusherStats]()}
		if s.Flusher, err = ask[messages.ToFlusher](ctx, g, g.flush, r, r.Reply); err != nil {
			return s, err
		}
	}
	if g.wal != nil {
		r := &messages.WalStatsRequest{Reply: messages.NewReply[messages.WalStats]()}
		if s.Walwriter, err = ask[messages.ToWalwriter](ctx, g, g.wal, r, r.Reply); err != nil {
			return s, err
		}
	}
	r := &messages.EvictorStatsRequest{Reply: messages.NewReply[messages.EvictorStats]()}
	s.Evictor, err = ask[messages.ToEvictor](ctx, g, g.evict, r, r.Reply)
	return s, err
}

func ask[M messages.Message, T any](ctx context.Context, g *Graph, a *actor[M], m M, r messages.Reply[T]) (T, error) {
	if err := enter(ctx, g, a, m); err != nil {
		var zero T
		return zero, err
	}
	a.wakeUp()
	return await(ctx, g, a.name, "its figures", r)
}

// WaitRoom is what a client waits for before it can send, see Runtime.Wait.
const WaitRoom = "room in its mailbox"

// enter puts a client's request into a mailbox, waiting for admission where it is full.
func enter[M messages.Message](ctx context.Context, g *Graph, a *actor[M], m M) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.offer(m) {
		g.rt.Effect("", a.name, m)
		return nil
	}
	g.rt.Wait(ctx, a.name, WaitRoom, func() bool { return len(a.outer) < cap(a.outer) || g.failedErr.Load() != nil })
	// A select with several cases ready draws one at random. Here and below they are asked one by
	// one before, so that a run of the simulator can be repeated.
	if a.offer(m) {
		g.rt.Effect("", a.name, m)
		return nil
	}
	if failed := g.failedErr.Load(); failed != nil {
		return *failed
	}
	select {
	case a.outer <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.failed:
		return *g.failedErr.Load()
	}
}

// wait returns nil once ready is closed.
func (g *Graph) wait(ctx context.Context, ready <-chan struct{}) error {
	if isClosed(ready) {
		return nil
	}
	if failed := g.failedErr.Load(); failed != nil {
		return *failed
	}
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.failed:
		return *g.failedErr.Load()
	}
}

// await waits for a one-shot answer, what, of the actor on.
func await[T any](ctx context.Context, g *Graph, on, what string, r messages.Reply[T]) (v T, err error) {
	if r.Ready() {
		return <-r.Done(), nil
	}
	g.rt.Wait(ctx, on, what, func() bool { return r.Ready() || g.failedErr.Load() != nil })
	if r.Ready() {
		return <-r.Done(), nil
	}
	if failed := g.failedErr.Load(); failed != nil {
		return v, *failed
	}
	select {
	case v = <-r.Done():
		return v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	case <-g.failed:
		return v, *g.failedErr.Load()
	}
}

func flatten(answer, err error) error {
	if err != nil {
		return err
	}
	return answer
}

// drive takes the Turns of idle actors on the client's own goroutine, so that a client that
// finds nobody else at work commits without a wake-up. It goes as far as its own answer needs
// (through says that a sync is waited for) and leaves the rest to the actors.
func (g *Graph) drive(ready func() bool, through bool) {
	if !g.rt.Inline() {
		g.tx.wakeUp()
		return
	}
	g.tx.turn(0, true)
	if ready() {
		g.passOn()
		return
	}
	if through && g.wal != nil && g.wal.Pending() {
		g.wal.turn(0, true)
		g.tx.turn(0, true)
	}
	g.passOn()
}

// passOn wakes the log writer if Turns on this goroutine left it something to do.
func (g *Graph) passOn() {
	if g.wal != nil && g.wal.Pending() {
		g.wal.wakeUp()
	}
}
