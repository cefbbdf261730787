//go:build lmdb

package engines

import "github.com/aegis-storage/aegis/bench/engine/lmdb"

func init() { tagged = append(tagged, lmdb.Driver) }
