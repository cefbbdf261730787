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

// validOptions returns why a configuration cannot be opened, which the first comment of its text says.
func validOptions(c aegis.Config) error {
	first, _, _ := strings.Cut(c.Options.String(), "\n")
	if what, bad := strings.CutPrefix(first, "# "); bad && strings.HasPrefix(what, "aegis:") {
		return errors.New(what)
	}
	return nil
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
