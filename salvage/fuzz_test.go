package salvage_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/salvage"
)

// FuzzRun: whatever the files are, Run ends, does not panic, and makes a store that can be read.
// The input is a list of edits of the sample's files, 8 bytes each: what to do, to which file, at
// which offset, with which byte; then the contents of a file that takes the place of another. A
// checkpoint can be made to look whole, whatever it says.
func FuzzRun(f *testing.F) {
	s := theSample()
	names := s.files.names()
	f.Add([]byte{})
	f.Add([]byte{0, 2, 0, 0, 10, 0, 1, 0})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 3, 5, 0, 0, 200, 0, 0, 0})
	for i, name := range names {
		f.Add([]byte{0, byte(i), 60, 0, 0, 0, 3, 0, 6, byte(i), 0, 0, 0, 0, 0, 0})
		f.Add([]byte{5, byte(i), 0, 0, 0, 0, byte(i + 1), 0})
		f.Add(append([]byte{4, byte(i), 0, 0, 0, 0, 0, 0}, s.files[name]...))
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		damaged := maps.Clone(s.files)
		for n := 0; len(edits) >= 8 && n < 64; n++ {
			name := names[int(edits[1])%len(names)]
			at := int(binary.LittleEndian.Uint32(edits[2:]))
			what, with, b := edits[0]%7, edits[6], slices.Clone(damaged[name])
			edits = edits[8:]
			at %= len(b) + 1
			switch what {
			case 0:
				if at < len(b) {
					b[at] ^= with
				}
			case 1:
				delete(damaged, name)
				continue
			case 2:
				b = b[:at]
			case 3:
				clear(b[at:min(len(b), at+512)])
			case 4:
				b, edits = slices.Clone(edits), nil
			case 5:
				other := names[int(with)%len(names)]
				b, damaged[other] = damaged[other], b
			case 6:
				if end := len(b) - 4; end > 24 && !noCheckpoint(name) {
					binary.LittleEndian.PutUint64(b[16:], uint64(end-24))
					binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)))
				}
			}
			damaged[name] = b
		}
		db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
		must(t, err)
		defer db.Close()
		r, err := salvage.Run(ctx, damaged.backend(t), db, salvage.Options{})
		if errors.Is(err, aegis.ErrNoStore) {
			return
		}
		must(t, err)
		if len(r.String()) == 0 {
			t.Error("the report says nothing")
		}
		must(t, db.Verify(ctx, nil))
	})
}
