package service

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/telemetry"
	"apmapp/store"
)

// Config is all that a service can be told. Start from Defaults.
type Config struct {
	// Addr is the host:port to listen on.
	Addr string
	// MySQL is what store.ParseDSN returned.
	MySQL *mysql.Config
	// PoolSize bounds the connections to MySQL.
	PoolSize int
	// MaxConcurrent bounds the requests that run at once.
	MaxConcurrent int
	// RequestTimeout bounds one request's work.
	RequestTimeout time.Duration
	// ReadyTimeout bounds the readiness probe's question to MySQL.
	ReadyTimeout time.Duration
	// DrainDelay is how long readiness says no before the listener closes.
	DrainDelay time.Duration
	// DrainTimeout is how long requests in flight have when the service stops.
	DrainTimeout time.Duration
	// Retention is the age at which a visit is deleted.
	Retention time.Duration
	// RetentionInterval is the time between two deletions.
	RetentionInterval time.Duration
	Telemetry         telemetry.Config
	// TracePage is as in handlers.Config: a demo has one.
	TracePage func(traceID string) string
}

// Defaults returns the configuration for a service that listens on all
// addresses; MySQL and Telemetry are missing from it.
func Defaults() Config {
	return Config{
		Addr: ":5050",
		// MySQL admits 151 connections unless told otherwise: room for several
		// replicas. On two cores, 16 queries at once already saturate it.
		PoolSize: 16,
		// Eight requests wait for each connection at most: with queries of a
		// millisecond that is nothing, with a stalled MySQL it bounds the pile.
		MaxConcurrent: 128,
		// People leave, and most clients give up, not much later.
		RequestTimeout: 5 * time.Second,
		// Kubernetes gives a probe one second.
		ReadyTimeout: time.Second,
		// No wait at a terminal; behind a load balancer set it to the time that
		// this takes to notice.
		DrainDelay: 0,
		// Twice what a request may take.
		DrainTimeout: 10 * time.Second,
		// A week of visits is what people look back on in a demo.
		Retention:         7 * 24 * time.Hour,
		RetentionInterval: time.Minute,
	}
}

// Validate returns every field that cannot be, each by the name of its flag.
func (c Config) Validate() error {
	var errs []error
	if c.MySQL == nil {
		errs = append(errs, errors.New("dsn: which database to use is missing"))
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"pool-size", c.PoolSize},
		{"max-concurrent", c.MaxConcurrent},
	} {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("%s: %d is less than 1", n.name, n.value))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"request-timeout", c.RequestTimeout},
		{"ready-timeout", c.ReadyTimeout},
		{"drain-timeout", c.DrainTimeout},
		{"retention", c.Retention},
		{"retention-interval", c.RetentionInterval},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s: %s is not more than 0s", d.name, d.value))
		}
	}
	if c.DrainDelay < 0 {
		errs = append(errs, fmt.Errorf("drain-delay: %s is less than 0s", c.DrainDelay))
	}
	return errors.Join(errs...)
}

// attrs are the configuration for the log, without secrets.
func (c Config) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("addr", c.Addr),
		slog.String("dsn", store.Masked(c.MySQL)),
		slog.Int("pool_size", c.PoolSize),
		slog.Int("max_concurrent", c.MaxConcurrent),
		slog.String("request_timeout", c.RequestTimeout.String()),
		slog.String("ready_timeout", c.ReadyTimeout.String()),
		slog.String("drain_delay", c.DrainDelay.String()),
		slog.String("drain_timeout", c.DrainTimeout.String()),
		slog.String("retention", c.Retention.String()),
		slog.String("retention_interval", c.RetentionInterval.String()),
		slog.Bool("tracing", c.Telemetry.Tracing),
		slog.Bool("profiling", c.Telemetry.Profiling),
		slog.Bool("logs_injection", c.Telemetry.LogsInjection),
	}
}
