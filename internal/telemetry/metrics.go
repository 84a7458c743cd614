package telemetry

import (
	"log/slog"
	"os"

	"github.com/DataDog/datadog-go/v5/statsd"
)

// Names of the service's own metrics.
const (
	VisitsRecorded  = "apmapp.visits.recorded"
	RequestsRefused = "apmapp.requests.refused"
	LogsDropped     = "apmapp.logs.dropped"
)

// Metrics sends the service's own metrics to DogStatsD.
type Metrics struct{ client statsd.ClientInterface }

// StartMetrics connects to the DogStatsD that the tracer uses, too. An address that
// cannot be used gives a warning, and no metrics.
func StartMetrics(cfg Config, logger *slog.Logger) *Metrics {
	client, err := statsd.New(DogStatsDAddr(os.Getenv).URL,
		statsd.WithTags([]string{"service:" + cfg.Service, "env:" + cfg.Env, "version:" + cfg.Version}),
		statsd.WithoutTelemetry(),
		// A packet per flush is enough. The default is 2,048 buffers: 3 MB.
		statsd.WithBufferPoolSize(8))
	if err != nil {
		logger.Warn("the service's own metrics are off: "+err.Error(), "metrics", []string{VisitsRecorded, RequestsRefused, LogsDropped})
		return NoMetrics()
	}
	return &Metrics{client}
}

// NoMetrics returns Metrics that send nothing.
func NoMetrics() *Metrics { return &Metrics{&statsd.NoOpClient{}} }

// Count adds n to a metric.
func (m *Metrics) Count(name string, n int64) {
	// An error means that the client is closed: UDP does not report lost packets.
	_ = m.client.Count(name, n, nil, 1)
}

// Stop sends the last counts.
func (m *Metrics) Stop() { _ = m.client.Close() }
