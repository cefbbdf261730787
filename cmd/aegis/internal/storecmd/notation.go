package storecmd

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

// Notation explains how keys and values are written; it is a topic of the help.
const Notation = `Keys and values are bytes. On the command line and on the screen they are

  text      as it is given; what is printed has \xNN for bytes that are no printable UTF-8, \n, \t, \r
            and \\ for a backslash, so that each line is one entry
  --hex     two hexadecimal digits for each byte, given and printed; an 0x before them is allowed
  --escaped text whose escapes are read, too: what scan prints can be given to get, put and delete

With --json a member "key" or "value" is text, and "key_hex" or "value_hex" is there instead where
the bytes are no UTF-8, or with --hex. load reads both.
`

// notation is how keys and values are written.
type notation struct{ hex, escaped bool }

func (n *notation) declare(f *cli.Flags) {
	f.BoolVar(&n.hex, "hex", false, "keys and values are hexadecimal; see aegis help notation")
	f.BoolVar(&n.escaped, "escaped", false, "read escapes as \\xNN in keys and values")
}

// parse reads the bytes that a word stands for.
func (n *notation) parse(word string) ([]byte, error) {
	switch {
	case n.hex && n.escaped:
		return nil, errors.New("--hex, --escaped: only one of them")
	case n.hex:
		b, err := hex.DecodeString(strings.TrimPrefix(word, "0x"))
		if err != nil {
			return nil, fmt.Errorf("--hex: %q is not hexadecimal: %w", word, errors.New(strings.TrimPrefix(err.Error(), "encoding/hex: ")))
		}
		return b, nil
	case n.escaped:
		return unescape(word)
	}
	return []byte(word), nil
}

// show writes bytes for a person, in one line.
func (n *notation) show(b []byte) string {
	if n.hex {
		return hex.EncodeToString(b)
	}
	return cli.Escape(b)
}

// beginning writes how a key begins, for a message.
func beginning(key []byte) string {
	const most = 64
	if len(key) > most {
		return cli.Escape(key[:most]) + "…"
	}
	return cli.Escape(key)
}

func unescape(s string) ([]byte, error) {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		rest := s[i+1:]
		switch {
		case strings.HasPrefix(rest, "x") && len(rest) >= 3:
			b, err := hex.DecodeString(rest[1:3])
			if err != nil {
				return nil, fmt.Errorf(`--escaped: \%s in %q is no \xNN`, rest[:3], s)
			}
			out = append(out, b...)
			i += 3
		case rest != "" && strings.Contains(`\nrt`, rest[:1]):
			out = append(out, map[byte]byte{'\\': '\\', 'n': '\n', 'r': '\r', 't': '\t'}[rest[0]])
			i++
		default:
			return nil, fmt.Errorf(`--escaped: the backslash at %d of %q begins no escape: \\ \n \r \t \xNN`, i, s)
		}
	}
	return out, nil
}

// entryLine is an entry as JSON: of a key and of a value one form each.
type entryLine struct {
	Keyspace string  `json:"keyspace,omitempty"` // absent: the default one
	Key      *string `json:"key,omitempty"`
	KeyHex   *string `json:"key_hex,omitempty"`
	Value    *string `json:"value,omitempty"`
	ValueHex *string `json:"value_hex,omitempty"`
}

// asText returns b as text or as hexadecimal.
func (n *notation) asText(b []byte) (text, digits *string) {
	if n.hex || !utf8.Valid(b) {
		s := hex.EncodeToString(b)
		return nil, &s
	}
	s := string(b)
	return &s, nil
}

// keyLine is an entry of which only the key is told.
func (n *notation) keyLine(key []byte) (e entryLine) {
	e.Key, e.KeyHex = n.asText(key)
	return e
}

func (n *notation) line(key, value []byte) entryLine {
	e := n.keyLine(key)
	e.Value, e.ValueHex = n.asText(value)
	return e
}

// bytesOf is the inverse of asText. set says that one of both is there.
func bytesOf(text, digits *string) (b []byte, set bool, err error) {
	switch {
	case text != nil && digits != nil:
		return nil, true, errors.New("it is there as text and as hexadecimal")
	case text != nil:
		return []byte(*text), true, nil
	case digits != nil:
		b, err = hex.DecodeString(*digits)
		return b, true, err
	}
	return nil, false, nil
}

// appendJSON appends v as one line.
func appendJSON(dst []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(append(dst, text...), '\n'), err
}
