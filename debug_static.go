package aegis

import (
	"cmp"
	"fmt"
	"html"
	"strings"
	"time"
)

func (s *debugState) title() string {
	if s.Dir == "" {
		return "aegis"
	}
	return "aegis · " + s.Dir
}

// static is the page without a script: tables of the figures.
func (s *debugState) static() string {
	var b strings.Builder
	section := func(title string, rows ...[]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(&b, "<section><h2>%s</h2><table>", html.EscapeString(title))
		for _, row := range rows {
			b.WriteString("<tr>")
			for i, cell := range row {
				tag := "td"
				if i == 0 {
					tag = `th scope="row"`
				}
				fmt.Fprintf(&b, "<%s>%s</%s>", tag, html.EscapeString(cell), tag[:2])
			}
			b.WriteString("</tr>")
		}
		b.WriteString("</table></section>\n")
	}
	if s.Error != "" {
		section("Error", []string{"The store", s.Error})
	} else {
		s.staticStats(section)
	}
	var runs, events [][]string
	for i, r := range s.Runs {
		name := fmt.Sprintf("run %d, tier %d", i+1, r.Tier)
		if r.Bottom {
			name = fmt.Sprintf("run %d, bottom", i+1)
		}
		runs = append(runs, []string{name, fmt.Sprintf("%d tables", r.Count), showBytes(r.Bytes)})
	}
	section("Runs", runs...)
	for _, e := range s.Events {
		var fields []string
		for _, f := range e.Fields {
			fields = append(fields, f[0]+"="+f[1])
		}
		events = append(events, []string{e.Time.UTC().Format(time.DateTime), e.Level, e.Name, strings.Join(fields, " ")})
	}
	section("Events", events...)
	return b.String()
}

func (s *debugState) staticStats(section func(title string, rows ...[]string)) {
	st := &s.Stats
	row := func(name string, v any) []string { return []string{name, fmt.Sprint(v)} }
	section("Store", row("Directory", s.Dir), row("Uptime", st.Uptime.Round(time.Second)), row("State", s.State), row("Refuses writes", cmp.Or(st.Err, "no")),
		row("Last error of a flush or merge", cmp.Or(st.LastError, "none")))
	var failing [][]string
	for _, f := range s.Failing {
		failing = append(failing, []string{f.Job, fmt.Sprintf("%d times in %s", f.Failures, showDuration(f.Lasted)), f.Error})
	}
	section("Fails, and is tried again", failing...)
	c := &st.Commits
	section("Commits", row("Commits", c.Commits), row("Conflicts", c.Conflicts), row("Rejected", c.Rejected),
		row("Commits in a group", fmt.Sprintf("%.1f", c.PerGroup)), row("Waiting for a sync", c.Waiting), row("Held back", c.Held),
		row("Stalled turns", c.Stalls.Turns), row("Held for log space", c.Stalls.ForLog), row("Held for flushes and merges", c.Stalls.ForFlush),
		row("Readers that waited for memory", c.Stalls.ForMemory))
	var actors [][]string
	for _, a := range s.Actors {
		actors = append(actors, []string{a.Name, fmt.Sprintf("%d waiting", a.Waiting), fmt.Sprintf("%d taken", a.Taken)})
	}
	section("Actors", actors...)
	latency := [][]string{{"", "count", "median", "99 %", "longest"}}
	l := &st.Latency
	for _, x := range []struct {
		name string
		of   *Latency
	}{
		{"Commit", &l.Commit}, {"Get", &l.Get}, {"Scan", &l.Scan}, {"Page load", &l.PageLoad}, {"Log sync", &l.LogSync},
		{"Flush", &l.Flush}, {"Merge step", &l.MergeStep}, {"Checkpoint", &l.Checkpoint},
	} {
		latency = append(latency, []string{
			x.name, fmt.Sprint(x.of.Count), showDuration(x.of.P50), showDuration(x.of.P99), showDuration(x.of.Max),
		})
	}
	section("Latency", latency...)
	section("Log", row("Segments", st.Log.Segments), row("Spares", st.Log.Spares), row("Live", showBytes(st.Log.LiveBytes)), row("Files", showBytes(st.Log.FileBytes)))
	section("Tables", row("Tables", st.Tables.Tables), row("Stored", showBytes(st.Tables.Bytes)), row("Entries", st.Tables.Entries),
		row("Runs per tier", st.Tables.RunsPerTier), row("Only for old snapshots", showBytes(st.Tables.Reclaimable)))
	m := &st.Memory
	section("Memory", row("Budget", showBytes(m.Budget)), row("Version indexes", showBytes(m.IndexBytes)),
		row("Pinned by transactions", showBytes(m.PinnedIndexBytes)), row("Cached pages", showBytes(m.ResidentBytes)))
	var open [][]string
	for _, o := range st.Snapshots {
		open = append(open, []string{"seq " + fmt.Sprint(o.Seq), showDuration(o.Age), o.Origin})
	}
	section(fmt.Sprintf("Open snapshots: %d", s.Open), open...)
}

// showBytes prints a size to three digits.
func showBytes(n int64) string {
	v, unit := float64(n), 0
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	for v >= 1000 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", v, units[unit])
}
