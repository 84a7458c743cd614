// Package standin stands in the place of Datadog's API, for tests: dashboards,
// monitors, SLOs, downtimes and public links, over HTTP, with state.
//
// It takes what the client's models know and nothing else, and answers as the
// published specification and the recordings in the client's repository show the
// API to answer: with defaults filled in, sets in another order, numbers and names
// in other forms, and with its refusals. On request it fails.
package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"apmapp/internal/provision"
)

// Keys that the stand-in takes.
const (
	APIKey = "0123456789abcdef0123456789abcdef"
	AppKey = "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
)

// Fault is how a request fails. The zero value is no fault.
type Fault struct {
	Status int           // answered in place of the true answer
	Reset  time.Duration // of the rate limit, with status 429
	Drop   bool          // the connection breaks before an answer
	Hang   bool          // no answer comes, for as long as the client waits
	Done   bool          // what was asked for is done nevertheless
}

// Server is an account.
type Server struct {
	URL string

	mu       sync.Mutex
	http     *httptest.Server
	now      func() time.Time
	random   *rand.Rand
	objects  map[provision.Kind][]*object
	shares   []map[string]any
	serial   int64
	denied   map[string]bool // permissions that the key has not
	fault    func(*http.Request) Fault
	lag      int // lists for which what is new is not there yet
	requests []string
	problems []string
}

type object struct {
	id     string
	body   map[string]any
	hidden int // lists for which it is not there
}

// New starts an empty account.
func New(now func() time.Time) *Server {
	s := &Server{now: now, random: rand.New(rand.NewPCG(1, 2)), objects: map[provision.Kind][]*object{}, denied: map[string]bool{}, serial: 155845150}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close ends it.
func (s *Server) Close() { s.http.CloseClientConnections(); s.http.Close() }

// Fail sets what decides how each request fails; nil ends it.
func (s *Server) Fail(fault func(*http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Deny takes permissions from the key.
func (s *Server) Deny(permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = map[string]bool{}
	for _, p := range permissions {
		s.denied[p] = true
	}
}

// Lag makes lists lag behind: what is created is missing in the next n. With 0,
// they catch up.
func (s *Server) Lag(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = n
	for _, all := range s.objects {
		for _, o := range all {
			o.hidden = min(o.hidden, n)
		}
	}
}

// Requests returns the requests since the last call, as "POST /api/v1/monitor".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return all
}

// Problems are requests that no client should make.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// All returns what the account has of a kind, without downtimes that are over.
func (s *Server) All(kind provision.Kind) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[string]any
	for _, o := range s.objects[kind] {
		if a, _ := o.body["attributes"].(map[string]any); a["status"] == "canceled" {
			continue
		}
		all = append(all, clone(o.body))
	}
	return all
}

// Edit changes a resource as somebody does in the pages.
func (s *Server) Edit(kind provision.Kind, id string, edit func(map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.find(kind, id); o != nil {
		edit(o.body)
	}
}

// Remove deletes a resource as somebody does in the pages.
func (s *Server) Remove(kind provision.Kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(kind, id)
}

// Links are the public links that exist.
func (s *Server) Links() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, share := range s.shares {
		all = append(all, share["public_url"].(string))
	}
	return all
}

// Add makes a resource as somebody does in the pages, and returns its ID.
func (s *Server) Add(kind provision.Kind, body map[string]any) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, r := s.make(kind, body)
	if o == nil {
		return "", fmt.Errorf("%d: %v", r.status, r.body)
	}
	return o.id, nil
}

// reply is an answer.
type reply struct {
	status int
	body   any
}

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
	w.WriteHeader(answer.status)
	json.NewEncoder(w).Encode(answer.body)
}

// paths of the API, and the permissions that reading and writing need.
var paths = []struct {
	prefix      string
	kind        provision.Kind
	read, write string
}{
	{"/api/v1/slo", provision.SLO, "slos_read", "slos_write"},
	{"/api/v1/dashboard", provision.Dashboard, "dashboards_read", "dashboards_write"},
	{"/api/v1/monitor", provision.Monitor, "monitors_read", "monitors_write"},
	{"/api/v2/downtime", provision.Downtime, "monitors_downtime", "monitors_downtime"},
}

func (s *Server) answer(r *http.Request, text []byte) reply {
	if r.Header.Get("DD-API-KEY") != APIKey || r.Header.Get("DD-APPLICATION-KEY") != AppKey {
		return refuse(http.StatusForbidden, "Forbidden")
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
		case r.Method == http.MethodPut && p.kind != provision.Downtime, r.Method == http.MethodPatch && p.kind == provision.Downtime:
			answer := s.change(p.kind, id, body)
			s.note(answer, r)
			return answer
		}
	}
	s.problems = append(s.problems, r.Method+" "+r.URL.Path)
	return refuse(http.StatusNotFound, "Not found")
}

// note remembers refusals of what the client should have known better.
func (s *Server) note(r reply, of *http.Request) {
	if r.status == http.StatusBadRequest {
		s.problems = append(s.problems, fmt.Sprintf("%s %s: %v", of.Method, of.URL.Path, r.body))
	}
}

func (s *Server) find(kind provision.Kind, id string) *object {
	for _, o := range s.objects[kind] {
		if o.id == id {
			return o
		}
	}
	return nil
}

func (s *Server) remove(kind provision.Kind, id string) {
	s.objects[kind] = slices.DeleteFunc(s.objects[kind], func(o *object) bool { return o.id == id })
}

// list answers with a page.
func (s *Server) list(kind provision.Kind, r *http.Request) reply {
	q := r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	var all []any
	for _, o := range s.objects[kind] {
		if o.hidden > 0 {
			o.hidden--
			continue
		}
		tags := q.Get("monitor_tags") + q.Get("tags_query")
		if tags != "" && !hasAll(o.body["tags"], strings.Split(tags, ",")) {
			continue
		}
		body := clone(o.body)
		if kind == provision.Dashboard {
			maps.DeleteFunc(body, func(key string, _ any) bool {
				return !slices.Contains([]string{"id", "title", "description", "url", "layout_type", "author_handle", "created_at", "modified_at", "is_read_only"}, key)
			})
		}
		all = append(all, body)
	}
	total := len(all)
	var offset, limit int
	switch kind {
	case provision.SLO:
		offset, limit = number("offset", 0), number("limit", 1000)
	case provision.Dashboard:
		offset, limit = number("start", 0), number("count", 100)
	case provision.Monitor:
		limit = number("page_size", 100)
		offset = number("page", 0) * limit
		if q.Get("page") == "" {
			limit = total
		}
		if limit > 1000 {
			return refuse(http.StatusBadRequest, "page_size is at most 1000")
		}
	case provision.Downtime:
		offset, limit = number("page[offset]", 0), number("page[limit]", 30)
	}
	page := all[min(offset, total):min(offset+limit, total)]
	if page == nil {
		page = []any{}
	}
	switch kind {
	case provision.SLO:
		return reply{200, map[string]any{"data": page, "error": nil, "metadata": map[string]any{"page": map[string]any{"total_count": total, "total_filtered_count": total}}}}
	case provision.Dashboard:
		return reply{200, map[string]any{"dashboards": page}}
	case provision.Monitor:
		return reply{200, page}
	}
	return reply{200, map[string]any{"data": page, "meta": map[string]any{"page": map[string]any{"total_filtered_count": total}}}}
}

func hasAll(tags any, want []string) bool {
	have, _ := tags.([]any)
	for _, tag := range want {
		if !slices.Contains(have, any(tag)) {
			return false
		}
	}
	return true
}

// one answers with one resource.
func (s *Server) one(kind provision.Kind, o *object, made bool) reply {
	body := clone(o.body)
	switch kind {
	case provision.SLO:
		if made {
			return reply{200, map[string]any{"data": []any{body}, "error": nil}}
		}
		return reply{200, map[string]any{"data": body, "errors": []any{}}}
	case provision.Downtime:
		s.shuffle(body)
		return reply{200, map[string]any{"data": body}}
	}
	return reply{200, body}
}

// shuffle orders a downtime's sets by chance, as the API does.
func (s *Server) shuffle(body map[string]any) {
	a := body["attributes"].(map[string]any)
	for _, name := range []string{"notify_end_states", "notify_end_types"} {
		l, _ := a[name].([]any)
		s.random.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	}
}

func (s *Server) delete(kind provision.Kind, id string) reply {
	switch kind {
	case provision.SLO:
		for _, d := range s.objects[provision.Dashboard] {
			if strings.Contains(text(d.body), `"slo_id":"`+id+`"`) {
				return refuse(http.StatusConflict, "SLO %s is used in dashboard %s", id, d.id)
			}
		}
		s.remove(kind, id)
		return reply{200, map[string]any{"data": []any{id}, "error": nil}}
	case provision.Dashboard:
		s.remove(kind, id)
		return reply{200, map[string]any{"deleted_dashboard_id": id}}
	case provision.Monitor:
		s.remove(kind, id)
		return reply{200, map[string]any{"deleted_monitor_id": json.Number(id)}}
	}
	a := s.find(kind, id).body["attributes"].(map[string]any)
	a["status"], a["canceled"] = "canceled", s.time()
	return reply{http.StatusNoContent, nil}
}

func (s *Server) time() string { return s.now().UTC().Format("2006-01-02T15:04:05.000000+00:00") }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func clone(body map[string]any) map[string]any {
	var c map[string]any
	d := json.NewDecoder(strings.NewReader(text(body)))
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		panic(err)
	}
	return c
}
