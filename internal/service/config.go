package service

import (
	"math"
	"runtime/debug"
	"time"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// Config is everything that a service can be told. Start from Defaults. See
// settings for what operators set and for the limits.
type Config struct {
	// Addr is the host:port to listen on.
	Addr string
	// MaxConnections is the maximum number of clients' connections.
	MaxConnections int
	// Store needs MySQL; the service sets Logger and OpenDB.
	Store store.Config
	// HTTP holds the limits and TracePage; the service sets the other fields.
	HTTP handlers.Config
	// DrainDelay is the time from the readiness probe's first 503 until the
	// listener closes.
	DrainDelay time.Duration
	// DrainTimeout bounds the requests in flight when the service stops.
	DrainTimeout time.Duration
	// Retention is the age at which a visit is deleted.
	Retention time.Duration
	// RetentionInterval is the time between two deletions.
	RetentionInterval time.Duration
	// LogFile also receives the log, besides standard output; empty for none.
	LogFile string
	// LogFileSize is the size in MB at which LogFile is rotated.
	LogFileSize int
	// LogOTLP is the URL of a receiver of OTLP over HTTP that also gets the log; empty
	// for none.
	LogOTLP   string
	Telemetry telemetry.Config
}

// Defaults returns the configuration for a service that listens on all
// addresses. It lacks Store.MySQL and Telemetry.
func Defaults() Config {
	return Config{
		Addr: ":5050",
		// Eight for each running request, for clients that wait or are idle. They need
		// 40 MB: see LimitMemory.
		MaxConnections: 1024,
		Store: store.Config{
			// MySQL admits 151 connections by default: enough for several replicas.
			// On two cores, 16 queries at once already saturate it.
			PoolSize: 16,
		},
		HTTP: handlers.Config{
			// At most eight requests wait for each connection. With queries of a
			// millisecond that wait is short; with a stalled MySQL it bounds the queue.
			MaxConcurrent: 128,
			// A burst is served, not refused. Clients that wait cannot ask again at once,
			// so refusals stay rare. Nobody waits for long in vain.
			MaxWait: time.Second,
			// Users, and most clients, give up not much later.
			RequestTimeout: 5 * time.Second,
			// Kubernetes gives a probe one second.
			ReadyTimeout: time.Second,
		},
		// At a terminal there is nothing to wait for. Behind a load balancer, set it
		// to the time that the balancer needs to notice.
		DrainDelay: 0,
		// Twice the time that a request may take.
		DrainTimeout: 10 * time.Second,
		// People look back on a week of visits in a demo.
		Retention:         7 * 24 * time.Hour,
		RetentionInterval: time.Minute,
		// With keptLogFiles the log takes at most 600 MB. The Agent looks for a new file
		// every 10 s: a smaller file could come and go between two looks.
		LogFileSize: 100,
	}
}

// LimitMemory sets the limit at which Go collects garbage more often, unless
// GOMEMLIMIT has set it. Without it, the heap grows to twice of what is in use.
//
// Under full load 55 MB are in use, most of it traces that are about to be sent.
// Each connection adds its buffers, its stack and its request.
func (c Config) LimitMemory() {
	const base, perConnection = 80 << 20, 40 << 10
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(base + perConnection*int64(c.MaxConnections))
	}
}
