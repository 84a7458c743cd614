package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"apmapp/internal/command"
	"apmapp/internal/testing/mysqltest"
)

// execute runs the demo without an Agent. Its logs are in a directory of the
// test.
func execute(t *testing.T, ctx context.Context, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:1")
	var out, errs bytes.Buffer
	status = run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

func TestDemo(t *testing.T) {
	status, stdout, stderr := execute(t, t.Context(), "-port", "0", "-rps", "30", "-duration", "1s")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{
		`service   http://127\.0\.0\.1:\d+ `,
		`database  mysql -h 127\.0\.0\.1 -P \d+ -u root apmapp  \(in memory\)`,
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
	file := regexp.MustCompile(`logs      (\S+)`).FindStringSubmatch(stdout)
	if file == nil {
		t.Fatal("no logs")
	}
	logs, err := os.ReadFile(file[1])
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(logs), `"msg":"request"`); n < 30 {
		t.Errorf("%d requests are logged, want 30", n)
	}
	if !strings.Contains(string(logs), `"dd.env":"demo"`) || !strings.Contains(string(logs), `"msg":"stopped"`) {
		t.Error("the log lacks the environment, or the end")
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

func TestInterruptedDemoReports(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:1")
	stdout := &trigger{on: "traffic", do: cancel}
	if status := run(ctx, command.Process{Args: []string{"-port", "0"}, Getenv: os.Getenv, Stdout: stdout, Stderr: io.Discard}); status != 0 || !strings.Contains(stdout.String(), "requests  ") {
		t.Errorf("status %d: %s", status, stdout)
	}
}

// trigger does something when a text is written.
type trigger struct {
	bytes.Buffer
	on string
	do func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.on) {
		w.do()
	}
	return w.Buffer.Write(p)
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
		{"-port " + port, 1, "another process uses the service's port; choose one with -port: listen on 127.0.0.1:" + port},
		{"-port 65536", 2, "-port must be at most 65535, got 65536"},
		{"-rps 0", 2, "rate must be greater than 0 requests per second, got 0"},
		{"-duration -1s", 2, "duration must be at least 0s, got -1s"},
		{"-dsn nonsense", 2, "-dsn: "},
		{"now", 2, `unexpected argument "now"`},
	} {
		status, stdout, stderr := execute(t, t.Context(), strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(stderr, test.want) || stdout != "" {
			t.Errorf("%s: status %d, want %d and %q: %s%s", test.args, status, test.status, test.want, stdout, stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	status, stdout, _ := execute(t, t.Context(), "--help")
	for _, flag := range []string{"-rps", "-port", "-dsn", "-duration"} {
		if !strings.Contains(stdout, flag) {
			t.Errorf("no %s", flag)
		}
	}
	if status != 0 {
		t.Errorf("status %d", status)
	}
}
