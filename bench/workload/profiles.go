package workload

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
)

// ProfileKinds are the profiles that can be taken of the measured time. That of allocations covers
// the process from its start.
var ProfileKinds = []string{"cpu", "allocs", "mutex", "block", "trace"}

// profiles are those that are being taken.
type profiles struct {
	wanted map[string]string
	files  map[string]*os.File
}

func startProfiles(wanted map[string]string) (*profiles, error) {
	p := &profiles{wanted, map[string]*os.File{}}
	for kind, name := range wanted {
		f, err := os.Create(name)
		if err != nil {
			return nil, fmt.Errorf("profile: %w", err)
		}
		p.files[kind] = f
		switch kind {
		case "cpu":
			err = pprof.StartCPUProfile(f)
		case "trace":
			err = trace.Start(f)
		case "mutex":
			runtime.SetMutexProfileFraction(10)
		case "block":
			runtime.SetBlockProfileRate(1000) // nanoseconds
		case "allocs":
		default:
			err = errors.New("unknown kind")
		}
		if err != nil {
			return nil, fmt.Errorf("profile %s: %w", kind, err)
		}
	}
	return p, nil
}

func (p *profiles) stop() error {
	var errs []error
	for kind, f := range p.files {
		switch kind {
		case "cpu":
			pprof.StopCPUProfile()
		case "trace":
			trace.Stop()
		default:
			errs = append(errs, pprof.Lookup(kind).WriteTo(f, 0))
		}
		errs = append(errs, f.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}
