package flusher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

const checkpointPrefix = "checkpoint-"

// The two copies of a checkpoint.
var copies = [...]string{".a", ".b"}

// checkpointName returns the name of one copy of checkpoint number.
func checkpointName(number uint64, suffix string) string {
	var name [len(checkpointPrefix) + 18]byte
	return string(append(appendCheckpointName(name[:0], number), suffix...))
}

// appendCheckpointName appends all but the suffix.
func appendCheckpointName(dst []byte, number uint64) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, checkpointPrefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[number>>shift&15])
	}
	return dst
}

// Name returns the name of the checkpoint's first copy.
func (c *Checkpoint) Name() string { return checkpointName(c.Number, copies[0]) }

// parseCheckpointName is the inverse of checkpointName. Only names that it gives are ours.
func parseCheckpointName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, checkpointPrefix)
	if !ok || len(digits) != 18 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits[:16], 16, 64)
	if err != nil {
		return 0, false
	}
	var same [len(checkpointPrefix) + 16]byte
	if string(appendCheckpointName(same[:0], number)) != name[:len(same)] {
		return 0, false
	}
	return number, slices.Contains(copies[:], name[len(same):])
}

// IsCheckpointName reports whether a file is a copy of a checkpoint, by its name.
func IsCheckpointName(name string) bool {
	_, ok := parseCheckpointName(name)
	return ok
}

// Load returns the newest checkpoint of which a copy is whole, and nil if the backend has no
// checkpoint. If every copy of every checkpoint is bad, the error is the *pages.CorruptionError
// of the newest; a copy that cannot be read at all is the medium's error instead: it must not
// make an older state the newest.
//
// Torn copies of a checkpoint that was being published when a crash came are passed over: the
// one before it is then still complete, with its tables and its log. The second copy is created
// after the first was synced, so a directory that holds nothing but first copies, all torn, is
// one whose first publication was cut short, and counts as having none.
func Load(b backends.Backend) (*Checkpoint, error) {
	files, err := b.List()
	if err != nil {
		return nil, fmt.Errorf("flusher: list files: %w", err)
	}
	numbers, single := checkpointNumbers(files)
	var newest error
	for _, n := range slices.Backward(numbers) {
		c, err := readCopies(b, n)
		if err == nil {
			return c, nil
		}
		var bad *pages.CorruptionError
		if !errors.As(err, &bad) {
			return nil, err
		}
		if newest == nil {
			newest = err
		}
	}
	if single && len(files) == len(numbers) {
		return nil, nil
	}
	return nil, newest
}

// checkpointNumbers returns the numbers of the checkpoints that have a file, ascending, and
// whether none of them has two.
func checkpointNumbers(files []backends.FileInfo) (numbers []uint64, single bool) {
	single = true
	for _, f := range files {
		n, ok := parseCheckpointName(f.Name)
		if !ok {
			continue
		}
		if len(numbers) > 0 && numbers[len(numbers)-1] == n {
			single = false
			continue
		}
		numbers = append(numbers, n)
	}
	return numbers, single
}

// readCopies returns checkpoint number from whichever copy is whole. Otherwise an error of the
// medium is preferred to a corruption.
func readCopies(b backends.Backend, number uint64) (*Checkpoint, error) {
	var first error
	for _, suffix := range copies {
		c, err := readCheckpoint(b, number, suffix)
		if err == nil {
			return c, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var bad *pages.CorruptionError
		if first == nil || errors.As(first, &bad) && !errors.As(err, &bad) {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("flusher: checkpoint %d: %w", number, fs.ErrNotExist)
	}
	return nil, first
}

// LoadNumber returns checkpoint number, from whichever copy is whole. One that a newer one has
// replaced is an error for which errors.Is(err, fs.ErrNotExist).
func LoadNumber(b backends.Backend, number uint64) (*Checkpoint, error) { return readCopies(b, number) }

func readCheckpoint(b backends.Backend, number uint64, suffix string) (*Checkpoint, error) {
	name := checkpointName(number, suffix)
	contents, err := readFile(b, name)
	if err != nil {
		return nil, fmt.Errorf("flusher: read %s: %w", name, err)
	}
	c, err := DecodeCheckpoint(contents, name)
	if err != nil {
		return nil, err
	}
	if c.Number != number {
		return nil, &pages.CorruptionError{File: name, Offset: checkpointHead,
			What: fmt.Sprintf("holds checkpoint %d", c.Number)}
	}
	return c, nil
}

func readFile(b backends.Backend, name string) (contents []byte, err error) {
	f, err := b.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	contents = make([]byte, size)
	n, err := f.ReadAt(contents, 0)
	if n == len(contents) && errors.Is(err, io.EOF) {
		err = nil
	}
	return contents[:n], err
}

// Open makes the runs of c, newest first. Every table file must be there with its size: one that
// is not is a *pages.CorruptionError. No page is read; cache takes those that readers load.
func Open(b backends.Backend, c *Checkpoint, cache *pages.Cache) ([]*pages.Run, error) {
	files, err := b.List()
	if err != nil {
		return nil, fmt.Errorf("flusher: list files: %w", err)
	}
	sizes := make(map[string]int64, len(files))
	for _, f := range files {
		sizes[f.Name] = f.Size
	}
	runs := make([]*pages.Run, 0, len(c.Runs))
	for i := range c.Runs {
		m := &c.Runs[i]
		r := &pages.Run{Tier: m.Tier, SeqLo: m.SeqLo, SeqHi: m.SeqHi, Consumed: m.Consumed}
		for j := range m.Tables {
			name := pages.TableName(m.Tables[j].ID)
			size, ok := sizes[name]
			if !ok || size != m.Tables[j].Size {
				return nil, &pages.CorruptionError{File: name, Offset: size,
					What: fmt.Sprintf("checkpoint %d names a table of %d bytes, found %d", c.Number, m.Tables[j].Size, size)}
			}
			r.Tables = append(r.Tables, openTable(b, m.Tables[j], cache))
		}
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("flusher: run %d of checkpoint %d: %w", i, c.Number, err)
		}
		runs = append(runs, r.Seal())
	}
	return runs, nil
}

// openTable makes the table of a file that is opened when a page of it is first read.
func openTable(b backends.Backend, m pages.TableMeta, cache *pages.Cache) *pages.Table {
	return pages.NewTable(m, func() (pages.File, error) { return b.Open(pages.TableName(m.ID)) }, cache)
}

// RemoveOrphans removes the table and checkpoint files that c does not name: what a crash left
// of jobs that were under way, and of files that waited for their removal. It is called after a
// recovery that succeeded, before a machine is started. Files that do not have our names stay.
func RemoveOrphans(b backends.Backend, c *Checkpoint) (removed int, err error) {
	files, err := b.List()
	if err != nil {
		return 0, fmt.Errorf("flusher: list files: %w", err)
	}
	named := make(map[string]bool)
	for _, r := range c.Runs {
		for _, t := range r.Tables {
			named[pages.TableName(t.ID)] = true
		}
	}
	for _, suffix := range copies {
		named[checkpointName(c.Number, suffix)] = true
	}
	var errs []error
	for _, f := range files {
		_, table := pages.ParseTableName(f.Name)
		_, checkpoint := parseCheckpointName(f.Name)
		if named[f.Name] || !table && !checkpoint {
			continue
		}
		if err := b.Remove(f.Name); err != nil {
			errs = append(errs, fmt.Errorf("flusher: remove orphan: %w", err))
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
}

// CheckNewest returns the checkpoint that Load finds in a store that nobody writes. Both copies must be
// whole, unless the publication of it was cut short, as an older checkpoint shows that is still there, or
// that there was none before.
func CheckNewest(b backends.Backend) (*Checkpoint, error) {
	c, err := Load(b)
	if err == nil && c == nil {
		err = fmt.Errorf("flusher: no checkpoint: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	names, err := checkpointFiles(b)
	if err != nil {
		return nil, err
	}
	older := func(name string) bool { n, _ := parseCheckpointName(name); return n < c.Number }
	if c.Number == 1 || slices.ContainsFunc(names, older) {
		return c, nil
	}
	return c, CheckCopies(b, c.Number)
}

// otherCopy says what one bad copy costs: Load reads the other, and a store that opens for writing
// publishes a checkpoint of its own.
const otherCopy = "the other copy is sound, and the next open for writing writes both anew"

// CheckCopies reads both copies of a published checkpoint: each must be whole. If one of them is, the
// error about the other says so.
func CheckCopies(b backends.Backend, number uint64) error {
	var errs []error
	for _, suffix := range copies {
		if _, err := readCheckpoint(b, number, suffix); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) != 1 {
		return errors.Join(errs...)
	}
	if bad := new(pages.CorruptionError); errors.As(errs[0], &bad) {
		return &pages.CorruptionError{File: bad.File, Offset: bad.Offset, What: bad.What + ": " + otherCopy}
	}
	return fmt.Errorf("%w: %s", errs[0], otherCopy)
}
