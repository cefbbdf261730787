package storecmd

import "github.com/aegis-storage/aegis/cmd/aegis/internal/cli"

// Commands are the commands on a store, in the order in which the help lists them.
func Commands() []*cli.Command {
	return []*cli.Command{
		getCommand(), putCommand(), deleteCommand(), scanCommand(), keyspacesCommand(), statsCommand(), checkCommand(),
		compactCommand(), dumpCommand(), loadCommand(), backupCommand(), backupInfoCommand(),
		restoreCommand(), checkpointCommand(), salvageCommand(), inspectCommand(), benchCommand(), configCommand(),
	}
}
