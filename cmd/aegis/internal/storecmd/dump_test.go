package storecmd

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/stream"
)

// TestDumpLoad: all that a store holds comes back, byte for byte, by either format, from a file or a
// pipe, into a new store and into one that has the keyspaces.
func TestDumpLoad(t *testing.T) {
	base := t.TempDir()
	dir, first := filepath.Join(base, "data"), filepath.Join(base, "first")
	fill(t, dir)
	s := run(t, "dump", dir, first, "--json")
	o := s.object(t)
	for name, want := range map[string]float64{"keyspaces": 3, "entries": 1757, "blocks": 2, "seq": 4} {
		if o[name] != want && name != "seq" {
			t.Errorf("%s is %v, want %v", name, o[name], want)
		}
	}
	whole, err := os.ReadFile(first)
	must(t, err)
	if o["bytes"] != float64(len(whole)) {
		t.Errorf("%v bytes, the file has %d", o["bytes"], len(whole))
	}
	lines := run(t, "dump", dir, "--format", "jsonl").want(t, cli.ExitClean, `{"keyspace":"users","compression":"zstd","compression_level":3}`)
	hexed := run(t, "dump", dir, "--format", "jsonl", "--hex").want(t, cli.ExitClean)
	if strings.Contains(hexed.out, `"value":`) || !strings.Contains(lines.out, `"value":"name 7 of round 1"`) {
		t.Error("--hex is not heard")
	}
	target := filepath.Join(base, "several")
	for n, load := range []func(to string) said{
		func(to string) said { return run(t, "load", "--create", to, first) },
		func(to string) said { return runWith(t, ctx, string(whole), false, "load", "--create", to) },
		func(to string) said { return runWith(t, ctx, lines.out, false, "load", "--create", to) },
		func(to string) said {
			return runWith(t, ctx, hexed.out, false, "load", "--create", "--batch", "7", to)
		},
		func(string) said { return run(t, "load", "--create", target, first) },
		func(string) said { return run(t, "load", target, first) },
	} {
		to := filepath.Join(base, "copy"+string(rune('0'+n)))
		if n >= 4 {
			to = target
		}
		load(to).want(t, cli.ExitClean, "1,757 entries and 2 blocks loaded")
		if again := run(t, "dump", to); again.out != string(whole) {
			t.Errorf("load %d: another dump has %d bytes, the first one %d", n, len(again.out), len(whole))
		}
	}
	only := run(t, "dump", dir, "--only", "users")
	sums, err := stream.Check(strings.NewReader(only.out))
	if err != nil || (sums != stream.Sums{Keyspaces: 2, Entries: 1500}) {
		t.Errorf("--only: %+v, %v", sums, err)
	}
	run(t, "dump", dir, "--only", "nosuch").want(t, cli.ExitFound, "there is no keyspace")
}

// TestDamagedStream: a stream that is damaged or cut short is refused with its offset. From a file
// nothing is loaded of it; of a keyspace in bulk nothing is, ever.
func TestDamagedStream(t *testing.T) {
	base := t.TempDir()
	dir, name, to := filepath.Join(base, "data"), filepath.Join(base, "dump"), filepath.Join(base, "to")
	fill(t, dir)
	whole := run(t, "dump", dir).out
	at := strings.Index(whole, "user/00900")
	for _, damaged := range []string{whole[:at], whole[:at] + "U" + whole[at+1:], whole[:len(whole)-1], whole + "x"} {
		must(t, os.WriteFile(name, []byte(damaged), 0o644))
		run(t, "load", "--create", to, name).want(t, cli.ExitFound, "the stream is damaged at offset ", "nothing was loaded", name)
		if _, err := os.Stat(to); err == nil {
			t.Error("a store was made")
		}
	}
	runWith(t, ctx, whole[:at], false, "load", "--create", to).want(t, cli.ExitFound, "standard input: the stream is damaged at offset ", "loaded before it: 257 entries and 0 blocks")
	run(t, "keyspaces", "list", to).is(t, "KEYSPACE  COMPRESSION\ndefault   of the store\nempty     none\n")
	run(t, "scan", to, "--count").want(t, cli.ExitClean, "257 entries")
}

// TestLoadText: JSON lines and CSV, right and wrong.
func TestLoadText(t *testing.T) {
	base := t.TempDir()
	for n, c := range []struct {
		args, in, all, says string
	}{
		{"", `{"key":"a","value":"1"}` + "\n\n" + `{"key_hex":"00","value_hex":"ff","keyspace":"k"}`, "a\t1\n", "2 entries"},
		{"-k k", `{"key":"a","value":"1"}`, "", "1 entry"},
		{"--format csv", "key,value\na,1\n\"b,c\",\"2\n3\"\n", "a\t1\nb,c\t2\\n3\n", "2 entries"},
		{"--format csv --columns value_hex,keyspace,key", "31,,a\n32,k,b\n", "a\t1\n", "2 entries"},
		{"--format csv", "key_hex,value\n61,1\n", "a\t1\n", "1 entry"},
		{"--format jsonl", "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\"}\n", "", `line 2: there is a key without "value"`},
		{"--batch 1", "{\"key\":\"a\",\"value\":\"1\"}\n{\"value\":\"b\"}\n", "a\t1\n", `line 2: there is neither "key" nor "key_hex"; loaded before it: 1 entry and 0 blocks`},
		{"", `{"key":"a","value":"1","walue":"2"}`, "", `line 1: json: unknown field "walue"`},
		{"", `{"key":"a","key_hex":"61","value":"2"}`, "", "as text and as hexadecimal"},
		{"", `{"key_hex":"6","value":"2"}`, "", "odd length"},
		{"", `{"key":"a","value":"1"} {}`, "", "more than one value in the line"},
		{"", `{"key":"a",`, "", "line 1: unexpected EOF"},
		{"", `{"block":1,"stored_hex":"00"}`, "", "block 1"},
		{"", `{"keyspace":"k","compression":"rar"}`, "", "there are: none, lz4, zstd"},
		{"--format csv", "key,value\na,1,2\n", "", "wrong number of fields"},
		{"--format csv", "key,value\n\"a,1\n", "", "line 2"},
		{"--format csv --columns key_hex,value", "6,1\n", "", "line 1: column key_hex"},
		{"--format csv --columns key,key,value", "", "", `no column "key", or twice`},
		{"--format stream", "AEGISDM", "", "damaged at offset 0"},
		{"", `{"key":"a","value":1}`, "", `line 1: "value" cannot be of the kind number`},
		{"--format jsonl", `[1]`, "", `line 1: a line cannot be of the kind array`},
		{"", "\ufeff" + `{"key":"a","value":"1"}`, "a\t1\n", "1 entry"},
		{"--format csv", "\ufeffkey,value\na,1\n", "a\t1\n", "1 entry"},
		{"--format csv", "", "", "it is empty: the first line has the names of the columns"},
		{"--format csv", "key,value\na,1\n" + strings.Repeat("k", aegis.MaxKeyBytes+1) + ",2\n", "", "line 3: the key \"kkk"},
		{"", "{\"key\":\"a\xff\",\"value\":\"1\"}", "", "line 1: it is not UTF-8"},
		{"", `{"key":"a\udc00","value":"1"}`, "", `line 1: an escape from \ud800 to \udfff stands alone`},
		{"", `{"key":"a","value":"\ud83d\ude00 \uFFFD"}` + "\n" + `{"key":"b","value":"` + "\ufffd" + `"}`, "a\t😀 \ufffd\nb\t\ufffd\n", "2 entries"},
		{"", "\n" + `{"keyspace":"k","compression":"zstd","compression_level":9}`, "", "line 2: aegis: option CompressionLevel is 9"},
		{"", `{"key":"` + strings.Repeat("k", aegis.MaxKeyBytes+1) + `","value":""}`, "", "at most 32768"},
	} {
		dir := filepath.Join(base, string(rune('a'+n)))
		s := runWith(t, ctx, c.in, false, append([]string{"load", "--create", dir}, strings.Fields(c.args)...)...)
		if len(s.err) > 1000 {
			t.Errorf("%d: an error of %d bytes", n, len(s.err))
		}
		if !strings.Contains(s.out+s.err, c.says) || (s.code == cli.ExitClean) != strings.Contains(s.out, "loaded") {
			t.Errorf("%d: exit code %d, %q, %q; want %q", n, s.code, s.out, s.err, c.says)
		}
		run(t, "scan", dir).is(t, c.all)
	}
}

// TestLongLine: a line without an end takes no more memory than one with the longest entry, and one that is
// longer than the buffer is read.
func TestLongLine(t *testing.T) {
	s := &jsonSource{r: bufio.NewReaderSize(strings.NewReader("{}\n"+strings.Repeat("x", 100)+"\n{}"), 16), most: 200}
	for _, want := range []int{3, 101, 2} {
		if line, err := s.read(); len(line) != want || err != nil && want != 2 {
			t.Errorf("a line of %d bytes, want %d: %v", len(line), want, err)
		}
	}
	s = &jsonSource{r: bufio.NewReaderSize(zeros{}, 1<<20), most: 5 << 20}
	if _, err := s.read(); err == nil || !strings.Contains(err.Error(), "line 1: it is longer than any entry can be") {
		t.Error(err)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestOtherBlock: a block of the store is not replaced by another one that has its id.
func TestOtherBlock(t *testing.T) {
	base := t.TempDir()
	one, two, dump := filepath.Join(base, "one"), filepath.Join(base, "two"), filepath.Join(base, "dump")
	var ids []aegis.BlockID
	for _, dir := range []string{one, two} {
		db, err := aegis.Open(dir, nil)
		must(t, err)
		id, err := db.WriteBlock(ctx, aegis.NewBlock([]byte("a block of "+filepath.Base(dir))))
		must(t, err)
		must(t, db.Close())
		ids = append(ids, id)
	}
	if ids[0] != ids[1] {
		t.Fatalf("the ids are %v", ids)
	}
	run(t, "dump", one, dump).want(t, cli.ExitClean)
	run(t, "load", two, dump).want(t, cli.ExitUsage, "the store has another block", "load into a new store")
	run(t, "load", one, dump).want(t, cli.ExitClean, "1 block")
	db, err := aegis.Open(two, nil)
	must(t, err)
	defer db.Close()
	b, err := db.ReadBlock(ctx, ids[1])
	must(t, err)
	if string(b.Data()) != "a block of two" {
		t.Errorf("it is %q", b.Data())
	}
}

// TestBulkAfterFailure: what is refused while a bulk load runs leaves no keyspace, wherever it ends.
func TestBulkAfterFailure(t *testing.T) {
	var out bytes.Buffer
	w, err := stream.NewWriter(&out)
	must(t, err)
	must(t, w.Keyspace(stream.Keyspace{Name: aegis.DefaultKeyspaceName}))
	must(t, w.Keyspace(stream.Keyspace{Name: "bulk"}))
	must(t, w.Entry(nil, []byte("the empty key")))
	_, err = w.End()
	must(t, err)
	for cut := 0; cut < out.Len(); cut += 7 {
		dir := t.TempDir()
		runWith(t, ctx, out.String()[:cut], false, "load", "--create", dir, "--format", "stream").want(t, cli.ExitFound, "damaged at offset")
		if s := run(t, "keyspaces", "list", dir); strings.Contains(s.out, "bulk") {
			t.Fatalf("cut at %d: %s", cut, s.out)
		}
	}
}

// TestTerminals: bytes are not written onto a screen, and who is to type is told so.
func TestTerminals(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	screen := func(words ...string) (string, int) {
		var out, complaints bytes.Buffer
		a := &cli.App{In: strings.NewReader("typed"), Out: cli.NewSink(&out), Err: cli.NewSink(&complaints), InTerminal: true, OutTerminal: true}
		code := a.Main(ctx, &cli.Command{Name: "aegis", Subs: Commands()}, words)
		return out.String() + complaints.String(), code
	}
	for _, command := range []string{"dump", "backup"} {
		if said, code := screen(command, dir); code != cli.ExitUsage || !strings.Contains(said, "standard output is a terminal") {
			t.Errorf("%s: exit code %d, %.100q", command, code, said)
		}
	}
	if said, code := screen("dump", dir, "--format", "jsonl"); code != cli.ExitClean || !strings.Contains(said, "user/00001") {
		t.Errorf("jsonl: exit code %d", code)
	}
	if said, code := screen("put", dir, "key"); code != cli.ExitClean || !strings.Contains(said, "type the value") {
		t.Errorf("put: exit code %d, %q", code, said)
	}
	run(t, "get", dir, "key").is(t, "typed\n")
}
