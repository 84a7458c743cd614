package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/failure"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// open returns a store that runs until the test ends.
func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	cfg, err := store.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{MySQL: cfg, PoolSize: 4, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func awaitReady(t *testing.T, s *store.Store) {
	t.Helper()
	poll.Until(t, func() error { return s.Ready(t.Context()) })
}

func awaitReason(t *testing.T, s *store.Store, want string) {
	t.Helper()
	poll.Until(t, func() error {
		err := s.Ready(t.Context())
		if err == nil {
			return errors.New("ready, want " + want)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("%v is not ErrUnavailable", err)
		}
		if got := store.Reason(err); got != want {
			return fmt.Errorf("reason %q (%w), want %q", got, err, want)
		}
		return nil
	})
}

func TestStore(t *testing.T) {
	server := mysqltest.Start(t)

	t.Run("visits", func(t *testing.T) {
		s := open(t, server.Database(t))
		awaitReady(t, s)
		ctx := t.Context()
		if _, found, err := s.Latest(ctx); found || err != nil {
			t.Fatalf("an empty table has a latest visit: %v, %v", found, err)
		}
		if all, err := s.Recent(ctx, 20); err != nil || all == nil || len(all) != 0 {
			t.Fatalf("an empty table reads %v, %v", all, err)
		}
		start := time.Date(2026, 3, 29, 1, 59, 59, 123456789, time.FixedZone("CET", 3600))
		var last store.Visit
		for i := range 30 {
			visit := store.Visit{Route: "/api/trace", TraceID: fmt.Sprintf("%032x", i), At: start.Add(time.Duration(i) * time.Second)}
			stored, err := s.Record(ctx, visit)
			if err != nil {
				t.Fatal(err)
			}
			if stored.ID == 0 || !stored.At.Equal(visit.At.Truncate(time.Microsecond)) {
				t.Errorf("stored as %+v", stored)
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
		// Ten are older than start+10s; batches of four.
		for i, want := range []int{4, 4, 2, 0} {
			if n, err := s.DeleteBefore(ctx, start.Add(10*time.Second), 4); n != want || err != nil {
				t.Errorf("batch %d deleted %d (%v), want %d", i, n, err, want)
			}
		}
		if all, err := s.Recent(ctx, 100); err != nil || len(all) != 20 {
			t.Errorf("%d visits are left (%v), want 20", len(all), err)
		}
	})

	t.Run("work is bounded whatever the table's size", func(t *testing.T) {
		dsn := server.Database(t)
		s := open(t, dsn)
		awaitReady(t, s)
		name := mysqltest.DatabaseName(t, dsn)
		server.Exec(t, "INSERT INTO "+name+".visits (route, trace_id, visited_at) VALUES ('/', '', NOW(6))")
		for range 14 { // 2^14 rows
			server.Exec(t, "INSERT INTO "+name+".visits (route, trace_id, visited_at) SELECT route, trace_id, NOW(6) + INTERVAL id SECOND FROM "+name+".visits")
		}
		for query, limit := range store.Queries {
			query = strings.ReplaceAll(query, "?", strconv.Itoa(limit))
			// MySQL 9 counts finding the first row as one more.
			if read := server.RowsRead(t, dsn, query); read > limit+1 {
				t.Errorf("%s reads %d rows, want at most %d", query, read, limit+1)
			}
		}
	})

	t.Run("replicas that start at once", func(t *testing.T) {
		dsn := server.Database(t)
		replicas := make([]*store.Store, 5)
		for i := range replicas {
			replicas[i] = open(t, dsn)
		}
		for _, s := range replicas {
			awaitReady(t, s)
			if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()}); err != nil {
				t.Error(err)
			}
		}
		name := mysqltest.DatabaseName(t, dsn)
		if got := server.Strings(t, "SELECT COUNT(*) FROM "+name+".goose_db_version WHERE version_id = 1"); got[0] != "1" {
			t.Errorf("the migration was applied %s times", got[0])
		}
	})

	t.Run("a wrong password", func(t *testing.T) {
		dsn := server.Database(t)
		const password = "hunter2"
		s := open(t, mysqltest.WithUser(t, dsn, "late", password))
		awaitReason(t, s, "MySQL refuses the user or password")
		_, _, err := s.Latest(t.Context())
		if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), password) {
			t.Errorf("using the store: %v", err)
		}
		server.Exec(t, "CREATE USER late@'%' IDENTIFIED BY '"+password+"'")
		awaitReason(t, s, "MySQL denies the user access to the database")
		server.Exec(t, "GRANT ALL ON "+mysqltest.DatabaseName(t, dsn)+".* TO late@'%'")
		awaitReady(t, s)
	})

	t.Run("an unknown database", func(t *testing.T) {
		dsn := server.Database(t)
		name := mysqltest.DatabaseName(t, dsn)
		server.Exec(t, "DROP DATABASE "+name)
		s := open(t, dsn)
		awaitReason(t, s, "MySQL has no database of that name")
		server.Exec(t, "CREATE DATABASE "+name)
		awaitReady(t, s)
	})

	t.Run("a schema that vanishes is made again", func(t *testing.T) {
		dsn := server.Database(t)
		s := open(t, dsn)
		awaitReady(t, s)
		name := mysqltest.DatabaseName(t, dsn)
		server.Exec(t, "DROP DATABASE "+name)
		server.Exec(t, "CREATE DATABASE "+name)
		if _, _, err := s.Latest(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("without its table: %v", err)
		}
		poll.Until(t, func() error {
			_, _, err := s.Latest(t.Context())
			return err
		})
	})

	t.Run("a caller that leaves", func(t *testing.T) {
		s := open(t, server.Database(t))
		awaitReady(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := s.Latest(ctx)
		if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want the context's own error", err)
		}
	})

	t.Run("a server that hangs", func(t *testing.T) {
		s := open(t, server.Database(t))
		awaitReady(t, s)
		thaw := server.Freeze(t)
		defer thaw()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := s.Recent(ctx, 20)
		if !errors.Is(err, store.ErrUnavailable) || store.Reason(err) != "waiting for MySQL: it does not answer in time" {
			t.Errorf("got %v (%s)", err, store.Reason(err))
		}
		if stack := failure.Stack(err); !strings.Contains(stack, "store.(*Store).Recent") {
			t.Errorf("the stack does not lead here:\n%s", stack)
		}
	})

	// The last one, for it stops the server that the others share.
	t.Run("a server that goes and comes back", func(t *testing.T) {
		dsn := server.Database(t)
		s := open(t, dsn)
		awaitReady(t, s)
		server.Down(t)
		_, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("while it is down: %v", err)
		}
		late := open(t, dsn)
		awaitReason(t, late, "waiting for MySQL: it cannot be reached")
		server.Up(t)
		awaitReady(t, late)
		awaitReady(t, s)
		if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()}); err != nil {
			t.Errorf("after it came back: %v", err)
		}
	})
}
