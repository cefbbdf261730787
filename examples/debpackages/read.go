package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// read returns the stanzas of package lists by "name/version/architecture".
func read(files []string) (map[string]string, error) {
	packages := make(map[string]string)
	for _, name := range files {
		if err := readList(name, packages); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return packages, nil
}

func readList(name string, packages map[string]string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := decompressed(name, f)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var stanza strings.Builder
	fields := make(map[string]string)
	end := func() {
		if p := fields["Package"]; p != "" {
			packages[p+"/"+fields["Version"]+"/"+fields["Architecture"]] = stanza.String()
		}
		stanza.Reset()
		clear(fields)
	}
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			end()
			continue
		}
		stanza.WriteString(line + "\n")
		if key, value, ok := strings.Cut(line, ": "); ok && line[0] != ' ' {
			fields[key] = value
		}
	}
	end()
	return lines.Err()
}

// decompressed looks at the file's first bytes, not at its name.
func decompressed(name string, f io.Reader) (io.Reader, error) {
	r := bufio.NewReaderSize(f, 1<<16)
	magic, err := r.Peek(4)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case magic[0] == 0x1F && magic[1] == 0x8B:
		return gzip.NewReader(r)
	case string(magic) == "\x04\x22\x4D\x18":
		return lz4.NewReader(r), nil
	case string(magic) == "\x28\xB5\x2F\xFD":
		return zstd.NewReader(r)
	}
	return r, nil
}
