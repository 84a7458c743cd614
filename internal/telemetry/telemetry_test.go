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
	"testing/synctest"
	"time"

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
	cfg := Config{Service: "shop", Env: "prod", Version: "7", Tracing: true, Profiling: true}
	t.Setenv("DD_VERSION", "")
	Start(cfg, slog.New(slog.DiscardHandler))
	if got := os.Getenv("DD_VERSION"); got != "7" {
		t.Errorf("Start did not prepare the environment: DD_VERSION is %q", got)
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
	Start(Config{Service: "shop"}, slog.New(slog.DiscardHandler))
	tracer.StartSpan("work").Finish()
	StopProfiler()
	StopTracer()
	if len(a.paths) != 0 || len(a.files) != 0 {
		t.Errorf("sent to %q and profiles %q, want nothing", a.paths, a.files)
	}
}

func TestPrepareEnvironment(t *testing.T) {
	raw := map[string]string{
		"DD_SERVICE": "My Shop", "DD_ENV": "Prod EU", "DD_VERSION": "V 7", "DD_SERVICE_MAPPING": "a:b",
		"OTEL_SERVICE_NAME": "Other", "OTEL_RESOURCE_ATTRIBUTES": "a=b",
	}
	for _, c := range []struct{ variables, revision, tags, commit string }{
		{"DD_TAGS=team:web,service:a,zone:x y,env:b,version:c", "0123abcd", "team:web,zone:x y", "0123abcd"},
		{"DD_TAGS=", "0123abcd-dirty", "a:b", ""},
		{"DD_TAGS=", "", "a:b", ""},
		{"DD_TAGS=service:a;DD_GIT_COMMIT_SHA=fedc", "0123abcd", "", "fedc"},
	} {
		for name, value := range raw {
			t.Setenv(name, value)
		}
		t.Setenv("DD_GIT_COMMIT_SHA", "")
		for variable := range strings.SplitSeq(c.variables, ";") {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		ConfigFromEnv(os.Getenv, "apmapp", "dev").prepareEnvironment(c.revision)
		for name, want := range map[string]string{
			"DD_SERVICE": "", "DD_SERVICE_MAPPING": "", "OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "",
			"DD_ENV": "prod_eu", "DD_VERSION": "v_7", "DD_TAGS": c.tags, "DD_GIT_COMMIT_SHA": c.commit,
		} {
			if got, set := os.LookupEnv(name); got != want || set && want == "" && name != "DD_GIT_COMMIT_SHA" {
				t.Errorf("%s, revision %s: %s=%q (set: %t), want %q", c.variables, c.revision, name, got, set, want)
			}
		}
	}
}

// Attributes of OpenTelemetry become tags, in Datadog's names.
func TestAttributesBecomeTags(t *testing.T) {
	t.Setenv("DD_TAGS", "")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,service.version=7,deployment.environment=prod,deployment.environment.name=eu,team=web")
	ConfigFromEnv(os.Getenv, "apmapp", "dev").prepareEnvironment("")
	if got := os.Getenv("DD_TAGS"); got != "team:web" {
		t.Errorf("DD_TAGS=%s, want only team:web", got)
	}
}

// Wrong telemetry never stops the service.
func TestStartWarns(t *testing.T) {
	newAgent(t)
	// ddenv removes such a value at the start of a process.
	t.Setenv("DD_PROFILING_UPLOAD_TIMEOUT", "-1s")
	var out bytes.Buffer
	Start(Config{Service: "shop", Tracing: true, Profiling: true, warnings: []string{"DD_SERVICE is odd"}}, slog.New(slog.NewTextHandler(&out, nil)))
	defer StopTracer()
	for _, want := range []string{
		`level=WARN msg="DD_SERVICE is odd"`,
		`level=WARN msg="the profiler did not start, so there are no profiles" error.message="invalid upload timeout, must be > 0: -1s"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("logged\n%s, want %s", &out, want)
		}
	}
}

// A user's own value of the profiler's variable wins.
func TestFlushOnExitCanBeTurnedOff(t *testing.T) {
	a := newAgent(t)
	t.Setenv("DD_PROFILING_FLUSH_ON_EXIT", "false")
	Start(Config{Service: "shop", Profiling: true}, slog.New(slog.DiscardHandler))
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
		{"Datadog Tracer v2 DEBUG: sent", "level=INFO msg=\"Datadog Tracer v2 DEBUG: sent\"\n"},
	} {
		var out bytes.Buffer
		withoutTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		(&tracerLog{logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))}).Log(c.message)
		if got := out.String(); got != c.want {
			t.Errorf("%q: logged %q, want %q", c.message, got, c.want)
		}
	}
}

// Clients can cause warnings, so their number per minute is bounded.
func TestTracerWarningsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &tracerLog{logger: slog.New(slog.NewTextHandler(&out, nil))}
		count := func(text string) int {
			n := strings.Count(out.String(), text)
			out.Reset()
			return n
		}
		for range 25 {
			l.Log("Datadog Tracer v2 WARN: odd header")
			l.Log("Datadog Tracer v2 INFO: fine")
		}
		if text := out.String(); strings.Count(text, "odd header") != warningsPerMinute || count("fine") != 25 {
			t.Errorf("logged\n%s, want %d warnings and every INFO", text, warningsPerMinute)
		}
		time.Sleep(time.Minute - 1)
		l.Log("Datadog Tracer v2 ERROR: lost traces")
		if n := count("lost traces"); n != 0 {
			t.Error("an error within the same minute was logged")
		}
		time.Sleep(time.Nanosecond)
		l.Log("Datadog Tracer v2 ERROR: lost traces")
		if text := out.String(); !strings.Contains(text, "16 more warnings of the tracer were not logged in the minute before") || count("lost traces") != 1 {
			t.Errorf("logged\n%s, want the error and how many were not logged", text)
		}
		time.Sleep(time.Minute)
		l.Log("Datadog Tracer v2 ERROR: lost traces")
		if text := out.String(); strings.Contains(text, "more warnings") || count("lost traces") != 1 {
			t.Errorf("logged\n%s, want one line", text)
		}
	})
}

// Start gives the tracer's messages to its logger.
func TestStartSetsTheTracersLogger(t *testing.T) {
	newAgent(t)
	t.Setenv("DD_TRACE_STARTUP_LOGS", "true")
	var out bytes.Buffer
	Start(Config{Service: "shop", Tracing: true}, slog.New(slog.NewTextHandler(&out, nil)))
	StopTracer()
	if !strings.Contains(out.String(), "DATADOG TRACER CONFIGURATION") {
		t.Errorf("the tracer's startup message is not in the log:\n%s", &out)
	}
	Start(Config{}, slog.New(slog.DiscardHandler))
	StopTracer()
}
