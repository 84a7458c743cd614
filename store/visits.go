package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Visit is one call that was recorded.
type Visit struct {
	ID uint64 `json:"id"`
	// Route is the pattern of the route called, such as /api/trace.
	Route string `json:"route"`
	// TraceID is the 128-bit trace ID of the call in 32 hex digits, empty when
	// the call was not traced.
	TraceID string `json:"trace_id"`
	// At is when the call came, in UTC to the microsecond.
	At time.Time `json:"at"`
}

// The index is named because the optimizer, with statistics that lag behind the
// inserts, now and then reads and sorts the whole table instead.

const latestVisit = `SELECT id, route, trace_id, visited_at FROM visits FORCE INDEX (visits_visited_at) ORDER BY visited_at DESC, id DESC LIMIT 1`

// Latest returns the most recent visit; the second result is false when there
// is none.
func (s *Store) Latest(ctx context.Context) (Visit, bool, error) {
	if err := s.usable(); err != nil {
		return Visit{}, false, err
	}
	var v Visit
	err := s.db.QueryRowContext(ctx, latestVisit).Scan(&v.ID, &v.Route, &v.TraceID, &v.At)
	if errors.Is(err, sql.ErrNoRows) {
		return Visit{}, false, nil
	}
	return v, err == nil, s.done("read the latest visit", err)
}

const recentVisits = `SELECT id, route, trace_id, visited_at FROM visits FORCE INDEX (visits_visited_at) ORDER BY visited_at DESC, id DESC LIMIT ?`

// Recent returns the n most recent visits, newest first.
func (s *Store) Recent(ctx context.Context, n int) ([]Visit, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	visits, err := s.recent(ctx, n)
	return visits, s.done("read recent visits", err)
}

func (s *Store) recent(ctx context.Context, n int) ([]Visit, error) {
	rows, err := s.db.QueryContext(ctx, recentVisits, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	visits := make([]Visit, 0, n)
	for rows.Next() {
		var v Visit
		if err := rows.Scan(&v.ID, &v.Route, &v.TraceID, &v.At); err != nil {
			return nil, err
		}
		visits = append(visits, v)
	}
	return visits, rows.Err()
}

const recordVisit = `INSERT INTO visits (route, trace_id, visited_at) VALUES (?, ?, ?)`

// Record stores a visit and returns it with its ID and its time as stored.
func (s *Store) Record(ctx context.Context, v Visit) (Visit, error) {
	if err := s.usable(); err != nil {
		return Visit{}, err
	}
	v.At = v.At.UTC().Truncate(time.Microsecond)
	result, err := s.db.ExecContext(ctx, recordVisit, v.Route, v.TraceID, v.At)
	if err != nil {
		return Visit{}, s.done("record a visit to "+v.Route, err)
	}
	id, err := result.LastInsertId()
	v.ID = uint64(id)
	return v, wrap("record a visit to "+v.Route, err)
}

const deleteVisits = `DELETE FROM visits WHERE visited_at < ? ORDER BY visited_at LIMIT ?`

// DeleteBefore deletes at most limit visits older than t, oldest first, and
// returns how many it deleted.
func (s *Store) DeleteBefore(ctx context.Context, t time.Time, limit int) (int, error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	// To the column's precision: finer than that, MySQL rounds up and MariaDB down.
	t = t.UTC().Truncate(time.Microsecond)
	result, err := s.db.ExecContext(ctx, deleteVisits, t, limit)
	if err != nil {
		return 0, s.done("delete expired visits", err)
	}
	n, err := result.RowsAffected()
	return int(n), wrap("delete expired visits", err)
}
