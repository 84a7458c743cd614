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

// reporter counts what is too frequent for a log line each, and reports it once per
// second as a metric and as a line: refused requests, and dropped log lines.
type reporter struct {
	logger  *slog.Logger
	logs    *logWriter
	metrics *telemetry.Metrics

	refused atomic.Int64
	counted int // dropped log lines that are in the metric
	logged  int // dropped log lines that are in the log
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
	if n := r.refused.Swap(0); n > 0 {
		r.metrics.Count(telemetry.RequestsRefused, n)
		r.logger.WarnContext(ctx, "requests were refused: too many at once", "requests.refused", n)
	}
	dropped, writable := r.logs.lost()
	if dropped > r.counted {
		r.metrics.Count(telemetry.LogsDropped, int64(dropped-r.counted))
		r.counted = dropped
	}
	if dropped > r.logged && writable {
		r.logger.WarnContext(ctx, "log lines were dropped: standard output did not take them", "logs.dropped", dropped-r.logged)
		r.logged = dropped
	}
}
