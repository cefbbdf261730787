package disk

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestContent: random writes, fills, truncations and snapshots against plain slices. Equal bytes hash
// equal, and a snapshot never changes.
func TestContent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	type pair struct {
		c    content
		want []byte
	}
	pairs := []*pair{{}}
	var lent [][]byte // that contents may share
	for step := range 6000 {
		p := pairs[rng.IntN(len(pairs))]
		off, n := rng.Int64N(40000), rng.IntN(1+1<<rng.IntN(15))
		switch rng.IntN(10) {
		case 0:
			p.c.truncate(off)
			if grow := int(off) - len(p.want); grow > 0 {
				p.want = append(p.want, make([]byte, grow)...)
			}
			p.want = p.want[:off:off]
		case 1:
			q := &pair{c: p.c.snapshot(), want: bytes.Clone(p.want)}
			if len(pairs) < 6 {
				pairs = append(pairs, q)
			} else {
				pairs[rng.IntN(len(pairs))] = q
			}
		case 2:
			n++
			p.c.zero(off, int64(n))
			if grow := int(off) + n - len(p.want); grow > 0 {
				p.want = append(p.want, make([]byte, grow)...)
			}
			clear(p.want[off:][:n])
		default:
			data := bytes.Repeat([]byte{byte(step)}, n)
			p.c.write(data, off, step%2 == 0)
			if step%2 != 0 {
				clear(data)
			} else if n > 0 {
				lent = append(lent, data)
			}
			if grow := int(off) + n - len(p.want); n > 0 && grow > 0 {
				p.want = append(p.want, make([]byte, grow)...)
			}
			if n > 0 {
				copy(p.want[off:], bytes.Repeat([]byte{byte(step)}, n))
			}
		}
		if step%50 == 0 {
			for i, p := range pairs {
				got := make([]byte, len(p.want))
				p.c.read(got, 0)
				if p.c.size != int64(len(p.want)) || !bytes.Equal(got, p.want) {
					t.Fatalf("step %d: contents %d differ", step, i)
				}
				var fresh content
				fresh.truncate(p.c.size)
				fresh.write(bytes.Clone(p.want), 0, true)
				if fresh.hash() != p.c.hash() {
					t.Fatalf("step %d: contents %d have another hash than the same bytes written at once", step, i)
				}
			}
		}
	}
	for _, data := range lent {
		if bytes.Count(data, data[:1]) != len(data) {
			t.Fatalf("a write of %d bytes was changed by a later one", len(data))
		}
	}
}
