package sim

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/world"
)

// Plan is all that decides a run: the same Plan and the same subject give the same run, event for
// event, in every process. The zero value of each field but Seed leaves it to the seed.
type Plan struct {
	Seed    uint64
	Profile string // name of a disk.Profile; "": drawn
	Mode    uint8  // for the subject to read (Life.Mode): which variant of it runs
	Lives   int    // lives before the last one; 0: drawn
	Each    int    // operations of each client in a life; 0: drawn
	// Ends overrides how single lives end.
	Ends []End
	// Ops, Preempts and Faults keep only these operations of clients, switches between tasks, and
	// faults (crashes among them), by the keys that a Result lists. nil keeps all.
	Ops, Preempts, Faults world.Filter
	// Switches, if not nil, takes the schedule from the seed: each task runs until it waits, but for
	// these departures, see world.Config.Sequential. Preempts does not count then.
	Switches []world.Switch
	// Salt above zero draws another schedule for the same seed: which task runs next, and where one
	// gives way. All else stays.
	Salt int
}

// EndKind says how a life ends.
type EndKind uint8

// The ends of a life.
const (
	Drawn EndKind = iota // by the seed
	Close                // the functions of Life.AtClose run to their end
	Kill                 // the process dies, what it wrote stays in the system's cache
	Power                // the machine dies, what was not synced may be lost
)

var endNames = [...]string{"drawn", "close", "kill", "power cut"}

// String returns the kind's name.
func (k EndKind) String() string { return endNames[min(int(k), len(endNames)-1)] }

// End is how and where one life ends.
type End struct {
	Life int // from 1
	Kind EndKind
	At   world.CrashAt // zero: when the clients are done; an IO that is not reached before is one of the close
	// inClose: the clients go on to the end, and the crash comes while the store is being closed.
	inClose bool
	// Image above zero is the one of the images that a power cut leaves: up to MaxImages of those that
	// disk.Disk.States counts, beyond that one that is drawn by this number.
	Image int
	// Idle keeps the clients from doing anything in this life: Client.Next answers false.
	Idle bool
}

// MaxImages is how many images of a power cut are numbered.
const MaxImages = 64

// A token is base64url of: version, seed, profile, mode, lives, ends, the three filters (a count
// plus one and 24-bit keys; 0 for nil), then, unless all three are zero, the operations of each client,
// the salt and the switches (a count plus one; 0 for nil), and three bytes of checksum.
const (
	tokenVersion = 1
	tokenSum     = 3 // bytes of its checksum
	maxToken     = 200
	idleBit      = 0x80 // of an end's kind
)

// Token encodes the plan in at most 200 characters. When the lists of kept choices are too long for
// that, it leaves them out, the longest first: the token then stands for a run with more in it. Ends
// and Switches are never left out. Up to eight ends always fit; who makes more gets a longer token.
func (p Plan) Token() string {
	for {
		text := p.encode()
		if len(text) <= maxToken {
			return text
		}
		longest := &p.Ops
		for _, f := range []*world.Filter{&p.Preempts, &p.Faults} {
			if len(*f) > len(*longest) {
				longest = f
			}
		}
		if *longest == nil {
			return text
		}
		*longest = nil
	}
}

func (p Plan) encode() string {
	b := []byte{tokenVersion}
	b = binary.AppendUvarint(b, p.Seed)
	b = append(b, byte(1+slices.IndexFunc(disk.Profiles(), func(d disk.Profile) bool { return d.Name == p.Profile })), p.Mode)
	b = binary.AppendUvarint(b, uint64(p.Lives))
	b = binary.AppendUvarint(b, uint64(len(p.Ends)))
	for _, e := range p.Ends {
		kind := byte(e.Kind)
		if e.Idle {
			kind |= idleBit
		}
		b = append(b, kind)
		for _, v := range []int64{int64(e.Life), e.At.IO, e.At.Step, int64(e.At.Once), int64(e.Image)} {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	for _, f := range []world.Filter{p.Ops, p.Preempts, p.Faults} {
		if f == nil {
			b = append(b, 0)
			continue
		}
		keys := make([]uint32, 0, len(f))
		for k := range f {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b = binary.AppendUvarint(b, uint64(len(keys))+1)
		for _, k := range keys {
			b = append(b, byte(k), byte(k>>8), byte(k>>16))
		}
	}
	if p.Each != 0 || p.Salt != 0 || p.Switches != nil {
		b = p.appendSchedule(b)
	}
	return tokenText.EncodeToString(appendSum(b, b))
}

// tokenText refuses a last character with bits that mean nothing.
var tokenText = base64.RawURLEncoding.Strict()

// appendSum appends the checksum of fields to b.
func appendSum(b, fields []byte) []byte {
	sum := xxhash.Sum64(fields)
	return append(b, byte(sum), byte(sum>>8), byte(sum>>16))
}

// ParseToken decodes a Plan. It reports a token that was cut, mistyped, or made by another version.
func ParseToken(token string) (Plan, error) {
	b, err := tokenText.DecodeString(strings.TrimSpace(token))
	if err != nil || len(b) < 1+tokenSum {
		return Plan{}, fmt.Errorf("sim: token %q is not complete, or not a token: copy all of it", token)
	}
	if b[0] != tokenVersion {
		return Plan{}, fmt.Errorf("sim: token %q is of version %d, this simulator reads version %d", token, b[0], tokenVersion)
	}
	b, sum := b[:len(b)-tokenSum], b[len(b)-tokenSum:]
	if !bytes.Equal(sum, appendSum(nil, b)) {
		return Plan{}, fmt.Errorf("sim: token %q is damaged: copy all of it", token)
	}
	d := tokenDecoder{b: b[1:]}
	p := d.plan()
	if d.bad || len(d.b) > 0 {
		return Plan{}, fmt.Errorf("sim: token %q says what cannot be", token)
	}
	return p, nil
}

// tokenDecoder reads a token's fields; bad is set at the first that is not there.
type tokenDecoder struct {
	b   []byte
	bad bool
}

func (d *tokenDecoder) plan() (p Plan) {
	p.Seed = d.uvarint()
	profiles := disk.Profiles()
	switch n := int(d.byte()); {
	case n > len(profiles):
		d.bad = true
	case n > 0:
		p.Profile = profiles[n-1].Name
	}
	p.Mode = d.byte()
	p.Lives = d.int()
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		bits := d.byte()
		kind := EndKind(bits &^ idleBit)
		d.bad = d.bad || kind > Power
		p.Ends = append(p.Ends, End{Kind: kind, Idle: bits&idleBit != 0, Life: d.int(), At: world.CrashAt{IO: int64(d.int()), Step: int64(d.int()), Once: d.int()}, Image: d.int()})
	}
	for _, f := range []*world.Filter{&p.Ops, &p.Preempts, &p.Faults} {
		n := d.uvarint()
		if n == 0 || d.bad {
			continue
		}
		*f = world.Filter{}
		for n--; n > 0 && !d.bad; n-- {
			(*f)[uint32(d.byte())|uint32(d.byte())<<8|uint32(d.byte())<<16] = true
		}
	}
	if len(d.b) > 0 && !d.bad {
		d.schedule(&p)
	}
	return p
}

// appendSchedule encodes Each, Salt and Switches; the numbers of choices rise, so their differences do.
func (p *Plan) appendSchedule(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p.Each))
	b = binary.AppendUvarint(b, uint64(p.Salt))
	if p.Switches == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(p.Switches))+1)
	last := int64(0)
	for _, s := range p.Switches {
		b = binary.AppendUvarint(b, uint64(s.At-last))
		b = binary.AppendUvarint(b, uint64(s.To))
		last = s.At
	}
	return b
}

func (d *tokenDecoder) schedule(p *Plan) {
	p.Each, p.Salt = d.int(), d.int()
	n := d.uvarint()
	if n == 0 || d.bad {
		return
	}
	p.Switches = []world.Switch{}
	last := int64(0)
	for n--; n > 0 && !d.bad; n-- {
		last += int64(d.int())
		p.Switches = append(p.Switches, world.Switch{At: last, To: d.int()})
	}
}

func (d *tokenDecoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *tokenDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *tokenDecoder) int() int {
	v := d.uvarint()
	if v > 1<<40 {
		d.bad = true
	}
	return int(v)
}
