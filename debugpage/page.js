"use strict";
(() => {
const $ = id => document.getElementById(id);
const keep = 180; // samples, one a second
const samples = [];
let last = null, paused = false, asking = false, failures = 0, polls = 0, timer = 0;

const complaints = new Set(); // each once: a fault comes again with each drawing
const complain = text => { const e = $("errors"); e.hidden = false; e.textContent = [...complaints.add(text)].slice(0, 20).join("\n"); };
addEventListener("error", e => complain(e.message));
addEventListener("unhandledrejection", e => complain(String(e.reason)));

// Texts.
const some = (n, one, more) => count(n) + " " + (n === 1 ? one : more || one + "s");
const three = v => {
  if (!isFinite(v)) return "–";
  const a = Math.abs(v);
  return a === 0 ? "0" : a >= 100 ? Math.round(v).toLocaleString("en") : a >= 10 ? v.toFixed(1) : a >= 1 ? v.toFixed(2) : v.toPrecision(2);
};
const scaled = (v, units, step, most) => {
  let i = 0;
  while (Math.abs(v) >= most && i < units.length - 1) { v /= step; i++; most = 1000; }
  return (i === 0 && Number.isInteger(v) ? String(v) : three(v)) + units[i];
};
const count = v => scaled(v, ["", " k", " M", " G"], 1000, 10000);
const rate = v => (v > 0 && v < .05 ? "< 0.1" : scaled(v < 100 ? Math.round(v * 10) / 10 : Math.round(v), ["", " k", " M"], 1000, 10000)) + "/s";
const size = v => scaled(Math.round(v), [" B", " KiB", " MiB", " GiB", " TiB"], 1024, 1000);
const span = ns => ns < 1000 ? Math.round(ns) + " ns" : scaled(ns / 1000, [" µs", " ms", " s"], 1000, 1000);
const long = ns => {
  const s = ns / 1e9;
  if (s < 60) return s < 10 ? s.toFixed(1) + " s" : Math.round(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
  return s < 86400 ? Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min" : Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
};

// Elements. Whatever the store says becomes text or the value of an attribute, never markup.
const el = (tag, attrs, ...inside) => fill(document.createElement(tag), attrs, inside);
const art = (tag, attrs, ...inside) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attrs, inside);
const fill = (e, attrs, inside) => {
  for (const k in attrs) if (attrs[k] !== undefined) e.setAttribute(k, attrs[k]);
  for (const x of inside) if (x !== null && x !== undefined) e.append(x);
  return e;
};
const show = (id, ...inside) => $(id).replaceChildren(...inside);
const text = (x, y, s, cls, anchor) => art("text", { x, y, class: cls, "text-anchor": anchor }, s);
const picture = (id, height, says) => {
  const width = Math.max(260, $(id).clientWidth);
  const svg = art("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": says });
  show(id, svg);
  return [svg, width];
};

// Quantiles of what came between two samples.
const between = (now, before) => {
  const old = new Map((before || []).map(b => [b.UpTo, b.Count]));
  return (now || []).map(b => [b.UpTo, b.Count - (old.get(b.UpTo) || 0)]).filter(b => b[1] > 0);
};
const quantile = (buckets, q) => {
  let all = 0, below = 0;
  for (const b of buckets) all += b[1];
  for (const b of buckets) if ((below += b[1]) >= all * q) return b[0];
  return NaN;
};

const sampleOf = (s, before) => {
  const st = s.Stats, c = st.Commits, l = st.Log;
  const x = {
    at: st.Uptime, commits: c.Commits, bytes: c.UserBytes, conflicts: c.Conflicts + c.Rejected, refused: c.Rejected, syncs: st.Latency.LogSync.Count,
    logBytes: l.BytesWritten, hits: st.Cache.Hits, misses: st.Cache.Misses, turns: c.Stalls.Turns, forLog: c.Stalls.ForLog,
    forFlush: c.Stalls.ForFlush, forMemory: c.Stalls.ForMemory, flushes: st.Tables.Flushes, steps: st.Tables.MergeSteps,
    checkpoints: st.Tables.Checkpoints, loaded: st.Cache.LoadedBytes, evicted: st.Cache.Evicted, taken: {},
    buckets: st.Latency.Commit.Buckets, groups: c.GroupSizes, per: {},
  };
  for (const a of s.Actors || []) x.taken[a.Name] = a.Taken;
  const seconds = before ? (x.at - before.at) / 1e9 : 0;
  const per = k => seconds > 0 ? Math.max(0, x[k] - before[k]) / seconds : 0;
  for (const k of ["commits", "bytes", "conflicts", "refused", "syncs", "logBytes", "hits", "misses", "turns", "forLog", "forFlush", "forMemory", "flushes", "steps", "checkpoints", "loaded", "evicted"]) x.per[k] = per(k);
  x.per.taken = {};
  for (const name in x.taken) x.per.taken[name] = seconds > 0 ? Math.max(0, x.taken[name] - (before.taken[name] || 0)) / seconds : 0;
  const news = between(x.buckets, before && before.buckets);
  x.p50 = before ? quantile(news, .5) : NaN;
  x.p99 = before ? quantile(news, .99) : NaN;
  return x;
};

function tiles(s, x) {
  const n = s.Stats.Commits, reads = x.per.hits + x.per.misses;
  const tile = (name, value, small) => el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, small || "")));
  show("tiles",
    tile("Commits", rate(x.per.commits), count(n.Commits) + " since open"),
    tile("Keys and values", size(x.per.bytes) + "/s", "committed"),
    tile("Log syncs", rate(x.per.syncs), size(x.per.logBytes) + "/s"),
    tile("Pages read", rate(reads), reads > 0 ? three(100 * x.per.hits / reads) + " % cached" : ""),
    tile("Conflicts, refusals", rate(x.per.conflicts), count(n.Conflicts + n.Rejected) + " since open"),
    tile("Tables", count(s.Tables), size(s.Stats.Tables.Bytes)),
    tile("Last commit", count(n.LastSeq), n.LastSeq > n.DurableSeq ? count(n.LastSeq - n.DurableSeq) + " not synced" : ""));
}

// The graph: where the actors are, and what flows between them.
function graph(s, x) {
  const narrow = $("graph").clientWidth < 820;
  const names = (s.Actors || []).map(a => a.Name);
  const has = n => n === "clients" || n === "disk" || names.includes(n);
  const words = (s.Actors || []).map(a => `${a.Name}: ${a.Waiting} waiting, ${rate(x.per.taken[a.Name] || 0)}`).join("; ");
  const [svg, width] = picture("graph", narrow ? 472 : 298, "Actors. " + words);
  const w = narrow ? Math.min(150, (width - 30) / 2) : 150, h = 66;
  const columns = narrow ? [4, width - w - 4] : [0, 1, 2, 3].map(i => 4 + i * (width - w - 8) / 3);
  const at = narrow
    ? { clients: [(width - w) / 2, 4], txcoord: [(width - w) / 2, 132], walwriter: [columns[0], 270], flusher: [columns[1], 270], evictor: [columns[1], 400], disk: [columns[0], 400] }
    : { clients: [columns[0], 112], txcoord: [columns[1], 112], walwriter: [columns[2], 8], flusher: [columns[2], 224], evictor: [columns[1], 224], disk: [columns[3], 112] };
  const mid = n => [at[n][0] + w / 2, at[n][1] + h / 2];
  const labels = [];
  const edge = (a, b, label, busy) => {
    if (!has(a) || !has(b)) return;
    const [ax, ay] = mid(a), [bx, by] = mid(b);
    const dx = bx - ax, dy = by - ay, clip = Math.min(w / 2 / Math.abs(dx || 1e-9), h / 2 / Math.abs(dy || 1e-9));
    const gap = 5 / Math.hypot(dx, dy), from = [ax + dx * clip, ay + dy * clip], to = [bx - dx * (clip + gap), by - dy * (clip + gap)];
    const cls = busy ? " busy" : "", turn = Math.atan2(dy, dx) * 180 / Math.PI;
    svg.append(art("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: "edge" + cls }),
      art("path", { d: "M4 0L-7 -4.5V4.5Z", transform: `translate(${to[0]} ${to[1]}) rotate(${turn})`, class: "head" + cls }));
    const lx = (from[0] + to[0]) / 2, ly = (from[1] + to[1]) / 2 + 4 - 7 * (label.length - 1);
    label.forEach((t, n) => labels.push(text(lx, ly + 14 * n, t, "soft label", "middle")));
  };
  const p = x.per;
  const tables = s.Stats.Tables;
  edge("clients", "txcoord", [rate(p.commits), "commits"], p.commits > 0);
  edge("txcoord", "walwriter", [rate(p.syncs), "groups"], p.syncs > 0);
  edge("txcoord", "flusher", [count(tables.Flushes), tables.Flushes === 1 ? "flush" : "flushes"], p.flushes > 0);
  edge("flusher", "walwriter", narrow ? [] : ["log to reuse"], p.checkpoints > 0);
  if (!narrow) edge("txcoord", "evictor", [], p.taken.evictor > 0);
  edge("flusher", "evictor", [], p.taken.evictor > 0 && p.checkpoints > 0);
  edge("walwriter", "disk", [size(p.logBytes) + "/s"], p.logBytes > 0);
  edge("flusher", "disk", narrow ? [] : [count(tables.Checkpoints), tables.Checkpoints === 1 ? "checkpoint" : "checkpoints"], p.checkpoints > 0);
  svg.append(...labels);
  const node = (name, waiting, line) => {
    const [nx, ny] = at[name], room = Math.max(64, s.Limits.Inbox / 4), late = waiting > room;
    const taken = p.taken[name];
    const g = art("g", { "data-node": name }, art("rect", { x: nx, y: ny, width: w, height: h, rx: 9, class: "box" + (late ? " late" : taken > 0 ? " busy" : "") }),
      text(nx + 12, ny + 21, name, "name"));
    if (waiting === undefined) {
      line.forEach((t, i) => g.append(text(nx + 12, ny + 39 + 15 * i, t, "soft")));
    } else {
      g.append(text(nx + w - 12, ny + 21, rate(taken || 0), "on", "end"),
        text(nx + 12, ny + 40, waiting === 1 ? "1 message waits" : waiting + " messages wait", "soft"),
        art("rect", { x: nx + 12, y: ny + 49, width: w - 24, height: 6, rx: 3, class: "trough" }),
        art("g", { class: late ? "bad" : "ka" }, art("rect", { x: nx + 12, y: ny + 49, width: (w - 24) * Math.min(1, waiting / s.Limits.Inbox), height: 6, rx: 3, class: "fill" })));
    }
    svg.append(g);
  };
  const c = s.Stats.Commits;
  node("clients", undefined, [count(c.Waiting) + " wait for a sync", count(c.Held) + " held back"]);
  node("disk", undefined, [size(s.Stats.Log.FileBytes) + " log", size(s.Stats.Tables.Bytes) + " tables"]);
  for (const a of s.Actors || []) node(a.Name, a.Waiting);
}

// A chart over time: lines of values on a scale that fits them.
function chart(id, lines, format, logScale, says) {
  const [svg, width] = picture(id, 170, says);
  const left = 62, top = 8, bottom = 146, right = width - 6;
  const values = lines.flatMap(l => samples.map(l.of)).filter(v => isFinite(v) && (v > 0 || !logScale));
  let low = 0, high = Math.max(1, ...values);
  if (logScale) {
    low = Math.floor(Math.log10(values.length ? Math.min(...values) : 1e5));
    high = Math.max(low + 1, Math.ceil(Math.log10(values.length ? Math.max(...values) : 1e6)));
  } else {
    const unit = 10 ** Math.floor(Math.log10(high));
    high = Math.ceil(high / unit * 2) / 2 * unit;
  }
  const y = v => bottom - (bottom - top) * ((logScale ? Math.log10(v) : v) - low) / (high - low);
  const marks = logScale ? Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)) : [0, .5, 1].map(f => f * high);
  for (const m of marks) svg.append(art("line", { x1: left, x2: right, y1: y(m), y2: y(m), class: "grid" }), text(left - 8, y(m) + 4, format(m), "soft", "end"));
  const end = samples.length ? samples[samples.length - 1].at : 0, whole = keep * 1e9;
  const px = t => right - (right - left) * (end - t) / whole;
  for (const back of [0, 60, 120, 180]) svg.append(text(px(end - back * 1e9), bottom + 17, back ? `−${back} s` : "now", "soft", back === 180 ? "start" : back ? "middle" : "end"));
  for (const l of lines) {
    const g = art("g", { class: l.cls });
    let d = "", drawn = [];
    const flush = () => {
      if (drawn.length && !logScale) g.append(art("path", { class: "area", d: `M${drawn[0][0]} ${bottom}L` + drawn.map(p => p.join(" ")).join("L") + `L${drawn[drawn.length - 1][0]} ${bottom}Z` }));
      if (drawn.length === 1) g.append(art("circle", { cx: drawn[0][0], cy: drawn[0][1], r: 2, class: "fill" }));
      drawn = [];
    };
    for (const x of samples) {
      const v = l.of(x);
      if (!isFinite(v) || logScale && v <= 0) { flush(); continue; }
      const p = [px(x.at).toFixed(1), y(v).toFixed(1)];
      d += (drawn.length ? "L" : "M") + p.join(" ");
      drawn.push(p);
    }
    flush();
    g.append(art("path", { class: "stroke", d }));
    svg.append(g);
  }
}
const legend = (id, ...items) => show(id, ...items.map(([cls, name, value]) => el("span", {}, cls ? el("i", { class: cls }) : null, name + " ", el("b", {}, value))));

function latency(x) {
  legend("latency-legend", ["ka", "median", span(x.p50)], ["kb", "99 %", span(x.p99)], ...(x.per.conflicts > 0 ? [[null, "with those that failed,", rate(x.per.conflicts)]] : []));
  chart("latency", [{ cls: "ka", of: s => s.p50 }, { cls: "kb", of: s => s.p99 }], span, true, `Commit latency over three minutes; now a median of ${span(x.p50)}, 99 % within ${span(x.p99)}`);
}

function rates(x) {
  legend("rate-legend", ["kc", "commits", rate(x.per.commits)], ["kd", "groups", rate(x.per.syncs)]);
  chart("rate", [{ cls: "kc", of: s => s.fresh ? NaN : s.per.commits }, { cls: "kd", of: s => s.fresh ? NaN : s.per.syncs }], v => count(Math.round(v * 100) / 100), false, `Commits per second over three minutes, now ${rate(x.per.commits)}`);
}

function groups(s, x) {
  const old = samples[Math.max(0, samples.length - 31)];
  const buckets = between(x.groups, old === x ? null : old.groups);
  // Four buckets to a doubling are joined to one.
  const joined = new Map();
  for (const [upTo, n] of buckets) {
    const high = Math.floor(Math.log2(Math.max(1, upTo)));
    joined.set(high, (joined.get(high) || 0) + n);
  }
  let all = 0;
  for (const n of joined.values()) all += n;
  $("groups-note").textContent = all ? `Commits that shared a sync, in the last 30 s; ${three(s.Stats.Commits.PerGroup)} on average since the store was opened` : "No commit was synced in the last 30 s";
  const most = Math.max(5, ...joined.keys());
  const [svg, width] = picture("groups", 132, "Group sizes: " + [...joined].map(([h, n]) => `from ${2 ** h} commits: ${n}`).join(", "));
  const slot = (width - 8) / (most + 1), top = Math.max(1, ...joined.values());
  for (let h = 0; h <= most; h++) {
    const n = joined.get(h) || 0, tall = 88 * n / top;
    svg.append(art("rect", { x: 4 + h * slot, y: 16, width: slot - 4, height: 88, rx: 3, class: "trough" }),
      art("g", { class: "kd" }, art("rect", { x: 4 + h * slot, y: 104 - tall, width: slot - 4, height: tall, rx: 3, class: "fill" })),
      text(2 + h * slot + slot / 2, 122, h === 0 ? "1" : slot > 44 ? `${2 ** h}–${2 ** (h + 1) - 1}` : `≥${2 ** h}`, "soft", "middle"));
    if (n) svg.append(text(2 + h * slot + slot / 2, 11, slot > 44 || n < 1000 ? three(100 * n / all) + " %" : "", "soft", "middle"));
  }
}

// Bars: parts of a whole, side by side.
function meter(name, value, parts, whole, mark) {
  const says = `${name}: ${value}`;
  const svg = art("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", role: "img", "aria-label": says }, art("rect", { width: 1000, height: 14, class: "trough" }));
  let x = 0;
  for (const [cls, v] of parts) {
    const wide = whole > 0 ? Math.max(v > 0 ? 3 : 0, 1000 * v / whole) : 0;
    svg.append(art("g", { class: cls }, art("rect", { x, width: Math.min(wide, Math.max(0, 1000 - x)), height: 14, class: "fill" })));
    x += wide;
  }
  if (mark > 0 && whole > 0) svg.append(art("rect", { x: Math.min(997, 1000 * mark / whole), width: 3, height: 14, class: "ink" }));
  return el("div", { class: "meter" }, el("p", {}, el("span", {}, name), el("span", {}, value)), svg);
}
const key = (...items) => el("div", { class: "key" }, ...items.map(([cls, name]) => el("span", {}, el("i", { class: cls }), name)));

function log(s, x) {
  const l = s.Stats.Log, cells = el("div", { class: "cells", role: "img", "aria-label": `${some(l.Segments, "segment")} in use, ${l.Spares} spare` });
  const most = 60;
  for (let i = 0; i < Math.min(l.Segments, most); i++) cells.append(el("span", { class: "cell", title: "segment in use" }));
  for (let i = 0; i < Math.min(l.Spares, most); i++) cells.append(el("span", { class: "cell spare", title: "spare segment" }));
  show("log", el("p", { class: "note" }, `${some(l.Segments, "segment")} in use, ${l.Spares} spare, ${size(l.FileBytes)} of files; ${count(l.Recycled)} reused so far`), cells,
    meter("A recovery would read", `${size(l.LiveBytes)}, a checkpoint comes at ${size(s.Limits.LogBytes)}`, [["ka", l.LiveBytes]], s.Limits.LogBytes),
    el("p", { class: "empty" }, `${size(x.per.logBytes)}/s written; checkpoint ${count(s.Stats.Tables.CheckpointNumber)}` + (l.PrepareFailures ? `; ${count(l.PrepareFailures)} segments could not be prepared` : "")));
}

function memory(s, x) {
  const m = s.Stats.Memory, held = m.IndexBytes + m.PinnedIndexBytes + m.ResidentBytes;
  show("memory",
    meter("Budget", `${size(held)} of ${size(m.Budget)}`, [["ka", m.IndexBytes], ["kd", m.PinnedIndexBytes], ["kc", m.ResidentBytes]], m.Budget),
    key(["ka", "recent writes " + size(m.IndexBytes)], ["kd", "pinned by transactions " + size(m.PinnedIndexBytes)], ["kc", "pages and filters " + size(m.ResidentBytes)]),
    el("div", { class: "cells" }),
    meter("Pages and filters", `${size(m.ResidentBytes)}, kept below ${size(m.TargetBytes)}`, [["kc", m.ResidentBytes]], m.TargetBytes),
    meter("Recent writes", `${size(m.IndexBytes)}, flushed at ${size(s.Limits.IndexBytes)} each`, [["ka", m.IndexBytes]], s.Limits.IndexBytes * (s.Limits.MaxFrozen + 1)),
    el("p", { class: "empty" }, `${some(s.Stats.Cache.Pages, "page")}; ${size(x.per.loaded)}/s loaded, ${rate(x.per.evicted)} evicted; ${some(m.EndedSnapshots, "transaction")} ended for memory`));
}

const table = (head, rows) => el("table", {}, el("thead", {}, el("tr", {}, ...head.map(h => el("th", { scope: "col", class: h.startsWith("·") ? "text" : undefined }, h.replace("·", ""))))), el("tbody", {}, ...rows));
const row = (name, ...cells) => el("tr", {}, el("th", { scope: "row" }, name), ...cells.map(c => c instanceof Node ? c : el("td", {}, c)));

function stalls(s, x) {
  const k = s.Stats.Commits.Stalls;
  show("stalls", table(["waits", "now", "since open"], [
    row("Turns that left commits waiting", rate(x.per.turns), count(k.Turns)),
    row("for log space", rate(x.per.forLog), count(k.ForLog)),
    row("for a flush or merges", rate(x.per.forFlush), count(k.ForFlush)),
    row("Readers, for memory", rate(x.per.forMemory), count(k.ForMemory)),
    row("Commits held back", count(s.Stats.Commits.Held), ""),
    row("Commits refused for space", "", count(s.Stats.Commits.Rejected)),
    row("Flushes and merges that failed", "", count(s.Stats.Tables.Failures)),
  ]));
}

function operations(s) {
  const l = s.Stats.Latency, names = { Commit: "Commit", Get: "Get (one in 64)", ScanFirst: "Scan, first entry", Scan: "Scan", PageLoad: "Page load", LogSync: "Log sync", Flush: "Flush", MergeStep: "Merge step", Checkpoint: "Checkpoint" };
  show("operations", table(["since open", "timed", "mean", "median", "90 %", "99 %", "longest"], Object.keys(names).map(k =>
    row(names[k], count(l[k].Count), ...(l[k].Count ? ["Mean", "P50", "P90", "P99", "Max"].map(q => span(l[k][q])) : ["–", "–", "–", "–", "–"])))));
}

function snapshots(s) {
  $("snapshots-title").textContent = `Open snapshots: ${s.Open}` + (s.Open > s.Stats.Snapshots.length ? `, the oldest ${s.Stats.Snapshots.length}` : "");
  if (!s.Open) return show("snapshots", el("p", { class: "empty" }, "No transaction is open."));
  const any = s.Stats.Snapshots.some(o => o.Origin);
  show("snapshots", table(["seq", "age", "kind", any ? "·opened at" : "·opened at (set Observer.SnapshotOrigins to see it)"], s.Stats.Snapshots.map(o =>
    row(String(o.Seq), long(o.Age), (o.ReadWrite ? "read-write" : "read-only") + (o.TooOld ? ", ended" : ""), el("td", { class: "text" }, o.Origin || "–")))));
}

function tables(s) {
  const kinds = ["ka", "kb", "kc", "kd"], rows = s.Runs || [], listed = rows.reduce((n, r) => n + r.Tables.length, 0);
  $("tables-note").textContent = rows.length
    ? `Newest run first. A table spans its keys from left to right; its height is its size.` + (listed < s.Tables ? ` ${listed} of ${s.Tables} tables are drawn.` : "")
    : "There is no table yet: all that is stored is in the log and in memory.";
  if (!rows.length) return show("tables");
  const wide = $("tables").clientWidth > 620, left = wide ? 190 : 0, tall = 34, head = wide ? 0 : 17, step = tall + head + 6;
  const tiers = s.Stats.Tables.RunsPerTier || [];
  const [svg, width] = picture("tables", rows.length * step + 40, `${some(rows.length, "run")}, ${some(s.Tables, "table")}; runs per tier: ${tiers.join(", ")}`);
  const px = f => left + 2 + f * (width - left - 6);
  let biggest = 1;
  for (const r of rows) for (const t of r.Tables) biggest = Math.max(biggest, t.Bytes);
  rows.forEach((r, i) => {
    const y = i * step + head, name = r.Bottom ? "bottom" : "tier " + r.Tier, of = `${some(r.Count, "table")}, ${size(r.Bytes)}`;
    if (wide) svg.append(text(0, y + 16, name, "name"), text(0, y + 31, of, "soft"));
    else svg.append(text(2, y - 5, name + ", " + of, "soft"));
    svg.append(art("rect", { x: px(0), y, width: px(1) - px(0), height: tall, rx: 3, class: "slot" }));
    const g = art("g", { class: r.Bottom ? "kc" : kinds[[0, 1, 3][r.Tier % 3]] });
    for (const t of r.Tables) {
      const h = Math.max(5, tall * t.Bytes / biggest), w = Math.max(2, px(t.To) - px(t.From));
      g.append(art("rect", { x: px(t.From), y: y + tall - h, width: w, height: h, rx: 2, class: "table" },
        art("title", {}, `${t.File}: ${size(t.Bytes)}, ${count(t.Entries)} entries, ${count(t.Tombstones)} tombstones\n${t.Min}\n… ${t.Max}`)));
    }
    svg.append(g);
  });
  const base = rows.length * step;
  const free = [-1, -1]; // of each of two lines of names
  for (const k of s.Keys || []) {
    const x = px(k.At);
    for (let i = 0; i < rows.length; i++) svg.append(art("line", { x1: x, x2: x, y1: i * step + head, y2: i * step + head + tall, class: "border" }));
    const name = k.Name.length > 24 ? k.Name.slice(0, 23) + "…" : k.Name, begin = Math.min(x, width - 4 - name.length * 6.6);
    const line = begin >= free[0] ? 0 : 1;
    if (begin < free[line]) continue;
    svg.append(text(begin, base + 18 + 14 * line, name, "soft"));
    free[line] = begin + name.length * 7 + 12;
  }
  if (free[1] < 0) {
    svg.setAttribute("height", base + 26);
    svg.setAttribute("viewBox", `0 0 ${width} ${base + 26}`);
  }
}

function events(s) {
  if (!s.Events.length) return show("events", el("p", { class: "empty" }, "Nothing has happened yet."));
  const cls = { ERROR: "bad", WARN: "warn" }, now = Date.parse(s.Time);
  show("events", ...s.Events.map(e => el("div", { class: "event" },
    el("time", { datetime: e.Time, title: e.Time }, long(Math.max(0, now - Date.parse(e.Time)) * 1e6)),
    el("span", { class: "level " + (cls[e.Level] || "ks") }, e.Level.toLowerCase()), el("span", { class: "called" }, e.Name),
    el("span", { class: "fields" }, ...e.Fields.flatMap(([k, v]) => [k + "=", el("b", {}, v), "  "])))));
}

function draw() {
  const s = last, x = samples[samples.length - 1];
  if (!s || !x) return;
  tiles(s, x); graph(s, x); latency(x); rates(x); tables(s); groups(s, x); log(s, x); memory(s, x); stalls(s, x); operations(s); snapshots(s); events(s);
}

function status(word, cls, alarm) {
  const e = $("state");
  if (e.textContent !== word) e.textContent = word;
  e.className = cls;
  $("alarm").hidden = !alarm;
  if (alarm && $("alarm").textContent !== alarm) $("alarm").textContent = alarm;
}

function take(s) {
  $("dir").textContent = s.Dir;
  if (s.Error) {
    status(s.State, "bad", s.Error);
    document.body.classList.toggle("blank", !last); // what was drawn before stays to be seen
    $("live").hidden = false; $("static").hidden = true;
    tables(s); events(s);
    return;
  }
  let before = samples[samples.length - 1];
  if (before && s.Stats.Uptime < before.at) { samples.length = 0; before = undefined; } // another store
  if (before && s.Stats.Uptime === before.at) return;
  const x = sampleOf(s, before);
  x.fresh = !before;
  samples.push(x);
  if (samples.length > keep + 1) samples.shift();
  last = s;
  document.body.classList.remove("blank");
  $("live").hidden = false; $("static").hidden = true;
  $("facts").textContent = `open for ${long(s.Stats.Uptime)}` + (s.ReadOnly ? ", read-only" : "");
  const error = s.Stats.Err || "", failing = s.Failing.map(f => `${f.Job} failed ${some(f.Failures, "time")} in ${long(f.Lasted)} and is tried again: ${f.Error}`);
  const refusing = !error && x.per.refused > 0; // also while memory is full of what cannot be flushed
  status(refusing ? "commits are refused" : s.State, error || refusing ? "bad" : s.State === "works" ? "good" : "warn", [error, ...failing].filter(t => t).join("\n"));
  draw();
}

async function poll() {
  if (asking) return; // an answer that comes late would look like another store's
  clearTimeout(timer);
  if (!document.hidden && !paused) {
    asking = true;
    try {
      const r = await fetch(location.pathname + "?format=json", { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(5000) });
      if (r.status !== 200 && r.status !== 503) throw new Error("status " + r.status);
      take(await r.json());
      failures = 0;
      document.documentElement.setAttribute("data-polls", ++polls);
    } catch (e) {
      if (e instanceof TypeError && !/fetch|network|load/i.test(e.message)) throw e;
      if (++failures > 1) status("no answer", "bad", "The program does not answer: " + e.message);
    } finally {
      asking = false;
      timer = setTimeout(poll, 1000);
    }
  } else {
    timer = setTimeout(poll, 1000);
  }
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").textContent = paused ? "Go on" : "Pause";
});
addEventListener("resize", draw);
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();
})();
