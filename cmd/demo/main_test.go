package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"apmapp/deploy/agent"
	"apmapp/internal/command"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

// execute runs the demo without an Agent. It checks that the demo leaves no file, or
// its log after a failure.
func execute(t *testing.T, ctx context.Context, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:1")
	var out, errs bytes.Buffer
	status = run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdout: &out, Stderr: &errs})
	leaves(t, dir, status, errs.String())
	return status, out.String(), errs.String()
}

// leaves checks the files that a demo leaves in a directory.
func leaves(t *testing.T, dir string, status int, stderr string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if status != 1 {
		if len(files) > 0 {
			t.Errorf("left %v", files)
		}
		return
	}
	if len(files) != 1 || !strings.Contains(stderr, "; see the log: "+files[0]) {
		t.Errorf("after a failure, left %v, want the log that is named in %s", files, stderr)
	}
}

func TestDemo(t *testing.T) {
	status, stdout, stderr := execute(t, t.Context(), "-port", "0", "-rps", "30", "-duration", "1s", "-database", "embedded")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{
		`service   http://127\.0\.0\.1:\d+ `,
		`database  mysql -h 127\.0\.0\.1 -P \d+ -u apmapp apmapp  \(embedded; keeps the newest 500 visits\)`,
		`traffic   30 requests per second`,
		`requests  30 due, 30 sent, 0 dropped, 0 failed`,
		`answers   30 2xx`,
		`/api/trace +10 `,
		`trace [0-9a-f]{32}`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
}

// A demo reports nothing to Datadog: the tracer reads the variable before main.
func TestNoReports(t *testing.T) {
	if got := os.Getenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED"); got != "false" {
		t.Errorf("DD_INSTRUMENTATION_TELEMETRY_ENABLED is %q, want false", got)
	}
}

func TestDemoOnMySQL(t *testing.T) {
	server := mysqltest.Start(t)
	dsn := server.Database(t)
	status, stdout, stderr := execute(t, t.Context(), "-port", "0", "-duration", "600ms", "-dsn", dsn)
	if status != 0 || !strings.Contains(stdout, "12 sent, 0 dropped, 0 failed") || !strings.Contains(stdout, server.Addr()) {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	if got := server.Strings(t, "SELECT COUNT(*) FROM "+mysqltest.DatabaseName(t, dsn)+".visits")[0]; got != "4" {
		t.Errorf("%s visits, want 4", got)
	}
}

// TestDemoWithPages runs a demo with its own agent, on ports and with a budget that
// flags give, until it is interrupted.
func TestDemoWithPages(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("DD_TRACE_AGENT_URL", "")
	t.Setenv("DD_AGENT_HOST", "")
	port := func() string {
		_, port, err := net.SplitHostPort(loopback.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	data := filepath.Join(t.TempDir(), "data")
	service, traces, metrics, otlp, pages := port(), port(), port(), port(), port()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr lockedbuffer.Buffer
	ended := make(chan int, 1)
	go func() {
		args := []string{"-port", service, "-agent-port", traces, "-dogstatsd-port", metrics, "-otlp-grpc-port", "0", "-otlp-http-port", otlp, "-pages-port", pages, "-memory", "9", "-database", "embedded", "-data", data}
		ended <- run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdout: &stdout, Stderr: &stderr})
	}()
	shows := func(path, want string) {
		t.Helper()
		poll.Until(t, func() error {
			resp, err := http.Get("http://127.0.0.1:" + pages + path)
			if err != nil {
				return fmt.Errorf("%w; the demo printed %s%s", err, &stdout, &stderr)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), want) {
				return fmt.Errorf("%s does not show %q: %s%w", path, want, body, err)
			}
			return nil
		})
	}
	shows("/usage", "The budget is 9.00MB.")
	shows("/api/traces", `"resource":"GET /api/trace"`)
	shows("/api/logs", `"message":"request"`)
	// Of the traffic. The tracer's own metrics take ten seconds.
	shows("/api/metrics?q=loadgen", `"name":"loadgen.requests","type":"c","tags":"env:demo,path:/api/trace,service:loadgen,status_class:2xx,version:`)
	shows("/api/metrics?q=loadgen", `"name":"loadgen.response_time","type":"d"`)
	// Of the Agent's checks.
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	shows("/api/metrics?q=my_metric", `"name":"my_metric","type":"g","tags":"env:demo,host:`+host+`,project:apmapp,role:database,role:web,team:apm"`)
	shows("/api/metrics?q=mysql", `"name":"mysql.performance.threads_connected","type":"g","tags":"env:demo,host:`+host+`,project:apmapp,role:database,role:web,service:apmapp-mysql,team:apm"`)
	shows("/api/metrics?q=system", `"name":"system.mem.total","type":"g","tags":"env:demo,host:`+host+`,project:apmapp,role:database,role:web,team:apm"`)
	shows("/api/checks", `"name":"mysql.can_connect","status":"ok","host":"`+host+`"`)
	// Of the definitions.
	shows("/api/monitors", `"key":"no-traffic","name":"apmapp (demo): no requests"`) // its state needs half a minute: see e2e
	shows("/dashboards/timeboard", "apmapp timeboard (demo)")
	shows("/runbooks/no-traffic.md", "<h1")
	if _, err := os.Stat(filepath.Join(data, "metrics.gob")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("metrics are written before a minute is over: %v", err)
	}
	file := regexp.MustCompile(`logs      (\S+)`).FindStringSubmatch(stdout.String())
	if file == nil {
		t.Fatalf("the path of the log is not printed: %s", &stdout)
	}
	logs, err := os.ReadFile(file[1])
	if err != nil || !strings.Contains(string(logs), `"msg":"request"`) || !strings.Contains(string(logs), `"dd.env":"demo"`) {
		t.Errorf("the log has no request or no environment (%v):\n%s", err, logs)
	}
	cancel()
	if status := <-ended; status != 0 || stderr.String() != "" {
		t.Errorf("status %d: %s", status, &stderr)
	}
	for _, want := range []string{
		"pages     http://127.0.0.1:" + pages + " ",
		"service   http://127.0.0.1:" + service + " ",
		"agent     http://127.0.0.1:" + traces + " for traces, 127.0.0.1:" + metrics + " for metrics\n          http://127.0.0.1:" + otlp + " for OpenTelemetry\n" +
			"checks    my_metric every 45 s, mysql every 15 s, system every 15 s\n",
		"traffic   20 requests per second",
		"requests  ",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
	leaves(t, dir, 0, "")
	for _, name := range []string{"metrics.gob", "monitors.json"} {
		if _, err := os.Stat(filepath.Join(data, name)); err != nil {
			t.Errorf("-data: %v", err)
		}
	}
	if got := os.Getenv("DD_TRACE_AGENT_URL"); got != "" {
		t.Errorf("after the demo, DD_TRACE_AGENT_URL is still %s", got)
	}
}

// TestChecksOfADirectory has a copy of the Agent's files with another interval, on a machine
// without python3.
func TestChecksOfADirectory(t *testing.T) {
	files := t.TempDir()
	if err := os.CopyFS(files, agent.Files); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(files, "conf.d", "my_metric.yaml")
	content, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	content = bytes.Replace(content, []byte("min_collection_interval: 45"), []byte("min_collection_interval: 7"), 1)
	if err := os.WriteFile(conf, content, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	t.Setenv("DD_TRACE_AGENT_URL", "")
	t.Setenv("DD_AGENT_HOST", "")
	for _, tc := range []struct{ checks, line, page, stderr string }{
		{files, "checks    my_metric every 7 s, mysql every 15 s, system every 15 s\n", "python3 is not installed: checks.d/my_metric.py needs it", "demo: check my_metric: python3 is not installed: checks.d/my_metric.py needs it\n"},
		{"none", "", "", ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stdout, stderr lockedbuffer.Buffer
		ended := make(chan int, 1)
		go func() {
			args := []string{"-checks", tc.checks, "-port", "0", "-agent-port", "0", "-dogstatsd-port", "0", "-otlp-grpc-port", "0", "-otlp-http-port", "0", "-pages-port", "0", "-database", "embedded"}
			ended <- run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdout: &stdout, Stderr: &stderr})
		}()
		poll.True(t, "traffic", func() bool { return strings.Contains(stdout.String(), "traffic ") })
		if has := strings.Contains(stdout.String(), "checks "); has != (tc.line != "") || !strings.Contains(stdout.String(), tc.line) {
			t.Errorf("-checks %s: no %q in\n%s", tc.checks, tc.line, &stdout)
		}
		pages := regexp.MustCompile(`pages     (\S+)`).FindStringSubmatch(stdout.String())
		poll.Until(t, func() error {
			resp, err := http.Get(pages[1] + "/metrics")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), tc.page) {
				return fmt.Errorf("the page Metrics does not show %q: %s%w", tc.page, body, err)
			}
			return nil
		})
		cancel()
		if status := <-ended; status != 0 || stderr.String() != tc.stderr {
			t.Errorf("-checks %s: status %d: %s", tc.checks, status, &stderr)
		}
	}
}

func TestFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"-database embedded -port " + port, 1, "another process uses the service's port; choose one with -port: listen on 127.0.0.1:" + port},
		{"-port 65536", 2, "-port must be at most 65535, got 65536"},
		{"-agent-port 65536", 2, "-agent-port must be at most 65535, got 65536"},
		{"-dogstatsd-port 65536", 2, "-dogstatsd-port must be at most 65535, got 65536"},
		{"-otlp-grpc-port 65536", 2, "-otlp-grpc-port must be at most 65535, got 65536"},
		{"-otlp-http-port 65536", 2, "-otlp-http-port must be at most 65535, got 65536"},
		{"-pages-port 65536", 2, "-pages-port must be at most 65535, got 65536"},
		{"-memory 7", 2, "must be at least 8 MB, got 7"},
		{"-rps 0", 2, "rate must be greater than 0 requests per second, got 0"},
		{"-duration -1s", 2, "duration must be at least 0s, got -1s"},
		{"-dsn nonsense", 2, "-dsn: "},
		{"-database sqlite", 2, `-database must be one of auto, embedded, mysqld, got "sqlite"`},
		{"-database embedded -dsn app@tcp(db)/apmapp", 2, "-database embedded and -dsn exclude each other: remove one"},
		{"-checks nowhere", 2, "-checks nowhere: no directory conf.d; give a directory with the Agent's files, such as deploy/agent"},
		{"-fault lok", 2, `-fault: unknown fault "lok"; did you mean lock?`},
		{"-fault lock", 2, `-fault needs the local agent, which sees the fault: remove DD_TRACE_AGENT_URL and DD_AGENT_HOST from the environment, got "http://127.0.0.1:1"`},
		{"-fault-length -1s", 2, "-fault-length must be at least 0s, got -1s"},
		{"-definitions nowhere", 2, "-definitions nowhere: "},
		{"-definitions none -data x", 2, "-data needs definitions, and -definitions gives none"},
		{"-notify-remote", 2, "-notify-remote is for -notify-webhook, which is not given"},
		{"-notify-webhook http://example.com/", 2, "-notify-webhook: example.com is not this machine"},
		{"now", 2, `unexpected argument "now"`},
	} {
		status, stdout, stderr := execute(t, t.Context(), strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(stderr, test.want) || stdout != "" {
			t.Errorf("%s: status %d, want %d and %q: %s%s", test.args, status, test.status, test.want, stdout, stderr)
		}
	}
}

// TestPortsOfOpenTelemetryInUse: a port that is given must be free.
func TestPortsOfOpenTelemetryInUse(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // for the log, which remains
	t.Setenv("DD_TRACE_AGENT_URL", "")
	t.Setenv("DD_AGENT_HOST", "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, flag := range []string{"-otlp-grpc-port", "-otlp-http-port"} {
		var stdout, stderr bytes.Buffer
		args := []string{"-otlp-grpc-port", "0", "-otlp-http-port", "0", flag, port, "-duration", "1s"}
		status := run(t.Context(), command.Process{Args: args, Getenv: os.Getenv, Stdout: &stdout, Stderr: &stderr})
		if want := flag + ": another process, perhaps a collector, uses 127.0.0.1:" + port + "; choose another one: "; status != 1 || !strings.Contains(stderr.String(), want) {
			t.Errorf("status %d, want %q: %s%s", status, want, &stdout, &stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	status, stdout, _ := execute(t, t.Context(), "--help")
	for _, flag := range []string{"-rps", "-port", "-dsn", "-database", "-duration", "-agent-port", "-dogstatsd-port", "-otlp-grpc-port", "-otlp-http-port", "-pages-port", "-memory", "-checks", "-fault", "-fault-length", "-definitions", "-data", "-notify-webhook", "-notify-remote"} {
		if !strings.Contains(stdout, flag) {
			t.Errorf("no %s", flag)
		}
	}
	if status != 0 {
		t.Errorf("status %d", status)
	}
}
