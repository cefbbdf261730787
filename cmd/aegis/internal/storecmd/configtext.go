package storecmd

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/aegis-storage/aegis"
)

// lines are those of a text, without empty ones.
func lines(text string) []string {
	all := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// validOptions returns the effective configuration, or why it cannot be opened, which its first
// comment says.
func validOptions(c aegis.Config) (string, error) {
	text := c.Options.String()
	if first, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "# aegis:") {
		return text, errors.New(strings.TrimPrefix(first, "# "))
	}
	return text, nil
}

// configValues are the keys and values of a configuration as package aegis prints it: a key, an equals
// sign and a string, a number or a truth value in each line.
func configValues(text string) map[string]any {
	all := map[string]any{}
	for _, line := range lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#")), " = ")
		if !ok || strings.ContainsAny(key, " ") {
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			v = value
		}
		all[key] = v
	}
	return all
}
