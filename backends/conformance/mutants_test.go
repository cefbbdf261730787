package conformance_test

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
)

// mutant is a backend with one defect, and the case that must find it (others may as well).
type mutant struct {
	name, found string
	subject     func() conformance.Subject
}

// TestMutantsAreFound: each defect is found by the case that is there for it, and each case
// finds a defect.
func TestMutantsAreFound(t *testing.T) {
	cases := map[string]conformance.Case{}
	unproved := map[string]bool{}
	for _, c := range conformance.Cases() {
		cases[c.Name], unproved[c.Name] = c, true
	}
	for _, m := range slices.Concat(nameMutants, contentMutants, otherMutants) {
		c, ok := cases[m.found]
		if !ok {
			t.Fatalf("mutant %q names the case %q, which is not there", m.name, m.found)
		}
		lines := c.Failures(m.subject())
		if len(lines) == 0 {
			t.Errorf("a backend that %s passes %s", m.name, m.found)
			continue
		}
		delete(unproved, m.found)
		t.Logf("%s: %s: %.150s", m.found, m.name, lines[0])
	}
	for name := range unproved {
		t.Errorf("no mutant shows that the case %s can fail", name)
	}
}

// TestSoundSubjectsPass: the subjects that the mutants are made of have no other defects.
func TestSoundSubjectsPass(t *testing.T) {
	for name, subject := range map[string]func() conformance.Subject{
		"memory":   func() conformance.Subject { return conformance.Subject{Backend: backends.NewMemory()} },
		"hooks":    hooked(func(*hooks) {}),
		"files":    filed(func(*fileHooks) {}),
		"volatile": func() conformance.Subject { return newVolatile().subject() },
		"in turns": inTurns(func(*hooks, *fileHooks, func()) {}),
	} {
		for _, c := range conformance.Cases() {
			for _, line := range c.Failures(subject()) {
				t.Errorf("%s: %s: %s", name, c.Name, line)
			}
		}
	}
}

// hooked makes subjects of a Memory that the function changes.
func hooked(change func(*hooks)) func() conformance.Subject {
	return func() conformance.Subject {
		h := &hooks{Backend: backends.NewMemory()}
		change(h)
		return conformance.Subject{Backend: h}
	}
}

// filed makes subjects whose files the function changes.
func filed(change func(*fileHooks)) func() conformance.Subject {
	return hooked(func(h *hooks) {
		h.file = func(f backends.File) backends.File {
			changed := &fileHooks{File: f}
			change(changed)
			return changed
		}
	})
}

// inTurns makes subjects that change where their calls yield to parallel ones.
func inTurns(change func(h *hooks, f *fileHooks, yield func())) func() conformance.Subject {
	return func() conformance.Subject {
		order := newTurns()
		h := &hooks{Backend: backends.NewMemory()}
		change(h, &fileHooks{}, order.yield)
		h.file = func(f backends.File) backends.File {
			changed := &fileHooks{File: f}
			change(h, changed, order.yield)
			return changed
		}
		return conformance.Subject{Backend: h, Parallel: order.parallel}
	}
}

func size(f backends.File) int64 {
	n, err := f.Size()
	if err != nil {
		return -1
	}
	return n
}

var nameMutants = []mutant{
	{"takes any name", "Names", hooked(func(h *hooks) {
		h.create = func(name string) (backends.File, error) {
			if backends.CheckName(name) != nil {
				name = "replaced"
			}
			return h.Backend.Create(name)
		}
	})},
	{"refuses names with another error", "Names", hooked(func(h *hooks) {
		h.remove = func(name string) error {
			if err := backends.CheckName(name); err != nil {
				return errors.New("no")
			}
			return h.Backend.Remove(name)
		}
	})},
	{"refuses long names", "Names", hooked(func(h *hooks) {
		h.create = func(name string) (backends.File, error) {
			if len(name) > 200 {
				return nil, fs.ErrInvalid
			}
			return h.Backend.Create(name)
		}
	})},
	{"lists a file only once it has contents", "Create", hooked(func(h *hooks) {
		h.list = func() ([]backends.FileInfo, error) {
			infos, err := h.Backend.List()
			return slices.DeleteFunc(infos, func(i backends.FileInfo) bool { return i.Size == 0 }), err
		}
	})},
	{"creates over an existing file", "CreateTwice", hooked(func(h *hooks) {
		h.create = func(name string) (backends.File, error) {
			f, err := h.Backend.Create(name)
			if errors.Is(err, fs.ErrExist) {
				f, err = h.Backend.Open(name)
			}
			return f, err
		}
	})},
	{"empties an existing file before Create fails", "CreateTwice", hooked(func(h *hooks) {
		h.create = func(name string) (backends.File, error) {
			f, err := h.Backend.Create(name)
			if errors.Is(err, fs.ErrExist) {
				old, _ := h.Backend.Open(name)
				old.Truncate(0)
			}
			return f, err
		}
	})},
	{"creates at Open", "Missing", hooked(func(h *hooks) {
		h.open = func(name string) (backends.File, error) {
			f, err := h.Backend.Open(name)
			if errors.Is(err, fs.ErrNotExist) {
				f, err = h.Backend.Create(name)
			}
			return f, err
		}
	})},
	{"removes what is not there", "Missing", hooked(func(h *hooks) {
		h.remove = func(name string) error {
			if err := h.Backend.Remove(name); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
	})},
	{"loses the cause of an error", "Missing", hooked(func(h *hooks) {
		h.open = func(name string) (backends.File, error) {
			f, err := h.Backend.Open(name)
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.New("no such file")
			}
			return f, err
		}
	})},
	{"lists in reverse", "List", hooked(func(h *hooks) {
		h.list = func() ([]backends.FileInfo, error) {
			infos, err := h.Backend.List()
			slices.Reverse(infos)
			return infos, err
		}
	})},
	{"lists sizes in blocks", "List", hooked(func(h *hooks) {
		h.list = func() ([]backends.FileInfo, error) {
			infos, err := h.Backend.List()
			for i := range infos {
				infos[i].Size = (infos[i].Size + 511) / 512
			}
			return infos, err
		}
	})},
	{"empties a file that it removes", "RemoveWhileOpen", hooked(func(h *hooks) {
		h.remove = func(name string) error {
			if f, err := h.Backend.Open(name); err == nil {
				f.Truncate(0)
			}
			return h.Backend.Remove(name)
		}
	})},
	{"brings contents back with the name", "CreateAfterRemove", hooked(func(h *hooks) {
		removed := map[string][]byte{}
		h.remove = func(name string) error {
			if f, err := h.Backend.Open(name); err == nil {
				removed[name] = make([]byte, size(f))
				f.ReadAt(removed[name], 0)
			}
			return h.Backend.Remove(name)
		}
		h.create = func(name string) (backends.File, error) {
			f, err := h.Backend.Create(name)
			if err == nil {
				f.WriteAt(removed[name], 0)
			}
			return f, err
		}
	})},
}

var contentMutants = []mutant{
	{"damages the byte behind a write", "ReadWrite", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			if end := off + int64(len(p)); end < size(f.File) {
				f.File.WriteAt([]byte{0}, end)
			}
			return f.File.WriteAt(p, off)
		}
	})},
	{"gives each handle a copy", "TwoHandles", hooked(func(h *hooks) {
		h.open = func(name string) (backends.File, error) {
			f, err := h.Backend.Open(name)
			if err != nil {
				return nil, err
			}
			p := make([]byte, size(f))
			f.ReadAt(p, 0)
			own, _ := backends.NewMemory().Create("copy")
			own.WriteAt(p, 0)
			return own, nil
		}
	})},
	{"keeps the caller's buffer", "Buffers", filed(func(f *fileHooks) {
		var kept []byte
		var at int64
		f.writeAt = func(p []byte, off int64) (int, error) {
			kept, at = p, off
			return f.File.WriteAt(p, off)
		}
		f.readAt = func(p []byte, off int64) (int, error) {
			f.File.WriteAt(kept, at)
			return f.File.ReadAt(p, off)
		}
	})},
	{"reads short without an error", "EndOfFile", filed(func(f *fileHooks) {
		f.readAt = func(p []byte, off int64) (int, error) {
			n, err := f.File.ReadAt(p, off)
			if err == io.EOF && n > 0 {
				err = nil
			}
			return n, err
		}
	})},
	{"wraps io.EOF", "EndOfFile", filed(func(f *fileHooks) {
		f.readAt = func(p []byte, off int64) (int, error) {
			n, err := f.File.ReadAt(p, off)
			if err != nil {
				err = errors.Join(err)
			}
			return n, err
		}
	})},
	{"fills a gap with garbage", "Gaps", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			if end := size(f.File); off > end {
				f.File.WriteAt([]byte{0xAA}, end)
			}
			return f.File.WriteAt(p, off)
		}
	})},
	{"does not write the zeros of a gap to the reader's buffer", "Gaps", filed(func(f *fileHooks) {
		f.readAt = func(p []byte, off int64) (int, error) {
			before := slices.Clone(p)
			n, err := f.File.ReadAt(p, off)
			for i := range n {
				if p[i] == 0 {
					p[i] = before[i]
				}
			}
			return n, err
		}
	})},
	{"extends the file for an empty write", "EmptyWrite", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			if len(p) == 0 {
				f.File.Truncate(max(size(f.File), off))
			}
			return f.File.WriteAt(p, off)
		}
	})},
	{"takes a negative offset for 0", "BadOffsets", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) { return f.File.WriteAt(p, max(0, off)) }
	})},
	{"has offsets of 32 bits", "LargeOffsets", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			if off < 0 {
				return f.File.WriteAt(p, off)
			}
			return f.File.WriteAt(p, int64(uint32(off)))
		}
	})},
	{"writes 4 MiB at most and reports all", "LargeWrite", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			_, err := f.File.WriteAt(p[:min(len(p), 4<<20)], off)
			return len(p), err
		}
	})},
	{"brings back what was cut off", "TruncateDown", filed(func(f *fileHooks) {
		var tail []byte
		var at int64
		f.truncate = func(n int64) error {
			if end := size(f.File); n < end && n >= 0 {
				tail, at = make([]byte, end-n), n
				f.File.ReadAt(tail, n)
			}
			return f.File.Truncate(n)
		}
		f.writeAt = func(p []byte, off int64) (int, error) {
			if off > at {
				f.File.WriteAt(tail[:min(int64(len(tail)), off-at)], at)
			}
			return f.File.WriteAt(p, off)
		}
	})},
	{"does not grow at Truncate", "TruncateUp", filed(func(f *fileHooks) {
		f.truncate = func(n int64) error {
			if n > size(f.File) {
				return nil
			}
			return f.File.Truncate(n)
		}
	})},
	{"loses the last byte of a block now and then", "RandomOperations", filed(func(f *fileHooks) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			n, err := f.File.WriteAt(p, off)
			if end := off + int64(len(p)); end%65536 < 40 && end > 65536 {
				f.File.WriteAt([]byte{0}, end-1)
			}
			return n, err
		}
	})},
	{"does not mind Close", "ClosedHandle", filed(func(f *fileHooks) {
		f.close = func() error { return nil }
	})},
	{"drops at Close what is not synced", "CloseUnsynced", filed(dropsAtClose)},
	{"closes the other handles too", "ClosedHandle", hooked(func(h *hooks) {
		var all []backends.File
		h.file = func(f backends.File) backends.File {
			all = append(all, f)
			return &fileHooks{File: f, close: func() error {
				err := f.Close()
				for _, other := range all {
					other.Close()
				}
				return err
			}}
		}
	})},
}

var otherMutants = []mutant{
	{"cannot sync what has no writes", "Sync", filed(func(f *fileHooks) {
		f.sync = func() error {
			if size(f.File) == 0 {
				return errors.New("nothing to sync")
			}
			return f.File.Sync()
		}
	})},
	{"forgets all when it is opened again", "Reopen", func() conformance.Subject {
		return conformance.Subject{Backend: backends.NewMemory(), Reopen: func() (backends.Backend, error) {
			return backends.NewMemory(), nil
		}}
	}},
	{"locks nobody out", "LockExclusive", hooked(func(h *hooks) {
		h.lock = func(bool) (func() error, error) { return func() error { return nil }, nil }
	})},
	{"has a lock of its own for each handle", "LockExclusive", func() conformance.Subject {
		m := backends.NewMemory()
		return conformance.Subject{Backend: m, Reopen: func() (backends.Backend, error) {
			return &hooks{Backend: m, lock: backends.NewMemory().Lock}, nil
		}}
	}},
	{"loses ErrLocked", "LockExclusive", hooked(func(h *hooks) {
		h.lock = func(exclusive bool) (func() error, error) {
			release, err := h.Backend.Lock(exclusive)
			if err != nil {
				err = errors.New("try again")
			}
			return release, err
		}
	})},
	{"takes every lock for an exclusive one", "LockShared", hooked(func(h *hooks) {
		h.lock = func(bool) (func() error, error) { return h.Backend.Lock(true) }
	})},
	{"frees the lock of the next holder", "LockRelease", hooked(func(h *hooks) {
		h.lock = new(naiveLock).lock
	})},
	{"lists its lock file", "LockLeavesNoFile", hooked(func(h *hooks) {
		h.lock = func(exclusive bool) (func() error, error) {
			if f, err := h.Backend.Create("lock-file"); err == nil {
				f.Close()
			}
			return h.Backend.Lock(exclusive)
		}
	})},
	{"rewrites whole blocks without a lock", "ParallelReadWrite", inTurns(func(_ *hooks, f *fileHooks, yield func()) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			end := min(size(f.File), (off+int64(len(p))+4095)&^4095)
			if off < 0 || end < off+int64(len(p)) {
				return f.File.WriteAt(p, off)
			}
			start := off &^ 4095
			block := make([]byte, end-start)
			f.File.ReadAt(block, start)
			yield()
			copy(block[off-start:], p)
			f.File.WriteAt(block, start)
			return len(p), nil
		}
	})},
	{"sets the size of a file that it has seen", "ParallelAppend", inTurns(func(_ *hooks, f *fileHooks, yield func()) {
		f.writeAt = func(p []byte, off int64) (int, error) {
			seen := size(f.File)
			yield()
			n, err := f.File.WriteAt(p, off)
			f.File.Truncate(max(seen, off+int64(n)))
			return n, err
		}
	})},
	{"fails List when a file goes", "ParallelFiles", inTurns(func(h *hooks, f *fileHooks, yield func()) {
		f.readAt = func(p []byte, off int64) (int, error) {
			yield()
			return f.File.ReadAt(p, off)
		}
		h.list = func() ([]backends.FileInfo, error) {
			infos, err := h.Backend.List()
			yield()
			for _, info := range infos {
				f, err := h.Backend.Open(info.Name)
				if err != nil {
					return nil, err
				}
				f.Close()
			}
			return infos, err
		}
	})},
	{"does not sync", "PowerCutKeepsSynced", func() conformance.Subject {
		v := newVolatile()
		return conformance.Subject{Backend: &hooks{Backend: v, file: func(f backends.File) backends.File {
			return &fileHooks{File: f, sync: func() error { return nil }}
		}}, PowerCut: v.powerCut}
	}},
	{"syncs only the first time", "PowerCutKeepsSynced", func() conformance.Subject {
		v := newVolatile()
		return conformance.Subject{Backend: &hooks{Backend: v, file: func(f backends.File) backends.File {
			return &fileHooks{File: f, sync: sync.OnceValue(f.Sync)}
		}}, PowerCut: v.powerCut}
	}},
	{"does not sync the directory", "PowerCutKeepsSynced", func() conformance.Subject {
		v := newVolatile()
		return conformance.Subject{Backend: &hooks{Backend: v, syncDir: func() error { return nil }}, PowerCut: v.powerCut}
	}},
	{"syncs only what the same handle wrote", "PowerCutSyncsAllHandles", func() conformance.Subject {
		v := newVolatile()
		return conformance.Subject{Backend: &hooks{Backend: v, file: syncsOwnWrites}, PowerCut: v.powerCut}
	}},
	{"damages the neighbours of a write", "PowerCutSparesNeighbours", func() conformance.Subject {
		v := newVolatile()
		v.fault = func(v *volatile) {
			for _, image := range v.images {
				clear(image[9_000:min(len(image), 16_000)])
			}
		}
		return v.subject()
	}},
	{"stays locked", "PowerCutFreesLock", func() conformance.Subject {
		m := backends.NewMemory()
		return conformance.Subject{Backend: m, PowerCut: func() (backends.Backend, error) { return m, nil }}
	}},
}
