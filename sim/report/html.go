package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/aegis-storage/aegis/sim/trace"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

// HTML writes the run as one page that needs no network: lanes for clients, actors and files,
// time downwards, messages as arrows, crashes as bands. The page's policy allows its own script
// and style alone, and everything that the run says is data to them, never markup. The error is
// w's, or says what in r points nowhere.
func HTML(w io.Writer, r Run) error {
	if err := r.check(); err != nil {
		return err
	}
	var data bytes.Buffer
	enc := json.NewEncoder(&data) // writes <, > and & as escapes
	if err := enc.Encode(newPage(&r)); err != nil {
		return fmt.Errorf("report: page: %w", err)
	}
	title := strings.Trim(strings.Join([]string{clean(r.Title), clean(r.Check)}, " · "), " ·")
	_, err := strings.NewReplacer(
		"{{title}}", html.EscapeString(title),
		"{{script-hash}}", policyHash(pageJS),
		"{{style-hash}}", policyHash(pageCSS),
		"{{style}}", pageCSS,
		"{{script}}", pageJS,
		"{{data}}", data.String(),
	).WriteString(w, pageHTML)
	return err
}

// policyHash is how a Content-Security-Policy names an inline script or style.
func policyHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page is what the script draws. Strings that repeat are numbers into Strings.
type page struct {
	Title, Token, Profile, Seed, Check, Failure string

	Lives    int
	Failed   int // index of the failure's event, or -1
	Evidence []int
	Commands [][2]string
	Kinds    []string
	Arrows   []string
	Fates    []string
	Strings  []string
	Lanes    []pageLane
	Events   [][eventFields]int64
	Extents  [][6]int64 // file, off, len, written by, decided by, fate
	Names    [][4]int64 // crash, file, fate, 1 for the removal
	Bars     [][4]int64 // lane, first and last event, 1 if it ended by itself
}

type pageLane struct {
	Name, Group string
	Members     []string
}

// The fields of an event in a page, in order: step, life, time (string), kind, task (string),
// target (string), their lanes or -1, offset, length, words (string), fold key (string, 0 is
// none), and what to draw at its end.
const eventFields = 13

// shapeOf says what stands at the end of an event's arrow.
func shapeOf(e trace.Event) int64 {
	const (
		plain = iota
		write
		sync
		read
		begin
		end
		failure = 8 // added to the others
	)
	switch e.Kind {
	case trace.Op:
		if begins, ends, _ := operation(e.Text); begins {
			return begin
		} else if ends {
			return end
		}
	case trace.IO:
		name, _, failed := call(e.Text)
		shape := int64(slices.Index([]string{"write", "sync", "read"}, name) + 1)
		if failed {
			shape += failure
		}
		return shape
	}
	return plain
}

// interner numbers strings.
type interner struct {
	index map[string]int64
	all   []string
}

func (n *interner) id(s string) int64 {
	id, ok := n.index[s]
	if !ok {
		id = int64(len(n.all))
		n.index[s] = id
		n.all = append(n.all, s)
	}
	return id
}

func newPage(r *Run) *page {
	p := &page{
		Title: clean(r.Title), Token: clean(r.Token), Profile: clean(r.Profile), Seed: strconv.FormatUint(r.Seed, 10),
		Check: clean(r.Check), Failure: clean(r.Failure), Lives: r.lives(), Failed: r.failed(),
		Evidence: append([]int{}, r.Evidence...), Fates: fateNames[:],
		Commands: [][2]string{}, Events: [][eventFields]int64{}, Extents: [][6]int64{}, Names: [][4]int64{},
	}
	if p.Failure == "" && p.Failed >= 0 {
		p.Failure = clean(r.Events[p.Failed].Text)
	}
	for _, c := range r.commands() {
		p.Commands = append(p.Commands, [2]string{clean(c.Does), clean(c.Line)})
	}
	for k := trace.Op; k <= trace.Failure; k++ {
		p.Kinds = append(p.Kinds, k.String())
		p.Arrows = append(p.Arrows, arrows[k])
	}
	names := &interner{index: map[string]int64{}}
	names.id("")
	lanes := newColumns(lanesOf(r.Events))
	d := replayDisk(r)
	for i, e := range r.Events {
		from, to := lanes.of(e)
		p.Events = append(p.Events, [eventFields]int64{
			e.Step, int64(e.Life), names.id(instant(e.Time)), int64(e.Kind), names.id(clean(e.From)), names.id(clean(e.To)),
			from, to, e.Off, e.Len, names.id(words(e, d.syncs, i)), names.id(foldKey(e)), shapeOf(e),
		})
	}
	for _, x := range d.extents {
		p.Extents = append(p.Extents, [6]int64{names.id(clean(x.file)), x.off, x.len, int64(x.born), int64(x.ended), int64(x.fate)})
	}
	for _, l := range r.Losses {
		if l.Len == 0 {
			removal := int64(0)
			if l.Removal {
				removal = 1
			}
			p.Names = append(p.Names, [4]int64{int64(l.Crash), names.id(clean(l.File)), int64(l.Fate), removal})
		}
	}
	p.Bars = lanes.bars(r.Events)
	p.Lanes, p.Strings = lanes.page(), names.all
	return p
}

// columns finds an event's lanes.
type columns struct {
	lanes []lane
	tasks map[string]int64
	files map[string]int64
}

func newColumns(lanes []lane) *columns {
	c := &columns{lanes: lanes, tasks: map[string]int64{}, files: map[string]int64{}}
	for i, l := range lanes {
		index := c.tasks
		if l.group == onDisk {
			index = c.files
		}
		for _, name := range l.members {
			index[name] = int64(i)
		}
	}
	return c
}

// of returns the lanes of an event's task and of where it leads, -1 if it has none.
func (c *columns) of(e trace.Event) (from, to int64) {
	from, to = lookup(c.tasks, e.From), -1
	switch {
	case e.Kind == trace.IO || e.Kind == trace.Fault && e.To != "":
		to = lookup(c.files, e.To)
	case e.To != "":
		to = lookup(c.tasks, e.To)
	}
	return from, to
}

func lookup(index map[string]int64, name string) int64 {
	if i, ok := index[name]; ok {
		return i
	}
	return -1
}

// bars finds the operations of clients: from where each begins to where it ends, or its life
// does.
func (c *columns) bars(events []trace.Event) [][4]int64 {
	bars := [][4]int64{}
	open := map[string]int{} // client → its bar
	for i, e := range events {
		switch e.Kind {
		case trace.Op:
			begins, ends, _ := operation(e.Text)
			at, running := open[e.From]
			if running && (begins || ends) {
				bars[at][2] = int64(i)
				delete(open, e.From)
			}
			if running && ends {
				bars[at][3] = 1
			}
			if begins {
				open[e.From] = len(bars)
				bars = append(bars, [4]int64{lookup(c.tasks, e.From), int64(i), int64(len(events) - 1), 0})
			}
		case trace.Crash:
			for _, at := range open {
				bars[at][2] = int64(i)
			}
			clear(open)
		}
	}
	return bars
}

func (c *columns) page() []pageLane {
	all := []pageLane{}
	for _, l := range c.lanes {
		p := pageLane{Name: clean(l.name), Group: l.group}
		for _, m := range l.members {
			p.Members = append(p.Members, clean(m))
		}
		all = append(all, p)
	}
	return all
}
