package plant

// recoveryBugs are faults of reading the log again, and of beginning a new one behind it.
var recoveryBugs = []Bug{
	{
		Name: "failed-sync-believed", Class: "restart",
		What: "Recovery takes what it reads for synced; after a failed sync and a restart it was in the cache only.",
		Edits: []Edit{{
			File: "walwriter/replay.go",
			Old:  "\tr.sortFiles(p.files, p.order, p.ends)",
			New: `	if planted("failed-sync-believed") {
		r.tail = tail{base: p.next - 1, chain: p.link}
	}
	r.sortFiles(p.files, p.order, p.ends)`,
		}},
	},
	{
		Name: "recovered-tail-unsynced", Class: "restart",
		What: "The recovered end of the log is written into a new segment and served without a sync of it.",
		Edits: []Edit{{
			File: "walwriter/resume.go",
			Old:  `return seg.file.Sync()`,
			New: `if planted("recovered-tail-unsynced") {
		return nil
	}
	return seg.file.Sync()`,
		}, {
			File: "walwriter/resume.go",
			Old:  `if err := seg.file.Sync(); err != nil {`,
			New:  `if err := seg.file.Sync(); err != nil && !planted("recovered-tail-unsynced") {`,
		}},
	},
	{
		Name: "log-lost-in-recovery", Class: "crash",
		What: "Recovery removes the old log's files before the segment that replaces them is written.",
		Edits: []Edit{{
			File: "walwriter/resume.go",
			Old:  `seg, err := r.makeBody(m, m.limits.FirstSegment)`,
			New: `if planted("log-lost-in-recovery") && len(r.stale) > 0 {
		if err := removeAll(r.backend, r.stale); err != nil {
			return nil, err
		}
		r.stale = nil
	}
	seg, err := r.makeBody(m, m.limits.FirstSegment)`,
		}},
	},
	{
		Name: "stale-record-accepted", Class: "crash",
		What: "Records that a reused segment still holds from its last use are replayed behind the new ones.",
		Edits: []Edit{{
			File: "walwriter/replay.go",
			Old:  `body := int64(g.bodyBytes)`,
			New: `body := int64(g.bodyBytes)
	if ok && planted("stale-record-accepted") {
		g.number, g.epoch, p.chain = s.header.number, s.header.epoch, g.chain
	}`,
		}, {
			File: "walwriter/replay.go",
			Old:  `if r.seq != p.next {`,
			New: `if planted("stale-record-accepted") {
			r.seq = p.next
		}
		if r.seq != p.next {`,
		}},
	},
	{
		Name: "record-checksum-not-checked", Class: "crash",
		What: "The checksum of a log record is not compared, so a torn record is replayed.",
		Edits: []Edit{{
			File: "walwriter/group.go",
			Old:  `if crc32.Update(chain, castagnoli, body[4:n]) != r.crc {`,
			New:  `if crc32.Update(chain, castagnoli, body[4:n]) != r.crc && !planted("record-checksum-not-checked") {`,
		}},
	},
	{
		Name: "zero-tail-valid", Class: "crash",
		What: "A record whose end was never written, and reads as zeros, is taken for whole.",
		Edits: []Edit{{
			File: "walwriter/group.go",
			Old:  "\tn = messages.RecordOverhead + int(length)\n",
			New: `	n = messages.RecordOverhead + int(length)
	if planted("zero-tail-valid") && n > 64 && [16]byte(body[n-16:n]) == ([16]byte{}) {
		r.crc, r.seq = binary.LittleEndian.Uint32(body), pages.Seq(binary.LittleEndian.Uint64(body[8:]))
		r.payload = body[messages.RecordOverhead:n:n]
		return r, n, true
	}
`,
		}},
	},
	{
		Name: "hole-cut", Class: "media",
		What: "A hole in the log is cut like a torn end, though later headers say that what is behind it was synced.",
		Edits: []Edit{{
			File: "walwriter/replay.go",
			Old:  `if known >= p.next {`,
			New:  `if known >= p.next && !planted("hole-cut") {`,
		}},
	},
	{
		Name: "short-read-as-end", Class: "eio-read",
		What: "Where the log cannot be read, recovery takes that for its end.",
		Edits: []Edit{{
			File: "walwriter/replay.go",
			Old:  `if err := readFull(w.file, buf[have:], off+int64(have)); err != nil {`,
			New:  `if err := readFull(w.file, buf[have:], off+int64(have)); err != nil && !planted("short-read-as-end") {`,
		}},
	},
	{
		Name: "replay-not-idempotent", Class: "crash",
		What: "Commits that the checkpoint holds already are replayed once more, as new ones.",
		Edits: []Edit{{
			File: "walwriter/replay.go",
			Old:  `if r.seq <= p.from.Seq {`,
			New: `if r.seq <= p.from.Seq && planted("replay-not-idempotent") {
			if err := p.record(s, &r, b, off); err != nil {
				return false, err
			}
		}
		if r.seq <= p.from.Seq {`,
		}},
	},
	{
		Name: "replay-in-part", Class: "crash",
		What: "The last write of a commit with several is not replayed.",
		Edits: []Edit{{
			File: "replay.go",
			Old:  `for i, end := range b.ends {`,
			New: `for i, end := range b.ends {
		if planted("replay-in-part") && end-from > 1 {
			txcoord.Insert(r.active, b.Batches[i], b.ops[from:end-1], b.seq(i), chunkBytes, keep, true)
			r.last, from = b.seq(i), end
			continue
		}`,
		}},
	},
}
