package run

import (
	"encoding/json"
	"fmt"
	"io"
	"syscall"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/workload"
)

// Child makes the one measurement whose workload.Spec it reads, and writes its measure.Result. For
// a workload that ends with a kill it does not return.
func Child(in io.Reader, out io.Writer, drivers []engine.Driver) error {
	var spec workload.Spec
	if err := json.NewDecoder(in).Decode(&spec); err != nil {
		return fmt.Errorf("read what to measure: %w", err)
	}
	driver, err := find(drivers, spec.Engine)
	if err != nil {
		return err
	}
	result, err := workload.Execute(driver, spec)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(&result); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if work, _ := workload.Find(spec.Workload); work.Kill && result.Limited == "" {
		return syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	}
	return nil
}

func find(drivers []engine.Driver, name string) (engine.Driver, error) {
	for _, d := range drivers {
		if d.Name == name {
			return d, nil
		}
	}
	return engine.Driver{}, fmt.Errorf("no engine %q", name)
}
