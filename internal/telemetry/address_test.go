package telemetry

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// Addresses of the Agent and of DogStatsD, with the variables that decide. The sockets
// are paths that exist.
var addresses = []struct {
	env                   map[string]string
	sockets               []string
	agent, agentFrom      string
	dogStatsD, statsdFrom string
}{
	{nil, nil, "http://localhost:8126", "the default: no variable names an address, and /var/run/datadog/apm.socket does not exist",
		"localhost:8125", "the default: no variable names an address, and /var/run/datadog/dsd.socket does not exist"},
	{nil, []string{apmSocket, dsdSocket}, "unix:///var/run/datadog/apm.socket", "the Agent's socket, because no variable names an address",
		"unix:///var/run/datadog/dsd.socket", "the Agent's socket, because neither DD_DOGSTATSD_HOST nor DD_DOGSTATSD_PORT is set"},
	{map[string]string{"DD_AGENT_HOST": "127.0.0.7"}, []string{apmSocket, dsdSocket}, "http://127.0.0.7:8126", "DD_AGENT_HOST",
		"unix:///var/run/datadog/dsd.socket", "the Agent's socket, because neither DD_DOGSTATSD_HOST nor DD_DOGSTATSD_PORT is set"},
	{map[string]string{"DD_AGENT_HOST": "127.0.0.7"}, nil, "http://127.0.0.7:8126", "DD_AGENT_HOST", "127.0.0.7:8125", "DD_AGENT_HOST"},
	{map[string]string{"DD_AGENT_HOST": "::1"}, nil, "http://[::1]:8126", "DD_AGENT_HOST", "[::1]:8125", "DD_AGENT_HOST"},
	{map[string]string{"DD_TRACE_AGENT_PORT": "9126", "DD_DOGSTATSD_PORT": "9125"}, []string{apmSocket, dsdSocket}, "http://localhost:9126", "DD_TRACE_AGENT_PORT",
		"localhost:9125", "DD_DOGSTATSD_PORT"},
	{map[string]string{"DD_AGENT_HOST": "127.0.0.7", "DD_TRACE_AGENT_PORT": "9126", "DD_DOGSTATSD_PORT": "9125"}, nil, "http://127.0.0.7:9126", "DD_AGENT_HOST and DD_TRACE_AGENT_PORT",
		"127.0.0.7:9125", "DD_AGENT_HOST and DD_DOGSTATSD_PORT"},
	{map[string]string{"DD_AGENT_HOST": "127.0.0.7", "DD_DOGSTATSD_HOST": "127.0.0.8"}, nil, "http://127.0.0.7:8126", "DD_AGENT_HOST", "127.0.0.8:8125", "DD_DOGSTATSD_HOST"},
	{map[string]string{"DD_DOGSTATSD_HOST": "127.0.0.8", "DD_DOGSTATSD_PORT": "9125"}, []string{dsdSocket}, "http://localhost:8126", "the default: no variable names an address, and /var/run/datadog/apm.socket does not exist",
		"127.0.0.8:9125", "DD_DOGSTATSD_HOST and DD_DOGSTATSD_PORT"},
	{map[string]string{"DD_TRACE_AGENT_URL": "https://127.0.0.7:9126", "DD_AGENT_HOST": "127.0.0.8", "DD_DOGSTATSD_URL": "unix:///dsd", "DD_DOGSTATSD_HOST": "127.0.0.8"}, []string{apmSocket, dsdSocket},
		"https://127.0.0.7:9126", "DD_TRACE_AGENT_URL", "unix:///dsd", "DD_DOGSTATSD_URL"},
	{map[string]string{"DD_TRACE_AGENT_URL": "unix:///apm.socket"}, nil, "unix:///apm.socket", "DD_TRACE_AGENT_URL",
		"localhost:8125", "the default: no variable names an address, and /var/run/datadog/dsd.socket does not exist"},
	{map[string]string{"DD_TRACE_AGENT_URL": "tcp://127.0.0.7:9126", "DD_AGENT_HOST": "127.0.0.8"}, nil, "http://127.0.0.8:8126", "DD_AGENT_HOST", "127.0.0.8:8125", "DD_AGENT_HOST"},
}

func TestAddresses(t *testing.T) {
	for _, c := range addresses {
		getenv := func(name string) string { return c.env[name] }
		exists := func(path string) bool { return strings.Contains(strings.Join(c.sockets, " "), path) }
		if got, want := agentAddr(getenv, exists), (Address{c.agent, c.agentFrom}); got != want {
			t.Errorf("%v %v: the Agent is at %q, want %q", c.env, c.sockets, got, want)
		}
		if got, want := dogStatsDAddr(getenv, exists), (Address{c.dogStatsD, c.statsdFrom}); got != want {
			t.Errorf("%v %v: DogStatsD is at %q, want %q", c.env, c.sockets, got, want)
		}
	}
	if exists("/nowhere") || !exists(t.TempDir()) {
		t.Error("exists is wrong")
	}
}

// startup records the configuration that the tracer logs when it starts.
type startup struct {
	mu   sync.Mutex
	text string
}

func (s *startup) Log(msg string) {
	if _, configuration, ok := strings.Cut(msg, "DATADOG TRACER CONFIGURATION "); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.text = configuration
	}
}

// refusing is a transport without a network.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// TestAddressesAreTheTracers compares with what the tracer itself finds.
func TestAddressesAreTheTracers(t *testing.T) {
	for _, c := range addresses {
		if c.sockets != nil { // of the machine
			continue
		}
		for _, name := range []string{"DD_TRACE_AGENT_URL", "DD_AGENT_HOST", "DD_TRACE_AGENT_PORT", "DD_DOGSTATSD_URL", "DD_DOGSTATSD_HOST", "DD_DOGSTATSD_PORT"} {
			t.Setenv(name, c.env[name])
		}
		t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
		t.Setenv("DD_APPSEC_ENABLED", "false")
		var log startup
		ddtrace.UseLogger(&log)
		tracer.Start(tracer.WithLogStartup(true), tracer.WithHTTPClient(&http.Client{Transport: refusing{}}))
		tracer.Stop()
		var reported struct {
			URL string `json:"agent_url"`
		}
		if err := json.Unmarshal([]byte(log.text), &reported); err != nil {
			t.Fatalf("%v: the tracer logged %q", err, log.text)
		}
		if got := strings.TrimSuffix(strings.TrimSuffix(reported.URL, "/v0.4/traces"), "/v1.0/traces"); got != c.agent {
			t.Errorf("%v: the tracer sends to %s, want %s", c.env, got, c.agent)
		}
	}
}

// sentBy records the paths of the tracer's requests.
type sentBy struct {
	mu    sync.Mutex
	paths []string
	keys  []string
}

func (s *sentBy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths = append(s.paths, r.Method+" "+r.URL.Path)
	s.keys = append(s.keys, r.Header.Values("DD-API-KEY")...)
	return http.DefaultTransport.RoundTrip(r)
}

// A test trace is kept at every rate, and the probe sends nothing else.
func TestProbe(t *testing.T) {
	a := newAgent(t)
	t.Setenv("DD_TRACE_SAMPLE_RATE", "0")
	t.Setenv("DD_TRACE_SEND_RETRIES", "5")
	t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "true")
	t.Setenv("DD_API_KEY", "0123456789abcdef0123456789abcdef") // with it, the tracer would report to Datadog
	var sent sentBy
	cfg := Config{Service: "shop", Env: "prod", Version: "7", Tracing: true, Profiling: true}
	stop := StartProbe(cfg, &sent, time.Second, slog.New(slog.DiscardHandler))
	if Keeps(cfg, "GET /", 0) {
		t.Error("at rate 0, an ordinary trace is kept")
	}
	work, ctx := StartTestTrace(t.Context(), "test")
	ids, ok := SpanIDs(ctx)
	work.End(nil)
	stop()
	if !ok || len(ids.TraceID) != 32 || !ids.sampled {
		t.Errorf("the test trace is %+v", ids)
	}
	bodies := strings.Join(a.bodies, "")
	for _, want := range []string{ProbeOperation, "test", "shop", "prod"} {
		if !strings.Contains(bodies, want) {
			t.Errorf("no %s in what was sent: %q", want, bodies)
		}
	}
	if strings.Contains(bodies, "http.request") {
		t.Errorf("the trial of the sampling was sent: %q", bodies)
	}
	for _, path := range sent.paths {
		if path != "GET /info" && path != "POST /v0.4/traces" && path != "POST /v0.6/stats" {
			t.Errorf("the tracer sent %s", path)
		}
	}
	if len(sent.keys) != 0 {
		t.Error("the key was sent")
	}
	if len(a.files) != 0 {
		t.Errorf("the profiler sent %q", a.files)
	}
}

// Keeps with share 0 is true at every rate above 0, else from the share on.
func TestKeeps(t *testing.T) {
	newAgent(t)
	for rate, want := range map[string][2]bool{
		"": {true, true}, "1": {true, true}, "0.5": {true, true}, "0.0011": {true, true}, "0.0009": {true, false}, "0.0000000001": {true, false}, "0": {false, false},
	} {
		t.Setenv("DD_TRACE_SAMPLE_RATE", rate)
		cfg := Config{Service: "shop", Tracing: true}
		stop := StartProbe(cfg, refusing{}, time.Second, slog.New(slog.DiscardHandler))
		if got := [2]bool{Keeps(cfg, "GET /", 0), Keeps(cfg, "GET /", 0.001)}; got != want {
			t.Errorf("rate %q: kept %t, want %t", rate, got, want)
		}
		stop()
	}
	if Keeps(Config{}, "GET /", 0) {
		t.Error("without a tracer, a trace is kept")
	}
}
