package sim

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/world"
)

// drawFilter draws a filter, nil among them, of up to most keys.
func drawFilter(t *rapid.T, name string, most int) world.Filter {
	if rapid.Bool().Draw(t, name+" is nil") {
		return nil
	}
	f := world.Filter{}
	n := rapid.SampledFrom([]int{0, 1, most / 4, most}).Draw(t, name+" count")
	for _, k := range rapid.SliceOfN(rapid.Uint32Range(0, 1<<24-1), n, n).Draw(t, name) {
		f[k] = true
	}
	return f
}

func drawPlan(t *rapid.T, mostKeys, mostEnds, mostSwitches int) Plan {
	names := []string{""}
	for _, p := range disk.Profiles() {
		names = append(names, p.Name)
	}
	plan := Plan{
		Seed: rapid.Uint64().Draw(t, "seed"), Profile: rapid.SampledFrom(names).Draw(t, "profile"),
		Mode: rapid.Byte().Draw(t, "mode"), Lives: rapid.IntRange(0, 9).Draw(t, "lives"), Each: rapid.IntRange(0, 200).Draw(t, "each"), Salt: rapid.IntRange(0, 50).Draw(t, "salt"),
		Ops: drawFilter(t, "ops", mostKeys), Preempts: drawFilter(t, "preempts", mostKeys), Faults: drawFilter(t, "faults", mostKeys),
	}
	for range rapid.IntRange(0, mostEnds).Draw(t, "ends") {
		plan.Ends = append(plan.Ends, End{
			Life: rapid.IntRange(1, 9).Draw(t, "life"), Kind: EndKind(rapid.IntRange(0, 3).Draw(t, "kind")),
			At: world.CrashAt{
				IO: rapid.Int64Range(0, 1<<20).Draw(t, "io"), Step: rapid.Int64Range(0, 1<<20).Draw(t, "step"),
				Once: rapid.IntRange(0, 1000).Draw(t, "once"),
			},
			Image: rapid.IntRange(0, 200).Draw(t, "image"), Idle: rapid.Bool().Draw(t, "idle"),
		})
	}
	if rapid.Bool().Draw(t, "sequential") {
		plan.Switches = []world.Switch{}
		at := int64(0)
		for range rapid.IntRange(0, mostSwitches).Draw(t, "switches") {
			at += rapid.Int64Range(1, 5000).Draw(t, "at")
			plan.Switches = append(plan.Switches, world.Switch{At: at, To: rapid.IntRange(0, 9).Draw(t, "to")})
		}
	}
	return plan
}

// A plan that fits comes back from its token as it was.
func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t, 9, 3, 4)
		got, err := ParseToken(" " + plan.Token() + "\n")
		if err != nil || !reflect.DeepEqual(got, plan) {
			t.Fatalf("%+v\ncomes back as %+v: %v", plan, got, err)
		}
	})
}

// A token has at most 200 characters. What does not fit are lists of kept choices; all else stays.
func TestTokenLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t, 200, 8, 2)
		token := plan.Token()
		if len(token) > maxToken {
			t.Fatalf("%d characters", len(token))
		}
		got, err := ParseToken(token)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []*world.Filter{&plan.Ops, &plan.Preempts, &plan.Faults} {
			cut := map[*world.Filter]*world.Filter{&plan.Ops: &got.Ops, &plan.Preempts: &got.Preempts, &plan.Faults: &got.Faults}[f]
			if *cut == nil {
				*f = nil
			}
		}
		if !reflect.DeepEqual(got, plan) {
			t.Fatalf("%+v\ncomes back as %+v", plan, got)
		}
	})
}

// Ends and switches are what the run is: a token is longer rather than without them.
func TestTokenOfManyEnds(t *testing.T) {
	plan := Plan{Seed: 1, Ops: world.Filter{7: true}}
	for n := range 40 {
		plan.Ends = append(plan.Ends, End{Life: n + 1, Kind: Power, At: world.CrashAt{IO: 1000}})
	}
	got, err := ParseToken(plan.Token())
	if plan.Ops = nil; err != nil || !reflect.DeepEqual(got, plan) {
		t.Errorf("%+v: %v", got, err)
	}
}

// Every single mistyped, missing or added character is found out.
func TestDamagedTokens(t *testing.T) {
	for _, seed := range []uint64{77, 7777, 7777777} { // lengths that end differently
		damage(t, Plan{Seed: seed, Profile: "torn", Ops: world.Filter{1: true, 70000: true}, Ends: []End{{Life: 1, Kind: Kill}}}.Token())
	}
	if _, err := ParseToken("Ag" + Plan{Seed: 1}.Token()[2:]); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("a token of another version: %v", err)
	}
}

func damage(t *testing.T, token string) {
	if _, err := ParseToken(token); err != nil {
		t.Fatal(err)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for at := range len(token) {
		for _, r := range letters {
			if damaged := token[:at] + string(r) + token[at+1:]; damaged != token {
				refused(t, damaged)
			}
		}
		refused(t, token[:at])
		refused(t, token[:at]+token[at+1:])
		refused(t, token[:at]+"A"+token[at:])
	}
	refused(t, token+"A")
	refused(t, token+"=")
	refused(t, "")
}

func refused(t *testing.T, token string) {
	t.Helper()
	if plan, err := ParseToken(token); err == nil {
		t.Errorf("%s is taken for %+v", token, plan)
	} else if !strings.HasPrefix(err.Error(), "sim: token ") {
		t.Errorf("%v", err)
	}
}

// FuzzParseToken: whatever is typed is refused, or is a plan whose token stands for the same plan.
// The fuzzer's bytes get a valid checksum, too, or it would never get past that.
func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add(Plan{Seed: 1}.Token())
	f.Add(Plan{Seed: 1 << 60, Profile: "torn", Ops: world.Filter{1: true}, Switches: []world.Switch{{At: 3, To: 1}}}.Token())
	for _, token := range []string{Plan{Seed: 1, Each: 9}.Token(), Plan{Ends: []End{{Life: 1, Kind: Kill}}, Faults: world.Filter{9: true}}.Token()} {
		fields, err := tokenText.DecodeString(token)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(fields[:len(fields)-tokenSum]))
	}
	f.Fuzz(func(t *testing.T, text string) {
		sealed := tokenText.EncodeToString(appendSum([]byte(text), []byte(text)))
		for _, token := range []string{text, sealed} {
			plan, err := ParseToken(token)
			if err != nil {
				continue
			}
			again := plan.Token()
			if len(again) > maxToken {
				continue
			}
			got, err := ParseToken(again)
			if err != nil {
				t.Fatalf("%q is taken, its plan's token %q is not: %v", token, again, err)
			}
			if len(token) <= maxToken && !reflect.DeepEqual(got, plan) {
				t.Fatalf("%+v comes back as %+v", plan, got)
			}
		}
	})
}
