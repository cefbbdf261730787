package plant

// readerBugs are faults of snapshots and of what a transaction remembers of its reads.
var readerBugs = []Bug{
	{
		Name: "snapshot-too-new", Class: "concurrency",
		What: "A transaction reads one commit further than its snapshot: that commit comes in between two of its reads.",
		Edits: []Edit{{
			File: "txcoord/versions/published.go",
			Old:  `s.Seq = seq`,
			New: `s.Seq = seq
			if planted("snapshot-too-new") {
				s.Seq++
			}`,
		}},
	},
	{
		Name: "view-without-recheck", Class: "concurrency",
		What: "A transaction takes the View before it registers its snapshot, and does not look for a newer one after that.",
		Edits: []Edit{{
			File: "tx.go",
			Old:  `tx.db.rt.Park(tx.ctx, nil)`,
			New: `early := tx.db.pub.View.Load()
	tx.db.rt.Park(tx.ctx, nil)`,
		}, {
			File: "tx.go",
			Old:  `tx.snap = tx.db.pub.Acquire(!tx.readOnly, tx.begun)`,
			New: `tx.snap = tx.db.pub.Acquire(!tx.readOnly, tx.begun)
	if planted("view-without-recheck") {
		tx.snap.PlantView(early)
	}`,
		}, {
			File: "txcoord/versions/published.go",
			Old:  `// Get reads key in the snapshot. ok with a tombstone's kind means deleted.`,
			New: `// PlantView gives the snapshot another View.
func (s *Snapshot) PlantView(v *View) {
	s.view.Store(v)
	s.epoch.Store(v.Epoch + 1)
}

// Get reads key in the snapshot. ok with a tombstone's kind means deleted.`,
		}},
	},
	{
		Name: "view-at-applied", Class: "crash",
		What: "A read-only transaction reads what is applied, and so what a crash can still take back.",
		Edits: []Edit{{
			File: "txcoord/versions/published.go",
			Old:  `from := &p.Visible`,
			New: `from := &p.Visible
	if planted("view-at-applied") {
		from = &p.Applied
	}`,
		}},
	},
	{
		Name: "expired-snapshot-served", Class: "concurrency", Mode: "age",
		What: "A read that was overtaken by the end of its snapshot's protection is answered all the same.",
		Edits: []Edit{{
			File: "txcoord/versions/published.go",
			Old:  "\tif s.Expired() {\n\t\treturn Version{}, false, ErrTooOld",
			New:  "\tif s.Expired() && !planted(\"expired-snapshot-served\") {\n\t\treturn Version{}, false, ErrTooOld",
		}},
	},
	{
		Name: "write-skew", Class: "concurrency",
		What: "The keys that a transaction has read are not validated.",
		Edits: []Edit{{
			File: "keyspace.go",
			Old:  "\tif tx.isolation == Serializable {\n\t\tif tx.points",
			New:  "\tif tx.isolation == Serializable && !planted(\"write-skew\") {\n\t\tif tx.points",
		}},
	},
	{
		Name: "phantom", Class: "concurrency",
		What: "A loop over a range that saw all of it is validated up to the last key that was there only.",
		Edits: []Edit{{
			File: "scan.go",
			Old:  `case s.ended:`,
			New:  `case s.ended && !planted("phantom"):`,
		}},
	},
	{
		Name: "lost-update", Class: "concurrency",
		What: "A commit is validated against the state at its end instead of its beginning.",
		Edits: []Edit{{
			File: "commit.go",
			Old:  `c.CheckWrites = tx.isolation != ReadCommitted`,
			New: `c.CheckWrites = tx.isolation != ReadCommitted
	if planted("lost-update") {
		c.Snapshot = pages.Seq(tx.db.pub.Applied.Load())
	}`,
		}},
	},
	{
		Name: "reads-not-settled", Class: "crash",
		What: "A transaction that wrote nothing ends before what it has read is durable.",
		Edits: []Edit{{
			File: "commit.go",
			Old:  `if tx.readOnly || tx.durability == NoSync ||`,
			New:  `if planted("reads-not-settled") || tx.readOnly || tx.durability == NoSync ||`,
		}},
	},
}
