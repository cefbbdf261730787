package workload

import (
	"bytes"
	"fmt"

	"github.com/aegis-storage/aegis/bench/engine"
)

const seekEntries = 100

func scans() []Workload {
	seek := Workload{
		Name: "seek-100", Clients: []int{1}, Quick: []int{1},
		About: "100 entries from a random key on, each time in a new snapshot; entries are counted",
		Start: Shared, From: Loaded, read: true,
		setup: readThrough, begin: beginSeek, step: seekSome,
	}
	full := seek
	full.Name, full.About = "full-scan", "all entries in order, in one snapshot; entries are counted"
	full.begin, full.step = beginScan, scanAll
	return []Workload{seek, full}
}

// visit is what a scan has seen. It looks at the first byte of each key and value, and in one of
// 256 entries at the value and whether keys ascend.
type visit struct {
	each    func(key, value []byte)
	entries int
	seen    byte
	last    []byte
	err     error
}

func (c *client) beginVisit() {
	v := &c.visit
	v.each = func(key, value []byte) {
		if v.entries++; v.entries%256 == 1 {
			c.inspect(key, value)
		}
		v.seen ^= key[0] ^ value[0]
	}
}

func (c *client) inspect(key, value []byte) {
	v := &c.visit
	if v.err != nil {
		return
	}
	if len(v.last) > 0 && bytes.Compare(v.last, key) >= 0 {
		v.err = fmt.Errorf("wrong order: key %x after %x", key, v.last)
		return
	}
	v.last = append(v.last[:0], key...)
	c.scratch, v.err = checkValue(key, value, c.run.ValueBytes, c.scratch)
}

// scan visits entries and returns how many there were.
func (c *client) scan(snapshot engine.Reader, from []byte, limit int) error {
	v := &c.visit
	v.entries, v.last = 0, v.last[:0]
	n, err := snapshot.Scan(from, limit, v.each)
	switch {
	case err != nil:
		return fmt.Errorf("scan: %w", err)
	case n != v.entries:
		return fmt.Errorf("scan says %d entries, showed %d", n, v.entries)
	}
	return v.err
}

func beginSeek(c *client) {
	c.beginVisit()
	c.viewer = func(snapshot engine.Reader) error {
		c.key = AppendKey(c.key[:0], c.anyIndex())
		if err := c.scan(snapshot, c.key, seekEntries); err != nil {
			return err
		}
		// The first that was seen is the key itself; fewer than 100 are left only near the end.
		if !bytes.Equal(c.visit.last, c.key) {
			return fmt.Errorf("scan from key %x begins at %x", c.key, c.visit.last)
		}
		if c.visit.entries < seekEntries && c.key[0] < 0xff && c.run.Keys >= 1<<17 {
			return fmt.Errorf("scan from key %x ends after %d entries", c.key, c.visit.entries)
		}
		return nil
	}
}

func beginScan(c *client) {
	c.beginVisit()
	c.viewer = func(snapshot engine.Reader) error {
		if err := c.scan(snapshot, nil, 0); err != nil {
			return err
		}
		if c.visit.entries != c.run.Keys {
			return fmt.Errorf("scan saw %d entries of %d", c.visit.entries, c.run.Keys)
		}
		return nil
	}
}

func seekSome(c *client) (int, error) {
	err := c.run.store.View(c.viewer)
	return c.visit.entries, err
}

func scanAll(c *client) (int, error) { return seekSome(c) }
