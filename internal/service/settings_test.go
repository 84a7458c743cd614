package service

import (
	"strings"
	"testing"
	"time"

	"apmapp/store"
)

// valid returns a configuration with every setting at its limit.
func valid(t *testing.T) Config {
	t.Helper()
	mysql, err := store.ParseDSN("app:hunter2@tcp(127.0.0.1:1)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Addr: "127.0.0.1:0", Store: store.Config{MySQL: mysql, PoolSize: 1},
		DrainTimeout: 1, Retention: 1, RetentionInterval: 1,
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
		"max-concurrent must be at least 1, got 0",
		"request-timeout must be greater than 0s, got 0s",
		"ready-timeout must be greater than 0s, got 0s",
		"drain-delay must be at least 0s, got -1ns",
		"drain-timeout must be greater than 0s, got 0s",
		"retention must be greater than 0s, got 0s",
		"retention-interval must be greater than 0s, got 0s",
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
	if cfg.HTTP.ReadyTimeout != time.Second {
		t.Errorf("ready-timeout %s, want the second that Kubernetes gives a probe", cfg.HTTP.ReadyTimeout)
	}
}
