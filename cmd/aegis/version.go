package main

import (
	"context"
	"flag"
	"runtime"
	"runtime/debug"
)

func versionCommand() *command {
	return &command{
		name: "version", short: "print which build this is",
		begin: func(*flag.FlagSet) work {
			return func(_ context.Context, a *app, _ []string) (int, error) {
				a.out.printf("aegis %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
				return exitClean, nil
			}
		},
	}
}

// buildVersion is the module's version, and of a build from a checkout its revision.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	const most = 12
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version += " " + s.Value[:min(most, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			version += " modified"
		}
	}
	return version
}
