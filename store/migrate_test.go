package store_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/store"
)

func testReplicas(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	replicas := make([]*running, 5)
	for i := range replicas {
		replicas[i] = open(t, dsn)
	}
	migrated := 0
	for _, s := range replicas {
		awaitReady(t, s)
		if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()}); err != nil {
			t.Error(err)
		}
		name := mysqltest.DatabaseName(t, dsn)
		s.awaitLine(t, "level=INFO", `msg="MySQL is ready"`, "mysql.addr="+server.Addr(), "mysql.db="+name)
		migrated += strings.Count(s.logs.String(), "level=INFO msg=migrated migration=00001_visits.sql duration=")
	}
	if migrated != 1 {
		t.Errorf("%d replicas migrated, want 1", migrated)
	}
}

// The lock of a schema blocks processes that want the same schema, and no others,
// until its holder releases it.
func testSchemaLock(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	session := func() *sql.Conn {
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first, second := session(), session()
	unlock, err := store.Lock(t.Context(), first, "shop", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Lock(t.Context(), second, "shop", 0)
	if want := "lock the schema: another process has held the lock for 0 s"; err == nil || err.Error() != want {
		t.Errorf("a second process got %v, want %s", err, want)
	}
	if _, err := store.Lock(t.Context(), second, "other", 0); err != nil {
		t.Errorf("another schema: %v", err)
	}
	if err := unlock(t.Context(), first); err != nil {
		t.Error(err)
	}
	if _, err := store.Lock(t.Context(), second, "shop", 0); err != nil {
		t.Errorf("after the first process: %v", err)
	}

	first.Close()
	if _, err := store.Lock(t.Context(), first, "shop", 0); !errors.Is(err, sql.ErrConnDone) || !strings.HasPrefix(err.Error(), "lock the schema: ") {
		t.Errorf("lock on a closed connection: %v", err)
	}
	if err := unlock(t.Context(), first); !errors.Is(err, sql.ErrConnDone) || !strings.HasPrefix(err.Error(), "unlock the schema: ") {
		t.Errorf("unlock on a closed connection: %v", err)
	}
}

func TestMigrationLimits(t *testing.T) {
	cfg, err := store.ParseDSN("app@tcp(db)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	if got := store.ForMigration(cfg).ReadTimeout; got != 10*time.Minute {
		t.Errorf("a statement of a migration may take %s, want 10m", got)
	}
	if cfg.ReadTimeout != 15*time.Second {
		t.Errorf("other statements may take %s, want 15s", cfg.ReadTimeout)
	}
	if store.LockSeconds != 60 {
		t.Errorf("a process waits %d s for another one's migration, want 60", store.LockSeconds)
	}
}
