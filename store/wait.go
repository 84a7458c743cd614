package store

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"
)

// wait is the wait of one statement for a connection of the pool. It ends when the
// pool hands out a connection, or when the statement ends without one.
type wait struct {
	from     time.Time
	reported atomic.Bool
}

type waitKey struct{}

// waiting returns a context whose statement reports its wait for a connection to
// Config.Waited. Call end after the statement.
func (s *Store) waiting(ctx context.Context) (_ context.Context, end func()) {
	if s.cfg.Waited == nil {
		return ctx, func() {}
	}
	waiting := context.WithValue(ctx, waitKey{}, &wait{from: time.Now()})
	return waiting, func() { connected(waiting, s.cfg.Waited) }
}

// connected ends the wait of the statement with this context.
func connected(ctx context.Context, report func(ctx context.Context, wait time.Duration)) {
	if w, ok := ctx.Value(waitKey{}).(*wait); ok && !w.reported.Swap(true) {
		report(ctx, time.Since(w.from))
	}
}

func (s *Store) exec(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	ctx, end := s.waiting(ctx)
	defer end()
	return s.db.ExecContext(ctx, statement, args...)
}

func (s *Store) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	ctx, end := s.waiting(ctx)
	defer end()
	return s.db.QueryContext(ctx, statement, args...)
}
