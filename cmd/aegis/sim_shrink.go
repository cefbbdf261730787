package main

import (
	"context"
	"errors"
	"flag"

	"github.com/aegis-storage/aegis/sim"
)

func shrinkCommand() *command {
	return &command{
		name: "shrink", args: "TOKEN", most: 1, short: "find a smaller run that fails in the same way",
		long: `
Lives, operations, faults and switches between tasks are left out as long as the same check fails.
The output is the smaller token. aegis sim run has done this for the tokens that it printed, unless
it was told --no-shrink.`,
		begin: func(f *flag.FlagSet) work {
			var planted string
			f.StringVar(&planted, "planted", "", plantedUsage)
			return func(ctx context.Context, a *app, args []string) (int, error) {
				return shrink(ctx, a, args[0], planted)
			}
		},
	}
}

func shrink(ctx context.Context, a *app, token, planted string) (int, error) {
	before, err := execute(a, token, planted, sim.Fast)
	if err != nil {
		return exitUsage, err
	}
	if before.Failure == nil {
		return exitUsage, errors.New("the run passes: there is nothing to shrink")
	}
	after, err := sim.Shrink(ctx, before.Plan, a.subject, sim.Config{})
	if err != nil {
		return exitUsage, err
	}
	if after.Failure == nil {
		return exitUsage, errors.New("the run passes when it runs again, so that runs are not the same each time: see aegis sim prove")
	}
	a.out.printf("%s\n", after.Plan.Token())
	a.err.printf("check   %s\nbefore  %s\nafter   %s\n", after.Failure.Check, sizes(before), sizes(after))
	return exitClean, nil
}
