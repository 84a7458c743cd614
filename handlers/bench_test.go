package handlers_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// BenchmarkRequest measures a request without MySQL, including its log line. The
// difference between the two cases is the cost of tracing.
func BenchmarkRequest(b *testing.B) {
	telemetry.StopTracer()
	for _, tracing := range []bool{false, true} {
		b.Run("tracing="+map[bool]string{false: "off", true: "on"}[tracing], func(b *testing.B) {
			cfg := telemetry.Config{Service: "apmapp", Version: "test", Tracing: tracing, LogsInjection: true}
			telemetry.Start(cfg, slog.New(slog.DiscardHandler))
			defer telemetry.StopTracer()
			h, _ := surface(b, &visits{}, func(c *handlers.Config) {
				c.Telemetry = cfg
				c.Logger = telemetry.NewLogger(io.Discard, cfg)
			})
			b.ReportAllocs()
			for b.Loop() {
				if w := do(h, get("/")); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// BenchmarkRefusal compares a refusal with the request that it replaces, both without
// MySQL and without the network. It fails if the refusal takes more than 15 % of the
// time: then a service that refuses most requests has no time for the others.
func BenchmarkRefusal(b *testing.B) {
	cfg := telemetry.Config{Service: "apmapp", Version: "test", Tracing: true, LogsInjection: true}
	started, release := make(chan struct{}), make(chan struct{})
	v := &visits{}
	h, _ := surface(b, v, func(c *handlers.Config) {
		c.Telemetry, c.MaxConcurrent, c.Refused = cfg, 1, func() {}
		c.Logger = telemetry.NewLogger(io.Discard, cfg)
	})
	request := func(want int) time.Duration {
		const n = 5000
		start := time.Now()
		for range n {
			if w := do(h, get("/")); w.Code != want {
				b.Fatalf("%d, want %d", w.Code, want)
			}
		}
		return time.Since(start) / n
	}
	var served, refused time.Duration
	for b.Loop() {
		served += request(200)
		v.latest = func(context.Context) (store.Visit, bool, error) {
			close(started)
			<-release
			return store.Visit{}, false, nil
		}
		var running sync.WaitGroup
		running.Go(func() { do(h, get("/")) })
		<-started
		refused += request(503)
		close(release)
		running.Wait()
		v.latest, started, release = nil, make(chan struct{}), make(chan struct{})
	}
	share := float64(refused) / float64(served)
	b.ReportMetric(float64(served.Nanoseconds())/float64(b.N), "ns/served")
	b.ReportMetric(float64(refused.Nanoseconds())/float64(b.N), "ns/refused")
	b.ReportMetric(100*share, "%refused/served")
	b.ReportMetric(0, "ns/op")
	if share > 0.15 {
		b.Errorf("a refusal takes %.1f %% of the time of a request, want at most 15 %%", 100*share)
	}
}
