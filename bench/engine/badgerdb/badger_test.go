package badgerdb

import (
	"testing"

	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestBadger(t *testing.T) { enginetest.Run(t, Driver) }
