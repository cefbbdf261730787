package simcmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
)

func shrinkCommand() *cli.Command {
	return &cli.Command{
		Name: "shrink", Args: "TOKEN", Least: 1, Most: 1, Short: "find a smaller run that fails in the same way",
		Long: `
Lives, operations, faults and switches between tasks are left out as long as the same check fails.
The output is the smaller token. aegis sim run has done this for the tokens that it printed, unless
it was told --no-shrink.`,
		Begin: func(f *cli.Flags) cli.Work {
			var planted string
			json := cli.JSONFlag(f)
			f.StringVar(&planted, "planted", "", plantedUsage)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return shrink(ctx, a, args[0], planted, *json)
			}
		},
	}
}

// shrunkLine is what --json prints.
type shrunkLine struct {
	Token  string `json:"token"`
	Check  string `json:"check"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func shrink(ctx context.Context, a *cli.App, token, planted string, json bool) (int, error) {
	before, err := execute(a, token, planted, sim.Fast)
	if err != nil {
		return cli.ExitUsage, err
	}
	if before.Failure == nil {
		return cli.ExitUsage, fmt.Errorf("the run passes: there is nothing to shrink; %s", ofTheSwarm)
	}
	after, err := sim.Shrink(ctx, before.Plan, a.Subject, sim.Config{})
	if err != nil {
		return cli.ExitUsage, err
	}
	if after.Failure == nil {
		return cli.ExitUsage, errors.New("the run passes when it runs again, so that runs are not the same each time: see aegis sim prove")
	}
	if json {
		return cli.ExitClean, cli.WriteJSON(a.Out, shrunkLine{after.Plan.Token(), after.Failure.Check, sizes(before), sizes(after)})
	}
	a.Out.Printf("%s\n", after.Plan.Token())
	a.Err.Printf("check   %s\nbefore  %s\nafter   %s\n", after.Failure.Check, sizes(before), sizes(after))
	return cli.ExitClean, nil
}
