package plant

// backupBugs are faults of backups, of copies, and of what is made of them.
var backupBugs = []Bug{
	{
		Name: "backup-tables-not-pinned", Class: "concurrency", Mode: "merge",
		What: "A backup does not keep the tables of its checkpoint, so a merge removes them before they are read.",
		Edits: []Edit{{
			File: "backup_source.go",
			Old:  `unhold(err != nil)`,
			New:  `unhold(err != nil || planted("backup-tables-not-pinned"))`,
		}, {
			File: "backup_source.go",
			Old:  "\t\tretire()\n",
			New:  "\t\tretire()\n\t\tif planted(\"backup-tables-not-pinned\") {\n\t\t\treturn\n\t\t}\n",
		}},
	},
	{
		Name: "backup-without-flush", Class: "none",
		What: "A backup takes the published checkpoint as it is, without the commits that were acknowledged since.",
		Edits: []Edit{{
			File: "backup_source.go",
			Old:  `if err := db.graph.Checkpoint(ctx,`,
			New: `if planted("backup-without-flush") {
		return db.pinCheckpoint(ctx)
	}
	if err := db.graph.Checkpoint(ctx,`,
		}},
	},
	{
		Name: "incremental-by-name", Class: "restart",
		What: "An incremental backup leaves a table out whose id the one before it had, with other contents.",
		Edits: []Edit{{
			File: "backup.go",
			Old:  `if had[pages.TableName(m.ID)] != tableSum(m) {`,
			New:  `if sum := had[pages.TableName(m.ID)]; sum == "" || sum != tableSum(m) && !planted("incremental-by-name") {`,
		}},
	},
	{
		Name: "restored-table-not-synced", Class: "crash",
		What: "A restore or a copy does not sync a table before its checkpoint names it.",
		Edits: []Edit{{
			File: "restore.go",
			Old:  `if err := w.file.Sync(); err != nil {`,
			New: `if planted("restored-table-not-synced") {
		return w.close()
	}
	if err := w.file.Sync(); err != nil {`,
		}},
	},
	{
		Name: "restore-mark-not-synced", Class: "crash",
		What: "The mark of an unfinished restore is not durable before the first table, so tables can be there without it.",
		Edits: []Edit{{
			File: "restore_target.go",
			Old:  "\tif err := t.backend.SyncDir(); err != nil {\n\t\treturn err\n\t}\n\treturn t.clear()\n",
			New:  "\tif planted(\"restore-mark-not-synced\") {\n\t\treturn t.clear()\n\t}\n\tif err := t.backend.SyncDir(); err != nil {\n\t\treturn err\n\t}\n\treturn t.clear()\n",
		}},
	},
	{
		Name: "restore-mark-removed-early", Class: "crash",
		What: "The mark of an unfinished restore goes before the checkpoint is durable.",
		Edits: []Edit{{
			File: "restore_target.go",
			Old:  `if err := flusher.Publish(t.backend, c); err != nil {`,
			New: `if planted("restore-mark-removed-early") {
		if err := removeMark(t.backend); err != nil {
			return err
		}
	}
	if err := flusher.Publish(t.backend, c); err != nil {`,
		}},
	},
	{
		Name: "restored-names-not-synced", Class: "crash",
		What: "A restore or a copy does not sync the directory between its tables and its checkpoint.",
		Edits: []Edit{{
			File: "restore_target.go",
			Old:  "func (t *target) publish(c *flusher.Checkpoint) error {\n\tif err := t.backend.SyncDir(); err != nil {",
			New: `func (t *target) publish(c *flusher.Checkpoint) error {
	sync := t.backend.SyncDir
	if planted("restored-names-not-synced") {
		sync = func() error { return nil }
	}
	if err := sync(); err != nil {`,
		}},
	},
}
