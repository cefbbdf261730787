package inspect

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// Item is one thing in a file.
type Item struct {
	Kind   string // "header", "record", "page", …; Damage is what is not as it should be
	Offset int64  // in the file, in bytes
	Inner  bool   // it is a part of the item before
	// Unproven says that nothing vouches for it: the bytes that it was read from are damaged somewhere.
	Unproven bool
	Fields   []Field
}

// Damage is the Kind of what is not as it should be.
const Damage = "damage"

// Field is a figure of an Item. A []byte is an internal key or a value.
type Field struct {
	Name  string
	Value any
}

// Key is an internal key as a Field's value.
type Key []byte

func damage(off int64, what string) Item {
	return Item{Kind: Damage, Offset: off, Fields: []Field{{"what", what}}}
}

// Text writes the item in one line.
func (i *Item) Text() string {
	var b strings.Builder
	indent := ""
	if i.Inner {
		indent = "  "
	}
	fmt.Fprintf(&b, "%12d  %s%-10s", i.Offset, indent, i.Kind)
	for _, f := range i.Fields {
		if f.Name == "what" {
			fmt.Fprintf(&b, "  %v", f.Value)
			continue
		}
		fmt.Fprintf(&b, "  %s %s", strings.ReplaceAll(f.Name, "_", " "), fieldText(f.Value))
	}
	if i.Unproven {
		b.WriteString("  (unproven)")
	}
	return strings.TrimRight(b.String(), " ")
}

func fieldText(v any) string {
	switch v := v.(type) {
	case Key:
		return keyText(v)
	case []byte:
		return `"` + cli.Escape(v) + `"`
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// keyText writes an internal key: the keyspace's number, and the key.
func keyText(internal []byte) string {
	ks, key, err := pages.SplitKey(internal)
	if err != nil {
		return fmt.Sprintf("no internal key \"%s\"", cli.Escape(internal))
	}
	return fmt.Sprintf("%s/\"%s\"", keyspaceText(ks), cli.Escape(key))
}

func keyspaceText(ks pages.KeyspaceID) string {
	switch ks {
	case pages.CatalogKeyspace:
		return "catalog"
	case pages.BlocksKeyspace:
		return "blocks"
	case pages.DefaultKeyspace:
		return "default"
	}
	return fmt.Sprintf("keyspace %d", ks)
}

// JSON returns the item as an object for JSON.
func (i *Item) JSON() map[string]any {
	o := map[string]any{"kind": i.Kind, "offset": i.Offset}
	if i.Unproven {
		o["unproven"] = true
	}
	for _, f := range i.Fields {
		switch v := f.Value.(type) {
		case Key:
			putKey(o, f.Name, v)
		case []byte:
			putBytes(o, f.Name, v)
		default:
			o[f.Name] = v
		}
	}
	return o
}

func putKey(o map[string]any, name string, internal []byte) {
	ks, key, err := pages.SplitKey(internal)
	if err != nil {
		key = internal
	} else {
		o[name+"_keyspace"] = uint32(ks)
	}
	putBytes(o, name, key)
}

func putBytes(o map[string]any, name string, b []byte) {
	if utf8.Valid(b) {
		o[name] = string(b)
	} else {
		o[name+"_hex"] = hex.EncodeToString(b)
	}
}

func tierText(tier uint8) string {
	if tier == flusher.BottomTier {
		return "bottom"
	}
	return fmt.Sprint(tier)
}
