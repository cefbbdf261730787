package plant

// tableBugs are faults of checkpoints, flushes, merges and of the files that they make.
var tableBugs = []Bug{
	{
		Name: "release-before-checkpoint-sync", Class: "crash",
		What: "The log is given back when a checkpoint begins to be written, not when it is synced.",
		Edits: []Edit{{
			File: "flusher/publish.go",
			Old:  `out.Jobs = append(out.Jobs, m.publishing)`,
			New: `out.Jobs = append(out.Jobs, m.publishing)
	if c := m.publishing.checkpoint; planted("release-before-checkpoint-sync") && !c.Clean && c.Freeze > m.publishedFreeze {
		out.Walwriter = append(out.Walwriter, messages.Release{UpTo: c.Freeze})
	}`,
		}},
	},
	{
		Name: "freeze-seq-too-high", Class: "crash",
		What: "The checkpoint records one commit more than its tables hold, so that one is not replayed.",
		Edits: []Edit{{
			File: "flusher/checkpoint.go",
			Old:  `func (c *Checkpoint) appendBody(dst []byte) []byte {`,
			New: `func (c *Checkpoint) appendBody(dst []byte) []byte {
	freeze := c.Freeze
	if planted("freeze-seq-too-high") && freeze > 0 && !c.Clean {
		freeze++
	}`,
		}, {
			File: "flusher/checkpoint.go",
			Old:  `uint64(c.Freeze), uint64(c.NextFile)`,
			New:  `uint64(freeze), uint64(c.NextFile)`,
		}},
	},
	{
		Name: "directory-not-synced", Class: "crash",
		What: "The directory is not synced after a checkpoint was written, so a crash can take its names.",
		Edits: []Edit{{
			File: "flusher/publish.go",
			Old:  "\tif err := b.SyncDir(); err != nil {\n\t\treturn 0, ",
			New:  "\tif planted(\"directory-not-synced\") {\n\t\treturn len(copies) * len(contents), nil\n\t}\n\tif err := b.SyncDir(); err != nil {\n\t\treturn 0, ",
		}},
	},
	{
		Name: "old-checkpoint-removed-first", Class: "crash",
		What: "The old checkpoint is removed before the new one is written.",
		Edits: []Edit{{
			File: "flusher/publish.go",
			Old:  `written, err := writeCheckpoint(j.backend, j.checkpoint)`,
			New: `if planted("old-checkpoint-removed-first") {
		j.stale = removeNames(j.backend, j.stale)
	}
	written, err := writeCheckpoint(j.backend, j.checkpoint)`,
		}},
	},
	{
		Name: "one-checkpoint-copy", Class: "media",
		What: "A checkpoint is written once instead of twice, so one damaged sector loses the store.",
		Edits: []Edit{{
			File: "flusher/publish.go",
			Old:  `if err := writeFile(b, checkpointName(c.Number, suffix), contents); err != nil {`,
			New: `if planted("one-checkpoint-copy") && i > 0 {
			break
		}
		if err := writeFile(b, checkpointName(c.Number, suffix), contents); err != nil {`,
		}},
	},
	{
		Name: "held-checkpoint-removed", Class: "none",
		What: "A publication removes the checkpoint that Verify or a backup reads.",
		Edits: []Edit{{
			File: "flusher/publish.go",
			Old:  `keep: m.held(),`,
			New:  `keep: m.held() && !planted("held-checkpoint-removed"),`,
		}},
	},
	{
		Name: "close-without-sync", Class: "crash",
		What: "The last checkpoint, of Close, is not synced before the log is removed.",
		Edits: []Edit{{
			File: "flusher/publish.go",
			Old:  `contents := c.AppendTo(nil)`,
			New:  "contents := c.AppendTo(nil)\n\tif planted(\"close-without-sync\") && c.Clean {\n\t\tb = unsynced{b}\n\t}",
		}, {
			File: "flusher/publish.go",
			Old:  `// removeNames removes files and returns those that are still there.`,
			New: `// unsynced is a backend whose new files are not synced when they are told to be.
type unsynced struct{ backends.Backend }

// Create makes such a file.
func (u unsynced) Create(name string) (backends.File, error) {
	f, err := u.Backend.Create(name)
	return unsyncedFile{f}, err
}

// unsyncedFile says that it is synced.
type unsyncedFile struct{ backends.File }

// Sync does nothing.
func (unsyncedFile) Sync() error { return nil }

// removeNames removes files and returns those that are still there.`,
		}},
	},
	{
		Name: "table-not-synced", Class: "crash",
		What: "A table is closed without a sync before a checkpoint names it.",
		Edits: []Edit{{
			File: "flusher/files.go",
			Old:  "\terr := w.sync()\n\tif closeErr",
			New: `	var err error
	if !planted("table-not-synced") {
		err = w.sync()
	}
	if closeErr`,
		}},
	},
	{
		Name: "page-checksum-not-checked", Class: "media",
		What: "The checksum of a page is not compared when it is loaded.",
		Edits: []Edit{{
			File: "pages/load.go",
			Old:  `if crc := checksum(stored); crc != ref.CRC {`,
			New:  `if crc := checksum(stored); crc != ref.CRC && !planted("page-checksum-not-checked") {`,
		}},
	},
	{
		Name: "torn-page-accepted", Class: "media",
		What: "The checksum of a page covers its first sector only, so a page whose rest is not its own is served.",
		Edits: []Edit{{
			File: "pages/format.go",
			Old:  `func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }`,
			New: `func checksum(b []byte) uint32 {
	if planted("torn-page-accepted") {
		b = b[:min(len(b), 512)]
	}
	return crc32.Checksum(b, castagnoli)
}`,
		}},
	},
	{
		Name: "dropped-keyspace-comes-back", Class: "none", Mode: "keyspaces",
		What: "A flush leaves the removal of a keyspace's name out, so the name of an older table counts again.",
		Edits: []Edit{{
			File: "flusher/flush.go",
			Old:  `if c.Kind() == pages.KindTombstone && j.dropTombstones {`,
			New:  `if c.Kind() == pages.KindTombstone && (j.dropTombstones || planted("dropped-keyspace-comes-back") && key[0] == byte(pages.CatalogKeyspace)) {`,
		}},
	},
	{
		Name: "tombstone-dropped-early", Class: "none", Mode: "merge",
		What: "A merge above the bottom drops deletions, so older values come back.",
		Edits: []Edit{{
			File: "flusher/step.go",
			Old:  `if !j.purge || kind != pages.KindTombstone {`,
			New:  `if !j.purge && !planted("tombstone-dropped-early") || kind != pages.KindTombstone {`,
		}},
	},
	{
		Name: "merge-resumes-too-far", Class: "none", Mode: "merge",
		What: "A merge step says that it has taken the key at which the next step begins, which is then lost.",
		Edits: []Edit{{
			File: "flusher/step.go",
			Old:  `if j.opened == nil && j.full() {`,
			New: `if j.opened == nil && j.full() {
			if planted("merge-resumes-too-far") && len(j.inputs) > 0 && len(j.movable) == 0 {
				j.bound = j.inputs[0].key
			}`,
		}},
	},
	{
		Name: "filter-false-negative", Class: "none", Mode: "small-cache",
		What: "The filter of a table denies one in sixteen of the keys that the table has.",
		Edits: []Edit{{
			File: "pages/filter.go",
			Old:  `if b[h>>29]>>(h>>23&63)&1 == 0 {`,
			New:  `if b[h>>29]>>(h>>23&63)&1 == 0 || planted("filter-false-negative") && hash>>40&15 == 7 {`,
		}},
	},
	{
		Name: "wrong-child-slot", Class: "none", Mode: "small-cache",
		What: "A leaf that is loaded after evictions is put into the empty slot of its neighbour as well.",
		Edits: []Edit{{
			File: "pages/load.go",
			Old:  `p.parent.inner.leaves[p.index].Store(p.leaf)`,
			New: `if planted("wrong-child-slot") && p.index > 0 && c.evictedPages.Load() > 0 {
			p.parent.inner.leaves[p.index-1].CompareAndSwap(nil, p.leaf)
		}
		p.parent.inner.leaves[p.index].Store(p.leaf)`,
		}},
	},
	{
		Name: "page-loaded-twice", Class: "concurrency", Mode: "small-cache",
		What: "A reader that finds a load under way starts another one, and the page is counted twice.",
		Edits: []Edit{{
			File: "pages/load.go",
			Old:  `f := p.flight`,
			New: `if planted("page-loaded-twice") {
				if !t.TryPin() {
					return nil, ErrTableGone
				}
				if w.parent != nil {
					w.parent.kids.Add(1)
				}
				f := &flight{err: errAbandoned}
				f.holder.kind, f.holder.flight = kindLoading, f
				w.slot.Store(&f.holder)
				return t.load(ctx, w, f)
			}
			f := p.flight`,
		}},
	},
}
