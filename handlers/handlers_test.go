package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// TestMain runs the tests with a real tracer, without an Agent.
func TestMain(m *testing.M) {
	os.Setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:1")
	os.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	startTracer()
	code := m.Run()
	telemetry.StopTracer()
	os.Exit(code)
}

func startTracer() {
	cfg := telemetry.Config{Service: "apmapp", Version: "test", Tracing: true}
	telemetry.Start(cfg, slog.New(slog.DiscardHandler))
}

// visits is a store in memory. Tests replace its methods by setting functions.
type visits struct {
	latest   func(context.Context) (store.Visit, bool, error)
	err      error // of Recent and Record
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
	return newest[:min(n, len(newest))], v.err
}

func (v *visits) Record(_ context.Context, visit store.Visit) (store.Visit, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	visit.ID = uint64(len(v.recorded) + 1)
	v.recorded = append(v.recorded, visit)
	return visit, v.err
}

func (v *visits) Ready(ctx context.Context) error {
	if v.ready != nil {
		return v.ready(ctx)
	}
	return nil
}

// surface returns the handler over v, and a function that returns its new log
// lines.
func surface(t testing.TB, v *visits, change ...func(*handlers.Config)) (http.Handler, func() []line) {
	t.Helper()
	var logs bytes.Buffer
	tele := telemetryConfig(t, "")
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

// telemetryConfig returns a configuration with the statuses that make a span an
// error, or with their default.
func telemetryConfig(t testing.TB, errorStatuses string) telemetry.Config {
	t.Helper()
	getenv := func(name string) string {
		if name == "DD_TRACE_HTTP_SERVER_ERROR_STATUSES" {
			return errorStatuses
		}
		return ""
	}
	cfg := telemetry.ConfigFromEnv(getenv, "apmapp", "test")
	cfg.LogLevel = slog.LevelDebug
	return cfg
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

func getJSON(target string) *http.Request {
	r := get(target)
	r.Header.Set("Accept", "application/json")
	return r
}
