package sqlitedb

import (
	"testing"

	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestSQLite(t *testing.T) { enginetest.Run(t, Driver) }
