package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/ddenv"
	"apmapp/internal/local/intake"
	"apmapp/internal/local/received"
	localstore "apmapp/internal/local/store"
	"apmapp/internal/local/viewer"
	"apmapp/internal/telemetry"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
	"apmapp/store"
)

// password and key must not be in any finding.
const (
	password = "hunter2"
	key      = "0123456789abcdef0123456789abcdef"
)

// resources are the routes of the tests' service.
var resources = []string{"GET /", "GET /api/trace", "GET /api/apm"}

// variables are the tracer's variables of a test.
type variables map[string]string

// with returns the variables with others.
func (v variables) with(pairs ...string) variables {
	v = maps.Clone(v)
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		v[name] = value
	}
	return v
}

// configure returns the configuration of a service with these variables, and lets the
// tracer read them.
func configure(t *testing.T, v variables, dsn string) Config {
	t.Helper()
	for name, value := range v {
		t.Setenv(name, value)
	}
	mysql, err := store.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string { return v[name] }
	return Config{
		Telemetry: telemetry.ConfigFromEnv(getenv, "apmapp", "7"), Store: store.Config{MySQL: mysql},
		Resources: resources, Getenv: getenv, patience: 300 * time.Millisecond,
	}
}

// patienceFor is short only where the test waits for its end: a busy machine may be slow too.
func patienceFor(want Finding) time.Duration {
	if strings.Contains(want.Found, " within 300ms") {
		return 300 * time.Millisecond
	}
	return defaultPatience
}

// examine makes all checks.
func examine(t *testing.T, cfg Config) Report {
	t.Helper()
	var lines strings.Builder
	report := Run(t.Context(), cfg, func(f Finding) { fmt.Fprintln(&lines, f.Line()) })
	var asJSON bytes.Buffer
	if err := report.WriteJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, key} {
		if strings.Contains(lines.String()+asJSON.String(), secret) {
			t.Errorf("%s is shown:\n%s", secret, &lines)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("\n%s%s", &lines, report.Summary())
		}
	})
	return report
}

// expect fails the test unless the lines of a check are these. Each has a state, a part of
// what was found, and a part of what to do.
func (r Report) expect(t *testing.T, check string, want ...Finding) {
	t.Helper()
	var got []Finding
	for _, f := range r.Findings {
		if f.Check == check {
			got = append(got, f)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s has %d lines, want %d", check, len(got), len(want))
		return
	}
	for i, w := range want {
		if g := got[i]; g.State != w.State || !strings.Contains(g.Found, w.Found) || !strings.Contains(g.Do, w.Do) || w.Do == "" && g.Do != "" {
			t.Errorf("got  %s\nwant %s %s → %s", g.Line(), w.State, w.Found, w.Do)
		}
	}
}

func ok(found string) Finding          { return Finding{State: OK, Found: found} }
func warning(found, do string) Finding { return Finding{State: Warning, Found: found, Do: do} }
func failed(found, do string) Finding  { return Finding{State: Failed, Found: found, Do: do} }

// local is the local agent with its pages.
type local struct {
	agent *intake.Agent
	pages *viewer.Server
	env   variables
}

func newLocal(t *testing.T, change ...func(*intake.Config)) *local {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	cfg := intake.Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: localstore.New(1 << 20), Received: received.New(), Logger: logger}
	for _, c := range change {
		c(&cfg)
	}
	agent, err := intake.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Close() })
	pages, err := viewer.Listen(t.Context(), "127.0.0.1:0", viewer.Config{Store: cfg.Store, Received: cfg.Received}, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pages.Close() })
	agent.SetPages(pages.Addr())
	_, port, _ := net.SplitHostPort(agent.DogStatsD().String())
	return &local{agent, pages, variables{
		"DD_TRACE_AGENT_URL": "http://" + agent.Addr().String(), "DD_DOGSTATSD_HOST": "127.0.0.1", "DD_DOGSTATSD_PORT": port, "DD_ENV": "test",
	}}
}

// noMySQL is a DSN of a server that is not there.
func noMySQL(t *testing.T) string {
	return "u:" + password + "@tcp(" + loopback.FreeAddr(t) + ")/apmapp"
}

// TestWithMySQL has the tests that need a server.
func TestWithMySQL(t *testing.T) {
	server := mysqltest.Start(t)
	t.Run("all is well", func(t *testing.T) { testAllIsWell(t, server) })
	t.Run("database", func(t *testing.T) { testDatabase(t, server) })
}

// testAllIsWell is the healthy case: each check is ok, in the order of the way of a trace.
func testAllIsWell(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	migrate(t, dsn)
	l := newLocal(t)
	report := examine(t, configure(t, l.env.with("DD_API_KEY="+key, "DD_SITE=datadoghq.eu"), dsn))
	var checks []string
	for _, f := range report.Findings {
		checks = append(checks, f.Check)
		if f.State != OK || f.Do != "" {
			t.Errorf("got %s", f.Line())
		}
	}
	want := []string{"settings", "account", "tracing", "sampling", "agent address", "agent port", "agent", "clock", "test trace",
		"metrics", "profiling", "log injection", "database", "database schema", "database comment"}
	if !slices.Equal(checks, want) || len(report.NotChecked) != 0 {
		t.Errorf("checked %q, not checked %q, want %q", checks, report.NotChecked, want)
	}
	if got := report.Summary(); got != "15 ok, 0 warnings, 0 failed" {
		t.Errorf("summary %q", got)
	}
	report.expect(t, "account", ok("DD_SITE, DD_API_KEY: the form is right"))
	report.expect(t, "agent", ok("the local agent answers (with the code of Agent 7.85.2)"))
	report.expect(t, "test trace", ok(", and seen at "+l.pages.URL()+"/t/"))
	report.expect(t, "database comment", ok("statements reach MySQL with the ID of their trace"))

	// The trace has the statement as a child, and nothing else was sent.
	_, id, _ := strings.Cut(report.Findings[8].Found, "/t/")
	resp, err := http.Get(l.pages.URL() + "/api/traces/" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	for _, want := range []string{telemetry.ProbeOperation, "apmapp -doctor", "SHOW FULL PROCESSLIST", "apmapp-mysql"} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("the trace has no %s: %s", want, body)
		}
	}
}

// migrate makes the service's tables.
func migrate(t *testing.T, dsn string) {
	t.Helper()
	cfg, err := store.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{MySQL: cfg, PoolSize: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for s.Ready(ctx) != nil && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	s.Run(ctx)
}

// TestSettings: what is wrong with the variables alone.
func TestSettings(t *testing.T) {
	rulesFile := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rulesFile, []byte(`[{"sample_rate": 0}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	const remove, one, raise = "remove it", "set one of them", "raise the rate"
	for _, c := range []struct {
		name, check string
		env         []string
		want        []Finding
	}{
		{"two Agents", "settings", []string{"DD_TRACE_AGENT_URL=http://127.0.0.1:1", "DD_AGENT_HOST=agent", "DD_TRACE_AGENT_PORT=8126"}, []Finding{
			warning(`DD_TRACE_AGENT_URL is used, and DD_AGENT_HOST="agent" has no effect on traces`, one),
			warning(`DD_TRACE_AGENT_URL is used, and DD_TRACE_AGENT_PORT="8126" has no effect`, one)}},
		{"the same Agent twice", "settings", []string{"DD_TRACE_AGENT_URL=http://127.0.0.1:1/", "DD_AGENT_HOST=127.0.0.1", "DD_TRACE_AGENT_PORT=1"}, []Finding{ok("known and valid")}},
		{"the same IPv6 Agent twice", "settings", []string{"DD_TRACE_AGENT_URL=http://[::1]:1", "DD_AGENT_HOST=::1"}, []Finding{ok("known and valid")}},
		{"two receivers of metrics", "settings", []string{"DD_DOGSTATSD_URL=127.0.0.1:1", "DD_DOGSTATSD_HOST=statsd", "DD_DOGSTATSD_PORT=1"}, []Finding{
			warning(`DD_DOGSTATSD_URL is used, and DD_DOGSTATSD_HOST="statsd" has no effect`, one)}},
		{"two services", "settings", []string{"DD_SERVICE=shop", "OTEL_SERVICE_NAME=store"}, []Finding{warning(`DD_SERVICE is used, and OTEL_SERVICE_NAME="store" has no effect`, one)}},
		{"one service twice", "settings", []string{"DD_SERVICE=shop", "OTEL_SERVICE_NAME=shop"}, []Finding{ok("known and valid")}},
		{"tags that contradict", "settings", []string{"DD_ENV=prod", "DD_TAGS=env:dev,version:7,service:a", "DD_VERSION=8"}, []Finding{
			warning(`DD_ENV="prod" is used, and env:dev of DD_TAGS has no effect`, one), warning(`DD_VERSION="8" is used, and version:7 of DD_TAGS`, one)}},
		{"two rates", "settings", []string{"DD_TRACE_SAMPLE_RATE=1", "OTEL_TRACES_SAMPLER=parentbased_always_off"}, []Finding{warning(`DD_TRACE_SAMPLE_RATE is used, and OTEL_TRACES_SAMPLER=`, one)}},
		{"two switches", "settings", []string{"DD_TRACE_ENABLED=true", "OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"}, []Finding{
			warning(`DD_TRACE_ENABLED is used, and OTEL_SDK_DISABLED="true"`, one), warning(`DD_TRACE_ENABLED is used, and OTEL_TRACES_EXPORTER="none"`, one)}},
		{"switches that agree", "settings", []string{"DD_TRACE_ENABLED=0", "OTEL_SDK_DISABLED=1", "OTEL_TRACES_EXPORTER=none"}, []Finding{ok("known and valid")}},
		{"a limit without a rate", "settings", []string{"DD_TRACE_RATE_LIMIT=0"}, []Finding{warning("DD_TRACE_RATE_LIMIT=0 has no effect without DD_TRACE_SAMPLE_RATE", "set both, or remove it")}},
		{"a limit with rules", "settings", []string{"DD_TRACE_RATE_LIMIT=9", "DD_TRACE_SAMPLING_RULES=[]"}, []Finding{ok("known and valid")}},
		{"a ratio without a sampler", "settings", []string{"OTEL_TRACES_SAMPLER_ARG=0"}, []Finding{warning("OTEL_TRACES_SAMPLER_ARG=0 has no effect without OTEL_TRACES_SAMPLER", "set both")}},
		{"a name that normalizing empties", "settings", []string{"DD_SERVICE=???"}, []Finding{warning(`DD_SERVICE="???" is not valid`, "")}},

		{"no account", "account", nil, []Finding{ok("only the Agent needs them")}},
		{"a page instead of a site", "account", []string{"DD_SITE=app.datadoghq.eu", "DD_API_KEY=" + key}, []Finding{warning("set DD_SITE=datadoghq.eu", "")}},
		{"a key in quotes", "account", []string{"DD_API_KEY='" + key + "'"}, []Finding{warning("DD_API_KEY is in quotes", "")}},
		{"a key too short", "account", []string{"DD_API_KEY=" + key[:31]}, []Finding{warning("DD_API_KEY has not the form", "Organization Settings")}},
		{"an application key as API key", "account", []string{"DD_API_KEY=" + key + "01234567"}, []Finding{warning("DD_API_KEY has not the form", "Organization Settings")}},
		{"a key with a letter beyond f", "account", []string{"DD_API_KEY=g" + key[1:]}, []Finding{warning("DD_API_KEY has not the form", "Organization Settings")}},
		{"an application key with a space", "account", []string{"DD_APP_KEY=" + key + " x"}, []Finding{warning("DD_APP_KEY contains a space", "")}},
		{"an application key", "account", []string{"DD_APP_KEY=" + key + "01234567"}, []Finding{ok("DD_APP_KEY: the form is right")}},

		{"tracing on", "tracing", []string{"DD_ENV=prod", "DD_SERVICE=shop", "DD_VERSION=8"}, []Finding{ok("on, for the service shop, env prod, version 8")}},
		{"no env", "tracing", []string{"DD_ENV="}, []Finding{{State: OK, Found: "env (none)", Do: "set DD_ENV"}}},
		{"tracing off", "tracing", []string{"DD_TRACE_ENABLED=false"}, []Finding{failed("off, by DD_TRACE_ENABLED=false", remove)}},
		{"OpenTelemetry off", "tracing", []string{"OTEL_SDK_DISABLED=true"}, []Finding{failed("off, by OTEL_SDK_DISABLED=true", remove)}},
		{"no exporter", "tracing", []string{"OTEL_TRACES_EXPORTER=none"}, []Finding{failed("off, by OTEL_TRACES_EXPORTER=none", remove)}},
		{"APM off", "tracing", []string{"DD_APM_TRACING_ENABLED=false"}, []Finding{failed("DD_APM_TRACING_ENABLED=false leaves one trace a minute", remove)}},
		{"APM on", "tracing", []string{"DD_APM_TRACING_ENABLED=true"}, []Finding{ok("on, ")}},
		{"OTLP", "tracing", []string{"OTEL_TRACES_EXPORTER=otlp"}, []Finding{warning("traces leave by OTLP", "remove OTEL_TRACES_EXPORTER")}},

		{"the Agent samples", "sampling", nil, []Finding{ok("the Agent decides")}},
		{"a small rate", "sampling", []string{"DD_TRACE_SAMPLE_RATE=0.002"}, []Finding{ok("traces are kept, by DD_TRACE_SAMPLE_RATE=0.002")}},
		{"a tiny rate", "sampling", []string{"DD_TRACE_SAMPLE_RATE=0.000001"}, []Finding{warning("fewer than 1 in 1000 traces of GET /, GET /api/apm, GET /api/trace are kept, by DD_TRACE_SAMPLE_RATE=0.000001", "raise the rate of these")}},
		{"a limit without a rate", "sampling", []string{"DD_TRACE_RATE_LIMIT=0"}, []Finding{ok("the Agent decides")}},
		{"a ratio without a sampler", "sampling", []string{"OTEL_TRACES_SAMPLER_ARG=0"}, []Finding{ok("the Agent decides")}},
		{"APM off", "sampling", []string{"DD_APM_TRACING_ENABLED=false"}, nil},
		{"a rule for tags", "sampling", []string{`DD_TRACE_SAMPLING_RULES=[{"tags": {"http.method": "GET", "span.kind": "server", "http.status_code": "200"}, "sample_rate": 0}]`}, []Finding{failed("no trace is kept", raise)}},
		{"a rule for a route", "sampling", []string{`DD_TRACE_SAMPLING_RULES=[{"tags": {"http.route": "/api/apm"}, "sample_rate": 0}]`}, []Finding{warning("no trace of GET /api/apm is kept", raise)}},
		{"rate 0", "sampling", []string{"DD_TRACE_SAMPLE_RATE=0"}, []Finding{failed("no trace is kept, by DD_TRACE_SAMPLE_RATE=0", raise)}},
		{"OpenTelemetry's rate 0", "sampling", []string{"OTEL_TRACES_SAMPLER=parentbased_always_off"}, []Finding{failed("by OTEL_TRACES_SAMPLER=parentbased_always_off", raise)}},
		{"OpenTelemetry's ratio 0", "sampling", []string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"}, []Finding{failed("no trace is kept", raise)}},
		{"a rule for all", "sampling", []string{`DD_TRACE_SAMPLING_RULES=[{"sample_rate": 0}]`}, []Finding{failed("no trace is kept", raise)}},
		{"a rule for the service", "sampling", []string{`DD_TRACE_SAMPLING_RULES=[{"service": "apm*", "sample_rate": 0}]`, "DD_TRACE_SAMPLE_RATE=1"}, []Finding{failed("no trace is kept", raise)}},
		{"a rule for another service", "sampling", []string{`DD_TRACE_SAMPLING_RULES=[{"service": "shop", "sample_rate": 0}]`}, []Finding{ok("traces are kept")}},
		{"a rule for a resource", "sampling", []string{`DD_TRACE_SAMPLING_RULES=[{"resource": "GET /api/*", "sample_rate": 0}]`}, []Finding{warning("no trace of GET /api/apm, GET /api/trace is kept", raise)}},
		{"rules in a file", "sampling", []string{"DD_TRACE_SAMPLING_RULES_FILE=" + rulesFile}, []Finding{failed("no trace is kept, by DD_TRACE_SAMPLING_RULES_FILE=", raise)}},
		{"a limit of 0", "sampling", []string{"DD_TRACE_SAMPLE_RATE=1", "DD_TRACE_RATE_LIMIT=0"}, []Finding{failed("by DD_TRACE_SAMPLE_RATE=1, DD_TRACE_RATE_LIMIT=0", raise)}},
		{"a limit of 1", "sampling", []string{"DD_TRACE_SAMPLE_RATE=1", "DD_TRACE_RATE_LIMIT=1"}, []Finding{ok("traces are kept")}},
		{"tracing off", "sampling", []string{"DD_TRACE_ENABLED=false"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := variables{"DD_ENV": "test"}.with(c.env...)
			if env["DD_TRACE_AGENT_URL"] == "" && env["DD_AGENT_HOST"] == "" {
				env["DD_TRACE_AGENT_URL"] = "http://127.0.0.1:1"
			}
			examine(t, configure(t, env, noMySQL(t))).expect(t, c.check, c.want...)
		})
	}
}

// The problems and names that package ddenv found when the process started.
func TestVariablesOfTheProcess(t *testing.T) {
	cfg := configure(t, variables{"DD_TRACE_AGENT_URL": "http://127.0.0.1:1"}, noMySQL(t))
	cfg.Problems = []ddenv.Problem{{Name: "DD_X", Text: "DD_X is not valid"}, {Name: "DD_SERVCE", Text: "nothing reads it; did you mean DD_SERVICE?"}}
	cfg.Unknown = []string{"DD_APM_ENABLED", "DD_LOGS_ENABLED"}
	examine(t, cfg).expect(t, "settings",
		warning("DD_X is not valid", "correct it, or remove it"), warning("did you mean DD_SERVICE?", ""), ok("nothing here reads DD_APM_ENABLED, DD_LOGS_ENABLED, which may belong to the Agent"))
}

// answering returns the URL of a server that is in the Agent's place.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// infoOf returns a handler with an Agent's /info. It passes other requests to next.
func infoOf(body string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/info" {
			w.Header().Set("Datadog-Agent-Version", "7.1.2")
			io.WriteString(w, body)
			return
		}
		next(w, r)
	}
}

const usualInfo = `{"version": "7.1.2", "endpoints": ["/v0.4/traces", "/v0.6/stats", "/profiling/v1/input"], "client_drop_p0s": true, "config": {}}`

func takeAll(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }

// listening returns the address of a server that treats each connection with serve.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// hang reads until the client gives up.
func hang(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// TestAgents: what the server at the Agent's address can be.
func TestAgents(t *testing.T) {
	secure := httptest.NewTLSServer(infoOf(usualInfo, takeAll))
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	status := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, status) }
	}
	dated := func(ahead time.Duration) string {
		return answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
			infoOf(usualInfo, takeAll)(w, r)
		})
	}
	closed := loopback.FreeAddr(t)
	const its = "its port for traces is 8126"
	for _, c := range []struct {
		name, url, check string
		want             Finding
	}{
		{"the port is closed", "http://" + closed, "agent port", failed("nothing listens at "+closed, "start the Agent there")},
		{"a page", answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>hello") }), "agent", failed("it is not an Agent: <html>hello", its)},
		{"no page", answering(t, http.NotFound), "agent", failed("404 Not Found, so it is probably not an Agent", its)},
		{"JSON of something else", answering(t, takeAll), "agent", failed("it is not an Agent: {}", its)},
		{"an error", answering(t, status(500, "broken")), "agent", failed("500 Internal Server Error", its)},
		{"a redirect", answering(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }), "agent", failed("302 Found", its)},
		{"/info is forbidden", answering(t, status(403, "no entry")), "agent", failed("it answers 403 Forbidden to GET /info: no entry", "a proxy or a firewall")},
		{"not HTTP", "http://" + listening(t, func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9\r\n"); hang(c) }), "agent", failed("does not speak HTTP", its)},
		{"it closes", "http://" + listening(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1000)) }), "agent", failed("closes the connection without an answer", its)},
		{"it hangs", "http://" + listening(t, hang), "agent", failed("does not answer GET /info within 300ms", "restart the Agent")},
		{"it is slow", answering(t, infoAfter(slow+time.Millisecond, usualInfo)), "agent", warning("Agent 7.1.2 answers after ", "CPU and memory")},
		{"a proxy without an Agent", answering(t, status(502, "no upstream")), "agent", failed("it answers 502 Bad Gateway to GET /info: no upstream", "start the Agent: a proxy")},
		{"a proxy that wants a login", answering(t, status(407, "")), "agent", failed("it answers 407 Proxy Authentication Required to GET /info", "a proxy or a firewall")},
		{"it hangs in the answer", answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), "agent", failed("its answer to GET /info does not end within 300ms", "restart the Agent")},
		{"it ends in the answer", answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), "agent", failed("breaks off", "see the Agent's log")},
		{"no TLS there", strings.Replace(answering(t, takeAll), "http:", "https:", 1), "agent", failed("it does not speak TLS", "write http:// in DD_TRACE_AGENT_URL")},
		{"TLS of an unknown authority", secure.URL, "agent", failed("its TLS certificate is not valid here", "http://")},
		{"an Agent before /info", answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Datadog-Agent-Version", "6.0.0")
			if r.URL.Path == "/info" {
				http.NotFound(w, r)
			}
		}), "agent", warning("Agent 6.0.0 has no /info", "use Agent 7.28 or newer")},
		{"a path", newLocal(t).env["DD_TRACE_AGENT_URL"] + "/v0.4/traces", "agent", warning("has no /info", "remove the path from DD_TRACE_AGENT_URL")},
		{"a path for traces", newLocal(t).env["DD_TRACE_AGENT_URL"] + "/v0.4/traces", "test trace", failed("404 Not Found", "remove the path from DD_TRACE_AGENT_URL")},
		{"APM is off", answering(t, infoOf(`{"version": "7.1.2", "endpoints": ["/evp_proxy/v2/"]}`, takeAll)), "agent", failed("Agent 7.1.2 answers, but takes no traces", "apm_config.enabled")},
		{"an Agent", answering(t, infoOf(usualInfo, takeAll)), "agent", ok("Agent 7.1.2 answers")},
		{"an Agent without a version", answering(t, infoOf(`{"endpoints": ["/v0.4/traces"]}`, takeAll)), "agent", ok("an Agent answers that names no version")},

		{"the clocks agree", dated(0), "clock", ok("agrees")},
		{"four seconds ahead", dated(4 * time.Second), "clock", ok("agrees")},
		{"an hour ahead", dated(time.Hour), "clock", warning("1h later than the Agent's", "NTP")},
		{"an hour behind", dated(-time.Hour), "clock", warning("1h earlier than the Agent's", "NTP")},
		{"three hours ahead", dated(3 * time.Hour), "clock", failed("3h later than the Agent's, and Datadog takes no span more than 2 h in the future", "NTP")},
		{"three hours behind", dated(-3 * time.Hour), "clock", warning("3h earlier", "NTP")},
		{"a day behind", dated(-24 * time.Hour), "clock", failed("1d earlier than the Agent's, and Datadog takes no span older than 18 h", "NTP")},
		{"no date", answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
			infoOf(usualInfo, takeAll)(w, r)
		}), "clock", ok("no date")},

		{"traces are taken", answering(t, infoOf(usualInfo, takeAll)), "test trace", ok("accepted by POST /v0.4/traces; look for trace_id:")},
		{"traces are forbidden", answering(t, infoOf(usualInfo, status(403, "not from here"))), "test trace", failed("POST /v0.4/traces answers 403 Forbidden: not from here", "a proxy or a firewall")},
		{"too many traces", answering(t, infoOf(usualInfo, status(429, "busy"))), "test trace", failed("429 Too Many Requests: busy", "the Agent is at a limit")},
		{"traces are an error", answering(t, infoOf(usualInfo, status(500, "oops"))), "test trace", failed("500 Internal Server Error: oops", "see the Agent's log")},
		{"a trace is too large", answering(t, infoOf(usualInfo, status(413, ""))), "test trace", failed("413 Request Entity Too Large", "apm_config.max_request_bytes")},
		{"the Agent keeps nothing", answering(t, infoOf(usualInfo, rates(`{"service:,env:": 0}`))), "sampling", failed("its answer has the rate 0", "target_traces_per_second")},
		{"the Agent keeps nothing of the service", answering(t, infoOf(usualInfo, rates(`{"service:,env:": 1, "service:apmapp,env:test": 0}`))), "sampling", failed("the rate 0", "target_traces_per_second")},
		{"the Agent keeps nothing of others", answering(t, infoOf(usualInfo, rates(`{"service:,env:": 0, "service:apmapp,env:test": 0.1}`))), "sampling", Finding{}},
		{"traces hang", answering(t, infoOf(usualInfo, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})), "test trace", failed("POST /v0.4/traces got no answer within 300ms", "DD_TRACE_AGENT_TIMEOUT")},

		{"profiles are taken", answering(t, infoOf(usualInfo, takeAll)), "profiling", ok("the first profile is sent after a minute")},
		{"profiles are not taken", answering(t, infoOf(`{"endpoints": ["/v0.4/traces"]}`, takeAll)), "profiling", warning("the Agent does not take profiles", "DD_PROFILING_ENABLED=false")},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := configure(t, variables{"DD_TRACE_AGENT_URL": c.url, "DD_ENV": "test"}, noMySQL(t))
			cfg.patience = patienceFor(c.want)
			report := examine(t, cfg)
			switch {
			case c.check != "sampling":
				report.expect(t, c.check, c.want)
			case c.want.State == "":
				report.expect(t, c.check, ok("the Agent decides"))
			default:
				report.expect(t, c.check, ok("the Agent decides"), c.want)
			}
		})
	}
	t.Run("the tracer has its own rate", func(t *testing.T) {
		url := answering(t, infoOf(usualInfo, rates(`{"service:,env:": 0}`)))
		examine(t, configure(t, variables{"DD_TRACE_AGENT_URL": url, "DD_TRACE_SAMPLE_RATE": "1"}, noMySQL(t))).expect(t, "sampling", ok("traces are kept"))
	})
	t.Run("traces leave by OTLP", func(t *testing.T) {
		env := variables{"DD_TRACE_AGENT_URL": answering(t, infoOf(usualInfo, takeAll)), "OTEL_TRACES_EXPORTER": "otlp"}
		examine(t, configure(t, env, noMySQL(t))).expect(t, "test trace", ok("sent by OTLP, so whether it was accepted is not checked"))
	})
	t.Run("no /info, so nothing is known about profiles", func(t *testing.T) {
		url := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Datadog-Agent-Version", "6.0.0")
			if r.URL.Path == "/info" {
				http.NotFound(w, r)
			}
		})
		examine(t, configure(t, variables{"DD_TRACE_AGENT_URL": url}, noMySQL(t))).expect(t, "profiling")
	})
}

// rates answers requests with the sampling rates of services, as an Agent does.
func rates(byService string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"rate_by_service": `+byService+`}`) }
}

// infoAfter answers as infoOf with takeAll does, after a delay.
func infoAfter(delay time.Duration, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/info" {
			<-time.After(delay)
		}
		infoOf(body, takeAll)(w, r)
	}
}

// TestAddress: what is unusual about the Agent's address.
func TestAddress(t *testing.T) {
	for _, c := range []struct {
		url  string
		want Finding
	}{
		{"http://127.0.0.1:1", ok("http://127.0.0.1:1, from DD_TRACE_AGENT_URL")},
		{"http://127.0.0.1:1/", ok("http://127.0.0.1:1/, from DD_TRACE_AGENT_URL")},
		{"unix:///nowhere/apm.socket", ok("unix:///nowhere/apm.socket, from DD_TRACE_AGENT_URL")},
		{"http://127.0.0.1:1/v0.4/traces", warning("the tracer appends its own paths to /v0.4/traces", "remove the path")},
		{"http://127.0.0.1", warning("it names no port, so the tracer uses 80", "add :8126")},
		{"https://127.0.0.1", warning("it names no port, so the tracer uses 443", "add :8126")},
		{"http://127.0.0.1:8125", warning("8125 is usually the port of DogStatsD", "8126 by default")},
		{"http://127.0.0.1:4318", warning("4318 is usually the port of OpenTelemetry over HTTP", "8126 by default")},
	} {
		t.Run(c.url, func(t *testing.T) {
			d := at(c.url)
			d.address()
			d.report.expect(t, "agent address", c.want)
		})
	}
}

// at returns a doctor that knows only the Agent's address.
func at(address string) *doctor {
	d := alone()
	d.agent.Address = telemetry.Address{URL: address, From: "DD_TRACE_AGENT_URL"}
	d.agent.url, _ = url.Parse(address)
	if d.agent.url.Scheme == "unix" {
		d.agent.socket = d.agent.url.Path
	}
	return d
}

// TestProxy: what a proxy in the environment can do. Go reads these variables once in a
// process, so the proxy is given.
func TestProxy(t *testing.T) {
	const noProxy = "add agent to NO_PROXY, or see the proxy's log"
	for _, c := range []struct {
		name, proxy string
		want        Finding
	}{
		{"it passes requests on", answering(t, infoOf(usualInfo, takeAll)), ok("Agent 7.1.2 answers")},
		{"nothing listens", "http://user:" + password + "@" + loopback.FreeAddr(t), failed(": nothing listens there", noProxy)},
		{"it wants a login", answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(407) }), failed("it answers 407 Proxy Authentication Required", noProxy)},
		{"it does not reach the Agent", answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }), failed("it answers 502 Bad Gateway", noProxy)},
		{"it hangs", "http://" + listening(t, hang), failed("does not answer GET /info within 300ms", noProxy)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := at("http://agent:8126")
			d.patience = patienceFor(c.want)
			d.agent.proxy, _ = url.Parse(c.proxy)
			d.ask(t.Context())
			d.report.expect(t, "agent", c.want)
			if line := d.report.Findings[0].Line(); c.want.State == Failed && !strings.Contains(line, "through the proxy "+d.agent.proxy.Host+": ") || strings.Contains(line, password) {
				t.Errorf("got %s", line)
			}
		})
	}
}

// The service's own limit of an answer holds if it is shorter than the doctor's.
func TestTraceTimeout(t *testing.T) {
	for seconds, want := range map[string]time.Duration{"": 2 * time.Second, "0": 2 * time.Second, "1": time.Second, "10": 2 * time.Second} {
		d := alone()
		d.patience = 2 * time.Second
		d.Getenv = func(string) string { return seconds }
		if got := d.traceTimeout(); got != want {
			t.Errorf("DD_TRACE_AGENT_TIMEOUT=%s: %s, want %s", seconds, got, want)
		}
	}
}

// A check that an earlier failure makes pointless has no line of its own.
func TestNotChecked(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want []string
	}{
		{[]string{"DD_TRACE_AGENT_URL=http://127.0.0.1:1"}, []string{"agent", "clock", "test trace", "profiling", "database schema", "database comment"}},
		{[]string{"DD_TRACE_AGENT_URL=unix:///nowhere/apm.socket"}, []string{"agent", "clock", "test trace", "profiling", "database schema", "database comment"}},
		{[]string{"DD_TRACE_AGENT_URL=http://127.0.0.1:1", "DD_TRACE_ENABLED=false"}, []string{"sampling", "agent", "clock", "test trace", "profiling", "log injection", "database schema", "database comment"}},
		{[]string{"DD_TRACE_AGENT_URL=" + answering(t, http.NotFound), "DD_PROFILING_ENABLED=false"}, []string{"clock", "test trace", "database schema", "database comment"}},
	} {
		report := examine(t, configure(t, variables{}.with(c.env...), noMySQL(t)))
		if !slices.Equal(report.NotChecked, c.want) {
			t.Errorf("%q: not checked %q, want %q", c.env, report.NotChecked, c.want)
		}
		if want := "not checked, because of the failures above: " + strings.Join(c.want, ", ") + "\n"; !strings.HasPrefix(report.Summary(), want) {
			t.Errorf("summary %q, want %q", report.Summary(), want)
		}
	}
}

func TestName(t *testing.T) {
	report := examine(t, configure(t, variables{"DD_AGENT_HOST": "localhost", "DD_TRACE_AGENT_PORT": "1"}, noMySQL(t)))
	report.expect(t, "agent name", ok("localhost is "))
	report.expect(t, "agent address", ok("http://localhost:1, from DD_AGENT_HOST and DD_TRACE_AGENT_PORT"))
	// Without a network, the name server does not answer.
	report = examine(t, configure(t, variables{"DD_AGENT_HOST": "agent.invalid", "DD_TRACE_AGENT_PORT": "1"}, noMySQL(t)))
	if len(report.Findings) < 6 || report.Findings[5].Check != "agent name" || report.Findings[5].State != Failed || !strings.Contains(report.Findings[5].Found, "agent.invalid") {
		t.Errorf("got %+v", report.Findings)
	}
	if !slices.Equal(report.NotChecked[:3], []string{"agent port", "agent", "clock"}) {
		t.Errorf("not checked %q", report.NotChecked)
	}
}

// TestSockets: the Agent's UNIX socket. cmd/apmapp has the test without permission,
// which needs another user.
func TestSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "doctor") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, dogstatsd := filepath.Join(dir, "apm.socket"), filepath.Join(dir, "dsd.socket")
	newLocal(t, func(cfg *intake.Config) { cfg.Socket, cfg.DogStatsDSocket = socket, dogstatsd })
	file, left := filepath.Join(dir, "file"), filepath.Join(dir, "left")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for _, c := range []struct {
		name, path string
		want       Finding
	}{
		{"it works", socket, ok(socket + " accepts connections")},
		{"it does not exist", filepath.Join(dir, "nowhere"), failed("does not exist", "mount its directory")},
		{"a file", file, failed("is not a socket", "give the path of the Agent's socket")},
		{"a directory", dir, failed("is not a socket", "Docker mounts a path that does not exist")},
		{"below a file", filepath.Join(file, "x"), failed("not a directory", "correct the path")},
		{"its process has ended", left, failed("it is left from one that has ended", "start the Agent")},
		{"that of metrics", dogstatsd, failed("is a socket of another kind", "dsd.socket for metrics")},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := examine(t, configure(t, variables{"DD_TRACE_AGENT_URL": "unix://" + c.path, "DD_DOGSTATSD_URL": "unix://" + dogstatsd}, noMySQL(t)))
			report.expect(t, "agent socket", c.want)
			report.expect(t, "metrics", ok(dogstatsd+" accepts connections"))
			if c.want.State == OK {
				report.expect(t, "test trace", ok(", and seen at http://127.0.0.1:"))
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	l := newLocal(t)
	closed := loopback.FreeAddr(t)
	host, port, _ := net.SplitHostPort(closed)
	const turnOn = "turn on DogStatsD in the Agent"
	for _, c := range []struct {
		name string
		env  []string
		want Finding
	}{
		{"it works", nil, ok("nothing refuses packets there")},
		{"nothing listens", []string{"DD_DOGSTATSD_HOST=" + host, "DD_DOGSTATSD_PORT=" + port}, failed("nothing listens for DogStatsD at "+closed+" (DD_DOGSTATSD_HOST and DD_DOGSTATSD_PORT)", turnOn)},
		{"by URL", []string{"DD_DOGSTATSD_URL=" + closed}, failed("nothing listens for DogStatsD at "+closed+" (DD_DOGSTATSD_URL)", turnOn+", or correct DD_DOGSTATSD_URL")},
		{"no socket", []string{"DD_DOGSTATSD_URL=unixstream:///nowhere/dsd.socket"}, failed("/nowhere/dsd.socket does not exist", "start the Agent with this socket")},
		{"a pipe", []string{`DD_DOGSTATSD_URL=\\.\pipe\dsd`}, ok("named pipe")},
		{"not an address", []string{"DD_DOGSTATSD_URL=nowhere"}, failed("nowhere", "correct DD_DOGSTATSD_URL")},
	} {
		t.Run(c.name, func(t *testing.T) {
			examine(t, configure(t, l.env.with(c.env...), noMySQL(t))).expect(t, "metrics", c.want)
		})
	}
	t.Run("another port than the Agent's", func(t *testing.T) {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer packets.Close()
		_, port, _ := net.SplitHostPort(packets.LocalAddr().String())
		want := l.env["DD_DOGSTATSD_PORT"]
		examine(t, configure(t, l.env.with("DD_DOGSTATSD_PORT="+port), noMySQL(t))).expect(t, "metrics",
			warning("but the Agent takes them at port "+want, "set DD_DOGSTATSD_PORT="+want))
		examine(t, configure(t, l.env.with("DD_DOGSTATSD_URL=127.0.0.1:"+port), noMySQL(t))).expect(t, "metrics",
			warning("but the Agent takes them at port "+want, "correct DD_DOGSTATSD_URL"))
	})
	t.Run("a host that does not resolve", func(t *testing.T) { // without a network, the name server does not answer
		report := examine(t, configure(t, l.env.with("DD_DOGSTATSD_HOST=statsd.invalid"), noMySQL(t)))
		i := slices.IndexFunc(report.Findings, func(f Finding) bool { return f.Check == "metrics" })
		if f := report.Findings[i]; f.State != Failed || !strings.HasPrefix(f.Found, "DogStatsD: the ") || !strings.Contains(f.Found, "statsd.invalid") || f.Do == "" {
			t.Errorf("got %s", f.Line())
		}
	})
	t.Run("another machine than the Agent's", func(t *testing.T) {
		examine(t, configure(t, l.env.with("DD_DOGSTATSD_HOST=192.0.2.7", "DD_DOGSTATSD_PORT=1"), noMySQL(t))).expect(t, "metrics", ok("DogStatsD at 192.0.2.7:1"))
	})
}

func TestProfilingAndLogs(t *testing.T) {
	l := newLocal(t)
	report := examine(t, configure(t, l.env.with("DD_PROFILING_ENABLED=false", "DD_LOGS_INJECTION=false"), noMySQL(t)))
	report.expect(t, "profiling", warning("off, by DD_PROFILING_ENABLED=false", "remove it"))
	report.expect(t, "log injection", warning("off, by DD_LOGS_INJECTION=false", "remove it"))
	report.expect(t, "log file")
	report.expect(t, "log receiver")

	cfg := configure(t, l.env.with("DD_PROFILING_URL="+answering(t, takeAll), "DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED=false"), noMySQL(t))
	cfg.Telemetry.LogLevel = slog.LevelError
	dir := t.TempDir()
	cfg.LogFile, cfg.LogOTLP = filepath.Join(dir, "log"), answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
			http.NotFound(w, r)
		}
	})
	report = examine(t, cfg)
	report.expect(t, "profiling", ok("(DD_PROFILING_URL), which accepts connections"))
	report.expect(t, "log injection", ok("on; "))
	report.expect(t, "log file", ok(cfg.LogFile+" can be written"))
	report.expect(t, "log receiver", ok("/v1/logs takes OTLP"))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left %v, %v, want no file", files, err)
	}

	if err := os.WriteFile(cfg.LogFile, []byte("kept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.LogOTLP = answering(t, http.NotFound)
	report = examine(t, cfg)
	report.expect(t, "log file", ok("can be written"))
	report.expect(t, "log receiver", failed("404 Not Found", "correct -log-otlp"))
	if content, err := os.ReadFile(cfg.LogFile); err != nil || string(content) != "kept\n" {
		t.Errorf("the log file has %q, %v", content, err)
	}
	cfg.LogFile, cfg.LogOTLP = filepath.Join(dir, "nowhere", "log"), "http://127.0.0.1:1"
	report = examine(t, cfg)
	report.expect(t, "log file", failed("cannot be written: no such file or directory", "correct the path"))
	report.expect(t, "log receiver", failed("nothing listens at 127.0.0.1:1", "start the receiver"))
}

// Profiles can go elsewhere than to the Agent.
func TestProfilesElsewhere(t *testing.T) {
	l := newLocal(t)
	for _, c := range []struct {
		env  []string
		want Finding
	}{
		{[]string{"DD_PROFILING_URL=http://127.0.0.1:1/x"}, warning("profiles are lost: nothing listens at 127.0.0.1:1", "correct DD_PROFILING_URL, or remove it")},
		{[]string{"DD_PROFILING_AGENTLESS=true", "DD_API_KEY=" + key}, ok("profiles go to Datadog itself")},
		{[]string{"DD_PROFILING_AGENTLESS=true"}, warning("off: DD_PROFILING_AGENTLESS needs DD_API_KEY", "remove it")},
		{[]string{"DD_PROFILING_AGENTLESS=false"}, ok("the first profile is sent after a minute")},
	} {
		examine(t, configure(t, l.env.with(c.env...), noMySQL(t))).expect(t, "profiling", c.want)
	}
}

// A trace that the Agent accepted, but whose pages do not have it.
func TestNotSeen(t *testing.T) {
	for _, c := range []struct {
		name, pages string
		want        Finding
	}{
		{"the pages are in another container", loopback.FreeAddr(t), ok("accepted by POST /v0.4/traces; its pages at 127.0.0.1:")},
		{"the pages do not have it", strings.TrimPrefix(answering(t, http.NotFound), "http://"), failed("answers 404 Not Found for it", "/received")},
		{"the pages are elsewhere", "192.0.2.7:80", ok("cannot be reached from here")},
		{"no address", "pages", ok("cannot be reached from here")},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := strings.Replace(usualInfo, "{", `{"local_pages": "`+c.pages+`",`, 1)
			url := answering(t, infoOf(body, takeAll))
			examine(t, configure(t, variables{"DD_TRACE_AGENT_URL": url}, noMySQL(t))).expect(t, "test trace", c.want)
		})
	}
}

func TestContainsTrace(t *testing.T) {
	const id = "6b060d8f000000007aa1645abafb4873"
	for _, c := range []struct {
		statements []string
		id         string
		want       bool
	}{
		{[]string{"SELECT 1", "/*dddbs='x',traceparent='00-00000000000000007aa1645abafb4873-7aa1645abafb4873-01'*/ SHOW"}, id, true},
		{[]string{"/*traceparent='00-00000000000000007aa1645abafb4874-7aa1645abafb4874-01'*/ SHOW"}, id, false},
		{[]string{"/*traceparent='00-0000000000000000-01'*/ SHOW"}, "", false},
		{[]string{"SELECT '7aa1645abafb4873'"}, id, false},
		{nil, id, false},
	} {
		if got := containsTrace(c.statements, c.id); got != c.want {
			t.Errorf("%q, %s: %t", c.statements, c.id, got)
		}
	}
}

func TestUnresolved(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, "the host name agent does not resolve → correct DD_AGENT_HOST; a name of Docker"},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, "the name server does not answer for agent → check /etc/resolv.conf"},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, "the name server does not answer for agent → "},
		{context.DeadlineExceeded, "the name server does not answer for agent → "},
	} {
		if found, do := unresolved("agent", "DD_AGENT_HOST", fmt.Errorf("lookup: %w", c.err)); !strings.HasPrefix(found+" → "+do, c.want) {
			t.Errorf("%v: %s → %s, want %s", c.err, found, do, c.want)
		}
	}
}

func TestInContainer(t *testing.T) {
	for _, c := range []struct {
		file, kubernetes string
		want             bool
	}{
		{"/.dockerenv", "", true}, {"/run/.containerenv", "", true}, {"", "10.0.0.1", true}, {"", "", false}, {"/etc/hosts", "", false},
	} {
		got := inContainer(func(name string) string { return map[string]string{"KUBERNETES_SERVICE_HOST": c.kubernetes}[name] }, func(path string) bool { return path == c.file })
		if got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// alone returns a doctor for checks that are called one at a time.
func alone() *doctor { return &doctor{each: func(Finding) {}} }

// An address that is not a URL. Package ddenv removes those, because the tracer would crash.
func TestMalformedAddress(t *testing.T) {
	d := alone()
	d.Getenv = func(name string) string { return map[string]string{"DD_AGENT_HOST": "a b"}[name] }
	d.reach(t.Context())
	d.report.expect(t, "agent address", failed("is not a URL", "want http://host:port"))
	if want := []string{"agent port", "agent", "clock"}; !slices.Equal(d.report.NotChecked, want) {
		t.Errorf("not checked %q, want %q", d.report.NotChecked, want)
	}
}

// TestClock has the limits. The Agent's date has whole seconds, so the true difference is
// between two values, and the smaller one counts.
func TestClock(t *testing.T) {
	date := time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC)
	const took = 10 * time.Millisecond
	for _, c := range []struct {
		sent time.Duration // after date; the answer arrived 10 ms later
		want Finding
	}{
		{0, ok("agrees")},
		{time.Second, ok("agrees")},
		{-took, ok("agrees")},
		{5 * time.Second, ok("agrees")},
		{5*time.Second + 1, warning("5s later", "NTP")},
		{-took - 5*time.Second, ok("agrees")},
		{-took - 5*time.Second - 1, warning("5s earlier", "NTP")},
		{2 * time.Minute, warning("2m later", "NTP")},
		{2*time.Minute + time.Second, warning("2m later", "NTP")},
		{90 * time.Second, warning("1m30s later", "NTP")},
		{2 * time.Hour, warning("2h later", "NTP")},
		{2*time.Hour + 1, failed("2h later", "NTP")},
		{-took - 18*time.Hour, warning("18h earlier", "NTP")},
		{-took - 18*time.Hour - 1, failed("18h earlier", "NTP")},
	} {
		d := alone()
		d.clock(date.Format(http.TimeFormat), date.Add(c.sent), date.Add(c.sent+took))
		t.Run(c.sent.String(), func(t *testing.T) { d.report.expect(t, "clock", c.want) })
	}
}

func TestHostPort(t *testing.T) {
	for text, want := range map[string]string{
		"http://agent": "agent:80", "https://agent": "agent:443", "http://agent:8126/": "agent:8126", "http://[::1]:1": "[::1]:1", "https://[::1]": "[::1]:443",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(u); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestPages(t *testing.T) {
	for _, c := range []struct{ pages, ip, socket, want string }{
		{"127.0.0.1:80", "127.0.0.1", "", "http://127.0.0.1:80"},
		{"127.0.0.1:80", "::1", "", "http://127.0.0.1:80"},
		{"127.0.0.1:80", "", "/apm.socket", "http://127.0.0.1:80"},
		{"[::]:80", "127.0.0.1", "", "http://127.0.0.1:80"},
		{"0.0.0.0:80", "", "/apm.socket", "http://127.0.0.1:80"},
		{"[::]:80", "10.0.0.7", "", "http://10.0.0.7:80"},
		{"10.0.0.7:80", "10.0.0.7", "", "http://10.0.0.7:80"},
		{"127.0.0.1:80", "10.0.0.7", "", ""},
		{"10.0.0.8:80", "10.0.0.7", "", ""},
		{"10.0.0.8:80", "127.0.0.1", "", ""},
		{"evil.example:80", "127.0.0.1", "", ""},
		{"127.0.0.1", "127.0.0.1", "", ""},
	} {
		a := agent{ip: c.ip, socket: c.socket, info: info{Pages: c.pages}}
		if got := a.pages(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// testDatabase: what can be wrong with MySQL.
func testDatabase(t *testing.T, server *mysqltest.Server) {
	l := newLocal(t)
	closed := loopback.FreeAddr(t)
	// user makes a user with some privileges on a database, and returns the DSN.
	user := func(t *testing.T, dsn, name, grants string) string {
		t.Helper()
		server.Exec(t, "CREATE USER "+name+" IDENTIFIED BY '"+password+"'")
		t.Cleanup(func() { server.Exec(t, "DROP USER "+name) })
		server.Exec(t, "GRANT "+grants+" ON "+mysqltest.DatabaseName(t, dsn)+".* TO "+name)
		return mysqltest.WithUser(t, dsn, name, password)
	}
	migrated := func(t *testing.T) string {
		t.Helper()
		dsn := server.Database(t)
		migrate(t, dsn)
		return dsn
	}
	const all = "SELECT, INSERT, DELETE, CREATE, INDEX"
	for _, c := range []struct {
		name  string
		dsn   func(t *testing.T) string
		check string
		want  []Finding
	}{
		{"nothing listens", func(*testing.T) string { return "u:" + password + "@tcp(" + closed + ")/d" }, "database",
			[]Finding{failed("nothing listens at its address (d at "+closed+` as "u")`, "check that MySQL runs, and the address "+closed)}},
		{"it hangs", func(t *testing.T) string { return "u:" + password + "@tcp(" + listening(t, hang) + ")/d" }, "database",
			[]Finding{failed("it does not answer in time", "check that MySQL runs")}},
		{"not MySQL", func(t *testing.T) string {
			return "u:" + password + "@tcp(" + listening(t, func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9\r\n"); hang(c) }) + ")/d"
		}, "database", []Finding{failed("the server at MySQL's address is not MySQL", "3306 by default")}},
		{"wrong password", func(t *testing.T) string {
			user(t, server.Database(t), "wrong", all)
			return mysqltest.WithUser(t, server.Database(t), "wrong", password+"!")
		}, "database", []Finding{failed("MySQL refuses the user or password", `check the user "wrong" and the password`)}},
		{"no such database", func(t *testing.T) string {
			return "root@tcp(" + server.Addr() + ")/nowhere"
		}, "database", []Finding{failed("MySQL has no database with that name", "run CREATE DATABASE nowhere")}},
		{"access to no database", func(t *testing.T) string {
			name := mysqltest.DatabaseName(t, server.Database(t))
			dsn := user(t, server.Database(t), "elsewhere", all)
			return strings.Replace(dsn, ")/"+mysqltest.DatabaseName(t, dsn), ")/"+name, 1)
		}, "database", []Finding{failed("MySQL denies the user access to the database", "GRANT SELECT, INSERT, DELETE, CREATE, INDEX ON ")}},
		{"a good user", func(t *testing.T) string { return user(t, migrated(t), "good", "SELECT, INSERT, DELETE") }, "database schema",
			[]Finding{ok("visits can be read, recorded and deleted")}},
		{"only reading", func(t *testing.T) string { return user(t, migrated(t), "reader", "SELECT") }, "database schema",
			[]Finding{failed("MySQL denies the user a privilege: INSERT", "GRANT"), failed("MySQL denies the user a privilege: DELETE", `to the user "reader"`)}},
		{"a fresh database", func(t *testing.T) string { return user(t, server.Database(t), "fresh", all) }, "database schema",
			[]Finding{warning("the tables are missing or older than this release", "start the service")}},
		{"a fresh database without the privilege to make tables", func(t *testing.T) string { return user(t, server.Database(t), "poor", "SELECT, INSERT, DELETE") }, "database schema",
			[]Finding{failed("MySQL denies the user a privilege: CREATE", "GRANT"), failed("MySQL denies the user a privilege: INDEX", "GRANT")}},
		{"the table is gone", func(t *testing.T) string {
			dsn := migrated(t)
			server.Exec(t, "RENAME TABLE "+mysqltest.DatabaseName(t, dsn)+".visits TO "+mysqltest.DatabaseName(t, dsn)+".kept")
			return dsn
		}, "database schema", []Finding{failed("the table visits is missing", "its migration is recorded")}},
		{"a column was renamed", func(t *testing.T) string {
			dsn := migrated(t)
			server.Exec(t, "ALTER TABLE "+mysqltest.DatabaseName(t, dsn)+".visits RENAME COLUMN route TO way")
			return dsn
		}, "database schema", []Finding{failed("the table visits lacks a column", "undo the change")}},
		{"read-only", func(t *testing.T) string {
			dsn := user(t, migrated(t), "replica", all)
			server.Exec(t, "SET GLOBAL read_only = 1")
			t.Cleanup(func() { server.Exec(t, "SET GLOBAL read_only = 0") })
			return dsn
		}, "database schema", []Finding{failed("MySQL is read-only", "primary")}},
		{"fresh and read-only", func(t *testing.T) string {
			dsn := user(t, server.Database(t), "replica", all)
			server.Exec(t, "SET GLOBAL read_only = 1")
			t.Cleanup(func() { server.Exec(t, "SET GLOBAL read_only = 0") })
			return dsn
		}, "database schema", []Finding{failed("MySQL is read-only", "primary")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := c.dsn(t)
			before := tables(t, server)
			report := examine(t, configure(t, l.env, dsn))
			report.expect(t, c.check, c.want...)
			if after := tables(t, server); !slices.Equal(before, after) {
				t.Errorf("the tables were %q, now %q", before, after)
			}
		})
	}
	dsn := migrated(t)
	for mode, want := range map[string]Finding{
		"":         ok("statements reach MySQL with the ID of their trace"),
		"full":     ok("statements reach MySQL with the ID of their trace"),
		"service":  warning("DD_DBM_PROPAGATION_MODE is service", "set DD_DBM_PROPAGATION_MODE=full"),
		"disabled": warning("DD_DBM_PROPAGATION_MODE is disabled", "set DD_DBM_PROPAGATION_MODE=full"),
	} {
		t.Run("propagation mode "+mode, func(t *testing.T) {
			env := l.env.with("DD_DBM_PROPAGATION_MODE=" + mode)
			cfg := configure(t, env, dsn)
			if mode == "" {
				t.Setenv("DD_DBM_PROPAGATION_MODE", "full") // as package ddenv
			}
			examine(t, cfg).expect(t, "database comment", want)
		})
	}
	t.Run("statements lose their comments", func(t *testing.T) {
		cfg := configure(t, l.env, dsn)
		t.Setenv("DD_DBM_PROPAGATION_MODE", "disabled") // like a proxy that removes them
		examine(t, cfg).expect(t, "database comment", warning("without the comment", "a proxy"))
	})
}

// tables returns the tables of all tests' databases.
func tables(t *testing.T, server *mysqltest.Server) []string {
	t.Helper()
	return server.Strings(t, "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema LIKE 'test%' ORDER BY 1")
}

// If every server hangs, the doctor ends all the same.
func TestEverythingHangs(t *testing.T) {
	hanging := listening(t, hang)
	cfg := configure(t, variables{"DD_TRACE_AGENT_URL": "http://" + hanging}, "u:"+password+"@tcp("+hanging+")/d")
	cfg.LogOTLP = "http://" + hanging
	report := Run(t.Context(), cfg, nil) // as for JSON
	for check, want := range map[string]Finding{
		"agent": failed("does not answer", "restart"), "database": failed("does not answer in time", "check"), "log receiver": failed("does not answer in time", "start the receiver"),
	} {
		report.expect(t, check, want)
	}
}

// When the time is over, the doctor ends without more waits.
func TestTimeIsOver(t *testing.T) {
	hanging := listening(t, hang)
	url := answering(t, infoOf(usualInfo, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	for _, agent := range []string{url, "http://" + hanging} {
		cfg := configure(t, variables{"DD_TRACE_AGENT_URL": agent}, "u:"+password+"@tcp("+hanging+")/d")
		cfg.LogOTLP, cfg.patience = "http://"+hanging, time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		report := Run(ctx, cfg, func(f Finding) {
			if f.Check == "agent address" {
				cancel()
			}
		})
		if report.Count(Failed) == 0 {
			t.Errorf("nothing failed: %+v", report)
		}
	}
}

func TestJSON(t *testing.T) {
	r := Report{Findings: []Finding{{"agent", OK, "it answers", ""}, {"clock", Warning, "1h ahead", "NTP"}, {"x", Failed, "a & b", "<c>"}}, NotChecked: []string{"y"}}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	const want = `{"findings":[{"check":"agent","found":"it answers","state":"ok"},{"check":"clock","do":"NTP","found":"1h ahead","state":"warning"},{"check":"x","do":"<c>","found":"a & b","state":"failed"}],"not_checked":["y"],"ok":1,"warnings":1,"failed":1}`
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		t.Errorf("got %s", &b)
	}
	if !strings.Contains(b.String(), "a & b") {
		t.Errorf("characters are escaped: %s", &b)
	}
}

// At the start, a running service logs where its traces go, and each problem.
func TestAtStart(t *testing.T) {
	l := newLocal(t)
	ctx := t.Context()
	start := func(t *testing.T, env variables) string {
		cfg := configure(t, env, noMySQL(t))
		cfg.Problems = []ddenv.Problem{{Name: "DD_X", Text: "logged already"}}
		stop := telemetry.StartProbe(cfg.Telemetry, offline{}, time.Second, slog.New(slog.DiscardHandler)) // in the place of the service's tracer
		defer stop()
		var b bytes.Buffer
		AtStart(ctx, cfg, slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})))
		return b.String()
	}
	const answers = "the local agent answers (with the code of Agent 7.85.2)"
	url := l.env["DD_TRACE_AGENT_URL"]
	for _, c := range []struct {
		name string
		env  variables
		want []string
	}{
		{"all is well", l.env, []string{"level=INFO msg=\"traces go to " + url + ", from DD_TRACE_AGENT_URL: " + answers + "\""}},
		{"nothing is kept", l.env.with("DD_TRACE_SAMPLE_RATE=0"), []string{"level=WARN msg=\"sampling: no trace is kept, by DD_TRACE_SAMPLE_RATE=0; raise the rate", "level=INFO msg=\"traces go"}},
		{"no Agent", l.env.with("DD_TRACE_AGENT_URL=http://127.0.0.1:1"), []string{"level=WARN msg=\"agent port: nothing listens at 127.0.0.1:1; "}},
		{"contradictions", l.env.with("DD_AGENT_HOST=elsewhere"), []string{"level=WARN msg=\"settings: DD_TRACE_AGENT_URL is used, ", "level=INFO"}},
		{"a site", l.env.with("DD_SITE=app.datadoghq.eu"), []string{"level=WARN msg=\"account: DD_SITE", "level=INFO"}},
		{"no metrics", l.env.with("DD_DOGSTATSD_PORT=1"), []string{"level=WARN msg=\"metrics: nothing listens", "level=INFO"}},
		{"no profiles", l.env.with("DD_TRACE_AGENT_URL=" + answering(t, infoOf(`{"endpoints": ["/v0.4/traces"]}`, takeAll))), []string{"level=WARN msg=\"profiling: the Agent does not take profiles", "level=INFO"}},
		{"turned off on purpose", l.env.with("DD_TRACE_ENABLED=false", "DD_PROFILING_ENABLED=false"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Split(strings.TrimSuffix(start(t, c.env), "\n"), "\n")
			if got[0] == "" {
				got = nil
			}
			if len(got) != len(c.want) {
				t.Fatalf("logged %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("logged %s, want %s", got[i], want)
				}
			}
		})
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	ctx = stopped
	if got := start(t, l.env); got != "" {
		t.Errorf("a service that stops logged %s", got)
	}
}

// docs/doctor.md has a row for each check, and no other.
func TestDocumented(t *testing.T) {
	inCode := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:add\(|check = |check, path = |unixSocket\(ctx, )"([^"]+)"`).FindAllSubmatch(source, -1) {
			inCode[string(m[1])] = true
		}
	}
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), fmt.Sprintf("is limited to %.0f s, all together to about %.0f s.", defaultPatience.Seconds(), overall.Seconds())) {
		t.Errorf("docs/doctor.md has other limits than %s and %s", defaultPatience, overall)
	}
	inDocs := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllSubmatch(page, -1) {
		for name := range strings.SplitSeq(string(row[1]), ", ") {
			inDocs[strings.Trim(name, "`")] = true
		}
	}
	if !maps.Equal(inCode, inDocs) || len(inCode) < 15 {
		t.Errorf("the checks are %q, and docs/doctor.md has %q", slices.Sorted(maps.Keys(inCode)), slices.Sorted(maps.Keys(inDocs)))
	}
}
