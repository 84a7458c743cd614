package intake

import (
	"bytes"
	"hash/maphash"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"apmapp/internal/local/received"
	"apmapp/internal/traceagent"
)

// observed counts requests with their answers.
func (a *Agent) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := &answer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(to, r)
		a.cfg.Received.Request(r, to.status, to.text.String(), a.cfg.Store.Now())
	})
}

// answer is a ResponseWriter that keeps the status, and the text of a refusal.
type answer struct {
	http.ResponseWriter
	status int
	text   strings.Builder
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status >= 400 && a.text.Len() < 1000 {
		a.text.Write(p)
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// once answers a payload of traces or statistics that has arrived before, and does not
// pass it on: tracers send again when an answer was lost, and the Agent's code would
// count twice.
type once struct {
	next     http.Handler
	counters *received.Counters
	accepted *payloads
}

// maxPayload is the limit of the Agent's code, which refuses larger ones.
const maxPayload = 25 << 20

func newOnce(counters *received.Counters, next http.Handler) *once {
	return &once{next: next, counters: counters, accepted: newPayloads()}
}

func (o *once) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(traceagent.Endpoints(), r.URL.Path) || r.Body == nil {
		o.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		refuse(w, err)
		return
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body))
	if len(body) > maxPayload {
		o.next.ServeHTTP(w, r)
		return
	}
	if o.accepted.know(r.URL.Path, body) {
		o.counters.Duplicate()
		accept(w, r.URL.Path)
		return
	}
	a := &answer{ResponseWriter: w, status: http.StatusOK}
	o.next.ServeHTTP(a, r)
	if a.status < 300 {
		o.accepted.remember(r.URL.Path, body)
	}
}

// payloads remembers the latest payloads that were accepted.
type payloads struct {
	seed maphash.Seed

	mu     sync.Mutex
	seen   map[uint64]bool // hashes
	hashes []uint64        // the oldest first
}

const (
	// remembered is the number of payloads: those of the last minutes. Clients try again
	// for some seconds.
	remembered = 1000
	// leastPayload is the size of a payload that is not empty, in bytes. Tracers send
	// empty ones to see whether an Agent is there.
	leastPayload = 32
)

func newPayloads() *payloads { return &payloads{seed: maphash.MakeSeed(), seen: map[uint64]bool{}} }

func (p *payloads) hash(path string, body []byte) uint64 {
	return maphash.Bytes(p.seed, body) ^ maphash.String(p.seed, path)
}

// know reports whether the payload was accepted before.
func (p *payloads) know(path string, body []byte) bool {
	if len(body) < leastPayload {
		return false
	}
	hash := p.hash(path, body)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[hash]
}

func (p *payloads) remember(path string, body []byte) {
	hash := p.hash(path, body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[hash] { // two at once
		return
	}
	p.seen[hash] = true
	p.hashes = append(p.hashes, hash)
	if len(p.hashes) > remembered {
		delete(p.seen, p.hashes[0])
		p.hashes = p.hashes[1:]
	}
}

// accept answers like the Agent's code: later protocols expect sampling rates, and none
// have changed.
func accept(w http.ResponseWriter, path string) {
	switch {
	case path == "/v0.6/stats":
	case strings.HasPrefix(path, "/v0.4/"), strings.HasPrefix(path, "/v0.5/"), strings.HasPrefix(path, "/v0.7/"), strings.HasPrefix(path, "/v1.0/"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}\n") // the client has gone
	default:
		_, _ = io.WriteString(w, "OK\n")
	}
}
