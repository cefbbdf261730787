package conformance

import (
	"errors"

	"github.com/aegis-storage/aegis/backends"
)

func lock(t T, b backends.Backend, exclusive bool, when string) (release func() error) {
	t.Helper()
	release, err := b.Lock(exclusive)
	if err != nil {
		t.Fatalf("Lock(exclusive=%t) %s failed: %v", exclusive, when, err)
	}
	if release == nil {
		t.Fatalf("Lock(exclusive=%t) %s returned no error and no release function", exclusive, when)
	}
	return release
}

func unlock(t T, release func() error) {
	t.Helper()
	if err := release(); err != nil {
		t.Errorf("releasing a lock failed: %v", err)
	}
}

func wantLocked(t T, b backends.Backend, exclusive bool, when string) {
	t.Helper()
	release, err := b.Lock(exclusive)
	if err == nil {
		release()
		t.Errorf("Lock(exclusive=%t) %s succeeded; want backends.ErrLocked", exclusive, when)
	} else if !errors.Is(err, backends.ErrLocked) {
		t.Errorf("Lock(exclusive=%t) %s: %v; errors.Is(err, backends.ErrLocked) must hold", exclusive, when, err)
	}
}

func checkLockExclusive(t T, s Subject) {
	other := s.reopen(t)
	release := lock(t, s.Backend, true, "on a free store")
	for range 2 { // the second time after a conflict, which must not have freed it
		wantLocked(t, s.Backend, true, "while the same Backend has the exclusive lock")
		wantLocked(t, s.Backend, false, "while the same Backend has the exclusive lock")
		wantLocked(t, other, true, "while another Backend on the same storage has the exclusive lock")
		wantLocked(t, other, false, "while another Backend on the same storage has the exclusive lock")
	}
	unlock(t, release)
	unlock(t, lock(t, other, true, "after the exclusive lock was released"))
	unlock(t, lock(t, s.Backend, false, "after the exclusive lock was released"))
}

func checkLockShared(t T, s Subject) {
	other := s.reopen(t)
	first := lock(t, s.Backend, false, "on a free store")
	second := lock(t, other, false, "while another has a shared lock")
	third := lock(t, s.Backend, false, "while the same Backend has a shared lock")
	wantLocked(t, other, true, "while three have a shared lock")
	unlock(t, first)
	wantLocked(t, other, true, "while two of three still have a shared lock")
	unlock(t, second)
	wantLocked(t, s.Backend, true, "while one of three still has a shared lock")
	unlock(t, third)
	unlock(t, lock(t, other, true, "after all shared locks were released"))
}

func checkLockRelease(t T, s Subject) {
	other := s.reopen(t)
	old := lock(t, s.Backend, true, "on a free store")
	unlock(t, old)
	held := lock(t, s.Backend, true, "after it was released")
	unlock(t, old)
	wantLocked(t, other, true, "after the release of an earlier lock was called again (it must not free the lock of today)")
	unlock(t, held)

	old = lock(t, s.Backend, false, "on a free store")
	held = lock(t, s.Backend, false, "while another has a shared lock")
	unlock(t, old)
	unlock(t, old)
	wantLocked(t, other, true, "after one shared lock was released twice (the other is still held)")
	unlock(t, held)
	unlock(t, lock(t, other, true, "after all was released"))
}

func checkLockLeavesNoFile(t T, s Subject) {
	release := lock(t, s.Backend, true, "on a free store")
	wantNames(t, s.Backend, nil, "Lock (a file that only the backend uses must not be listed)")
	unlock(t, release)
	wantNames(t, s.Backend, nil, "releasing the lock")
	unlock(t, lock(t, s.Backend, false, "on a free store"))
	wantNames(t, s.Backend, nil, "taking and releasing a shared lock")
}
