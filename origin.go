package aegis

import (
	"runtime"
	"strconv"
	"strings"

	"github.com/aegis-storage/aegis/txcoord/versions"
)

// callers returns who called into this package. Names are looked up when somebody asks for them.
func callers() *versions.Origin {
	const inner = 3 // runtime.Callers, callers and acquire
	o := new(versions.Origin)
	runtime.Callers(inner, o[:])
	return o
}

// thisPackage is how the names of this package's functions begin.
const thisPackage = "github.com/aegis-storage/aegis."

// describeOrigin returns file:line of the first caller outside this package, or "" if there is none
// among those that were recorded.
func describeOrigin(o *versions.Origin) string {
	if o == nil {
		return ""
	}
	n := 0
	for n < len(o) && o[n] != 0 {
		n++
	}
	frames := runtime.CallersFrames(o[:n])
	for {
		f, more := frames.Next()
		if f.PC != 0 && (!strings.HasPrefix(f.Function, thisPackage) || strings.HasSuffix(f.File, "_test.go")) {
			return f.File + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return ""
		}
	}
}
