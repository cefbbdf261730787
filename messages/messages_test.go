package messages_test

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/messages"
)

func TestReply(t *testing.T) {
	r := messages.NewReply[int]()
	if r.Ready() {
		t.Fatal("ready before Resolve")
	}
	copied := r // requests carry replies by value
	r.Resolve(5)
	if !copied.Ready() {
		t.Fatal("not ready after Resolve")
	}
	if got := <-copied.Done(); got != 5 || r.Ready() {
		t.Fatalf("got %d, ready again: %t", got, r.Ready())
	}
	// A request is sent again once its answer was taken.
	copied.Resolve(6)
	if got := <-r.Done(); got != 6 {
		t.Fatalf("got %d", got)
	}
}

func TestReplyResolvedTwice(t *testing.T) {
	r := messages.NewReply[error]()
	r.Resolve(nil)
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	r.Resolve(nil)
}

func TestRecordFraming(t *testing.T) {
	records := messages.AppendRecord([]byte("before"), 7, []byte("payload"))
	records = messages.AppendRecord(records, 1<<60+1, nil)
	records = records[len("before"):]
	if want := 2*messages.RecordOverhead + len("payload"); len(records) != want {
		t.Fatalf("two records of %d bytes, want %d", len(records), want)
	}
	for _, want := range []struct {
		seq     uint64
		payload string
	}{{7, "payload"}, {1<<60 + 1, ""}} {
		n := int(binary.LittleEndian.Uint32(records[4:]))
		seq := binary.LittleEndian.Uint64(records[8:])
		if crc := binary.LittleEndian.Uint32(records); crc != 0 {
			t.Errorf("crc is %x, the log writer's to fill", crc)
		}
		if rest := binary.LittleEndian.Uint32(records[16:]); rest != 0 {
			t.Errorf("flags and zero are %x", rest)
		}
		body := records[messages.RecordOverhead:]
		if seq != want.seq || n != len(want.payload) || string(body[:n]) != want.payload {
			t.Errorf("record %d of %d bytes %q, want %v", seq, n, body[:n], want)
		}
		records = body[n:]
	}
}

// The credit of a commit pays for its record and for a group of its own.
func TestCreditFor(t *testing.T) {
	for _, n := range []int{0, 1, 4096, messages.MaxBatchBytes} {
		record := int64(len(messages.AppendRecord(nil, 1, nil)) + n)
		if got := messages.CreditFor(n); got != record+messages.GroupOverhead {
			t.Errorf("credit for %d bytes is %d, the record has %d", n, got, record)
		}
	}
}

func TestAppendRecordDoesNotAlias(t *testing.T) {
	batch := []byte("abc")
	records := messages.AppendRecord(make([]byte, 0, 256), 1, batch)
	batch[0] = 'x'
	if !strings.HasSuffix(string(records), "abc") {
		t.Fatalf("record %q changed with the batch", records)
	}
}

func TestDefaultLimits(t *testing.T) {
	if err := messages.DefaultLimits().Validate(); err != nil {
		t.Fatal(err)
	}
	d := reflect.ValueOf(messages.DefaultLimits())
	for i := range d.NumField() {
		if d.Field(i).IsZero() {
			t.Errorf("%s has no default", d.Type().Field(i).Name)
		}
	}
}

// set gives every field of l the value, whatever its integer type.
func set(l *messages.Limits, field int, value int64) {
	reflect.ValueOf(l).Elem().Field(field).SetInt(value)
}

// Or takes every zero field from the defaults, and no other.
func TestLimitsOr(t *testing.T) {
	typ := reflect.TypeOf(messages.Limits{})
	d := messages.DefaultLimits()
	if got := (messages.Limits{}).Or(d); got != d {
		t.Errorf("zero limits become %+v", got)
	}
	for i := range typ.NumField() {
		var l messages.Limits
		set(&l, i, 123456)
		want := d
		set(&want, i, 123456)
		if got := l.Or(d); got != want {
			t.Errorf("with %s set: %+v", typ.Field(i).Name, got)
		}
	}
}

// Every field is validated, by name.
func TestLimitsValidate(t *testing.T) {
	typ := reflect.TypeOf(messages.Limits{})
	for i := range typ.NumField() {
		for _, bad := range []int64{-1, math.MinInt32} {
			l := messages.DefaultLimits()
			set(&l, i, bad)
			if err := l.Validate(); err == nil || !strings.Contains(err.Error(), typ.Field(i).Name) {
				t.Errorf("%s = %d: error %v", typ.Field(i).Name, bad, err)
			}
		}
	}
	for name, change := range map[string]func(*messages.Limits){
		"MaxRuns at FanIn":            func(l *messages.Limits) { l.MaxRuns, l.FanIn = 8, 8 },
		"LogBytes below SegmentBytes": func(l *messages.Limits) { l.LogBytes = l.SegmentBytes - 1 },
		"no retry interval":           func(l *messages.Limits) { l.RetryInterval = 0 },
	} {
		l := messages.DefaultLimits()
		change(&l)
		if l.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	small := messages.Limits{
		IndexBytes: 1 << 10, MaxFrozen: 1, LogBytes: messages.MinSegmentBytes, SegmentBytes: messages.MinSegmentBytes,
		FirstSegment: messages.MinSegmentBytes, GatherBytes: 1, CompressAbove: 64, GroupAlign: 1, TableBytes: 1 << 10,
		LeafBytes: 64, InnerBytes: 64, FanIn: 2, MaxRuns: 4, MergeStep: 1, ChunkBytes: 256, TurnLimit: 1, Inbox: 1,
		RetainIndexes: 1, SyncInterval: 1, RetryInterval: time.Nanosecond, SettleAfter: 1, SettleBudget: 1,
	}
	if err := small.Validate(); err != nil {
		t.Errorf("the smallest limits: %v", err)
	}
}

// The sealed interfaces list what the graph may send.
var (
	_ = []messages.ToTxcoord{
		&messages.Commit{}, &messages.Await{}, &messages.Checkpoint{}, messages.Durable{}, messages.Written{}, messages.NoSpace{},
		messages.Poisoned{}, messages.Flushed{}, messages.FlushFailed{}, &messages.TxcoordStatsRequest{}, messages.Tick{},
	}
	_ = []messages.ToWalwriter{
		messages.Append{}, messages.Reserve{}, messages.Release{}, &messages.WalStatsRequest{}, messages.WalJobDone{}, messages.Tick{},
	}
	_ = []messages.ToFlusher{
		messages.Flush{}, messages.Reclaim{}, &messages.Compact{}, &messages.Ingest{}, &messages.Hold{}, messages.Unhold{}, &messages.FlusherStatsRequest{},
		messages.FlusherJobDone{}, messages.Tick{},
	}
	_ = []messages.ToEvictor{
		messages.IndexBytes{}, messages.TablesRetired{}, messages.PagesLoaded{}, &messages.EvictorStatsRequest{}, messages.Tick{},
	}
)
