package pages

import (
	"errors"
	"fmt"
)

// CorruptionError reports stored bytes that are not what was written: where they are and
// what is wrong with them. It is never answered by wrong data or by "not found" instead.
type CorruptionError struct {
	File   string // name of the file inside the store's directory
	Offset int64  // first byte of the damaged structure
	What   string // what was expected and what was found
}

// Error names the file and the offset.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("corruption in %s at offset %d: %s", e.File, e.Offset, e.What)
}

// ErrTableGone is what a page load answers when its table was retired: the reader held a View
// that nobody had registered, and starts again on a fresh one.
var ErrTableGone = errors.New("pages: table was retired under an unregistered reader")
