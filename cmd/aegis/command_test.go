package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/sim/disk"
)

// leaves calls f with every command that does something, and the words that lead to it.
func leaves(c *command, path []string, f func(c *command, path []string)) {
	if len(c.subs) == 0 {
		f(c, path)
	}
	for _, s := range c.subs {
		leaves(s, append(path[:len(path):len(path)], s.name), f)
	}
}

// TestHelp: every command explains itself, with all of its flags, in every way of asking.
func TestHelp(t *testing.T) {
	seen := 0
	leaves(commands(), nil, func(c *command, path []string) {
		seen++
		f := flag.NewFlagSet("", flag.ContinueOnError)
		c.begin(f)
		texts := []string{"usage: aegis " + strings.Join(path, " "), c.short, exitHelp}
		visible(f, func(f *flag.Flag) { texts = append(texts, "--"+f.Name) })
		last := len(path) - 1
		for _, args := range [][]string{
			append([]string{"help"}, path...), append(path[:len(path):len(path)], "-h"), append(path[:len(path):len(path)], "--help"),
			append(append(path[:last:last], "help"), path[last]),
		} {
			s := run(t, clean, args...)
			s.want(t, exitClean, texts...)
			if strings.ContainsAny(s.out, "\x00\x1b\r") || s.err != "" {
				t.Errorf("%v: control codes, or messages: %q", args, s.err)
			}
		}
	})
	if seen < 12 {
		t.Errorf("%d commands", seen)
	}
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"sim", "help"}, {"help", "sim"}, {"sim", "-h"}} {
		run(t, clean, args...).want(t, exitClean, "commands:", "help ")
	}
	for _, args := range [][]string{{}, {"sim"}, {"sim", "explore"}} {
		if s := run(t, clean, args...); s.code != exitUsage || s.out != "" || !strings.Contains(s.err, "commands:") {
			t.Errorf("%v: %+v", args, s)
		}
	}
}

// TestDoc: the package's comment has the commands and the exit codes.
func TestDoc(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.ReplaceAll(strings.ReplaceAll(string(text), "//\t", "  "), "//", "")
	for line := range strings.Lines(exitHelp) {
		if !strings.HasPrefix(line, "exit") && !strings.Contains(doc, line) {
			t.Errorf("doc.go does not say %q", line)
		}
	}
	for _, c := range simCommands().subs {
		words := strings.Fields("aegis sim " + c.name + " " + c.short)
		if !strings.Contains(strings.Join(strings.Fields(doc), " "), strings.Join(words, " ")) {
			t.Errorf("doc.go does not say %q", words)
		}
	}
}

// TestMisuse: what is wrong is said, with what would be right, and nothing is printed as output.
func TestMisuse(t *testing.T) {
	token := failingToken(t)
	for _, c := range []struct{ args, says string }{
		{"nosuch", `no command "nosuch", there are: sim, version, help`},
		{"--nosuch", "flags come after a command"},
		{"sim nosuch", "there are: run, replay, shrink"},
		{"sim explore nosuch", "there are: boundaries, nested, interleavings"},
		{"help sim nosuch", "there are: run"},
		{"sim help run x", "it has no commands of its own"},
		{"sim run --nosuch", "there is no flag --nosuch, there are: --duration, --failures"},
		{"sim run -nosuch=3", "there is no flag --nosuch"},
		{"sim modes --nosuch", "there is no flag --nosuch: it takes none"},
		{"sim run --seeds x", `invalid value "x" for flag --seeds`},
		{"sim run --seeds", "flag needs an argument: --seeds"},
		{"sim run --json=maybe", `invalid boolean value "maybe" for --json`},
		{"sim run --seeds -1", "--seeds -1"},
		{"sim run --jobs -1", "--jobs -1"},
		{"sim run --first 0", "--first 0"},
		{"sim run --first 18446744073709551615", "seeds go from 1"},
		{"sim run --failures 0", "--failures 0"},
		{"sim run --duration -1s", "--duration -1s"},
		{"sim run --mode nosuch", "there are: plain, lists"},
		{"sim run --profile nosuch", "there are: kind, sector"},
		{"sim run --profile torn,", `no profile ""`},
		{"sim run --planted nosuch", "aegis sim scorecard makes one"},
		{"sim run x", `"x" is one argument too many`},
		{"sim run --html doc.go/x", "doc.go"},
		{"sim replay", "it needs TOKEN"},
		{"sim replay --", "it needs TOKEN"},
		{"sim replay " + token + " y", `"y" is one argument too many`},
		{"sim replay -- " + token + " --json", `"--json" is one argument too many`},
		{"sim replay " + token[1:], "copy all of it"},
		{"sim replay --html /no/such/dir/x.html " + token, "/no/such/dir"},
		{"sim replay --planted nosuch " + token, "aegis sim scorecard makes one"},
		{"sim regress --package 7 " + token, `package "7" is no name`},
		{"sim regress --test lower " + token, `"lower" is no name of a test`},
		{"sim hashes --events --seeds 2", "for one seed"},
		{"sim hashes --planted nosuch", "aegis sim scorecard makes one"},
		{"sim prove --mode nosuch", "there are: plain"},
		{"sim prove --planted nosuch", "aegis sim scorecard makes one"},
		{"sim explore nested --mode all", "it has to be one"},
		{"sim explore nested --profile all", "it has to be one"},
		{"sim explore nested --profile nosuch", "there are: kind"},
		{"sim explore nested --ops 0", "--ops 0"},
		{"sim explore nested --depth 0", "--depth 0"},
		{"sim explore boundaries --depth 1", "there is no flag --depth"},
		{"sim explore boundaries --drawn -1", "--drawn -1"},
		{"sim explore interleavings --switches 0", "--switches 0"},
		{"sim explore interleavings --planted nosuch", "aegis sim scorecard makes one"},
		{"sim scorecard --bugs nosuch", "there are: ack-before-sync"},
		{"sim scorecard --jobs 0", "above zero"},
		{"sim scorecard --limit 0s", "above zero"},
		{"sim scorecard --root /", "no go.mod"},
	} {
		s := runProgram(t, c.args)
		if s.code != exitUsage || s.out != "" || !strings.Contains(s.err, c.says) || !strings.Contains("\n"+s.err, "\naegis") {
			t.Errorf("aegis %s: exit code %d, output %q, errors %q; want %q", c.args, s.code, s.out, s.err, c.says)
		}
	}
}

// runProgram runs in this process what starts no other, which would be the test binary.
func runProgram(t *testing.T, line string) said {
	t.Helper()
	if strings.HasPrefix(line, "sim prove --planted") {
		return spawn(t, "clean", strings.Fields(line)...)
	}
	return run(t, clean, strings.Fields(line)...)
}

// TestFlagsAnywhere: flags may stand before and after the arguments.
func TestFlagsAnywhere(t *testing.T) {
	token := failingToken(t)
	for _, args := range [][]string{{"--json", token}, {token, "--json"}, {"-json", "--", token}, {"--json=true", token}} {
		s := run(t, broken, append([]string{"sim", "replay"}, args...)...)
		s.want(t, exitFailures)
		s.objects(t)
	}
}

// TestLists: version, profiles and modes print what there is.
func TestLists(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}} {
		run(t, clean, args...).want(t, exitClean, "aegis ", "go1")
	}
	run(t, clean, "sim", "profiles").want(t, exitClean, allProfiles()...)
	run(t, clean, "sim", "modes").want(t, exitClean, append(modeTexts[:], allModes()...)...)
	for m, text := range modeTexts {
		if text == "" {
			t.Errorf("mode %s has no text", modeName(uint8(m)))
		}
	}
	names, err := profileNames("honest, media")
	if err != nil || names[len(names)-1] != "media" || len(names) < 3 {
		t.Errorf("honest, media: %v, %v", names, err)
	}
	for _, name := range names[:len(names)-1] {
		if p, _ := disk.ProfileNamed(name); len(faultsOf(&p)) > 0 {
			t.Errorf("%s is not honest", name)
		}
	}
}

// full is a writer on a full disk.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestFullDisk: output that cannot be written is no success.
func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"sim", "modes"}, {"sim", "run", "--seeds", "1"}, {"sim", "hashes", "--seeds", "1"}} {
		var complaints strings.Builder
		a := &app{out: &sink{w: full{}}, err: &sink{w: &complaints}, subject: clean}
		if code := a.main(context.Background(), args); code != exitUsage || !strings.Contains(complaints.String(), errFull.Error()) {
			t.Errorf("%v: exit code %d, %q", args, code, complaints.String())
		}
	}
}

// TestThousands: commas stand where they belong.
func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -12: "-12"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
