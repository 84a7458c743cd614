package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"apmapp/internal/failure"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

func testWrongPassword(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	const password = "hunter2"
	s := open(t, mysqltest.WithUser(t, dsn, "late", password))
	refused := "MySQL refuses the user or password"
	if !server.IsMariaDB() {
		refused += ", or demands TLS: see ssl-mode" // MySQL makes itself a certificate
	}
	awaitReason(t, s, refused)
	_, _, err := s.Latest(t.Context())
	if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), password) {
		t.Errorf("using the store: %v", err)
	}
	server.Exec(t, "CREATE USER late@'%' IDENTIFIED BY '"+password+"'")
	awaitReason(t, s, "MySQL denies the user access to the database")
	server.Exec(t, "GRANT ALL ON "+mysqltest.DatabaseName(t, dsn)+".* TO late@'%'")
	awaitReady(t, s)
}

func testUnknownDatabase(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	server.Exec(t, "DROP DATABASE "+name)
	s := open(t, dsn)
	awaitReason(t, s, "MySQL has no database with that name")
	server.Exec(t, "CREATE DATABASE "+name)
	awaitReady(t, s)
}

// Each operation notices that the schema is gone, and Run creates it again.
func testSchemaDisappears(t *testing.T, server *mysqltest.Server) {
	for _, operation := range []struct {
		name string
		do   func(*running) error
	}{
		{"read the latest visit", func(s *running) error { _, _, err := s.Latest(t.Context()); return err }},
		{"read recent visits", func(s *running) error { _, err := s.Recent(t.Context(), 1); return err }},
		{"record a visit to /", func(s *running) error { _, err := s.Record(t.Context(), store.Visit{Route: "/"}); return err }},
		{"delete expired visits", func(s *running) error { _, err := s.DeleteBefore(t.Context(), time.Now(), 1); return err }},
	} {
		dsn := server.Database(t)
		s := open(t, dsn)
		awaitReady(t, s)
		name := mysqltest.DatabaseName(t, dsn)
		server.Exec(t, "DROP DATABASE "+name)
		server.Exec(t, "CREATE DATABASE "+name)
		if err := operation.do(s); !errors.Is(err, store.ErrUnavailable) || !strings.HasPrefix(err.Error(), operation.name+": ") {
			t.Errorf("%s, without the table: %v", operation.name, err)
		}
		poll.Until(t, func() error { return operation.do(s) })
	}
}

// A table that somebody renames is not created again: its data would be lost to the
// service. The service is not ready until the table is back.
func testMissingTable(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	s := open(t, dsn)
	awaitReady(t, s)
	stored, err := s.Record(t.Context(), store.Visit{Route: "/kept"})
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "RENAME TABLE "+name+".visits TO "+name+".kept")
	const missing = "the table visits is missing"
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) || store.Reason(err) != missing {
		t.Errorf("ready: %v (%s), want at once: %s", err, store.Reason(err), missing)
	}
	s.awaitLine(t, "level=WARN", `msg="`+missing+`"`)
	late := open(t, dsn)
	awaitReason(t, late, missing)
	if _, err := s.Record(t.Context(), store.Visit{Route: "/"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("record: %v, want ErrUnavailable", err)
	}
	server.Exec(t, "RENAME TABLE "+name+".kept TO "+name+".visits")
	for _, s := range []*running{s, late} {
		awaitReady(t, s)
		if got, _, err := s.Latest(t.Context()); err != nil || got.ID != stored.ID {
			t.Errorf("after the table is back: %+v, %v; want the visit from before", got, err)
		}
	}
	// The runbook's way to create an empty table.
	server.Exec(t, "DROP TABLE "+name+".visits")
	awaitReason(t, s, missing)
	server.Exec(t, "DROP TABLE "+name+".goose_db_version")
	awaitReady(t, s)
	if _, found, err := s.Latest(t.Context()); found || err != nil {
		t.Errorf("a new table: visit found %v, %v", found, err)
	}
	if n := strings.Count(s.logs.String(), `msg="MySQL is ready"`); n != 3 {
		t.Errorf("%d lines that MySQL is ready, want one at the start and one each time that the table was back:\n%s", n, s.logs.String())
	}
}

// Other changes of the table, too, make the service not ready.
func testDamagedTable(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	visits := mysqltest.DatabaseName(t, dsn) + ".visits"
	s := open(t, dsn)
	awaitReady(t, s)
	for _, tc := range []struct{ statement, undo, want string }{
		{"ALTER TABLE " + visits + " CHANGE route way VARCHAR(255) NOT NULL", "ALTER TABLE " + visits + " CHANGE way route VARCHAR(255) NOT NULL", "the table visits lacks a column"},
		{"DROP INDEX visits_visited_at_id ON " + visits, "CREATE INDEX visits_visited_at_id ON " + visits + " (visited_at, id)", "the table visits lacks an index"},
	} {
		server.Exec(t, tc.statement)
		if err := s.Ready(t.Context()); store.Reason(err) != tc.want {
			t.Errorf("%s: %v (%s), want %s", tc.statement, err, store.Reason(err), tc.want)
		}
		server.Exec(t, tc.undo)
		awaitReady(t, s)
	}
}

// Each privilege that the service needs is named when it is missing.
func testPrivileges(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	server.Exec(t, "CREATE USER IF NOT EXISTS restricted@'%'")
	server.Exec(t, "GRANT SELECT, INSERT, DELETE, INDEX ON "+name+".* TO restricted@'%'")
	user := mysqltest.WithUser(t, dsn, "restricted", "")
	s := open(t, user)
	awaitReason(t, s, "MySQL denies the user a privilege: CREATE")
	s.awaitLine(t, "level=WARN", `msg="MySQL denies the user a privilege: CREATE"`)
	server.Exec(t, "GRANT CREATE ON "+name+".* TO restricted@'%'")
	awaitReady(t, s)
	// The user needs no CREATE later. Grants on a table take effect at once.
	for _, statement := range []string{
		"REVOKE ALL ON " + name + ".* FROM restricted@'%'",
		"GRANT SELECT ON " + name + ".goose_db_version TO restricted@'%'",
		"GRANT SELECT, INSERT, DELETE ON " + name + ".visits TO restricted@'%'",
	} {
		server.Exec(t, statement)
	}
	s = open(t, user)
	awaitReady(t, s)
	for _, privilege := range []string{"SELECT", "INSERT", "DELETE"} {
		server.Exec(t, "REVOKE "+privilege+" ON "+name+".visits FROM restricted@'%'")
		missing := "MySQL denies the user a privilege: " + privilege
		if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) || store.Reason(err) != missing {
			t.Errorf("ready: %v (%s), want %s", err, store.Reason(err), missing)
		}
		server.Exec(t, "GRANT "+privilege+" ON "+name+".visits TO restricted@'%'")
		awaitReady(t, s)
	}
	// A service that starts without a privilege waits for it.
	server.Exec(t, "REVOKE INSERT ON "+name+".visits FROM restricted@'%'")
	late := open(t, user)
	awaitReason(t, late, "MySQL denies the user a privilege: INSERT")
	server.Exec(t, "GRANT INSERT ON "+name+".visits TO restricted@'%'")
	awaitReady(t, late)
}

// A row that the store cannot read is a defect. It does not keep its connection.
func testUnreadableRow(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	s := open(t, dsn)
	awaitReady(t, s)
	visits := mysqltest.DatabaseName(t, dsn) + ".visits"
	server.Exec(t, "ALTER TABLE "+visits+" MODIFY trace_id CHAR(32) NULL")
	server.Exec(t, "INSERT INTO "+visits+" (route, trace_id, visited_at) VALUES ('/', NULL, NOW(6)), ('/', NULL, NOW(6))")
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"Latest", func() error { _, _, err := s.Latest(t.Context()); return err }},
		{"Recent", func() error { _, err := s.Recent(t.Context(), 20); return err }},
	} {
		if err := call.do(); err == nil || errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "converting NULL to string") {
			t.Errorf("%s: got %v, want a defect", call.name, err)
		}
		if stats := s.db.Stats(); stats.InUse != 0 {
			t.Errorf("%s: %d connections in use, want 0", call.name, stats.InUse)
		}
	}
}

// A real deadlock: the server ends one of two sessions that wait for each other.
func testDeadlock(t *testing.T, server *mysqltest.Server) {
	s := open(t, server.Database(t))
	awaitReady(t, s)
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for hour := range 2 {
		if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: noon.Add(time.Duration(hour) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	// The other session holds the second row, and has changed enough rows that
	// the server prefers to end the store's statement.
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for range 20 {
		if _, err := tx.Exec("INSERT INTO visits (route, trace_id, visited_at) VALUES ('/later', '', NOW(6) + INTERVAL 1 YEAR)"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec("UPDATE visits SET route = '/held' WHERE visited_at = ?", noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	go func() {
		n, err := s.DeleteBefore(t.Context(), noon.Add(2*time.Hour), 2)
		if n != 0 {
			t.Errorf("%d visits deleted with error %v, want 0", n, err)
		}
		deleted <- err
	}()
	// The store's statement holds the first row and waits for the second.
	poll.True(t, "DeleteBefore waits for a row", func() bool {
		return server.Strings(t, "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Innodb_row_lock_current_waits'")[0] == "1"
	})
	if _, err := tx.Exec("UPDATE visits SET route = '/held' WHERE visited_at = ?", noon); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "1213") {
		t.Errorf("got %v, want a deadlock that is ErrUnavailable", err)
	}
}

func testServerHangs(t *testing.T, server *mysqltest.Server) {
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
}

func testServerRestarts(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	s := open(t, dsn)
	awaitReady(t, s)
	server.Down(t)
	_, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while it is down: %v", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.HasPrefix(err.Error(), "check the table visits: ") {
		t.Errorf("ready while it is down: %v", err)
	}
	s.awaitLine(t, "level=DEBUG", "mysql driver: ")
	late := open(t, dsn)
	awaitReason(t, late, "waiting for MySQL: nothing listens at its address")
	server.Up(t)
	awaitReady(t, late)
	awaitReady(t, s)
	if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}
