package aegisdb

import (
	"testing"

	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestAegis(t *testing.T) { enginetest.Run(t, Driver) }
