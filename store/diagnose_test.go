package store_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/testing/mysqltest"
	"apmapp/store"
)

// diagnose returns what Diagnose found, with reasons and remedies instead of errors.
func diagnose(t *testing.T, dsn string) (d store.Diagnosis, found []string) {
	t.Helper()
	cfg := store.Config{MySQL: parse(t, dsn), Logger: slog.New(slog.DiscardHandler)}
	d = store.Diagnose(t.Context(), cfg)
	for _, err := range append([]error{d.Connect}, d.Problems...) {
		if err != nil {
			found = append(found, store.Reason(err)+" → "+store.Remedy(err, cfg))
		}
	}
	return d, found
}

func parse(t *testing.T, dsn string) *mysql.Config {
	t.Helper()
	cfg, err := store.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Diagnose names everything that is missing, each once, and changes nothing.
func testDiagnose(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	expect := func(dsn string, pending bool, want ...string) {
		t.Helper()
		d, got := diagnose(t, dsn)
		if d.Pending != pending || len(got) != len(want) {
			t.Errorf("pending %t, found %q, want %t, %q", d.Pending, got, pending, want)
			return
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("found %s, want %s", got[i], want[i])
			}
		}
		if (d.Server == "") != (d.Connect != nil) {
			t.Errorf("version %q, connecting %v", d.Server, d.Connect)
		}
	}
	expect(dsn, true)
	if tables := server.Strings(t, "SHOW TABLES FROM "+name); len(tables) != 0 {
		t.Errorf("made the tables %q", tables)
	}
	server.Exec(t, "CREATE USER looker@'%' IDENTIFIED BY ''")
	t.Cleanup(func() { server.Exec(t, "DROP USER looker@'%'") })
	looker := mysqltest.WithUser(t, dsn, "looker", "")
	const grant = " → GRANT SELECT, INSERT, DELETE, CREATE, INDEX ON "
	expect(looker, false, "MySQL denies the user access to the database"+grant+name+`.* to the user "looker"`)
	server.Exec(t, "GRANT SELECT ON "+name+".* TO looker@'%'")
	expect(looker, true, "MySQL denies the user a privilege: CREATE"+grant, "MySQL denies the user a privilege: INDEX"+grant, "MySQL denies the user a privilege: DELETE"+grant)

	awaitReady(t, open(t, dsn))
	expect(dsn, false)
	expect(looker, false, "MySQL denies the user a privilege: INSERT"+grant, "MySQL denies the user a privilege: DELETE"+grant)
	before := server.Strings(t, "SELECT version_id FROM "+name+".goose_db_version ORDER BY id")
	server.Exec(t, "DELETE FROM "+name+".goose_db_version WHERE version_id = (SELECT * FROM (SELECT MAX(version_id) FROM "+name+".goose_db_version) latest)")
	expect(dsn, true)
	if after := server.Strings(t, "SELECT version_id FROM "+name+".goose_db_version ORDER BY id"); len(after) != len(before)-1 {
		t.Errorf("the versions are %q, and were %q", after, before)
	}

	expect(mysqltest.WithUser(t, dsn, "nobody", "hunter2"), false, "MySQL refuses the user or password")
	expect("root@tcp("+server.Addr()+")/nowhere", false, "MySQL has no database with that name → run CREATE DATABASE nowhere, or correct the name in the DSN")
	expect("root@tcp(127.0.0.1:1)/d", false, "waiting for MySQL: nothing listens at its address → check that MySQL runs, and the address 127.0.0.1:1 in the DSN")
}

// Received returns the statement that asks, as the server has it.
func testReceived(t *testing.T, server *mysqltest.Server) {
	cfg := store.Config{MySQL: parse(t, server.Database(t)), Logger: slog.New(slog.DiscardHandler)}
	got, err := store.Received(t.Context(), cfg)
	if err != nil || !slices.Contains(got, "SHOW FULL PROCESSLIST") {
		t.Errorf("received %q, %v", got, err)
	}
	cfg.MySQL.Addr = "127.0.0.1:1"
	if got, err := store.Received(t.Context(), cfg); err == nil || len(got) != 0 {
		t.Errorf("received %q, %v from nowhere", got, err)
	}
}

// Each error has an advice: of its own, or in its reason after a colon.
func TestRemedy(t *testing.T) {
	cfg := store.Config{MySQL: parse(t, "app@tcp(db:3306)/shop")}
	server := func(number uint16) error { return &mysql.MySQLError{Number: number} }
	for err, want := range map[error]string{
		server(1040):                       "raise MySQL's max_connections",
		server(1045):                       `check the user "app"`,
		server(1049):                       "run CREATE DATABASE shop",
		server(1130):                       `CREATE USER "app"@…`,
		server(1184):                       "see MySQL's error log",
		server(1203):                       "MAX_USER_CONNECTIONS",
		server(1226):                       "MAX_QUERIES_PER_HOUR",
		server(1862):                       "IDENTIFIED BY",
		server(4151):                       "ACCOUNT UNLOCK",
		server(65000):                      "see MySQL's error log",
		mysql.ErrNoTLS:                     "remove ssl-mode",
		store.ErrNotMySQL:                  "3306 by default",
		x509.CertificateInvalidError{}:     "MySQL's certificate",
		context.DeadlineExceeded:           "db:3306",
		errors.New("something unforeseen"): "see MySQL's error log",
	} {
		if got := store.Remedy(err, cfg); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	for _, number := range store.ServerErrors {
		if store.Remedy(server(number), cfg) == "" {
			t.Errorf("error %d has no advice", number)
		}
	}
}
