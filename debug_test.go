package aegis_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// nasty tries to leave whatever it is put into.
const nasty = `</script><script>document.title="pwned"</script><img src=x onerror=alert(1)>"'{{script}}`

// debugStore is a store with something to show: two keyspaces, tables, log and an open transaction.
func debugStore(t *testing.T) *aegis.DB {
	t.Helper()
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Observer: &aegis.Observer{SnapshotOrigins: true}})
	for round := range 3 {
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			space, err := tx.Keyspace(nasty)
			if round == 0 {
				space, err = tx.CreateKeyspace(nasty, aegis.KeyspaceOptions{})
			}
			return errors.Join(err, space.Put([]byte(nasty), nil), space.Put([]byte{0xFF, 0x00}, nil), tx.Put(fmt.Appendf(nil, "key%d", round), []byte("value")))
		}))
		must(t, db.Checkpoint(ctx))
	}
	must(t, db.Compact(ctx, nil)) // or a merge would come at any moment
	for range 50 {
		must(t, db.Put(ctx, []byte("k"), []byte("v")))
	}
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return db
}

// ask sends one request to a handler.
func ask(h http.Handler, method, target string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Result()
}

// bodyOf reads an answer.
func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return string(b)
}

// TestDebugMethods: what reads is answered, below any path; what could write is not.
func TestDebugMethods(t *testing.T) {
	db := debugStore(t)
	mux := http.NewServeMux()
	mux.Handle("/debug/aegis/", aegis.DebugHandler(db))
	mux.Handle("/stripped/", http.StripPrefix("/stripped/", aegis.DebugHandler(db)))
	for _, target := range []string{"/debug/aegis/", "/stripped/", "/stripped/?format=json", "/debug/aegis/?format=json"} {
		get, head := ask(mux, http.MethodGet, target), ask(mux, http.MethodHead, target)
		if get.StatusCode != 200 || head.StatusCode != 200 || get.Header.Get("Content-Type") != head.Header.Get("Content-Type") {
			t.Errorf("%s: GET %d, HEAD %d", target, get.StatusCode, head.StatusCode)
		}
		if body := bodyOf(t, head); body != "" {
			t.Errorf("%s: HEAD has a body", target)
		}
		kind := "text/html; charset=utf-8"
		if strings.Contains(target, "json") {
			kind = "application/json"
		}
		for name, want := range map[string]string{
			"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := get.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch} {
		r := ask(mux, method, "/debug/aegis/")
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

// TestDebugPolicy: the policy allows the page's own script and style, and no inline attribute.
func TestDebugPolicy(t *testing.T) {
	r := ask(aegis.DebugHandler(debugStore(t)), http.MethodGet, "/")
	page := bodyOf(t, r)
	hash := func(tag string) string {
		_, rest, _ := strings.Cut(page, "<"+tag+">")
		text, _, ok := strings.Cut(rest, "</"+tag+">")
		if !ok || len(text) < 1000 {
			t.Fatalf("no %s", tag)
		}
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	want := "default-src 'none'; script-src " + hash("script") + "; style-src " + hash("style") +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := r.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("the policy is\n%s, want\n%s", got, want)
	}
	for _, m := range regexp.MustCompile(`(?i)(https?:|//[a-z0-9]+\.|@import|src=|url\(|\son[a-z]+=|style=)[^\s]*`).FindAllString(page, -1) {
		if !strings.HasPrefix(m, "http://www.w3.org/2000/svg") && !strings.HasPrefix(m, "src=x") && !strings.Contains(m, "onerror=alert") {
			t.Errorf("the page has %s", m)
		}
	}
}

// debugAnswer is the part of the JSON that the tests look at.
type debugAnswer struct {
	Dir, Error string
	Time       time.Time
	State      string
	Failing    []struct {
		Job, Error string
		Failures   int
		Lasted     time.Duration
	}
	Open   int
	Actors []struct {
		Name    string
		Waiting int
		Taken   uint64
	}
	Stats struct {
		aegis.Stats
		Err       string
		Snapshots []struct {
			Age       time.Duration
			ReadWrite bool
			Origin    string
		}
	}
	Limits struct{ LogBytes, IndexBytes int64 }
	Runs   []struct {
		Tier, Count int
		Tables      []struct {
			File, Min, Max string
			From, To       float64
		}
	}
	Tables int
	Keys   []struct {
		At   float64
		Name string
	}
	Events []struct {
		No          uint64
		Level, Name string
		Fields      [][2]string
	}
}

// answerOf returns what a handler answers as JSON.
func answerOf(t *testing.T, h http.Handler) (a debugAnswer, status int) {
	t.Helper()
	r := ask(h, http.MethodGet, "/?format=json")
	must(t, json.Unmarshal([]byte(bodyOf(t, r)), &a))
	return a, r.StatusCode
}

// TestDebugJSON: the figures are the store's.
func TestDebugJSON(t *testing.T) {
	db := debugStore(t)
	h := aegis.DebugHandler(db)
	a, status := answerOf(t, h)
	s := statsOf(t, db)
	if status != 200 || a.Error != "" || a.Stats.Err != "" {
		t.Errorf("status %d, errors %q and %q", status, a.Error, a.Stats.Err)
	}
	if a.Stats.Commits.Commits != s.Commits.Commits || a.Stats.Latency.Commit.Count != s.Latency.Commit.Count || len(a.Stats.Latency.Commit.Buckets) == 0 ||
		a.Stats.Memory.Budget != s.Memory.Budget || a.Limits.IndexBytes != 32<<20 || a.Stats.Log.Segments != s.Log.Segments {
		t.Errorf("the figures are %+v", a.Stats)
	}
	var names []string
	for _, actor := range a.Actors {
		names = append(names, actor.Name)
		if actor.Taken == 0 {
			t.Errorf("%s took no message", actor.Name)
		}
	}
	if want := []string{"txcoord", "walwriter", "flusher", "evictor"}; !slices.Equal(names, want) {
		t.Errorf("actors %v", names)
	}
	if a.Open != 1 || len(a.Stats.Snapshots) != 1 || !a.Stats.Snapshots[0].ReadWrite || !strings.Contains(a.Stats.Snapshots[0].Origin, "debug_test.go:") {
		t.Errorf("open snapshots %+v", a.Stats.Snapshots)
	}
	if len(a.Runs) == 0 || a.Tables != s.Tables.Tables {
		t.Fatalf("%d runs, %d tables", len(a.Runs), a.Tables)
	}
	for _, r := range a.Runs {
		for _, table := range r.Tables {
			if table.From < 0 || table.To > 1 || table.From >= table.To || !strings.HasPrefix(table.File, "table-") {
				t.Errorf("table %+v", table)
			}
			if !strings.HasPrefix(table.Max, nasty+" 0xff00") {
				t.Errorf("the last key is %q", table.Max)
			}
		}
	}
	var spaces []string
	for _, k := range a.Keys {
		spaces = append(spaces, k.Name)
	}
	if !slices.Contains(spaces, nasty) {
		t.Errorf("keyspaces %q", spaces)
	}
	for i, e := range a.Events {
		if i > 0 && e.No >= a.Events[i-1].No {
			t.Errorf("event %d after %d", e.No, a.Events[i-1].No)
		}
	}
	if last := a.Events[len(a.Events)-1]; last.Name != aegis.EventOpen || last.Level != "INFO" {
		t.Errorf("the first event is %+v", last)
	}
}

// TestDebugEscapes: without a script, too, names and keys are text.
func TestDebugEscapes(t *testing.T) {
	db, err := aegis.Open(nasty, &aegis.Options{Backend: backends.NewMemory()})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	page := bodyOf(t, ask(aegis.DebugHandler(db), http.MethodGet, "/"))
	for tag, want := range map[string]int{"<script": 1, "</script": 1, "<img": 0} {
		if got := strings.Count(strings.ToLower(page), tag); got != want {
			t.Errorf("%q occurs %d times, want %d", tag, got, want)
		}
	}
	if !strings.Contains(page, "&lt;img src=x onerror=alert(1)&gt;") {
		t.Error("the directory is not shown")
	}
	text := bodyOf(t, ask(aegis.DebugHandler(debugStore(t)), http.MethodGet, "/?format=json"))
	if strings.ContainsAny(text, "<>") {
		t.Error("JSON has markup that is not escaped")
	}
}

// TestDebugStatic: the page is a table of figures for those who run no scripts.
func TestDebugStatic(t *testing.T) {
	page := bodyOf(t, ask(aegis.DebugHandler(debugStore(t)), http.MethodGet, "/"))
	_, rest, _ := strings.Cut(page, `<div id="static">`)
	static, _, ok := strings.Cut(rest, `<pre id="errors"`)
	for _, want := range []string{
		`<tr><th scope="row">Commits</th><td>53</td></tr>`, `<tr><th scope="row">txcoord</th>`, `<h2>Runs</h2>`, `run 1, bottom`,
		`<h2>Open snapshots: 1</h2>`, `debug_test.go:`, `<td>aegis.checkpoint</td>`, `<td>256 MiB</td>`, `<th scope="row">Log sync</th>`,
	} {
		if !ok || !strings.Contains(static, want) {
			t.Errorf("the tables lack %s", want)
		}
	}
	if t.Failed() {
		t.Log(static)
	}
}

// TestDebugOfStoppedStores: a store that is closed, one that only reads after a failure and one that
// is opened for reading.
func TestDebugOfStoppedStores(t *testing.T) {
	disk := backends.NewMemory()
	db := open(t, "", aegis.Options{Backend: disk})
	must(t, db.Put(ctx, []byte("k"), nil))
	h := aegis.DebugHandler(db)
	if _, status := answerOf(t, h); status != 200 {
		t.Errorf("open: status %d", status)
	}
	must(t, db.Close())
	if a, _ := answerOf(t, aegis.DebugHandler(db)); len(a.Keys) != 1 || a.Keys[0].Name != "default" { // nobody read the names before
		t.Errorf("closed: keyspaces %+v", a.Keys)
	}
	a, status := answerOf(t, h)
	if status != http.StatusServiceUnavailable || a.Error != aegis.ErrClosed.Error() || len(a.Runs) != 1 || a.Events[0].Name != aegis.EventClose {
		t.Errorf("closed: status %d, %q, %d runs, events %v", status, a.Error, len(a.Runs), a.Events)
	}
	if page := ask(h, http.MethodGet, "/"); page.StatusCode != http.StatusServiceUnavailable || !strings.Contains(bodyOf(t, page), "store is closed") {
		t.Errorf("the page of a closed store: status %d", page.StatusCode)
	}

	reading := open(t, "", aegis.Options{Backend: disk, ReadOnly: true})
	if a, status := answerOf(t, aegis.DebugHandler(reading)); status != 200 || len(a.Actors) != 1 || a.Actors[0].Name != "evictor" || len(a.Runs) != 1 {
		t.Errorf("read-only: status %d, actors %v, %d runs", status, a.Actors, len(a.Runs))
	}

	life := newCrashDisk().life(1, 0)
	broken := open(t, "", aegis.Options{Backend: life})
	life.setFail(crashFailing("sync", "wal-", errInjected))
	poisonWant(t, broken.Put(ctx, []byte("k"), nil))
	a, status = answerOf(t, aegis.DebugHandler(broken))
	told := false // not always last: a segment that is being prepared fails too
	for _, e := range a.Events {
		told = told || e.Name == aegis.EventPoison
	}
	if status != 200 || !strings.Contains(a.Stats.Err, errInjected.Error()) || !told {
		t.Errorf("poisoned: status %d, %q, %v", status, a.Stats.Err, a.Events)
	}
	_ = broken.Close()
}

// TestDebugOfLostClients: an answer that is asked for by one who has gone spoils none of the others'.
func TestDebugOfLostClients(t *testing.T) {
	h := aegis.DebugHandler(debugStore(t))
	gone, leave := context.WithCancel(ctx)
	leave()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json", nil).WithContext(gone))
	if a, status := answerOf(t, h); w.Code != 200 || status != 200 || a.Error != "" {
		t.Errorf("status %d, then %d, %q", w.Code, status, a.Error)
	}
}

// heldSyncs is a backend on which no log is synced while it is told so.
type heldSyncs struct {
	backends.Backend
	on   *atomic.Bool
	free chan struct{}
}

type heldSyncFile struct {
	backends.File
	h heldSyncs
}

func (h heldSyncs) Create(name string) (backends.File, error) {
	f, err := h.Backend.Create(name)
	if err == nil && strings.HasPrefix(name, "wal-") {
		f = heldSyncFile{f, h}
	}
	return f, err
}

func (f heldSyncFile) Sync() error {
	if f.h.on.Load() {
		<-f.h.free
	}
	return f.File.Sync()
}

// TestDebugOfStuckEngine: all who ask while the engine gives no figures share one wait, and hear why.
func TestDebugOfStuckEngine(t *testing.T) {
	disk := heldSyncs{backends.NewMemory(), new(atomic.Bool), make(chan struct{})}
	db := open(t, "", aegis.Options{Backend: disk})
	free := sync.OnceFunc(func() { close(disk.free) })
	t.Cleanup(free)
	h := aegis.DebugHandler(db)
	disk.on.Store(true)
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		if err := db.Put(ctx, []byte("k"), nil); err != nil {
			t.Error(err)
		}
	})
	for statsWaits := true; statsWaits; { // until the log writer syncs
		limit, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		_, err := db.Stats(limit)
		cancel()
		statsWaits = err == nil
	}
	var times [4]time.Time
	for i := range times {
		readers.Go(func() {
			a, status := answerOf(t, h)
			if times[i] = a.Time; status != http.StatusServiceUnavailable || a.State != "no figures" || !strings.Contains(a.Error, "gives no figures within 2s") {
				t.Errorf("status %d, %q: %s", status, a.State, a.Error)
			}
		})
	}
	readers.Wait()
	if i := slices.IndexFunc(times[:], func(at time.Time) bool { return at != times[0] }); i >= 0 {
		t.Errorf("answers of %v", times)
	}
	free()
	writer.Wait()
}

// TestDebugKeepsGraveEvents: what happens all the time pushes no failure out of the list.
func TestDebugKeepsGraveEvents(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	db := open(t, "", aegis.Options{Backend: life, Limits: &aegis.Limits{RetryInterval: time.Millisecond}})
	must(t, db.Put(ctx, []byte("k"), nil))
	life.setFail(crashFailing("write", "table-", errInjected))
	if err := db.Checkpoint(ctx); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	life.setFail(nil)
	for range 50 {
		must(t, db.Put(ctx, []byte("k"), nil))
		must(t, db.Checkpoint(ctx))
	}
	a, _ := answerOf(t, aegis.DebugHandler(db))
	if last := a.Events[len(a.Events)-1]; len(a.Events) > 64 || last.Level != "WARN" || last.Name != aegis.EventFlush {
		t.Errorf("the last of %d events is %+v", len(a.Events), last)
	}
}

// TestDebugStates: the page's word for a store does not depend on the texts of errors.
func TestDebugStates(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	db := open(t, "", aegis.Options{Backend: life})
	if a, _ := answerOf(t, aegis.DebugHandler(db)); a.State != "works" {
		t.Errorf("at first: %q", a.State)
	}
	life.setFail(crashFailing("sync", "wal-", fmt.Errorf("no space left on a closed device: %w", errInjected)))
	poisonWant(t, db.Put(ctx, []byte("k"), nil))
	if a, _ := answerOf(t, aegis.DebugHandler(db)); a.State != "read-only after a failure" {
		t.Errorf("poisoned: %q", a.State)
	}
	_ = db.Close()

	quota := backends.Limit(backends.NewMemory(), 300<<10)
	limits := spaceLimits()
	limits.IndexBytes, limits.LogBytes = 4<<20, 4<<20 // nothing is flushed: it is the log that finds no space
	full := open(t, "", aegis.Options{Backend: quota, Limits: limits, MemoryBudget: 16 << 20, Compression: aegis.NoCompression})
	m := newSpaceModel()
	m.fill(t, full)
	if a, _ := answerOf(t, aegis.DebugHandler(full)); a.State != "no space" {
		t.Errorf("full: %q", a.State)
	}
	quota.SetLimit(8 << 20)
}

// TestDebugManyTables: an answer lists so many tables and no more, and says how many there are.
func TestDebugManyTables(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Limits: &aegis.Limits{TableBytes: 1 << 10, LeafBytes: 64}, Compression: aegis.NoCompression})
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		for i := range 900 {
			if err := tx.Put(fmt.Appendf(nil, "%06d", i), make([]byte, 1<<10)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, db.Checkpoint(ctx))
	a, _ := answerOf(t, aegis.DebugHandler(db))
	listed := 0
	for _, r := range a.Runs {
		listed += len(r.Tables)
	}
	if a.Tables <= 600 || listed != 600 || a.Runs[0].Count != a.Tables {
		t.Errorf("%d tables, %d are listed", a.Tables, listed)
	}
}

// ExampleDebugHandler shows the page at http://localhost:6069/debug/aegis/.
func ExampleDebugHandler() {
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	check(err)
	defer db.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/aegis/", aegis.DebugHandler(db))
	server := httptest.NewServer(mux) // a program calls http.ListenAndServe("localhost:6069", mux)
	defer server.Close()
	answer, err := http.Get(server.URL + "/debug/aegis/")
	check(err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	check(err)
	fmt.Fprintln(os.Stdout, answer.Status)
	// Output:
	// 200 OK
}
