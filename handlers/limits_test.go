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
	refused := 0
	h, logs := surface(t, v, func(c *handlers.Config) {
		c.MaxConcurrent = 2
		c.Refused = func() { refused++ }
	})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if w := do(h, get("/")); w.Code != 200 {
				t.Errorf("a request within the limit got %d", w.Code)
			}
		})
		<-entered
	}
	// Requests without a route are refused too: they cost a span and a log line.
	for i, path := range []string{"/", "/api/trace", "/api/apm", "/no/such/page"} {
		const sentence = "The service is busy. Please try again."
		html := do(h, get(path))
		if body := html.Body.String(); html.Code != 503 || !strings.Contains(body, "<h1>503 Service Unavailable</h1>\n<p>"+sentence+"</p>") {
			t.Errorf("%s beyond the limit: %d %s, want 503 and a page", path, html.Code, body)
		}
		json := do(h, getJSON(path))
		if body := json.Body.String(); json.Code != 503 || body != `{"message":"`+sentence+`"}` {
			t.Errorf("%s beyond the limit, as JSON: %d %s", path, json.Code, body)
		}
		for _, w := range []*httptest.ResponseRecorder{html, json} {
			if w.Header().Get("Retry-After") != "1" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) || w.Header().Get("Vary") != "Accept" {
				t.Errorf("%s beyond the limit: headers %v", path, w.Header())
			}
		}
		head := get(path)
		head.Method = "HEAD"
		if w := do(h, head); w.Code != 503 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != fmt.Sprint(html.Body.Len()) {
			t.Errorf("HEAD %s beyond the limit: %d with %d bytes, headers %v", path, w.Code, w.Body.Len(), w.Header())
		}
		if refused != 3*(i+1) {
			t.Errorf("%d requests count as refused, want %d", refused, 3*(i+1))
		}
	}
	if all := logs(); len(all) != 0 {
		t.Errorf("refused requests are logged: %v", all)
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

// Over the limit a request waits for MaxWait, and the one that has waited longest is
// next.
func TestRequestsWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visits{latest: func(context.Context) (store.Visit, bool, error) {
			time.Sleep(100 * time.Millisecond)
			return store.Visit{}, false, nil
		}}
		h, logs := surface(t, v, func(c *handlers.Config) {
			c.MaxConcurrent = 1
			c.MaxWait = 250 * time.Millisecond
		})
		start := time.Now()
		var got [5]string
		var requests sync.WaitGroup
		for i := range got {
			requests.Go(func() {
				w := do(h, get("/"))
				got[i] = fmt.Sprint(w.Code, " after ", time.Since(start))
			})
			synctest.Wait() // so they arrive in order
		}
		requests.Wait()
		want := [5]string{"200 after 100ms", "200 after 200ms", "200 after 300ms", "503 after 250ms", "503 after 250ms"}
		if got != want {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		// The duration that is logged includes the wait.
		for i, l := range logs() {
			if want := float64((i + 1) * int(100*time.Millisecond)); l["duration"] != want {
				t.Errorf("request %d: logged a duration of %v, want %v", i+1, l["duration"], want)
			}
		}
	})
}

// If no place becomes free for MaxWait, further requests are refused at once, until one
// becomes free.
func TestNobodyWaitsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visits{latest: func(context.Context) (store.Visit, bool, error) {
			time.Sleep(10 * time.Second)
			return store.Visit{}, false, nil
		}}
		h, _ := surface(t, v, func(c *handlers.Config) { c.MaxConcurrent, c.MaxWait = 1, time.Second })
		request := func() (int, time.Duration) {
			start := time.Now()
			w := do(h, get("/"))
			return w.Code, time.Since(start)
		}
		time.Sleep(time.Hour) // an idle service is not a stalled one
		start := time.Now()
		var stalled sync.WaitGroup
		stalled.Go(func() { request() })
		synctest.Wait()
		for _, c := range []struct {
			at     time.Duration
			status int
			took   time.Duration
		}{
			{0, 503, time.Second},
			{time.Second, 503, 0},
			{9 * time.Second, 503, 0},
			{10 * time.Second, 200, 10 * time.Second},
		} {
			time.Sleep(c.at - time.Since(start))
			synctest.Wait()
			if status, took := request(); status != c.status || took != c.took {
				t.Errorf("a request at %s: %d after %s, want %d after %s", c.at, status, took, c.status, c.took)
			}
		}
		stalled.Wait()
	})
}

// A client that leaves while its request waits takes no place.
func TestWaitEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visits{latest: func(context.Context) (store.Visit, bool, error) {
			time.Sleep(time.Minute)
			return store.Visit{}, false, nil
		}}
		refused := 0
		h, _ := surface(t, v, func(c *handlers.Config) {
			c.MaxConcurrent, c.MaxWait = 1, time.Hour
			c.Refused = func() { refused++ }
		})
		var first sync.WaitGroup
		first.Go(func() { do(h, get("/")) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		do(h, get("/").WithContext(ctx))
		if took := time.Since(start); took != time.Second {
			t.Errorf("the request waited for %s, want 1s", took)
		}
		if refused != 1 {
			t.Errorf("%d requests count as refused, want the one that waited in vain", refused)
		}
		first.Wait()
	})
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

// Nobody reads a body, so a request with one is the last of its connection.
func TestBodiesEndTheirConnection(t *testing.T) {
	h, _ := surface(t, &visits{})
	for body, want := range map[string]string{"": "", "x": "close", "two": "close"} {
		w := do(h, httptest.NewRequest("GET", "/", strings.NewReader(body)))
		if got := w.Header().Get("Connection"); got != want {
			t.Errorf("a body of %d bytes: Connection %q, want %q", len(body), got, want)
		}
	}
}
