package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

const dsn = "app:hunter2@tcp(db:3306)/apmapp"

func TestFlagsOverEnvironmentOverDefaults(t *testing.T) {
	opts, err := parse(
		[]string{"-dsn", dsn, "--pool-size=3", "-retention", "2h"},
		env(map[string]string{
			"MYSQL_DSN": "other@tcp(other)/other", "APMAPP_POOL_SIZE": "9", "APMAPP_PORT": "6060",
			"APMAPP_REQUEST_TIMEOUT": "750ms", "APMAPP_LOG_LEVEL": "warn",
			"DD_SERVICE": "shop", "DD_ENV": "dev", "DD_VERSION": "1.2.3",
		}))
	if err != nil {
		t.Fatal(err)
	}
	cfg := opts.service
	for _, c := range []struct{ name, got, want string }{
		{"database (flag)", cfg.MySQL.Addr, "db:3306"},
		{"address (environment)", cfg.Addr, ":6060"},
		{"request timeout (environment)", cfg.RequestTimeout.String(), "750ms"},
		{"retention (flag)", cfg.Retention.String(), "2h0m0s"},
		{"drain timeout (default)", cfg.DrainTimeout.String(), (10 * time.Second).String()},
		{"service", cfg.Telemetry.Service, "shop"},
		{"env", cfg.Telemetry.Env, "dev"},
		{"version", cfg.Telemetry.Version, "1.2.3"},
		{"level", cfg.Telemetry.LogLevel.String(), "WARN"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
	if cfg.PoolSize != 3 || cfg.MaxConcurrent != 128 {
		t.Errorf("pool %d, concurrency %d; want 3, 128", cfg.PoolSize, cfg.MaxConcurrent)
	}
}

func TestAddress(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, ":5050"},
		{[]string{"-port", "0"}, ":0"},
		{[]string{"-addr", "127.0.0.1"}, "127.0.0.1:5050"},
		{[]string{"-addr", "127.0.0.1", "--port", "80"}, "127.0.0.1:80"},
		{[]string{"-addr", "localhost:81"}, "localhost:81"},
		{[]string{"-addr", ":82", "-port=82"}, ":82"},
		{[]string{"-addr", "::1"}, "[::1]:5050"},
		{[]string{"-addr", "[::1]"}, "[::1]:5050"},
		{[]string{"-addr", "[::1]:83"}, "[::1]:83"},
	} {
		opts, err := parse(append(tc.args, "-dsn", dsn), env(nil))
		if err != nil || opts.service.Addr != tc.want {
			t.Errorf("%q: %q, %v; want %q", tc.args, opts.service.Addr, err, tc.want)
		}
	}
}

// TestUsageErrors: what is wrong is named, the status is 2, and no password is
// shown.
func TestUsageErrors(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want []string
	}{
		{"no database", nil, nil, []string{"-dsn", "MYSQL_DSN", "make demo"}},
		{"two databases", []string{"-dsn", dsn, "-dsn-file", empty}, nil, []string{"-dsn", "-dsn-file"}},
		{"two databases from the environment", nil, map[string]string{"MYSQL_DSN": dsn, "MYSQL_DSN_FILE": empty}, []string{"MYSQL_DSN_FILE"}},
		{"a DSN that is none", nil, map[string]string{"MYSQL_DSN": "app:hunter2@tcp(db:3306)"}, []string{"MYSQL_DSN"}},
		{"a file that is missing", []string{"-dsn-file", "/nowhere"}, nil, []string{"-dsn-file", "/nowhere"}},
		{"a file that is empty", []string{"-dsn-file", empty}, nil, []string{empty, "is empty"}},
		{"an unknown flag", []string{"-colour"}, nil, []string{"-colour"}},
		{"an argument", []string{"-dsn", dsn, "serve"}, nil, []string{`"serve"`}},
		{"a port that is no number", []string{"-dsn", dsn, "-port", "http"}, nil, []string{"-port", "http"}},
		{"a port too high", []string{"-dsn", dsn, "-port", "70000"}, nil, []string{"-port", "70000"}},
		{"a port too high in -addr", []string{"-dsn", dsn, "-addr", ":70000"}, nil, []string{"-addr", "70000"}},
		{"two ports", []string{"-dsn", dsn, "-addr", ":1", "-port", "2"}, nil, []string{"two ports"}},
		{"a variable that does not parse", []string{"-dsn", dsn}, map[string]string{"APMAPP_POOL_SIZE": "many"}, []string{"APMAPP_POOL_SIZE", "many"}},
		{"no pool", []string{"-dsn", dsn, "-pool-size", "0"}, nil, []string{"pool-size"}},
		{"no retention", []string{"-dsn", dsn, "-retention", "-1h"}, nil, []string{"retention"}},
		{"no interval", []string{"-dsn", dsn}, map[string]string{"APMAPP_RETENTION_INTERVAL": "0s"}, []string{"retention-interval"}},
		{"a level", []string{"-dsn", dsn, "-log-level", "loud"}, nil, []string{"-log-level", "loud"}},
		{"a switch of Datadog's", []string{"-dsn", dsn}, map[string]string{"DD_TRACE_ENABLED": "perhaps"}, []string{"DD_TRACE_ENABLED", "perhaps"}},
		{"statuses of Datadog's", []string{"-dsn", dsn}, map[string]string{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES": "5xx"}, []string{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "5xx"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), tc.args, env(tc.env), &stdout, &stderr); status != 2 {
				t.Errorf("status %d, want 2", status)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is not named in: %s", want, &stderr)
				}
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output: %s", &stdout)
			}
			if strings.Contains(stderr.String(), "hunter2") {
				t.Errorf("the password is shown: %s", &stderr)
			}
		})
	}
}

func TestHelpNamesEveryVariable(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"--help"}, env(nil), &stdout, &stderr); status != 0 || stderr.Len() > 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	for name, variable := range variables {
		if !strings.Contains(stdout.String(), "-"+name+" ") || !strings.Contains(stdout.String(), variable) {
			t.Errorf("-%s (%s) is not in:\n%s", name, variable, &stdout)
		}
	}
}

// TestReadmeTellsEveryVariable holds the table of configuration.
func TestReadmeTellsEveryVariable(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	fs := flagSet(&values{})
	for name, variable := range variables {
		value := fs.Lookup(name).DefValue
		switch {
		case name == "addr":
			value = "all addresses"
		case value != "":
			value = "`" + value + "`"
		}
		row := strings.ReplaceAll(fmt.Sprintf("| `-%s` | `%s` | %s |", name, variable, value), "|  |", "| |")
		if !strings.Contains(string(readme), row) {
			t.Errorf("README.md lacks %s", row)
		}
	}
	if rows := strings.Count(string(readme), "| `-"); rows != len(variables) {
		t.Errorf("README.md has %d flags, want %d", rows, len(variables))
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	// It needs no database.
	if status := run(t.Context(), []string{"-version"}, env(nil), &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	for _, want := range []string{"apmapp ", "revision "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in:\n%s", want, &stdout)
		}
	}
}

// TestTheServiceLinksNoDemo keeps the binary lean.
func TestTheServiceLinksNoDemo(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/go-sql-driver/mysql") {
		t.Fatal("go list does not tell the dependencies")
	}
	for _, dep := range deps {
		for _, foreign := range []string{
			"github.com/dolthub/", "github.com/DataDog/datadog-agent/pkg/trace/agent", "github.com/DataDog/datadog-api-client-go",
			"apmapp/loadgen", "apmapp/internal/localagent", "apmapp/internal/viewer", "apmapp/internal/testing/mysqltest",
		} {
			if strings.HasPrefix(dep, foreign) {
				t.Errorf("the service links %s", dep)
			}
		}
	}
}
