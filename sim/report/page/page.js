"use strict";
(() => {
const $ = id => document.getElementById(id);
const complain = text => { $("errors").hidden = false; $("errors").append(text + "\n"); };
addEventListener("error", e => complain(e.message + " (line " + e.lineno + ")"));
addEventListener("securitypolicyviolation", e => complain("refused: " + e.violatedDirective));

// ---- the run

const run = JSON.parse($("data").textContent);
const [STEP, LIFE, TIME, KIND, FROM, TO, FROM_LANE, TO_LANE, OFF, LEN, WORDS, FOLD, SHAPE] = Array(13).keys();
const [WRITE, SYNC, READ, BEGIN, FAILED] = [1, 2, 3, 4, 8];
const K = Object.fromEntries(run.Kinds.map((name, i) => [name, i]));
const [DOUBT, KEPT, DROPPED, TORN, SYNCED, , OPEN] = Array(7).keys();
const fateClass = ["s-doubt", "s-kept", "s-lost", "s-torn", "s-synced", "", "s-unsynced"];
const events = run.Events, N = events.length;
const str = (i, field) => run.Strings[events[i][field]];
const evidence = new Set(run.Evidence);
const always = i => events[i][KIND] === K.crash || events[i][KIND] === K.life || events[i][KIND] === K.failure || evidence.has(i);
const crashes = [...events.keys()].filter(i => events[i][KIND] === K.crash);
const number = n => n.toLocaleString("en-US");
const size = n => n < 10000 ? n + " B" : n < 1 << 20 ? +(n / 1024).toFixed(1) + " KiB" : +(n / (1 << 20)).toFixed(1) + " MiB";

// Unsynced bytes of each file lane, as steps: after event at, so many bytes.
const laneOfFile = new Map();
run.Lanes.forEach((l, at) => { if (l.Group === "disk") l.Members.forEach(m => laneOfFile.set(m, at)); });
const dirty = run.Lanes.map(() => []);
const taken = new Map(); // crash → lane → bytes by fate
for (const [file, , len, born, ended, fate] of run.Extents) {
	const lane = laneOfFile.get(run.Strings[file]);
	if (lane === undefined) continue;
	dirty[lane].push([born, len], [ended, -len]);
	if (ended >= N || events[ended][KIND] !== K.crash) continue;
	if (!taken.has(ended)) taken.set(ended, new Map());
	const lanes = taken.get(ended);
	if (!lanes.has(lane)) lanes.set(lane, Array(7).fill(0));
	lanes.get(lane)[fate] += len;
}
dirty.forEach((changes, lane) => {
	changes.sort((a, b) => a[0] - b[0]);
	let sum = 0;
	dirty[lane] = changes.map(([at, change]) => [at, sum += change]);
});
const mostDirty = dirty.flat().reduce((most, [, bytes]) => Math.max(most, bytes), 1);

// ---- small makers of elements; text is never parsed as markup

const el = (tag, attrs, ...inner) => {
	const e = document.createElement(tag);
	for (const [name, value] of Object.entries(attrs || {})) {
		if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
		else if (value !== false) e.setAttribute(name, value === true ? "" : value);
	}
	e.append(...inner.filter(x => x !== null && x !== undefined));
	return e;
};
const svg = (tag, attrs, ...inner) => {
	const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(attrs)) e.setAttribute(name, value);
	e.append(...inner);
	return e;
};
const place = (e, box) => { for (const [name, value] of Object.entries(box)) e.style[name] = value + "px"; return e; };

// ---- rows: what is shown, folded and filtered

const kindOn = run.Kinds.map(() => true), laneOn = run.Lanes.map(() => true);
const opened = new Set(); // events whose fold was opened
let folding = true, picked = -1, needle = "";
let rows = [], tops = [0], rowOf = new Int32Array(N);

function shown(i) {
	const e = events[i];
	if (always(i)) return true;
	const seen = lane => lane >= 0 && laneOn[lane];
	return kindOn[e[KIND]] && (seen(e[FROM_LANE]) || seen(e[TO_LANE]) || e[FROM_LANE] < 0 && e[TO_LANE] < 0);
}
const heightOf = r => {
	const lines = r.at < 0 ? 1 : str(r.at, WORDS).split("\n").length;
	switch (r.type) {
	case "life": return 34;
	case "crash": return 16 * Math.min(6, Math.max(2, lines)) + 8;
	case "broken": return 16 * Math.min(6, lines) + 8;
	}
	return 22;
};
function build() {
	rows = [];
	let quiet = [], life = 0;
	const settle = () => {
		if (folding && quiet.length >= 3 && !quiet.some(i => opened.has(i))) rows.push({ type: "fold", at: quiet[0], list: quiet });
		else quiet.forEach(i => rows.push({ type: "event", at: i }));
		quiet = [];
	};
	for (let i = 0; i < N; i++) {
		const e = events[i];
		if (e[LIFE] !== life) {
			settle();
			life = e[LIFE];
			rows.push({ type: "life", at: -1, life, next: i });
		}
		if (!shown(i)) continue;
		if (e[FOLD] && !evidence.has(i)) { quiet.push(i); continue; }
		settle();
		rows.push({ type: e[KIND] === K.crash ? "crash" : e[KIND] === K.failure ? "broken" : "event", at: i });
	}
	settle();
	tops = [0];
	rows.forEach((r, n) => tops.push(tops[n] + heightOf(r)));
	rowOf.fill(-1);
	rows.forEach((r, n) => (r.list || [r.at]).forEach(i => { if (i >= 0) rowOf[i] = n; }));
	for (let i = N - 1, next = rows.length - 1; i >= 0; i--) { // what is hidden counts as the next row
		if (rowOf[i] < 0) rowOf[i] = next;
		else next = rowOf[i];
	}
}

// ---- layout

let lanes = [], laneX = [], laneW = 0, storyW = 0, total = 0, roomy = false;
const middle = lane => laneX[lane];
const longest = field => events.reduce((most, e) => Math.max(most, field === STEP ? number(e[STEP]).length : run.Strings[e[field]].length), 4);
const wide = [STEP, TIME, FROM].map(longest);
const glyph = (() => { // the width of one character of the story
	const probe = el("span", { class: "story" }, "0".repeat(100));
	$("rows").append(probe);
	const width = probe.getBoundingClientRect().width / 100;
	probe.remove();
	return width || 7.3;
})();
function layout() {
	lanes = [...run.Lanes.keys()].filter(l => laneOn[l]);
	const width = $("view").clientWidth;
	storyW = Math.round(Math.min(680, Math.max(300, width * 0.36)));
	roomy = storyW >= 440; // narrow stories leave out what the panel and the lanes tell
	const columns = [2, wide[0], roomy ? wide[1] : 0, Math.min(14, wide[2])].map(n => Math.ceil(n * glyph) + "px");
	if (!roomy) columns.splice(2, 1);
	$("view").style.setProperty("--columns", columns.join(" ") + " minmax(0, 1fr)");
	$("view").classList.toggle("roomy", roomy);
	laneW = Math.floor(Math.min(140, Math.max(56, (width - storyW - 12) / Math.max(1, lanes.length))));
	total = Math.max(width, storyW + lanes.length * laneW + 12);
	laneX = run.Lanes.map(() => -1);
	lanes.forEach((l, n) => { laneX[l] = n * laneW + laneW / 2 + 6; });
	heads();
	place($("body"), { width: total, height: tops[tops.length - 1] + 24 });
}
const cells = (mark, step, time, task, words) => [el("span", { class: "mark" }, mark), el("span", { class: "num" }, step),
	roomy ? el("span", { class: "num" }, time) : null, el("span", {}, task), words].filter(Boolean);
const shorten = (s, most) => s.length <= most ? s : s.slice(0, Math.ceil(most / 2) - 1) + "…" + s.slice(s.length - Math.floor(most / 2));
function heads() {
	const box = $("heads");
	const corner = el("div", { class: "corner cells" }, ...cells("", "step", "time", "task", el("span", {}, "what happened")));
	box.replaceChildren(place(corner, { width: storyW }));
	place(box, { width: total });
	const pen = document.createElement("canvas").getContext("2d");
	pen.font = "10.5px " + getComputedStyle(document.body).fontFamily;
	const fitting = name => {
		let most = name.length;
		while (most > 3 && pen.measureText(shorten(name, most)).width > laneW - 5) most--;
		return shorten(name, most);
	};
	lanes.forEach((l, n) => {
		const lane = run.Lanes[l];
		if (n === 0 || run.Lanes[lanes[n - 1]].Group !== lane.Group) {
			const across = lanes.filter(o => run.Lanes[o].Group === lane.Group).length * laneW;
			box.append(place(el("div", { class: "group" }, lane.Group), { left: storyW + middle(l) - laneW / 2 + 2, width: across - 4 }));
		}
		box.append(place(el("div", { class: "lane", title: lane.Members.join(", "), "data-lane": lane.Name }, fitting(lane.Name)),
			{ left: storyW + middle(l) - laneW / 2, width: laneW }));
	});
}

// ---- drawing the rows in sight

let drawn = [0, 0];
const rowAt = y => {
	let lo = 0, hi = rows.length;
	while (lo < hi) { const mid = (lo + hi) >> 1; if (tops[mid + 1] <= y) lo = mid + 1; else hi = mid; }
	return lo;
};
function draw(force) {
	const y = $("view").scrollTop, h = $("view").clientHeight;
	const a = rowAt(y), b = Math.min(rows.length, rowAt(y + h) + 1);
	if (!force && a >= drawn[0] && b <= drawn[1]) return;
	const from = Math.max(0, a - 25), to = Math.min(rows.length, b + 25);
	drawn = [from, to];
	const list = [];
	for (let n = from; n < to; n++) list.push(row(n));
	$("rows").replaceChildren(...list);
	art(from, to);
}
function row(n) {
	const r = rows[n], e = events[r.at];
	const cls = ["row", r.type];
	const story = el("div", { class: r.type === "life" ? "story" : "story cells" });
	if (r.type === "life") {
		const before = r.next > 0 ? ", after " + str(r.next - 1, WORDS).split("\n")[0] : "";
		story.append("Life " + r.life + before);
	} else if (r.type === "fold") {
		story.append(...cells("", "…", "", "", el("span", { class: "words" }, foldWords(r.list))));
	} else {
		if (e[KIND] === K.fault) cls.push("fault");
		if (e[SHAPE] & FAILED) cls.push("failedcall");
		const sign = evidence.has(r.at) ? "▶" : r.type === "broken" ? "■" : "";
		story.append(...cells(sign, number(e[STEP]), str(r.at, TIME), str(r.at, FROM), words(r)));
	}
	if (r.type !== "life" && run.Failed >= 0 && evidence.size && r.at > Math.min(...evidence) && r.at < run.Failed) cls.push("rail");
	if (r.at === picked || r.list && r.list.includes(picked)) cls.push("picked");
	place(story, { width: storyW });
	return place(el("div", { class: cls.join(" "), "data-row": n, "data-at": r.at, title: r.type === "event" ? str(r.at, WORDS) : false }, story),
		{ top: tops[n], height: tops[n + 1] - tops[n], width: total });
}
function words(r) {
	const e = events[r.at], text = str(r.at, WORDS);
	const cell = el("span", { class: "words" });
	const to = str(r.at, TO), alone = e[TO_LANE] >= 0 && run.Lanes[e[TO_LANE]].Members.length === 1 && laneOn[e[TO_LANE]];
	const lead = r.type !== "event" || e[KIND] === K.op || e[KIND] === K.note ? ""
		: run.Arrows[e[KIND]] + " " + (to && (roomy || !alone) ? to + "  " : "");
	cell.append(el("span", { class: "to" }, lead), ...marked(r.type === "event" ? text.split("\n")[0] : text));
	return cell;
}
function marked(text) {
	const at = needle ? text.toLowerCase().indexOf(needle) : -1;
	return at < 0 ? [text] : [text.slice(0, at), el("mark", {}, text.slice(at, at + needle.length)), text.slice(at + needle.length)];
}
function foldWords(list) {
	const counts = new Map();
	for (const i of list) counts.set(str(i, FOLD), (counts.get(str(i, FOLD)) || 0) + 1);
	let rest = list.length;
	const parts = [...counts].slice(0, 3).map(([key, n]) => {
		const [noun, of] = key.split("|");
		rest -= n;
		return (number(n) + " " + noun + (n > 1 ? "s " : " ") + of).trim();
	});
	if (rest) parts.push(number(rest) + " more");
	return parts.join(", ");
}

// ---- the diagram

function art(from, to) {
	const top = tops[from], bottom = tops[to], g = $("art");
	g.replaceChildren(svg("defs", {}, hatch("hatch", 45), hatch("hatch2", 135)));
	g.setAttribute("width", total - storyW);
	g.setAttribute("height", bottom - top);
	Object.assign(g.style, { top: top + "px", left: storyW + "px" });
	const add = (tag, attrs, ...inner) => g.append(svg(tag, attrs, ...inner));
	const breaks = [top, ...rows.slice(from, to).flatMap((r, n) => r.type === "crash" || r.type === "life" ? [tops[from + n], tops[from + n + 1]] : []), bottom];
	for (const l of lanes)
		for (let n = 0; n < breaks.length; n += 2)
			if (breaks[n + 1] > breaks[n]) add("line", { class: "lifeline", x1: middle(l), x2: middle(l), y1: breaks[n] - top, y2: breaks[n + 1] - top });
	const mid = n => (tops[n] + tops[n + 1]) / 2 - top;
	const band = (lane, a, b, half, cls) => {
		const y1 = Math.max(0, a), y2 = Math.min(bottom - top, b);
		if (y2 > y1) add("rect", { class: cls, x: middle(lane) - half, width: 2 * half, y: y1, height: y2 - y1 });
	};
	const reach = i => i >= N ? tops[rows.length] - top : events[i][KIND] === K.crash ? tops[rowOf[i]] - top : mid(rowOf[i]);
	for (const [lane, a, b, ended] of run.Bars) {
		if (lane < 0 || !laneOn[lane] || rowOf[b] < from || rowOf[a] >= to) continue;
		band(lane, mid(rowOf[a]), reach(b), 3, "bar");
		if (!ended && events[b][KIND] === K.crash && rowOf[b] < to) cross(add, middle(lane), reach(b), 4);
	}
	for (const l of lanes)
		dirty[l].forEach(([i, bytes], n) => {
			const next = n + 1 < dirty[l].length ? dirty[l][n + 1][0] : N;
			if (bytes > 0 && i < N && next > i && rowOf[Math.min(next, N - 1)] >= from && rowOf[i] < to)
				band(l, mid(rowOf[i]), reach(next), 3 + (laneW / 2 - 9) * Math.log2(1 + bytes) / Math.log2(1 + mostDirty), "dirty");
		});
	for (let n = from; n < to; n++)
		if (rows[n].type === "crash") crashMarks(add, rows[n].at, mid(n));
		else if (rows[n].type === "event") mark(add, rows[n].at, mid(n));
		else if (rows[n].type === "fold")
			for (const l of new Set(rows[n].list.map(i => events[i][TO_LANE]))) if (l >= 0 && laneOn[l]) add("circle", { class: "ring", cx: middle(l), cy: mid(n), r: 2 });
}
const hatch = (id, turn) => svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(" + turn + ")" },
	svg("line", { class: "hatchline", x1: 0, y1: 0, x2: 0, y2: 5 }));
const cross = (add, x, y, r) => add("path", { class: "cross", d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}` });
const diamond = (add, x, y) => add("path", { class: "faultmark", d: `M${x} ${y - 6}l6 6l-6 6l-6 -6z` });

function crashMarks(add, at, y) {
	for (const [lane, fates] of taken.get(at) || []) {
		if (!laneOn[lane]) continue;
		const all = fates.reduce((a, b) => a + b, 0), gone = fates[DROPPED] + fates[TORN];
		let x = middle(lane) - laneW / 2 + 6;
		for (const fate of [KEPT, DOUBT, TORN, DROPPED]) {
			if (!fates[fate]) continue;
			const width = Math.max(3, (laneW - 12) * fates[fate] / all);
			add("rect", { class: "taken " + fateClass[fate], x, width, y: y - 14, height: 12 });
			x += width;
		}
		add("text", { class: "bytes", x: middle(lane), y: y + 10 }, gone ? "−" + size(gone) : fates[DOUBT] ? size(fates[DOUBT]) + "?" : "kept");
	}
}
function mark(add, i, y) {
	const e = events[i], kind = e[KIND];
	let a = e[FROM_LANE] >= 0 ? middle(e[FROM_LANE]) : -1, b = e[TO_LANE] >= 0 ? middle(e[TO_LANE]) : -1;
	const x = b >= 0 ? b : a;
	if (kind === K.publish) {
		const first = lanes.find(l => run.Lanes[l].Group === "clients");
		if (a >= 0) add("circle", { class: "s-synced", cx: a, cy: y, r: 2.5 });
		if (a >= 0 && first !== undefined && middle(first) < a) arrow(add, a, middle(first), y, "publish", "s-synced");
	} else if (kind === K.send || kind === K.answer) {
		if (a < 0 && b >= 0) a = b - 16;
		if (b < 0 && a >= 0) b = a + 16;
		if (a >= 0) arrow(add, a, b, y, kind === K.send ? "msg" : "answer", kind === K.send ? "tip" : "tip answer");
	} else if (kind === K.io) ioMark(add, e, a, b, y);
	else if (x < 0) return;
	else if (kind === K.fault) diamond(add, x, y);
	else if (kind === K.op) add("circle", { class: e[SHAPE] === BEGIN ? "op begin" : "op", cx: x, cy: y, r: 3.5 });
	else if (kind === K.time) add("circle", { class: "ring", cx: x, cy: y, r: 3 });
	else add("rect", { class: "note", x: x - 3, y: y - 3, width: 6, height: 6 });
}
function arrow(add, a, b, y, cls, tip) {
	const way = b < a ? -1 : 1;
	if (a === b) { add("path", { class: cls, d: `M${a} ${y - 4}h14v8h-9` }); b = a + 1; }
	else add("line", { class: cls, x1: a, x2: b - way * 6, y1: y, y2: y });
	add("path", { class: tip, d: `M${b} ${y}l${-way * 7} -3.5v7z` });
}
function ioMark(add, e, a, b, y) {
	if (b < 0) return;
	if (a >= 0) add("line", { class: "io", x1: a, x2: b, y1: y, y2: y });
	const half = laneW / 2 - 6;
	switch (e[SHAPE] & 7) {
	case WRITE: add("rect", { class: "s-unsynced", x: b - 5, width: 10, y: y - 5, height: 10 }); break;
	case SYNC: add("rect", { class: e[SHAPE] & FAILED ? "s-kept" : "s-synced", x: b - half, width: 2 * half, y: y - 2, height: 4 }); break;
	default: add("circle", { class: "ring", cx: b, cy: y, r: (e[SHAPE] & 7) === READ ? 3 : 2 });
	}
	if (e[SHAPE] & FAILED) cross(add, b, y, 5);
}

// ---- the panel

function panel(i) {
	const box = $("panel");
	if (i < 0) {
		box.replaceChildren(el("h2", {}, "No event selected"), el("p", {}, "Point at a row, click it, or press j."));
		return;
	}
	const e = events[i];
	const facts = el("dl", {});
	const fact = (name, value) => { if (value !== "") facts.append(el("dt", {}, name), el("dd", {}, value)); };
	fact("step", number(e[STEP]) + " in life " + e[LIFE]);
	fact("time", str(i, TIME));
	fact("task", str(i, FROM));
	fact(e[KIND] === K.io || e[KIND] === K.fault ? "file" : "to", str(i, TO));
	if (e[KIND] === K.io && e[LEN] > 0) fact("bytes", e[OFF] + "–" + (e[OFF] + e[LEN] - 1) + " (" + size(e[LEN]) + ")");
	const walk = el("div", { class: "walk" });
	const step = (label, to) => { if (to >= 0) walk.append(el("button", { type: "button", onclick: () => go(to) }, label)); };
	step("‹ " + str(i, FROM), sameTask(i, -1));
	step(str(i, FROM) + " ›", sameTask(i, 1));
	const text = el("section", {}, el("h2", {}, run.Arrows[e[KIND]] + " " + run.Kinds[e[KIND]], el("span", {}, number(i + 1) + " of " + number(N))),
		facts, el("pre", {}, str(i, WORDS)), walk);
	const link = to => el("a", { href: "#e" + to }, "step " + number(events[to][STEP]) + "  " + str(to, FROM) + " " + run.Arrows[events[to][KIND]] + " " + str(to, TO) + "  " + str(to, WORDS).split("\n")[0]);
	if (i === run.Failed && evidence.size) text.append(el("h3", {}, "Against"), ...run.Evidence.map(link));
	if (evidence.has(i) && run.Failed >= 0) text.append(el("h3", {}, "What broke contradicts this"), link(run.Failed));
	box.replaceChildren(text, diskAt(i));
}
// diskAt shows the bytes of each file as they are after event i; at a crash, what it did to them.
function diskAt(i) {
	const files = new Map();
	for (const [file, off, len, born, ended, fate] of run.Extents) {
		if (born > i || fate === 5 && ended <= i) continue;
		const gone = ended < i && (fate === DROPPED || fate === TORN || fate === DOUBT);
		if (gone && events[ended][LIFE] !== events[i][LIFE] - 1) continue;
		const state = ended > i ? OPEN : ended < i && fate === KEPT ? SYNCED : fate;
		if (!files.has(file)) files.set(file, { end: 0, parts: [], open: 0, last: 0, sums: Array(7).fill(0) });
		const f = files.get(file), prev = f.parts[f.parts.length - 1];
		f.end = Math.max(f.end, off + len);
		f.last = Math.max(f.last, born);
		f.sums[state] += len;
		if (prev && prev[2] === state && prev[0] + prev[1] === off) prev[1] += len;
		else f.parts.push([off, len, state]);
	}
	const section = el("section", {}, el("h3", {}, events[i][KIND] === K.crash ? "What this did to the disk" : "Bytes written, after this step"));
	const names = new Map();
	for (const [at, file, fate, removal] of run.Names)
		if (at === i) names.set(file, (names.get(file) || []).concat((removal ? "removal " : "creation ") + run.Fates[fate]));
	names.forEach((_, file) => { if (!files.has(file)) files.set(file, { end: 0, parts: [], last: 0, sums: Array(7).fill(0) }); });
	const loud = f => f.sums.reduce((sum, bytes, fate) => fate === SYNCED ? sum : sum + bytes, 0) > 0;
	const list = [...files].sort((a, b) => loud(b[1]) - loud(a[1]) || b[1].last - a[1].last);
	for (const [file, f] of list.slice(0, 12)) {
		const sums = run.Fates.map((name, fate) => f.sums[fate] ? size(f.sums[fate]) + " " + name : "").filter(Boolean);
		if (names.has(file)) sums.push(...names.get(file));
		section.append(el("div", { class: "file" }, el("div", {}, el("span", {}, run.Strings[file] || "directory"), el("span", {}, sums.reverse().join(", "))),
			...f.end ? picture(f) : []));
	}
	if (!list.length) section.append(el("p", { class: "mono" }, "nothing"));
	if (list.length > 12) section.append(el("p", {}, number(list.length - 12) + " more files"));
	return section;
}
// picture is a bar of a file's bytes, from the first to the last that was written, with what was not synced on
// top and named below.
function picture(f) {
	const strip = svg("svg", {}), share = bytes => 100 * bytes / f.end;
	const bar = (cls, off, len, title) => {
		const width = Math.max(2.5, share(len)); // a single lost byte is to be seen, too
		strip.append(svg("rect", { class: cls, x: Math.min(share(off), 100 - width) + "%", width: width + "%", y: 0, height: 16 }, svg("title", {}, title)));
	};
	const rest = f.parts.filter(([, , state]) => state !== SYNCED).sort((a, b) => a[0] - b[0]);
	const words = ([off, len, state]) => off + "–" + (off + len - 1) + " (" + size(len) + ") " + run.Fates[state];
	for (const part of f.parts) if (part[2] === SYNCED) bar("s-synced", part[0], part[1], words(part));
	for (const part of rest) {
		bar("under", part[0], part[1], "");
		bar(fateClass[part[2]], part[0], part[1], words(part));
	}
	const most = 8, list = rest.slice(0, most).map(part => el("li", { class: "t" + fateClass[part[2]].slice(1) }, words(part)));
	if (rest.length > most) list.push(el("li", {}, "and " + number(rest.length - most) + " more"));
	return [strip, el("div", { class: "scale" }, el("span", {}, "0"), el("span", {}, number(f.end))), list.length ? el("ul", {}, ...list) : null];
}

// ---- moving about

function pick(i) { picked = i; panel(i); draw(true); }
function go(i, quietly) {
	if (!shown(i)) { kindOn.fill(true); laneOn.fill(true); menus(); build(); layout(); }
	if (rows[rowOf[i]].list) { rows[rowOf[i]].list.forEach(x => opened.add(x)); build(); layout(); }
	const view = $("view"), n = rowOf[i], h = view.clientHeight - 42;
	if (tops[n] < view.scrollTop + 22 || tops[n + 1] > view.scrollTop + h - 22) view.scrollTop = Math.max(0, tops[n] - h * 0.4);
	const ends = [events[i][FROM_LANE], events[i][TO_LANE], ...taken.get(i)?.keys() || []].filter(l => l >= 0 && laneOn[l]).map(l => storyW + middle(l));
	if (ends.length) { // what it draws comes into sight
		const right = Math.max(...ends) + laneW / 2 - view.clientWidth, left = Math.min(...ends) - laneW / 2 - 6 - storyW;
		if (view.scrollLeft < right) view.scrollLeft = right;
		else if (view.scrollLeft > left) view.scrollLeft = Math.max(0, left);
	}
	pick(i);
	if (!quietly) history.replaceState(null, "", "#e" + i);
}
function sameTask(i, way) {
	for (let j = i + way; j >= 0 && j < N; j += way) if (events[j][FROM] === events[i][FROM] && shown(j)) return j;
	return -1;
}
function walkRows(way) {
	let n = picked < 0 ? rowAt($("view").scrollTop) - (way > 0 ? 1 : 0) : rowOf[picked];
	do n += way; while (n >= 0 && n < rows.length && rows[n].at < 0);
	if (n < 0 || n >= rows.length) return;
	picked = -1;
	if (rows[n].list) {
		const view = $("view"), h = view.clientHeight - 42;
		if (tops[n] < view.scrollTop || tops[n + 1] > view.scrollTop + h) view.scrollTop = Math.max(0, tops[n] - h / 2);
		pick(way > 0 ? rows[n].list[rows[n].list.length - 1] : rows[n].list[0]);
	} else go(rows[n].at);
}
function find(way) {
	needle = $("find").value.trim().toLowerCase();
	const hits = needle ? [...events.keys()].filter(i => shown(i) && (str(i, FROM) + " " + str(i, TO) + " " + str(i, WORDS)).toLowerCase().includes(needle)) : [];
	$("found").textContent = needle ? number(hits.length) + " found" : "";
	if (!hits.length) return draw(true);
	const next = way > 0 ? hits.find(i => i > picked) ?? hits[0] : hits.findLast(i => i < picked) ?? hits[hits.length - 1];
	go(next);
}
function follow() {
	const at = location.hash === "#failure" ? run.Failed : /^#e\d+$/.test(location.hash) ? +location.hash.slice(2) : -1;
	if (at >= 0 && at < N) go(at, true);
}

// ---- the controls

function refresh() { build(); layout(); draw(true); }
function menus() {
	const total = (list, on) => list.classList.toggle("some", on.some(x => !x));
	const box = (label, on, at, n) => el("label", { class: "check" }, el("input", { type: "checkbox", checked: on[at], onchange: e => { on[at] = e.target.checked; menus(); refresh(); } }), label, el("i", {}, number(n)));
	const all = on => el("p", {}, ...[["All", true], ["None", false]].map(([t, v]) => el("button", { type: "button", onclick: () => { on.fill(v); menus(); refresh(); } }, t)));
	$("kinds").lastElementChild.replaceChildren(all(kindOn), ...run.Kinds.map((name, k) => [name, k, events.filter(e => e[KIND] === k).length])
		.filter(([, , n]) => n).map(([name, k, n]) => box(run.Arrows[k] + " " + name, kindOn, k, n)));
	const list = [all(laneOn)];
	run.Lanes.forEach((l, at) => {
		if (at === 0 || run.Lanes[at - 1].Group !== l.Group) list.push(el("h3", {}, l.Group));
		list.push(box(l.Name, laneOn, at, events.filter(e => e[FROM_LANE] === at || e[TO_LANE] === at).length));
	});
	$("tasks").lastElementChild.replaceChildren(...list);
	total($("kinds"), kindOn);
	total($("tasks"), laneOn);
}
async function copy(text, button, label) {
	try { await navigator.clipboard.writeText(text); } catch { // pages opened as files may lack the clipboard
		const area = el("textarea", {});
		area.value = text;
		document.body.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
	button.textContent = "Copied";
	setTimeout(() => { button.textContent = label; }, 1500);
}
function header() {
	$("title").textContent = run.Title || "Simulated run";
	$("token").textContent = run.Token;
	$("token").parentElement.hidden = !run.Token;
	const bad = run.Failed >= 0 || run.Check || run.Failure;
	$("verdict").textContent = bad ? "failed" + (run.Check ? ": " + run.Check : "") : "passed";
	$("verdict").className = bad ? "bad" : "";
	$("broke").hidden = !run.Failure;
	$("why").textContent = run.Failure;
	const facts = [["seed", run.Seed], ["profile", run.Profile], ["", number(N) + " events"]].filter(([, v]) => v);
	$("facts").replaceChildren(...facts.map(([name, value]) => el("span", {}, name ? name + " " : "", el("b", {}, value))));
	const first = new Map();
	events.forEach((e, i) => { if (!first.has(e[LIFE])) first.set(e[LIFE], i); });
	const chips = [...first].slice(0, 12).map(([life, i]) => el("a", { class: "chip", href: "#e" + i }, "Life " + life));
	if (run.Failed >= 0) chips.push(el("a", { class: "chip", href: "#failure" }, "What broke"));
	$("lives").replaceChildren(...chips);
	const commands = run.Commands.map(([does, line]) => el("p", {}, el("code", {}, line), el("button", { type: "button", onclick: e => copy(line, e.target, does) }, does)));
	$("next").lastElementChild.replaceChildren(...commands);
	$("next").hidden = !commands.length;
	$("copy").onclick = e => copy(run.Token, e.target, "Copy token");
}
function legend() {
	const sample = draw => { const g = svg("svg", { width: 26, height: 14 }); draw((tag, attrs, ...inner) => g.append(svg(tag, attrs, ...inner))); return g; };
	const box = cls => add => add("rect", { class: cls, x: 3.5, y: 1.5, width: 19, height: 10 });
	const items = [
		["message", add => arrow(add, 2, 25, 7, "msg", "tip")], ["answer", add => arrow(add, 2, 25, 7, "answer", "tip answer")],
		["publish", add => arrow(add, 25, 2, 7, "publish", "s-synced")],
		["operation", add => { add("rect", { class: "bar", x: 10, y: 0, width: 6, height: 14 }); add("circle", { class: "op", cx: 13, cy: 7, r: 3.5 }); }],
		["write", add => { box("dirty")(add); add("rect", { class: "s-unsynced", x: 8, y: 2, width: 10, height: 10 }); }],
		["sync", add => add("rect", { class: "s-synced", x: 2, y: 5, width: 22, height: 4 })], ["read", add => add("circle", { class: "ring", cx: 13, cy: 7, r: 3 })],
		["fault", add => diamond(add, 13, 7)], ["lost", box("s-lost")], ["torn", box("s-torn")], ["kept", box("s-kept")], ["in doubt", box("s-doubt")],
	];
	const keys = [["j k", "next, previous"], ["n p", "of the same task"], ["c", "crash"], ["f", "what broke"], ["/", "find"]];
	$("legend").replaceChildren(...items.map(([name, how]) => el("span", {}, sample(how), name)),
		el("span", { class: "keys" }, ...keys.flatMap(([key, does]) => [el("kbd", {}, key), does])));
}

const keys = {
	j: () => walkRows(1), k: () => walkRows(-1), ArrowDown: () => walkRows(1), ArrowUp: () => walkRows(-1),
	n: () => { const to = picked < 0 ? 0 : sameTask(picked, 1); if (to >= 0) go(to); },
	p: () => { const to = picked < 0 ? -1 : sameTask(picked, -1); if (to >= 0) go(to); },
	c: () => { const to = crashes.find(i => i > picked) ?? crashes[0]; if (to !== undefined) go(to); },
	f: () => { if (run.Failed >= 0) go(run.Failed); },
	"/": () => { $("find").focus(); $("find").select(); },
	Enter: () => { const r = rows[rowOf[picked]]; if (r && r.list) go(picked); },
	Escape: () => document.querySelectorAll("details[open]").forEach(d => { d.open = false; }),
};
addEventListener("keydown", e => {
	if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, button, summary, a") && e.key !== "Escape") return;
	if (Object.hasOwn(keys, e.key)) { e.preventDefault(); keys[e.key](); }
});
$("find").addEventListener("keydown", e => {
	if (e.key === "Enter") find(e.shiftKey ? -1 : 1);
	if (e.key === "Escape") $("view").focus();
});
$("find").addEventListener("input", () => { needle = $("find").value.trim().toLowerCase(); $("found").textContent = ""; draw(true); });
$("fold").addEventListener("change", e => { folding = e.target.checked; opened.clear(); refresh(); });
$("rows").addEventListener("click", e => {
	const n = e.target.closest(".row")?.dataset.row;
	if (n === undefined) return;
	go(rows[n].at < 0 ? rows[n].next : rows[n].at);
});
const hovered = e => { const at = e.target.closest(".row")?.dataset.at; return at === undefined || at < 0 ? picked : +at; };
$("rows").addEventListener("mouseover", e => panel(hovered(e)));
$("rows").addEventListener("mouseleave", () => panel(picked));
document.querySelectorAll(".menu").forEach(menu => menu.addEventListener("toggle", () => { // stays within the window
	const box = menu.lastElementChild;
	box.style.right = "0";
	box.style.right = Math.min(0, box.getBoundingClientRect().left - 8) + "px";
}));
document.addEventListener("click", e => document.querySelectorAll("details[open]").forEach(d => { if (!d.contains(e.target)) d.open = false; }));
$("view").addEventListener("scroll", () => requestAnimationFrame(() => draw(false)), { passive: true });
addEventListener("resize", () => { layout(); draw(true); });
addEventListener("hashchange", follow);

header();
legend();
menus();
panel(-1);
refresh();
follow();
document.documentElement.dataset.ready = rows.length;
})();
