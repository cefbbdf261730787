package report

import (
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/sim/trace"
)

// script builds the events of a made-up run.
type script struct {
	life   int
	step   int64
	events []trace.Event
}

func (s *script) add(kind trace.Kind, from, to, text string) int {
	return s.io(kind, from, to, text, 0, 0)
}

func (s *script) io(kind trace.Kind, from, to, text string, off, length int64) int {
	s.step += 3
	s.events = append(s.events, trace.Event{
		Step: s.step, Life: s.life, Time: time.Duration(s.step) * 1700 * time.Nanosecond,
		Kind: kind, From: from, To: to, Off: off, Len: length, Text: text,
	})
	return len(s.events) - 1
}

func (s *script) begin(text string) {
	s.life++
	s.add(trace.Life, "world", "", text)
}

// commit tells a commit from its client to the log. It returns the index of the answer.
func (s *script) commit(client string, seq int, off int64) int {
	const log = "wal-00000001"
	s.add(trace.Op, client, "", fmt.Sprintf("begin Update: put account/%d", seq))
	s.add(trace.Send, client, "txcoord", "Commit 2 writes, sync")
	s.add(trace.Send, "txcoord", "walwriter", fmt.Sprintf("Append 1 commit, seq %d, sync", seq))
	s.io(trace.IO, "walwriter", log, "write", off, 512)
	s.add(trace.IO, "walwriter", log, "sync")
	s.add(trace.Send, "walwriter", "txcoord", fmt.Sprintf("Durable seq %d", seq))
	s.add(trace.Publish, "txcoord", "", fmt.Sprintf("durable = visible = %d", seq))
	answer := s.add(trace.Answer, "txcoord", client, fmt.Sprintf("committed, seq %d", seq))
	s.add(trace.Op, client, "", fmt.Sprintf("end Update: seq %d", seq))
	return answer
}

// sampleRun is a run in which the last commit was acknowledged before its sync, and lost.
func sampleRun() Run {
	const log = "wal-00000001"
	s := &script{}
	s.begin("an empty disk")
	s.add(trace.IO, "main", "", "list")
	s.io(trace.IO, "main", "wal-00000001", "create", 0, 0)
	s.add(trace.IO, "main", "", "syncdir")
	s.add(trace.Note, "main", "", "opened with 2 accounts")
	s.commit("client-1", 1, 0)
	s.commit("client-2", 2, 512)
	for i := range 5 {
		s.io(trace.IO, "client-2", "table-0001", "read", int64(i)*4096, 4096)
	}
	s.add(trace.Time, "world", "flusher", "Tick")
	s.add(trace.Send, "flusher", "evictor", "IndexBytes 4096")
	s.add(trace.Fault, "walwriter", log, "sync fails once: input/output error")
	s.add(trace.IO, "walwriter", log, "sync: input/output error")
	s.add(trace.Op, "client-1", "", "begin Update: put account/3")
	s.add(trace.Send, "client-1", "txcoord", "Commit 2 writes, sync")
	s.add(trace.Send, "txcoord", "walwriter", "Append 1 commit, seq 3, sync")
	s.io(trace.IO, "walwriter", log, "write", 1024, 8192)
	s.io(trace.IO, "job flush", "table-0002", "write", 0, 16384)
	promised := s.add(trace.Answer, "txcoord", "client-1", "committed, seq 3")
	s.add(trace.Op, "client-2", "", "begin View: sum of all accounts")
	crash := s.add(trace.Crash, "world", "", "power cut\nwal-00000001: 4096 B lost, 2048 B torn\ntable-0002: its name lost")
	s.begin("recovery")
	s.add(trace.IO, "main", "", "list")
	for i := range 4 {
		s.io(trace.IO, "main", log, "read", int64(i)*512, 512)
	}
	s.add(trace.Note, "main", "", "log ends after seq 2; 1 record torn")
	s.add(trace.Crash, "world", "", "kill in recovery")
	s.begin("recovery, no faults")
	s.io(trace.IO, "main", log, "read", 0, 4096)
	s.add(trace.Note, "main", "", "recovered up to seq 2")
	s.add(trace.Failure, "main", "", "the state equals no prefix with every acknowledged commit:\nseq 3 was answered at step 114 and is absent")
	return Run{
		Title: "aegis swarm", Token: "s1.reorder.4bK9-x_Qe", Profile: "reordering, 512 B atomic", Seed: 18446744073709551615,
		Check: "recovery prefix", Events: s.events, Evidence: []int{promised},
		Failure: "the state equals no prefix with every acknowledged commit:\nseq 3 was answered at step 114 and is absent",
		Losses: []Loss{
			{Crash: crash, File: log, Off: 1024, Len: 2048, Fate: Kept},
			{Crash: crash, File: log, Off: 3072, Len: 4096, Fate: Dropped},
			{Crash: crash, File: log, Off: 7168, Len: 2048, Fate: Torn},
			{Crash: crash, File: "table-0002", Fate: Dropped},
			{Crash: crash, File: "table-0001", Fate: Kept, Removal: true},
		},
	}
}

// longRun is a run of about n events over several lives, with many files.
func longRun(n int) Run {
	s := &script{}
	s.begin("an empty disk")
	r := Run{Title: "aegis swarm", Token: "s1.long.QQQQ", Profile: "ordered", Seed: 7, Check: "isolation"}
	for seq := 1; len(s.events) < n; seq++ {
		client := fmt.Sprintf("client-%d", seq%4+1)
		s.commit(client, seq, int64(seq)*512)
		table := fmt.Sprintf("table-%04d", seq%23)
		for i := range seq % 9 {
			s.io(trace.IO, client, table, "read", int64(i)*4096, 4096)
		}
		if seq%11 == 0 {
			s.io(trace.IO, "job flush", table, "write", 0, 65536)
			s.add(trace.Time, "world", "flusher", "Tick")
		}
		if seq%60 == 0 {
			s.io(trace.IO, "walwriter", "wal-00000001", "write", int64(seq+1)*512, 2048)
			s.add(trace.Crash, "world", "", "power cut")
			s.begin("recovery")
		}
	}
	s.add(trace.Failure, "main", "", "write skew between client-1 and client-3")
	r.Events = s.events
	return r
}
