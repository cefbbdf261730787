package report

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/bench/measure"
)

func TestReadReturnsWhatWasWritten(t *testing.T) {
	want := []measure.Result{one(aegis, "load", 1), one("lmdb", "load", 16)}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	for i := range want {
		if err := enc.Encode(&want[i]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(strings.NewReader(b.String() + "\n"))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("Read: %+v, %v, want %+v", got, err, want)
	}
}

func TestReadNamesTheBrokenResult(t *testing.T) {
	good := `{"engine":"aegis","workload":"load"}` + "\n"
	for name, bad := range map[string]string{"cut": `{"engine":"ae`, "other": `{"name":"x"}`, "no JSON": "load aegis"} {
		got, err := Read(strings.NewReader(good + bad))
		if err == nil || !strings.Contains(err.Error(), "result 2") || len(got) != 1 {
			t.Errorf("%s: %d results, error %v; want 1 and an error that names result 2", name, len(got), err)
		}
	}
}
