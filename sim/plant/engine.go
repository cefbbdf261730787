package plant

// engineBugs are faults of the calls that tie the parts together.
var engineBugs = []Bug{
	{
		Name: "bulk-load-shadowed", Class: "none", Mode: "bulk",
		What: "The id of a bulk-loaded keyspace is not reserved, so the next keyspace has the same and covers it.",
		Edits: []Edit{{
			File: "bulk.go",
			Old:  "\t\tid, err = tx.nextKeyspaceID()\n",
			New: `		id, err = tx.nextKeyspaceID()
		if planted("bulk-load-shadowed") {
			tx.writes = writeSet{}
		}
`,
		}},
	},
	{
		Name: "bulk-load-not-synced", Class: "crash", Mode: "bulk",
		What: "The tables of a bulk load are not synced before a checkpoint names them.",
		Edits: []Edit{{
			File: "bulk.go",
			Old:  "\tif err == nil {\n\t\terr = l.file.f.Sync()",
			New:  "\tif err == nil && !planted(\"bulk-load-not-synced\") {\n\t\terr = l.file.f.Sync()",
		}},
	},
	{
		Name: "checkpoint-before-log", Class: "crash",
		What: "A flush is ordered before the log is synced that far, so a checkpoint can hold what the log never had.",
		Edits: []Edit{{
			File: "txcoord/checkpoint.go",
			Old:  `if m.log && m.durable < f.upTo {`,
			New:  `if m.log && m.durable < f.upTo && !planted("checkpoint-before-log") {`,
		}},
	},
}
