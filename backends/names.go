package backends

import (
	"fmt"
	"io/fs"
	"strings"
)

// LockName is the file that Local keeps its lock in. It is refused as a file's name by every
// backend, so that a store can be copied from any one to any other.
const LockName = "LOCK"

// maxNameBytes is what the usual file systems allow in one name.
const maxNameBytes = 255

// CheckName reports whether name may be the name of a file: 1 to 255 bytes of [A-Za-z0-9._-],
// not ending in a dot (Windows would drop it, and "." and ".." are directories), and not
// LockName in any case (some file systems do not tell cases apart). The error wraps
// fs.ErrInvalid.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("backends: empty file name: %w", fs.ErrInvalid)
	case len(name) > maxNameBytes:
		return fmt.Errorf("backends: file name of %d bytes, at most %d are allowed: %w", len(name), maxNameBytes, fs.ErrInvalid)
	case name[len(name)-1] == '.':
		return fmt.Errorf("backends: file name %q ends in a dot: %w", name, fs.ErrInvalid)
	case strings.EqualFold(name, LockName):
		return fmt.Errorf("backends: file name %q is kept for the lock: %w", name, fs.ErrInvalid)
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("backends: byte %q in file name %q: %w", name[i], name, fs.ErrInvalid)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}
