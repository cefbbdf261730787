package plant

import (
	"fmt"
	"os/exec"
	"testing"
)

// buildOrdinary compiles the test program without any bug.
func buildOrdinary(t *testing.T, out string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, "./sim/plant/testdata/switches")
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
}

// checkSwitches asks the test program for its bugs.
func checkSwitches(t *testing.T, program string, planted bool) {
	t.Helper()
	said, err := exec.Command(program, "ack-before-sync", "no-such-bug").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "false 0\nack-before-sync not a planted build false\nno-such-bug not a planted build false\n"
	if planted {
		want = fmt.Sprintf("true %d\nack-before-sync <nil> true\nno-such-bug no planted bug \"no-such-bug\" false\n", len(Catalogue()))
	}
	if string(said) != want {
		t.Errorf("%s says\n%swant\n%s", program, said, want)
	}
}
