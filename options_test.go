package aegis

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/pelletier/go-toml/v2"
)

func TestOptionsDefaults(t *testing.T) {
	for name, o := range map[string]*Options{"nil": nil, "zero": {}, "zero limits": {Limits: &Limits{}}} {
		e, err := o.effective()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if *e.Limits != messages.DefaultLimits() {
			t.Errorf("%s: limits are %+v, want the defaults", name, *e.Limits)
		}
		if e.Compression != LZ4 || e.Durability != Sync || e.DisableWAL || e.ReadOnly {
			t.Errorf("%s: %+v is not durable and usual", name, e)
		}
		if e.MemoryBudget != 256<<20 || e.CheckpointBytes != 32<<20 || e.SyncInterval != 100*time.Millisecond {
			t.Errorf("%s: %+v has other sizes than documented", name, e)
		}
		if e.Logger == nil || e.Observer.Progress == nil {
			t.Errorf("%s: Logger and Progress must be callable", name)
		}
		e.Observer.Progress(Progress{})
		e.Logger.Info("discarded")
	}
}

// Effective options stay as they are, and the caller's are not touched.
func TestOptionsEffectiveTwice(t *testing.T) {
	for _, o := range []Options{
		{},
		{Compression: Zstd, MemoryBudget: 1 << 20},
		{MemoryBudget: minMemoryBudget, Limits: &Limits{SegmentBytes: 64 << 10, SyncInterval: time.Second}},
		{CheckpointBytes: 1 << 20, Durability: NoSync, DisableWAL: true, ReadOnly: true},
		{Compression: NoCompression, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))},
	} {
		before := o
		once, err := o.effective()
		if err != nil {
			t.Fatalf("%v: %v", o, err)
		}
		twice, err := once.effective()
		if err != nil {
			t.Fatalf("effective options are refused: %v", err)
		}
		if *once.Limits != *twice.Limits {
			t.Errorf("limits changed from %+v to %+v", *once.Limits, *twice.Limits)
		}
		if a, b := once.String(), twice.String(); a != b {
			t.Errorf("options changed from\n%s to\n%s", a, b)
		}
		if o.Limits != before.Limits || o.MemoryBudget != before.MemoryBudget || o.Compression != before.Compression {
			t.Errorf("effective changed the caller's options")
		}
	}
}

func TestOptionsInvalid(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Compression: 9}, "aegis: option Compression is 9, allowed are NoCompression, LZ4 and Zstd"},
		{Options{CompressionLevel: 3}, "aegis: option CompressionLevel is 3, but only Zstd has levels: with lz4 it must be 0"},
		{Options{Compression: NoCompression, CompressionLevel: 1}, "aegis: option CompressionLevel is 1, but only Zstd has levels: with none it must be 0"},
		{Options{Compression: Zstd, CompressionLevel: 5}, "aegis: option CompressionLevel is 5, allowed are 1 to 4, and 0 for the default of 1"},
		{Options{Compression: Zstd, CompressionLevel: -1}, "aegis: option CompressionLevel is -1, allowed are 1 to 4, and 0 for the default of 1"},
		{Options{Durability: 7}, "aegis: option Durability is 7, allowed are Sync and NoSync"},
		{Options{MaxSnapshotAge: -time.Second}, "aegis: option MaxSnapshotAge is -1s, allowed are 0 (no limit) and above"},
		{Options{MemoryBudget: 1000}, "aegis: option MemoryBudget is 1000 bytes, the least is 65536 (64KiB)"},
		{Options{MemoryBudget: -1}, "aegis: option MemoryBudget is -1 bytes, the least is 65536 (64KiB)"},
		{Options{SyncInterval: -1}, "aegis: option SyncInterval is -1ns, allowed are 0 (default) and above"},
		{Options{SyncInterval: 1, Limits: &Limits{SyncInterval: 2}}, "aegis: options SyncInterval (1ns) and Limits.SyncInterval (2ns) disagree, set one of them"},
		{Options{CheckpointBytes: -1}, "aegis: option CheckpointBytes is -1, allowed are 0 (default) and above"},
		{Options{CheckpointBytes: 4096, Limits: &Limits{IndexBytes: 8192}}, "aegis: options CheckpointBytes (4096) and Limits.IndexBytes (8192) disagree, set one of them"},
		{Options{CheckpointBytes: 100 << 20}, "aegis: option CheckpointBytes is 104857600, the most is 67108864: a quarter of MemoryBudget"},
		{Options{CheckpointBytes: 5}, "aegis: options: limit IndexBytes is 5, the least is 1024"},
		{Options{Limits: &Limits{FanIn: 1}}, "aegis: options: limit FanIn is 1, the least is 2"},
	} {
		_, err := c.o.effective()
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if first, _, _ := strings.Cut(c.o.String(), "\n"); first != "# "+c.want {
			t.Errorf("String begins with %q, want the error", first)
		}
	}
}

// A small budget must not be eaten by one chunk of the index.
func TestOptionsSmallBudget(t *testing.T) {
	e, err := (&Options{MemoryBudget: 1 << 20}).effective()
	if err != nil {
		t.Fatal(err)
	}
	if e.CheckpointBytes != 128<<10 || e.Limits.ChunkBytes != 8<<10 {
		t.Errorf("index of %d in chunks of %d, want 128 KiB in 8 KiB", e.CheckpointBytes, e.Limits.ChunkBytes)
	}
	e, err = (&Options{MemoryBudget: 1 << 20, Limits: &Limits{ChunkBytes: 1024}}).effective()
	if err != nil || e.Limits.ChunkBytes != 1024 {
		t.Errorf("ChunkBytes that were set are %d (%v), want 1024", e.Limits.ChunkBytes, err)
	}
}

type otherBackend struct{ backends.Backend }

func TestOptionsString(t *testing.T) {
	o := Options{
		Backend: backends.NewMemory(), Compression: Zstd, CompressionLevel: 3, MemoryBudget: 1e9,
		Durability: NoSync, DisableWAL: true, ReadOnly: true, MaxSnapshotAge: time.Hour,
		Limits: &Limits{FanIn: 3, RetryInterval: 2 * time.Second},
	}
	want := `backend = "memory"
read_only = true
compression = "zstd"
compression_level = 3
buffer_pool_size = "1GB"
sync_on_commit = false
sync_interval = "100ms"
wal_enabled = false
checkpoint_bytes = "125MB"
max_snapshot_age = "1h0m0s"
limits.fan_in = 3
limits.retry_interval = "2s"
`
	if got := o.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	o.Backend = otherBackend{}
	if got := o.String(); !strings.HasPrefix(got, `backend = "aegis.otherBackend"`) {
		t.Errorf("another backend is shown as\n%s", got)
	}
	var parsed map[string]any
	if err := toml.Unmarshal([]byte(o.String()), &parsed); err != nil {
		t.Errorf("String is no TOML: %v", err)
	}
}

// defaultWord finds the default in the doc of a field of Options.
var defaultWord = regexp.MustCompile(`Default: (nil|[0-9]+ [KMG]iB|[a-z0-9]+)`)

// TestOptionsDocumentedDefaults holds the doc of each field against the code's default. It
// guards against "Documented configuration keys that do not match the code's".
func TestOptionsDocumentedDefaults(t *testing.T) {
	e, err := (*Options)(nil).effective()
	if err != nil {
		t.Fatal(err)
	}
	docs, err := optionDocs()
	if err != nil {
		t.Fatal(err)
	}
	typ := reflect.TypeOf(Options{})
	if n := typ.NumField(); n >= 15 {
		t.Errorf("Options has %d fields, the most is 14", n)
	}
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		match := defaultWord.FindStringSubmatch(docs[name])
		if match == nil {
			t.Errorf("the doc of Options.%s has no \"Default: …\"", name)
			continue
		}
		if want := defaultOf(reflect.ValueOf(e).Field(i), name); match[1] != want {
			t.Errorf("Options.%s documents its default as %q, the code's is %q", name, match[1], want)
		}
	}
}

// defaultOf prints a default as the docs do.
func defaultOf(v reflect.Value, name string) string {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Func:
		return "nil" // what effective puts there means the same
	case reflect.Bool:
		return fmt.Sprint(v.Bool())
	}
	switch x := v.Interface().(type) {
	case Durability:
		if x == Sync {
			return "sync"
		}
		return "nosync"
	case int64:
		if strings.Contains(name, "Bytes") || strings.Contains(name, "Budget") {
			return strings.Replace(formatSize(x), "MiB", " MiB", 1)
		}
	}
	if name == "CompressionLevel" {
		zstd, _ := (&Options{Compression: Zstd}).effective()
		return fmt.Sprint(zstd.CompressionLevel)
	}
	return fmt.Sprint(v.Interface())
}

// optionDocs returns the doc of each field of Options, on one line.
func optionDocs() (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "options.go", nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Options" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			docs[f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
		return false
	})
	if len(docs) == 0 {
		return nil, errors.New("options.go has no Options")
	}
	return docs, nil
}

func TestCompressionNames(t *testing.T) {
	for c, want := range map[Compression]string{DefaultCompression: "lz4", NoCompression: "none", LZ4: "lz4", Zstd: "zstd", 9: "Compression(9)"} {
		if c.String() != want {
			t.Errorf("%d is %q, want %q", uint8(c), c, want)
		}
		codec, err := c.codec(0)
		if (err != nil) != (c > Zstd) || err == nil && codec.Compression.String() != want {
			t.Errorf("codec of %s is %v (%v)", want, codec, err)
		}
	}
}
