package store_test

import (
	"database/sql"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// Replicas that start on an empty schema log no warning, also with a user who may
// have few connections.
func testManyReplicas(t *testing.T, server *mysqltest.Server) {
	const replicas = 6
	server.Exec(t, "CREATE USER IF NOT EXISTS migrator@'%' WITH MAX_USER_CONNECTIONS "+strconv.Itoa(replicas))
	server.Exec(t, "GRANT ALL ON *.* TO migrator@'%'")
	for range 10 {
		poll.True(t, "the connections of the round before are closed", func() bool {
			return server.Strings(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'migrator'")[0] == "0"
		})
		cfg, err := store.ParseDSN(mysqltest.WithUser(t, server.Database(t), "migrator", ""))
		if err != nil {
			t.Fatal(err)
		}
		var logs lockedbuffer.Buffer
		logger := slog.New(slog.NewTextHandler(&logs, nil))
		var running sync.WaitGroup
		for range replicas {
			running.Go(func() {
				if err := store.Migrate(t.Context(), cfg, logger); err != nil {
					t.Errorf("%v (%s)", err, store.Reason(err))
				}
			})
		}
		running.Wait()
		if n := strings.Count(logs.String(), "msg=migrated"); n != 2 {
			t.Errorf("%d migrations, want 2:\n%s", n, logs.String())
		}
	}
}

// A process that dies between a statement of a migration and goose's record of it
// leaves a schema that the next one completes.
func testInterruptedMigration(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	awaitReady(t, open(t, dsn))
	indexes := func() string {
		return strings.Join(server.Strings(t, "SELECT CONCAT(index_name, '.', seq_in_index, '=', column_name) FROM information_schema.statistics WHERE table_schema = ? AND table_name = 'visits' ORDER BY 1", name), " ")
	}
	const want = "PRIMARY.1=id visits_visited_at.1=visited_at visits_visited_at_id.1=visited_at visits_visited_at_id.2=id"
	if got := indexes(); got != want {
		t.Errorf("indexes %s, want %s", got, want)
	}
	for _, statements := range [][]string{
		{"DELETE FROM " + name + ".goose_db_version WHERE version_id = 2"},
		{"DELETE FROM " + name + ".goose_db_version WHERE version_id > 0"},
		{"DELETE FROM " + name + ".goose_db_version WHERE version_id = 2", "DROP INDEX visits_visited_at_id ON " + name + ".visits"},
		{"DROP TABLE " + name + ".goose_db_version"},
	} {
		for _, statement := range statements {
			server.Exec(t, statement)
		}
		s := open(t, dsn)
		awaitReady(t, s)
		if got := indexes(); got != want || strings.Contains(s.logs.String(), "level=WARN") {
			t.Errorf("after %q: indexes %s, want %s; logged\n%s", statements, got, want, s.logs.String())
		}
	}
}

// While replicas are replaced, those of the release before work on the schema of
// this one. Their queries name the old index.
func testReleaseBefore(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	s := open(t, dsn)
	awaitReady(t, s)
	for _, query := range []string{
		"SELECT id, route, trace_id, visited_at FROM visits FORCE INDEX (visits_visited_at) ORDER BY visited_at DESC, id DESC LIMIT 1",
		"SELECT id, route, trace_id, visited_at FROM visits FORCE INDEX (visits_visited_at) ORDER BY visited_at DESC, id DESC LIMIT 20",
	} {
		if _, err := s.db.Exec(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// The lock notices that its session is lost: another process may have migrated too.
func testLostLock(t *testing.T, server *mysqltest.Server) {
	db, err := sql.Open("mysql", server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	unlock, err := store.Lock(t.Context(), conn, "lost", 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unlock(t.Context(), other); err == nil || err.Error() != "unlock the schema: the connection that held the lock is lost" {
		t.Errorf("got %v, want that the lock is lost", err)
	}
}

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
		if strings.Contains(s.logs.String(), "level=WARN") {
			t.Errorf("a replica has logged a warning:\n%s", s.logs.String())
		}
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
