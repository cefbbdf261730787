package aegis

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
)

const allKeys = `# a store
[storage]
backend = "local"
data_directory = "/var/lib/store"
compression = "zstd"
buffer_pool_size = "1GB"
wal_enabled = true
sync_on_commit = false
`

func TestConfigAllKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.toml")
	if err := os.WriteFile(file, []byte(allKeys), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	o := c.Options
	if c.Directory != "/var/lib/store" || o.Backend != nil || o.Compression != Zstd || o.MemoryBudget != 1e9 || o.DisableWAL || o.Durability != NoSync {
		t.Errorf("got %+v", c)
	}
}

func TestConfigValues(t *testing.T) {
	const local = "[storage]\ndata_directory = 'd'\n"
	for _, c := range []struct {
		text string
		ok   func(Config) bool
	}{
		{local, func(c Config) bool { return c.Directory == "d" && reflect.DeepEqual(c.Options, Options{}) }},
		{"[storage]\nbackend = 'memory'", func(c Config) bool { _, ok := c.Options.Backend.(*backends.Memory); return ok }},
		{"storage.backend = 'memory'", func(c Config) bool { return c.Options.Backend != nil }},
		{"storage = {data_directory = 'x', compression = 'lz4'}", func(c Config) bool { return c.Directory == "x" && c.Options.Compression == LZ4 }},
		{local + "compression = 'none'", func(c Config) bool { return c.Options.Compression == NoCompression }},
		{local + "wal_enabled = false", func(c Config) bool { return c.Options.DisableWAL }},
		{local + "sync_on_commit = true", func(c Config) bool { return c.Options.Durability == Sync }},
		{local + "buffer_pool_size = 1_000_000", func(c Config) bool { return c.Options.MemoryBudget == 1e6 }},
		{local + "buffer_pool_size = '64MiB'", func(c Config) bool { return c.Options.MemoryBudget == 64<<20 }},
		{local + "buffer_pool_size = '512kb'", func(c Config) bool { return c.Options.MemoryBudget == 512e3 }},
	} {
		got, err := parseConfig("c.toml", []byte(c.text))
		if err != nil || !c.ok(got) {
			t.Errorf("%s\ngives %+v, %v", c.text, got, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	const known = " is unknown, allowed keys are backend, data_directory, compression, buffer_pool_size, wal_enabled, sync_on_commit"
	const size = `, allowed is a size of at least 64KiB, such as 67108864, "64MiB" (1024s) or "64MB" (1000s); units are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB`
	for _, c := range []struct{ text, want string }{
		{"", `aegis: config c.toml: storage.data_directory is missing, the backend "local" needs a path`},
		{"# none\n\n[storage]\ncompression = 'lz4'\n", `aegis: config c.toml:3: storage.data_directory is missing, the backend "local" needs a path`},
		{"[storage]\n\ndata_directory = ''", `aegis: config c.toml:3: storage.data_directory is "", allowed is a path`},
		{"[storage]\n\ndata_directory = 7", `aegis: config c.toml:3: storage.data_directory is 7, allowed is a path`},
		{d + "backend = 'disk'", `aegis: config c.toml:3: storage.backend is "disk", allowed is "local" or "memory"`},
		{d + "backend = 'Local'", `aegis: config c.toml:3: storage.backend is "Local", allowed is "local" or "memory"`},
		{d + "backend = 5", `aegis: config c.toml:3: storage.backend is 5, allowed is "local" or "memory"`},
		{d + "backend = ['local']", `aegis: config c.toml:3: storage.backend is an array, allowed is "local" or "memory"`},
		{d + "backend.kind = 'local'", `aegis: config c.toml:3: storage.backend is a table, allowed is "local" or "memory"`},
		{d + "compression = 'gzip'", `aegis: config c.toml:3: storage.compression is "gzip", allowed is "none", "lz4" or "zstd"`},
		{d + "compression = false", `aegis: config c.toml:3: storage.compression is false, allowed is "none", "lz4" or "zstd"`},
		{d + "buffer_pool_size = '64 parsec'", `aegis: config c.toml:3: storage.buffer_pool_size is "64 parsec"` + size},
		{d + "buffer_pool_size = '64M'", `aegis: config c.toml:3: storage.buffer_pool_size is "64M"` + size},
		{d + "buffer_pool_size = 'MiB'", `aegis: config c.toml:3: storage.buffer_pool_size is "MiB"` + size},
		{d + "buffer_pool_size = '1.5GB'", `aegis: config c.toml:3: storage.buffer_pool_size is "1.5GB"` + size},
		{d + "buffer_pool_size = '-64MB'", `aegis: config c.toml:3: storage.buffer_pool_size is "-64MB"` + size},
		{d + "buffer_pool_size = '9000000TiB'", `aegis: config c.toml:3: storage.buffer_pool_size is "9000000TiB"` + size},
		{d + "buffer_pool_size = '1KiB'", `aegis: config c.toml:3: storage.buffer_pool_size is "1KiB"` + size},
		{d + "buffer_pool_size = 64.5", `aegis: config c.toml:3: storage.buffer_pool_size is 64.5` + size},
		{d + "buffer_pool_size = true", `aegis: config c.toml:3: storage.buffer_pool_size is true` + size},
		{d + "buffer_pool_size = 0", `aegis: config c.toml:3: storage.buffer_pool_size is 0` + size},
		{d + "wal_enabled = 'yes'", `aegis: config c.toml:3: storage.wal_enabled is "yes", allowed is true or false`},
		{d + "sync_on_commit = 1", `aegis: config c.toml:3: storage.sync_on_commit is 1, allowed is true or false`},
		{d + "sync = true", `aegis: config c.toml:3: storage.sync` + known},
		{d + "Backend = 'memory'", `aegis: config c.toml:3: storage.Backend` + known},
		{d + "[storage.extra]\nx = 1", `aegis: config c.toml:3: storage.extra` + known},
		{d + "[server]\nport = 1", `aegis: config c.toml:3: unknown key server, the only table is [storage]`},
		{"data_directory = 'd'\n" + s, `aegis: config c.toml:1: unknown key data_directory, the only table is [storage]`},
		{"[Storage]\n" + s, `aegis: config c.toml:1: unknown key Storage, the only table is [storage]`},
		{"storage = 7", `aegis: config c.toml:1: storage is no table, write [storage]`},
		{"storage = {data_directory = 'd', sync = 1, wal_enabled = true}", `aegis: config c.toml:1: storage.sync` + known},
		{"[[storage]]\nbackend = 'memory'", `aegis: config c.toml:1: storage is no table, write [storage]`},
		{d + "data_directory = 'e'", `aegis: config c.toml:3: toml: key data_directory is already defined`},
		{d + "backend = local", `aegis: config c.toml:3: toml: unexpected character U+006C 'l' at start of value`},
		{"[storage", `aegis: config c.toml:1: toml: expected ']' to close table name`},
	} {
		got, err := parseConfig("c.toml", []byte(c.text+"\n"))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
		if !reflect.DeepEqual(got, Config{}) {
			t.Errorf("%s\ngives %+v with an error", c.text, got)
		}
	}
}

const (
	d = "[storage]\ndata_directory = 'd'\n"
	s = "[storage]\nbackend = 'memory'\n"
)

// All problems are reported at once, in the order of the file.
func TestConfigManyErrors(t *testing.T) {
	_, err := parseConfig("c.toml", []byte("[storage]\nbackend = 'x'\nsync = 1\nwal_enabled = 2\n"))
	var lines []string
	for _, line := range strings.Split(fmt.Sprint(err), "\n") {
		where, _, _ := strings.Cut(strings.TrimPrefix(line, "aegis: config "), " ")
		lines = append(lines, where)
	}
	if got := strings.Join(lines, " "); got != "c.toml:2: c.toml:3: c.toml:4: c.toml:1:" {
		t.Errorf("got %s in\n%v", got, err)
	}
}

func TestConfigMissingFile(t *testing.T) {
	_, err := LoadConfig(filepath.Join(t.TempDir(), "absent.toml"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "aegis: config: ") {
		t.Errorf("got %v", err)
	}
}

func TestConfigString(t *testing.T) {
	c, err := parseConfig("c.toml", []byte(allKeys))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(allKeys, "# a store\n"); c.String() != want {
		t.Errorf("got\n%s\nwant\n%s", c, want)
	}
	c.Options.MaxSnapshotAge = 1e9
	c.Directory = "a \"quoted\\\" place\nwith ünicode\x7f"
	if !strings.HasSuffix(c.String(), "# max_snapshot_age = \"1s\"\n") {
		t.Errorf("an option that a file cannot set is not a comment in\n%s", c)
	}
	again, err := parseConfig("c.toml", []byte(c.String()))
	if err != nil || again.Directory != c.Directory {
		t.Errorf("%q came back as %q (%v)", c.Directory, again.Directory, err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17b": 17, "1kb": 1000, "1 KiB": 1024, "3MB": 3e6, "3mib": 3 << 20, "1GB": 1e9,
		"1gIb": 1 << 30, "2TB": 2e12, "2tib": 2 << 40, " 5 B ": 5, "9223372036854775807": math.MaxInt64,
	} {
		got, ok := parseSize(text)
		if !ok || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, ok, want)
		}
		if again, ok := parseSize(formatSize(got)); !ok || again != got {
			t.Errorf("%d is printed as %s", got, formatSize(got))
		}
	}
	for _, text := range []string{"", " ", "B", "-1", "+1", "1.5MB", "1e6", "1MBB", "0x10", "5x5MB", "9223372036854775808", "9223372036854775807KB", "1PB", "1k"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

// TestConfigDocs holds the table in the doc of Config, and the README's if it has one, against
// the code. It guards against "Documented configuration keys that do not match the code's".
func TestConfigDocs(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, group := range file.Comments {
		if !strings.HasPrefix(group.Text(), "Config is ") {
			continue
		}
		for _, line := range strings.Split(group.Text(), "\n") {
			if cells := strings.Fields(line); strings.HasPrefix(line, "\t") && cells[0] != "key" {
				rows = append(rows, cells)
			}
		}
	}
	if len(rows) != len(configKeys) {
		t.Fatalf("the doc of Config has %d keys, the code %d", len(rows), len(configKeys))
	}
	for i, k := range configKeys {
		line := strings.Join(rows[i], " ")
		if want := k.name + " " + k.allowed + " " + configDefault(k) + " "; !strings.HasPrefix(line, want) {
			t.Errorf("the doc of Config has\n%s\nit must begin with\n%s", line, want)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil || !strings.Contains(string(readme), "buffer_pool_size") {
		return
	}
	if table := readmeTable(); !strings.Contains(string(readme), table) {
		t.Errorf("README.md tells of the configuration, so it must have this table:\n%s", table)
	}
}

// readmeTable is the table of keys, as the README must have it.
func readmeTable() string {
	var b strings.Builder
	b.WriteString("| key in `[storage]` | allowed | default |\n|---|---|---|\n")
	for _, k := range configKeys {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, strings.ReplaceAll(k.allowed, `"`, "`"), strings.ReplaceAll(configDefault(k), `"`, "`"))
	}
	return b.String()
}

// configDefault is what an unset key stands for, as the code prints it.
func configDefault(k configKey) string {
	for _, line := range strings.Split((Config{}).String(), "\n") {
		if value, ok := strings.CutPrefix(line, k.name+" = "); ok && value != `""` {
			return value
		}
	}
	return "none"
}
