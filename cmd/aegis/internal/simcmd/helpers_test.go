package simcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// asProgram makes the test binary be aegis, with the subject of this name.
const asProgram = "AEGIS_TEST_SUBJECT"

func TestMain(m *testing.M) {
	name := os.Getenv(asProgram)
	if name == "" {
		os.Exit(m.Run())
	}
	os.Exit(cli.NewApp(subjects[name]).Interruptible(root(), os.Args[1:]))
}

// root is aegis with the commands of this package.
func root() *cli.Command {
	return &cli.Command{Name: "aegis", Short: "aegis", Subs: []*cli.Command{Command()}}
}

var subjects = map[string]sim.Subject{
	"swarm": swarm.Subject, "clean": clean, "broken": broken, "covering": covering, "unlike": unlike, "hanging": hanging,
	"unlike bytes": unlikeBytes, "panicking": panicking,
}

// clean does nothing wrong.
func clean() func(*sim.Life) { return working(func(*sim.Client) {}) }

// broken fails at a second operation.
func broken() func(*sim.Life) {
	return working(func(c *sim.Client) {
		if c.Op() == 2 {
			c.Failf("operation 2 came")
		}
	})
}

// covering moves all counts that a long run has to move.
func covering() func(*sim.Life) {
	return func(l *sim.Life) {
		for _, name := range swarm.Coverage {
			l.Cover(name, 1)
		}
	}
}

// unlike does not do the same in each process, from seed 5 on.
func unlike() func(*sim.Life) {
	return working(func(c *sim.Client) {
		if c.Life().Seed() >= 5 {
			c.Logf("GOGC is %s", os.Getenv("GOGC"))
		}
	})
}

// unlikeBytes writes bytes that are not the same in each process.
func unlikeBytes() func(*sim.Life) {
	return func(l *sim.Life) {
		f, err := l.Backend().Create("file")
		l.Must(err)
		_, err = f.WriteAt([]byte(os.Getenv("GOGC") + "    ")[:4], 0)
		l.Must(err)
	}
}

// hanging never ends.
func hanging() func(*sim.Life) {
	return working(func(*sim.Client) {
		var never chan int
		<-never
	})
}

func panicking() func(*sim.Life) { return working(func(*sim.Client) { panic("a wrong turn") }) }

// working is a subject whose two clients do something in each operation.
func working(do func(*sim.Client)) func(*sim.Life) {
	return func(l *sim.Life) {
		for _, name := range []string{"a", "b"} {
			l.Go(name, func(c *sim.Client) {
				for c.Next() {
					c.Does("work")
					c.Yield()
					do(c)
					c.Did("done")
				}
			})
		}
		l.AtClose(func() error { return nil })
	}
}

// said is what a command line came to.
type said struct {
	out, err string
	code     int
}

// run runs a command line in this process.
func run(t *testing.T, subject sim.Subject, args ...string) said {
	t.Helper()
	return runOn(t, false, subject, args...)
}

func runOn(t *testing.T, terminal bool, subject sim.Subject, args ...string) said {
	t.Helper()
	var out, err bytes.Buffer
	a := &cli.App{Out: cli.NewSink(&out), Err: cli.NewSink(&err), Terminal: terminal, Subject: subject}
	code := a.Main(context.Background(), root(), args)
	return said{out.String(), err.String(), code}
}

// child is a command line in a process of its own.
func child(subject string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"="+subject)
	return cmd
}

// spawn runs a command line in a process of its own.
func spawn(t *testing.T, subject string, args ...string) said {
	t.Helper()
	cmd := child(subject, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return said{out.String(), complaints.String(), cmd.ProcessState.ExitCode()}
}

// want checks the exit code, and that each text is in the output.
func (s said) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if s.code != code {
		t.Errorf("exit code %d, want %d", s.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(s.out, text) {
			t.Errorf("%q is not in the output", text)
		}
	}
	if t.Failed() {
		t.Fatalf("output:\n%s\nerrors:\n%s", s.out, s.err)
	}
}

// objects parses JSON lines.
func (s said) objects(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(s.out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, o)
	}
	if len(all) == 0 {
		t.Fatalf("no lines; errors:\n%s", s.err)
	}
	return all
}

// failingToken is one of the subject broken.
func failingToken(t *testing.T, more ...string) string {
	t.Helper()
	s := run(t, broken, append([]string{"sim", "run", "--json"}, more...)...)
	all := s.objects(t)
	token, _ := all[len(all)-1]["token"].(string)
	if s.code != cli.ExitFound || token == "" {
		t.Fatalf("exit code %d, token %q\n%s", s.code, token, s.out)
	}
	return token
}
