package aegis

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
)

// sizeUnits in the order in which formatSize tries them.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// parseSize reads a whole number of bytes with an optional unit.
func parseSize(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	digits := strings.TrimRightFunc(text, func(r rune) bool { return unicode.IsLetter(r) || r == ' ' })
	unit := strings.TrimSpace(text[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, false
	}
	if unit == "" {
		return int64(n), true
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) {
			return int64(n) * u.bytes, int64(n) <= math.MaxInt64/u.bytes
		}
	}
	return 0, false
}

// formatSize prints bytes exactly, in the unit that makes the shortest number.
func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// quoteTOML returns s as a basic string of TOML.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7F:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// An optionRow is one line of the effective configuration.
type optionRow struct {
	key, value string
}

// String returns the effective configuration as TOML, one key = value per line: the keys of a
// configuration file where there is one, and then those that only Go can set. Options that
// cannot be opened begin with a comment that says why.
func (o Options) String() string {
	var b strings.Builder
	if _, err := o.effective(); err != nil {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for _, r := range o.rows() {
		fmt.Fprintf(&b, "%s = %s\n", r.key, r.value)
	}
	return b.String()
}

// rows returns a row for each option that has a value to print, and one for each limit that is
// not at its default.
func (o Options) rows() []optionRow {
	if e, err := o.effective(); err == nil {
		o = e
	}
	rows := []optionRow{
		{"backend", quoteTOML(backendName(o.Backend))},
		{"read_only", strconv.FormatBool(o.ReadOnly)},
		{"compression", quoteTOML(o.Compression.String())},
		{"compression_level", strconv.Itoa(o.CompressionLevel)},
		{"buffer_pool_size", quoteTOML(formatSize(o.MemoryBudget))},
		{"sync_on_commit", strconv.FormatBool(o.Durability == Sync)},
		{"sync_interval", quoteTOML(o.SyncInterval.String())},
		{"wal_enabled", strconv.FormatBool(!o.DisableWAL)},
		{"checkpoint_bytes", quoteTOML(formatSize(o.CheckpointBytes))},
		{"max_snapshot_age", quoteTOML(o.MaxSnapshotAge.String())},
	}
	if o.Limits == nil {
		return rows
	}
	limits, defaults := reflect.ValueOf(*o.Limits), reflect.ValueOf(messages.DefaultLimits())
	for i := range limits.NumField() {
		name := limits.Type().Field(i).Name
		// These two are printed above.
		if name == "IndexBytes" || name == "SyncInterval" || limits.Field(i).Equal(defaults.Field(i)) {
			continue
		}
		value := fmt.Sprint(limits.Field(i).Interface())
		if limits.Field(i).Type() == reflect.TypeOf(o.SyncInterval) {
			value = quoteTOML(value)
		}
		rows = append(rows, optionRow{"limits." + snakeCase(name), value})
	}
	return rows
}

// backendName names the backend as a configuration file does, where it can.
func backendName(b backends.Backend) string {
	switch b.(type) {
	case nil:
		return "local"
	case *backends.Memory:
		return "memory"
	}
	return cmp.Or(fmt.Sprintf("%T", b), "custom")
}

// snakeCase turns SegmentBytes into segment_bytes.
func snakeCase(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
