package traceagent_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"apmapp/internal/local/span"
	"apmapp/internal/traceagent"
)

// otelSpans returns a resource of the service shop, and a function that adds spans.
func otelSpans() (ptrace.Traces, func(traceID, spanID, parentID string, kind ptrace.SpanKind, name string) ptrace.Span) {
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	for name, value := range map[string]string{
		"service.name": "shop", "service.version": "1.2", "deployment.environment.name": "test",
		"host.name": "laptop", "k8s.pod.name": "shop-1", "telemetry.sdk.language": "go",
	} {
		resource.Resource().Attributes().PutStr(name, value)
	}
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("shop/http")
	return traces, func(traceID, spanID, parentID string, kind ptrace.SpanKind, name string) ptrace.Span {
		s := scope.Spans().AppendEmpty()
		var trace pcommon.TraceID
		var id, parent pcommon.SpanID
		for text, to := range map[string][]byte{traceID: trace[:], spanID: id[:], parentID: parent[:]} {
			if _, err := hex.Decode(to, []byte(text)); err != nil {
				panic(err)
			}
		}
		s.SetTraceID(trace)
		s.SetSpanID(id)
		s.SetParentSpanID(parent)
		s.SetKind(kind)
		s.SetName(name)
		now := time.Now()
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(2 * time.Millisecond)))
		return s
	}
}

// receive passes spans on and returns the chunks, sorted by trace ID, and the hits.
func receive(t *testing.T, traces ptrace.Traces) ([]span.Chunk, uint64) {
	t.Helper()
	r := &sink{}
	agent := traceagent.Start(traceagent.Config{Spans: r.span, Stats: r.stats, Logger: slog.New(slog.DiscardHandler)})
	otlp, err := agent.OTLP()
	if err != nil {
		t.Fatal(err)
	}
	if err := otlp.Receive(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	agent.Stop() // passes on all data
	slices.SortFunc(r.chunks, func(a, b span.Chunk) int { return strings.Compare(a.TraceID, b.TraceID) })
	return r.chunks, r.hits
}

const (
	otelTrace  = "0123456789abcdeffedcba9876543210"
	otherTrace = "1123456789abcdeffedcba9876543210" // with the same lower half
)

func TestOTLPSpan(t *testing.T) {
	traces, add := otelSpans()
	s := add(otelTrace, "00000000000000a1", "00000000000000b2", ptrace.SpanKindServer, "GET /cart")
	s.Attributes().PutStr("http.request.method", "GET")
	s.Attributes().PutStr("http.route", "/cart")
	s.Attributes().PutInt("http.response.status_code", 200)
	s.Attributes().PutDouble("ratio", 0.5)
	chunks, _ := receive(t, traces)
	if len(chunks) != 1 || len(chunks[0].Spans) != 1 {
		t.Fatalf("got %+v, want one span", chunks)
	}
	got := chunks[0].Spans[0]
	line := fmt.Sprintln(chunks[0].TraceID, chunks[0].Priority, got.SpanID, got.ParentID, got.Service, got.Operation, got.Resource, got.Type, got.Duration, got.Error)
	if want := otelTrace + " 1 161 178 shop http.server.request GET /cart web 2ms false\n"; line != want {
		t.Errorf("got  %swant %s", line, want)
	}
	for tag, want := range map[string]string{
		"env": "test", "version": "1.2", "host.name": "laptop", "k8s.pod.name": "shop-1",
		"span.kind": "server", "http.route": "/cart", "otel.scope.name": "shop/http", "error.message": "",
	} {
		if got.Tags[tag] != want {
			t.Errorf("tag %s: %q, want %q", tag, got.Tags[tag], want)
		}
	}
	if got.Metrics["ratio"] != 0.5 || got.Metrics["http.status_code"] != 200 {
		t.Errorf("metrics %v", got.Metrics)
	}
}

// TestOTLPStatistics: spans count by their kind, although their parents are not in the
// batch.
func TestOTLPStatistics(t *testing.T) {
	for kind, want := range map[ptrace.SpanKind]uint64{
		ptrace.SpanKindServer: 1, ptrace.SpanKindConsumer: 1, ptrace.SpanKindClient: 1, ptrace.SpanKindProducer: 1,
		ptrace.SpanKindInternal: 0, ptrace.SpanKindUnspecified: 0,
	} {
		traces, add := otelSpans()
		add(otelTrace, "00000000000000a1", "00000000000000b2", kind, "work")
		if _, hits := receive(t, traces); hits != want {
			t.Errorf("%s: %d hits, want %d", kind, hits, want)
		}
	}
	traces, add := otelSpans()
	add(otelTrace, "00000000000000a1", "", ptrace.SpanKindInternal, "job") // a root
	if _, hits := receive(t, traces); hits != 1 {
		t.Errorf("root: %d hits, want 1", hits)
	}
}

func TestOTLPErrors(t *testing.T) {
	exception := func(s ptrace.Span, class, message string) {
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.type", class)
		e.Attributes().PutStr("exception.message", message)
		e.Attributes().PutStr("exception.stacktrace", "at "+class)
	}
	for _, c := range []struct {
		name   string
		change func(ptrace.Span)
		want   string // error, type, message, stack
	}{
		{"no error", func(ptrace.Span) {}, "false///"},
		{"exception and status", func(s ptrace.Span) {
			exception(s, "IOError", "disk full")
			s.Status().SetCode(ptrace.StatusCodeError)
			s.Status().SetMessage("failed")
		}, "true/IOError/disk full/at IOError"},
		{"the last exception", func(s ptrace.Span) {
			exception(s, "First", "1")
			exception(s, "Second", "2")
			s.Events().AppendEmpty().SetName("retry")
			s.Status().SetCode(ptrace.StatusCodeError)
		}, "true/Second/2/at Second"},
		{"handled exception", func(s ptrace.Span) { exception(s, "IOError", "disk full") }, "false///"},
		{"exception without a message", func(s ptrace.Span) {
			s.Events().AppendEmpty().SetName("exception")
			s.Status().SetCode(ptrace.StatusCodeError)
			s.Status().SetMessage("failed")
		}, "true//failed/"},
		{"status only", func(s ptrace.Span) {
			s.Status().SetCode(ptrace.StatusCodeError)
			s.Status().SetMessage("failed")
		}, "true//failed/"},
		{"HTTP status", func(s ptrace.Span) {
			s.Attributes().PutInt("http.response.status_code", 503)
			s.Status().SetCode(ptrace.StatusCodeError)
		}, "true//503 Service Unavailable/"},
		{"old HTTP status, unknown", func(s ptrace.Span) {
			s.Attributes().PutInt("http.status_code", 599)
			s.Status().SetCode(ptrace.StatusCodeError)
		}, "true//599/"},
		{"attributes of the span win", func(s ptrace.Span) {
			exception(s, "IOError", "disk full")
			s.Attributes().PutStr("error.type", "500")
			s.Attributes().PutStr("error.message", "own")
			s.Status().SetCode(ptrace.StatusCodeError)
		}, "true/500/own/at IOError"},
	} {
		traces, add := otelSpans()
		c.change(add(otelTrace, "00000000000000a1", "", ptrace.SpanKindServer, "work"))
		chunks, _ := receive(t, traces)
		s := chunks[0].Spans[0]
		if got := fmt.Sprintf("%t/%s/%s/%s", s.Error, s.Tags["error.type"], s.Tags["error.message"], s.Tags["error.stack"]); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestOTLPEventsAndLinks: events and links arrive whatever is in them.
func TestOTLPEventsAndLinks(t *testing.T) {
	const hostile = `"],"x":"` + "\n\xff<script>"
	traces, add := otelSpans()
	s := add(otelTrace, "00000000000000a1", "", ptrace.SpanKindServer, "work")
	e := s.Events().AppendEmpty()
	e.SetName("retry " + hostile)
	e.SetTimestamp(1_700_000_000_000_000_001)
	e.Attributes().PutInt("tries", 3)
	e.Attributes().PutDouble("ratio", math.NaN())
	e.Attributes().PutStr("why", hostile)
	late := s.Events().AppendEmpty() // without a time
	late.SetName("exception")
	for _, id := range []pcommon.TraceID{{15: 1}, {}} { // a link to no trace is left out
		l := s.Links().AppendEmpty()
		l.SetTraceID(id)
		l.SetSpanID(pcommon.SpanID{7: 2})
		l.Attributes().PutStr("why", hostile)
	}
	start := s.StartTimestamp().AsTime()
	chunks, _ := receive(t, traces)
	got := chunks[0].Spans[0]
	const shown = `"],"x":"` + "\n\uFFFD<script>"
	if len(got.Events) != 2 || len(got.Links) != 1 {
		t.Fatalf("%+v %+v, want two events and one link", got.Events, got.Links)
	}
	first := got.Events[0]
	if first.Name != "retry "+shown || first.Time.UnixNano() != 1_700_000_000_000_000_001 ||
		!maps.Equal(first.Attributes, map[string]string{"tries": "3", "ratio": "NaN", "why": shown}) {
		t.Errorf("event %+v", first)
	}
	if got.Events[1].Name != "exception" || !got.Events[1].Time.Equal(start) || got.Tags["_dd.span_events.has_exception"] != "true" {
		t.Errorf("event %+v, want an exception at %s; tags %v", got.Events[1], start, got.Tags)
	}
	link, err := json.Marshal(got.Links[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := `"trace_id":"00000000000000000000000000000001","span_id":"2"`; !strings.Contains(string(link), want) || got.Links[0].Attributes["why"] != shown {
		t.Errorf("link %s, want %s", link, want)
	}
}

// TestOTLPLongEvents: long stacks and many events are shortened, so that the rest can
// be read. The last ones remain.
func TestOTLPLongEvents(t *testing.T) {
	traces, add := otelSpans()
	s := add(otelTrace, "00000000000000a1", "", ptrace.SpanKindServer, "long")
	e := s.Events().AppendEmpty()
	e.SetName("exception")
	e.Attributes().PutStr("exception.message", "short")
	e.Attributes().PutStr("exception.stacktrace", strings.Repeat("é", 20_000))
	many := add(otelTrace, "00000000000000a2", "", ptrace.SpanKindServer, "many")
	for i := range 1_000 {
		many.Events().AppendEmpty().SetName(fmt.Sprint("event ", i))
		l := many.Links().AppendEmpty()
		l.SetTraceID(pcommon.TraceID{15: 1})
		l.Attributes().PutStr("n", fmt.Sprint(i))
	}
	fits := add(otelTrace, "00000000000000a3", "", ptrace.SpanKindServer, "fits")
	fits.Events().AppendEmpty().SetName(strings.Repeat("x", 24_900))
	chunks, _ := receive(t, traces)
	for _, got := range chunks[0].Spans {
		switch got.Resource {
		case "long":
			stack := got.Events[0].Attributes["exception.stacktrace"]
			if got.Events[0].Attributes["exception.message"] != "short" || len(stack) < 5_000 || !strings.HasSuffix(stack, "…") {
				t.Errorf("long: %d bytes of the stack, message %q", len(stack), got.Events[0].Attributes["exception.message"])
			}
		case "many":
			if n, l := len(got.Events), len(got.Links); n < 200 || got.Events[n-1].Name != "event 999" || l < 100 || got.Links[l-1].Attributes["n"] != "999" {
				t.Errorf("many: %d events and %d links, want the last ones", n, l)
			}
		case "fits":
			if name := got.Events[0].Name; len(name) != 24_900 {
				t.Errorf("fits: %d bytes, want all", len(name))
			}
		}
	}
}

// TestOTLPTracesWithEqualHalves: traces whose IDs differ only in the upper half are not
// mixed up.
func TestOTLPTracesWithEqualHalves(t *testing.T) {
	traces, add := otelSpans()
	add(otelTrace, "00000000000000a1", "", ptrace.SpanKindServer, "a")
	add(otherTrace, "00000000000000a2", "", ptrace.SpanKindServer, "b")
	add(otelTrace, "00000000000000a3", "00000000000000a1", ptrace.SpanKindInternal, "c")
	add("0000000000000000fedcba9876543210", "00000000000000a4", "", ptrace.SpanKindServer, "d")
	chunks, hits := receive(t, traces)
	got := ""
	for _, c := range chunks {
		got += c.TraceID + ":"
		for _, s := range c.Spans {
			got += " " + s.Service + " " + s.Resource + " " + s.Tags["otel.scope.name"]
		}
		got += "\n"
	}
	const want = "0000000000000000fedcba9876543210: shop d shop/http\n" +
		otelTrace + ": shop a shop/http shop c shop/http\n" + otherTrace + ": shop b shop/http\n"
	if got != want || hits != 3 {
		t.Errorf("%d hits, want 3; got\n%swant\n%s", hits, got, want)
	}
}

// TestOTLPOddTimes: times that no span has become times that can be shown.
func TestOTLPOddTimes(t *testing.T) {
	for name, times := range map[string][2]pcommon.Timestamp{
		"no times": {0, 0}, "end before start": {1_700_000_000_000_000_000, 1}, "far future": {1 << 63, 1<<64 - 1},
		"no end": {1_700_000_000_000_000_000, 0},
	} {
		traces, add := otelSpans()
		s := add(otelTrace, "00000000000000a1", "", ptrace.SpanKindServer, "a")
		s.SetStartTimestamp(times[0])
		s.SetEndTimestamp(times[1])
		s.Events().AppendEmpty().SetName("event")
		chunks, _ := receive(t, traces)
		got := chunks[0].Spans[0]
		if year := got.Start.Year(); year < 2000 || year > time.Now().Year() || got.Duration < 0 || len(got.Events) != 1 {
			t.Errorf("%s: %s, %s, %d events", name, got.Start, got.Duration, len(got.Events))
		}
	}
}

func TestOTLPAfterStop(t *testing.T) {
	agent, _, _ := start(t)
	otlp, err := agent.OTLP()
	if err != nil {
		t.Fatal(err)
	}
	agent.Stop()
	traces, add := otelSpans()
	add(otelTrace, "00000000000000a1", "", ptrace.SpanKindServer, "a")
	if err := otlp.Receive(t.Context(), traces); err == nil || err.Error() != "the agent has stopped" {
		t.Errorf("got %v", err)
	}
}
