package explore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/explore"
)

// A program that keeps a file and forgets to sync the directory: a power cut may take the file's
// name, behind the sync of its bytes, too.
func ExampleBoundaries() {
	subject := func() func(*sim.Life) {
		safe := false
		return func(l *sim.Life) {
			f, err := l.Backend().Create("file")
			switch {
			case l.Last() && safe && !errors.Is(err, fs.ErrExist):
				l.Failf("the file is lost")
			case l.Last():
				return
			}
			l.Must(err)
			_, err = f.WriteAt([]byte("data"), 0)
			l.Must(err)
			l.Must(f.Sync())
			safe = true
			l.Must(f.Close())
		}
	}
	res, err := explore.Boundaries(context.Background(), explore.Config{}, subject)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, failure := range res.Failures {
		end := failure.Plan.Ends[0]
		fmt.Printf("a %v at I/O boundary %d: %v\n", end.Kind, end.At.IO, failure.Failure)
	}
	// Output: a power cut at I/O boundary 7: subject: the file is lost
}
