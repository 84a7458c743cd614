package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

// The tracer reads these while its packages are initialized, and would crash.
func TestMalformedAgentAddress(t *testing.T) {
	t.Parallel()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"DD_AGENT_HOST=http://127.0.0.1", "DD_AGENT_HOST=[::1]", "DD_TRACE_AGENT_PORT=abc", "DD_TRACE_AGENT_URL=http://[::1"} {
		for flag, want := range map[string]int{"-version": 0, "-help": 0, "-healthcheck": 1, "-nonsense": 2} {
			cmd := exec.Command(program, flag, "-addr", "127.0.0.1:1")
			cmd.Env = []string{variable}
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != want || bytes.Contains(out, []byte("panic")) {
				t.Errorf("%s apmapp %s: exit status %d, want %d\n%s", variable, flag, got, want, out)
			}
		}
	}
}

// TestEnvironmentIsCheckedFirst: no package that reads DD_ variables is initialized
// before the one that checks them, except the tracer's log, which reads
// DD_LOGGING_RATE and ignores a wrong value.
func TestEnvironmentIsCheckedFirst(t *testing.T) {
	t.Parallel()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-version")
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	trace, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, trace)
	}
	var packages []string
	for _, init := range regexp.MustCompile(`(?m)^init (\S+) @`).FindAllSubmatch(trace, -1) {
		packages = append(packages, string(init[1]))
	}
	checked := slices.Index(packages, "apmapp/internal/ddenv")
	for _, reader := range []string{"internal/config", "instrumentation/httptrace", "ddtrace/tracer"} {
		i := slices.Index(packages, "github.com/DataDog/dd-trace-go/v2/"+reader)
		if i >= 0 && i < checked || checked < 0 {
			t.Errorf("%s is initialized at place %d, and the check of the environment at %d", reader, i, checked)
		}
	}
}

// start runs apmapp with an intake and a database. The returned function stops it;
// then all telemetry has arrived.
func start(t *testing.T, server *mysqltest.Server, environ ...string) (p *process, in *intake, stop func()) {
	t.Helper()
	in = newIntake(t)
	p = launch(t, append([]string{
		"MYSQL_DSN=" + server.Database(t), "DD_TRACE_AGENT_URL=" + in.url,
		"DD_DOGSTATSD_HOST=127.0.0.1", "DD_DOGSTATSD_PORT=" + in.statsd,
	}, environ...)...)
	p.awaitStatus("/readyz", http.StatusOK)
	return p, in, func() {
		t.Helper()
		if status := p.stop(); status != 0 {
			t.Fatalf("exit status %d", status)
		}
		in.stop()
	}
}

// TestNamesAreTheSameEverywhere: whichever variables name the service, spans,
// statistics, logs, profiles, metrics and statements have the same names.
func TestNamesAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, "--general-log=1", "--log-output=TABLE")
	type names struct {
		environ                         string
		service, database, env, version string
	}
	type run struct {
		names
		p    *process
		in   *intake
		stop func()
	}
	var runs []run
	const poolMetric = "datadog.tracer.sql.db.connections.open"
	for _, c := range []names{
		{"DD_SERVICE=My Shop;DD_ENV=Prod EU;DD_VERSION=V1.0+7", "my_shop", "my_shop-mysql", "prod_eu", "v1.0_7"},
		{"OTEL_SERVICE_NAME=shop;OTEL_RESOURCE_ATTRIBUTES=deployment.environment=prod,service.version=7", "shop", "shop-mysql", "prod", "7"},
		{"OTEL_RESOURCE_ATTRIBUTES=service.name=Shop,deployment.environment.name=prod,service.version=7", "shop", "shop-mysql", "prod", "7"},
		{"DD_TAGS=service:My Shop,env:Prod EU,version:V 7", "my_shop", "my_shop-mysql", "prod_eu", "v_7"},
		{"DD_SERVICE_MAPPING=apmapp:shop,apmapp-mysql:Orders DB;DD_ENV=e;DD_VERSION=7", "shop", "orders_db", "e", "7"},
		{"DD_TRACE_SPAN_ATTRIBUTE_SCHEMA=v1;DD_ENV=e;DD_VERSION=7", "apmapp", "apmapp-mysql", "e", "7"},
		{"DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED=true;DD_ENV=e;DD_VERSION=7", "apmapp", "apmapp-mysql", "e", "7"},
		{"DD_SERVICE=???;DD_AGENT_HOST=http://x;DD_DBM_PROPAGATION_MODE=none;DD_TRACE_SAMPLE_RATE=abc;DD_PROFILING_UPLOAD_TIMEOUT=abc;DD_ENV=e;DD_VERSION=7", "apmapp", "apmapp-mysql", "e", "7"},
	} {
		p, in, stop := start(t, server, strings.Split(c.environ, ";")...)
		runs = append(runs, run{c, p, in, stop})
	}
	// All run at the same time, because metrics come every 10 s.
	for _, c := range runs {
		t.Run(c.environ, func(t *testing.T) {
			in := c.in
			_, header, _ := c.p.get("/api/trace")
			poll.Until(t, func() error {
				if in.metric(poolMetric) == "" {
					return fmt.Errorf("%s did not arrive", poolMetric)
				}
				return nil
			})
			c.stop()

			traceID := header.Get("Traceresponse")[3:35]
			spans := in.traces[traceID]
			if len(spans) != 3 {
				t.Errorf("a trace of %d spans, want 3", len(spans))
			}
			for _, s := range spans {
				want := map[string]string{"http.request": c.service, "visit.record": c.service, "mysql.query": c.database}[s.Operation]
				if s.Service != want || s.Tags["env"] != c.env || s.Tags["version"] != c.version {
					t.Errorf("the span %s has %s, %s, %s", s.Operation, s.Service, s.Tags["env"], s.Tags["version"])
				}
			}
			for key := range in.stats {
				if want := map[string]string{"http.request": c.service, "mysql.query": c.database}[key.operation]; key.service != want || key.env != c.env || key.version != c.version {
					t.Errorf("statistics of %+v", key)
				}
			}
			if len(in.stats) != 2 {
				t.Errorf("%d groups of statistics, want 2", len(in.stats))
			}
			line := c.p.awaitLine("request")
			if line["dd.service"] != c.service || line["dd.env"] != c.env || line["dd.version"] != c.version {
				t.Errorf("logged %v", line)
			}
			if len(in.tags) == 0 {
				t.Error("no profile arrived")
			}
			for _, tags := range in.tags {
				checkUnified(t, tags, c.service, c.env, c.version)
			}
			// The pool's metrics belong to the service of the database.
			_, tags, _ := strings.Cut(in.metric(poolMetric), "|#")
			checkUnified(t, strings.Split(tags, ","), c.database, c.env, c.version)
			comment := server.Strings(t, "SELECT argument FROM mysql.general_log WHERE argument LIKE ?", "/*ddd%"+traceID[16:]+"%")
			if len(comment) != 1 {
				t.Fatalf("the server logged %q, want one statement of the trace", comment)
			}
			for _, want := range []string{"dddbs='" + c.database + "'", "ddps='" + c.service + "'", "dde='" + c.env + "'", "ddpv='" + c.version + "'"} {
				if !strings.Contains(comment[0], want) {
					t.Errorf("%s has no %s", comment[0], want)
				}
			}
		})
	}
}

// checkUnified fails the test unless tags have these values, and no others, for
// Datadog's unified service tags.
func checkUnified(t *testing.T, tags []string, service, env, version string) {
	t.Helper()
	got := slices.DeleteFunc(slices.Clone(tags), func(tag string) bool {
		return !strings.HasPrefix(tag, "service:") && !strings.HasPrefix(tag, "env:") && !strings.HasPrefix(tag, "version:")
	})
	slices.Sort(got)
	if want := []string{"env:" + env, "service:" + service, "version:" + version}; !slices.Equal(slices.Compact(got), want) {
		t.Errorf("the tags are %q, want %q", got, want)
	}
}

// Each wrong variable is one warning, and the service works.
func TestWrongVariablesAreWarnings(t *testing.T) {
	t.Parallel()
	wrong := []string{
		"DD_AGENT_HOST=http://127.0.0.1", "DD_DBM_PROPAGATION_MODE=none", "DD_LOGS_INJECTION=on", "DD_PROFILING_ENABLED=maybe",
		"DD_PROFILING_UPLOAD_TIMEOUT=abc", "DD_SERVCE=shop", "DD_TRACE_AGENT_PORT=abc", "DD_TRACE_ENABLED=yes",
		"DD_TRACE_HTTP_SERVER_ERROR_STATUSES=5xx", "DD_TRACE_SAMPLE_RATE=abc", "DD_TRACE_SPAN_ATTRIBUTE_SCHEMA=v1", "OTEL_TRACES_EXPORTER=jaeger",
	}
	p, in, stop := start(t, mysqltest.Start(t), wrong...)
	if status, header, _ := p.get("/api/trace"); status != http.StatusOK || header.Get("Traceresponse") == "" {
		t.Errorf("%d, traceresponse %q", status, header.Get("Traceresponse"))
	}
	stop()
	if len(in.traces) != 1 || len(in.profiles) == 0 {
		t.Errorf("%d traces and %d profiles arrived, want 1 trace and some profiles", len(in.traces), len(in.profiles))
	}
	var got []string
	for _, l := range p.warnings() {
		name, _, _ := strings.Cut(fmt.Sprint(l["msg"]), " ")
		got = append(got, name)
	}
	want := slices.Clone(wrong)
	for i := range want {
		name, value, _ := strings.Cut(want[i], "=")
		if want[i] = fmt.Sprintf("%s=%q", name, value); name == "DD_SERVCE" {
			want[i] = name
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("warnings of %q, want %q", got, want)
	}
}

func TestDocumentedForms(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	t.Run("DD_DOGSTATSD_URL", func(t *testing.T) {
		t.Parallel()
		in := newIntake(t)
		p := launch(t, "MYSQL_DSN="+server.Database(t), "DD_TRACE_AGENT_URL="+in.url, "DD_DOGSTATSD_URL=udp://127.0.0.1:"+in.statsd)
		p.awaitStatus("/readyz", http.StatusOK)
		poll.Until(t, func() error {
			if in.metric("datadog.tracer.sql.db.connections.open") == "" {
				return fmt.Errorf("no metric arrived")
			}
			return nil
		})
	})
	t.Run("DD_TRACE_DEBUG", func(t *testing.T) {
		t.Parallel()
		p, _, stop := start(t, server, "DD_TRACE_DEBUG=true")
		p.get("/api/trace")
		stop()
		if !slices.ContainsFunc(p.lines(), func(l logLine) bool { return strings.Contains(fmt.Sprint(l["msg"]), " DEBUG: ") }) {
			t.Errorf("no debug line of the tracer in the log:\n%s", p.tail(20))
		}
	})
	t.Run("OTEL_TRACES_EXPORTER=none", func(t *testing.T) {
		t.Parallel()
		p, in, stop := start(t, server, "OTEL_TRACES_EXPORTER=none")
		_, header, _ := p.get("/api/trace")
		stop()
		if len(in.traces) != 0 || header.Get("Traceresponse") != "" {
			t.Errorf("%d traces, traceresponse %q, want none", len(in.traces), header.Get("Traceresponse"))
		}
	})
	t.Run("git", func(t *testing.T) {
		t.Parallel()
		const commit, repository = "0123456789abcdef0123456789abcdef01234567", "https://git.example/shop"
		p, in, stop := start(t, server, "DD_GIT_COMMIT_SHA="+commit, "DD_GIT_REPOSITORY_URL=https://user:hunter2@git.example/shop")
		_, header, _ := p.get("/")
		stop()
		root := in.traces[header.Get("Traceresponse")[3:35]][0]
		if root.Tags["_dd.git.commit.sha"] != commit || root.Tags["_dd.git.repository_url"] != repository {
			t.Errorf("the span has %v", root.Tags)
		}
		for _, tags := range in.tags {
			if !slices.Contains(tags, "git.commit.sha:"+commit) || !slices.Contains(tags, "git.repository_url:"+repository) {
				t.Errorf("a profile has the tags %q", tags)
			}
		}
	})
}

// The flags of traceresponse and of statements follow the decision of a sampling rule.
func TestFlagsFollowSamplingRules(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, "--general-log=1", "--log-output=TABLE")
	p, in, stop := start(t, server, `DD_TRACE_SAMPLING_RULES=[{"resource": "GET /api/apm", "sample_rate": 0}]`)
	flags := map[string]string{}
	for path, want := range map[string]string{"/": "01", "/api/trace": "01", "/api/apm": "00"} {
		_, header, _ := p.get(path)
		id, flag := header.Get("Traceresponse")[3:35], header.Get("Traceresponse")[53:]
		flags[id] = want
		if flag != want || header.Get("Server-Timing") != "trace;desc="+header.Get("Traceresponse") {
			t.Errorf("%s: traceresponse %s, server-timing %s, want the flags %s", path, header.Get("Traceresponse"), header.Get("Server-Timing"), want)
		}
		comment := server.Strings(t, "SELECT argument FROM mysql.general_log WHERE argument LIKE ?", "/*ddd%"+id[16:]+"%")
		if len(comment) != 1 || !strings.Contains(comment[0], "-"+want+"'") {
			t.Errorf("%s: statements %q, want one with the flags %s", path, comment, want)
		}
	}
	stop()
	for id, flag := range flags {
		if _, kept := in.traces[id]; kept != (flag == "01") {
			t.Errorf("the trace %s with the flags %s arrived: %t", id, flag, kept)
		}
	}
}

// A client that invents methods, paths, hosts and headers makes no new groups of
// statistics, so no known route loses its own.
func TestInventedRequestsKeepStatistics(t *testing.T) {
	t.Parallel()
	p, in, stop := start(t, mysqltest.Start(t))
	const invented, known = 3000, 50
	send := func(method, path string, header http.Header) {
		r, err := http.NewRequest(method, p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range header {
			r.Header[name] = values
		}
		r.Host = r.Header.Get("Host")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for i := range invented {
		n := fmt.Sprint(i)
		send("M"+n, []string{"/", "/" + n, "/?" + n}[i%3], http.Header{
			"Host": {"host" + n}, "Origin": {"http://origin" + n}, "User-Agent": {n}, "X-Forwarded-For": {n},
			"X-Datadog-Origin": {"synthetics-" + n}, "X-Datadog-Tags": {"_dd.p.usr.id=" + n}, "Baggage": {"user.id=" + n},
			"X-Datadog-Trace-Id": {"1" + n}, "X-Datadog-Parent-Id": {"1" + n},
		})
	}
	for range known {
		p.get("/api/apm")
	}
	stop()
	var hits uint64
	for key, c := range in.stats {
		if key.resource == "GET /api/apm" {
			hits += c.hits
		}
	}
	if hits != known {
		t.Errorf("the statistics count %d requests to /api/apm, want %d", hits, known)
	}
	if len(in.stats) > 10 {
		t.Errorf("%d groups of statistics, want at most 10", len(in.stats))
	}
	for _, s := range in.operations("http.request") {
		for name := range s.Tags {
			if strings.HasPrefix(name, "baggage.") || strings.HasPrefix(name, "usr.") {
				t.Fatalf("a client set the tag %s", name)
			}
		}
	}
}
