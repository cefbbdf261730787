package workload

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/internal/fake"
	"github.com/aegis-storage/aegis/bench/measure"
)

// Names must not change, or results of different days cannot be compared.
func TestNamesStayTheSame(t *testing.T) {
	var names []string
	for _, w := range All() {
		names = append(names, w.Name)
	}
	want := strings.Fields(`load load-settled load-plain killed put-nosync put-durable raw-overwrite raw-append
		get-cached get-snapshot get-cold get-cold-plain seek-100 full-scan
		ycsb-b-nosync ycsb-b-durable ycsb-a-nosync ycsb-a-durable
		transfers-nosync transfers-durable transfers-hot-nosync transfers-hot-durable
		mem-put mem-get reopen
		growth-load growth-get growth-scan growth-open growth-put growth-put-durable growth-update`)
	if !slices.Equal(names, want) {
		t.Errorf("workloads\n%q, want\n%q", names, want)
	}
}

const testKeys = 3000

// execute runs a workload on an engine, after the one that makes its store.
func execute(t *testing.T, name string, clients int, fault fake.Fault) (measure.Result, error) {
	t.Helper()
	work, found := Find(name)
	if !found {
		t.Fatalf("no workload %q", name)
	}
	spec := Spec{
		Workload: name, Clients: clients, Keys: testKeys, ValueBytes: 100, CacheBytes: 1 << 20,
		Dir: t.TempDir(), Round: 1, Duration: 30 * time.Millisecond, Warmup: 5 * time.Millisecond,
	}
	if work.From != None {
		before := spec
		before.Workload, before.Clients = string(work.From), 1
		maker := fake.None
		if fault == fake.Forgets {
			maker = fault
		}
		if _, err := Execute(fake.Driver("fake", maker), before); err != nil {
			t.Fatalf("%s: %v", work.From, err)
		}
	}
	driver := Raw
	if !work.Bare {
		driver = fake.Driver("fake", fault)
	}
	return Execute(driver, spec)
}

func TestEveryWorkloadMeasures(t *testing.T) {
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) {
			got, err := execute(t, w.Name, w.Clients[len(w.Clients)-1], fake.None)
			if err != nil {
				t.Fatal(err)
			}
			if got.Limited != "" || got.Ops <= 0 || got.Workload != w.Name {
				t.Errorf("result %+v", got)
			}
			if !w.Kill && (got.Seconds <= 0 || got.P50 <= 0 || got.P999 < got.P50 || got.Max < got.P999 || got.PeakAnonBytes <= 0) {
				t.Errorf("result %+v", got)
			}
		})
	}
}

func TestFixedWorkIsCounted(t *testing.T) {
	got, err := execute(t, "load", 1, fake.None)
	if err != nil {
		t.Fatal(err)
	}
	if got.Ops != testKeys || got.UserBytes != testKeys*116 || got.DiskBytes < testKeys*116 || got.PeakDiskBytes < got.DiskBytes {
		t.Errorf("load: %+v", got)
	}
	if got, err = execute(t, "growth-update", 1, fake.None); err != nil {
		t.Fatal(err)
	}
	if got.Ops != testKeys/2 || got.UserBytes != testKeys/2*116 {
		t.Errorf("growth-update: %+v", got)
	}
}

func TestWhatIsWrongFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fake.Fault
		want  string
	}{
		{"load", fake.LosesPuts, "not found"},
		{"put-nosync", fake.LosesPuts, "lost update"},
		{"put-durable", fake.LosesPuts, "lost update"},
		{"growth-update", fake.LosesPuts, "lost update"},
		{"transfers-nosync", fake.Races, "lost update"},
		{"transfers-hot-durable", fake.Races, "lost update"},
		{"get-cached", fake.WrongValue, "wrong value"},
		{"get-snapshot", fake.WrongValue, "wrong value"},
		{"get-cold-plain", fake.WrongValue, "wrong value"},
		{"ycsb-b-nosync", fake.WrongValue, "wrong value"},
		{"mem-get", fake.WrongValue, "wrong value"},
		{"mem-put", fake.LosesPuts, "key"}, // not found, or an older value
		{"full-scan", fake.LosesKeys, "entries of"},
		{"reopen", fake.Forgets, "not found"},
		{"get-cached", fake.FailsOpen, "no luck"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clients := 16
			if c.name == "load" || c.name == "growth-update" || c.name == "full-scan" || c.name == "reopen" {
				clients = 1
			}
			_, err := execute(t, c.name, clients, c.fault)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("an engine that %s: error %v, want one with %q", c.fault, err, c.want)
			}
		})
	}
}

func TestWhatAnEngineCannotDoIsNotWrong(t *testing.T) {
	got, err := execute(t, "transfers-nosync", 4, fake.NoUpdate)
	if err != nil || got.Limited == "" {
		t.Errorf("without transactions: %q, %v", got.Limited, err)
	}
	plain := fake.Driver("fake", fake.None)
	plain.Compresses, plain.InMemory = false, false
	for name, limited := range map[string]bool{"get-cold": true, "get-cold-plain": false, "mem-put": true, "load": false} {
		w, _ := Find(name)
		if got := w.Limit(plain); (got != "") != limited {
			t.Errorf("%s: limit %q", name, got)
		}
	}
	if w, _ := Find("raw-append"); w.Suits(plain) || !w.Suits(Raw) {
		t.Error("raw-append suits an engine, or not the disk")
	}
	if w, _ := Find("load"); !w.Suits(plain) || w.Suits(Raw) {
		t.Error("load suits the disk, or no engine")
	}
}

func TestAccountsMustSumUpAndCountEveryTransfer(t *testing.T) {
	store, err := fake.Driver("fake", fake.None).Open(engine.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := &Run{Spec: Spec{Keys: 10, ValueBytes: 100}, store: store}
	if err := openAccounts(r); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		balance, count, done int64
		want                 string
	}{{firstBalance, 0, 0, ""}, {firstBalance + 1, 0, 0, "sum"}, {firstBalance, 1, 0, "count"}, {firstBalance, 0, 1, "count"}, {firstBalance, 2, 1, ""}} {
		key := AppendKey(nil, 3)
		value := AppendValue(nil, key, 0, 100)
		setAccount(value, c.balance, c.count)
		if err := store.Put(key, value); err != nil {
			t.Fatal(err)
		}
		r.clients = []*client{{move: move{done: c.done}}}
		err := checkAccounts(r)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestOwnIndexesAreOneClientsAndCoverAll(t *testing.T) {
	r := &Run{Spec: Spec{Keys: 103, Clients: 10}}
	owner := map[int]int{}
	for id := range r.Clients {
		c := &client{run: r, id: id, random: NewRandom(id)}
		for range 2000 {
			i := c.ownIndex()
			if before, taken := owner[i]; taken && before != id || i < 0 || i >= r.Keys {
				t.Fatalf("index %d of client %d, and of %d", i, id, before)
			}
			owner[i] = id
		}
	}
	if len(owner) != r.Keys {
		t.Errorf("%d indexes of %d are drawn", len(owner), r.Keys)
	}
}

func TestCombineAddsUp(t *testing.T) {
	part := func(ms int64, anon int64) measure.Result {
		return measure.Result{Engine: "a", Ops: 1, Seconds: float64(ms) / 1e3, P50: ms * 1e6, PeakAnonBytes: anon}
	}
	got := Combine([]measure.Result{part(30, 5), part(10, 9), part(20, 7)})
	if got.Ops != 3 || got.Seconds < 0.0599 || got.Seconds > 0.0601 || got.PeakAnonBytes != 9 || got.Engine != "a" {
		t.Errorf("combined %+v", got)
	}
	if got.P50 < 19e6 || got.P50 > 21e6 || got.Max < 29e6 || got.Max > 31e6 {
		t.Errorf("percentiles %d to %d", got.P50, got.Max)
	}
}
