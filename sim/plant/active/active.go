package active

import "errors"

// ErrNotPlanted is what Set answers in an ordinary build.
var ErrNotPlanted = errors.New("not a planted build")

// Available reports whether this is a planted build.
func Available() bool { return false }

// Names returns the bugs that can be switched on, sorted; none in an ordinary build.
func Names() []string { return nil }

// Set switches the bug with the name on, and any other off; with an empty name all are off. It is
// called before anything of the engine runs, and not again while it does. The error is
// ErrNotPlanted in an ordinary build, and names the bug if a planted build does not have it.
func Set(string) error { return ErrNotPlanted }

// Is reports whether the bug with the name is on. It is safe for concurrent use.
func Is(string) bool { return false }
