package flusher

import (
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"slices"
	"testing"
)

// TestGuessCheckpoint: of a damaged copy what comes before the damage is told, and of one whose damage lies
// in what frames the body all of it. A whole one of another version is no guess.
func TestGuessCheckpoint(t *testing.T) {
	want := sampleCheckpoint()
	b := want.AppendTo(nil)
	for _, at := range []int{0, 8, 16, len(b) - 1} {
		c := slices.Clone(b)
		c[at] ^= 0x40
		if got, _, why := GuessCheckpoint(c); why != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("byte %d: %+v, %v", at, got, why)
		}
	}
	for size := range b {
		got, at, why := GuessCheckpoint(b[:size])
		switch {
		case size < checkpointOverhead:
			if got != nil || why != nil {
				t.Fatalf("cut at %d: %+v, %v", size, got, why)
			}
		case got == nil || at > size:
			t.Fatalf("cut at %d: %+v, up to %d", size, got, at)
		case len(got.Keyspaces) > 0 && !reflect.DeepEqual(got.Keyspaces, want.Keyspaces[:len(got.Keyspaces)]),
			len(got.Dropped) > 0 && !reflect.DeepEqual(got.Dropped, want.Dropped),
			len(got.Pending) > 0 && !reflect.DeepEqual(got.Pending, want.Pending):
			t.Fatalf("cut at %d: %+v", size, got)
		case size < len(b)-4 && why == nil:
			t.Fatalf("cut at %d: nothing is missing", size)
		}
	}
	binary.LittleEndian.PutUint32(b[8:], checkpointVersion+1)
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	if got, _, _ := GuessCheckpoint(b); got != nil {
		t.Errorf("of another version: %+v", got)
	}
	if got, _, _ := GuessCheckpoint(make([]byte, 1000)); got != nil {
		t.Errorf("of zeros: %+v", got)
	}
}
