package enginetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/aegis-storage/aegis/bench/engine"
)

// killedDir names the variable that makes a test process the one that is killed. It holds the
// directory of the store.
const killedDir = "ENGINETEST_KILLED_DIR"

const ready = "ENGINETEST_READY"

// fillAndHang writes, tells so, and waits for its end.
func fillAndHang(t *testing.T, d engine.Driver, dir string) {
	c := engine.Config{Dir: dir, CacheBytes: cacheBytes, Compressed: true, Durable: os.Getenv(killedDir+"_DURABLE") != ""}
	s, err := d.Open(c)
	must(t, err)
	fill(t, s, 0, 5000, 1)
	for i := range 50 {
		must(t, s.Put(key(i), value(i, 2)))
	}
	if !c.Durable {
		must(t, s.Sync())
	}
	fmt.Println("\n" + ready)
	select {}
}

// checkKilled opens what a process left that was killed. What was durable must be there.
func checkKilled(t *testing.T, d engine.Driver) {
	for _, durable := range []string{"", "yes"} {
		dir := t.TempDir()
		child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()[:len(t.Name())-len("/Killed")]+"$")
		child.Env = append(os.Environ(), killedDir+"="+dir, killedDir+"_DURABLE="+durable)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines, said := bufio.NewScanner(out), ""
		for said != ready && lines.Scan() {
			said = lines.Text()
		}
		must(t, child.Process.Kill())
		err = child.Wait()
		if said != ready {
			t.Fatalf("the process ended by itself: %q, %v", said, err)
		}
		s := open(t, d, engine.Config{Dir: dir, CacheBytes: cacheBytes, Compressed: true, Durable: true})
		for i := range 5000 {
			version := 1
			if i < 50 {
				version = 2
			}
			expect(t, s, i, version)
		}
	}
}
