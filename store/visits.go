package store

import (
	"context"
	"time"
)

// Visit is one recorded call.
type Visit struct {
	ID uint64 `json:"id"`
	// Route is the pattern of the route called, such as /api/trace.
	Route string `json:"route"`
	// TraceID is the 128-bit trace ID of the call in 32 hex digits, or empty if
	// the call was not traced.
	TraceID string `json:"trace_id"`
	// At is the time of the call in UTC, in microseconds.
	At time.Time `json:"at"`
}

// The queries name their index: the optimizer's statistics are older than the
// latest inserts, so without the name it sometimes sorts the whole table.

const latestVisit = `SELECT id, route, trace_id, visited_at FROM visits FORCE INDEX (visits_visited_at_id) ORDER BY visited_at DESC, id DESC LIMIT 1`

// Latest returns the most recent visit, or false if there is no visit.
func (s *Store) Latest(ctx context.Context) (Visit, bool, error) {
	if err := s.usable(); err != nil {
		return Visit{}, false, err
	}
	visits, err := s.read(ctx, latestVisit)
	if err != nil || len(visits) == 0 {
		return Visit{}, false, s.done("read the latest visit", err)
	}
	return visits[0], true, nil
}

const recentVisits = `SELECT id, route, trace_id, visited_at FROM visits FORCE INDEX (visits_visited_at_id) ORDER BY visited_at DESC, id DESC LIMIT ?`

// Recent returns the n most recent visits, newest first.
func (s *Store) Recent(ctx context.Context, n int) ([]Visit, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	visits, err := s.read(ctx, recentVisits, n)
	return visits, s.done("read recent visits", err)
}

func (s *Store) read(ctx context.Context, query string, args ...any) ([]Visit, error) {
	rows, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	visits := []Visit{}
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

// Record stores a visit. It returns the visit with its ID and its stored time.
func (s *Store) Record(ctx context.Context, v Visit) (Visit, error) {
	if err := s.usable(); err != nil {
		return Visit{}, err
	}
	v.At = v.At.UTC().Truncate(time.Microsecond)
	result, err := s.exec(ctx, recordVisit, v.Route, v.TraceID, v.At)
	if err != nil {
		return Visit{}, s.done("record a visit to "+v.Route, err)
	}
	id, err := result.LastInsertId()
	v.ID = uint64(id)
	return v, wrap("record a visit to "+v.Route, err)
}

const deleteVisits = `DELETE FROM visits WHERE visited_at < ? ORDER BY visited_at LIMIT ?`

// DeleteBefore deletes at most limit visits older than t, oldest first. It
// returns the number of deleted visits.
func (s *Store) DeleteBefore(ctx context.Context, t time.Time, limit int) (int, error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	// Use the column's precision: MySQL rounds a finer time up, MariaDB down.
	t = t.UTC().Truncate(time.Microsecond)
	result, err := s.exec(ctx, deleteVisits, t, limit)
	if err != nil {
		return 0, s.done("delete expired visits", err)
	}
	n, err := result.RowsAffected()
	return int(n), wrap("delete expired visits", err)
}
