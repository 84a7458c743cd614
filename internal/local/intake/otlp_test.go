package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
	"apmapp/internal/testing/poll"
)

const otelTrace = "0123456789abcdeffedcba9876543210"

// otlpRequests are requests of an SDK in JSON, by path: a span, a log line, a sum.
func otlpRequests(at time.Time) map[string]string {
	const resource = `"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}`
	ns := func(t time.Time) string { return fmt.Sprint(t.UnixNano()) }
	return map[string]string{
		"/v1/traces": `{"resourceSpans":[{` + resource + `,"scopeSpans":[{"spans":[{"traceId":"` + otelTrace + `","spanId":"00000000000000a1","name":"pay","kind":2,"startTimeUnixNano":"` + ns(at) + `","endTimeUnixNano":"` + ns(at.Add(time.Millisecond)) + `"}]}]}]}`,
		"/v1/logs":   `{"resourceLogs":[{` + resource + `,"scopeLogs":[{"logRecords":[{"timeUnixNano":"` + ns(at) + `","traceId":"` + otelTrace + `","spanId":"00000000000000a1","body":{"stringValue":"paid"}}]}]}]}`,
		"/v1/metrics": `{"resourceMetrics":[{` + resource + `,"scopeMetrics":[{"metrics":[{"name":"orders","sum":{"aggregationTemporality":2,"isMonotonic":true,` +
			`"dataPoints":[{"startTimeUnixNano":"` + ns(at.Add(-time.Minute)) + `","timeUnixNano":"` + ns(at) + `","asInt":"60"}]}}]}]}]}`,
	}
}

// startOTLP starts an agent with ports for OpenTelemetry.
func startOTLP(t *testing.T, taps ...Tap) (*Agent, *store.Store, *received.Counters) {
	t.Helper()
	free := func(flag string) OTLPAddr { return OTLPAddr{Flag: flag, Addr: "127.0.0.1:0"} }
	listeners, err := ListenOTLP(free("otlp-grpc"), free("otlp-http"), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	s, counters := store.New(0), received.New()
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", OTLP: listeners, Store: s, Received: counters, Taps: taps, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, s, counters
}

func postOTLP(t *testing.T, a *Agent, path, body string, status int) {
	t.Helper()
	resp, err := http.Post("http://"+a.OTLPHTTP().String()+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != status {
		t.Errorf("%s: %s %s, want %d", path, resp.Status, answer, status)
	}
}

// stored checks that a store has the span, the line with its trace and the sum.
func stored(t *testing.T, s *store.Store) {
	t.Helper()
	poll.True(t, "the trace is stored", func() bool { _, found := s.Trace(otelTrace); return found })
	trace, _ := s.Trace(otelTrace)
	if sp := trace.Spans[0]; len(trace.Spans) != 1 || sp.Service != "shop" || sp.Resource != "pay" || sp.SpanID != 0xa1 {
		t.Errorf("trace %+v", trace)
	}
	lines, n := s.Logs(store.LogFilter{TraceID: otelTrace, Limit: 10})
	if n != 1 || lines[0].Message != "paid" || lines[0].Service != "shop" || lines[0].SpanID != "161" {
		t.Errorf("%d lines %+v", n, lines)
	}
	metrics := s.Metrics("orders")
	if len(metrics) != 1 || metrics[0].Tags != "service:shop" || len(metrics[0].Points) < 6 || metrics[0].Points[1].Value != 1 {
		t.Errorf("metrics %+v, want one per second", metrics)
	}
}

// TestOTLPIsRecordedAndReplayed: what an SDK sent shows again as it was, on its own
// clock.
func TestOTLPIsRecordedAndReplayed(t *testing.T) {
	var tape bytes.Buffer
	recorder := NewRecorder(&tape)
	a, s, counters := startOTLP(t, recorder)
	for path, body := range otlpRequests(time.Now()) {
		postOTLP(t, a, path, body, 200)
	}
	postOTLP(t, a, "/v1/traces", "x", 400)
	stored(t, s)
	report := counters.Report()
	if len(report.Requests) != 3 || report.Requests[0].Status != 200 || report.Reasons["OTLP traces: malformed JSON"] != 1 {
		t.Errorf("counted %+v", report)
	}
	if err := recorder.Err(); err != nil || strings.Count(tape.String(), "\n") != 3 {
		t.Errorf("%v, recorded %s", err, &tape)
	}

	again, s, counters := startOTLP(t)
	if skipped, err := again.Replay(&tape); err != nil || skipped.Requests != 0 {
		t.Errorf("replay: %v, skipped %+v", err, skipped)
	}
	stored(t, s)
	if got := len(counters.Report().Requests); got != 3 {
		t.Errorf("the replay counts %d kinds of requests, want 3", got)
	}
}

// TestOTLPSentAgain: SDKs send again when an answer was lost. Each request is counted once,
// also when the second one comes over the other transport, or from a recording.
func TestOTLPSentAgain(t *testing.T) {
	var tape bytes.Buffer
	a, s, counters := startOTLP(t, NewRecorder(&tape))
	requests := otlpRequests(time.Now())
	for range 2 {
		for path, body := range requests {
			postOTLP(t, a, path, body, 200)
		}
	}
	in := ptraceotlp.NewExportRequest()
	if err := in.UnmarshalJSON([]byte(strings.Replace(requests["/v1/traces"], "00a1", "00a2", 1))); err != nil {
		t.Fatal(err)
	}
	body, err := in.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(a.OTLPGRPC().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := http.Post("http://"+a.OTLPHTTP().String()+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), in); err != nil {
		t.Error(err)
	}
	if _, err := a.Replay(bytes.NewReader(tape.Bytes())); err != nil {
		t.Error(err)
	}
	s.Live()
	a.flush()
	if n := s.Services()[0].Hits; n != 2 {
		t.Errorf("%d hits of two spans", n)
	}
	if _, n := s.Logs(store.LogFilter{Limit: 10}); n != 1 {
		t.Errorf("%d log lines, want 1", n)
	}
	if r := counters.Report(); r.Duplicates != 12 { // 3 again, 1 over gRPC, 8 of the recording
		t.Errorf("%d payloads are duplicates, want 12", r.Duplicates)
	}
}

// TestOTLPOfARecording replays requests of long ago, then receives one of now.
func TestOTLPOfARecording(t *testing.T) {
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	var tape bytes.Buffer
	recorder := NewRecorder(&tape)
	for path, body := range otlpRequests(at) {
		recorder.Hear(Event{Time: at, Kind: Request, Method: "POST", Path: path, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)})
	}
	recorder.Hear(Event{Time: at, Kind: Request, Method: "POST", Path: "/v1/traces", Body: []byte("{}")}) // no content type
	a, s, counters := startOTLP(t)
	skipped, err := a.Replay(&tape)
	if err != nil || skipped.Requests != 1 || !strings.HasSuffix(skipped.First.Error(), "POST /v1/traces: refused with status 415") {
		t.Errorf("replay: %v, skipped %+v", err, skipped)
	}
	stored(t, s)
	if now := s.Now(); !now.Equal(at) {
		t.Errorf("the time is %s, want that of the recording", now)
	}
	postOTLP(t, a, "/v1/logs", "{}", 200)
	if now := s.Now(); time.Since(now) > time.Minute {
		t.Errorf("the time is %s, want the present", now)
	}
	if got := counters.Report().Reasons["OTLP traces: content type"]; got != 1 {
		t.Errorf("counted %d refusals, want 1", got)
	}
}

// TestOTLPGRPC: requests of gRPC are recorded in the form of HTTP, and counted.
func TestOTLPGRPC(t *testing.T) {
	var tape bytes.Buffer
	a, s, counters := startOTLP(t, NewRecorder(&tape))
	conn, err := grpc.NewClient(a.OTLPGRPC().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := ptraceotlp.NewExportRequest()
	if err := in.UnmarshalJSON([]byte(otlpRequests(time.Now())["/v1/traces"])); err != nil {
		t.Fatal(err)
	}
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	poll.True(t, "the trace is stored", func() bool { _, found := s.Trace(otelTrace); return found })
	if r := counters.Report().Requests; len(r) != 1 || r[0].Path != "/v1/traces" || r[0].Status != 200 || r[0].Requests != 1 {
		t.Errorf("counted %+v", r)
	}
	again, s, _ := startOTLP(t)
	if skipped, err := again.Replay(&tape); err != nil || skipped.Requests != 0 {
		t.Errorf("replay: %v, skipped %+v", err, skipped)
	}
	poll.True(t, "the trace is stored again", func() bool { _, found := s.Trace(otelTrace); return found })
}

// TestOTLPOfTheAgentsPort: the port for tracers of Datadog does not take OpenTelemetry.
func TestOTLPOfTheAgentsPort(t *testing.T) {
	a, _, counters := startOTLP(t)
	resp, err := http.Post("http://"+a.Addr().String()+"/v1/traces", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	poll.True(t, "the request is counted", func() bool { return len(counters.Report().Requests) == 1 })
	if r := counters.Report().Requests[0]; r.Status != 404 || !strings.Contains(r.Product, "OpenTelemetry") {
		t.Errorf("%+v", r)
	}
}

func TestListenOTLP(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := taken.Addr().String()
	for _, c := range []struct {
		name       string
		grpc, http OTLPAddr
		listening  string
		warnings   string
		err        string
	}{
		{"none", OTLPAddr{}, OTLPAddr{}, "false false", "", ""},
		{"one", OTLPAddr{}, OTLPAddr{Addr: "127.0.0.1:0"}, "false true", "", ""},
		{"optional and in use", OTLPAddr{Flag: "otlp-grpc", Addr: used, Optional: true}, OTLPAddr{Addr: "127.0.0.1:0", Optional: true}, "false true",
			"another process, perhaps a collector, uses " + used + ": starting without it; choose another address with -otlp-grpc", ""},
		{"in use", OTLPAddr{Addr: "127.0.0.1:0"}, OTLPAddr{Flag: "otlp-http", Addr: used}, "false false", "",
			"-otlp-http: another process, perhaps a collector, uses " + used + "; choose another one: "},
		{"not an address", OTLPAddr{Flag: "otlp-grpc", Addr: "127.0.0.1:x", Optional: true}, OTLPAddr{}, "false false", "", "-otlp-grpc: listen tcp: "},
	} {
		warnings := ""
		o, err := ListenOTLP(c.grpc, c.http, func(err error) { warnings += err.Error() })
		if listening := fmt.Sprint(o.GRPC != nil, " ", o.HTTP != nil); listening != c.listening || warnings != c.warnings {
			t.Errorf("%s: listening %s, warnings %q, want %s and %q", c.name, listening, warnings, c.listening, c.warnings)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: %v, want %s", c.name, err, c.err)
		}
		if c.name == "in use" && !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v is not EADDRINUSE", c.name, err)
		}
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}
	// A name that the user chose is allowed in browsers.
	o, err := ListenOTLP(OTLPAddr{Addr: "LOCALHOST:0"}, OTLPAddr{}, nil)
	if err != nil || fmt.Sprint(o.hosts) != "[localhost]" {
		t.Errorf("%v, %v", o.hosts, err)
	}
	// An agent that does not start closes the listeners.
	if _, err := Start(Config{Addr: used, OTLP: o, Store: store.New(0)}); err == nil {
		t.Fatal("the agent started at an address in use")
	}
	if err := o.GRPC.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want a closed listener", err)
	}
}

// TestOTLPIsForwarded: a real Agent takes OpenTelemetry at port 4318.
func TestOTLPIsForwarded(t *testing.T) {
	to, err := url.Parse("http://127.0.0.1:8126")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewForwarder(to)
	if err != nil {
		t.Fatal(err)
	}
	var sent string
	f.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		sent += r.URL.String() + " " + string(body) + "\n"
		return httptest.NewRecorder().Result(), err
	})
	f.Hear(Event{Kind: Request, Method: "POST", Path: "/v1/traces", Body: []byte("a")})
	f.Hear(Event{Kind: Request, Method: "POST", Path: "/v0.4/traces", Body: []byte("b")})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "http://127.0.0.1:4318/v1/traces a\nhttp://127.0.0.1:8126/v0.4/traces b\n"; sent != want || f.Dropped() != 0 {
		t.Errorf("sent %s, want %s", sent, want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
