package bboltdb

import (
	"testing"

	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestBbolt(t *testing.T) { enginetest.Run(t, Driver) }
