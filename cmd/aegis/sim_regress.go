package main

import (
	"context"
	"flag"

	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/report"
)

func regressCommand() *command {
	return &command{
		name: "regress", args: "TOKEN", most: 1, short: "write a Go test that replays a token",
		long: `
The output is a file for go test: aegis sim regress TOKEN > regression_test.go. The test fails as
long as the run does. Shrink the token first; a smaller run breaks less often for other reasons.`,
		begin: func(f *flag.FlagSet) work {
			t, planted := &report.TestCase{}, ""
			f.StringVar(&t.Package, "package", "swarm_test", "`NAME` of the file's package")
			f.StringVar(&t.Name, "test", "", "`NAME` of the test, beginning with Test; without it one is made of the token")
			f.StringVar(&planted, "planted", "", plantedUsage)
			return func(_ context.Context, a *app, args []string) (int, error) {
				res, err := execute(a, args[0], planted, sim.Fast)
				if err != nil {
					return exitUsage, err
				}
				t.Token, t.Profile = args[0], res.Profile
				if res.Failure == nil {
					a.err.printf("the run passes: so will the test\n")
				} else {
					t.Broke = res.Failure.Error()
				}
				return exitClean, report.RegressionTest(a.out, *t)
			}
		},
	}
}
