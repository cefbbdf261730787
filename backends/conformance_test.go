package backends_test

import (
	"math"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
)

func TestMemoryConformance(t *testing.T) {
	conformance.Run(t, func(*testing.T) conformance.Subject {
		return conformance.Subject{Backend: backends.NewMemory()}
	})
}

func TestLocalConformance(t *testing.T) {
	conformance.Run(t, localSubject)
}

func localSubject(t *testing.T) conformance.Subject {
	dir := t.TempDir()
	return conformance.Subject{
		Backend: newLocal(t, dir),
		Reopen:  func() (backends.Backend, error) { return backends.NewLocal(dir, false) },
	}
}

func TestLimitedConformance(t *testing.T) {
	t.Run("Memory", func(t *testing.T) {
		conformance.Run(t, func(*testing.T) conformance.Subject {
			return conformance.Subject{Backend: backends.Limit(backends.NewMemory(), math.MaxInt64)}
		})
	})
	t.Run("Local", func(t *testing.T) {
		conformance.Run(t, func(t *testing.T) conformance.Subject {
			s := localSubject(t)
			s.Backend = backends.Limit(s.Backend, 8<<30)
			return s
		})
	})
}

func newLocal(t *testing.T, dir string) *backends.Local {
	t.Helper()
	l, err := backends.NewLocal(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
