package simcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim/plant"
)

// modulePath is that of the checkout in which bugs are planted.
const modulePath = "github.com/aegis-storage/aegis"

func scorecardCommand() *cli.Command {
	return &cli.Command{
		Name: "scorecard", Short: "plant bugs in the engine and see whether the simulator finds them",
		Long: `
A check that cannot fail is worth nothing. This builds the engine of a checkout with deliberate bugs
in it, switches them on one by one, and runs random seeds until a check fails. It needs the go command
and a checkout of aegis, which it does not change. A bug that is not found makes the exit code 1.`,
		Begin: func(f *cli.Flags) cli.Work {
			s := &scorecard{}
			f.StringVar(&s.bugs, "bugs", "", "try the bugs `NAME,…` only")
			f.IntVar(&s.jobs, "jobs", 1, "try `N` bugs at the same time")
			f.DurationVar(&s.limit, "limit", time.Minute, "give each bug `D` to be found")
			f.BoolVar(&s.json, "json", false, "print JSON lines, one a bug")
			f.StringVar(&s.root, "root", "", "plant in the checkout in `DIR`; without it in the one around the working directory")
			return s.run
		},
	}
}

type scorecard struct {
	bugs, root string
	jobs       int
	limit      time.Duration
	json       bool
}

// options are those of plant.Score, but for the binary.
func (s *scorecard) options() (plant.Options, error) {
	o := plant.Options{Jobs: s.jobs, PerBug: s.limit}
	if s.jobs < 1 || s.limit <= 0 {
		return o, fmt.Errorf("--jobs %d, --limit %v: both have to be above zero", s.jobs, s.limit)
	}
	if s.bugs == "" {
		return o, nil
	}
	o.Bugs = strings.Split(s.bugs, ",")
	for _, name := range o.Bugs {
		if _, ok := plant.Find(name); !ok {
			var names []string
			for _, b := range plant.Catalogue() {
				names = append(names, b.Name)
			}
			return o, fmt.Errorf("--bugs: there is no bug %q, there are: %s", name, strings.Join(names, ", "))
		}
	}
	return o, nil
}

func (s *scorecard) run(ctx context.Context, a *cli.App, _ []string) (code int, err error) {
	o, err := s.options()
	if err != nil {
		return cli.ExitUsage, err
	}
	root, err := checkout(s.root)
	if err != nil {
		return cli.ExitUsage, err
	}
	dir, err := os.MkdirTemp("", "aegis-scorecard-")
	if err != nil {
		return cli.ExitUsage, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := newProgress(a, false)
	p.Say("building the engine of %s with its bugs", root)
	o.Binary, o.Root = filepath.Join(dir, "aegis"), root
	if err := plant.Build(ctx, root, "./cmd/aegis", o.Binary); err != nil {
		p.Clear()
		return cli.ExitUsage, err
	}
	rows, err := plant.Score(ctx, o, func(r plant.Row) {
		p.Clear()
		p.Say("%s: %s", r.Bug, rowWords(r))
	})
	p.Clear()
	if err != nil && ctx.Err() == nil {
		return cli.ExitUsage, err
	}
	return s.print(ctx, a, rows)
}

func rowWords(r plant.Row) string {
	switch {
	case r.Error != "":
		return "not tried: " + r.Error
	case !r.Found:
		return fmt.Sprintf("not found in %s", cli.Count(r.Seeds, "seed", "seeds"))
	}
	return fmt.Sprintf("found by %s after %s, %.2f s", r.By, cli.Count(r.Seeds, "seed", "seeds"), r.Seconds)
}

func (s *scorecard) print(ctx context.Context, a *cli.App, rows []plant.Row) (int, error) {
	if s.json {
		text, err := plant.JSONLines(rows)
		if err != nil {
			return cli.ExitUsage, err
		}
		a.Out.Printf("%s", text)
	} else {
		a.Out.Printf("%s", plant.Scorecard(rows))
	}
	switch {
	case slices.ContainsFunc(rows, func(r plant.Row) bool { return !r.Found }):
		return cli.ExitFound, nil
	case ctx.Err() != nil:
		return cli.ExitInterrupted, nil
	}
	return cli.ExitClean, nil
}

// checkout finds the root of a checkout of aegis: dir, or the directory around the working
// directory that has this module's go.mod.
func checkout(dir string) (string, error) {
	if dir != "" {
		if !isCheckout(dir) {
			return "", fmt.Errorf("--root %s: it has no go.mod of %s", dir, modulePath)
		}
		return filepath.Abs(dir)
	}
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir = start; !isCheckout(dir); dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is in no checkout of %s: name one by --root", start, modulePath)
		}
	}
	return dir, nil
}

func isCheckout(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "module "); ok {
			return strings.TrimSpace(name) == modulePath
		}
	}
	return false
}
