package aegis_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// TestClosedStoreIsCollected: nothing keeps a closed store in memory. A program that opens one after the
// other, as the simulator does, would else hold many of them from one collection to the next but one.
func TestClosedStoreIsCollected(t *testing.T) {
	closed := func() weak.Pointer[aegis.DB] {
		db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()}) // not open: its cleanup keeps the store
		must(t, err)
		must(t, db.Put(ctx, b("k"), b("v")))
		must(t, db.Close())
		return weak.Make(db)
	}
	left := 0
	for range 20 { // a stack or a register may keep one of them
		store := closed()
		runtime.GC()
		if store.Value() != nil {
			left++
		}
	}
	if left > 10 {
		t.Errorf("%d of 20 closed stores survived a collection", left)
	}
}
