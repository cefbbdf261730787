package actors

import (
	"sync/atomic"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// The names of the actors, and of whoever they answer.
const (
	txcoordName   = "txcoord"
	walwriterName = "walwriter"
	flusherName   = "flusher"
	evictorName   = "evictor"
	clientName    = "client"
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
		g.effect(txcoordName, walwriterName, m)
	}
	if len(out.Walwriter) > 0 && !g.tx.inline {
		g.wal.wakeUp()
	}
	for _, m := range out.Flusher {
		g.flush.send(m)
		g.flush.wakeUp()
		g.effect(txcoordName, flusherName, m)
	}
	for _, m := range out.Evictor {
		g.tellEvictor(m)
		g.effect(txcoordName, evictorName, m)
	}
	if out.View != nil {
		g.pub.View.Store(out.View)
		g.effect(txcoordName, "", out.View)
	}
	g.publish(&g.pub.Applied, &g.marks.Applied, out.Applied)
	g.publish(&g.pub.Visible, &g.marks.Visible, out.Visible)
	g.publish(&g.pub.Durable, &g.marks.Durable, out.Durable)
	g.holdClients(out.Held)
	g.watchStall(out.Held, out.HeldFor)
	for i := range out.Ended {
		g.observer.SnapshotEnded(out.Ended[i])
	}
	for i := range out.Commits {
		r := &out.Commits[i]
		r.To.Resolve(r.Result)
		g.effect(txcoordName, clientName, r)
	}
	g.answer(txcoordName, out.Replies)
	for _, r := range out.Stats {
		r.To.Resolve(r.Stats)
	}
	g.tx.setAlarm(out.Alarm)
	out.Reset()
}

// answer resolves what clients wait for.
func (g *Graph) answer(from string, replies []messages.ErrorReply) {
	for i := range replies {
		r := &replies[i]
		r.To.Resolve(r.Err)
		g.effect(from, clientName, r)
	}
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
	if err := g.stepLog(batch, commits, synced); err != nil {
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
		g.tellObserver(m)
		g.tx.send(m)
		g.effect(walwriterName, txcoordName, m)
	}
	if len(out.Txcoord) > 0 && !g.wal.inline {
		g.tx.wakeUp()
	}
	for _, j := range out.Jobs {
		g.job(j, func(err error) {
			g.wal.send(messages.WalJobDone{Job: j, Err: err})
			g.wal.wakeUp()
		})
		g.yieldTurn()
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
		g.effect(flusherName, txcoordName, m)
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
		g.effect(flusherName, walwriterName, m)
	}
	for _, m := range out.Evictor {
		g.tellEvictor(m)
		g.effect(flusherName, evictorName, m)
	}
	for _, j := range out.Jobs {
		g.job(j, func(err error) {
			g.flush.send(messages.FlusherJobDone{Job: j, Err: err})
			g.flush.wakeUp()
		})
		g.yieldTurn()
	}
	g.answer(flusherName, out.Replies)
	for _, r := range out.Holds {
		r.To.Resolve(r.Held)
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

// publish stores a watermark if it rises.
func (g *Graph) publish(w *atomic.Uint64, mark *uint64, to pages.Seq) {
	if !raise(w, to) {
		return
	}
	*mark = uint64(to)
	g.effect(txcoordName, "", &g.marks)
}

// effect reports an effect of a Turn. Between two of them others may come in.
func (g *Graph) effect(from, to string, what messages.Message) { g.rt.Effect(from, to, what) }

// yieldTurn is the yield point after an effect that the Runtime knows of already.
func (g *Graph) yieldTurn() { g.rt.Park(background, nil) }

// pace slows a job while commits wait, so that they find a processor.
func (g *Graph) pace() {
	if g.tx != nil && g.tx.Pending() {
		g.rt.Yield()
	}
}
