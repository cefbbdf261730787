package world

import (
	"time"

	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/trace"
)

// Begin implements disk.World.
func (w *World) Begin(op disk.Op) {
	w.MustLive()
	log := w.cfg.Log
	log.Mix(uint64(op.Off)<<20 ^ uint64(op.Len))
	log.MixString(op.Call)
	log.MixString(op.File)
	log.MixBytes(op.Data)
	if w.cfg.Words {
		w.Record(trace.Event{Kind: trace.IO, To: op.File, Off: op.Off, Len: op.Len, Text: op.Call})
	}
	if w.ownCalls && !w.current.engine {
		w.code++
	}
	w.boundary()
}

// End implements disk.World.
func (w *World) End(disk.Op) {
	w.MustLive()
	w.boundary()
}

// Delay implements disk.World.
func (w *World) Delay(_ disk.Op, d time.Duration) {
	w.MustLive()
	w.Sleep(d)
}

// boundary is where a life may end, and others may come in.
func (w *World) boundary() {
	w.io++
	if w.cfg.Boundary != nil {
		w.cfg.Boundary(w.io, w.code)
	}
	if w.io == w.crash.IO || w.crash.Once > 0 && w.crashHere() {
		w.crashed = true
		w.giveWay()
		return
	}
	if w.preempt(w.cfg.Strategy.IO) {
		w.giveWay()
	}
}

// crashHere draws whether the life ends at this boundary.
func (w *World) crashHere() bool {
	k := w.key(forCrash)
	if k%uint64(w.crash.Once) != 0 {
		return false
	}
	short, ok := w.cfg.Faults.allowed(k)
	if ok {
		w.strikes = append(w.strikes, short)
	}
	return ok
}

// Strike implements disk.World.
func (w *World) Strike(class disk.Class, once int, what string) bool {
	if once == 0 || w.calm {
		return false
	}
	k := w.key(forStrike)
	if once > 1 && k%uint64(once) != 0 {
		return false
	}
	short, ok := w.cfg.Faults.allowed(k)
	if !ok {
		return false
	}
	w.strikes = append(w.strikes, short)
	w.cfg.Log.Mix(k)
	if w.cfg.Words {
		w.Record(trace.Event{Kind: trace.Fault, Text: what})
	}
	if w.cfg.Struck != nil {
		w.cfg.Struck(class)
	}
	return true
}
