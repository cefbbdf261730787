package aegis

import "testing"

// FuzzConfig: no text makes the reader panic; what it accepts can be opened, and is read back
// from its own printing as the same.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"", allKeys, "[storage]\nbackend = 'memory'", "storage = {backend = 'memory', compression = 'none'}",
		"[storage]\ndata_directory = 'd'\nbuffer_pool_size = '64MiB'\n", "[storage]\nbuffer_pool_size = 99999999999999999999",
		"[[storage]]\n[storage.x]\n", "[storage]\nbackend = 1979-05-27\n", "storage.backend.x = 1", "[storage]\nbackend = '''\nlocal'''",
		"[\"storage\"]\n\"backend\" = \"\\u006demory\"", "\xef\xbb\xbf[storage]", "[storage]\nwal_enabled = [[true]]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig("fuzz.toml", text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a text")
			}
			return
		}
		if _, err := c.Options.effective(); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		again, err := parseConfig("again.toml", []byte(c.String()))
		if err != nil {
			t.Fatalf("printed as\n%s\nwhich is refused: %v", c, err)
		}
		if a, b := c.String(), again.String(); a != b {
			t.Fatalf("printed as\n%s\nand then as\n%s", a, b)
		}
	})
}
