package aegis_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// A process commits under load and is killed at a random moment, again and again, on the same
// directory. The child tells what was acknowledged on its standard output; a line that the parent
// reads was written after the commit had returned. AEGIS_KILL_ROUNDS sets the number of rounds.

const (
	killDir     = "AEGIS_KILL_DIR" // its presence makes this process the child
	killSeed    = "AEGIS_KILL_SEED"
	killRound   = "AEGIS_KILL_ROUND"
	killFloors  = "AEGIS_KILL_FLOORS"
	killClients = 5
)

func TestKill(t *testing.T) {
	if os.Getenv(killDir) != "" {
		killChild(t)
		return
	}
	dir, seed := t.TempDir(), rand.Uint64()
	load := newLoad(seed, killClients)
	load.large = true
	for i := range load.floor {
		load.attempted[i].Store(math.MaxUint64)
	}
	rounds := crashCount(t, "AEGIS_KILL_ROUNDS", 16)
	for round := range rounds {
		if err := killOnce(load, dir, round); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		// Every other round the next child recovers what two or more kills have left.
		if round%2 == 0 && round != rounds-1 {
			continue
		}
		if err := killCheck(load, dir, round); err != nil {
			t.Fatalf("seed %d, after round %d: %v", seed, round, err)
		}
	}
	var total uint64
	for i := range load.floor {
		total += load.floor[i].Load()
	}
	t.Logf("%d rounds, %d commits", rounds, total)
	if os.Getenv("AEGIS_KILL_ROUNDS") == "" && total < uint64(rounds)*20 {
		t.Errorf("only %d commits in %d rounds", total, rounds)
	}
}

// killCheck recovers in this process.
func killCheck(load *crashLoad, dir string, round int) error {
	rng := rand.New(rand.NewPCG(load.seed, uint64(round)))
	db, err := aegis.Open(dir, &aegis.Options{Limits: crashLimits(rng), MemoryBudget: 256 << 10})
	if err != nil {
		return err
	}
	err = errors.Join(load.check(db), db.Verify(ctx, nil), db.Close())
	for i := range load.attempted {
		load.attempted[i].Store(math.MaxUint64)
	}
	return err
}

// killOnce starts a child, kills it after some acknowledgements or some time, and takes note of
// what it had acknowledged.
func killOnce(load *crashLoad, dir string, round int) error {
	floors := make([]string, len(load.floor))
	for i := range floors {
		floors[i] = strconv.FormatUint(load.floor[i].Load(), 10)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), killDir+"="+dir, fmt.Sprintf("%s=%d", killSeed, load.seed),
		fmt.Sprintf("%s=%d", killRound, round), killFloors+"="+strings.Join(floors, " "))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(load.seed, uint64(round)<<1|1))
	left := rng.IntN(600)
	limit := 700 * time.Millisecond
	if rng.IntN(4) == 0 { // in the middle of recovery
		limit = time.Duration(rng.IntN(60)) * time.Millisecond
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if !load.heard(lines.Text()) {
			said = append(said, lines.Text())
		}
		if left--; left == 0 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Process.Kill()
	err = cmd.Wait()
	if state := cmd.ProcessState; state.Exited() {
		return fmt.Errorf("the child ended by itself: %w\n%s\n%s", errors.Join(err), strings.Join(said, "\n"), stderr.String())
	}
	return nil
}

// heard takes in a line of the child: "client commit". Those are of commits that must survive.
func (l *crashLoad) heard(line string) bool {
	var client int
	var n uint64
	if _, err := fmt.Sscanf(line, "%d %d", &client, &n); err != nil || client >= len(l.floor) {
		return false
	}
	loadRaise(&l.floor[client], n)
	return true
}

func killChild(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv(killSeed), 10, 64)
	must(t, err)
	round, err := strconv.Atoi(os.Getenv(killRound))
	must(t, err)
	load := newLoad(seed, killClients)
	load.large = true
	load.depth = round % 4
	for i, s := range strings.Fields(os.Getenv(killFloors)) {
		n, err := strconv.ParseUint(s, 10, 64)
		must(t, err)
		load.floor[i].Store(n)
		load.attempted[i].Store(math.MaxUint64)
	}
	rng := rand.New(rand.NewPCG(seed, uint64(round)<<2|2))
	db, err := aegis.Open(os.Getenv(killDir), &aegis.Options{Limits: crashLimits(rng), MemoryBudget: 256 << 10})
	must(t, err)
	must(t, load.check(db))
	var told [killClients]atomic.Uint64
	load.acks = func(client int, n uint64, durable bool) {
		if durable && told[client].Load() < n {
			loadRaise(&told[client], n)
			_, _ = fmt.Fprintf(os.Stdout, "%d %d\n", client, n)
		}
	}
	for i := range load.floor {
		load.acks(i, load.floor[i].Load(), true) // what was recovered has to stay too
	}
	var wg sync.WaitGroup
	for i := range killClients {
		wg.Go(func() {
			if err := load.session(ctx, db, i, math.MaxInt, rand.Uint64()); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}
