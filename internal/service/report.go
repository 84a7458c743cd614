package service

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"apmapp/internal/telemetry"
)

// reportInterval is the time between two reports.
const reportInterval = time.Second

// newReporter returns a reporter without metrics.
func newReporter(logger *slog.Logger, logs logWriters) *reporter {
	return &reporter{logger: logger, logs: logs, logged: map[*logWriter]int{}}
}

// reporter counts what is too frequent for a log line each, and reports it once per
// second as a metric and as a line: refused requests, and dropped log lines.
type reporter struct {
	logger  *slog.Logger
	logs    logWriters
	metrics *telemetry.Metrics

	refused atomic.Int64
	counted int                // dropped log lines that are in the metric
	logged  map[*logWriter]int // dropped log lines that are in the log
}

// run reports until ctx ends, then once more. So the sum of all reports is exact.
func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.report(ctx)
			return
		case <-tick.C:
			r.report(ctx)
		}
	}
}

func (r *reporter) report(ctx context.Context) {
	// Zeros are sent too: formulas of dashboards have no value without them.
	n := r.refused.Swap(0)
	r.metrics.Count(telemetry.RequestsRefused, n)
	if n > 0 {
		r.logger.WarnContext(ctx, "requests were refused: too many at once", "requests.refused", n)
	}
	var all int
	for _, w := range r.logs {
		dropped, writable := w.lost()
		all += dropped
		if reported := r.logged[w]; dropped > reported && writable {
			r.logger.WarnContext(ctx, "log lines were dropped: "+w.name+" did not take them", "logs.dropped", dropped-reported)
			r.logged[w] = dropped
		}
	}
	r.metrics.Count(telemetry.LogsDropped, int64(all-r.counted))
	r.counted = all
}
