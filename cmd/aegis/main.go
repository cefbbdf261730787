package main

import (
	"os"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/simcmd"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/storecmd"
	"github.com/aegis-storage/aegis/sim/swarm"
)

func main() { os.Exit(cli.NewApp(swarm.Subject).Interruptible(root(), os.Args[1:])) }

// root is the whole command line.
func root() *cli.Command {
	return &cli.Command{
		Name: "aegis", Short: "the command line of the aegis storage engine",
		Subs: append(storecmd.Commands(), simcmd.Command(), cli.CompletionCommand(), cli.VersionCommand()),
		Topics: []cli.Topic{
			{Name: "exit-codes", Short: "what a command's exit code says", Text: cli.ExitHelp},
			{Name: "notation", Short: "how keys and values are written", Text: storecmd.Notation},
		},
	}
}
