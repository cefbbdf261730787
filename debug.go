package aegis

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed debugpage/page.html
var debugHTML string

//go:embed debugpage/page.css
var debugCSS string

//go:embed debugpage/page.js
var debugJS string

// DebugHandler serves one page that shows what db is doing: the actors and their mailboxes, commit
// latency and group sizes, the log, the runs and tables, memory, open transactions, stalls, the last
// events and what fails at the moment. The page needs no network beside the handler itself, which it asks for the figures each
// second; without JavaScript it is a table of them. It works below any path:
//
//	mux.Handle("/debug/aegis/", aegis.DebugHandler(db))
//
// With ?format=json it answers the figures as JSON, whose fields may change from one version to the
// next. Only GET and HEAD are allowed, and nothing in the store can be changed through it. A closed
// store, and one whose engine has stopped, give status 503 and what is still known.
//
// Keep it off public addresses, as net/http/pprof: it shows the store's directory, names of keyspaces,
// the first and last keys of tables, and file names of the program, and it asks nobody who they are.
func DebugHandler(db *DB) http.Handler {
	return &debugHandler{db: db, spaces: map[uint32]string{}}
}

// The bounds of one answer.
const (
	debugPatience   = 2 * time.Second        // for the actors' figures
	debugFresh      = 200 * time.Millisecond // an answer serves all who ask within
	debugNamesFresh = 10 * time.Second       // likewise the names of keyspaces
)

type debugHandler struct {
	db *DB

	mu     sync.Mutex
	last   *debugState
	at     time.Time         // when last was complete
	spaces map[uint32]string // names of keyspaces by their numbers
	named  time.Time         // when spaces was read
}

// ServeHTTP implements http.Handler.
func (h *debugHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Content-Security-Policy", debugPolicy())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return
	}
	head.Set("Cache-Control", "no-store")
	s := h.state()
	write, kind := s.writePage, "text/html; charset=utf-8"
	if r.URL.Query().Get("format") == "json" {
		write, kind = s.writeJSON, "application/json"
	}
	head.Set("Content-Type", kind)
	if s.Error != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if r.Method == http.MethodGet {
		_ = write(w) // whoever asked has gone
	}
}

// state returns the figures, fresh ones or those of a moment ago. It does not depend on the request:
// whoever waits gets the same answer, though the one who made it may have gone.
func (h *debugHandler) state() *debugState {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil && h.db.rt.Now().Sub(h.at) < debugFresh && !h.db.closed() {
		return h.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), debugPatience)
	defer cancel()
	stats, err := h.db.Stats(ctx)
	if err == nil {
		h.nameSpaces(ctx, h.db.rt.Now())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the engine gives no figures within %s: %w", debugPatience, err)
	}
	h.last = newDebugState(h.db, &stats, err, h.spaces)
	h.at = h.db.rt.Now()
	return h.last
}

// nameSpaces reads the names of the keyspaces from time to time. A failure leaves the old ones.
func (h *debugHandler) nameSpaces(ctx context.Context, now time.Time) {
	if !h.named.IsZero() && now.Sub(h.named) < debugNamesFresh {
		return
	}
	h.named = now
	tx, err := h.db.Begin(ctx, TxOptions{ReadOnly: true})
	if err != nil {
		return
	}
	defer tx.end()
	names, err := tx.keyspaceNames()
	if err == nil {
		h.spaces = names
	}
}

// writeJSON writes the figures as the page's script gets them.
func (s *debugState) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

// writePage writes the page, with the figures as tables for those who run no scripts.
func (s *debugState) writePage(w io.Writer) error {
	_, err := strings.NewReplacer(
		"{{title}}", html.EscapeString(s.title()),
		"{{style}}", debugCSS,
		"{{script}}", debugJS,
		"{{static}}", s.static(),
	).WriteString(w, debugHTML)
	return err
}

// debugPolicy allows the page its own script and style, and requests to where it comes from.
var debugPolicy = sync.OnceValue(func() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + hash(debugJS) + "; style-src " + hash(debugCSS) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})
