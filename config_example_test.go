package aegis_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

func ExampleLoadConfig() {
	dir, err := os.MkdirTemp("", "aegis")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "store.toml")
	text := "[storage]\nbackend = \"memory\"\nbuffer_pool_size = \"64MiB\"\nsync_on_commit = false\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	config, err := aegis.LoadConfig(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(config)
	// Output:
	// [storage]
	// backend = "memory"
	// compression = "lz4"
	// buffer_pool_size = "64MiB"
	// wal_enabled = true
	// sync_on_commit = false
}

func ExampleOptions_String() {
	fmt.Print(aegis.Options{Backend: backends.NewMemory(), Compression: aegis.Zstd})
	// Output:
	// backend = "memory"
	// read_only = false
	// compression = "zstd"
	// compression_level = 1
	// buffer_pool_size = "256MiB"
	// sync_on_commit = true
	// sync_interval = "100ms"
	// wal_enabled = true
	// checkpoint_bytes = "32MiB"
	// max_snapshot_age = "0s"
}
