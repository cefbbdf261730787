package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/sim/trace"
)

// pageOf returns the page of a run.
func pageOf(t *testing.T, r Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dataOf returns the data that a page carries.
func dataOf(t *testing.T, text string) page {
	t.Helper()
	_, rest, _ := strings.Cut(text, `<script type="application/json" id="data">`)
	data, _, ok := strings.Cut(rest, "</script>")
	var p page
	if err := json.Unmarshal([]byte(data), &p); !ok || err != nil {
		t.Fatalf("the page's data: %v", err)
	}
	return p
}

// flags make a browser work in a container, without a screen.
var flags = []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"}

// findBrowser returns the first browser on PATH that shows a page, or "".
var findBrowser = sync.OnceValue(func() string {
	for _, name := range []string{"chromium-headless-shell", "headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		// Some systems install a script of this name that only says where to get the browser.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		dom, err := exec.CommandContext(ctx, path, append(flags, "--dump-dom", "data:text/html,<p>probe</p>")...).Output()
		cancel()
		if err == nil && bytes.Contains(dom, []byte("<p>probe</p>")) {
			return path
		}
	}
	return ""
})

// browser returns a browser, or skips the test.
func browser(t *testing.T) string {
	t.Helper()
	path := findBrowser()
	if path == "" {
		t.Skip("no browser on PATH that works without a screen; Debian's package chromium-headless-shell is one")
	}
	return path
}

// open shows a page at a width and returns the document as its script left it. It fails on
// whatever the page complains about.
func open(t *testing.T, text, hash string, width, height int) string {
	t.Helper()
	path := browser(t)
	name := filepath.Join(t.TempDir(), "run.html")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(flags[:len(flags):len(flags)],
		"--user-data-dir="+t.TempDir(), fmt.Sprintf("--window-size=%d,%d", width, height), "--dump-dom", "file://"+name+hash)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, complaints.String())
	}
	document, _, _ := strings.Cut(string(dom), `<script type="application/json"`)
	if !strings.Contains(document, "data-ready=") {
		t.Errorf("the script did not reach its end")
	}
	if m := regexp.MustCompile(`(?s)<pre id="errors"[^>]*>(.*?)</pre>`).FindStringSubmatch(document); m == nil || m[1] != "" {
		t.Errorf("the page complains: %q", m)
	}
	return document
}

// TestPageInBrowser: lanes, arrows, the disk's bytes, the crash and the failure are drawn.
func TestPageInBrowser(t *testing.T) {
	dom := open(t, pageOf(t, sampleRun()), "#failure", 1400, 2400)
	for _, want := range []string{
		`data-lane="client-1"`, `data-lane="client-2"`, `data-lane="txcoord"`, `data-lane="walwriter"`, `data-lane="job flush"`,
		`data-lane="wal-00000001"`, `data-lane="table-0002"`, `data-lane="directory"`,
		`class="row crash `, `class="row broken picked"`, `class="row fold"`, `5 reads of table-0001, 1 timer, 1 message to evictor`,
		`>s1.reorder.4bK9-x_Qe</code>`, `failed: recovery prefix`, `Life 3, after kill in recovery`,
		`class="msg"`, `class="answer"`, `class="publish"`, `class="taken s-lost"`, `class="dirty"`, `class="faultmark"`, `class="cross"`,
		`seq 3 was answered at step 114 and is absent`, `href="#e`, `aegis sim shrink s1.reorder.4bK9-x_Qe`,
	} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	r := sampleRun()
	for kind, class := range map[trace.Kind]string{trace.Send: `class="msg"`, trace.Answer: `class="answer"`} {
		most := 1 // the legend's
		for _, e := range r.Events {
			if e.Kind == kind {
				most++
			}
		}
		if kind == trace.Send {
			most-- // one is folded
		}
		if got := strings.Count(dom, class); got != most {
			t.Errorf("%d of %s, want %d", got, class, most)
		}
	}
}

// TestPagePicturesLosses: at a crash each file is a bar, with what was lost where it was, and in words.
func TestPagePicturesLosses(t *testing.T) {
	r := sampleRun()
	crash := r.Losses[0].Crash
	for i := range 10 { // more than are listed
		off := int64(20000 + 1000*i)
		r.Events[crash-1] = trace.Event{Step: 1, Life: 1, Kind: trace.IO, From: "walwriter", To: "wal-00000001", Text: "write", Off: 20000, Len: 10000}
		r.Losses = append(r.Losses, Loss{Crash: crash, File: "wal-00000001", Off: off, Len: 500, Fate: Dropped})
	}
	dom := open(t, pageOf(t, r), fmt.Sprintf("#e%d", crash), 1400, 2400)
	_, panel, _ := strings.Cut(dom, "What this did to the disk")
	file := regexp.MustCompile(`(?s)<span>wal-00000001</span>.*?</ul>`).FindString(panel)
	for _, want := range []string{
		`<rect class="s-lost" x="10.24%" width="13.65`, `<rect class="s-torn" x="23.89`, `<rect class="s-kept" x="3.41`, `<rect class="s-synced" x="0%"`,
		`<span>0</span><span>30,000</span>`, `<li class="t-lost">3072–7167 (4096 B) lost</li>`, `<li class="t-torn">7168–9215 (2048 B) torn</li>`,
		`<li class="t-kept">1024–3071 (2048 B) kept</li>`, `<li class="t-doubt">20500–20999 (500 B) in doubt</li>`, `<li>and 15 more</li>`,
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the picture lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(file)
	}
	for _, want := range []string{"creation lost, 16 KiB in doubt", "removal kept"} {
		if !strings.Contains(panel, want) {
			t.Errorf("the panel lacks %s", want)
		}
	}
}

// TestPageKeepsToTheViewport: a long run is drawn only where it is in sight, at every width.
func TestPageKeepsToTheViewport(t *testing.T) {
	text := pageOf(t, longRun(5000))
	for _, width := range []int{800, 2000} {
		dom := open(t, text, "#failure", width, 900)
		if !strings.Contains(dom, `class="row broken picked"`) || !strings.Contains(dom, "write skew between") {
			t.Errorf("width %d: the failure is not in sight", width)
		}
		if n := strings.Count(dom, `data-row=`); n < 20 || n > 200 {
			t.Errorf("width %d: %d rows are drawn", width, n)
		}
		if n := strings.Count(dom, `data-lane=`); n < 10 || n > 20 {
			t.Errorf("width %d: %d lanes", width, n)
		}
	}
}

// TestPageSize: a run of 5,000 events stays a page to send around.
func TestPageSize(t *testing.T) {
	const most = 800 << 10
	if text := pageOf(t, longRun(5000)); len(text) > most {
		t.Errorf("%d bytes, at most %d", len(text), most)
	}
}

// hostile is a run whose every word tries to leave its place.
func hostile() Run {
	r := sampleRun()
	nasty := `</script><script>document.title="pwned"</script><img src=x onerror=alert(1)>"'` + "`{{script}}\u2028<!--"
	for i := range r.Events {
		e := &r.Events[i]
		e.Text += nasty
		e.From += nasty
		if e.To != "" {
			e.To += nasty
		}
	}
	r.Title, r.Token, r.Profile, r.Check, r.Failure = nasty, nasty, nasty, nasty, nasty
	r.Commands = []Command{{nasty, nasty}}
	return r
}

// TestPageEscapes: whatever a run says stays data.
func TestPageEscapes(t *testing.T) {
	text := pageOf(t, hostile())
	for tag, want := range map[string]int{"<script": 2, "</script": 2, "<img": 0, "<!--": 0, "\u2028": 0} {
		if got := strings.Count(strings.ToLower(text), tag); got != want {
			t.Errorf("%q occurs %d times, want %d", tag, got, want)
		}
	}
	if got := dataOf(t, text).Title; !strings.Contains(got, `<img src=x onerror=alert(1)>"'`) {
		t.Errorf("the title reads %q", got)
	}
	dom := open(t, text, "#failure", 1400, 2400)
	if strings.Contains(dom, "<img") || strings.Contains(dom, "<title>pwned") {
		t.Error("the run's words became markup")
	}
	if !strings.Contains(dom, "&lt;img src=x onerror=alert(1)&gt;") {
		t.Error("the run's words are not shown")
	}
}

// TestPageNeedsNoNetwork: nothing in the page names another place, and its policy refuses all.
func TestPageNeedsNoNetwork(t *testing.T) {
	text := pageOf(t, sampleRun())
	for _, m := range regexp.MustCompile(`(?i)(https?:|//[a-z0-9]+\.|@import|src=|url\([^#])[^\s]*`).FindAllString(text, -1) {
		if !strings.HasPrefix(m, "http://www.w3.org/2000/svg") {
			t.Errorf("the page refers to %s", m)
		}
	}
	policy := fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'", policyHash(pageJS), policyHash(pageCSS))
	if !strings.Contains(text, policy) {
		t.Errorf("the page's policy is not %s", policy)
	}
}

// TestPageOfNothing: a run without events is a page all the same.
func TestPageOfNothing(t *testing.T) {
	p := dataOf(t, pageOf(t, Run{}))
	if p.Failed != -1 || len(p.Events) != 0 {
		t.Errorf("got %+v", p)
	}
	open(t, pageOf(t, Run{}), "", 1000, 700)
}

// TestPageBarOfUnendedOperation: one that the next begins upon did not end by itself.
func TestPageBarOfUnendedOperation(t *testing.T) {
	s := &script{life: 1}
	s.add(trace.Op, "client-1", "", "begin A")
	s.add(trace.Op, "client-1", "", "begin B")
	s.add(trace.Op, "client-1", "", "end B")
	s.add(trace.Op, "client-1", "", "begin C")
	got := dataOf(t, pageOf(t, Run{Events: s.events})).Bars
	if want := [][4]int64{{0, 0, 1, 0}, {0, 1, 2, 1}, {0, 3, 3, 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPageBars: operations last from where they begin to where they end, or to the crash.
func TestPageBars(t *testing.T) {
	p := dataOf(t, pageOf(t, sampleRun()))
	var ended, cut int
	for _, b := range p.Bars {
		at := p.Events[b[2]]
		switch kind := trace.Kind(at[3]); {
		case b[3] == 1 && kind == trace.Op && at[6] == b[0]:
			ended++
		case b[3] == 0 && kind == trace.Crash:
			cut++
		default:
			t.Errorf("bar %v ends at %v", b, at)
		}
	}
	if ended != 2 || cut != 2 {
		t.Errorf("%d bars end, %d are cut", ended, cut)
	}
}

// drive is what a person does to the page. Each step writes what it sees into the document.
const drive = `
press("j"); see("first", picked());
press("j"); see("second", picked());
press("k"); see("back", picked());
press("n"); see("same-task", picked());
press("c"); see("crash", picked());
press("f"); see("failure", picked());
document.querySelector("#panel a").click();
dispatchEvent(new HashChangeEvent("hashchange"));
see("against", picked());
document.querySelector(".row.fold").click(); see("unfolded", picked());
const before = document.querySelectorAll("#art .msg").length;
const boxes = [...document.querySelectorAll("#kinds input")];
boxes.find(b => b.parentElement.textContent.includes("send")).click();
see("messages", before + " then " + document.querySelectorAll("#art .msg").length);
const lane = [...document.querySelectorAll("#tasks input")].find(b => b.parentElement.textContent.includes("client-2"));
lane.click();
see("lanes", document.querySelectorAll("[data-lane]").length + " " + !!document.querySelector('[data-lane="client-2"]'));
document.getElementById("find").value = "uPDATE: SEQ";
document.getElementById("find").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
see("found", document.getElementById("found").textContent + " " + document.querySelectorAll("mark").length);
document.querySelector('[data-at="5"]').dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
see("hover", document.querySelector("#panel pre").textContent);
`

// TestPageControls: keys, links, folds, filters, the search and the panel do what they say.
func TestPageControls(t *testing.T) {
	dom := driven(t, sampleRun(), drive, 1400, 2400)
	checkSeen(t, dom, map[string]string{
		"first":     "○ an empty disk",
		"second":    "▸ list",
		"back":      "○ an empty disk",
		"same-task": "◷ Tick",
		"crash":     "power cut",
		"failure":   "the state equals no prefix",
		"against":   "⇒ committed, seq 3",
		"unfolded":  "▸ list",
		"messages":  "9 then 0",
		"lanes":     "11 false",
		"found":     "1 found 1",
		"hover":     "begin Update: put account/1",
	})
}

// TestPageShowsWhatIsPicked: on a narrow page, too, what an event draws is in sight; and evidence
// is never folded.
func TestPageShowsWhatIsPicked(t *testing.T) {
	r := sampleRun()
	read := slices.IndexFunc(r.Events, func(e trace.Event) bool { return e.Text == "read" })
	r.Evidence = []int{read + 3}
	dom := driven(t, r, `
const view = document.getElementById("view");
press("f"); press("k"); press("k");
see("right", view.scrollLeft > 0);
press("j");
see("left", view.scrollLeft);
see("evidence", [...document.querySelectorAll(".mark")].filter(m => m.textContent === "▶").map(m => m.parentElement.textContent).join());
`, 800, 2400)
	checkSeen(t, dom, map[string]string{"right": "true", "left": "0", "evidence": "read 4096 B at 12288"})
}

// driven opens a page, and lets a script act on it.
func driven(t *testing.T, r Run, script string, width, height int) string {
	t.Helper()
	const helpers = `
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const see = (name, value) => { document.documentElement.setAttribute("data-saw-" + name, value); };
const picked = () => document.querySelector(".picked .words")?.textContent ?? "nothing";
`
	// The page's policy allows no other script, so it goes.
	policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)
	text := policy.ReplaceAllString(pageOf(t, r), "")
	return open(t, strings.Replace(text, "</body>", "<script>"+helpers+script+"</script></body>", 1), "", width, height)
}

// checkSeen compares what a script saw.
func checkSeen(t *testing.T, dom string, wants map[string]string) {
	t.Helper()
	for name, want := range wants {
		m := regexp.MustCompile(`data-saw-` + name + `="([^"]*)"`).FindStringSubmatch(dom)
		if m == nil || !strings.Contains(m[1], want) {
			t.Errorf("%s: the page shows %q, want %q", name, m, want)
		}
	}
}
