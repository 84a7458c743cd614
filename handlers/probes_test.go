package handlers_test

import (
	"context"
	"testing"
	"time"

	"apmapp/handlers"
)

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
		if w.Code != status || w.Body.String() != body || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %s %q, want %d text/plain %q", path, w.Code, w.Header().Get("Content-Type"), w.Body, status, body)
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
	all := logs()
	if len(all) != 6 {
		t.Errorf("%d log lines, want 6", len(all))
	}
	for _, l := range all {
		if l["level"] != "DEBUG" {
			t.Errorf("a probe is logged at %v, want DEBUG", l["level"])
		}
	}
}
