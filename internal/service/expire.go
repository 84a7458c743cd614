package service

import (
	"context"
	"log/slog"
	"time"

	"apmapp/internal/failure"
	"apmapp/internal/telemetry"
)

// batch is how many visits one statement deletes: few enough that its locks are
// held for milliseconds, beside the traffic.
const batch = 500

// expirer is what the job asks of the store.
type expirer interface {
	// DeleteBefore deletes at most limit visits older than t and returns how
	// many.
	DeleteBefore(ctx context.Context, t time.Time, limit int) (int, error)
}

// expire deletes visits that are past their retention, every so often, until
// ctx ends. Each run is a trace of its own.
func expire(ctx context.Context, visits expirer, cfg Config, logger *slog.Logger) {
	tick := time.NewTicker(cfg.RetentionInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			expireOnce(ctx, visits, cfg, logger)
		}
	}
}

func expireOnce(ctx context.Context, visits expirer, cfg Config, logger *slog.Logger) {
	job, ctx := telemetry.StartJob(ctx, cfg.Telemetry, "delete expired visits")
	deleted, err := deleteExpired(ctx, visits, time.Now().Add(-cfg.Retention))
	job.Count("visits.deleted", deleted)
	switch {
	case ctx.Err() != nil: // told to stop; the next start goes on
		job.End(nil)
	case err != nil:
		logger.ErrorContext(ctx, "delete expired visits",
			"visits.deleted", deleted,
			"error.kind", failure.Kind(err), "error.message", err.Error(), "error.stack", failure.Stack(err))
		job.End(err)
	default:
		logger.DebugContext(ctx, "delete expired visits", "visits.deleted", deleted)
		job.End(nil)
	}
}

// deleteExpired deletes in batches until none is left.
func deleteExpired(ctx context.Context, visits expirer, before time.Time) (deleted int, err error) {
	for {
		n, err := visits.DeleteBefore(ctx, before, batch)
		deleted += n
		if err != nil || n < batch {
			return deleted, err
		}
	}
}
