// Package mysqltest runs a real MySQL or MariaDB server for tests: the installed
// mysqld or mariadbd, with its own data directory and port. Each test gets its
// own database.
//
// APMAPP_TEST_MYSQLD names another server program. If no program is found, the
// test is skipped with a message about the installation. With CI set it
// fails.
package mysqltest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/mysqld"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/poll"
)

// Server is a running database server.
type Server struct {
	server *mysqld.Server
	log    *bytes.Buffer
	up     bool
}

// startTimeout bounds start and stop. A cold server on a busy machine takes
// seconds.
const startTimeout = 2 * time.Minute

// Start runs a server until the test and its subtests end. The server gets the
// extra arguments.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartProgram(t, Program(t), args...)
}

// StartProgram is Start with a given server program.
func StartProgram(t testing.TB, program string, args ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "mysqltest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{server: &mysqld.Server{
		Program: program, Dir: dir, Addr: loopback.FreeAddr(t), Args: append([]string{"--performance-schema=ON"}, args...),
	}}
	if err := s.server.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Up(t)
	t.Cleanup(func() { s.Down(t) })
	return s
}

// Program returns the path of the server program. If none is installed, it skips
// the test, or fails it with CI set.
func Program(t testing.TB) string {
	t.Helper()
	if named := os.Getenv("APMAPP_TEST_MYSQLD"); named != "" {
		if path, err := exec.LookPath(named); err == nil {
			return path
		}
	} else if path, err := mysqld.Find(); err == nil {
		return path
	}
	message := "no MySQL server: apt-get install mariadb-server (or mysql-server), or set APMAPP_TEST_MYSQLD"
	if os.Getenv("CI") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// IsMariaDB reports whether the server is MariaDB rather than MySQL.
func (s *Server) IsMariaDB() bool { return s.server.IsMariaDB() }

// Up starts the server and returns when it answers. Its address stays the same.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	s.log = new(bytes.Buffer)
	s.server.Log = s.log
	if err := s.server.Start(); err != nil {
		t.Fatal(err)
	}
	s.up = true

	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.server.Await(ctx, s.config("")); err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
}

// Down stops the server. Up starts it again with the same data.
func (s *Server) Down(t testing.TB) {
	t.Helper()
	if !s.up {
		return
	}
	s.up = false
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// Addr returns the server's host:port.
func (s *Server) Addr() string { return s.server.Addr }

var databases atomic.Int64

// Database creates a database for the test and returns its DSN. The database is
// dropped when the test ends.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	s.Exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if s.up {
			s.Exec(t, "DROP DATABASE IF EXISTS "+name)
		}
	})
	return s.config(name).FormatDSN()
}

// Exec runs a statement as user root.
func (s *Server) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	db := s.open(t, "")
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Strings returns the first column of a query that runs as user root.
func (s *Server) Strings(t testing.TB, query string, args ...any) []string {
	t.Helper()
	db := s.open(t, "")
	defer db.Close()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Lock locks a table until the returned function is called. Statements on it
// wait.
func (s *Server) Lock(t testing.TB, table string) (unlock func()) {
	t.Helper()
	db := s.open(t, "")
	db.SetMaxOpenConns(1) // the lock belongs to the session
	if _, err := db.Exec("LOCK TABLES " + table + " WRITE"); err != nil {
		t.Fatal(err)
	}
	return func() { db.Close() }
}

// AwaitWaiting returns when n statements wait for a locked table.
func (s *Server) AwaitWaiting(t testing.TB, n int) {
	t.Helper()
	const waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
	poll.Until(t, func() error {
		if got := s.Strings(t, waiting)[0]; got != fmt.Sprint(n) {
			return fmt.Errorf("%s statements wait, want %d", got, n)
		}
		return nil
	})
}

// RowsRead returns the number of rows that the storage engine reads for a query
// on the database of dsn.
func (s *Server) RowsRead(t testing.TB, dsn, query string) int {
	t.Helper()
	db := s.open(t, DatabaseName(t, dsn))
	defer db.Close()
	db.SetMaxOpenConns(1) // the counters belong to the session
	for _, statement := range []string{"FLUSH STATUS", query} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	rows, err := db.Query("SHOW SESSION STATUS LIKE 'Handler_read%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var sum int
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}

func (s *Server) config(database string) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "tcp", s.server.Addr, database
	cfg.InterpolateParams = true
	cfg.Logger = quiet{}
	return cfg
}

func (s *Server) open(t testing.TB, database string) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(s.config(database))
	if err != nil {
		t.Fatal(err)
	}
	return sql.OpenDB(connector)
}

// quiet drops the driver's messages about connections that broke because the
// server stopped.
type quiet struct{}

func (quiet) Print(...any) {}

// WithUser returns the DSN with another user and password.
func WithUser(t testing.TB, dsn, user, password string) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Passwd = user, password
	return cfg.FormatDSN()
}

// DatabaseName returns the DSN's database.
func DatabaseName(t testing.TB, dsn string) string {
	t.Helper()
	_, name, ok := strings.Cut(dsn, ")/")
	if !ok {
		t.Fatal(errors.New("not a DSN of this package: " + dsn))
	}
	name, _, _ = strings.Cut(name, "?")
	return name
}
