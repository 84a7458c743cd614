package store_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// hostile is a value of a system variable that would break the store: as the
// server's global, and in the DSN.
type hostile struct{ variable, value, param string }

// hostiles lists every system variable that the store relies on. Some harm only some
// servers or clients, such as a character set that the driver's handshake overrides.
func hostiles(server *mysqltest.Server) []hostile {
	isolation, readOnly := "transaction_isolation", "transaction_read_only"
	if server.IsMariaDB() {
		isolation, readOnly = "tx_isolation", "tx_read_only"
	}
	all := []hostile{
		{"autocommit", "0", ""},
		{"completion_type", "'CHAIN'", ""},
		{"completion_type", "'RELEASE'", ""},
		{"sql_mode", "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'", ""},
		{"time_zone", "'+09:00'", "loc=Asia%2FTokyo&serverTimezone=Asia%2FTokyo"},
		{isolation, "'READ-UNCOMMITTED'", ""},
		{isolation, "'SERIALIZABLE'", ""},
		{readOnly, "1", ""},
		{"character_set_client", "latin1", "charset=latin1"},
		{"character_set_connection", "latin1", "charset=latin1&collation=latin1_bin"},
		{"character_set_results", "latin1", "charset=latin1"},
		{"collation_connection", "latin1_bin", "collation=latin1_bin"},
		{"default_storage_engine", "MEMORY", ""},
		{"sql_select_limit", "0", ""},
		{"max_join_size", "1", ""},
		{"sql_big_selects", "0", ""},
		{"sql_safe_updates", "1", ""},
		{"init_connect", `'SET autocommit = 0, time_zone = "+09:00", sql_mode = "PAD_CHAR_TO_FULL_LENGTH", sql_select_limit = 0'`, "timeout=2s"},
	}
	if server.IsMariaDB() {
		all = append(all, hostile{"sql_mode", "'ORACLE'", ""})
	}
	return all
}

func testSession(t *testing.T, server *mysqltest.Server) {
	for _, h := range hostiles(server) {
		t.Run(h.variable+"="+h.value, func(t *testing.T) {
			if h.param == "" {
				h.param = h.variable + "=" + strings.ReplaceAll(h.value, "+", "%2B")
			}
			user := ordinaryUser(t, server) // init_connect is not for administrators
			admin := administrator(t, server)
			for _, statement := range []string{
				"SET @before = @@GLOBAL." + h.variable,
				"SET GLOBAL " + h.variable + " = " + h.value,
			} {
				if _, err := admin.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			restore := func() {
				if _, err := admin.Exec("SET GLOBAL " + h.variable + " = @before"); err != nil {
					t.Error(err)
				}
			}
			defer restore()
			s := open(t, user+"&"+h.param)
			awaitReady(t, s)
			checkSession(t, s, admin, mysqltest.DatabaseName(t, user))
		})
	}
}

// administrator returns a session that keeps its own state, whatever the globals.
func administrator(t *testing.T, server *mysqltest.Server) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", "root@tcp("+server.Addr()+")/?interpolateParams=true&parseTime=true")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	return db
}

// checkSession checks that rows arrive, with the right times and texts, and that
// another session sees them at once.
func checkSession(t *testing.T, s *running, admin *sql.DB, database string) {
	t.Helper()
	ctx := t.Context()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 123456000, time.UTC)
	var want []store.Visit // newest first
	for i, route := range []string{"/", `/a'b"c\d|/ü`, "/api/trace"} {
		stored, err := s.Record(ctx, store.Visit{Route: route, At: noon.Add(time.Duration(i) * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		want = append([]store.Visit{stored}, want...)
	}
	var n int
	if err := admin.QueryRow("SELECT COUNT(*) FROM " + database + ".visits").Scan(&n); err != nil || n != 3 {
		t.Errorf("another session sees %d rows, %v; want 3", n, err)
	}
	var route string
	var at time.Time
	if err := admin.QueryRow("SELECT route, visited_at FROM "+database+".visits WHERE id = ?", want[1].ID).Scan(&route, &at); err != nil || route != want[1].Route || !at.Equal(want[1].At) {
		t.Errorf("another session sees %s %s, %v; want %+v", route, at, err, want[1])
	}
	if got, err := s.Recent(ctx, 3); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recent: %v, %v; want %v", got, err, want)
	}
	if n, err := s.DeleteBefore(ctx, noon.Add(time.Minute), 10); err != nil || n != 1 {
		t.Errorf("deleted %d, %v; want 1", n, err)
	}
	// A row that is not committed is not there yet, but it is not waited for either.
	tx, err := admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("INSERT INTO " + database + ".visits (route, trace_id, visited_at) VALUES ('/later', '', '2030-01-01')"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Latest(ctx); err != nil || got != want[0] {
		t.Errorf("latest: %v, %v; want %v", got, err, want[0])
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	// Migrations have the same session.
	var engine string
	var versions int
	if err := admin.QueryRow("SELECT GROUP_CONCAT(DISTINCT engine) FROM information_schema.tables WHERE table_schema = ?", database).Scan(&engine); err != nil || engine != "InnoDB" {
		t.Errorf("engines %s, %v; want InnoDB", engine, err)
	}
	if err := admin.QueryRow("SELECT COUNT(*) FROM " + database + ".goose_db_version").Scan(&versions); err != nil || versions != 3 {
		t.Errorf("%d versions, %v; want 3", versions, err)
	}
}

// A connection costs one statement, whatever the DSN sets.
func testOneStatementPerConnection(t *testing.T, server *mysqltest.Server) {
	s := open(t, server.Database(t)+"&wait_timeout=77&lock_wait_timeout=88")
	awaitReady(t, s)
	var id, wait, lock, questions int
	var name string
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The pool's first connection has run statements. This one is new.
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		t.Fatal(err)
	}
	fresh, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if err := fresh.QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE 'Questions'").Scan(&name, &questions); err != nil || questions > 2 {
		t.Errorf("a new connection has run %d statements (%v), want SET and this one", questions, err)
	}
	if err := fresh.QueryRowContext(t.Context(), "SELECT CONNECTION_ID(), @@wait_timeout, @@lock_wait_timeout").Scan(&id, &wait, &lock); err != nil || wait != 77 || lock != 88 {
		t.Errorf("wait_timeout %d, lock_wait_timeout %d, %v; want 77 and 88", wait, lock, err)
	}
}

// A system variable that the server does not have, or refuses, is named.
func testVariableErrors(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	missing := "max_statement_time"
	if server.IsMariaDB() {
		missing = "max_execution_time"
	}
	for _, tc := range []struct{ param, want string }{
		{missing + "=1", "MySQL does not know the system variable " + missing + " that the DSN sets"},
		{"tidb_hunter=1", "MySQL does not know the system variable tidb_hunter that the DSN sets"},
		{"wait_timeout='hunter2'", "MySQL refuses the system variable wait_timeout that the DSN sets"},
	} {
		s := open(t, dsn+"&"+tc.param)
		awaitReason(t, s, tc.want)
		s.awaitLine(t, "level=WARN", `msg="`+tc.want+`"`)
	}
}

// A read-only server is not ready, but can be read.
func testReadOnly(t *testing.T, server *mysqltest.Server) {
	user := ordinaryUser(t, server)
	s := open(t, user)
	awaitReady(t, s)
	server.Exec(t, "SET GLOBAL read_only = 1")
	defer server.Exec(t, "SET GLOBAL read_only = 0")
	awaitReason(t, s, "MySQL is read-only")
	if _, err := s.Record(t.Context(), store.Visit{Route: "/"}); store.Reason(err) != "MySQL is read-only" {
		t.Errorf("record: %v (%s)", err, store.Reason(err))
	}
	// Also for a service that starts now.
	late := open(t, user)
	awaitReason(t, late, "MySQL is read-only")
	for _, s := range []*running{s, late} {
		poll.Until(t, func() error { _, err := s.Recent(t.Context(), 1); return err })
	}
	server.Exec(t, "SET GLOBAL read_only = 0")
	awaitReady(t, s)
	awaitReady(t, late)
	if _, err := s.Record(t.Context(), store.Visit{Route: "/"}); err != nil {
		t.Error(err)
	}
}

// A failover leaves the old primary read-only, and its address leads to the new one.
// No write fails, and no connection to the old primary stays in the pool. Here new
// connections may write because the user has got a privilege, which old ones do not
// notice.
func testFailover(t *testing.T, server *mysqltest.Server) {
	s := open(t, ordinaryUser(t, server))
	awaitReady(t, s)
	old := connections(t, s, store.Age)
	privilege := "SUPER"
	if server.IsMariaDB() {
		privilege = "READ ONLY ADMIN"
	}
	server.Exec(t, "SET GLOBAL read_only = 1")
	defer server.Exec(t, "SET GLOBAL read_only = 0")
	server.Exec(t, "GRANT "+privilege+" ON *.* TO ordinary@'%'")
	defer server.Exec(t, "REVOKE "+privilege+" ON *.* FROM ordinary@'%'")
	if _, err := s.Record(t.Context(), store.Visit{Route: "/"}); err != nil {
		t.Errorf("the first write after the failover: %v", err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	for id := range connections(t, s, nil) {
		if old[id] {
			t.Errorf("connection %d to the old primary is still in the pool", id)
		}
	}
}

// A server that stays read-only does not cost each statement a connection.
func testReadOnlyKeepsConnections(t *testing.T, server *mysqltest.Server) {
	s := open(t, ordinaryUser(t, server))
	awaitReady(t, s)
	server.Exec(t, "SET GLOBAL read_only = 1")
	defer server.Exec(t, "SET GLOBAL read_only = 0")
	connections(t, s, store.Age)
	for range 50 {
		if _, err := s.Record(t.Context(), store.Visit{Route: "/"}); store.Reason(err) != "MySQL is read-only" {
			t.Fatalf("record: %v (%s)", err, store.Reason(err))
		}
	}
	before := connections(t, s, store.Renew)
	for range 50 {
		if _, err := s.Record(t.Context(), store.Visit{Route: "/"}); store.Reason(err) != "MySQL is read-only" {
			t.Fatalf("record: %v (%s)", err, store.Reason(err))
		}
	}
	for id := range connections(t, s, nil) {
		if !before[id] {
			t.Errorf("connection %d is new, want the %d from before", id, len(before))
		}
	}
}

// ordinaryUser returns the DSN of a database and of a user who is no administrator.
func ordinaryUser(t *testing.T, server *mysqltest.Server) string {
	t.Helper()
	dsn := server.Database(t)
	server.Exec(t, "CREATE USER IF NOT EXISTS ordinary@'%'")
	server.Exec(t, "GRANT ALL ON "+mysqltest.DatabaseName(t, dsn)+".* TO ordinary@'%'")
	return mysqltest.WithUser(t, dsn, "ordinary", "")
}

// connections returns the numbers of all connections of the pool, and calls each
// with the driver's connection.
func connections(t *testing.T, s *running, each func(any) error) map[int]bool {
	t.Helper()
	ids := make(map[int]bool)
	for range poolSize {
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var id int
		if err := conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids[id] = true
		if each != nil {
			if err := conn.Raw(each); err != nil {
				t.Fatal(err)
			}
		}
	}
	return ids
}
