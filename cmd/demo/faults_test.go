package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"apmapp/internal/command"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

// causing runs a demo with its own agent on free ports, and calls each time when it prints a
// line that matches a pattern.
func causing(t *testing.T, args []string, pattern string, then func()) (status int, stdout, stderr string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DD_TRACE_AGENT_URL", "")
	t.Setenv("DD_AGENT_HOST", "")
	args = append([]string{"-port", "0", "-agent-port", "0", "-dogstatsd-port", "0", "-otlp-grpc-port", "0", "-otlp-http-port", "0", "-pages-port", "0", "-checks", "none", "-definitions", "none"}, args...)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, errs lockedbuffer.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdout: &out, Stderr: &errs})
	}()
	if then != nil {
		poll.True(t, pattern, func() bool {
			return regexp.MustCompile(pattern).MatchString(out.String()) || errs.String() != ""
		})
		then()
		interrupt()
	}
	return <-ended, out.String(), errs.String()
}

// TestFault proves a fault from the command line to the exit status.
func TestFault(t *testing.T) {
	status, stdout, stderr := causing(t, []string{"-database", "embedded", "-fault", "bad-migration", "-fault-length", "0"}, "", nil)
	if status != 0 || stderr != "" {
		t.Errorf("status %d: %s", status, stderr)
	}
	for _, want := range []string{
		`(?m)^bad-migration: caused: ALTER TABLE visits RENAME COLUMN route TO way; undone by: ALTER TABLE visits RENAME COLUMN way TO route$`,
		`(?m)^bad-migration: GET /api/apm answers 500 after \d+ s ✓ \(\d+ traces\)$`,
		`(?m)^bad-migration: undone after \d+ s$`,
		`(?m)^bad-migration: OK again after \d+ s ✓$`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "response time") {
		t.Errorf("the report of the traffic is printed too:\n%s", stdout)
	}
}

// An interrupt leaves the database of others as it was.
func TestInterruptedFaultOnMySQL(t *testing.T) {
	server := mysqltest.Start(t)
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	tables := func() string {
		return strings.Join(server.Strings(t, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY 1", name), " ")
	}
	args := []string{"-dsn", dsn, "-fault", "table-gone", "-fault-length", "10m"}
	status, stdout, stderr := causing(t, args, `table-gone: caused`, func() {
		if got := tables(); got != "goose_db_version kept" {
			t.Errorf("tables %s: the fault is not caused", got)
		}
	})
	if got := tables(); status != 0 || got != "goose_db_version visits" || !strings.Contains(stdout, "table-gone: undone") {
		t.Errorf("status %d, tables %s: %s%s", status, got, stdout, stderr)
	}
}

func TestListOfFaults(t *testing.T) {
	status, stdout, stderr := execute(t, t.Context(), "-fault", "list")
	if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "bad-migration\n  A migration renames a column") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}

// Options that a fault excludes.
func TestOptionsOfFaults(t *testing.T) {
	for args, want := range map[string]string{
		"-fault lock -rps 0.5":     "-fault needs traffic: -rps must be at least 1, got 0.5",
		"-fault lock -duration 1s": "-fault and -duration exclude each other: the demo ends after the fault; -fault-length makes it longer",
	} {
		if status, _, stderr := causing(t, strings.Fields(args), "", nil); status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, want 2 and %q: %s", args, status, want, stderr)
		}
	}
}
