package conformance

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/aegis-storage/aegis/backends"
)

// T is what a check needs of a *testing.T. Fatalf does not return; it is called only from the
// goroutine that called Case.Run. Errorf may be called from all that Subject.Parallel starts.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Runner is a T that can run a part of itself under a name, as *testing.T does.
type Runner[S any] interface {
	T
	Run(name string, f func(S)) bool
}

// Subject is the backend under test.
type Subject struct {
	// Backend is new and empty, and nobody holds its lock.
	Backend backends.Backend

	// Reopen returns a second Backend on the same storage, as another process or a restarted one
	// would have it, while the first is in use. If nil, Backend itself takes that part.
	Reopen func() (backends.Backend, error)

	// PowerCut takes the power from the storage and gives it back, and returns the Backend that a
	// restarted process has. It drops as much of what is not synced as the storage can, so that
	// the checks have something to find. If nil, the checks that need it are left out.
	PowerCut func() (backends.Backend, error)

	// Parallel calls f(0) to f(n-1), at the same time if it can, and returns when all have. If
	// nil, each gets a goroutine.
	Parallel func(n int, f func(i int))
}

// Case is one check.
type Case struct {
	Name string
	Run  func(t T, s Subject)
}

// Failures runs the check without the testing package, and returns what it finds: nothing if the
// Subject keeps to the contract.
func (c Case) Failures(s Subject) []string {
	var r recorder
	done := make(chan struct{})
	go func() { // Fatalf ends it by Goexit
		defer close(done)
		c.Run(&r, s)
	}()
	<-done
	return r.lines
}

// recorder is a T that keeps what a check says.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Cases returns all checks. Each needs a Subject of its own.
func Cases() []Case {
	return []Case{
		{"Names", checkNames},
		{"Create", checkCreate},
		{"CreateTwice", checkCreateTwice},
		{"Missing", checkMissing},
		{"ReadWrite", checkReadWrite},
		{"TwoHandles", checkTwoHandles},
		{"Buffers", checkBuffers},
		{"EndOfFile", checkEndOfFile},
		{"Gaps", checkGaps},
		{"EmptyWrite", checkEmptyWrite},
		{"BadOffsets", checkBadOffsets},
		{"LargeOffsets", checkLargeOffsets},
		{"LargeWrite", checkLargeWrite},
		{"TruncateDown", checkTruncateDown},
		{"TruncateUp", checkTruncateUp},
		{"RandomOperations", checkRandomOperations},
		{"List", checkList},
		{"RemoveWhileOpen", checkRemoveWhileOpen},
		{"CreateAfterRemove", checkCreateAfterRemove},
		{"ClosedHandle", checkClosedHandle},
		{"CloseUnsynced", checkCloseUnsynced},
		{"Sync", checkSync},
		{"Reopen", checkReopen},
		{"LockExclusive", checkLockExclusive},
		{"LockShared", checkLockShared},
		{"LockRelease", checkLockRelease},
		{"LockLeavesNoFile", checkLockLeavesNoFile},
		{"ParallelReadWrite", checkParallelReadWrite},
		{"ParallelAppend", checkParallelAppend},
		{"ParallelFiles", checkParallelFiles},
		{"PowerCutKeepsSynced", checkPowerCutKeepsSynced},
		{"PowerCutSyncsAllHandles", checkPowerCutSyncsAllHandles},
		{"PowerCutSparesNeighbours", checkPowerCutSparesNeighbours},
		{"PowerCutFreesLock", checkPowerCutFreesLock},
	}
}

// Run runs each case under its name on a Subject that open makes for it; t is a *testing.T, or
// what has the same methods. open may register its own clean-up on the t that it gets.
func Run[S Runner[S]](t S, open func(t S) Subject) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t S) { c.Run(t, open(t)) })
	}
}

// reopen returns the Backend that stands for another process.
func (s Subject) reopen(t T) backends.Backend {
	t.Helper()
	if s.Reopen == nil {
		return s.Backend
	}
	b, err := s.Reopen()
	if err != nil {
		t.Fatalf("Reopen failed: %v", err)
	}
	return b
}

// powerCut cuts the power and returns the Backend after it.
func (s Subject) powerCut(t T) backends.Backend {
	t.Helper()
	b, err := s.PowerCut()
	if err != nil {
		t.Fatalf("PowerCut failed: %v", err)
	}
	return b
}

func (s Subject) parallel(n int, f func(i int)) {
	if s.Parallel != nil {
		s.Parallel(n, f)
		return
	}
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Wait()
}
