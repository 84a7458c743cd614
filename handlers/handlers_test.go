package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// TestMain runs the tests under a real tracer whose Agent is not there.
func TestMain(m *testing.M) {
	os.Setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:1")
	os.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	cfg := telemetry.Config{Service: "apmapp", Version: "test", Tracing: true}
	if err := telemetry.Start(cfg, slog.New(slog.DiscardHandler)); err != nil {
		panic(err)
	}
	code := m.Run()
	telemetry.StopTracer()
	os.Exit(code)
}

// visits answers as a test wants; without a wish it is an empty store.
type visits struct {
	latest   func(context.Context) (store.Visit, bool, error)
	ready    func(context.Context) error
	mu       sync.Mutex
	recorded []store.Visit
}

func (v *visits) Latest(ctx context.Context) (store.Visit, bool, error) {
	if v.latest != nil {
		return v.latest(ctx)
	}
	return store.Visit{}, false, nil
}

func (v *visits) Recent(_ context.Context, n int) ([]store.Visit, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	newest := append([]store.Visit{}, v.recorded...)
	slices.Reverse(newest)
	return newest[:min(n, len(newest))], nil
}

func (v *visits) Record(_ context.Context, visit store.Visit) (store.Visit, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	visit.ID = uint64(len(v.recorded) + 1)
	v.recorded = append(v.recorded, visit)
	return visit, nil
}

func (v *visits) Ready(ctx context.Context) error {
	if v.ready != nil {
		return v.ready(ctx)
	}
	return nil
}

// surface is the HTTP surface over v, and the lines that it logs.
func surface(t testing.TB, v *visits, change ...func(*handlers.Config)) (http.Handler, func() []line) {
	t.Helper()
	var logs bytes.Buffer
	tele, err := telemetry.ConfigFromEnv(func(string) string { return "" }, "apmapp", "test")
	if err != nil {
		t.Fatal(err)
	}
	tele.LogLevel = slog.LevelDebug
	cfg := handlers.Config{
		Visits:         v,
		Logger:         telemetry.NewLogger(&logs, tele),
		Telemetry:      tele,
		MaxConcurrent:  8,
		RequestTimeout: time.Minute,
		ReadyTimeout:   time.Minute,
		Draining:       func() bool { return false },
	}
	for _, c := range change {
		c(&cfg)
	}
	return handlers.New(cfg), func() []line { return lines(t, &logs) }
}

type line map[string]any

func lines(t testing.TB, r io.Reader) []line {
	t.Helper()
	var all []line
	for dec := json.NewDecoder(r); ; {
		var l line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(target string) *http.Request { return httptest.NewRequest(http.MethodGet, target, nil) }

// TestFlaskContract is what the original answered.
func TestFlaskContract(t *testing.T) {
	h, _ := surface(t, &visits{})
	const html = "text/html; charset=utf-8"
	bodies := map[string]string{
		"/":                   "Entrypoint to the Application",
		"/api/trace":          "Posting Traces",
		"/api/apm":            "Getting APM Started",
		"/api/apm?limit=9&x=": "Getting APM Started",
		"//":                  "Entrypoint to the Application",
		"/api%2Ftrace":        "Posting Traces",
	}
	for target, want := range bodies {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(method+" "+target, func(t *testing.T) {
				w := do(h, httptest.NewRequest(method, "http://apmapp"+target, nil))
				if method == http.MethodHead {
					if got := w.Body.String(); got != "" {
						t.Errorf("HEAD has body %q", got)
					}
				} else if got := w.Body.String(); got != want {
					t.Errorf("body %q, want %q", got, want)
				}
				if w.Code != 200 {
					t.Errorf("status %d, want 200", w.Code)
				}
				if got := w.Header().Get("Content-Type"); got != html {
					t.Errorf("Content-Type %q, want %q", got, html)
				}
				if got := w.Header().Get("Content-Length"); got != fmt.Sprint(len(want)) {
					t.Errorf("Content-Length %s, want %d", got, len(want))
				}
			})
		}
		t.Run("OPTIONS "+target, func(t *testing.T) {
			w := do(h, httptest.NewRequest(http.MethodOptions, "http://apmapp"+target, nil))
			if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "0" {
				t.Errorf("%d with %d bytes, Content-Length %q; want 200 with none", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
			}
			checkAllow(t, w)
		})
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
			t.Run(method+" "+target, func(t *testing.T) {
				w := do(h, httptest.NewRequest(method, "http://apmapp"+target, strings.NewReader("x=1")))
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
				if w.Code != 404 || w.Header().Get("Content-Type") != html {
					t.Errorf("%d %s, want 404 %s", w.Code, w.Header().Get("Content-Type"), html)
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

func TestJSONAnswersTheSame(t *testing.T) {
	v := &visits{}
	h, _ := surface(t, v)
	ask := func(path string) (answer struct {
		Message string
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
		Visit   *store.Visit
		Visits  []store.Visit
	}) {
		r := get(path)
		r.Header.Set("Accept", "application/json")
		w := do(h, r)
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
		t.Errorf("an empty table reads %+v", got)
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
	if got := ask("/healthzz"); got.Message == "" || got.TraceID == "" {
		t.Errorf("404 as JSON: %+v", got)
	}
}

func TestAccept(t *testing.T) {
	h, _ := surface(t, &visits{})
	for accept, want := range map[string]string{
		"":                 "text/html",
		"*/*":              "text/html",
		"application/json": "application/json",
		"application/*":    "application/json",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html", // browsers
		"application/json, text/plain, */*":                               "application/json",
		"application/json;q=0.5, text/html":                               "text/html",
		"application/json, text/html;q=0.5":                               "application/json",
		"text/html;q=0, */*":                                              "application/json",
		"application/json;q=0, */*":                                       "text/html",
		"application/json;q=0":                                            "text/html",
		"image/png":                                                       "text/html",
		"application/json;q=high":                                         "text/html",
		";;;,,,":                                                          "text/html",
	} {
		r := get("/")
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := do(h, r)
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("Accept %q got %s, want %s", accept, got, want)
		}
		if got := w.Header().Get("Vary"); got != "Accept" {
			t.Errorf("Vary %q", got)
		}
	}
}

func TestIncomingTraceIsContinued(t *testing.T) {
	h, _ := surface(t, &visits{})
	for name, headers := range map[string]map[string]string{
		"W3C":     {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"Datadog": {"x-datadog-trace-id": "11803532876627986230", "x-datadog-parent-id": "67667974448284343", "x-datadog-tags": "_dd.p.tid=4bf92f3577b34da6", "x-datadog-sampling-priority": "1"},
	} {
		r := get("/")
		for key, value := range headers {
			r.Header.Set(key, value)
		}
		got := do(h, r).Header().Get("Traceresponse")
		if want := "00-4bf92f3577b34da6a3ce929d0e0e4736-"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "-01") {
			t.Errorf("%s: traceresponse %q, want %s…-01", name, got, want)
		}
	}
	r := get("/")
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	if got := do(h, r).Header().Get("Traceresponse"); !strings.HasSuffix(got, "-00") {
		t.Errorf("the caller did not sample, traceresponse %q", got)
	}
}

// secret stands in errors where a password could; no client may read it.
const secret = "hunter2"

func TestRefusals(t *testing.T) {
	down := fmt.Errorf("dial root:%s@10.1.2.3: %w", secret, store.ErrUnavailable)
	for _, tc := range []struct {
		name       string
		latest     func(context.Context) (store.Visit, bool, error)
		request    func(*http.Request) *http.Request
		status     int
		retryAfter string
		level      string
		kind       string
	}{
		{
			name:   "MySQL is down",
			latest: func(context.Context) (store.Visit, bool, error) { return store.Visit{}, false, down },
			status: 503, retryAfter: "5", level: "ERROR", kind: "*errors.errorString",
		},
		{
			name: "a defect",
			latest: func(context.Context) (store.Visit, bool, error) {
				return store.Visit{}, false, errors.New("no column " + secret)
			},
			status: 500, level: "ERROR", kind: "*errors.errorString",
		},
		{
			name:   "a panic",
			latest: func(context.Context) (store.Visit, bool, error) { panic("index out of " + secret) },
			status: 500, level: "ERROR", kind: "panic",
		},
		{
			name: "the client left",
			latest: func(ctx context.Context) (store.Visit, bool, error) {
				<-ctx.Done()
				return store.Visit{}, false, ctx.Err()
			},
			request: func(r *http.Request) *http.Request {
				ctx, cancel := context.WithCancel(r.Context())
				cancel()
				return r.WithContext(ctx)
			},
			status: 499, level: "INFO", kind: "*errors.errorString",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, logs := surface(t, &visits{latest: tc.latest})
			r := get("/?token=" + secret)
			if tc.request != nil {
				r = tc.request(r)
			}
			w := do(h, r)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			if got := w.Header().Get("Retry-After"); got != tc.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, tc.retryAfter)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("the client reads the cause: %s", w.Body)
			}
			traceID := strings.Split(w.Header().Get("Traceresponse"), "-")[1]
			if !strings.Contains(w.Body.String(), traceID) {
				t.Errorf("the body does not name trace %s: %s", traceID, w.Body)
			}
			all := logs()
			if len(all) != 1 {
				t.Fatalf("%d log lines, want 1: %v", len(all), all)
			}
			l := all[0]
			if l["level"] != tc.level || l["http.status_code"] != float64(tc.status) || l["error.kind"] != tc.kind {
				t.Errorf("logged %v %v %v, want %s %d %s", l["level"], l["http.status_code"], l["error.kind"], tc.level, tc.status, tc.kind)
			}
			if l["dd.trace_id"] != traceID {
				t.Errorf("logged trace %v, want %s", l["dd.trace_id"], traceID)
			}
			if tc.kind == "panic" && !strings.Contains(fmt.Sprint(l["error.stack"]), "handlers_test.go") {
				t.Errorf("the stack does not lead to the panic: %v", l["error.stack"])
			}
		})
	}
}

func TestOneLineARequest(t *testing.T) {
	h, logs := surface(t, &visits{})
	r := get("/api/apm?secret=" + secret)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("User-Agent", "curl/8")
	w := do(h, r)
	all := logs()
	if len(all) != 1 {
		t.Fatalf("%d lines, want 1: %v", len(all), all)
	}
	got := all[0]
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request",
		"dd.service": "apmapp", "dd.env": "", "dd.version": "test",
		"http.method": "GET", "http.url_details.path": "/api/apm", "http.route": "/api/apm",
		"http.status_code": 200.0, "http.useragent": "curl/8",
		"network.client.ip": "192.0.2.7", "network.bytes_written": float64(w.Body.Len()),
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
		delete(got, key)
	}
	if d, ok := got["duration"].(float64); !ok || d <= 0 || d > float64(time.Minute) {
		t.Errorf("duration %v is not nanoseconds", got["duration"])
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["timestamp"])); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"duration", "timestamp", "dd.trace_id", "dd.span_id"} {
		if _, there := got[key]; !there {
			t.Errorf("%s is missing", key)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("not in the contract: %v", got)
	}
}

func TestProbes(t *testing.T) {
	draining := false
	v := &visits{}
	h, logs := surface(t, v, func(c *handlers.Config) {
		c.Draining = func() bool { return draining }
		c.MaxConcurrent = 1
		c.ReadyTimeout = time.Millisecond
	})
	check := func(path string, status int, body string) {
		t.Helper()
		w := do(h, get(path))
		if w.Code != status || w.Body.String() != body {
			t.Errorf("%s: %d %q, want %d %q", path, w.Code, w.Body, status, body)
		}
		if got := w.Header().Get("Traceresponse"); got != "" {
			t.Errorf("%s is traced: %s", path, got)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 200, "ready")
	v.ready = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	check("/readyz", 503, "waiting for MySQL: it does not answer in time")
	check("/healthz", 200, "ok")
	draining = true
	check("/readyz", 503, "draining")
	check("/healthz", 200, "ok")
	for _, l := range logs() {
		if l["level"] != "DEBUG" {
			t.Errorf("a probe is logged at %v", l["level"])
		}
	}
}

func TestOverloadIsRefusedAtOnce(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	v := &visits{latest: func(context.Context) (store.Visit, bool, error) {
		entered <- struct{}{}
		<-release
		return store.Visit{}, false, nil
	}}
	h, logs := surface(t, v, func(c *handlers.Config) { c.MaxConcurrent = 2 })
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if w := do(h, get("/")); w.Code != 200 {
				t.Errorf("a request within the limit got %d", w.Code)
			}
		})
		<-entered
	}
	w := do(h, get("/"))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("beyond the limit: %d, Retry-After %q; want 503, 1", w.Code, w.Header().Get("Retry-After"))
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := do(h, get(path)); w.Code != 200 {
			t.Errorf("%s of a busy service: %d", path, w.Code)
		}
	}
	close(release)
	running.Wait()
	v.latest = nil
	if w := do(h, get("/")); w.Code != 200 {
		t.Errorf("after the load: %d", w.Code)
	}
	var warned bool
	for _, l := range logs() {
		warned = warned || l["level"] == "WARN" && l["http.status_code"] == 503.0
	}
	if !warned {
		t.Error("the refusal is not logged at WARN")
	}
}

func TestConnectionsAreClosed(t *testing.T) {
	draining := false
	h, _ := surface(t, &visits{}, func(c *handlers.Config) { c.Draining = func() bool { return draining } })
	if got := do(h, get("/")).Header().Get("Connection"); got != "" {
		t.Errorf("a plain request: Connection %q", got)
	}
	if got := do(h, httptest.NewRequest("GET", "/", strings.NewReader("body"))).Header().Get("Connection"); got != "close" {
		t.Errorf("behind a body: Connection %q, want close", got)
	}
	draining = true
	if got := do(h, get("/")).Header().Get("Connection"); got != "close" {
		t.Errorf("while draining: Connection %q, want close", got)
	}
}

// FuzzRouter holds that no request line and no Accept makes a 5xx.
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
