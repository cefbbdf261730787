package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// browserFlags make a browser work in a container, without a screen.
var browserFlags = []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"}

// findBrowser returns the first browser on PATH that shows a page, or "".
var findBrowser = sync.OnceValue(func() string {
	for _, name := range []string{"chromium-headless-shell", "headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		// Some systems install a script of this name that only says where to get the browser.
		limit, cancel := context.WithTimeout(context.Background(), time.Minute)
		dom, err := exec.CommandContext(limit, path, append(browserFlags[:len(browserFlags):len(browserFlags)], "--dump-dom", "data:text/html,<p>probe</p>")...).Output()
		cancel()
		if err == nil && bytes.Contains(dom, []byte("<p>probe</p>")) {
			return path
		}
	}
	return ""
})

// browse shows the page of a handler for some seconds of the browser's time, and returns the document
// as the script left it, and what the browser asked for. It fails on what the page complains about.
func browse(t *testing.T, h http.Handler, width int) (dom string, asked []string) {
	t.Helper()
	path := findBrowser()
	if path == "" {
		t.Skip("no browser on PATH that works without a screen; Debian's package chromium-headless-shell is one")
	}
	var mu sync.Mutex
	note := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RequestURI())
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { note(r); h.ServeHTTP(w, r) }))
	defer server.Close()
	// All that is not for this machine goes here.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "outside " + r.Host + r.URL.Path
		note(r)
		http.Error(w, "no", http.StatusBadGateway)
	}))
	defer proxy.Close()
	limit, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	flags := append(browserFlags[:len(browserFlags):len(browserFlags)],
		"--user-data-dir="+t.TempDir(), fmt.Sprintf("--window-size=%d,1200", width), "--proxy-server="+proxy.URL,
		"--enable-logging=stderr", "--virtual-time-budget=6000", "--dump-dom")
	cmd := exec.CommandContext(limit, path, append(flags, server.URL+"/debug/aegis")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, said.String())
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, ":CONSOLE") {
			t.Errorf("the console says %s", line)
		}
	}
	dom = string(out)
	if m := regexp.MustCompile(`(?s)<pre id="errors"[^>]*>(.*?)</pre>`).FindStringSubmatch(dom); m == nil || m[1] != "" {
		t.Errorf("the page complains: %q", m)
	}
	mu.Lock()
	defer mu.Unlock()
	return dom, asked
}

// rewritten answers what h does, changed, with status 200.
func rewritten(h http.Handler, change func(body string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		_, _ = io.WriteString(w, change(answer.Body.String()))
	})
}

// textOf returns the document without its script, which has the texts too.
func textOf(dom string) string {
	return regexp.MustCompile(`(?s)<(script|style)>.*?</(script|style)>`).ReplaceAllString(dom, "")
}

// TestDebugPageIsLive: the page draws the store, asks again each second, and asks nobody else.
func TestDebugPageIsLive(t *testing.T) {
	db := debugStore(t)
	for _, width := range []int{400, 1400} {
		dom, asked := browse(t, aegis.DebugHandler(db), width)
		text := textOf(dom)
		for _, want := range []string{
			`data-node="txcoord"`, `data-node="walwriter"`, `data-node="flusher"`, `data-node="evictor"`, `<h2 id="snapshots-title">Open snapshots: 1</h2>`,
			`debug_test.go:`, `class="table"`, `aegis.checkpoint`, `>works</span>`, `class="cell"`, `<div id="static" hidden="">`, `256 MiB`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("width %d: the page lacks %s", width, want)
			}
		}
		if strings.Contains(text, "<main id=\"live\" hidden") || strings.Contains(text, "NaN") || strings.Contains(text, "undefined") {
			t.Errorf("width %d: the page is not live, or shows what is no figure", width)
		}
		polls := regexp.MustCompile(`data-polls="(\d+)"`).FindStringSubmatch(dom)
		if polls == nil {
			t.Fatalf("width %d: the page did not ask", width)
		}
		if n, _ := strconv.Atoi(polls[1]); n < 3 {
			t.Errorf("width %d: the page asked %s times", width, polls[1])
		}
		for _, a := range asked {
			if a != "/debug/aegis" && a != "/debug/aegis?format=json" {
				t.Errorf("width %d: the browser asked for %s", width, a)
			}
		}
		if strings.Contains(text, "<img") || strings.Contains(text, "<title>pwned") || !strings.Contains(text, "&lt;img src=x onerror=alert(1)&gt;") {
			t.Errorf("width %d: a keyspace's name became markup, or is not shown", width)
		}
	}
}

// TestDebugPageOfClosedStore: the page says so, and still shows tables and events.
func TestDebugPageOfClosedStore(t *testing.T) {
	db := debugStore(t)
	h := aegis.DebugHandler(db)
	must(t, db.Close())
	// The browser's console has a line for each status 503, which is no complaint of the page.
	dom, _ := browse(t, rewritten(h, func(body string) string { return body }), 1400)
	text := textOf(dom)
	for _, want := range []string{`>closed</span>`, aegis.ErrClosed.Error(), `class="table"`, aegis.EventClose, `<body class="blank">`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// TestDebugPageOfFailingStore: the page says what fails, in words that are escaped.
func TestDebugPageOfFailingStore(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	db := open(t, "", aegis.Options{Backend: life, Limits: &aegis.Limits{RetryInterval: time.Millisecond}})
	must(t, db.Put(ctx, []byte("k"), nil))
	life.setFail(crashFailing("write", "table-", errors.New("<b>a medium</b>")))
	if err := db.Checkpoint(ctx); err == nil {
		t.Fatal("the flush succeeded")
	}
	dom, _ := browse(t, aegis.DebugHandler(db), 390)
	text := textOf(dom)
	for _, want := range []string{`class="warn">background work fails</span>`, "aegis.flush failed", "and is tried again", "&lt;b&gt;a medium&lt;/b&gt;"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	static := bodyOf(t, ask(aegis.DebugHandler(db), http.MethodGet, "/"))
	if !strings.Contains(static, "<h2>Fails, and is tried again</h2>") || strings.Contains(static, "<b>a medium") {
		t.Error("the tables do not say what fails, or not as text")
	}
}

// TestDebugPageWithoutScript: the figures are there, and nothing that waits for a script.
func TestDebugPageWithoutScript(t *testing.T) {
	script := regexp.MustCompile(`(?s)<script>.*?</script>`)
	h := rewritten(aegis.DebugHandler(debugStore(t)), func(body string) string { return script.ReplaceAllString(body, "") })
	dom, asked := browse(t, h, 800)
	text := textOf(dom)
	if !strings.Contains(text, `<td>53</td>`) || strings.Contains(text, `<div id="static" hidden`) || !strings.Contains(text, `<main id="live" hidden`) {
		t.Error("without a script the page shows no figures")
	}
	if len(asked) != 1 {
		t.Errorf("without a script the browser asked for %v", asked)
	}
}
