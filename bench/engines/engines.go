// Package engines lists the engines of the comparison. RocksDB and LMDB need their C libraries, and
// are among them with the build tags rocksdb and lmdb.
package engines

import (
	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/aegisdb"
	"github.com/aegis-storage/aegis/bench/engine/badgerdb"
	"github.com/aegis-storage/aegis/bench/engine/bboltdb"
	"github.com/aegis-storage/aegis/bench/engine/pebbledb"
	"github.com/aegis-storage/aegis/bench/engine/sqlitedb"
)

// tagged are those behind build tags, in the order of their files' names.
var tagged []engine.Driver

// All returns the drivers that this program is built with, aegis first.
func All() []engine.Driver {
	return append([]engine.Driver{
		aegisdb.Driver,
		bboltdb.Driver,
		pebbledb.Driver,
		badgerdb.Driver,
		sqlitedb.Driver,
	}, tagged...)
}
