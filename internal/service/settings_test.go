package service

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"apmapp/internal/command"
	"apmapp/store"
)

// resolve returns the settings of a command line and environment.
func resolve(t *testing.T, variables map[string]string, args ...string) (s Settings, err error) {
	t.Helper()
	getenv := func(name string) string { return variables[name] }
	status := command.Command{
		Name:  "apmapp",
		Flags: s.Add,
		Run: func(context.Context) error {
			err = s.Resolve(getenv, "apmapp", "dev")
			return nil
		},
	}.Execute(t.Context(), command.Process{Args: args, Getenv: getenv, Stdout: io.Discard, Stderr: t.Output()})
	if status != 0 {
		t.Fatalf("%q: exit status %d", args, status)
	}
	return s, err
}

func TestResolve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("app@tcp(file)/apmapp\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dsn := map[string]string{"MYSQL_DSN": "app@tcp(variable)/apmapp"}
	both := map[string]string{"MYSQL_DSN": "app@tcp(variable)/apmapp", "MYSQL_DSN_FILE": file}
	for _, c := range []struct {
		variables   map[string]string
		args        string
		addr, mysql string
	}{
		{dsn, "", ":5050", "variable:3306"},
		{dsn, "-addr localhost -port 65535", "localhost:65535", "variable:3306"},
		{dsn, "-addr :65535", ":65535", "variable:3306"},
		{dsn, "-addr :82 -port 82", ":82", "variable:3306"},
		{dsn, "-addr [::1]", "[::1]:5050", "variable:3306"},
		{both, "-dsn app@tcp(flag)/apmapp", ":5050", "flag:3306"},
		{both, "-dsn-file " + file, ":5050", "file:3306"},
	} {
		s, err := resolve(t, c.variables, strings.Fields(c.args)...)
		if err != nil || s.Addr != c.addr || s.Store.MySQL.Addr != c.mysql {
			t.Errorf("%q: address %s, MySQL %+v, %v; want %s, %s", c.args, s.Addr, s.Store.MySQL, err, c.addr, c.mysql)
		}
		if s.Telemetry.Service != "apmapp" || s.Telemetry.Version != "dev" {
			t.Errorf("%q: telemetry %+v, want the defaults", c.args, s.Telemetry)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	dir := t.TempDir()
	missing, invalid := filepath.Join(dir, "missing"), filepath.Join(dir, "invalid")
	if err := os.WriteFile(invalid, []byte("app@tcp(file)/"), 0o600); err != nil {
		t.Fatal(err)
	}
	dsn := map[string]string{"MYSQL_DSN": "app@tcp(variable)/apmapp"}
	for _, c := range []struct {
		variables  map[string]string
		args, want string
	}{
		{dsn, "-addr :1 -port 2", "-addr :1 and -port 2 name two ports: give one"},
		{dsn, "-addr :65536", `-addr :65536: port "65536" is not a number from 0 to 65535`},
		{dsn, "-port 65536", "-port must be at most 65535, got 65536"},
		{nil, "", noDSN},
		{nil, "-dsn app@tcp(flag)/", "-dsn (MYSQL_DSN): the DSN names no database, want user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db"},
		{nil, "-dsn-file " + invalid, "-dsn-file (MYSQL_DSN_FILE) " + invalid + ": the DSN names no database, want user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db"},
		{nil, "-dsn-file " + missing, "-dsn-file (MYSQL_DSN_FILE): open " + missing + ": no such file or directory"},
		{nil, "-dsn app@tcp(flag)/apmapp -dsn-file " + invalid, "-dsn and -dsn-file name two databases: give one"},
		{map[string]string{"MYSQL_DSN": dsn["MYSQL_DSN"], "MYSQL_DSN_FILE": invalid}, "", "MYSQL_DSN and MYSQL_DSN_FILE name two databases: set one"},
		{dsn, "-pool-size 0", "pool-size must be at least 1, got 0"},
	} {
		if _, err := resolve(t, c.variables, strings.Fields(c.args)...); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
	}
}

// valid returns a configuration with every setting at its limit.
func valid(t *testing.T) Config {
	t.Helper()
	mysql, err := store.ParseDSN("app:hunter2@tcp(127.0.0.1:1)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Addr: "127.0.0.1:0", Store: store.Config{MySQL: mysql, PoolSize: 1},
		MaxConnections: 1, DrainTimeout: 1, Retention: 1, RetentionInterval: 1, LogFileSize: 1,
	}
	cfg.HTTP.MaxConcurrent, cfg.HTTP.RequestTimeout, cfg.HTTP.ReadyTimeout = 1, 1, 1
	return cfg
}

func TestValidate(t *testing.T) {
	if err := valid(t).Validate(); err != nil {
		t.Errorf("every setting at its limit: %v", err)
	}
	want := []string{
		"dsn is missing: it names the database",
		"pool-size must be at least 1, got 0",
		"max-connections must be at least 1, got 0",
		"max-concurrent must be at least 1, got 0",
		"request-timeout must be greater than 0s, got 0s",
		"ready-timeout must be greater than 0s, got 0s",
		"drain-delay must be at least 0s, got -1ns",
		"drain-timeout must be greater than 0s, got 0s",
		"retention must be greater than 0s, got 0s",
		"retention-interval must be greater than 0s, got 0s",
		"log-file-size must be at least 1, got 0",
	}
	if err := (Config{DrainDelay: -1}).Validate(); err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
}

func TestDefaults(t *testing.T) {
	cfg := Defaults()
	cfg.Store.MySQL = valid(t).Store.MySQL
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults with a database: %v", err)
	}
	// Reasons that the defaults' comments give.
	if cfg.DrainTimeout != 2*cfg.HTTP.RequestTimeout {
		t.Errorf("drain-timeout %s, want twice request-timeout %s", cfg.DrainTimeout, cfg.HTTP.RequestTimeout)
	}
	if cfg.HTTP.MaxConcurrent != 8*cfg.Store.PoolSize {
		t.Errorf("max-concurrent %d, want eight times pool-size %d", cfg.HTTP.MaxConcurrent, cfg.Store.PoolSize)
	}
	if cfg.MaxConnections != 8*cfg.HTTP.MaxConcurrent {
		t.Errorf("max-connections %d, want eight times max-concurrent %d", cfg.MaxConnections, cfg.HTTP.MaxConcurrent)
	}
	if cfg.HTTP.ReadyTimeout != time.Second {
		t.Errorf("ready-timeout %s, want the second that Kubernetes gives a probe", cfg.HTTP.ReadyTimeout)
	}
}

// The memory that the service may use grows with -max-connections. GOMEMLIMIT wins.
func TestLimitMemory(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	Defaults().LimitMemory()
	if got, want := debug.SetMemoryLimit(-1), int64(120<<20); got != want {
		t.Errorf("limit %d, want %d", got, want)
	}
	cfg := Defaults()
	cfg.MaxConnections *= 2
	cfg.LimitMemory()
	if got, want := debug.SetMemoryLimit(-1), int64(120<<20); got != want {
		t.Errorf("a limit that was set became %d, want %d", got, want)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	cfg.LimitMemory()
	if got, want := debug.SetMemoryLimit(-1), int64(160<<20); got != want {
		t.Errorf("with twice the connections: limit %d, want %d", got, want)
	}
}
