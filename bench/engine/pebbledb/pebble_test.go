package pebbledb

import (
	"testing"

	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestPebble(t *testing.T) { enginetest.Run(t, Driver) }
