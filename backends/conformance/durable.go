package conformance

import "github.com/aegis-storage/aegis/backends"

// checkSync: every order of sync calls is fine, and none changes contents.
func checkSync(t T, s Subject) {
	syncDir(t, s.Backend)
	f := create(t, s.Backend, "f")
	syncFile(t, f) // before SyncDir, and without a write
	syncDir(t, s.Backend)
	write(t, f, pattern(100, 1), 0)
	syncFile(t, f)
	syncFile(t, f)
	truncate(t, f, 50)
	syncDir(t, s.Backend)
	syncFile(t, f)
	wantFile(t, s.Backend, "f", pattern(50, 1), "syncing")
	other := open(t, s.Backend, "f")
	write(t, f, pattern(60, 2), 0)
	syncFile(t, other)
	closeFile(t, other)
	removed := s.Backend.Remove("f") == nil
	syncDir(t, s.Backend)
	write(t, f, pattern(70, 3), 0)
	syncFile(t, f)
	wantBytes(t, f, 0, pattern(70, 3), "syncing a file that was removed while open")
	closeFile(t, f)
	if !removed {
		remove(t, s.Backend, "f")
	}
	syncDir(t, s.Backend)
	wantNames(t, s.Backend, nil, "Remove and SyncDir")
}

// checkReopen: another Backend on the same storage sees what the first has done.
func checkReopen(t T, s Subject) {
	f := createWith(t, s.Backend, "kept", pattern(150_000, 1))
	truncate(t, f, 140_000)
	syncFile(t, f)
	closeFile(t, f)
	closeFile(t, create(t, s.Backend, "empty"))
	closeFile(t, create(t, s.Backend, "removed"))
	remove(t, s.Backend, "removed")
	syncDir(t, s.Backend)
	b := s.reopen(t)
	wantNames(t, b, []string{"empty", "kept"}, "reopening")
	wantFile(t, b, "kept", pattern(150_000, 1)[:140_000], "reopening")
	f = open(t, b, "kept")
	write(t, f, pattern(10, 2), 139_995)
	closeFile(t, f)
	wantFile(t, b, "kept", append(pattern(150_000, 1)[:139_995], pattern(10, 2)...), "reopening and writing")
}

// checkPowerCutKeepsSynced: what was synced is there after a power cut, names and sizes included,
// and what was removed for good is not.
func checkPowerCutKeepsSynced(t T, s Subject) {
	if s.PowerCut == nil {
		return
	}
	grown := createWith(t, s.Backend, "grown", pattern(10_000, 1))
	syncFile(t, grown)
	write(t, grown, pattern(10_000, 2), 10_000)
	syncFile(t, grown)
	cut := createWith(t, s.Backend, "cut", pattern(10_000, 1))
	truncate(t, cut, 5_000)
	syncFile(t, cut)
	removed := createWith(t, s.Backend, "removed", pattern(10, 1))
	syncFile(t, removed)
	closeFile(t, removed)
	syncDir(t, s.Backend)
	remove(t, s.Backend, "removed")
	syncDir(t, s.Backend)
	write(t, grown, pattern(10, 3), 20_000) // not synced: may be there or not

	b := s.powerCut(t)
	wantNames(t, b, []string{"cut", "grown"}, "SyncDir and a power cut")
	wantFile(t, b, "cut", pattern(10_000, 1)[:5_000], "Truncate, Sync, SyncDir and a power cut")
	f := open(t, b, "grown")
	defer f.Close()
	want := append(pattern(10_000, 1), pattern(10_000, 2)...)
	wantBytes(t, f, 0, want, "two writes, each with Sync, and a power cut")
}

// checkPowerCutSyncsAllHandles: Sync is about the file, not about what its handle wrote.
func checkPowerCutSyncsAllHandles(t T, s Subject) {
	if s.PowerCut == nil {
		return
	}
	writer := createWith(t, s.Backend, "open", pattern(10_000, 1))
	other := open(t, s.Backend, "open")
	syncFile(t, other)
	closeFile(t, createWith(t, s.Backend, "closed", pattern(10_000, 2)))
	closed := open(t, s.Backend, "closed")
	syncFile(t, closed)
	syncDir(t, s.Backend)
	closeFile(t, writer)
	b := s.powerCut(t)
	wantFile(t, b, "open", pattern(10_000, 1), "a write through one handle, Sync of another, and a power cut (Sync covers every write of the file)")
	wantFile(t, b, "closed", pattern(10_000, 2), "a write, Close, Open, Sync and a power cut (Sync covers every write of the file)")
}

// checkPowerCutSparesNeighbours: an unsynced write is in the file or not, but the bytes around
// it are what they were.
func checkPowerCutSparesNeighbours(t T, s Subject) {
	if s.PowerCut == nil {
		return
	}
	f := createWith(t, s.Backend, "f", pattern(30_000, 1))
	syncFile(t, f)
	syncDir(t, s.Backend)
	write(t, f, pattern(5000, 2), 10_000)
	b := s.powerCut(t)
	g := open(t, b, "f")
	defer g.Close()
	after := "an unsynced write of bytes 10000 to 14999 and a power cut (it may damage no other byte)"
	wantBytes(t, g, 0, pattern(30_000, 1)[:10_000], after)
	wantBytes(t, g, 15_000, pattern(30_000, 1)[15_000:], after)
	wantSize(t, g, 30_000, after)
}

// checkPowerCutFreesLock: a lock dies with its process.
func checkPowerCutFreesLock(t T, s Subject) {
	if s.PowerCut == nil {
		return
	}
	lock(t, s.Backend, true, "on a free store")
	var b backends.Backend = s.powerCut(t)
	unlock(t, lock(t, b, true, "after a power cut (locks die with their process)"))
}
