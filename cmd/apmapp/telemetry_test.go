package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/internal/traceagent"
)

var update = flag.Bool("update", false, "write the goldens anew")

// The tests of this file hold docs/telemetry.md: the real binary on a real
// database, and the Agent's own code where its telemetry goes.

// scenarios are the requests whose traces are compared with testdata, one by
// one.
var scenarios = []struct {
	name   string
	method string
	target string
	header http.Header
	locked bool // the table is, so that MySQL does not answer in time
}{
	{name: "home", method: "GET", target: "/"},
	{name: "trace", method: "GET", target: "/api/trace"},
	{name: "apm", method: "GET", target: "/api/apm"},
	{name: "head", method: "HEAD", target: "/api/apm"},
	{name: "options", method: "OPTIONS", target: "/"},
	{name: "unknown-path", method: "GET", target: "/no/such/page"},
	{name: "wrong-method", method: "POST", target: "/api/trace"},
	{name: "secret-in-query", method: "GET", target: "/?password=hunter2"},
	{name: "traceparent", method: "GET", target: "/", header: http.Header{
		"Traceparent": {"00-11111111111111112222222222222222-3333333333333333-01"},
	}},
	{name: "datadog-headers", method: "GET", target: "/", header: http.Header{
		"X-Datadog-Trace-Id": {"4444"}, "X-Datadog-Parent-Id": {"5555"}, "X-Datadog-Sampling-Priority": {"2"},
	}},
	{name: "slow-database", method: "GET", target: "/api/trace", locked: true},
}

// load is how many requests each route gets beyond the scenarios: enough CPU
// time for a profile to say something.
const load = 2000

func TestTelemetryContract(t *testing.T) {
	server := mysqltest.Start(t, "--general-log=1", "--log-output=TABLE")
	in := newIntake(t)
	dsn := server.Database(t)
	visits := mysqltest.DatabaseName(t, dsn) + ".visits"
	p := launch(t,
		"MYSQL_DSN="+dsn,
		"DD_TRACE_AGENT_URL="+in.url, "DD_DOGSTATSD_HOST=127.0.0.1", "DD_DOGSTATSD_PORT="+in.statsd,
		"DD_ENV=test", "DD_VERSION=1.2.3",
		"APMAPP_REQUEST_TIMEOUT=2s", "APMAPP_RETENTION=1h", "APMAPP_RETENTION_INTERVAL=100ms",
	)
	p.awaitStatus("/readyz", 200)
	p.awaitStatus("/healthz", 200)
	server.Exec(t, "INSERT INTO "+visits+" (route, trace_id, visited_at) VALUES ('/', '', NOW() - INTERVAL 1 DAY)")
	poll.Until(t, func() error {
		if n := server.Strings(t, "SELECT COUNT(*) FROM "+visits)[0]; n != "0" {
			return fmt.Errorf("%s visits are left, want 0", n)
		}
		return nil
	})

	traceIDs := map[string]string{} // by scenario
	for _, s := range scenarios {
		unlock := func() {}
		if s.locked {
			unlock = server.Lock(t, visits)
		}
		traceIDs[s.name] = traceID(t, p, s.method, s.target, s.header)
		unlock()
	}
	drive(t, p, load, "/", "/api/trace", "/api/apm")
	documentedMetrics := table(t, "DogStatsD metrics")
	poll.Until(t, func() error {
		for _, row := range documentedMetrics {
			if in.metric(row[0]) == "" {
				return fmt.Errorf("%s was not sent", row[0])
			}
		}
		return nil
	})
	if status := p.stop(); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	in.stop()
	// From here on, all that was sent has arrived.

	t.Run("each request is one trace", func(t *testing.T) {
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				golden(t, filepath.Join("testdata", "traces", s.name+".txt"), tree(t, in.traces[traceIDs[s.name]]))
			})
		}
		if got, want := len(in.operations("http.request")), len(scenarios)+3*load; got != want {
			t.Errorf("%d requests left a span, want %d", got, want)
		}
	})
	t.Run("each run of the job is one trace", func(t *testing.T) {
		var deleting []traceagent.Span
		for _, spans := range in.traces {
			if spans[0].Operation != "job.run" && spans[0].Operation != "http.request" && spans[0].ParentID == 0 {
				t.Errorf("a trace of its own: %s", tree(t, spans))
			}
			for _, s := range spans {
				if s.Operation == "job.run" && s.Metrics["visits.deleted"] == 1 {
					deleting = spans
				}
			}
		}
		golden(t, filepath.Join("testdata", "traces", "job.txt"), tree(t, deleting))
	})
	t.Run("spans are those documented", func(t *testing.T) { checkSpans(t, in) })
	t.Run("tags are those documented", func(t *testing.T) { checkTags(t, in) })
	t.Run("statistics add up", func(t *testing.T) { checkStats(t, in) })
	t.Run("statements carry their trace", func(t *testing.T) {
		checkDBM(t, in, server, traceIDs["trace"])
	})
	t.Run("each request is one log line", func(t *testing.T) { checkLogs(t, in, p) })
	t.Run("metrics", func(t *testing.T) {
		for _, row := range documentedMetrics {
			line := in.metric(row[0])
			if want := map[string]string{"gauge": "|g|", "count": "|c|"}[row[1]]; want == "" || !strings.Contains(line, want) {
				t.Errorf("%s is no %s", line, row[1])
			}
			for _, tag := range []string{"env:test", "service:apmapp", "version:1.2.3"} {
				if !strings.Contains(line, tag) {
					t.Errorf("%s: no tag %s", line, tag)
				}
			}
		}
	})
	t.Run("profiles", func(t *testing.T) { checkProfiles(t, in) })
}

// traceID makes a request and returns the trace ID of its traceresponse.
func traceID(t *testing.T, p *process, method, target string, header http.Header) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("User-Agent", "contract")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	parts := regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-01$`).FindStringSubmatch(resp.Header.Get("Traceresponse"))
	if parts == nil {
		t.Fatalf("%s %s: traceresponse %q", method, target, resp.Header.Get("Traceresponse"))
	}
	return parts[1]
}

// drive makes n requests to each path, a few at a time; all must succeed.
func drive(t *testing.T, p *process, n int, paths ...string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	next := make(chan string)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for path := range next {
				resp, err := client.Get(p.url + path)
				if err != nil {
					t.Error(err)
					continue
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", path, resp.Status)
				}
			}
		})
	}
	for range n {
		for _, path := range paths {
			next <- path
		}
	}
	close(next)
	workers.Wait()
}

// table returns the rows of the first table below a heading of
// docs/telemetry.md, without backquotes.
func table(t *testing.T, heading string) [][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, below, ok := strings.Cut(strings.ReplaceAll(string(page), "`", ""), "# "+heading+"\n")
	if !ok {
		t.Fatalf("docs/telemetry.md has no heading %q", heading)
	}
	below, _, _ = strings.Cut(below, "\n#")
	var rows [][]string
	for line := range strings.Lines(below) {
		if strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) < 3 {
		t.Fatalf("docs/telemetry.md has no table below %q", heading)
	}
	return rows[2:] // below the header and its line
}

// tree draws the spans of a trace with all that is the same in each run, less
// the tags of every span.
func tree(t *testing.T, spans []traceagent.Span) string {
	t.Helper()
	everywhere := names(t, "Tags of every span")
	received := map[uint64]bool{}
	for _, s := range spans {
		received[s.SpanID] = true
	}
	var b strings.Builder
	var draw func(parent uint64, depth int)
	draw = func(parent uint64, depth int) {
		for _, s := range spans {
			isRoot := s.IsRoot(func(id uint64) bool { return received[id] })
			if (depth == 0 && !isRoot) || (depth > 0 && s.ParentID != parent) {
				continue
			}
			indent := strings.Repeat("    ", depth)
			fmt.Fprintf(&b, "%s%s %s %q %q", indent, s.Service, s.Operation, s.Type, s.Resource)
			if isRoot && s.ParentID != 0 {
				fmt.Fprintf(&b, " of %d", s.ParentID)
			}
			if s.Error {
				b.WriteString(" error")
			}
			b.WriteByte('\n')
			for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
				if !internal(name) && !everywhere[name] {
					fmt.Fprintf(&b, "%s  %s: %s\n", indent, name, stable(name, s.Tags[name]))
				}
			}
			for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
				if !internal(name) && !everywhere[name] {
					fmt.Fprintf(&b, "%s  %s: %v\n", indent, name, s.Metrics[name])
				}
			}
			draw(s.SpanID, depth+1)
		}
	}
	draw(0, 0)
	return b.String()
}

var (
	localPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	rest      = regexp.MustCompile(`(?s)\n.*`)
)

// stable returns what a tag says in every run.
func stable(name, value string) string {
	switch {
	case name == "out.port", name == "db.name":
		return "…"
	case strings.HasSuffix(name, "stack"):
		return rest.ReplaceAllString(value, " …")
	}
	return localPort.ReplaceAllString(value, "127.0.0.1:…")
}

// internal reports whether a tag is one of the tracer's own, which Datadog does
// not show.
func internal(name string) bool { return strings.HasPrefix(name, "_") }

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (-update writes it anew)\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}

func TestTelemetrySwitches(t *testing.T) {
	server := mysqltest.Start(t)
	start := func(t *testing.T, environ ...string) (*process, *intake) {
		in := newIntake(t)
		p := launch(t, append(environ, "MYSQL_DSN="+server.Database(t), "DD_TRACE_AGENT_URL="+in.url)...)
		p.awaitStatus("/readyz", 200)
		return p, in
	}
	stop := func(t *testing.T, p *process, in *intake) {
		t.Helper()
		if status := p.stop(); status != 0 {
			t.Fatalf("exit status %d", status)
		}
		in.stop()
	}

	t.Run("DD_LOGS_INJECTION=false", func(t *testing.T) {
		p, in := start(t, "DD_LOGS_INJECTION=false")
		p.get("/api/trace")
		line := p.awaitLine("request")
		if line["dd.service"] != "apmapp" || line["dd.trace_id"] != nil || line["dd.span_id"] != nil {
			t.Errorf("logged %v", line)
		}
		stop(t, p, in)
		if n := len(in.operations("http.request")); n != 1 {
			t.Errorf("%d traces, want 1", n)
		}
	})
	t.Run("DD_TRACE_ENABLED=false", func(t *testing.T) {
		p, in := start(t, "DD_TRACE_ENABLED=false")
		if status, header, _ := p.get("/api/trace"); status != 200 || header.Get("Traceresponse") != "" {
			t.Errorf("%d, traceresponse %q", status, header.Get("Traceresponse"))
		}
		if line := p.awaitLine("request"); line["dd.trace_id"] != nil {
			t.Errorf("logged %v", line)
		}
		stop(t, p, in)
		if len(in.traces) != 0 {
			t.Errorf("%d traces, want none", len(in.traces))
		}
		if len(in.profiles) == 0 {
			t.Error("no profiles: they have a switch of their own")
		}
	})
	t.Run("DD_PROFILING_ENABLED=false", func(t *testing.T) {
		p, in := start(t, "DD_PROFILING_ENABLED=false")
		p.get("/api/trace")
		stop(t, p, in)
		if len(in.profiles) != 0 || len(in.traces) != 1 {
			t.Errorf("%d profiles, %d traces, want none and 1", len(in.profiles), len(in.traces))
		}
	})
	t.Run("an older Agent", func(t *testing.T) {
		p, in := start(t, "DD_TRACE_AGENT_PROTOCOL_VERSION=0.4")
		_, header, _ := p.get("/api/trace")
		stop(t, p, in)
		trace := in.traces[header.Get("Traceresponse")[3:35]]
		if len(trace) != 2 {
			t.Errorf("a trace of %d spans, want 2: %v", len(trace), in.traces)
		}
	})
	t.Run("names of one's own", func(t *testing.T) {
		p, in := start(t, "DD_SERVICE=shop", "DD_ENV=prod", "DD_VERSION=7", "DD_TAGS=team:web")
		p.get("/api/trace")
		stop(t, p, in)
		for _, s := range in.spans() {
			want := map[string]string{"http.request": "shop", "mysql.query": "shop-mysql"}[s.Operation]
			if s.Service != want || s.Tags["env"] != "prod" || s.Tags["version"] != "7" || s.Tags["team"] != "web" {
				t.Errorf("%s of %s: %v", s.Operation, s.Service, s.Tags)
			}
		}
	})
}

func TestAgentComesLate(t *testing.T) {
	server := mysqltest.Start(t)
	absent := loopback.FreeAddr(t)
	p := launch(t, "MYSQL_DSN="+server.Database(t), "DD_TRACE_AGENT_URL=http://"+absent, "DD_PROFILING_ENABLED=false",
		// The tracer gathers what it has to say for a minute at a time, else.
		"DD_LOGGING_RATE=1")
	p.awaitStatus("/readyz", 200)
	drive(t, p, 100, "/")
	warning := p.awaitLine("Datadog Tracer")
	if warning["level"] != "WARN" || !strings.Contains(fmt.Sprint(warning["msg"]), absent) {
		t.Errorf("logged %v", warning)
	}

	if n := len(p.warnings()); n > 5 {
		t.Errorf("%d warnings for 100 requests", n)
	}

	in := newIntakeAt(t, absent)
	poll.Until(t, func() error {
		p.get("/api/trace")
		in.mu.Lock()
		defer in.mu.Unlock()
		if len(in.traces) == 0 {
			return errors.New("the Agent got no trace")
		}
		return nil
	})
	if status := p.stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func (p *process) warnings() []logLine {
	return slices.DeleteFunc(p.lines(), func(l logLine) bool { return l["level"] != "WARN" })
}
