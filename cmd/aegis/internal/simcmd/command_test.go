package simcmd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim/disk"
)

// TestMisuse: what is wrong is said, with what would be right, and nothing is printed as output.
func TestMisuse(t *testing.T) {
	token := failingToken(t)
	for _, c := range []struct{ args, says string }{
		{"nosuch", `no command "nosuch", there are: sim, help`},
		{"--nosuch", "flags come after a command"},
		{"sim nosuch", "there are: run, replay, shrink"},
		{"sim explore nosuch", "there are: boundaries, nested, interleavings"},
		{"help sim nosuch", "there are: run"},
		{"sim help run x", "it has no commands of its own"},
		{"sim run --nosuch", "there is no flag --nosuch, there are: --duration, --failures"},
		{"sim run -nosuch=3", "there is no flag --nosuch"},
		{"sim modes --nosuch", "there is no flag --nosuch, there are: --json"},
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
		if s.code != cli.ExitUsage || s.out != "" || !strings.Contains(s.err, c.says) || !strings.Contains("\n"+s.err, "\naegis") {
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
		s.want(t, cli.ExitFound)
		s.objects(t)
	}
}

// TestLists: version, profiles and modes print what there is.
func TestLists(t *testing.T) {
	run(t, clean, "sim", "profiles").want(t, cli.ExitClean, allProfiles()...)
	run(t, clean, "sim", "modes").want(t, cli.ExitClean, append(modeTexts[:], allModes()...)...)
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
	for _, args := range [][]string{{"sim", "modes"}, {"sim", "modes", "--json"}, {"sim", "run", "--seeds", "1"}, {"sim", "hashes", "--seeds", "1"}} {
		var complaints strings.Builder
		a := &cli.App{Out: cli.NewSink(full{}), Err: cli.NewSink(&complaints), Subject: clean}
		if code := a.Main(context.Background(), root(), args); code != cli.ExitUsage || !strings.Contains(complaints.String(), errFull.Error()) {
			t.Errorf("%v: exit code %d, %q", args, code, complaints.String())
		}
	}
}
