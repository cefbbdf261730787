package aegis

import (
	"slices"
	"time"
)

// spacing says when to tell of what repeats: at once, and then after longer and longer pauses. The
// zero value is ready.
type spacing struct {
	next  time.Time
	pause time.Duration
}

const (
	firstPause   = 10 * time.Second
	longestPause = time.Hour // after which what comes again is new
)

// due reports whether to tell of it at now, and takes it as told then.
func (s *spacing) due(now time.Time) bool {
	switch {
	case now.Before(s.next):
		return false
	case s.pause == 0 || now.Sub(s.next) > longestPause:
		s.pause = firstPause
	default:
		s.pause = min(2*s.pause, longestPause)
	}
	s.next = now.Add(s.pause)
	return true
}

// trouble is what is known of one kind of job that fails. It lives on after the job has succeeded: one
// that fails and succeeds in turns is told of no more often than one that only fails.
type trouble struct {
	spacing  spacing
	failures int       // in a row; 0: the last one succeeded
	since    time.Time // of the first of them
	latest   time.Time // of the last failure
	err      error     // of the last failure
	told     bool      // of these failures
	causes   []string  // that were told of
}

// mostCauses bounds the causes that are told of before their time has come.
const mostCauses = 8

// failed takes a failure in, and reports whether to tell of it: as the spacing says, and when its
// cause is a new one.
func (t *trouble) failed(err error, now time.Time) (tell bool) {
	if now.Sub(t.latest) > longestPause {
		t.causes = nil
	}
	if t.failures++; t.failures == 1 {
		t.since = now
	}
	t.latest, t.err = now, err
	tell = t.spacing.due(now)
	if cause := rootCause(err).Error(); len(t.causes) < mostCauses && !slices.Contains(t.causes, cause) {
		t.causes = append(t.causes, cause)
		tell = true
	}
	t.told = t.told || tell
	return tell
}

// over takes a success in, and returns the failures that were told of and end with it.
func (t *trouble) over() (failures int) {
	if t.told {
		failures = t.failures
	}
	t.failures, t.told = 0, false
	return failures
}

// rootCause returns the innermost error, and of several the last: what went wrong, without the names of
// files, of which each attempt has others.
func rootCause(err error) error {
	for {
		var inner error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			inner = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}
