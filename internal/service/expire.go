package service

import (
	"context"
	"log/slog"
	"time"

	"apmapp/internal/failure"
	"apmapp/internal/telemetry"
)

// batch is the number of visits that one statement deletes: small enough that it
// holds its locks for milliseconds, because requests wait for them.
const batch = 500

// expirer is the part of the store that the job uses.
type expirer interface {
	// DeleteBefore deletes at most limit visits older than t and returns their
	// number.
	DeleteBefore(ctx context.Context, t time.Time, limit int) (int, error)
}

// expire deletes visits that are older than Retention, once per
// RetentionInterval, until ctx ends. Each run is a trace of its own.
func expire(ctx context.Context, visits expirer, cfg Config, logger *slog.Logger) {
	tick := time.Tick(cfg.RetentionInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			expireOnce(ctx, visits, cfg, logger)
		}
	}
}

func expireOnce(ctx context.Context, visits expirer, cfg Config, logger *slog.Logger) {
	job, ctx := telemetry.StartJob(ctx, cfg.Telemetry, "delete expired visits")
	deleted, err := deleteExpired(ctx, visits, time.Now().Add(-cfg.Retention))
	job.Count("visits.deleted", deleted)
	switch {
	case ctx.Err() != nil: // the service stops; it continues after its next start
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

// deleteExpired deletes batches until no expired visit is left.
func deleteExpired(ctx context.Context, visits expirer, before time.Time) (deleted int, err error) {
	for {
		n, err := visits.DeleteBefore(ctx, before, batch)
		deleted += n
		if err != nil || n < batch {
			return deleted, err
		}
	}
}
