package faults

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/memdb"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// TestCauses causes each fault of the database on both databases, and undoes it. The
// service's own store feels it, and works afterwards.
func TestCauses(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		testCauses(t, func(t *testing.T) string {
			server, err := memdb.Start(io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			return server.DSN()
		})
	})
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		server := mysqltest.Start(t, "--max-connections=40")
		testCauses(t, func(t *testing.T) string { return server.Database(t) })
	})
}

func testCauses(t *testing.T, database func(*testing.T) string) {
	visit := store.Visit{Route: "/api/trace", TraceID: "0123456789abcdef0123456789abcdef", At: time.Now()}
	unavailable := func(text string) func(context.Context, *store.Store) error {
		return func(ctx context.Context, s *store.Store) error {
			if _, _, err := s.Latest(ctx); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), text) {
				return errors.Join(errors.New("not unavailable with "+text), err)
			}
			return nil
		}
	}
	for _, tc := range []struct {
		fault string
		felt  func(context.Context, *store.Store) error
	}{
		{"bad-migration", func(ctx context.Context, s *store.Store) error {
			if _, err := s.Recent(ctx, 1); err == nil || errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "route") {
				return errors.Join(errors.New("no defect"), err)
			}
			return nil
		}},
		{"slow-statement", func(ctx context.Context, s *store.Store) error {
			start := time.Now()
			if _, err := s.Record(ctx, visit); err != nil || time.Since(start) < nap {
				return errors.Join(errors.New("not slow"), err)
			}
			_, _, err := s.Latest(ctx)
			return err
		}},
		{"lock", func(ctx context.Context, s *store.Store) error {
			if _, _, err := s.Latest(ctx); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			if _, err := s.Record(ctx, visit); !errors.Is(err, context.DeadlineExceeded) {
				return errors.Join(errors.New("no wait"), err)
			}
			return nil
		}},
		{"table-gone", unavailable("visits")},
		{"database-down", unavailable("refused")},
		{"connections", unavailable("onnections")},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			cfg, err := store.ParseDSN(database(t))
			if err != nil {
				t.Fatal(err)
			}
			d := &Demo{Database: cfg, Network: new(Network)}
			s, err := store.Open(store.Config{MySQL: d.Network.Through(cfg), PoolSize: 4, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); s.Run(ctx) }()
			defer func() { cancel(); <-ended; _ = s.Close() }()
			well := func() error {
				if err := s.Ready(ctx); err != nil {
					return err
				}
				start := time.Now()
				if _, err := s.Record(ctx, visit); err != nil {
					return err
				}
				if time.Since(start) > nap/2 {
					return errors.New("still slow")
				}
				_, err := s.Recent(ctx, 1)
				return err
			}
			poll.Until(t, well)
			if tc.fault == "table-gone" { // its other name is not free
				if err := d.exec(ctx, "CREATE TABLE kept (a INT)"); err != nil {
					t.Fatal(err)
				}
				if _, err := statements(renameTable, restoreTable)(ctx, d); err == nil || !strings.HasPrefix(err.Error(), renameTable+": Error 1") {
					t.Errorf("caused although the table kept exists: %v", err)
				}
				if err := errors.Join(well(), d.exec(ctx, "DROP TABLE kept")); err != nil {
					t.Fatal(err)
				}
			}
			f := catalog[slices.Index(Names(), tc.fault)]
			for range 2 { // an undone fault can be caused again
				undo, err := f.cause(ctx, d)
				if err != nil {
					t.Fatal(err)
				}
				poll.Until(t, func() error { return tc.felt(ctx, s) })
				if err := undo(ctx); err != nil {
					t.Fatal(err)
				}
				poll.Until(t, well)
			}
		})
	}
}
