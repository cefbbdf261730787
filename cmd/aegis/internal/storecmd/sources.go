package storecmd

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/stream"
)

// streamSource is a stream of aegis dump.
type streamSource struct{ r *stream.Reader }

func (s *streamSource) next() (record, error) {
	item, err := s.r.Next()
	return record{Item: item}, err
}

func (s *streamSource) sorted() bool { return true }

// jsonSource is JSON lines.
type jsonSource struct {
	r        *bufio.Reader
	keyspace string
	line     int // that was read last
	most     int // bytes of a line
}

// maxLine bounds a line, in bytes: one with a key and a value of the largest size, each byte as \u00NN.
const maxLine = 6*(aegis.MaxKeyBytes+aegis.MaxValueBytes) + 4<<10

func (s *jsonSource) sorted() bool { return false }

// jsonRecord is any line: an entry, a keyspace's options, or a block.
type jsonRecord struct {
	entryLine
	Compression *string `json:"compression"`
	Level       int     `json:"compression_level"`
	Block       *uint64 `json:"block"`
	StoredHex   string  `json:"stored_hex"`
}

func (s *jsonSource) next() (record, error) {
	for {
		line, err := s.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return record{}, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			r, err := s.parse(line)
			r.line = s.line
			return r, r.at(err)
		}
		if err != nil {
			return record{}, err
		}
	}
}

// read returns the next line, valid until the next call.
func (s *jsonSource) read() (line []byte, err error) {
	s.line++
	for {
		part, err := s.r.ReadSlice('\n')
		if line == nil && !errors.Is(err, bufio.ErrBufferFull) {
			return part, err
		}
		line = append(line, part...)
		switch {
		case len(line) > s.most:
			return nil, fmt.Errorf("line %d: it is longer than any entry can be", s.line)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

func (s *jsonSource) parse(line []byte) (r record, err error) {
	if !utf8.Valid(line) {
		return r, errors.New(`it is not UTF-8: "key_hex" and "value_hex" are for other bytes`)
	}
	var v jsonRecord
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
			what := "a line"
			if wrong.Field != "" {
				what = strconv.Quote(wrong.Field[strings.LastIndex(wrong.Field, ".")+1:])
			}
			err = fmt.Errorf("%s cannot be of the kind %s", what, wrong.Value)
		}
		return r, err
	}
	if d.More() {
		return r, errors.New("there is more than one value in the line")
	}
	if err := v.whole(line); err != nil {
		return r, err
	}
	key, isEntry, err := bytesOf(v.Key, v.KeyHex)
	if err != nil {
		return r, fmt.Errorf("key: %w", err)
	}
	value, hasValue, err := bytesOf(v.Value, v.ValueHex)
	if err != nil {
		return r, fmt.Errorf("value: %w", err)
	}
	switch {
	case isEntry && hasValue:
		r.Key, r.Value, r.keyspace = key, value, v.Keyspace
		if r.keyspace == "" {
			r.keyspace = s.keyspace
		}
		return r, nil
	case isEntry:
		return r, errors.New(`there is a key without "value" or "value_hex"`)
	case v.Block != nil:
		stored, err := hex.DecodeString(v.StoredHex)
		r.Block = &stream.Block{ID: aegis.BlockID(*v.Block), Stored: stored}
		return r, err
	case v.Keyspace != "" && v.Compression != nil:
		c, err := compressionNamed(*v.Compression)
		r.Keyspace = &stream.Keyspace{Name: v.Keyspace, Compression: c, CompressionLevel: v.Level}
		return r, err
	}
	return r, errors.New(`there is neither "key" nor "key_hex"`)
}

// whole refuses a line in which half of a pair of escapes for one character stands alone: package json reads
// another character for it.
func (v *jsonRecord) whole(line []byte) error {
	const other = "\ufffd"
	for _, text := range []*string{v.Key, v.Value, &v.Keyspace} {
		if text != nil && strings.Contains(*text, other) && !bytes.Contains(line, []byte(other)) &&
			!bytes.Contains(bytes.ToLower(line), []byte(`\ufffd`)) {
			return errors.New(`an escape from \ud800 to \udfff stands alone: "key_hex" and "value_hex" are for other bytes`)
		}
	}
	return nil
}

// csvSource is CSV.
type csvSource struct {
	r        *csv.Reader
	columns  []string
	keyspace string
}

var csvColumns = []string{"key", "key_hex", "value", "value_hex", "keyspace"}

func newCSVSource(r *bufio.Reader, keyspace string, columns []string) (*csvSource, error) {
	s := &csvSource{r: csv.NewReader(r), columns: columns, keyspace: keyspace}
	if len(columns) == 0 {
		var err error
		if s.columns, err = s.r.Read(); errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty: the first line has the names of the columns, or --columns")
		} else if err != nil {
			return nil, fmt.Errorf("the line with the names of the columns: %w", err)
		}
	}
	keys, values := 0, 0
	for i, name := range s.columns {
		name = strings.TrimSpace(name)
		s.columns[i] = name
		if !slices.Contains(csvColumns, name) || slices.Index(s.columns, name) != i {
			return nil, fmt.Errorf("there is no column %q, or twice: they are %s; if the first line names none, --columns does", name, strings.Join(csvColumns, ", "))
		}
		if strings.HasPrefix(name, "key") && name != "keyspace" {
			keys++
		}
		if strings.HasPrefix(name, "value") {
			values++
		}
	}
	if keys != 1 || values != 1 {
		return nil, fmt.Errorf("the columns %s: one of key and key_hex is needed, and one of value and value_hex", strings.Join(s.columns, ", "))
	}
	s.r.FieldsPerRecord = len(s.columns)
	return s, nil
}

func (s *csvSource) sorted() bool { return false }

func (s *csvSource) next() (record, error) {
	fields, err := s.r.Read()
	if err != nil {
		return record{}, err
	}
	r := record{keyspace: s.keyspace}
	r.line, _ = s.r.FieldPos(0)
	for i, name := range s.columns {
		var err error
		switch name {
		case "key":
			r.Key = []byte(fields[i])
		case "value":
			r.Value = []byte(fields[i])
		case "key_hex":
			r.Key, err = hex.DecodeString(fields[i])
		case "value_hex":
			r.Value, err = hex.DecodeString(fields[i])
		case "keyspace":
			if fields[i] != "" {
				r.keyspace = fields[i]
			}
		}
		if err != nil {
			r.line, _ = s.r.FieldPos(i)
			return r, r.at(fmt.Errorf("column %s: %w", name, err))
		}
	}
	return r, nil
}
