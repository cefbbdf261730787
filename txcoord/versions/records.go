package versions

import (
	"sync/atomic"

	"github.com/aegis-storage/aegis/pages"
)

// entry is a key with its first version. Only head changes after publication.
//
//	key   [chunk u32][offset u32]
//	meta  [key length u16][gap u16][kind 2 bits][value length 30 bits]
//	head  link to the newest version; 0 is the first version, here
//
// The first value begins gap bytes after the key's end (an adopted batch has its framing in
// between). kind 0: the first version is a version record as well, only the key is here.
type entry struct {
	key  dataRef
	meta uint64
	seq  pages.Seq // of the first version
	head atomic.Uint64
}

// version is a later version of a key. Only prev changes after publication.
//
//	value [chunk u32][offset u32], 0 if the value is empty
//	meta  [entry u32][kind 2 bits][value length 30 bits]
type version struct {
	seq   pages.Seq
	value dataRef
	meta  uint64
	prev  atomic.Uint64 // link to the next older version
}

const (
	lenBits   = 30
	kindBits  = 2
	lenMask   = 1<<lenBits - 1
	kindMask  = 1<<kindBits - 1
	maxKeyLen = 1<<16 - 1
	maxGap    = 1<<16 - 1
	noVersion = pages.Kind(0)
)

func entryMeta(keyLen, gap int, kind pages.Kind, valLen int) uint64 {
	return uint64(keyLen)<<48 | uint64(gap)<<32 | uint64(kind)<<lenBits | uint64(valLen)
}

func (e *entry) keyLen() int      { return int(e.meta >> 48) }
func (e *entry) gap() int         { return int(e.meta >> 32 & maxGap) }
func (e *entry) kind() pages.Kind { return pages.Kind(e.meta >> lenBits & kindMask) }
func (e *entry) valLen() int      { return int(e.meta & lenMask) }

func versionMeta(of entryRef, kind pages.Kind, valLen int) uint64 {
	return uint64(of)<<32 | uint64(kind)<<lenBits | uint64(valLen)
}

func (v *version) entry() entryRef  { return entryRef(v.meta >> 32) }
func (v *version) kind() pages.Kind { return pages.Kind(v.meta >> lenBits & kindMask) }
func (v *version) valLen() int      { return int(v.meta & lenMask) }

// dataRef is where bytes begin: [chunk u32][offset u32]. 0 is nowhere.
type dataRef uint64

func makeDataRef(chunk uint64, off int) dataRef { return dataRef(chunk<<32 | uint64(off)) }
func (r dataRef) chunk() uint64                 { return uint64(r >> 32) }
func (r dataRef) off() int                      { return int(uint32(r)) }

// entryRef is [slab][position], never 0. In append order of the entries it rises.
type entryRef uint32

func (r entryRef) slab() uint64 { return uint64(r >> entryBits) }
func (r entryRef) off() int     { return int(r & (1<<entryBits - 1)) }

// versionRef is [slab][position], never 0. In append order of the versions it rises.
type versionRef uint64

func (r versionRef) slab() uint64 { return uint64(r >> versionBits) }
func (r versionRef) off() int     { return int(r & (1<<versionBits - 1)) }

// link leads from a version, or from the entry's head, to the next older one:
//
//	[end 1 bit][cut 1 bit][version reference 62 bits]
//
// Reference 0 is the first version, inside the entry. cut: trimming took out versions between
// the two ends. end: there is nothing older in this index.
type link uint64

const (
	linkEnd link = 1 << 63
	linkCut link = 1 << 62
)

func (l link) ref() versionRef { return versionRef(l &^ (linkEnd | linkCut)) }
func (l link) cut() bool       { return l&linkCut != 0 }
func (l link) end() bool       { return l&linkEnd != 0 }
