package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/bench/measure"
)

// Read reads results until the end of r: one JSON object after the other, by custom one a line. It
// returns those before a broken one together with the error.
func Read(r io.Reader) ([]measure.Result, error) {
	var results []measure.Result
	dec := json.NewDecoder(r)
	for {
		var one measure.Result
		switch err := dec.Decode(&one); {
		case errors.Is(err, io.EOF):
			return results, nil
		case err != nil:
			return results, fmt.Errorf("report: result %d: %w", len(results)+1, err)
		case one.Engine == "" || one.Workload == "":
			return results, fmt.Errorf("report: result %d: no engine or no workload", len(results)+1)
		}
		results = append(results, one)
	}
}
