package measure

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine describes this machine in a line: processor, cores, memory, kernel, Go. What cannot be
// found out is left out.
func Machine() string {
	parts := []string{}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		parts = append(parts, model)
	}
	parts = append(parts, fmt.Sprintf("%d cores", runtime.NumCPU()))
	var kib float64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib); err == nil {
		parts = append(parts, fmt.Sprintf("%.1f GiB memory", kib/(1<<20)))
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(release)))
	}
	return strings.Join(append(parts, runtime.Version()), ", ")
}

// field returns the value of the first line "name: value" of a file, or nothing.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if before, after, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(before) == name {
			return strings.TrimSpace(after)
		}
	}
	return ""
}
