package actors

import (
	"fmt"

	"github.com/aegis-storage/aegis/messages"
)

// The deliveries: every effect of an outbox, in its order, with a yield after each so that the
// simulator can let others in between two of them.

func (g *Graph) stepTxcoord(batch []messages.ToTxcoord) error {
	if err := g.machines.Txcoord.Step(batch, &g.txOut); err != nil {
		return err
	}
	g.deliverTxcoord()
	return nil
}

func (g *Graph) deliverTxcoord() {
	out := &g.txOut
	for _, m := range out.Walwriter {
		if a, ok := m.(messages.Append); ok {
			g.gathering.queued.Add(int64(a.Count))
		}
		g.wal.send(m)
		g.effect()
	}
	if len(out.Walwriter) > 0 && !g.tx.inline {
		g.wal.wakeUp()
	}
	for _, m := range out.Flusher {
		g.flush.send(m)
		g.flush.wakeUp()
		g.effect()
	}
	for _, m := range out.Evictor {
		g.tellEvictor(m)
		g.effect()
	}
	if out.View != nil {
		g.pub.View.Store(out.View)
		g.effect()
	}
	raise(&g.pub.Applied, out.Applied)
	g.effect()
	raise(&g.pub.Visible, out.Visible)
	g.effect()
	raise(&g.pub.Durable, out.Durable)
	g.effect()
	g.holdClients(out.Held)
	for _, r := range out.Commits {
		r.To.Resolve(r.Result)
		g.effect()
	}
	for _, r := range out.Replies {
		r.To.Resolve(r.Err)
		g.effect()
	}
	for _, r := range out.Stats {
		r.To.Resolve(r.Stats)
	}
	g.tx.setAlarm(out.Alarm)
	out.Reset()
}

// holdClients keeps clients that commit outside while many commits are held back, until half of
// those have gone.
func (g *Graph) holdClients(held int) {
	switch {
	case g.admit == nil && held >= g.inbox:
		closed := make(chan struct{})
		var wait <-chan struct{} = closed
		g.admit = func() { close(closed) }
		g.held.Store(&wait)
	case g.admit != nil && held <= g.inbox/2:
		g.held.Store(nil)
		g.admit()
		g.admit = nil
	}
}

// tellEvictor coalesces what flows to the evictor.
func (g *Graph) tellEvictor(m messages.ToEvictor) {
	switch m := m.(type) {
	case messages.IndexBytes:
		g.news.index.Store(m.Bytes)
	case messages.TablesRetired:
		g.news.retired.Store(true)
	default:
		g.evict.send(m)
	}
	g.evict.wakeUp()
}

func (g *Graph) stepWalwriter(batch []messages.ToWalwriter) error {
	commits, synced := g.gathering.drained(batch)
	if err := g.machines.Walwriter.Step(batch, &g.walOut); err != nil {
		return err
	}
	if synced {
		g.gathering.written(commits)
	}
	g.deliverWalwriter()
	return nil
}

func (g *Graph) deliverWalwriter() {
	out := &g.walOut
	for _, m := range out.Txcoord {
		g.tx.send(m)
		g.effect()
	}
	if len(out.Txcoord) > 0 && !g.wal.inline {
		g.tx.wakeUp()
	}
	for _, j := range out.Jobs {
		g.job(fmt.Sprintf("%T", j), j.Run, func(err error) {
			g.wal.send(messages.WalJobDone{Job: j, Err: err})
			g.wal.wakeUp()
		})
		g.effect()
	}
	for _, r := range out.Stats {
		r.To.Resolve(r.Stats)
	}
	g.wal.setAlarm(out.Alarm)
	out.Reset()
}

func (g *Graph) stepFlusher(batch []messages.ToFlusher) error {
	if err := g.machines.Flusher.Step(batch, &g.flushOut); err != nil {
		return err
	}
	g.deliverFlusher()
	return nil
}

func (g *Graph) deliverFlusher() {
	out := &g.flushOut
	for _, m := range out.Txcoord {
		g.tx.send(m)
		g.effect()
	}
	if len(out.Txcoord) > 0 {
		g.tx.wakeUp()
	}
	for _, m := range out.Walwriter {
		if g.wal == nil {
			continue
		}
		g.wal.send(m)
		g.wal.wakeUp()
		g.effect()
	}
	for _, m := range out.Evictor {
		g.tellEvictor(m)
		g.effect()
	}
	for _, j := range out.Jobs {
		g.job(fmt.Sprintf("%T", j), j.Run, func(err error) {
			g.flush.send(messages.FlusherJobDone{Job: j, Err: err})
			g.flush.wakeUp()
		})
		g.effect()
	}
	for _, r := range out.Replies {
		r.To.Resolve(r.Err)
		g.effect()
	}
	for _, r := range out.Stats {
		r.To.Resolve(r.Stats)
	}
	g.flush.setAlarm(out.Alarm)
	out.Reset()
}

func (g *Graph) stepEvictor(batch []messages.ToEvictor) error {
	if err := g.machines.Evictor.Step(batch, &g.evictOut); err != nil {
		return err
	}
	for _, r := range g.evictOut.Stats {
		r.To.Resolve(r.Stats)
	}
	g.evict.setAlarm(g.evictOut.Alarm)
	g.evictOut.Reset()
	return nil
}

// effect is the yield point between two effects of a Turn.
func (g *Graph) effect() { g.rt.Park(background, nil) }

// pace slows a job while commits wait, so that they find a processor.
func (g *Graph) pace() {
	if g.tx != nil && g.tx.Pending() {
		g.rt.Yield()
	}
}
