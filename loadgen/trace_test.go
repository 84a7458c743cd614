package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/traceagent"
)

// TestTrace has the Agent's own code receive loadgen's spans, and a target that
// notes the traces it was asked to continue.
func TestTrace(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	spans, continued := map[string]traceagent.Span{}, map[string]bool{}
	agent, err := traceagent.Start(traceagent.Config{
		Listener: listener,
		Spans: func(c traceagent.Chunk) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range c.Spans {
				spans[fmt.Sprintf("%s-%016x", c.TraceID, s.SpanID)] = s
			}
		},
		Stats:  func(*pb.StatsPayload) {},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DD_TRACE_AGENT_URL", "http://"+listener.Addr().String())
	t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		continued[strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Traceparent"), "00-"), "-01")] = true
	}))
	defer service.Close()

	status, _, stderr := execute(t.Context(), "-url", service.URL, "-rps", "100", "-duration", "200ms", "-paths", "/a?secret=1", "-trace")
	agent.Stop()
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if len(spans) != 20 || len(continued) != 20 {
		t.Errorf("%d spans, %d requests with a trace, want 20 of each", len(spans), len(continued))
	}
	for id, s := range spans {
		if !continued[id] {
			t.Errorf("no request continues %s: %v", id, continued)
		}
		if s.Service != "loadgen" || s.Operation != "http.request" || s.Resource != "GET /a" || s.Type != "http" || s.Tags["span.kind"] != "client" || s.Error {
			t.Errorf("%+v", s)
		}
	}
}
