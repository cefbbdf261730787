package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Usage is what this process has used since it was started.
type Usage struct {
	CPU          time.Duration // user and system, of all threads
	WrittenBytes int64         // given to block devices: pages made dirty, and direct writes; files in memory do not count
}

// ReadUsage returns what this process has used until now.
func ReadUsage() (Usage, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return Usage{}, fmt.Errorf("measure: processor time: %w", err)
	}
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return Usage{}, fmt.Errorf("measure: bytes written: %w", err)
	}
	written, err := counter(text, "write_bytes:")
	if err != nil {
		return Usage{}, err
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return Usage{CPU: cpu, WrittenBytes: written}, nil
}

// counter returns the number after name at the start of a line, as in the files of /proc.
func counter(text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		rest, found := bytes.CutPrefix(line, []byte(name))
		if !found {
			continue
		}
		words := bytes.Fields(rest)
		if len(words) == 0 {
			break
		}
		n, err := strconv.ParseInt(string(words[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("measure: %s %w", name, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("measure: no line %q", name)
}
