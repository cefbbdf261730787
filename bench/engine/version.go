package engine

import "runtime/debug"

// ModuleVersion returns the version of the Go module path that this program is built with, or
// "unknown" if the build does not tell. A module that a directory stands for is a "checkout".
func ModuleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		switch {
		case m.Path != path:
		case m.Replace == nil:
			return m.Version
		case m.Replace.Version == "" || m.Replace.Version == "(devel)":
			return "checkout"
		default:
			return m.Replace.Version
		}
	}
	return "unknown"
}
