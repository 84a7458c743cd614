package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"apmapp/internal/local/span"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/internal/testing/telemetrydoc"
)

// scenarios are the requests whose traces are compared with golden files.
var scenarios = []struct {
	name   string
	method string
	target string
	header http.Header
	locked bool // the table is locked, so that MySQL does not answer in time
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

// load is the number of requests per route in addition to the scenarios. They
// take enough CPU time for samples of each route.
const load = 1000

// poolSize is the number of connections to MySQL: so few that requests of drive wait.
const poolSize = 2

// TestTelemetryContract compares what the service emits with docs/telemetry.md.
// It runs the real program on a real database. The Agent's own code receives the
// telemetry.
func TestTelemetryContract(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, "--general-log=1", "--log-output=TABLE")
	in := newIntake(t)
	dsn := server.Database(t)
	visits := mysqltest.DatabaseName(t, dsn) + ".visits"
	p := launch(t,
		"MYSQL_DSN="+dsn,
		"DD_TRACE_AGENT_URL="+in.url, "DD_DOGSTATSD_HOST=127.0.0.1", "DD_DOGSTATSD_PORT="+in.statsd,
		"DD_ENV=test", "DD_VERSION=1.2.3",
		"APMAPP_POOL_SIZE="+fmt.Sprint(poolSize), "APMAPP_REQUEST_TIMEOUT=2s", "APMAPP_RETENTION=1h", "APMAPP_RETENTION_INTERVAL=100ms",
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
	requests := len(scenarios) + 3*load
	documentedMetrics := telemetrydoc.Table(t, "DogStatsD metrics")
	poll.Until(t, func() error {
		// Some metrics are only sent when their value has changed.
		p.get("/")
		requests++
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
	// Now everything has arrived.

	t.Run("each request is one trace", func(t *testing.T) {
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				golden(t, filepath.Join("testdata", "traces", s.name+".txt"), tree(t, in.traces[traceIDs[s.name]]))
			})
		}
		if got := len(in.operations("http.request")); got != requests {
			t.Errorf("%d requests have a span, want %d", got, requests)
		}
	})
	t.Run("each run of the job is one trace", func(t *testing.T) {
		var deleting []span.Span
		for _, spans := range in.traces {
			if spans[0].Operation != "job.run" && spans[0].Operation != "http.request" && spans[0].ParentID == 0 {
				t.Errorf("neither a request nor a job: %s", tree(t, spans))
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
				t.Errorf("%s is not a %s", line, row[1])
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

// traceID sends a request and returns the trace ID in its traceresponse.
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

// drive sends n requests to each path, eight at a time. All must succeed.
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
