package flusher

import (
	"encoding/binary"
	"hash/crc32"
)

// ParseCheckpointName returns the number of the checkpoint of which the file called name is a
// copy; ok is false for other files.
func ParseCheckpointName(name string) (number uint64, ok bool) { return parseCheckpointName(name) }

// GuessCheckpoint decodes what it can of a checkpoint's file contents that DecodeCheckpoint refuses, for
// a person to look at: nothing vouches for any of it, and no store may be built on it. It ends at the
// offset at: with the body, or where the bytes make no sense, and then why is not nil. c is nil for
// what does not look like a checkpoint, or is a whole one of a version that this code does not read.
func GuessCheckpoint(b []byte) (c *Checkpoint, at int, why error) {
	if len(b) < checkpointOverhead {
		return nil, 0, nil
	}
	end := len(b) - 4
	magic := binary.LittleEndian.Uint64(b) == checkpointMagic
	version := binary.LittleEndian.Uint32(b[8:]) == checkpointVersion
	length := binary.LittleEndian.Uint64(b[16:]) == uint64(end-checkpointHead)
	if !magic && !version || !version && !length || !magic && !length { // two of them at least
		return nil, 0, nil
	}
	if !version && crc32.Checksum(b[:end], castagnoli) == binary.LittleEndian.Uint32(b[end:]) {
		return nil, 0, nil
	}
	d := decoder{b: b[:end], off: checkpointHead}
	c = d.checkpoint()
	return c, d.off, d.err
}
