package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/local/span"
	"apmapp/internal/traceagent"
	"apmapp/loadgen/report"
)

// tracing starts an Agent that runs the Agent's own code, and makes the tracer use it.
// stop returns the spans that it received, by trace and span: "trace-span".
func tracing(t *testing.T) (stop func() map[string]span.Span) {
	t.Helper()
	var mu sync.Mutex
	spans := map[string]span.Span{}
	agent := traceagent.Start(traceagent.Config{
		Spans: func(c span.Chunk) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range c.Spans {
				spans[fmt.Sprintf("%s-%016x", c.TraceID, s.SpanID)] = s
			}
		},
		Stats:  func(*pb.StatsPayload) {},
		Logger: slog.New(slog.DiscardHandler),
	})
	described, err := agent.Describe(traceagent.Info{}, agent)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(described)
	t.Setenv("DD_TRACE_AGENT_URL", server.URL)
	t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	return func() map[string]span.Span {
		agent.Stop()
		server.Close()
		return spans
	}
}

// TestTrace has the Agent's own code receive loadgen's spans, and a target that
// notes the traces it was asked to continue. The report lists the traces of the spans.
func TestTrace(t *testing.T) {
	stop := tracing(t)
	var mu sync.Mutex
	continued := map[string]bool{}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		continued[strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Traceparent"), "00-"), "-01")] = true
		// A service that does not continue traces has its own.
		w.Header().Set("Traceresponse", "00-11111111111111111111111111111111-3333333333333333-01")
	}))
	defer service.Close()

	status, stdout, stderr := execute(t.Context(), "-url", service.URL, "-rps", "100", "-duration", "200ms", "-paths", "/a?secret", "-trace", "-json")
	spans := stop()
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if len(spans) != 20 || len(continued) != 20 {
		t.Errorf("%d spans, %d requests with a trace, want 20 of each", len(spans), len(continued))
	}
	traces := map[string]bool{}
	for id, s := range spans {
		traces[id[:32]] = true
		if !continued[id] {
			t.Errorf("no request continues %s: %v", id, continued)
		}
		if s.Service != "loadgen" || s.Operation != "http.request" || s.Resource != "GET /a" || s.Type != "http" || s.Tags["span.kind"] != "client" || s.Error {
			t.Errorf("%+v", s)
		}
	}
	result, err := report.ReadJSON(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Slowest) == 0 {
		t.Error("no slowest requests are listed")
	}
	for _, s := range result.Slowest {
		if !traces[s.TraceID] {
			t.Errorf("trace %q is listed, which is not one of loadgen's: %v", s.TraceID, traces)
		}
	}
}

// A request without an answer has a trace too: only that of loadgen.
func TestTraceOfRequestsWithoutAnAnswer(t *testing.T) {
	stop := tracing(t)
	status, stdout, _ := execute(t.Context(), "-url", "http://127.0.0.1:1", "-rps", "50", "-duration", "100ms", "-trace", "-json")
	spans := stop()
	result, err := report.ReadJSON(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	traces := map[string]bool{}
	for id, s := range spans {
		traces[id[:32]] = s.Error
	}
	if status != 1 || len(spans) != 5 || len(result.Failed) != 5 {
		t.Fatalf("status %d, %d spans, %d failed requests are listed, want 1, 5 and 5", status, len(spans), len(result.Failed))
	}
	for _, s := range result.Failed {
		if !traces[s.TraceID] {
			t.Errorf("trace %q is listed, which is not that of a failed span: %v", s.TraceID, traces)
		}
	}
}

// A missing Agent is one line, with its address and what to do. The run goes on.
func TestTraceWithoutAnAgent(t *testing.T) {
	url, _ := serve(t, 0)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	socket := filepath.Join(t.TempDir(), "apm.socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	refusing := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })}
	go func() { _ = refusing.Serve(l) }()
	defer refusing.Close()
	t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	t.Setenv("DD_TRACE_STARTUP_LOGS", "false") // about the startup log, not about this
	for _, c := range []struct{ agent, want string }{
		{"http://127.0.0.1:1", "connection refused"},
		{"unix://" + socket + ".none", "no such file"},
		{other.URL, "it answers 404 Not Found"},
		{"unix://" + socket, "it answers 403 Forbidden"},
	} {
		t.Setenv("DD_TRACE_AGENT_URL", c.agent)
		status, stdout, stderr := execute(t.Context(), "-url", url, "-rps", "100", "-duration", "100ms", "-trace")
		if status != 0 || !strings.Contains(stdout, "10 sent, 0 dropped, 0 failed") {
			t.Errorf("%s: status %d: %s", c.agent, status, stdout)
		}
		if start := "loadgen: warning: -trace: no Agent takes spans at " + c.agent + ": "; strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, start) || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: stderr is %q, want one line that begins with %q and contains %q", c.agent, stderr, start, c.want)
		}
		if want := "start one (go run ./cmd/localagent, or make demo) or set DD_TRACE_AGENT_URL\n"; !strings.HasSuffix(stderr, want) {
			t.Errorf("%s: stderr is %q, want it to end with %q", c.agent, stderr, want)
		}
	}
}

// Warnings and errors of the tracer are passed on if there is an Agent, debug messages
// always.
func TestTracerLog(t *testing.T) {
	var got strings.Builder
	l := &tracerLog{warn: func(format string, args ...any) { fmt.Fprintf(&got, format, args...) }}
	l.Log("Datadog Tracer v2 WARN: early")
	if got.Len() > 0 {
		t.Errorf("passed on before the Agent was looked for: %s", &got)
	}
	l.started()
	l.Log("Datadog Tracer v2 INFO: fine")
	l.Log("Datadog Tracer v2 DEBUG: detail\n")
	l.Log("Datadog Tracer v2 ERROR: lost 3 traces\n")
	l.stop()
	l.Log("Datadog Tracer v2 ERROR: late")
	if want := "loadgen: warning: Datadog Tracer v2 WARN: early\nloadgen: Datadog Tracer v2 DEBUG: detail\nloadgen: warning: Datadog Tracer v2 ERROR: lost 3 traces\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}
