package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// agent is an HTTP server in place of the Agent. It records what arrives.
type agent struct {
	mu      sync.Mutex
	paths   []string // of traces and statistics
	headers []http.Header
	bodies  []string
	tags    []string // of profiles
	files   []string // of profiles
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	a := new(agent)
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	t.Setenv("DD_TRACE_AGENT_URL", server.URL)
	t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	return a
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.URL.Path {
	case "/info":
		fmt.Fprint(w, `{"endpoints": ["/v0.4/traces", "/v0.6/stats", "/profiling/v1/input"], "client_drop_p0s": true}`)
	case "/v0.4/traces", "/v0.6/stats":
		a.paths = append(a.paths, r.URL.Path)
		a.headers = append(a.headers, r.Header)
		a.bodies = append(a.bodies, string(body))
		fmt.Fprint(w, "{}")
	case "/profiling/v1/input":
		_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		for parts := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
			part, err := parts.NextPart()
			if err != nil {
				return
			}
			if part.FormName() != "event" {
				a.files = append(a.files, part.FileName())
				continue
			}
			var event struct {
				Tags string `json:"tags_profiler"`
			}
			_ = json.NewDecoder(part).Decode(&event)
			a.tags = append(a.tags, strings.Split(event.Tags, ",")...)
		}
	}
}

func TestStartAndStop(t *testing.T) {
	a := newAgent(t)
	t.Setenv(flushOnExit, "") // restores the variable after the test
	os.Unsetenv(flushOnExit)
	cfg := Config{Service: "shop", Env: "prod", Version: "7", Tracing: true, Profiling: true}
	if err := Start(cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	// Another service of the same build, such as its database.
	tracer.StartSpan("work", tracer.ServiceName("shop-mysql")).Finish()
	StopProfiler()
	StopTracer()

	for _, want := range []string{"service:shop", "env:prod", "version:7"} {
		if !slices.Contains(a.tags, want) {
			t.Errorf("a profile has the tags %q, want %s", a.tags, want)
		}
	}
	slices.Sort(a.files)
	a.files = slices.DeleteFunc(slices.Compact(a.files), func(name string) bool { return !strings.HasSuffix(name, ".pprof") })
	if want := []string{"cpu.pprof", "delta-heap.pprof", "delta-mutex.pprof", "goroutines.pprof"}; !slices.Equal(a.files, want) {
		t.Errorf("profiles %q, want %q", a.files, want)
	}

	slices.Sort(a.paths)
	if want := []string{"/v0.4/traces", "/v0.6/stats"}; !slices.Equal(slices.Compact(slices.Clone(a.paths)), want) {
		t.Errorf("the tracer sent to %q, want %q", a.paths, want)
	}
	traces := 0
	for i, header := range a.headers {
		if count := header.Get("X-Datadog-Trace-Count"); count == "" || count == "0" { // the tracer looks whether the Agent is there
			continue
		}
		traces++
		if header.Get("Datadog-Client-Computed-Stats") == "" {
			t.Errorf("the Agent would count these traces again: %v", header)
		}
		for _, want := range []string{"shop-mysql", "prod", "\xa7version\xa17"} {
			if !strings.Contains(a.bodies[i], want) {
				t.Errorf("a trace without %q: %q", want, a.bodies[i])
			}
		}
	}
	if traces == 0 {
		t.Error("no traces were sent")
	}
}

func TestStartWithoutTracingAndProfiling(t *testing.T) {
	a := newAgent(t)
	if err := Start(Config{Service: "shop"}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	tracer.StartSpan("work").Finish()
	StopProfiler()
	StopTracer()
	if len(a.paths) != 0 || len(a.files) != 0 {
		t.Errorf("sent to %q and profiles %q, want nothing", a.paths, a.files)
	}
}

func TestStartErrors(t *testing.T) {
	newAgent(t)
	t.Setenv("DD_PROFILING_UPLOAD_TIMEOUT", "-1s")
	err := Start(Config{Service: "shop", Tracing: true, Profiling: true}, slog.New(slog.DiscardHandler))
	defer StopTracer()
	if want := "invalid upload timeout, must be > 0: -1s"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A user's own value of the profiler's variable wins.
func TestFlushOnExitCanBeTurnedOff(t *testing.T) {
	a := newAgent(t)
	t.Setenv(flushOnExit, "false")
	if err := Start(Config{Service: "shop", Profiling: true}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	StopProfiler()
	StopTracer()
	if len(a.files) != 0 {
		t.Errorf("profiles %q, want none", a.files)
	}
}

func TestTracerLog(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"Datadog Tracer v2 ERROR: lost 1 trace\n", "level=WARN msg=\"Datadog Tracer v2 ERROR: lost 1 trace\"\n"},
		{"Datadog Tracer v2 WARN: agent away", "level=WARN msg=\"Datadog Tracer v2 WARN: agent away\"\n"},
		{"Datadog Tracer v2 INFO: started", "level=INFO msg=\"Datadog Tracer v2 INFO: started\"\n"},
		{"Datadog Tracer v2 DEBUG: sent", "level=DEBUG msg=\"Datadog Tracer v2 DEBUG: sent\"\n"},
	} {
		var out bytes.Buffer
		withoutTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		tracerLog{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))}.Log(c.message)
		if got := out.String(); got != c.want {
			t.Errorf("%q: logged %q, want %q", c.message, got, c.want)
		}
	}
}

// Start gives the tracer's messages to its logger.
func TestStartSetsTheTracersLogger(t *testing.T) {
	newAgent(t)
	t.Setenv("DD_TRACE_STARTUP_LOGS", "true")
	var out bytes.Buffer
	if err := Start(Config{Service: "shop", Tracing: true}, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
		t.Fatal(err)
	}
	StopTracer()
	if !strings.Contains(out.String(), "DATADOG TRACER CONFIGURATION") {
		t.Errorf("the tracer's startup message is not in the log:\n%s", &out)
	}
	if err := Start(Config{}, slog.New(slog.DiscardHandler)); err != nil { // for the tests that follow
		t.Fatal(err)
	}
	StopTracer()
}
