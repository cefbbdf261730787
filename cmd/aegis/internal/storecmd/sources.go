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
	"strings"

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
	line     int
}

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
		line, err := s.r.ReadBytes('\n')
		s.line++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return record{}, err
			}
			r, err := s.parse(line)
			if err != nil {
				err = fmt.Errorf("line %d: %w", s.line, err)
			}
			return r, err
		}
		if err != nil {
			return record{}, err
		}
	}
}

func (s *jsonSource) parse(line []byte) (r record, err error) {
	var v jsonRecord
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return r, err
	}
	if d.More() {
		return r, errors.New("there is more than one value in the line")
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
		if s.columns, err = s.r.Read(); err != nil {
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
			line, _ := s.r.FieldPos(i)
			return r, fmt.Errorf("line %d: column %s: %w", line, name, err)
		}
	}
	return r, nil
}
