package measure

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Of lseek(2), on Linux.
const (
	seekData = 3
	seekHole = 4
)

// EachExtent calls each for the parts of a file that are not holes, with the file positioned at
// their beginning and their length in bytes. Some engines have files that are mostly a hole, as
// large as they may ever grow.
func EachExtent(f *os.File, each func(offset, length int64) error) error {
	for at := int64(0); ; {
		start, err := f.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			return nil // no data from there on
		}
		if err != nil {
			return err
		}
		end, err := f.Seek(start, seekHole)
		if err != nil {
			return err
		}
		if _, err := f.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if err := each(start, end-start); err != nil {
			return err
		}
		at = end
	}
}
