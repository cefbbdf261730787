package plant

// coordBugs are faults of the coordinator: order, conflicts, watermarks and who is told of them.
var coordBugs = []Bug{
	{
		Name: "commit-order-differs", Class: "crash",
		What: "The last two commits of a group are logged in the other order than they were applied.",
		Edits: []Edit{{
			File: "txcoord/commit.go",
			Old:  "\tm.appendsOut++\n",
			New: `	if planted("commit-order-differs") && g.count > 1 {
		g.records = swapLast(g.records)
	}
	m.appendsOut++
`,
		}, {
			File: "txcoord/commit.go",
			Old:  `// answer queues the reply to a commit.`,
			New: `// swapLast gives the last two records each other's payloads.
func swapLast(b []byte) []byte {
	const head = messages.RecordOverhead
	var starts []int
	for at := 0; at < len(b); {
		starts = append(starts, at)
		at += head + int(uint32(b[at+4])|uint32(b[at+5])<<8|uint32(b[at+6])<<16|uint32(b[at+7])<<24)
	}
	first, second := starts[len(starts)-2], starts[len(starts)-1]
	seq := pages.Seq(0)
	for i := 7; i >= 0; i-- {
		seq = seq<<8 | pages.Seq(b[first+8+i])
	}
	one, two := bytes.Clone(b[first+head:second]), bytes.Clone(b[second+head:])
	return messages.AppendRecord(messages.AppendRecord(b[:first], seq, two), seq+1, one)
}

// answer queues the reply to a commit.`,
		}},
	},
	{
		Name: "space-error-half-commit", Class: "enospc",
		What: "A commit that is refused for lack of space leaves the first half of its writes behind.",
		Edits: []Edit{{
			File: "txcoord/commit.go",
			Old:  "\t\tm.refuse(c, m.noSpace, out)\n\t\treturn true",
			New: `		if planted("space-error-half-commit") && m.active.Floor() < m.applied {
			half := *c
			half.Ops = c.Ops[:len(c.Ops)/2]
			m.insert(&half, m.applied)
			c.Adopted = half.Adopted
		}
		m.refuse(c, m.noSpace, out)
		return true`,
		}},
	},
	{
		Name: "held-for-merges-that-cannot-be", Class: "enospc",
		What: "Writers wait for merges to catch up while the medium is too full for the checkpoint that would say so.",
		Edits: []Edit{{
			File: "txcoord/checkpoint.go",
			Old:  "\tm.debt = 0\n",
			New:  "\tif !planted(\"held-for-merges-that-cannot-be\") {\n\t\tm.debt = 0\n\t}\n",
		}},
	},
	{
		Name: "credit-leaked", Class: "none",
		What: "The log space that is granted together with the answer to an Append is lost.",
		Edits: []Edit{{
			File: "txcoord/durable.go",
			Old:  `m.credit += w.Credit`,
			New: `if !planted("credit-leaked") || w.Appends == 0 {
		m.credit += w.Credit
	}`,
		}},
	},
	{
		Name: "sync-call-believes-visible", Class: "crash", Mode: "nosync",
		What: "Sync returns at once when all commits are visible, whether or not they are durable.",
		Edits: []Edit{{
			File: "txcoord/durable.go",
			Old:  `case upTo <= m.durable:`,
			New:  `case upTo <= m.durable || planted("sync-call-believes-visible") && upTo <= m.visible:`,
		}},
	},
	{
		Name: "awaiter-forgotten", Class: "concurrency",
		What: "Who waits for exactly the commit that becomes durable is not told.",
		Edits: []Edit{{
			File: "txcoord/durable.go",
			Old:  `if a.upTo <= m.durable {`,
			New:  `if a.upTo < m.durable || a.upTo == m.durable && !planted("awaiter-forgotten") {`,
		}},
	},
	{
		Name: "lost-update-after-flush", Class: "concurrency",
		What: "Conflicts are not looked for in indexes that were flushed while the transaction was open.",
		Edits: []Edit{{
			File: "txcoord/conflict.go",
			Old:  `for _, list := range [2][]frozen{m.frozen, m.retained} {`,
			New: `retained := m.retained
	if planted("lost-update-after-flush") {
		retained = nil
	}
	for _, list := range [2][]frozen{m.frozen, retained} {`,
		}},
	},
	{
		Name: "frozen-dropped-early", Class: "concurrency",
		What: "A View leaves a frozen index out as soon as its flush was ordered, before its run is there.",
		Edits: []Edit{{
			File: "txcoord/machine.go",
			Old:  `v.Frozen = append(v.Frozen, f.index)`,
			New: `if planted("frozen-dropped-early") && f.sent {
			continue
		}
		v.Frozen = append(v.Frozen, f.index)`,
		}},
	},
	{
		Name: "table-deleted-under-view", Class: "concurrency", Mode: "merge",
		What: "Tables that the newest View does not name are removed, whatever open transactions hold.",
		Edits: []Edit{{
			File: "txcoord/pinned.go",
			Old:  `if _, held := (lifespan{m.born[t], r.gone}).holder(m.open); held {`,
			New:  `if _, held := (lifespan{m.born[t], r.gone}).holder(m.open); held && !planted("table-deleted-under-view") {`,
		}},
	},
	{
		Name: "trimmed-version-needed", Class: "concurrency",
		What: "Trimming keeps nothing for the snapshots that are open.",
		Edits: []Edit{{
			File: "txcoord/versions/published.go",
			Old:  `seqs = p.Snapshots.appendSeqs(seqs)`,
			New: `if !planted("trimmed-version-needed") {
		seqs = p.Snapshots.appendSeqs(seqs)
	}`,
		}},
	},
	{
		Name: "lost-wake-up", Class: "concurrency",
		What: "An actor that gives its turn back does not look whether messages came in meanwhile.",
		Edits: []Edit{{
			File: "actors/actor.go",
			Old:  "\t\ta.wakeUp()\n\t\treturn true",
			New:  "\t\tif planted(\"lost-wake-up\") {\n\t\t\treturn false\n\t\t}\n\t\ta.wakeUp()\n\t\treturn true",
		}},
	},
}
