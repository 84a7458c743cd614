package vm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"apmapp/deploy/verify/vm/debian"
	"apmapp/internal/testing/mysqltest"
)

const (
	datadogSQL = repository + "/deploy/agent/mysql/datadog.sql"
	// Contains everything that must be quoted.
	password = `it's "50%" \ more`
)

// TestDatadogSQL runs deploy/agent/mysql/datadog.sql with the client of each server.
// Then it runs, as the new user, what the Agent needs and what it must not do.
func TestDatadogSQL(t *testing.T) {
	t.Parallel()
	// MariaDB, if scripts/need installed it.
	t.Run("the installed server", func(t *testing.T) {
		t.Parallel()
		server, client := mysqltest.Start(t), "mysql"
		if server.IsMariaDB() {
			client = "mariadb"
		}
		testDatadogSQL(t, server, client)
	})
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		root := sid(t)
		server := mysqltest.StartProgram(t, debian.Program(t, root, "usr/sbin/mysqld"), "--character-sets-dir="+root+"/usr/share/mysql/charsets", "--lc-messages-dir="+root+"/usr/share/mysql")
		if server.IsMariaDB() {
			t.Fatal("the mysqld of Debian unstable is MariaDB, want MySQL")
		}
		testDatadogSQL(t, server, debian.Program(t, root, "usr/bin/mysql"))
	})
}

func testDatadogSQL(t *testing.T, server *mysqltest.Server, client string) {
	t.Log(server.Strings(t, "SELECT VERSION()")[0])
	// run runs datadog.sql as its own comment recommends.
	run := func(password string) (string, error) {
		t.Helper()
		file, err := os.ReadFile(datadogSQL)
		if err != nil {
			t.Fatal(err)
		}
		var before string
		if password != "" {
			before = "UPDATE performance_schema.threads SET instrumented = 'NO', history = 'NO' WHERE processlist_id = CONNECTION_ID();\n" +
				"SET @datadog_password = '" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(password) + "';\n"
		}
		host, port, _ := strings.Cut(server.Addr(), ":")
		cmd := exec.Command(client, "--no-defaults", "--user=root", "--host="+host, "--port="+port)
		cmd.Stdin = strings.NewReader(before + string(file))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	if out, err := run(""); err == nil || !strings.Contains(out, "set @datadog_password first") {
		t.Fatalf("without a password: error %v, want one that asks for @datadog_password: %s", err, out)
	}
	if got := server.Strings(t, "SELECT user FROM mysql.user WHERE user LIKE 'datadog%'"); len(got) > 0 {
		t.Fatalf("without a password it created the users %q", got)
	}
	var before []string
	for n := range 2 {
		if out, err := run(password); err != nil {
			t.Fatalf("run %d: %v\n%s", n+1, err, out)
		}
		after := accounts(t, server)
		if n > 0 && !slices.Equal(after, before) {
			t.Errorf("the second run changed the accounts\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		before = after
	}
	t.Log(strings.Join(before, "\n"))

	// Rows of the service and of another one.
	server.Exec(t, "CREATE TABLE apmapp.visits (id INT PRIMARY KEY, route VARCHAR(255))")
	server.Exec(t, "INSERT INTO apmapp.visits VALUES (1, '/api/trace')")
	server.Exec(t, "CREATE DATABASE other")
	server.Exec(t, "CREATE TABLE other.salaries (id INT PRIMARY KEY, secret VARCHAR(255))")
	server.Exec(t, "INSERT INTO other.salaries VALUES (1, 'secret')")
	// A connection of another user. The Agent may see it, but not kill it.
	root, err := connect(t, server, "root", "").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var rootID int
	if err := root.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&rootID); err != nil {
		t.Fatal(err)
	}
	agent := connect(t, server, "datadog", password)

	t.Run("may", func(t *testing.T) {
		serverStatus := []string{"SHOW REPLICA STATUS", "SHOW BINARY LOG STATUS"}
		if server.IsMariaDB() {
			serverStatus = []string{"SHOW REPLICA STATUS", "SHOW MASTER STATUS", "SHOW BINLOG STATUS"}
		}
		for _, query := range append(serverStatus,
			"SHOW GLOBAL STATUS", "SHOW GLOBAL VARIABLES", "SHOW ENGINE INNODB STATUS",
			"SELECT * FROM performance_schema.events_statements_summary_by_digest",
			"SELECT * FROM performance_schema.events_statements_current JOIN performance_schema.threads USING (thread_id)",
			"SELECT * FROM performance_schema.events_waits_current",
			"SELECT * FROM information_schema.innodb_metrics",
			"SELECT * FROM mysql.innodb_index_stats",
			"CALL datadog.enable_events_statements_consumers()",
			"CALL datadog.explain_statement('SELECT * FROM apmapp.visits WHERE id = 1')",
			"CALL apmapp.explain_statement('SELECT * FROM visits WHERE id = 1')",
			"CALL apmapp.explain_statement('INSERT INTO visits VALUES (2, 1)')",
			"CALL apmapp.explain_statement('UPDATE visits SET route = 1')",
			"CALL apmapp.explain_statement('DELETE FROM visits')",
			// The check explains statements in the service's database.
			"USE apmapp",
		) {
			if _, err := fetch(agent, query); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		if got := server.Strings(t, "SELECT name FROM performance_schema.setup_consumers WHERE enabled = 'YES' AND (name LIKE 'events_statements_%' OR name = 'events_waits_current')"); len(got) < 4 {
			t.Errorf("the procedure turned on the consumers %q, want at least 4", got)
		}
		plan, err := fetch(agent, "CALL datadog.explain_statement('SELECT * FROM apmapp.visits')")
		if err != nil || !strings.Contains(plan, `"query_`) || !strings.Contains(plan, "visits") {
			t.Errorf("explain_statement returns %s, %v, want a plan in JSON", plan, err)
		}
		if digests, err := fetch(agent, "SELECT digest_text FROM performance_schema.events_statements_summary_by_digest"); err != nil || !strings.Contains(digests, "salaries") {
			t.Errorf("the digests lack a statement of another user: %v\n%s", err, digests)
		}
		// Connections of other users, too.
		if processes, err := fetch(agent, "SHOW FULL PROCESSLIST"); err != nil || !strings.Contains(processes, fmt.Sprintf("[%d root ", rootID)) {
			t.Errorf("SHOW FULL PROCESSLIST lacks the connection of root: %s, %v", processes, err)
		}
	})

	t.Run("may not", func(t *testing.T) {
		// Error numbers of the server; 0 stands for any error.
		for _, tc := range []struct {
			query string
			want  uint16
		}{
			{"SELECT * FROM apmapp.visits", 1142},
			{"INSERT INTO apmapp.visits VALUES (3, '')", 1142},
			{"UPDATE apmapp.visits SET route = ''", 1142},
			{"DELETE FROM apmapp.visits", 1142},
			{"DROP TABLE apmapp.visits", 1142},
			{"CREATE TABLE apmapp.more (id INT)", 1142},
			{"CREATE TABLE datadog.more (id INT)", 1142},
			{"CREATE TEMPORARY TABLE datadog.more (id INT)", 1044},
			{"CREATE DATABASE more", 1044},
			{"SELECT * FROM other.salaries", 1142},
			{"USE other", 1044},
			{"SELECT * FROM mysql.user", 1142},
			{"UPDATE performance_schema.setup_consumers SET enabled = 'NO'", 1142},
			{"CREATE USER more", 1227},
			{"GRANT SELECT ON other.* TO datadog@'%'", 1044},
			{"SET GLOBAL max_connections = 1", 1227},
			{fmt.Sprint("KILL ", rootID), 1095},
			{"DROP PROCEDURE datadog.explain_statement", 1370},
			{"SELECT 1 INTO OUTFILE '/tmp/datadog-out'", 1227},
			{"CALL datadog.explain_statement('SELECT * FROM other.salaries WHERE id = 1')", 1142},
			{"CALL datadog.explain_statement('SELECT * FROM mysql.user WHERE user = ''root''')", 1142},
			{"CALL apmapp.explain_statement('SELECT LOAD_FILE(''/etc/hostname'') FROM other.salaries')", 1142},
			{"CALL apmapp.explain_statement('SELECT 1; DELETE FROM apmapp.visits')", 1064},
			{"CALL apmapp.explain_statement('ANALYZE DELETE FROM apmapp.visits')", 1064},
			{"CALL apmapp.explain_statement('SELECT * FROM apmapp.visits INTO OUTFILE ''/tmp/datadog-out''')", 0},
			{"CALL datadog.explain_statement('DROP TABLE apmapp.visits')", 1064},
			{"CALL datadog.explain_statement('SELECT secret FROM other.salaries UNION SELECT 1 FROM apmapp.visits')", 1142},
		} {
			out, err := fetch(agent, tc.query)
			var refused *mysql.MySQLError
			if !errors.As(err, &refused) || tc.want != 0 && refused.Number != tc.want {
				t.Errorf("%s: %v, want the error %d; output: %s", tc.query, err, tc.want, out)
			}
		}
		if got := server.Strings(t, "SELECT CONCAT(id, route) FROM apmapp.visits"); len(got) != 1 || got[0] != "1/api/trace" {
			t.Errorf("the service's rows are now %q", got)
		}
	})

	t.Run("connections", func(t *testing.T) {
		var open []*sql.Conn
		for len(open) < 10 {
			conn, err := agent.Conn(t.Context())
			if err != nil {
				t.Fatalf("connection %d: %v", len(open)+1, err)
			}
			defer conn.Close()
			open = append(open, conn)
		}
		further, err := connect(t, server, "datadog", password).Conn(t.Context())
		// 1226: the user exceeded a resource limit. 1203: the user has too many connections.
		var refused *mysql.MySQLError
		if !errors.As(err, &refused) || refused.Number != 1226 && refused.Number != 1203 {
			t.Errorf("the 11th connection: %v, error %v, want 1226 or 1203", further, err)
		}
	})

	t.Run("the definer cannot log in", func(t *testing.T) {
		if _, err := fetch(connect(t, server, "datadog_definer", ""), "SELECT 1"); err == nil {
			t.Error("datadog_definer can log in")
		}
	})

	t.Run("a run without a password keeps it, with one changes it", func(t *testing.T) {
		if out, err := run(""); err != nil {
			t.Fatalf("a run without a password: %v\n%s", err, out)
		}
		if _, err := fetch(connect(t, server, "datadog", password), "SELECT 1"); err != nil {
			t.Errorf("log in after a run without a password: %v", err)
		}
		if out, err := run("another"); err != nil {
			t.Fatalf("a run with another password: %v\n%s", err, out)
		}
		if _, err := fetch(connect(t, server, "datadog", "another"), "SELECT 1"); err != nil {
			t.Errorf("log in after a run with another password: %v", err)
		}
		for _, table := range []string{"events_statements_history", "events_statements_history_long", "events_statements_current"} {
			if got := server.Strings(t, "SELECT sql_text FROM performance_schema."+table+" WHERE sql_text LIKE '%anothe_%' AND sql_text NOT LIKE '%performance_schema%'"); len(got) > 0 {
				t.Errorf("%s contains the password: %q", table, got)
			}
		}
	})
}

// accounts returns the users that datadog.sql creates, their grants and procedures.
func accounts(t *testing.T, server *mysqltest.Server) []string {
	t.Helper()
	// Leaves out the password hashes: each has a new salt.
	hash := regexp.MustCompile(`(?s) (AS '.*' REQUIRE|IDENTIFIED BY PASSWORD '[^']*')`)
	var all []string
	for _, query := range []string{
		"SHOW CREATE USER datadog@'%'", "SHOW GRANTS FOR datadog@'%'",
		"SHOW CREATE USER datadog_definer@localhost", "SHOW GRANTS FOR datadog_definer@localhost",
		"SELECT CONCAT_WS(' ', routine_schema, routine_name, definer, security_type) FROM information_schema.routines WHERE routine_schema IN ('datadog', 'apmapp') ORDER BY 1",
	} {
		for _, line := range server.Strings(t, query) {
			all = append(all, hash.ReplaceAllString(line, ""))
		}
	}
	return all
}

// connect returns a pool of connections of a user.
func connect(t *testing.T, server *mysqltest.Server, user, password string) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = user, password, "tcp", server.Addr()
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// fetch returns all result sets of a query as text.
func fetch(db *sql.DB, query string) (string, error) {
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var text strings.Builder
	for {
		columns, err := rows.Columns()
		if err != nil {
			return "", err
		}
		values := make([]sql.RawBytes, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(targets...); err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "%s\n", values)
		}
		if !rows.NextResultSet() {
			return text.String(), rows.Err()
		}
	}
}
