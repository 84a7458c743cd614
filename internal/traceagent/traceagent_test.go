package traceagent_test

import (
	"bytes"
	"fmt"
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

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"apmapp/internal/local/received"
	"apmapp/internal/local/span"
	"apmapp/internal/traceagent"
)

// sink is the data that an Agent passed on.
type sink struct {
	mu     sync.Mutex
	chunks []span.Chunk
	hits   uint64
}

func (r *sink) span(c span.Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks = append(r.chunks, c)
}

func (r *sink) stats(p *pb.StatsPayload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, client := range p.Stats {
		for _, bucket := range client.Stats {
			for _, group := range bucket.Stats {
				r.hits += group.Hits
			}
		}
	}
}

func start(t *testing.T) (*traceagent.Agent, *sink, string) {
	t.Helper()
	r := &sink{}
	agent := traceagent.Start(traceagent.Config{Spans: r.span, Stats: r.stats, Logger: slog.New(slog.DiscardHandler)})
	server := httptest.NewServer(agent)
	t.Cleanup(server.Close)
	return agent, r, server.URL
}

// post sends a trace, like a tracer that computes no statistics.
func post(t *testing.T, url string) {
	t.Helper()
	postAt(t, url, time.Now())
}

// postAt sends a trace that starts at a time.
func postAt(t *testing.T, url string, at time.Time) {
	t.Helper()
	trace := fmt.Sprintf(`[[{
		"trace_id": 81985529216486895, "span_id": 7, "parent_id": 0,
		"service": "shop", "name": "http.request", "resource": "GET /cart", "type": "web",
		"start": %d, "duration": 2000000, "error": 1,
		"meta": {"_dd.p.tid": "6745f0a100000000", "env": "test", "http.status_code": "500"},
		"metrics": {"_sampling_priority_v1": 1, "_top_level": 1, "items": 3}
	}]]`, at.UnixNano())
	request, err := http.NewRequest(http.MethodPut, url+"/v0.4/traces", strings.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Datadog-Trace-Count", "1")
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}

func TestTraceIsComplete(t *testing.T) {
	agent, r, url := start(t)
	post(t, url)
	agent.Stop() // passes on all data

	if len(r.chunks) != 1 || len(r.chunks[0].Spans) != 1 {
		t.Fatalf("got %+v, want one trace of one span", r.chunks)
	}
	chunk, s := r.chunks[0], r.chunks[0].Spans[0]
	if want := "6745f0a1000000000123456789abcdef"; chunk.TraceID != want {
		t.Errorf("trace ID %s, want %s", chunk.TraceID, want)
	}
	got := fmt.Sprintln(chunk.Priority, s.SpanID, s.ParentID, s.Service, s.Operation, s.Resource,
		s.Type, s.Duration, s.Error, s.Tags["env"], s.Tags["http.status_code"], s.Metrics["items"])
	if want := "1 7 0 shop http.request GET /cart web 2ms true test 500 3\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.hits != 1 {
		t.Errorf("statistics count %d spans, want 1", r.hits)
	}
}

// TestVersion compares the version with go.mod.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`datadog-agent/pkg/trace v0\.(\S+)`).FindSubmatch(mod)
	if m == nil || traceagent.Version != "7."+string(m[1]) {
		t.Errorf("version %s, and go.mod has %q", traceagent.Version, m)
	}
}

// TestReceived: payloads of each protocol are counted, and empty traces and those
// with the ID 0 are dropped.
func TestReceived(t *testing.T) {
	agent, r, url := start(t)
	now := time.Now().UnixNano()
	of := func(traceID, spanID uint64) *pb.Span {
		return &pb.Span{TraceID: traceID, SpanID: spanID, Service: "shop", Name: "a", Resource: "b", Start: now, Duration: 1, Metrics: map[string]float64{"_sampling_priority_v1": 1}}
	}
	body, err := pb.Traces{{of(1, 2)}, {}, {of(0, 3), of(0, 4)}, {of(5, 6)}}.MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v0.3/traces", "/v0.4/traces"} {
		resp, err := http.Post(url+path, "application/msgpack", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	agent.Flush()
	all := agent.Received()
	slices.SortFunc(all, func(a, b received.Tracer) int { return strings.Compare(a.Protocol, b.Protocol) })
	if len(all) != 2 || all[0].Protocol != "v0.3" || all[1].Protocol != "v0.4" {
		t.Fatalf("%+v, want v0.3 and v0.4", all)
	}
	for _, got := range all {
		if got.Traces != 4 || got.Spans != 4 || got.Payloads != 1 || got.Bytes != int64(len(body)) || got.Refused["trace_id_zero"] != 1 || got.Refused["empty_trace"] != 1 || !slices.Equal(got.Services, []string{"shop"}) {
			t.Errorf("%+v", got)
		}
	}
	if len(r.chunks) != 4 {
		t.Errorf("%d traces are passed on, want 4", len(r.chunks))
	}
	agent.Stop()
	resp, err := http.Post(url+"/v0.4/traces", "application/msgpack", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d after Stop, want 503", resp.StatusCode)
	}
}

// TestFutureSpansAreNotCounted: spans of a wrong clock are passed on, and not counted as of
// now.
func TestFutureSpansAreNotCounted(t *testing.T) {
	agent, r, url := start(t)
	for _, ahead := range []time.Duration{time.Minute, 24 * time.Hour, -24 * time.Hour, 5 * time.Second} {
		postAt(t, url, time.Now().Add(ahead))
	}
	agent.Stop()
	if len(r.chunks) != 4 || r.hits != 2 {
		t.Errorf("%d traces and %d hits, want 4 and 2", len(r.chunks), r.hits)
	}

	traces, add := otelSpans()
	for i, ahead := range []time.Duration{0, time.Minute} {
		s := add(otelTrace, fmt.Sprintf("00000000000000a%d", i), "", ptrace.SpanKindServer, "a")
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(ahead)))
		s.SetEndTimestamp(s.StartTimestamp() + 1)
	}
	if chunks, hits := receive(t, traces); len(chunks) != 1 || len(chunks[0].Spans) != 2 || hits != 1 {
		t.Errorf("OpenTelemetry: %+v and %d hits, want 2 spans and 1 hit", chunks, hits)
	}
}

// TestFlush: the data of a request that has been answered was passed on, also when
// several goroutines flush.
func TestFlush(t *testing.T) {
	agent, r, url := start(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				post(t, url)
				r.mu.Lock()
				before := len(r.chunks)
				r.mu.Unlock()
				agent.Flush()
				r.mu.Lock()
				if len(r.chunks) < before || r.hits < 1 {
					t.Error("nothing was passed on")
				}
				r.mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(r.chunks) != 100 || r.hits != 100 {
		t.Errorf("%d traces and %d hits, want 100 of each", len(r.chunks), r.hits)
	}
	agent.Stop()
}
