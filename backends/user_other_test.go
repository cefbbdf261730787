//go:build !linux

package backends_test

import (
	"os"
	"testing"
)

const nobody = 65534

func unwritableDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	makeUnwritable(t, dir)
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	return dir
}

func asUser(_ *testing.T, _ int, f func()) { f() }
