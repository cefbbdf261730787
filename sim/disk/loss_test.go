package disk

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestLossRanges: the ranges of a file are those that were written, in order and apart; together they
// are what the sums say, and each byte is what its range says became of it.
func TestLossRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	seen := map[Fate]int{}
	for range 2000 {
		d := New(Profile{Sector: 16, Torn: true, Ordered: rng.IntN(2) == 0})
		d.TellRanges()
		durable(t, d, "f", strings.Repeat("-", 400))
		f := open(t, d.Mount(quiet{}), "f")
		var written []Range
		for at := rng.IntN(40); at < 360; at += rng.IntN(60) {
			n := 1 + rng.IntN(40)
			write(t, f, strings.Repeat("x", n), int64(at))
			written = append(written, Range{Off: int64(at), Len: int64(n)})
			at += n
		}
		rng.Shuffle(len(written), func(i, j int) { written[i], written[j] = written[j], written[i] })
		loss, got := d.PowerCut(rng.IntN), contents(d)["f"]
		sums, covered, end := map[Fate]int64{}, int64(0), int64(0)
		for _, r := range loss.Files[0].Ranges {
			if r.Off < end || r.Len <= 0 || !slices.ContainsFunc(written, func(w Range) bool { return w.Off <= r.Off && r.Off < w.Off+w.Len }) {
				t.Fatalf("range %v of %v, written were %v", r, loss.Files[0].Ranges, written)
			}
			bytes := got[r.Off : r.Off+r.Len]
			if want := map[Fate]string{Dropped: "-", Kept: "x"}[r.Fate]; want != "" && strings.Trim(bytes, want) != "" {
				t.Fatalf("range %v is %q", r, bytes)
			}
			sums[r.Fate] += r.Len
			seen[r.Fate]++
			covered, end = covered+r.Len, r.Off+r.Len
		}
		for _, w := range written {
			covered -= w.Len
		}
		file := loss.Files[0]
		if covered != 0 || sums[Dropped] != file.Dropped || sums[Kept] != file.Kept || sums[Torn] != file.Torn {
			t.Fatalf("sums %v and %d bytes too many, of %+v", sums, covered, file)
		}
	}
	if seen[Dropped] < 500 || seen[Kept] < 500 || seen[Torn] < 50 {
		t.Errorf("seen were %v", seen)
	}
}

// TestPaint: what is put over a list of ranges replaces what was there, byte by byte.
func TestPaint(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 5000 {
		var all []Range
		want := make([]int, 60) // fate + 1
		for range rng.IntN(8) {
			r := Range{Off: int64(rng.IntN(40)), Len: int64(1 + rng.IntN(20)), Fate: Fate(rng.IntN(3))}
			all = paint(all, r)
			for i := r.Off; i < r.Off+r.Len; i++ {
				want[i] = int(r.Fate) + 1
			}
		}
		got := make([]int, len(want))
		for i, r := range all {
			if i > 0 && all[i-1].Off+all[i-1].Len == r.Off && all[i-1].Fate == r.Fate {
				t.Fatalf("%v could be one range less", all)
			}
			for b := r.Off; b < r.Off+r.Len; b++ {
				got[b] += int(r.Fate) + 1
			}
		}
		ordered := slices.IsSortedFunc(all, func(a, b Range) int { return cmp.Compare(a.Off, b.Off) })
		if !slices.Equal(got, want) || !ordered {
			t.Fatalf("%v gives\n%v\nwant\n%v", all, got, want)
		}
	}
}

// TestLossOfNamelessFile: a file whose creation is lost is told with all its bytes; without
// TellRanges nothing is told of ranges.
func TestLossOfNamelessFile(t *testing.T) {
	for _, tell := range []bool{true, false} {
		d := New(Profile{Sector: 512})
		if tell {
			d.TellRanges()
		}
		durable(t, d, "b", "----")
		m := d.Mount(quiet{})
		write(t, open(t, m, "b"), "xxx", 1)
		write(t, create(t, m, "a"), "xxxxx", 7)
		loss := d.PowerCut(lose)
		var told []string
		for _, f := range loss.Files {
			if f.Name == "a" && !slices.Equal(f.Ranges, []Range{{7, 5, Dropped}}) || f.Name == "b" && tell != slices.Equal(f.Ranges, []Range{{1, 3, Dropped}}) {
				t.Errorf("tell %t: %+v", tell, f)
			}
			told = append(told, f.Name)
		}
		if want := map[bool]string{true: "a b", false: "b"}[tell]; strings.Join(told, " ") != want || len(loss.Names) != 1 || loss.Names[0].Kept {
			t.Errorf("tell %t: %v, want %s", tell, loss, want)
		}
	}
}
