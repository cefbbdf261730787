package simcmd

import (
	"bytes"
	"context"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/report"
)

func regressCommand() *cli.Command {
	return &cli.Command{
		Name: "regress", Args: "TOKEN", Least: 1, Most: 1, Short: "write a Go test that replays a token",
		Long: `
The output is a file for go test: aegis sim regress TOKEN > regression_test.go. The test fails as
long as the run does. Shrink the token first; a smaller run breaks less often for other reasons.`,
		Begin: func(f *cli.Flags) cli.Work {
			t, planted, json := &report.TestCase{}, "", cli.JSONFlag(f)
			f.StringVar(&t.Package, "package", "swarm_test", "`NAME` of the file's package")
			f.StringVar(&t.Name, "test", "", "`NAME` of the test, beginning with Test; without it one is made of the token")
			f.StringVar(&planted, "planted", "", plantedUsage)
			return func(_ context.Context, a *cli.App, args []string) (int, error) {
				res, err := execute(a, args[0], planted, sim.Fast)
				if err != nil {
					return cli.ExitUsage, err
				}
				t.Token, t.Profile = args[0], res.Profile
				if res.Failure == nil {
					a.Err.Printf("the run passes: so will the test; %s\n", ofTheSwarm)
				} else {
					t.Broke = res.Failure.Error()
				}
				if !*json {
					return cli.ExitClean, report.RegressionTest(a.Out, *t)
				}
				var source bytes.Buffer
				if err := report.RegressionTest(&source, *t); err != nil {
					return cli.ExitUsage, err
				}
				return cli.ExitClean, cli.WriteJSON(a.Out, map[string]any{"token": t.Token, "fails": res.Failure != nil, "source": source.String()})
			}
		},
	}
}
