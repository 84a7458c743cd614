package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/command"
	"apmapp/internal/service"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

const dsn = "app:hunter2@tcp(db:3306)/apmapp"

// execute runs the program and returns what it prints.
func execute(t *testing.T, variables map[string]string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(t.Context(), command.Process{Args: args, Getenv: env(variables), Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

// parse returns the configuration that the program would run with.
func parse(t *testing.T, variables map[string]string, args ...string) service.Config {
	t.Helper()
	var stderr bytes.Buffer
	p := command.Process{Args: args, Getenv: env(variables), Stderr: &stderr}
	var s service.Settings
	c := program(p, &s)
	c.Run = func(context.Context) error { return nil }
	if status := c.Execute(t.Context(), p); status != 0 {
		t.Fatalf("%q: status %d: %s", args, status, &stderr)
	}
	return s.Config
}

func TestFlagsOverEnvironmentOverDefaults(t *testing.T) {
	cfg := parse(t,
		map[string]string{
			"MYSQL_DSN": "other@tcp(other)/other", "APMAPP_POOL_SIZE": "9", "APMAPP_PORT": "6060",
			"APMAPP_REQUEST_TIMEOUT": "750ms", "DD_SERVICE": "shop", "DD_ENV": "dev", "DD_VERSION": "1.2.3",
		},
		"-dsn", dsn, "--pool-size=3", "-retention", "2h")
	for _, c := range []struct{ name, got, want string }{
		{"database (flag)", cfg.Store.MySQL.Addr, "db:3306"},
		{"pool (flag)", fmt.Sprint(cfg.Store.PoolSize), "3"},
		{"address (environment)", cfg.Addr, ":6060"},
		{"request timeout (environment)", cfg.HTTP.RequestTimeout.String(), "750ms"},
		{"retention (flag)", cfg.Retention.String(), "2h0m0s"},
		{"drain timeout (default)", cfg.DrainTimeout.String(), "10s"},
		{"concurrency (default)", fmt.Sprint(cfg.HTTP.MaxConcurrent), "128"},
		{"service", cfg.Telemetry.Service, "shop"},
		{"env", cfg.Telemetry.Env, "dev"},
		{"version", cfg.Telemetry.Version, "1.2.3"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}

// settings are all flags with a variable: a value other than the default, and
// what becomes of it.
var settings = []struct {
	flag, variable, value string
	got                   func(service.Config) any
	want                  any
}{
	{"addr", "APMAPP_ADDR", "127.0.0.1", func(c service.Config) any { return c.Addr }, "127.0.0.1:5050"},
	{"port", "APMAPP_PORT", "6060", func(c service.Config) any { return c.Addr }, ":6060"},
	{"dsn", "MYSQL_DSN", "u@tcp(h:1)/d", func(c service.Config) any { return c.Store.MySQL.Addr }, "h:1"},
	{"dsn-file", "MYSQL_DSN_FILE", "testdata/dsn", func(c service.Config) any { return c.Store.MySQL.Addr }, "file:3306"},
	{"pool-size", "APMAPP_POOL_SIZE", "7", func(c service.Config) any { return c.Store.PoolSize }, 7},
	{"max-connections", "APMAPP_MAX_CONNECTIONS", "9", func(c service.Config) any { return c.MaxConnections }, 9},
	{"max-concurrent", "APMAPP_MAX_CONCURRENT", "8", func(c service.Config) any { return c.HTTP.MaxConcurrent }, 8},
	{"request-timeout", "APMAPP_REQUEST_TIMEOUT", "3s", func(c service.Config) any { return c.HTTP.RequestTimeout }, 3 * time.Second},
	{"ready-timeout", "APMAPP_READY_TIMEOUT", "4s", func(c service.Config) any { return c.HTTP.ReadyTimeout }, 4 * time.Second},
	{"drain-delay", "APMAPP_DRAIN_DELAY", "6s", func(c service.Config) any { return c.DrainDelay }, 6 * time.Second},
	{"drain-timeout", "APMAPP_DRAIN_TIMEOUT", "7s", func(c service.Config) any { return c.DrainTimeout }, 7 * time.Second},
	{"retention", "APMAPP_RETENTION", "8h", func(c service.Config) any { return c.Retention }, 8 * time.Hour},
	{"retention-interval", "APMAPP_RETENTION_INTERVAL", "9m", func(c service.Config) any { return c.RetentionInterval }, 9 * time.Minute},
	{"log-level", "APMAPP_LOG_LEVEL", "warn", func(c service.Config) any { return c.Telemetry.LogLevel }, slog.LevelWarn},
	{"log-file", "APMAPP_LOG_FILE", "log", func(c service.Config) any { return c.LogFile }, "log"},
	{"log-file-size", "APMAPP_LOG_FILE_SIZE", "10", func(c service.Config) any { return c.LogFileSize }, 10},
	{"log-otlp", "APMAPP_LOG_OTLP", "http://collector:4318", func(c service.Config) any { return c.LogOTLP }, "http://collector:4318"},
}

func TestEverySettingByFlagAndByVariable(t *testing.T) {
	for _, s := range settings {
		base := map[string]string{"MYSQL_DSN": dsn}
		if s.flag == "dsn" || s.flag == "dsn-file" {
			base = map[string]string{}
		}
		if got := s.got(parse(t, base, "-"+s.flag, s.value)); got != s.want {
			t.Errorf("-%s: %v, want %v", s.flag, got, s.want)
		}
		base[s.variable] = s.value
		if got := s.got(parse(t, base)); got != s.want {
			t.Errorf("%s: %v, want %v", s.variable, got, s.want)
		}
	}
}

func TestOneDatabaseFlagWinsOverBothVariables(t *testing.T) {
	both := map[string]string{"MYSQL_DSN": "u@tcp(variable:1)/d", "MYSQL_DSN_FILE": "testdata/dsn"}
	if got := parse(t, both, "-dsn", dsn).Store.MySQL.Addr; got != "db:3306" {
		t.Errorf("-dsn: %s, want db:3306", got)
	}
	if got := parse(t, both, "-dsn-file", "testdata/dsn").Store.MySQL.Addr; got != "file:3306" {
		t.Errorf("-dsn-file: %s, want file:3306", got)
	}
}

func TestAddress(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"", ":5050"},
		{"-port 0", ":0"},
		{"-port 65535", ":65535"},
		{"-addr 127.0.0.1", "127.0.0.1:5050"},
		{"-addr 127.0.0.1 --port 80", "127.0.0.1:80"},
		{"-addr localhost:81", "localhost:81"},
		{"-addr localhost:65535", "localhost:65535"},
		{"-addr :82 -port=82", ":82"},
		{"-addr ::1", "[::1]:5050"},
		{"-addr [::1]", "[::1]:5050"},
		{"-addr [::1]:83", "[::1]:83"},
	} {
		if got := parse(t, map[string]string{"MYSQL_DSN": dsn}, strings.Fields(tc.args)...).Addr; got != tc.want {
			t.Errorf("%q: %q, want %q", tc.args, got, tc.want)
		}
	}
}

// TestUsageErrors: the error names what is wrong, the status is 2, and no
// password is shown.
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
		{"two databases in the environment", nil, map[string]string{"MYSQL_DSN": dsn, "MYSQL_DSN_FILE": empty}, []string{"MYSQL_DSN_FILE"}},
		{"a DSN without a database", nil, map[string]string{"MYSQL_DSN": "app:hunter2@tcp(db:3306)"}, []string{"MYSQL_DSN"}},
		{"a missing file", []string{"-dsn-file", "/nowhere"}, nil, []string{"-dsn-file", "/nowhere"}},
		{"an empty file", []string{"-dsn-file", empty}, nil, []string{empty, "is empty"}},
		{"an unknown flag", []string{"-color"}, nil, []string{"unknown flag -color"}},
		{"a mistyped flag", []string{"-portt", "1"}, nil, []string{"did you mean -port?"}},
		{"an argument", []string{"-dsn", dsn, "serve"}, nil, []string{`"serve"`}},
		{"a port that is not a number", []string{"-dsn", dsn, "-port", "http"}, nil, []string{"-port", "http"}},
		{"a port too high", []string{"-dsn", dsn, "-port", "65536"}, nil, []string{"-port must be at most 65535, got 65536"}},
		{"a port too high in -addr", []string{"-dsn", dsn, "-addr", ":65536"}, nil, []string{`-addr :65536: port "65536"`}},
		{"two ports", []string{"-dsn", dsn, "-addr", ":1", "-port", "2"}, nil, []string{"two ports"}},
		{"a variable that does not parse", []string{"-dsn", dsn}, map[string]string{"APMAPP_POOL_SIZE": "many"}, []string{"APMAPP_POOL_SIZE", "many"}},
		{"no pool", []string{"-dsn", dsn, "-pool-size", "0"}, nil, []string{"pool-size must be at least 1, got 0"}},
		{"no connections", []string{"-dsn", dsn, "-max-connections", "0"}, nil, []string{"max-connections must be at least 1, got 0"}},
		{"no concurrency", []string{"-dsn", dsn, "-max-concurrent", "0"}, nil, []string{"max-concurrent must be at least 1, got 0"}},
		{"no request timeout", []string{"-dsn", dsn, "-request-timeout", "0s"}, nil, []string{"request-timeout must be greater than 0s, got 0s"}},
		{"no ready timeout", []string{"-dsn", dsn, "-ready-timeout", "0s"}, nil, []string{"ready-timeout must be greater than 0s, got 0s"}},
		{"a negative drain delay", []string{"-dsn", dsn, "-drain-delay", "-1ns"}, nil, []string{"drain-delay must be at least 0s, got -1ns"}},
		{"no drain timeout", []string{"-dsn", dsn, "-drain-timeout", "0s"}, nil, []string{"drain-timeout must be greater than 0s, got 0s"}},
		{"no retention", []string{"-dsn", dsn, "-retention", "0s"}, nil, []string{"retention must be greater than 0s, got 0s"}},
		{"no interval", []string{"-dsn", dsn}, map[string]string{"APMAPP_RETENTION_INTERVAL": "0s"}, []string{"retention-interval must be greater than 0s, got 0s"}},
		{"a level", []string{"-dsn", dsn, "-log-level", "loud"}, nil, []string{"-log-level", "loud"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, stdout, stderr := execute(t, tc.env, tc.args...)
			if status != 2 || stdout != "" {
				t.Errorf("status %d, want 2; standard output: %q", status, stdout)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not named in: %s", want, stderr)
				}
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("the password is shown: %s", stderr)
			}
		})
	}
}

// TestReadmeHasEverySetting compares -help with README's table of settings.
func TestReadmeHasEverySetting(t *testing.T) {
	status, help, stderr := execute(t, nil, "--help")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		m := regexp.MustCompile(`  -` + s.flag + ` .*\(` + s.variable + `\)\n +(.*?)(?: \(default (.*)\))?\n`).FindStringSubmatch(help)
		if m == nil {
			t.Errorf("-%s (%s) is not in -help:\n%s", s.flag, s.variable, help)
			continue
		}
		row := fmt.Sprintf("| `-%s` | `%s` | `%s` | %s |\n", s.flag, s.variable, m[2], m[1])
		row = strings.ReplaceAll(row, "| `` |", "| |")
		if !strings.Contains(strings.ReplaceAll(string(readme), "`user:pass@tcp(host:port)/db` or `mysql://user:pass@host:port/db`", "user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db"), row) {
			t.Errorf("README.md lacks %s", row)
		}
	}
	if flags := strings.Count(help, "  ("+"APMAPP_") + strings.Count(help, "  (MYSQL_"); flags != len(settings) {
		t.Errorf("-help has %d flags with a variable, want %d", flags, len(settings))
	}
	if rows := strings.Count(string(readme), "| `-"); rows != len(settings) {
		t.Errorf("README.md has %d settings, want %d", rows, len(settings))
	}
}

func TestVersionNeedsNoDatabase(t *testing.T) {
	status, stdout, stderr := execute(t, nil, "-version")
	if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "apmapp ") || !strings.Contains(stdout, "\ngo 1.") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
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
		t.Fatal("go list does not list the dependencies")
	}
	for _, dep := range deps {
		for _, foreign := range []string{
			"github.com/dolthub/", "github.com/DataDog/datadog-agent/pkg/trace/agent", "github.com/DataDog/datadog-api-client-go",
			"apmapp/loadgen", "apmapp/internal/local/intake", "apmapp/internal/local/store", "apmapp/internal/local/viewer", "apmapp/internal/testing/mysqltest",
		} {
			if strings.HasPrefix(dep, foreign) {
				t.Errorf("the service links %s", dep)
			}
		}
	}
}
