package aegis

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/aegis-storage/aegis/backends"
	"github.com/pelletier/go-toml/v2"
)

// Config is what a configuration file says: where a store is and its Options. The file is TOML
// with one table, [storage], and these keys:
//
//	key               allowed                  default   effect
//	backend           "local" or "memory"      "local"   files in data_directory, or in memory only
//	data_directory    a path                   none      the store's directory; "local" needs it
//	compression       "none", "lz4" or "zstd"  "lz4"     Options.Compression
//	buffer_pool_size  a size of at least 64KiB "256MiB"  Options.MemoryBudget
//	wal_enabled       true or false            true      false: Options.DisableWAL
//	sync_on_commit    true or false            true      false: Options.Durability is NoSync
//
// A size is a whole number of bytes, or a string of a whole number and a unit in capitals or
// small letters: B, KB, MB, GB, TB count in powers of 1000, KiB, MiB, GiB, TiB in powers of 1024.
// A relative data_directory is relative to the working directory of the process. Without a log
// sync_on_commit has no effect. Everything else that Options can say is set in Go, on
// Config.Options, before Open.
type Config struct {
	Directory string
	Options   Options
}

// LoadConfig reads a configuration file. It opens nothing. All that is wrong with the file is
// reported at once: one line for each problem, with the file, the line, the key and what is
// allowed.
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("aegis: config: %w", err)
	}
	return parseConfig(path, text)
}

// Open opens the store that c describes.
func (c Config) Open() (*DB, error) { return Open(c.Directory, &c.Options) }

// String returns c as a configuration file, with every key. Options that a file cannot set
// follow as comments where they differ from what the keys imply.
func (c Config) String() string {
	o := c.Options
	implied := Options{
		Backend: o.Backend, Compression: o.Compression, MemoryBudget: o.MemoryBudget,
		Durability: o.Durability, DisableWAL: o.DisableWAL,
	}.rows()
	rows := o.rows()
	var b strings.Builder
	b.WriteString("[" + configTable + "]\n")
	for _, k := range configKeys {
		if i := slices.IndexFunc(rows, func(r optionRow) bool { return r.key == k.name }); i >= 0 {
			fmt.Fprintf(&b, "%s = %s\n", k.name, rows[i].value)
		} else if c.Directory != "" {
			fmt.Fprintf(&b, "%s = %s\n", k.name, quoteTOML(c.Directory))
		}
	}
	for _, r := range rows {
		if !slices.Contains(implied, r) {
			fmt.Fprintf(&b, "# %s = %s\n", r.key, r.value)
		}
	}
	return b.String()
}

const configTable = "storage"

// A configKey is one key of the file. set puts a value of TOML into the Config, or answers
// false if it is none of the allowed ones.
type configKey struct {
	name    string
	allowed string
	set     func(c *Config, v any) bool
}

// configKeys are the keys in the order in which they are documented and printed.
var configKeys = []configKey{
	{"backend", `"local" or "memory"`, func(c *Config, v any) bool {
		if v == "memory" {
			c.Options.Backend = backends.NewMemory()
		}
		return v == "local" || v == "memory"
	}},
	{"data_directory", "a path", func(c *Config, v any) bool {
		dir, ok := v.(string)
		c.Directory = dir
		return ok && dir != "" && !strings.Contains(dir, "\x00")
	}},
	{"compression", `"none", "lz4" or "zstd"`, func(c *Config, v any) bool {
		i := slices.IndexFunc(compressions, func(k Compression) bool { return v == k.String() })
		if i >= 0 {
			c.Options.Compression = compressions[i]
		}
		return i >= 0
	}},
	{"buffer_pool_size", "a size of at least " + formatSize(minMemoryBudget), func(c *Config, v any) bool {
		size, ok := v.(int64)
		if text, isText := v.(string); isText {
			size, ok = parseSize(text)
		}
		c.Options.MemoryBudget = size
		return ok && size >= minMemoryBudget
	}},
	{"wal_enabled", "true or false", func(c *Config, v any) bool {
		on, ok := v.(bool)
		c.Options.DisableWAL = !on
		return ok
	}},
	{"sync_on_commit", "true or false", func(c *Config, v any) bool {
		on, ok := v.(bool)
		if !on {
			c.Options.Durability = NoSync
		}
		return ok
	}},
}

var compressions = []Compression{NoCompression, LZ4, Zstd}

// sizeHint explains sizes where one was not understood.
const sizeHint = `, such as 67108864, "64MiB" (1024s) or "64MB" (1000s); units are B, KB, MB, GB, TB, KiB, MiB, GiB, TiB`

// parseConfig is LoadConfig on the text of a file.
func parseConfig(name string, text []byte) (Config, error) {
	var c Config
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		return Config{}, fmt.Errorf("aegis: config %s%s: %w", name, lineOf(err), err)
	}
	var problems []error
	report := func(line int, format string, args ...any) {
		at := ""
		if line > 0 {
			at = ":" + strconv.Itoa(line)
		}
		problems = append(problems, fmt.Errorf("aegis: config %s%s: %s", name, at, fmt.Sprintf(format, args...)))
	}
	tables := positions(text, 0, &struct{}{})
	for _, key := range inOrder(values, tables) {
		if key != configTable {
			report(tables[key], "unknown key %s, the only table is [%s]", key, configTable)
		}
	}
	storage, isTable := values[configTable].(map[string]any)
	if _, present := values[configTable]; present && !isTable {
		report(tables[configTable], "%s is no table, write [%s]", configTable, configTable)
		return Config{}, errors.Join(problems...)
	}
	keys := positions(text, 1, &struct {
		Storage struct{} `toml:"storage"`
	}{})
	for _, key := range inOrder(storage, keys) {
		if problem := c.setKey(key, storage[key]); problem != "" {
			// A key of an inline table may have no position of its own.
			report(cmp.Or(keys[key], tables[configTable]), "%s.%s %s", configTable, key, problem)
		}
	}
	if c.Options.Backend == nil && storage["data_directory"] == nil {
		report(tables[configTable], "%s.data_directory is missing, the backend \"local\" needs a path", configTable)
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// setKey takes one key of the table over, or says what is wrong with it.
func (c *Config) setKey(name string, v any) (problem string) {
	i := slices.IndexFunc(configKeys, func(k configKey) bool { return k.name == name })
	switch {
	case i < 0:
		var names []string
		for _, k := range configKeys {
			names = append(names, k.name)
		}
		return "is unknown, allowed keys are " + strings.Join(names, ", ")
	case configKeys[i].set(c, v):
		return ""
	case name == "buffer_pool_size":
		return "is " + showValue(v) + ", allowed is " + configKeys[i].allowed + sizeHint
	}
	return "is " + showValue(v) + ", allowed is " + configKeys[i].allowed
}

// showValue prints a value of the file in an error.
func showValue(v any) string {
	switch v := v.(type) {
	case string:
		return quoteTOML(v)
	case map[string]any:
		return "a table"
	case []any:
		return "an array"
	}
	return fmt.Sprint(v)
}

// positions returns the lines of the keys and tables of [storage] (level 1), or of the whole
// text (level 0), that have no field in target: of all of them, as target is empty there.
func positions(text []byte, level int, target any) map[string]int {
	lines := map[string]int{}
	var strict *toml.StrictMissingError
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(target)
	if !errors.As(err, &strict) {
		return lines
	}
	for i := range strict.Errors {
		key := strict.Errors[i].Key()
		if len(key) <= level || level > 0 && key[0] != configTable || lines[key[level]] != 0 {
			continue
		}
		lines[key[level]], _ = strict.Errors[i].Position()
	}
	return lines
}

// inOrder returns the keys of a table in the order of their lines.
func inOrder(table map[string]any, lines map[string]int) []string {
	return slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		return cmp.Or(cmp.Compare(lines[a], lines[b]), cmp.Compare(a, b))
	})
}

// lineOf returns ":line" of an error of the TOML decoder, if it has one.
func lineOf(err error) string {
	var at *toml.DecodeError
	if !errors.As(err, &at) {
		return ""
	}
	line, _ := at.Position()
	return ":" + strconv.Itoa(line)
}
