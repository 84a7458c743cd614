package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"apmapp/store"
)

// secret stands in errors where a password could. No client may read it.
const secret = "hunter2"

func latest(v store.Visit, found bool, err error) func(context.Context) (store.Visit, bool, error) {
	return func(context.Context) (store.Visit, bool, error) { return v, found, err }
}

func TestErrors(t *testing.T) {
	down := fmt.Errorf("dial root:%s@10.1.2.3: %w", secret, store.ErrUnavailable)
	for _, tc := range []struct {
		name       string
		latest     func(context.Context) (store.Visit, bool, error)
		status     int
		retryAfter string
		level      string
		kind       string
		message    string
		page       string
	}{
		{
			name:   "MySQL is down",
			latest: latest(store.Visit{}, false, down),
			status: 503, retryAfter: "5", level: "ERROR", kind: "*errors.errorString",
			message: "home: " + down.Error(),
			page:    "<title>503 Service Unavailable</title>\n<h1>503 Service Unavailable</h1>\n<p>The database is unavailable. Please try again.</p>",
		},
		{
			name:   "defect",
			latest: latest(store.Visit{}, false, errors.New("no column "+secret)),
			status: 500, level: "ERROR", kind: "*errors.errorString", message: "home: no column " + secret,
			page: "<title>500 Internal Server Error</title>\n<h1>500 Internal Server Error</h1>\n<p>Something went wrong on the server.</p>",
		},
		{
			name:   "panic",
			latest: func(context.Context) (store.Visit, bool, error) { panic("index out of " + secret) },
			status: 500, level: "ERROR", kind: "panic", message: "panic: index out of " + secret,
			page: "<p>Something went wrong on the server.</p>",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, logs := surface(t, &visits{latest: tc.latest})
			r := get("/?token=" + secret)
			w := do(h, r)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			if got := w.Header().Get("Retry-After"); got != tc.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, tc.retryAfter)
			}
			traceID := strings.Split(w.Header().Get("Traceresponse"), "-")[1]
			want := tc.page + "\n<p>Trace ID: <code>" + traceID + "</code></p>\n"
			if body := w.Body.String(); !strings.HasPrefix(body, "<!doctype html>\n<html lang=\"en\">\n<title>") || !strings.HasSuffix(body, want) {
				t.Errorf("page\n%s\nwant at its end\n%s", body, want)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("the client can read the cause: %s", w.Body)
			}
			all := logs()
			if len(all) != 1 {
				t.Fatalf("%d log lines, want 1: %v", len(all), all)
			}
			l := all[0]
			if l["level"] != tc.level || l["http.status_code"] != float64(tc.status) || l["error.kind"] != tc.kind || l["error.message"] != tc.message {
				t.Errorf("logged %v, want %s %d %s %s", l, tc.level, tc.status, tc.kind, tc.message)
			}
			if l["dd.trace_id"] != traceID {
				t.Errorf("logged trace %v, want %s", l["dd.trace_id"], traceID)
			}
			if tc.kind == "panic" && !strings.Contains(fmt.Sprint(l["error.stack"]), "errors_test.go") {
				t.Errorf("the stack does not lead to the panic: %v", l["error.stack"])
			}
		})
	}
}

// The error of each route names the operation.
func TestRoutesReturnStoreErrors(t *testing.T) {
	v := &visits{latest: latest(store.Visit{}, false, store.ErrUnavailable), err: store.ErrUnavailable}
	h, logs := surface(t, v)
	for _, tc := range []struct{ path, message string }{
		{"/", "home: database unavailable"},
		{"/api/trace", "trace: database unavailable"},
		{"/api/apm", "apm: database unavailable"},
	} {
		if w := do(h, get(tc.path)); w.Code != 503 {
			t.Errorf("%s: %d, want 503", tc.path, w.Code)
		}
		if l := logs()[0]; l["error.message"] != tc.message {
			t.Errorf("%s: logged %v, want %s", tc.path, l["error.message"], tc.message)
		}
	}
}

func TestClientErrors(t *testing.T) {
	h, logs := surface(t, &visits{})
	for _, tc := range []struct {
		method, path string
		status       int
		message      string
	}{
		{"GET", "/nope", 404, "<p>There is no page at this path.</p>"},
		{"POST", "/", 405, "<p>This path does not support this method.</p>"},
	} {
		w := do(h, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.message) {
			t.Errorf("%s %s: %d %s; want %d, %s", tc.method, tc.path, w.Code, w.Body, tc.status, tc.message)
		}
		if l := logs()[0]; l["level"] != "INFO" || l["error.kind"] != nil {
			t.Errorf("%d is logged as an error: %v", tc.status, l)
		}
	}
}

// Requests to probes have no trace, so their error pages show no trace ID.
func TestErrorPageWithoutTrace(t *testing.T) {
	h, _ := surface(t, &visits{})
	if w := do(h, httptest.NewRequest("POST", "/healthz", nil)); w.Code != 405 || strings.Contains(w.Body.String(), "Trace") {
		t.Errorf("%d %s, want 405 without a trace", w.Code, w.Body)
	}
}

// abort serves a request whose connection the handler has to abort. It returns what
// was written before.
func abort(t *testing.T, h http.Handler, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	defer func() {
		if value := recover(); value != http.ErrAbortHandler {
			t.Errorf("the handler panicked with %v, want %v", value, http.ErrAbortHandler)
		}
	}()
	h.ServeHTTP(w, r)
}

// A client that left gets no answer, and no 499 either: the status is only in the
// log and on the span.
func TestClientsThatLeft(t *testing.T) {
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, tc := range []struct {
		path, message string
		visits        *visits
	}{
		{"/", "home: context canceled", &visits{latest: func(ctx context.Context) (store.Visit, bool, error) { return store.Visit{}, false, wait(ctx) }}},
		// The statement was sent, so it may have been executed.
		{"/api/trace", "trace: outcome unknown, the visit may be stored: context canceled", &visits{err: context.Canceled}},
	} {
		spans := recordSpans(t)
		h, logs := surface(t, tc.visits)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		abort(t, h, httptest.NewRecorder(), get(tc.path).WithContext(ctx))
		if l := logs()[0]; l["level"] != "INFO" || l["http.status_code"] != 499.0 || l["error.message"] != tc.message || l["error.kind"] != "*errors.errorString" {
			t.Errorf("%s: logged %v, want 499 and %s", tc.path, l, tc.message)
		}
		if s := requestSpans(spans)[0]; s.Tag("http.status_code") != "499" || s.Tag("error.message") != nil {
			t.Errorf("%s: span %v, want 499 and no error", tc.path, s)
		}
		spans.Stop()
	}
}

// If the work succeeded, the answer is sent, although the client may have left.
func TestSuccessIsAlwaysAnswered(t *testing.T) {
	h, _ := surface(t, &visits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := do(h, get("/api/trace").WithContext(ctx)); w.Code != 200 {
		t.Errorf("%d, want 200", w.Code)
	}
}

// A write without an answer may have been executed, so the client is not told that it
// failed.
func TestUnknownOutcome(t *testing.T) {
	h, logs := surface(t, &visits{err: fmt.Errorf("%w: %w", store.ErrUnavailable, context.DeadlineExceeded)})
	w := do(h, get("/api/trace"))
	const want = "<p>The database did not answer in time. The visit may or may not be recorded.</p>"
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%d, Retry-After %q, %s; want 503, 5, %s", w.Code, w.Header().Get("Retry-After"), w.Body, want)
	}
	if l := logs()[0]; l["error.message"] != "trace: outcome unknown, the visit may be stored: database unavailable: context deadline exceeded" {
		t.Errorf("logged %v", l["error.message"])
	}
}

// A handler that panics with http.ErrAbortHandler aborts its answer: that is no
// defect.
func TestAbortedAnswers(t *testing.T) {
	spans := recordSpans(t)
	h, logs := surface(t, &visits{latest: func(context.Context) (store.Visit, bool, error) { panic(http.ErrAbortHandler) }})
	abort(t, h, httptest.NewRecorder(), get("/"))
	if l := logs()[0]; l["level"] != "INFO" || l["http.status_code"] != 444.0 || l["error.kind"] != nil || l["error.stack"] != nil {
		t.Errorf("logged %v, want 444 without an error", l)
	}
	if s := spans.FinishedSpans()[0]; s.Tag("http.status_code") != "444" || s.Tag("error.message") != nil {
		t.Errorf("span %v, want 444 without an error", s)
	}
}

// brokenWriter panics after the header, as a defect in a middleware could.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { panic("no room for " + secret) }

// A panic within an answer aborts it, so that the client does not take a part for the
// whole. It is reported like other panics.
func TestPanicAfterTheHeader(t *testing.T) {
	spans := recordSpans(t)
	h, logs := surface(t, &visits{})
	abort(t, h, brokenWriter{httptest.NewRecorder()}, get("/"))
	l := logs()[0]
	if l["level"] != "ERROR" || l["http.status_code"] != 200.0 || l["error.kind"] != "panic" || l["error.message"] != "panic: no room for "+secret || !strings.Contains(fmt.Sprint(l["error.stack"]), "brokenWriter") {
		t.Errorf("logged %v", l)
	}
	if s := spans.FinishedSpans()[0]; s.Tag("error.type") != "panic" {
		t.Errorf("span %v, want the panic as its error", s)
	}
}
