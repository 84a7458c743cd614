package memdb

import (
	"database/sql"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// TestStore runs all statements of the store through the real driver.
func TestStore(t *testing.T) {
	db, err := Start(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := store.ParseDSN(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{MySQL: cfg, PoolSize: 4, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	go s.Run(t.Context())
	poll.Until(t, func() error { return s.Ready(t.Context()) })

	if _, found, err := s.Latest(t.Context()); found || err != nil {
		t.Fatalf("empty table: visit found %v, %v", found, err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	for i := range 5 {
		if _, err := s.Record(t.Context(), store.Visit{Route: "/api/trace", TraceID: "0123456789abcdef0123456789abcdef", At: at.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	latest, found, err := s.Latest(t.Context())
	if err != nil || !found || !latest.At.Equal(at.Add(4*time.Hour)) || latest.TraceID != "0123456789abcdef0123456789abcdef" {
		t.Errorf("latest: %+v, %v, %v", latest, found, err)
	}
	if recent, err := s.Recent(t.Context(), 3); err != nil || len(recent) != 3 || recent[2].ID >= recent[0].ID {
		t.Errorf("recent: %+v, %v", recent, err)
	}
	if n, err := s.DeleteBefore(t.Context(), at.Add(150*time.Minute), 2); err != nil || n != 2 {
		t.Errorf("deleted %d, %v, want 2", n, err)
	}
	if recent, err := s.Recent(t.Context(), 9); err != nil || len(recent) != 3 || !recent[2].At.Equal(at.Add(2*time.Hour)) {
		t.Errorf("left: %+v, %v", recent, err)
	}

	testRename(t, db, s)

	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	gone, err := sql.Open("mysql", db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if gone.Ping() == nil {
		t.Error("the database answers after Close")
	}
}

// testRename follows README's recipe for a missing table.
func testRename(t *testing.T, db *Server, s *store.Store) {
	client, err := sql.Open("mysql", db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	before, err := s.Recent(t.Context(), 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Exec("RENAME TABLE visits TO kept"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); store.Reason(err) != "the table visits is missing" {
		t.Errorf("without the table: %v", err)
	}
	if _, err := client.Exec("RENAME TABLE kept TO visits"); err != nil {
		t.Fatal(err)
	}
	poll.Until(t, func() error { return s.Ready(t.Context()) })
	if after, err := s.Recent(t.Context(), 9); err != nil || !slices.Equal(after, before) {
		t.Errorf("after the table is back: %+v, %v; want %+v", after, err, before)
	}
	stored, err := s.Record(t.Context(), store.Visit{Route: "/after", At: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if latest, found, err := s.Latest(t.Context()); err != nil || !found || latest != stored {
		t.Errorf("latest: %+v, %v, %v; want %+v", latest, found, err, stored)
	}
}
