package main

import (
	"strings"
	"testing"

	"apmapp/internal/testing/mysqltest"
)

// TestRefusedDSNs: a DSN that is not understood ends the program with status 2. The
// error names the flag and the mistake, but shows no password.
func TestRefusedDSNs(t *testing.T) {
	for _, c := range []struct{ dsn, want string }{
		{"mysql://app:hunter2@db/shop?strict=true", "DSN parameter strict is not supported"},
		{"app:hunter2@tcp(db)/shop?parsTime=true", "DSN parameter parsTime is not supported"},
		{"app:hunter2@tcp(db)/shop?ssl-mode=maybe", "DSN parameter ssl-mode has an unknown value"},
		{"app:hunter2@tcp(db)/shop?ssl-ca=/nowhere/hunter2", "read the DSN's ssl-ca: no such file"},
		{"app:hunter2@tcp(::1:3306)/shop", "brackets"},
		{"mysql://app:hunter2@db/shop#hunter2", "a part after #"},
		{"mysqlx://app:hunter2@db/shop", "scheme mysqlx"},
		{"app:hunter2@tcp(db)", "names no database"},
		{"mysql://db/shop?user=app&password=hunter2&nope=1", "not supported"},
	} {
		for _, args := range [][]string{{"-dsn", c.dsn}, nil} {
			var env map[string]string
			if args == nil {
				env = map[string]string{"MYSQL_DSN": c.dsn}
			}
			status, stdout, stderr := execute(t, env, args...)
			if status != 2 || stdout != "" || !strings.Contains(stderr, "-dsn (MYSQL_DSN)") || !strings.Contains(stderr, c.want) {
				t.Errorf("%s: status %d, want 2 and %q:\n%s%s", c.dsn, status, c.want, stdout, stderr)
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("%s: the password is shown: %s", c.dsn, stderr)
			}
		}
	}
	// A DSN in the place of a file is no path to print.
	status, _, stderr := execute(t, nil, "-dsn-file", "mysql://app:hunter2@db/shop")
	if status != 2 || !strings.Contains(stderr, "-dsn-file") || strings.Contains(stderr, "hunter2") {
		t.Errorf("-dsn-file with a DSN: status %d, %s", status, stderr)
	}
}

// Rows that were acknowledged are in the table after the service has stopped,
// although the server's sessions and the DSN do not commit by themselves.
func testAcknowledgedRows(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	server.Exec(t, "SET GLOBAL autocommit = 0")
	defer server.Exec(t, "SET GLOBAL autocommit = 1")
	p := launch(t, "MYSQL_DSN="+dsn+"&autocommit=0")
	p.awaitStatus("/readyz", 200)
	for range 5 {
		if status, _, body := p.get("/api/trace"); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	if got := p.stop(); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
	if got := server.Strings(t, "SELECT COUNT(*) FROM "+mysqltest.DatabaseName(t, dsn)+".visits")[0]; got != "5" {
		t.Errorf("%s rows, want the 5 that were answered with 200", got)
	}
}

// README's recipe: the service is not ready without its table, and ready again when
// the table is back.
func testMissingTable(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	name := mysqltest.DatabaseName(t, dsn)
	p := launch(t, "MYSQL_DSN="+dsn)
	p.awaitStatus("/readyz", 200)
	if status, _, body := p.get("/api/trace"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	server.Exec(t, "RENAME TABLE "+name+".visits TO "+name+".kept")
	const reason = "the table visits is missing"
	if status, _, body := p.get("/readyz"); status != 503 || body != reason {
		t.Errorf("/readyz: %d %s, want 503 %s", status, body, reason)
	}
	if status, header, _ := p.get("/api/trace"); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("/api/trace: %d, want 503 with Retry-After", status)
	}
	p.awaitLine(reason)
	server.Exec(t, "RENAME TABLE "+name+".kept TO "+name+".visits")
	p.awaitStatus("/readyz", 200)
	p.awaitStatus("/api/trace", 200)
	if got := server.Strings(t, "SELECT COUNT(*) FROM "+name+".visits")[0]; got != "2" {
		t.Errorf("%s rows, want 2: one from before and one from after", got)
	}
}

// A password in a parameter reaches neither the log nor standard error.
func testPasswordParameter(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN=mysql://"+server.Addr()+"/nowhere?user=app&password=hunter2%25")
	p.awaitLine("MySQL refuses the user or password")
	if _, _, body := p.get("/readyz"); strings.Contains(body, "hunter2") {
		t.Errorf("/readyz shows the password: %s", body)
	}
	first := p.awaitLine("starting")
	for key, want := range map[string]string{"mysql.addr": server.Addr(), "mysql.db": "nowhere", "mysql.user": "app", "mysql.tls": "DISABLED"} {
		if first[key] != want {
			t.Errorf("%s: %v, want %s", key, first[key], want)
		}
	}
	p.stop()
	if all := p.tail(1000) + p.stderr.String(); strings.Contains(all, "hunter2") {
		t.Errorf("the password is shown:\n%s", all)
	}
}
