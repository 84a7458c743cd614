package handlers_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/handlers"
	"apmapp/store"
)

func TestConcurrentRequestsAreLimited(t *testing.T) {
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
	for _, path := range []string{"/", "/api/trace", "/api/apm"} {
		w := do(h, get(path))
		if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "<p>The service is busy. Please try again.</p>") {
			t.Errorf("%s beyond the limit: %d, Retry-After %q, %s; want 503, 1", path, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
		if l := logs()[0]; l["level"] != "WARN" || l["http.status_code"] != 503.0 || l["error.message"] != "limit requests: too many requests at once" {
			t.Errorf("%s beyond the limit is logged as %v", path, l)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := do(h, get(path)); w.Code != 200 {
			t.Errorf("%s of a busy service: %d", path, w.Code)
		}
	}
	close(release)
	running.Wait()
	v.latest = nil
	for range 3 { // a finished request frees its place
		if w := do(h, get("/")); w.Code != 200 {
			t.Errorf("after the load: %d", w.Code)
		}
	}
}

// A panic frees its place too.
func TestPanicsDoNotCountAsRunning(t *testing.T) {
	v := &visits{latest: func(context.Context) (store.Visit, bool, error) { panic("defect") }}
	h, _ := surface(t, v, func(c *handlers.Config) { c.MaxConcurrent = 1 })
	for range 2 {
		if w := do(h, get("/")); w.Code != 500 {
			t.Errorf("%d, want 500", w.Code)
		}
	}
}

// TestTimeouts checks in fake time how long a route and the readiness probe wait
// for MySQL.
func TestTimeouts(t *testing.T) {
	for _, tc := range []struct {
		path string
		want time.Duration
	}{
		{"/", 5 * time.Second},
		{"/readyz", 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			wait := func(ctx context.Context) error {
				<-ctx.Done()
				return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
			}
			v := &visits{
				latest: func(ctx context.Context) (store.Visit, bool, error) { return store.Visit{}, false, wait(ctx) },
				ready:  wait,
			}
			h, _ := surface(t, v, func(c *handlers.Config) {
				c.RequestTimeout = 5 * time.Second
				c.ReadyTimeout = 2 * time.Second
			})
			start := time.Now()
			w := do(h, get(tc.path))
			if got := time.Since(start); w.Code != 503 || got != tc.want {
				t.Errorf("%s: %d after %s, want 503 after %s", tc.path, w.Code, got, tc.want)
			}
		})
	}
}

func TestWorkEndsWithItsRequest(t *testing.T) {
	var work, probe context.Context
	v := &visits{
		latest: func(ctx context.Context) (store.Visit, bool, error) { work = ctx; return store.Visit{}, false, nil },
		ready:  func(ctx context.Context) error { probe = ctx; return nil },
	}
	h, _ := surface(t, v)
	do(h, get("/"))
	do(h, get("/readyz"))
	if work.Err() == nil || probe.Err() == nil {
		t.Errorf("the context of a finished request is still open: %v, %v", work.Err(), probe.Err())
	}
}

func TestConnectionsAreClosed(t *testing.T) {
	draining := false
	h, _ := surface(t, &visits{}, func(c *handlers.Config) { c.Draining = func() bool { return draining } })
	unknownLength := httptest.NewRequest("GET", "/", strings.NewReader("body"))
	unknownLength.ContentLength = -1
	for _, tc := range []struct {
		name string
		do   func() *httptest.ResponseRecorder
		want string
	}{
		{"plain request", func() *httptest.ResponseRecorder { return do(h, get("/")) }, ""},
		{"request with a body", func() *httptest.ResponseRecorder {
			return do(h, httptest.NewRequest("GET", "/", strings.NewReader("b")))
		}, "close"},
		{"request with a chunked body", func() *httptest.ResponseRecorder { return do(h, unknownLength) }, "close"},
		{"while draining", func() *httptest.ResponseRecorder {
			draining = true
			return do(h, get("/"))
		}, "close"},
	} {
		if got := tc.do().Header().Get("Connection"); got != tc.want {
			t.Errorf("%s: Connection %q, want %q", tc.name, got, tc.want)
		}
	}
}
