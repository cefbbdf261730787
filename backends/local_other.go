//go:build !windows && (!unix || aix)

package backends

import (
	"errors"
	"fmt"
	"os"
)

// Systems without a lock that dies with its process: the package builds, Memory and Limited
// work, and Local refuses every sync and lock, so that nobody trusts it with data.

func unsupported(what string) error {
	return fmt.Errorf("no %s on this system: %w", what, errors.ErrUnsupported)
}

func outOfSpace(error) bool     { return false }
func readOnlyMedium(error) bool { return false }
func cannotLink(error) bool     { return true }
func isLockConflict(error) bool { return false }

func syncData(uintptr) error       { return unsupported("file sync") }
func syncDirectory(string) error   { return unsupported("directory sync") }
func tryLock(*os.File, bool) error { return unsupported("file lock") }
