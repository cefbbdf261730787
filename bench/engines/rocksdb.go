//go:build rocksdb

package engines

import "github.com/aegis-storage/aegis/bench/engine/rocksdb"

func init() { tagged = append(tagged, rocksdb.Driver) }
