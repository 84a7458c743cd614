package handlers_test

import (
	"io"
	"log/slog"
	"testing"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
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
