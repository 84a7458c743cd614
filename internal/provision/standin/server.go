// Package standin replaces Datadog's API in tests: dashboards, monitors, SLOs,
// downtimes and public links, over HTTP, with state.
//
// Its rules are its own, from the specification (rules.go). Its answers follow the published
// specification and the recordings in the client's repository: it fills in defaults,
// reorders sets, writes numbers and names in other forms, and refuses what the API
// refuses. Tests can make it fail.
package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind is a kind of resource.
type Kind string

// The kinds.
const (
	SLO       Kind = "slo"
	Dashboard Kind = "dashboard"
	Monitor   Kind = "monitor"
	Downtime  Kind = "downtime"
)

// The keys that the stand-in accepts.
const (
	APIKey = "0123456789abcdef0123456789abcdef"
	AppKey = "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
)

// Fault describes how a request fails. The zero value is no fault.
type Fault struct {
	Status int           // replaces the status of the answer
	Reset  time.Duration // until the rate limit ends, for status 429
	Drop   bool          // close the connection without an answer
	Cut    bool          // close the connection in the middle of the answer; needs Done
	Hang   bool          // do not answer while the client waits
	Done   bool          // the request takes effect nevertheless
}

// Server is an account and its API. It is an http.Handler.
type Server struct {
	URL string

	mu       sync.Mutex
	http     *httptest.Server
	now      func() time.Time
	random   *rand.Rand
	objects  map[Kind][]*object
	shares   []map[string]any
	serial   int64
	denied   map[string]bool // permissions that the key lacks
	fault    func(*http.Request) Fault
	ignored  map[Kind]string // fields that the API drops
	lag      int             // lists that omit a new resource
	requests []string
	problems []string
}

type object struct {
	id     string
	body   map[string]any
	hidden int // lists that will omit it
}

// New starts a server with an empty account.
func New(now func() time.Time) *Server {
	s := &Server{now: now, random: rand.New(rand.NewPCG(1, 2)), objects: map[Kind][]*object{}, ignored: map[Kind]string{}, denied: map[string]bool{}, serial: 155845150}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close stops the server.
func (s *Server) Close() { s.http.CloseClientConnections(); s.http.Close() }

// reply is an answer; its body is written as JSON.
type reply struct {
	status int
	body   any
}

// refuse returns an answer with an error, in the API's form.
func refuse(status int, format string, args ...any) reply {
	return reply{status, map[string]any{"errors": []any{fmt.Sprintf(format, args...)}}}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	var f Fault
	if s.fault != nil {
		f = s.fault(r)
	}
	var answer reply
	if f == (Fault{}) || f.Done {
		answer = s.answer(r, body)
	}
	s.mu.Unlock()

	switch {
	case f.Hang:
		<-r.Context().Done()
		return
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		answer = reply{f.Status, map[string]any{"errors": []any{http.StatusText(f.Status)}}}
		if f.Status == http.StatusTooManyRequests {
			w.Header().Set("X-Ratelimit-Limit", "500")
			w.Header().Set("X-Ratelimit-Period", "60")
			w.Header().Set("X-Ratelimit-Remaining", "0")
			w.Header().Set("X-Ratelimit-Reset", strconv.Itoa(int(f.Reset.Seconds())))
		}
	}
	if answer.status == http.StatusNoContent {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoded := text(answer.body)
	w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
	w.WriteHeader(answer.status)
	if f.Cut {
		encoded = encoded[:len(encoded)/2]
	}
	io.WriteString(w, encoded)
}

// paths lists the paths of the API with the permissions to read and write.
var paths = []struct {
	prefix      string
	kind        Kind
	read, write string
}{
	{"/api/v1/slo", SLO, "slos_read", "slos_write"},
	{"/api/v1/dashboard", Dashboard, "dashboards_read", "dashboards_write"},
	{"/api/v1/monitor", Monitor, "monitors_read", "monitors_write"},
	{"/api/v2/downtime", Downtime, "monitors_downtime", "monitors_downtime"},
}

// answer performs a request.
func (s *Server) answer(r *http.Request, text []byte) reply {
	if r.Header.Get("DD-API-KEY") != APIKey {
		return refuse(http.StatusForbidden, "Forbidden")
	}
	if r.Method+" "+r.URL.Path == "GET /api/v1/validate" {
		return reply{200, map[string]any{"valid": true}}
	}
	if r.Header.Get("DD-APPLICATION-KEY") != AppKey {
		return refuse(http.StatusForbidden, "Forbidden")
	}
	if r.Method+" "+r.URL.Path == "GET /api/v2/validate_keys" {
		return reply{200, map[string]any{"status": "ok"}}
	}
	body := map[string]any{}
	if len(text) > 0 {
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if d.Decode(&body) != nil {
			return refuse(http.StatusBadRequest, "Invalid JSON")
		}
	}
	if strings.HasPrefix(r.URL.Path, "/api/v1/dashboard/public") || strings.HasSuffix(r.URL.Path, "/shared") {
		return s.sharing(r, body)
	}
	for _, p := range paths {
		rest, ok := strings.CutPrefix(r.URL.Path, p.prefix)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		needs := p.write
		if r.Method == http.MethodGet {
			needs = p.read
		}
		if s.denied[needs] {
			return refuse(http.StatusForbidden, "Forbidden")
		}
		id := strings.TrimPrefix(rest, "/")
		switch {
		case p.kind == Monitor && id == "validate" && r.Method == http.MethodPost:
			if refusal := s.check(p.kind, body); refusal.status != 0 {
				return refusal
			}
			return reply{200, map[string]any{}}
		case id == "" && r.Method == http.MethodGet:
			return s.list(p.kind, r)
		case id == "" && r.Method == http.MethodPost:
			o, refusal := s.make(p.kind, body)
			if o == nil {
				s.note(refusal, r)
				return refusal
			}
			o.hidden = s.lag
			return s.one(p.kind, o, true)
		case s.find(p.kind, id) == nil:
			return refuse(http.StatusNotFound, "%s not found", p.kind)
		case r.Method == http.MethodGet:
			return s.one(p.kind, s.find(p.kind, id), false)
		case r.Method == http.MethodDelete:
			return s.delete(p.kind, id)
		case r.Method == http.MethodPut && p.kind != Downtime, r.Method == http.MethodPatch && p.kind == Downtime:
			answer := s.change(p.kind, id, body)
			s.note(answer, r)
			return answer
		}
	}
	s.problems = append(s.problems, r.Method+" "+r.URL.Path)
	return refuse(http.StatusNotFound, "Not found")
}

// note records a refusal as a problem: the client could have known that the API
// refuses the request.
func (s *Server) note(r reply, of *http.Request) {
	if r.status == http.StatusBadRequest {
		s.problems = append(s.problems, fmt.Sprintf("%s %s: %v", of.Method, of.URL.Path, r.body))
	}
}

// time returns the current time in the API's form.
func (s *Server) time() string { return s.now().UTC().Format("2006-01-02T15:04:05.000000+00:00") }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// clone returns a deep copy of a JSON object.
func clone(body map[string]any) map[string]any {
	var c map[string]any
	d := json.NewDecoder(strings.NewReader(text(body)))
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		panic(err)
	}
	return c
}
