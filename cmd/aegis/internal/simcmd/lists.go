package simcmd

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/swarm"
)

func profilesCommand() *cli.Command {
	return &cli.Command{
		Name: "profiles", Short: "list the disks that can be simulated",
		Long: `
Profiles go from the weakest to the hardest. SECTOR is how many bytes the medium writes at once. POWER
CUT is what becomes of what was not synced. FAULTS are what strikes besides crashes; a profile
without any is one of those that --profile honest stands for.`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(_ context.Context, a *cli.App, _ []string) (int, error) {
				if *json {
					return cli.ExitClean, cli.WriteJSON(a.Out, profileLines())
				}
				t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "PROFILE\tSECTOR\tPOWER CUT\tFAULTS")
				for _, p := range disk.Profiles() {
					faults := strings.Join(faultsOf(&p), " ")
					if faults == "" {
						faults = "none"
					}
					fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", p.Name, p.Sector, powerCut(&p), faults)
				}
				return cli.ExitClean, t.Flush()
			}
		},
	}
}

// powerCut says what a power cut may do to unsynced work.
func powerCut(p *disk.Profile) string {
	words := []string{"keeps any part of it"}
	if p.Ordered {
		words[0] = "keeps the first part of it"
	}
	switch {
	case p.AtomicSectors:
		words = append(words, "sectors whole")
	case p.Torn:
		words = append(words, "tears sectors")
	default:
		words = append(words, "sectors in part")
	}
	if p.Unwritten != disk.UnwrittenZero {
		words = append(words, "leaves garbage")
	}
	return strings.Join(words, ", ")
}

// modeTexts say what a mode is about.
var modeTexts = [swarm.Modes]string{
	swarm.Plain:     "transactions of all kinds in the default keyspace",
	swarm.Lists:     "appends to lists, which the check for cycles reads",
	swarm.Keyspaces: "plain, over keyspaces that come and go",
	swarm.Bulk:      "keyspaces, with bulk loads",
	swarm.Large:     "plain, with values that need a log segment of their own, and blocks",
	swarm.NoLog:     "plain, without a log, and lives with a log in between",
}

func modesCommand() *cli.Command {
	return &cli.Command{
		Name: "modes", Short: "list the workloads that can be simulated",
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(_ context.Context, a *cli.App, _ []string) (int, error) {
				if *json {
					return cli.ExitClean, cli.WriteJSON(a.Out, modeLines())
				}
				t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "MODE\tWHAT CLIENTS DO")
				for m, text := range modeTexts {
					fmt.Fprintf(t, "%s\t%s\n", modeName(uint8(m)), text)
				}
				return cli.ExitClean, t.Flush()
			}
		},
	}
}

// profileLine is what --json prints of a disk.
type profileLine struct {
	Profile  string   `json:"profile"`
	Sector   int      `json:"sector"`
	PowerCut string   `json:"power_cut"`
	Faults   []string `json:"faults"`
}

func profileLines() []profileLine {
	all := []profileLine{}
	for _, p := range disk.Profiles() {
		all = append(all, profileLine{p.Name, int(p.Sector), powerCut(&p), append([]string{}, faultsOf(&p)...)})
	}
	return all
}

// modeLine is what --json prints of a workload.
type modeLine struct {
	Mode string `json:"mode"`
	Does string `json:"does"`
}

func modeLines() []modeLine {
	all := []modeLine{}
	for m, text := range modeTexts {
		all = append(all, modeLine{modeName(uint8(m)), text})
	}
	return all
}
