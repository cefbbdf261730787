package storecmd

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/inspect"
	"github.com/aegis-storage/aegis/salvage"
)

// TestStats: what a store holds is summed up.
func TestStats(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	run(t, "stats", dir).want(t, cli.ExitClean, "keyspaces        3", "deletions", "to 1", "closed           properly")
	var s storeStats
	must(t, json.Unmarshal([]byte(run(t, "stats", "--json", dir).out), &s))
	if s.Seq == 0 || len(s.Keyspaces) != 3 || s.Tables.Tables == 0 || s.Tables.Entries < 1757 || s.Files.Tables != s.Tables.Bytes || !s.Recovery.Clean {
		t.Errorf("%+v", s)
	}
}

// crashed copies the files of a store that is open, as a crash leaves them, once it has prepared a second
// segment of its log.
func crashed(t *testing.T) (dir string) {
	t.Helper()
	from, dir := t.TempDir(), t.TempDir()
	db, err := aegis.Open(from, nil)
	must(t, err)
	defer db.Close()
	for i := range 3 {
		must(t, db.Put(ctx, fmt.Appendf(nil, "key %d", i), []byte("value")))
	}
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		segments, err := filepath.Glob(filepath.Join(from, "wal-*"))
		must(t, err)
		if len(segments) > 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no second segment beside %v", segments)
		}
	}
	must(t, os.CopyFS(dir, os.DirFS(from)))
	return dir
}

// TestCrashed: a store that was not closed is read, and left as it is.
func TestCrashed(t *testing.T) {
	dir := crashed(t)
	must(t, os.RemoveAll(filepath.Join(dir, backends.LockName)))
	run(t, "stats", dir).want(t, cli.ExitClean, "no: opening replays 3 commits")
	run(t, "scan", dir, "--keys-only").is(t, "key 0\nkey 1\nkey 2\n")
	run(t, "check", dir).want(t, cli.ExitClean, "is sound")
	run(t, "stats", dir).want(t, cli.ExitClean, "replays 3 commits")
	s := run(t, "inspect", dir).want(t, cli.ExitClean, "commits 1 to 3", "no segment: prepared for use")
	var log, spare string
	for line := range strings.Lines(s.out) {
		name, what, _ := strings.Cut(line, " ")
		if strings.Contains(what, "commits 1 to 3") {
			log = name
		} else if strings.Contains(what, "prepared for use") {
			spare = name
		}
	}
	run(t, "inspect", dir, spare).want(t, cli.ExitClean, "groups 0")
	run(t, "inspect", dir, log, "--values").want(t, cli.ExitClean,
		"segment", "record      commit 3  writes 1", `put         key default/"key 2"  value bytes 5  value "value"`, "records 3")
}

// TestCheck: sound, and each damage named with its file and offset.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	run(t, "check", dir).want(t, cli.ExitClean, "is sound, checked in")
	if o := run(t, "check", dir, "--json").object(t); o["sound"] != true {
		t.Errorf("%v", o)
	}
	table := theFile(t, dir, "table-")
	flip(t, table, 100)
	s := run(t, "check", dir).want(t, cli.ExitFound, "page checksum", "1 damage in "+dir)
	if !strings.HasPrefix(s.out, filepath.Base(table)+": offset ") || strings.Count(s.out, "\n") != 1 {
		t.Errorf("output %q", s.out)
	}
	o := run(t, "check", dir, "--json").want(t, cli.ExitFound).object(t)
	damage, _ := o["damage"].([]any)
	if o["sound"] != false || len(damage) != 1 || damage[0].(map[string]any)["file"] != filepath.Base(table) {
		t.Errorf("%v", o)
	}
	run(t, "get", dir, "-k", "users", "user/00001").want(t, cli.ExitFound, "aegis salvage "+dir)
	for _, name := range []string{".a", ".b"} { // then it does not even open
		all, err := filepath.Glob(filepath.Join(dir, "checkpoint-*"+name))
		must(t, err)
		flip(t, all[len(all)-1], 30)
	}
	run(t, "check", dir).want(t, cli.ExitFound, "checkpoint-", "offset ", "1 damage in")
	run(t, "stats", dir).want(t, cli.ExitFound, "aegis inspect "+dir)
	run(t, "inspect", dir).want(t, cli.ExitFound, "DAMAGED: offset ", "checkpoint checksum")
	run(t, "inspect", table).want(t, cli.ExitFound, "damage", "page checksum", "1 damage in "+table)
	must(t, os.Remove(table))
	run(t, "check", dir, "--json").want(t, cli.ExitFound)
}

// TestInspect: a table is shown page by page, a checkpoint table by table, and JSON has the same.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	table := filepath.Base(theFile(t, dir, "table-"))
	s := run(t, "inspect", dir, table, "--entries").want(t, cli.ExitClean, "leaf", "inner  level 1", "filter", "properties", `key keyspace `, `user/00042`, "compression zstd")
	if n := strings.Count(s.out, "    put "); n < 1700 {
		t.Errorf("%d entries", n)
	}
	s = run(t, "inspect", dir, table, "--limit", "3")
	if strings.Count(s.out, "\n") != 3 || !strings.Contains(s.err, "lines more, without --limit") {
		t.Errorf("%+v", s)
	}
	kinds := map[any]bool{}
	for line := range strings.Lines(run(t, "inspect", dir, table, "--json", "--values").out) {
		var o map[string]any
		must(t, json.Unmarshal([]byte(line), &o))
		kinds[o["kind"]] = true
	}
	if !kinds["table"] || !kinds["page"] || !kinds["put"] {
		t.Errorf("%v", kinds)
	}
	run(t, "inspect", theFile(t, dir, "checkpoint-")).want(t, cli.ExitClean, "number ", "run ", table, "compression zstd  level 3")
	must(t, os.Rename(filepath.Join(dir, table), filepath.Join(dir, "renamed")))
	run(t, "inspect", dir).want(t, cli.ExitFound, "names it, and it is not here", "no file of a store")
	run(t, "inspect", dir, "renamed").want(t, cli.ExitClean, "leaf") // known by how it begins
	if o := run(t, "inspect", dir, "--json").object(t); len(o["files"].([]any)) < 4 {
		t.Errorf("%v", o)
	}
}

// TestCompact: it says how much there was and is.
func TestCompact(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	run(t, "delete", dir, "-k", "users", "--prefix", "").is(t, "1,500 keys removed\n")
	o := run(t, "compact", dir, "--json").object(t)
	before, after := o["bytes_before"].(float64), o["bytes_after"].(float64)
	if before <= after || after == 0 {
		t.Errorf("%v", o)
	}
	run(t, "compact", dir).want(t, cli.ExitClean, " of tables before, ")
	run(t, "stats", dir).want(t, cli.ExitClean, "0 of them deletions")
}

// TestConfig: the effective one is printed, and a wrong file is told line by line.
func TestConfig(t *testing.T) {
	base := t.TempDir()
	good, bad := filepath.Join(base, "good.toml"), filepath.Join(base, "bad.toml")
	must(t, os.WriteFile(good, []byte("[storage]\ndata_directory = \"data\"\ncompression = \"zstd\"\n"), 0o644))
	must(t, os.WriteFile(bad, []byte("[storage]\ncompression = \"rar\"\nbuffer_pool_size = 1\n"), 0o644))
	run(t, "config", "print").want(t, cli.ExitClean, `buffer_pool_size = "256MiB"`)
	if o := run(t, "config", "print", "--json").object(t); o["compression"] != "lz4" || o["sync_on_commit"] != true {
		t.Errorf("%v", o)
	}
	run(t, "config", "print", good).want(t, cli.ExitClean, "[storage]", `compression = "zstd"`)
	run(t, "config", "validate", good).is(t, good+" is valid\n")
	run(t, "config", "validate", good, "--json").is(t, `{"problems":[],"valid":true}`+"\n")
	run(t, "config", "validate", bad).want(t, cli.ExitFound, "bad.toml:2", "bad.toml:3", "compression")
	if o := run(t, "config", "validate", bad, "--json").want(t, cli.ExitFound).object(t); o["valid"] != false || len(o["problems"].([]any)) < 2 {
		t.Errorf("%v", o)
	}
	run(t, "config", "print", bad).want(t, cli.ExitFound, "bad.toml:2")
}

// TestBackup: a full and an incremental backup, and the store of both.
func TestBackup(t *testing.T) {
	base := t.TempDir()
	dir, full, more, to := filepath.Join(base, "data"), filepath.Join(base, "full"), filepath.Join(base, "more"), filepath.Join(base, "to")
	fill(t, dir)
	run(t, "backup", dir, full, "--verify").want(t, cli.ExitClean, ", full, of ", "commits up to ")
	run(t, "put", dir, "a", "later").is(t, "")
	if o := run(t, "backup", dir, more, "--since", full, "--json").object(t); o["since"] == "" || o["id"] == "" {
		t.Errorf("%v", o)
	}
	run(t, "backup-info", more, "--verify").want(t, cli.ExitClean, "since ")
	run(t, "restore", to, full, more).want(t, cli.ExitClean, to+" restored with the commits up to ")
	if run(t, "dump", to).out != run(t, "dump", dir).out {
		t.Error("the restored store is not the same")
	}
	run(t, "restore", to, full).want(t, cli.ExitUsage, "not empty")
	run(t, "restore", filepath.Join(base, "other"), more).want(t, cli.ExitUsage, "do not follow")
	flip(t, full, 5000)
	run(t, "backup-info", full, "--verify").want(t, cli.ExitFound, full, "damaged at offset ")
	run(t, "restore", filepath.Join(base, "other"), full).want(t, cli.ExitFound, full, "damaged at offset ")
	if left, err := os.ReadDir(filepath.Join(base, "other")); err != nil || len(left) != 1 || left[0].Name() != backends.LockName {
		t.Errorf("a restore that failed left %v, %v", left, err)
	}
	if piped := run(t, "backup", dir); len(piped.out) < 1000 || !strings.Contains(piped.err, ", full, ") {
		t.Errorf("%d bytes, %q", len(piped.out), piped.err)
	}
}

// TestCheckOneCopy: where one copy of the checkpoint is bad, check says that the other is not and what
// mends it, and that does.
func TestCheckOneCopy(t *testing.T) {
	const says = "the other copy is sound, and the next open for writing writes both anew"
	for _, copyName := range []string{"checkpoint-*.a", "checkpoint-*.b"} {
		for what, harm := range map[string]func(path string){
			"checkpoint checksum": func(path string) { flip(t, path, 30) },
			"no such file":        func(path string) { must(t, os.Remove(path)) },
		} {
			dir := t.TempDir()
			run(t, "put", "--create", dir, "a", "b").is(t, "")
			paths, err := filepath.Glob(filepath.Join(dir, copyName))
			must(t, err)
			harm(paths[len(paths)-1])
			s := run(t, "check", dir).want(t, cli.ExitFound, filepath.Base(paths[len(paths)-1]), what, "1 damage in")
			if !strings.HasSuffix(s.out, says+"\n") {
				t.Errorf("%s, %s: %s", copyName, what, s.out)
			}
			run(t, "put", dir, "a", "c").is(t, "")
			run(t, "check", dir).want(t, cli.ExitClean, "is sound")
		}
	}
}

// TestCheckpointSalvage: a second store, and what is left of a damaged one.
func TestCheckpointSalvage(t *testing.T) {
	base := t.TempDir()
	dir, second, sound := filepath.Join(base, "data"), filepath.Join(base, "second"), filepath.Join(base, "sound")
	fill(t, dir)
	run(t, "checkpoint", dir, second).want(t, cli.ExitClean, second+" has the commits up to ")
	if run(t, "dump", second).out != run(t, "dump", dir).out {
		t.Error("the second store is not the same")
	}
	run(t, "checkpoint", dir, second).want(t, cli.ExitUsage, "not empty")
	run(t, "salvage", dir, sound, "--json").want(t, cli.ExitClean).object(t)
	if run(t, "dump", sound).out != run(t, "dump", dir).out {
		t.Error("what was salvaged of a sound store is not the same")
	}
	flip(t, theFile(t, dir, "table-"), 3000)
	part := filepath.Join(base, "part")
	o := run(t, "salvage", dir, part+"-json", "--json").want(t, cli.ExitFound).object(t)
	lost, _ := o["lost"].([]any)
	if o["sound"] != false || o["keyspaces"] != 3.0 || len(o["notes"].([]any)) != 0 || len(lost) != 1 {
		t.Fatalf("%v", o)
	}
	one := lost[0].(map[string]any)
	lo, _ := one["lo_hex"].(string)
	hi, _ := one["hi_hex"].(string)
	if one["kind"] != "entries" || one["keyspace"] != "default" || lo == "" || lo >= hi || one["why"] == "" || one["seq_hi"] == nil {
		t.Errorf("%v", one)
	}
	s := run(t, "salvage", dir, part).want(t, cli.ExitFound, "not as it was, 1:", "table-")
	if n := run(t, "scan", part, "-k", "users", "--keys-only"); strings.Count(n.out, "\n") < 500 {
		t.Errorf("%d entries are left; %s", strings.Count(n.out, "\n"), s.out)
	}
}

// TestSalvageNotation: keys that are no text are hexadecimal, and an end that is open is not there.
func TestSalvageNotation(t *testing.T) {
	report := &salvage.Report{Lost: []salvage.Lost{
		{Kind: salvage.Entries, Lo: []byte{0xff, 0}, Hi: []byte("text")}, {Kind: salvage.Commits, SeqLo: 7, Why: "gone"},
		{Kind: salvage.Unordered, Keyspace: "users", Lo: []byte{}, SeqLo: 1, SeqHi: 2, Older: 3, File: "f", Offset: 4, Why: "why"},
	}}
	text, err := json.Marshal(salvagedAs(report))
	must(t, err)
	for _, want := range []string{
		`{"kind":"entries","lo_hex":"ff00","hi":"text","offset":0,"why":""}`,
		`{"kind":"commits","seq_lo":7,"offset":0,"why":"gone"}`,
		`{"kind":"unordered","keyspace":"users","lo":"","seq_lo":1,"seq_hi":2,"older":3,"file":"f","offset":4,"why":"why"}`,
		`"ignored":[],"notes":[]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

// TestBench: each workload gives a figure, and nothing is left behind, after an interrupt neither.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	s := run(t, "bench", dir, "--seconds", "0.02", "--size", "1", "--clients", "2").want(t, cli.ExitClean, "WORKLOAD", "transfers")
	if strings.Count(s.out, "\n") != 8 {
		t.Errorf("output:\n%s", s.out)
	}
	o := run(t, "bench", dir, "--seconds", "0.02", "--size", "1", "--only", "get,fdatasync", "--json").object(t)
	results := o["results"].([]any)
	for _, r := range results {
		r := r.(map[string]any)
		if r["operations"].(float64) < 1 || r["per_second"].(float64) <= 0 || r["p50_us"].(float64) > r["max_us"].(float64) {
			t.Errorf("%v", r)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	s = runWith(t, canceled, "", false, "bench", dir, "--size", "1", "--json").want(t, cli.ExitInterrupted, `"interrupted":true`)
	if left := files(t, dir); len(results) != 2 || len(left) != 1 {
		t.Errorf("%d results, left behind: %v", len(results), left)
	}
}

// TestInterrupted: a command that is interrupted says so by its exit code.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for _, command := range []string{"scan DIR", "dump DIR", "check DIR", "keyspaces list --count DIR"} {
		words := strings.Fields(strings.ReplaceAll(command, "DIR", dir))
		runWith(t, canceled, "", false, words...).want(t, cli.ExitInterrupted, "interrupted")
	}
	part := filepath.Join(t.TempDir(), "part")
	runWith(t, canceled, "", false, "salvage", dir, part).want(t, cli.ExitInterrupted, "interrupted", part+" has only a part")
}

// countdown is a context that ends when it has been asked so often.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestInterruptedCheck: damage that was found before an interrupt is told, and makes the exit code 1.
func TestInterruptedCheck(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	flip(t, theFile(t, dir, "table-"), 100)
	told := 0
	for n := range int64(200) {
		c := &countdown{Context: ctx}
		c.left.Store(n)
		s := runWith(t, c, "", false, "check", dir)
		switch {
		case s.code == cli.ExitInterrupted && s.out == "":
		case s.code == cli.ExitFound && strings.Contains(s.out, "page checksum") && !strings.Contains(s.out, "canceled"):
			if strings.Contains(s.err, "interrupted: there may be more") {
				told++
			}
		default:
			t.Fatalf("after %d: %+v", n, s)
		}
	}
	if told < 5 { // among them interrupts while tables are read, and not only behind them
		t.Errorf("damage was told after %d interrupts", told)
	}
}

// TestErrorsApart: what else went wrong is not taken for the interrupt.
func TestErrorsApart(t *testing.T) {
	left := errors.New("the directory cannot be removed")
	err := errors.Join(fmt.Errorf("get: %w", context.Canceled), left)
	if got := without(err, context.Canceled); !errors.Is(got, left) || errors.Is(got, context.Canceled) {
		t.Errorf("%v is left", got)
	}
	if err := without(context.Canceled, context.Canceled); err != nil {
		t.Error(err)
	}
	whole := fmt.Errorf("write the log: %w: %w", aegis.ErrNoSpace, left)
	if all := leavesOf(errors.Join(errors.Join(whole, left), left)); len(all) != 3 || all[0].Error() != whole.Error() {
		t.Errorf("%q", all)
	}
}

// TestMeasureBusy: a file that goes while a store is measured is no error.
func TestMeasureBusy(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 3000 {
			name := filepath.Join(dir, fmt.Sprintf("table-%016x", i))
			_ = os.WriteFile(name, nil, 0o644)
			_ = os.Remove(name)
		}
	}()
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		if _, err := measure(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnfinishedRestore: the mark of a restore that was cut short is told as that by every command, and
// restore goes over it.
func TestUnfinishedRestore(t *testing.T) {
	base := t.TempDir()
	dir, full, to := filepath.Join(base, "data"), filepath.Join(base, "full"), filepath.Join(base, "to")
	fill(t, dir)
	run(t, "backup", dir, full).want(t, cli.ExitClean)
	must(t, os.Mkdir(to, 0o755))
	must(t, os.WriteFile(filepath.Join(to, inspect.Mark), nil, 0o644))
	for _, command := range []string{"stats", "scan", "check"} {
		run(t, command, to).want(t, cli.ExitUsage, "unfinished restore, run it again")
	}
	run(t, "inspect", to).want(t, cli.ExitClean, inspect.Mark, "has not ended")
	run(t, "inspect", to, inspect.Mark).want(t, cli.ExitClean, "has not ended")
	run(t, "restore", to, full).want(t, cli.ExitClean)
	run(t, "check", to).want(t, cli.ExitClean)
}

// TestInspectDamagedCheckpoint: of a copy with a bad checksum is shown what its bytes seem to say, marked.
func TestInspectDamagedCheckpoint(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	path := theFile(t, dir, "checkpoint-")
	table := filepath.Base(theFile(t, dir, "table-"))
	flip(t, path, -1) // of the checksum
	s := run(t, "inspect", path).want(t, cli.ExitFound, "checkpoint checksum", "what the bytes seem to say", table)
	for line := range strings.Lines(s.out) {
		if strings.HasSuffix(line, "(unproven)\n") == strings.Contains(line, "damage") {
			t.Errorf("%s", line)
		}
	}
	for line := range strings.Lines(run(t, "inspect", path, "--json").out) {
		var o map[string]any
		must(t, json.Unmarshal([]byte(line), &o))
		if (o["unproven"] == true) == (o["kind"] == "damage") {
			t.Errorf("%v", o)
		}
	}
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, b[:len(b)-20], 0o644))
	run(t, "inspect", path).want(t, cli.ExitFound, "number ", "(unproven)", "from here on the bytes make no sense")
	must(t, os.WriteFile(path, []byte(strings.Repeat("garbage ", 20)), 0o644))
	if s := run(t, "inspect", path).want(t, cli.ExitFound, "nothing of this copy can be believed"); strings.Contains(s.out, "unproven") {
		t.Errorf("%s", s.out)
	}
}

// TestLaterVersion: a log segment of a later format version is no missing log: both versions are told.
func TestLaterVersion(t *testing.T) {
	dir := crashed(t)
	must(t, os.RemoveAll(filepath.Join(dir, backends.LockName)))
	all, err := filepath.Glob(filepath.Join(dir, "wal-*"))
	must(t, err)
	changed := ""
	for _, path := range all {
		b, err := os.ReadFile(path)
		must(t, err)
		if !strings.HasPrefix(string(b), "AEGISWAL") {
			continue
		}
		for _, at := range []int{0, 4096} {
			head := b[at : at+64]
			binary.LittleEndian.PutUint32(head[8:], 2)
			clear(head[12:16])
			binary.LittleEndian.PutUint32(head[12:], crc32.Checksum(head, crc32.MakeTable(crc32.Castagnoli)))
		}
		must(t, os.WriteFile(path, b, 0o644))
		changed = path
	}
	const says = "a log segment of format version 2, this code reads 1"
	run(t, "inspect", dir).want(t, cli.ExitFound, "a segment of format version 2; DAMAGED: offset 0: "+says)
	run(t, "inspect", changed).want(t, cli.ExitFound, says)
	run(t, "get", dir, "key 0").want(t, cli.ExitFound, filepath.Base(changed), says)
	run(t, "put", dir, "key 0", "x").want(t, cli.ExitFound, says)
}
