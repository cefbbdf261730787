package disk

import "time"

// Op is a call of the Backend as the world sees it.
type Op struct {
	Call string // "create", "open", "remove", "list", "syncdir", "lock", "unlock", "read", "write", "truncate", "size", "sync", "close"
	File string
	Off  int64  // bytes
	Len  int64  // bytes asked for
	Data []byte // of a write; must not be kept
}

// World is what a mounted disk needs of the world around it. All of it is called from the task
// that made the Backend call. Draw and Strike must neither wait nor call the disk.
type World interface {
	// Begin comes before a call takes effect: others may run. It does not return if the life ends
	// here, or is over.
	Begin(op Op)
	// End comes after the call took effect and before it returns; the life may end here, too, so
	// that the caller never hears of it.
	End(op Op)
	// Draw returns a number in [0, n). The same task at the same point of the same operation draws
	// the same number, whatever others did.
	Draw(n int) int
	// Strike reports whether a fault shall happen here, which the profile makes probable once in so
	// many calls. A shrinking run may have it left out. what is how the trace names it.
	Strike(class Class, once int, what string) bool
	// Delay lets the task wait for a time before its call takes effect, between Begin and End, after
	// a Strike of class Time. Others run; the life may end here.
	Delay(op Op, d time.Duration)
}
