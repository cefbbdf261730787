package plant

// logBugs are faults of the log writer while a store runs.
var logBugs = []Bug{
	{
		Name: "ack-before-sync", Class: "crash",
		What: "A commit is acknowledged when its group is written; the sync covers only the groups before it.",
		Edits: []Edit{{
			File: "walwriter/write.go",
			Old:  "\tif err := m.writeGroup(); err != nil {\n\t\treturn err\n\t}\n\tif m.syncAsked && m.synced < m.last {",
			New: `	if planted("ack-before-sync") && m.syncAsked && m.synced < m.last {
		if err := m.current().file.Sync(); err != nil {
			return err
		}
		if err := m.writeGroup(); err != nil {
			return err
		}
		m.current().headerSynced = true
		m.synced = m.last
		return nil
	}
	if err := m.writeGroup(); err != nil {
		return err
	}
	if m.syncAsked && m.synced < m.last {`,
		}},
	},
	{
		Name: "rotate-without-sync", Class: "crash",
		What: "A full segment is left without a sync, and the next one's header says that all before it is synced.",
		Edits: []Edit{{
			File: "walwriter/write.go",
			Old:  `if m.synced < m.last || !m.current().headerSynced {`,
			New:  `if !planted("rotate-without-sync") && (m.synced < m.last || !m.current().headerSynced) {`,
		}},
	},
	{
		Name: "sync-retried", Class: "eio-sync",
		What: "A sync that failed is tried again, and believed when it succeeds.",
		Edits: []Edit{{
			File: "walwriter/write.go",
			Old:  "\tif err := seg.file.Sync(); err != nil {\n\t\treturn fmt.Errorf(\"sync segment %d: %w\"",
			New: `	err := seg.file.Sync()
	for range 3 {
		if err != nil && planted("sync-retried") {
			err = seg.file.Sync()
		}
	}
	if err != nil {
		return fmt.Errorf("sync segment %d: %w"`,
		}},
	},
	{
		Name: "segment-boundary", Class: "crash",
		What: "A segment is given back when a checkpoint covers its first commit instead of its last one.",
		Edits: []Edit{{
			File: "walwriter/spares.go",
			Old:  `for n < len(m.live)-1 && m.live[n].last <= m.released {`,
			New:  `for n < len(m.live)-1 && (m.live[n].last <= m.released || planted("segment-boundary") && m.live[n].base <= m.released) {`,
		}},
	},
	{
		Name: "segment-name-not-synced", Class: "crash",
		What: "The directory is not synced after a segment was made, so a crash can take the file's name.",
		Edits: []Edit{{
			File: "walwriter/jobs.go",
			Old:  "\tif err == nil {\n\t\terr = j.backend.SyncDir()",
			New:  "\tif err == nil && !planted(\"segment-name-not-synced\") {\n\t\terr = j.backend.SyncDir()",
		}},
	},
	{
		Name: "release-before-header-sync", Class: "crash",
		What: "A segment is released before the header of the one that follows it is on the medium.",
		Edits: []Edit{{
			File: "walwriter/spares.go",
			Old:  `if !m.current().headerSynced {`,
			New:  `if !m.current().headerSynced && !planted("release-before-header-sync") {`,
		}},
	},
	{
		Name: "nosync-out-of-order", Class: "crash", Mode: "nosync",
		What: "A NoSync commit leaves an empty record in the log, so a crash takes it out of the middle of those after it.",
		Edits: []Edit{{
			File: "txcoord/commit.go",
			Old:  "\t\tm.credit -= cost\n\t\tm.record(c, seq, cost)",
			New: `		if planted("nosync-out-of-order") && c.Durability == messages.NoSync {
			c, cost = &messages.Commit{Durability: c.Durability}, messages.CreditFor(0)
		}
		m.credit -= cost
		m.record(c, seq, cost)`,
		}, {
			File: "txcoord/commit.go",
			Old:  "\tm.visible = seq\n\tm.answer(c, messages.CommitResult{Seq: seq}, out)",
			New:  "\tm.visible = seq\n\tm.answer(whole, messages.CommitResult{Seq: seq}, out)",
		}, {
			File: "txcoord/commit.go",
			Old:  "\tseq := m.applied + 1\n\tm.insert(c, seq)",
			New:  "\tseq, whole := m.applied+1, c\n\tm.insert(c, seq)",
		}},
	},
	{
		Name: "eintr-appends-twice", Class: "local",
		What: "A write that was interrupted half-way starts again behind what it had written.",
		Edits: []Edit{{
			File: "backends/local_file.go",
			Old:  `n, err := raw.Pwrite(p[done:], off+int64(done))`,
			New: `n, err := raw.Pwrite(p[done:], off+int64(done))
		if planted("eintr-appends-twice") && errors.Is(err, syscall.EINTR) {
			off += int64(max(n, 0))
			n = 0
		}`,
		}},
	},
}
