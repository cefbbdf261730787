package run

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aegis-storage/aegis/bench/measure"
)

// copyTree copies the files in src and below to dst, which exists. Holes stay holes: some engines
// have files that are mostly a hole, as large as they may ever grow. The kernel copies, and on file
// systems that can do so shares the blocks.
func copyTree(src, dst string) error {
	return filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, name)
		switch {
		case name == ".":
			return nil
		case entry.IsDir():
			return os.Mkdir(to, 0o755)
		case entry.Type().IsRegular():
			return copyFile(path, to)
		}
		return fmt.Errorf("copy: %s is neither a file nor a directory", path)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	err = out.Truncate(info.Size())
	if err == nil {
		err = copyData(out, in)
	}
	return errors.Join(err, out.Close())
}

// copyData copies what is not a hole.
func copyData(out, in *os.File) error {
	return measure.EachExtent(in, func(offset, length int64) error {
		if _, err := out.Seek(offset, io.SeekStart); err != nil {
			return err
		}
		_, err := io.CopyN(out, in, length)
		return err
	})
}

// joinRemove deletes dir and returns err, with what went wrong thereby.
func joinRemove(err error, dir string) error { return errors.Join(err, os.RemoveAll(dir)) }
