package handlers_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apmapp/handlers"
	"apmapp/store"
)

// TestFlaskContract checks what the original Flask app answered.
func TestFlaskContract(t *testing.T) {
	h, _ := surface(t, &visits{})
	const html = "text/html; charset=utf-8"
	for _, tc := range []struct{ target, want string }{
		{"/", "Entrypoint to the Application"},
		{"/api/trace", "Posting Traces"},
		{"/api/apm", "Getting APM Started"},
		{"/api/apm?limit=9&x=", "Getting APM Started"},
		{"//", "Entrypoint to the Application"},
		{"", "Entrypoint to the Application"},
		{"/api%2Ftrace", "Posting Traces"},
	} {
		target := "http://apmapp" + tc.target
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(method+" "+tc.target, func(t *testing.T) {
				w := do(h, httptest.NewRequest(method, target, nil))
				body := tc.want
				if method == http.MethodHead {
					body = ""
				}
				if got := w.Body.String(); got != body || w.Code != 200 {
					t.Errorf("%d, body %q; want 200, %q", w.Code, got, body)
				}
				if got := w.Header().Get("Content-Type"); got != html {
					t.Errorf("Content-Type %q, want %q", got, html)
				}
				if got := w.Header().Get("Content-Length"); got != fmt.Sprint(len(tc.want)) {
					t.Errorf("Content-Length %s, want %d", got, len(tc.want))
				}
			})
		}
		t.Run("OPTIONS "+tc.target, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodOptions, target, nil)
			r.Header.Set("Accept", "application/json")
			w := do(h, r)
			if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "0" || w.Header().Get("Content-Type") != html {
				t.Errorf("%d with %d bytes, headers %v; want 200 with none, %s", w.Code, w.Body.Len(), w.Header(), html)
			}
			checkAllow(t, w)
		})
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
			t.Run(method+" "+tc.target, func(t *testing.T) {
				w := do(h, httptest.NewRequest(method, target, strings.NewReader("x=1")))
				if w.Code != 405 || w.Header().Get("Content-Type") != html {
					t.Errorf("%d %s, want 405 %s", w.Code, w.Header().Get("Content-Type"), html)
				}
				checkAllow(t, w)
			})
		}
	}
	for _, path := range []string{"/nope", "/api", "/api/", "/api/trace/", "/api/../", "/api/apm/x", "///", "/API/APM", "/healthz/"} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PROPFIND"} {
			t.Run(method+" "+path, func(t *testing.T) {
				w := do(h, httptest.NewRequest(method, "http://apmapp"+path, nil))
				if w.Code != 404 || w.Header().Get("Content-Type") != html || w.Header().Get("Allow") != "" {
					t.Errorf("%d, headers %v; want 404, %s, no Allow", w.Code, w.Header(), html)
				}
			})
		}
	}
}

func checkAllow(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	got := strings.Split(w.Header().Get("Allow"), ", ")
	slices.Sort(got)
	if want := []string{"GET", "HEAD", "OPTIONS"}; !slices.Equal(got, want) {
		t.Errorf("Allow %q, want %q", got, want)
	}
}

func TestJSONHasTheSameAnswers(t *testing.T) {
	h, _ := surface(t, &visits{})
	ask := func(path string) (answer struct {
		Message string
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
		Visit   *store.Visit
		Visits  []store.Visit
	}) {
		w := do(h, getJSON(path))
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %q", path, got)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
		if got, want := w.Header().Get("Traceresponse"), "00-"+answer.TraceID+"-"+answer.SpanID+"-01"; got != want {
			t.Errorf("%s: traceresponse %q, want %q", path, got, want)
		}
		return answer
	}
	if got := ask("/api/apm"); got.Message != "Getting APM Started" || got.Visits == nil || len(got.Visits) != 0 {
		t.Errorf("empty table: %+v", got)
	}
	recorded := ask("/api/trace")
	if recorded.Visit == nil || recorded.Visit.TraceID != recorded.TraceID || recorded.Visit.Route != "/api/trace" {
		t.Errorf("recorded %+v", recorded.Visit)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(recorded.TraceID) {
		t.Errorf("trace ID %q is not 32 hex digits", recorded.TraceID)
	}
	for range 30 {
		ask("/api/trace")
	}
	if got := ask("/api/apm"); len(got.Visits) != 20 || got.Visits[0].ID != 31 {
		t.Errorf("of 31 visits, %d were read, first %d; want the 20 newest", len(got.Visits), got.Visits[0].ID)
	}
	if got := ask("/healthzz"); got.Message != "There is no page at this path." || got.TraceID == "" {
		t.Errorf("404 as JSON: %+v", got)
	}
}

func TestHomeReturnsTheLatestVisit(t *testing.T) {
	v := &visits{}
	h, _ := surface(t, v)
	if body := do(h, getJSON("/")).Body.String(); strings.Contains(body, `"visit"`) {
		t.Errorf("empty table: %s", body)
	}
	v.latest = latest(store.Visit{ID: 7, Route: "/api/trace"}, true, nil)
	if body := do(h, getJSON("/")).Body.String(); !strings.Contains(body, `"visit":{"id":7,"route":"/api/trace","trace_id":"",`) {
		t.Errorf("latest visit: %s", body)
	}
}

func TestAccept(t *testing.T) {
	h, _ := surface(t, &visits{})
	const json, html = "application/json", "text/html; charset=utf-8"
	for _, tc := range []struct{ accept, want string }{
		{"", html},
		{"*/*", html},
		{"application/json", json},
		{"application/*", json},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", html}, // browsers
		{"application/json, text/plain, */*", json},
		{"application/json;q=0.5, text/html", html},
		{"application/json, text/html;q=0.5", json},
		{"text/html;q=0, */*", json},
		{"application/json;q=0, */*", html},
		{"application/json;q=0", html},
		{"image/png", html},
		{"application/json, text/html", html},
		{"application/json, text/*", json},
		{"application/*, text/html", html},
		// The more precise range decides, in any order.
		{"application/*;q=0.1, application/json;q=0.9, text/html;q=0.5", json},
		{"application/json;q=0.1, application/*;q=0.9, text/html;q=0.5", html},
		{"application/*;q=0.1, */*;q=0.9", html},
		{"*/*;q=0.1, application/*;q=0.9, text/html;q=0.5", json},
		{"text/html;q=1, application/json", html},
		// Of equal ranges the first counts.
		{"application/json;q=0.9, application/json;q=0.1, text/html;q=0.5", json},
		// Invalid elements are ignored.
		{"application/json;q=high", html},
		{"application/json;q=high, application/*", json},
		{"application/json;=1", html},
		{";;;,,,", html},
	} {
		r := get("/")
		if tc.accept != "" {
			r.Header.Set("Accept", tc.accept)
		}
		w := do(h, r)
		if got := w.Header().Get("Content-Type"); got != tc.want {
			t.Errorf("Accept %q: got %s, want %s", tc.accept, got, tc.want)
		}
		if got := w.Header().Get("Vary"); got != "Accept" {
			t.Errorf("Vary %q, want Accept", got)
		}
		if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("X-Content-Type-Options %q, want nosniff", got)
		}
	}
	r := get("/")
	r.Header["Accept"] = []string{"text/html;q=0.5", "application/json"}
	if got := do(h, r).Header().Get("Content-Type"); got != json {
		t.Errorf("two Accept headers: got %s, want %s", got, json)
	}
}

// FuzzRouter checks that no request line and no Accept header causes a 5xx.
func FuzzRouter(f *testing.F) {
	for _, path := range []string{"/", "//", "/api/trace", "/api%2ftrace", "/api/../", "*", "/%ff", "/a?b;c"} {
		f.Add("GET", path, "application/json")
		f.Add("OPTIONS", path, "*/*;q=")
	}
	h, _ := surface(f, &visits{}, func(c *handlers.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	f.Fuzz(func(t *testing.T, method, target, accept string) {
		r, err := http.NewRequest(method, "http://apmapp"+target, nil)
		if err != nil {
			t.Skip("net/http refuses it")
		}
		r.Header.Set("Accept", accept)
		w := do(h, r)
		switch w.Code {
		case 200, 404, 405:
		default:
			t.Errorf("%s %q: %d", method, target, w.Code)
		}
		if w.Header().Get("Content-Length") == "" && w.Body.Len() > 0 {
			t.Error("no Content-Length")
		}
	})
}
