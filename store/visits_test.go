package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/store"
)

func testVisits(t *testing.T, server *mysqltest.Server) {
	s := open(t, server.Database(t))
	awaitReady(t, s)
	ctx := t.Context()
	if _, found, err := s.Latest(ctx); found || err != nil {
		t.Fatalf("empty table: latest visit found %v, %v", found, err)
	}
	if all, err := s.Recent(ctx, 20); err != nil || all == nil || len(all) != 0 {
		t.Fatalf("empty table: %v, %v", all, err)
	}
	start := time.Date(2026, 3, 29, 1, 59, 59, 123456789, time.FixedZone("CET", 3600))
	var last store.Visit
	for i := range 30 {
		visit := store.Visit{Route: "/api/trace", TraceID: fmt.Sprintf("%032x", i), At: start.Add(time.Duration(i) * time.Second)}
		stored, err := s.Record(ctx, visit)
		if err != nil {
			t.Fatal(err)
		}
		want := visit
		want.ID, want.At = last.ID+1, visit.At.UTC().Truncate(time.Microsecond)
		if stored != want {
			t.Errorf("stored %+v, want %+v", stored, want)
		}
		last = stored
	}
	if got, found, err := s.Latest(ctx); err != nil || !found || got != last {
		t.Errorf("latest %+v %v %v, want %+v", got, found, err, last)
	}
	all, err := s.Recent(ctx, 20)
	if err != nil || len(all) != 20 || all[0] != last || all[19].TraceID != fmt.Sprintf("%032x", 10) {
		t.Errorf("recent: %d visits from %+v, %v", len(all), all[0], err)
	}
	// Ten visits are older than start+10s. The limit is four. The eleventh has
	// exactly that time to the microsecond, so it stays.
	for i, want := range []int{4, 4, 2, 0} {
		if n, err := s.DeleteBefore(ctx, start.Add(10*time.Second+time.Nanosecond), 4); n != want || err != nil {
			t.Errorf("batch %d deleted %d (%v), want %d", i, n, err, want)
		}
	}
	if all, err := s.Recent(ctx, 100); err != nil || len(all) != 20 {
		t.Errorf("%d visits are left (%v), want 20", len(all), err)
	}
}

// Visits may arrive in another order than that of their times.
func testDeleteOldestFirst(t *testing.T, server *mysqltest.Server) {
	s := open(t, server.Database(t))
	awaitReady(t, s)
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, hours := range []int{2, 0, 1} {
		if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: noon.Add(time.Duration(hours) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.DeleteBefore(t.Context(), noon.Add(3*time.Hour), 2); n != 2 || err != nil {
		t.Errorf("deleted %d, %v, want 2", n, err)
	}
	if all, err := s.Recent(t.Context(), 3); err != nil || len(all) != 1 || !all[0].At.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("left: %+v, %v; want the newest", all, err)
	}
}

func testBoundedReads(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	awaitReady(t, open(t, dsn))
	visits := mysqltest.DatabaseName(t, dsn) + ".visits"
	server.Exec(t, "INSERT INTO "+visits+" (route, trace_id, visited_at) VALUES ('/', '', NOW(6))")
	for range 14 { // 2^14 rows
		server.Exec(t, "INSERT INTO "+visits+" (route, trace_id, visited_at) SELECT route, trace_id, NOW(6) + INTERVAL id SECOND FROM "+visits)
	}
	for _, query := range store.Queries {
		statement := strings.ReplaceAll(query.SQL, "?", strconv.Itoa(query.Rows))
		// MySQL 9 counts finding the first row as one more.
		if read := server.RowsRead(t, dsn, statement); read > query.Rows+1 {
			t.Errorf("%s reads %d rows, want at most %d", statement, read, query.Rows+1)
		}
	}
}

// Each statement reads its rows in the order of the index: the plan has a key, and
// no sort. TiDB needs the id in the index for that.
func testPlans(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	s := open(t, dsn)
	awaitReady(t, s)
	if _, err := s.db.Exec("INSERT INTO visits (route, trace_id, visited_at) VALUES ('/', '', NOW(6))"); err != nil {
		t.Fatal(err)
	}
	for range 10 { // 2^10 rows
		if _, err := s.db.Exec("INSERT INTO visits (route, trace_id, visited_at) SELECT route, trace_id, NOW(6) + INTERVAL id SECOND FROM visits"); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range store.Statements {
		plan := explain(t, server, s.db, statement)
		if len(plan) != 1 || !strings.HasPrefix(plan[0]["key"], "visits_visited_at") || strings.Contains(plan[0]["Extra"], "filesort") {
			t.Errorf("%s: plan %v, want one step by an index on visited_at, without a sort", statement, plan)
			continue
		}
		if want := "visits_visited_at_id"; strings.HasPrefix(statement, "SELECT") && (plan[0]["key"] != want || plan[0]["type"] != "index") {
			t.Errorf("%s: plan %v, want index %s in its order", statement, plan, want)
		}
	}
}

// explain returns the steps of a statement's plan, by the names of their columns.
func explain(t *testing.T, server *mysqltest.Server, db *sql.DB, statement string) []map[string]string {
	t.Helper()
	prefix := "EXPLAIN "
	if !server.IsMariaDB() {
		prefix += "FORMAT=TRADITIONAL " // MySQL's default is a tree
	}
	rows, err := db.Query(prefix + statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan []map[string]string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		step := make(map[string]string)
		for i, name := range columns {
			step[name] = values[i].String
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

func testCallerLeaves(t *testing.T, server *mysqltest.Server) {
	s := open(t, server.Database(t))
	awaitReady(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Latest(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want the context's own error", err)
	}
}
