package storecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Args: "STORE", Least: 1, Most: 1, Short: "read all that is stored, and name what is damaged",
		Long: `
Every page of every table, both copies of the checkpoint and the log are read and held against their
checksums and against one another. Each damage is a line with the file and the offset in it, and makes
the exit code 1.`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return check(ctx, a, args[0], *json)
			}
		},
	}
}

// damageLine is a damage as JSON.
type damageLine struct {
	File   string `json:"file,omitempty"` // absent: no file of its own
	Offset int64  `json:"offset"`
	What   string `json:"what"`
}

// checked is what check prints as JSON.
type checked struct {
	Sound   bool         `json:"sound"`
	Damage  []damageLine `json:"damage"`
	Seconds float64      `json:"seconds"`
}

func check(ctx context.Context, a *cli.App, dir string, json bool) (int, error) {
	c := access{json: json}
	if err := c.check(dir); err != nil {
		return cli.ExitUsage, err
	}
	start := time.Now()
	tell := cli.NewTeller(a, json)
	defer tell.End()
	db, err := c.open(tell, dir)
	tell.End() // what is printed now stands on a line of its own
	var bad *aegis.CorruptionError
	switch {
	case errors.As(err, &bad): // damage that keeps the store from opening is what was asked for
		return reportDamage(a, dir, err, time.Since(start), json)
	case err != nil:
		return cli.ExitUsage, explain(dir, err)
	}
	err = db.Verify(ctx, tell.Tell)
	took := tell.End()
	closeErr := db.Close()
	if ctx.Err() == nil {
		code, err := reportDamage(a, dir, err, took, json)
		return code, errors.Join(err, closeErr)
	}
	// What was found until the interrupt counts; a sound beginning says nothing.
	if err = without(err, ctx.Err()); err == nil {
		return cli.ExitInterrupted, errors.Join(ctx.Err(), closeErr)
	}
	code, err := reportDamage(a, dir, err, took, json)
	a.Err.Printf("interrupted: there may be more\n")
	return code, errors.Join(err, closeErr)
}

// without leaves out of the errors that err joins those that are what.
func without(err, what error) error {
	return errors.Join(slices.DeleteFunc(leavesOf(err), func(e error) bool { return errors.Is(e, what) })...)
}

// reportDamage prints what Verify or Open came to.
func reportDamage(a *cli.App, dir string, err error, took time.Duration, json bool) (int, error) {
	sum := checked{Sound: err == nil, Damage: []damageLine{}, Seconds: took.Seconds()}
	for _, e := range leavesOf(err) {
		line := damageLine{What: e.Error()}
		if bad := new(aegis.CorruptionError); errors.As(e, &bad) {
			line = damageLine{File: bad.File, Offset: bad.Offset, What: bad.What}
		}
		sum.Damage = append(sum.Damage, line)
	}
	code := cli.ExitClean
	if !sum.Sound {
		code = cli.ExitFound
	}
	if json {
		return code, cli.WriteJSON(a.Out, sum)
	}
	for _, d := range sum.Damage {
		if d.File == "" {
			a.Out.Printf("%s\n", d.What)
			continue
		}
		a.Out.Printf("%s: offset %d: %s\n", d.File, d.Offset, d.What)
	}
	if sum.Sound {
		a.Out.Printf("%s is sound, checked in %v\n", dir, took.Round(time.Millisecond))
		return code, nil
	}
	a.Err.Printf("%s in %s: aegis inspect %s FILE shows a file, aegis salvage %s NEW copies what is sound\n",
		cli.Count(len(sum.Damage), "damage", "damages"), dir, dir, dir)
	return code, nil
}

// leavesOf are the errors that err joins. One that says more than they do is a leaf.
func leavesOf(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, leavesOf(e)...)
	}
	return all
}

func compactCommand() *cli.Command {
	return &cli.Command{
		Name: "compact", Args: "STORE", Least: 1, Most: 1, Short: "merge all tables into one run, without what was overwritten",
		Long: `
A store merges its tables by itself; this forces the best layout, whatever it costs. It needs free
space for a second copy of what the store holds at most. An interrupt leaves the store sound.`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return compact(ctx, a, args[0], *json)
			}
		},
	}
}

func compact(ctx context.Context, a *cli.App, dir string, json bool) (int, error) {
	var before, after filesOf
	var took time.Duration
	code, err := access{write: true, json: json}.with(a, dir, func(db *aegis.DB) (int, error) {
		var err error
		if before, err = measure(dir); err != nil {
			return cli.ExitUsage, err
		}
		tell := cli.NewTeller(a, json)
		err = db.Compact(ctx, tell.Tell)
		took = tell.End()
		return cli.ExitClean, err
	})
	if err != nil {
		return code, err
	}
	if after, err = measure(dir); err != nil { // closed: what was replaced is gone
		return cli.ExitUsage, err
	}
	if json {
		return cli.ExitClean, cli.WriteJSON(a.Out, map[string]any{
			"bytes_before": before.Tables, "bytes_after": after.Tables, "seconds": took.Seconds(),
		})
	}
	a.Out.Printf("%s of tables before, %s after, in %v\n", cli.Size(before.Tables), cli.Size(after.Tables), took.Round(time.Millisecond))
	return cli.ExitClean, nil
}

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Short: "print and check configuration files",
		Subs: []*cli.Command{printConfig(), validateConfig()},
	}
}

func printConfig() *cli.Command {
	return &cli.Command{
		Name: "print", Args: "[FILE]", Most: 1, Short: "print the effective configuration, with every default",
		Long: `
Without FILE it is that of a program that sets nothing. The output is a configuration file.`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(_ context.Context, a *cli.App, args []string) (int, error) {
				text := aegis.Options{}.String()
				if len(args) > 0 {
					c, err := aegis.LoadConfig(args[0])
					if err != nil {
						return cli.ExitUsage, wrongConfig(err)
					}
					text = c.String()
				}
				if *json {
					return cli.ExitClean, cli.WriteJSON(a.Out, configValues(text))
				}
				a.Out.Printf("%s", text)
				return cli.ExitClean, nil
			}
		},
	}
}

func validateConfig() *cli.Command {
	return &cli.Command{
		Name: "validate", Args: "FILE", Least: 1, Most: 1, Short: "check a configuration file, and name all that is wrong",
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(_ context.Context, a *cli.App, args []string) (int, error) {
				c, err := aegis.LoadConfig(args[0])
				if err == nil {
					err = validOptions(c)
				}
				switch {
				case errors.As(err, new(*fs.PathError)):
					return cli.ExitUsage, err
				case *json && err != nil:
					return cli.ExitFound, cli.WriteJSON(a.Out, map[string]any{"valid": false, "problems": lines(err.Error())})
				case *json:
					return cli.ExitClean, cli.WriteJSON(a.Out, map[string]any{"valid": true, "problems": []string{}})
				case err != nil:
					return cli.ExitFound, cli.Found{Err: fmt.Errorf("%s cannot be used:\n%w", args[0], err)}
				}
				a.Out.Printf("%s is valid\n", args[0])
				return cli.ExitClean, nil
			}
		},
	}
}

// wrongConfig gives what is wrong with a configuration file its exit code; a file that cannot be read is
// another matter.
func wrongConfig(err error) error {
	if errors.As(err, new(*fs.PathError)) {
		return err
	}
	return cli.Found{Err: err}
}
