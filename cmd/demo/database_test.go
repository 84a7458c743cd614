//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/mysqld"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

func TestDemoOnPrivateDatabase(t *testing.T) {
	mysqltest.Program(t)
	status, stdout, stderr := execute(t, t.Context(), "-port", "0", "-duration", "600ms", "-database", "mysqld")
	if status != 0 || !strings.Contains(stdout, "12 sent, 0 dropped, 0 failed") {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	if want := regexp.MustCompile(`database  mysql -h 127\.0\.0\.1 -P \d+ -u apmapp apmapp  \(private; /.*d\)`); !want.MatchString(stdout) {
		t.Errorf("no %s in\n%s", want, stdout)
	}
	if want := regexp.MustCompile(`^starting a private database with /.*d, which takes some seconds\n$`); !want.MatchString(stderr) {
		t.Errorf("standard error is %q, want %s", stderr, want)
	}
}

// TestPrivateDatabase checks what users of the machine may do in the private database,
// and that it leaves no process and no file.
func TestPrivateDatabase(t *testing.T) {
	t.Parallel()
	program := mysqltest.Program(t)
	dir := filepath.Join(t.TempDir(), "mysqld")
	var stderr lockedbuffer.Buffer
	db, err := startPrivate(t.Context(), program, dir, io.Discard, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			_ = db.close()
		}
	}()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of the database: %v, %v; others must not enter it", info.Mode(), err)
	}
	login := func(user string) *sql.DB {
		cfg := db.mysql.Clone()
		cfg.User = user
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		client := sql.OpenDB(connector)
		t.Cleanup(func() { client.Close() })
		return client
	}
	for _, user := range []string{"root", "nobody"} {
		if _, err := login(user).Exec("SELECT 1"); err == nil {
			t.Errorf("%s can log in", user)
		}
	}
	client := login(databaseName)
	for _, refused := range []string{"SELECT 1 INTO OUTFILE '" + filepath.Join(dir, "file") + "'", "SET GLOBAL general_log = 1", "CREATE DATABASE other"} {
		if _, err := client.Exec(refused); err == nil {
			t.Errorf("%s: may do that", refused)
		}
	}
	// What faults need.
	for _, allowed := range []string{
		"CREATE TABLE visits (route INT)",
		"ALTER TABLE visits RENAME COLUMN route TO way",
		"CREATE TRIGGER nap BEFORE INSERT ON visits FOR EACH ROW SET NEW.way = SLEEP(0)",
		"DROP TRIGGER nap",
		"LOCK TABLES visits READ",
		"UNLOCK TABLES",
		"RENAME TABLE visits TO kept",
	} {
		if _, err := client.Exec(allowed); err != nil {
			t.Errorf("%s: %v", allowed, err)
		}
	}
	// A fault stops the server and starts it again, with its data.
	for range 2 {
		if err := db.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(); err == nil {
			t.Error("after stop, the database answers")
		}
		if err := db.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Exec("INSERT INTO kept VALUES (1)"); err != nil {
			t.Errorf("after start: %v", err)
		}
	}
	pid := processID(t, dir)
	if group, err := syscall.Getpgid(pid); err != nil || group == syscall.Getpgrp() {
		t.Errorf("the database is in the process group of the demo, so an interrupt at the terminal ends it before the service (%v)", err)
	}
	closed = true
	if err := db.close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("after close, the process still runs (%v)", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after close, the directory still exists (%v)", err)
	}
	if got := stderr.String(); got != "" {
		t.Errorf("printed %s", got)
	}
}

// processID returns the process ID of the server in dir.
func processID(t *testing.T, dir string) (pid int) {
	t.Helper()
	poll.Until(t, func() error {
		content, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
		}
		return err
	})
	return pid
}

func TestKilledDatabaseIsReportedAndRemoved(t *testing.T) {
	t.Parallel()
	program := mysqltest.Program(t)
	dir := filepath.Join(t.TempDir(), "mysqld")
	var stderr lockedbuffer.Buffer
	db, err := startPrivate(t.Context(), program, dir, io.Discard, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(processID(t, dir), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	poll.True(t, "the end is reported", func() bool { return stderr.String() != "" })
	if want := "the private database ended (signal: killed); until the demo ends, requests get a 503\n"; stderr.String() != want {
		t.Errorf("printed %q, want %q", &stderr, want)
	}
	if err := db.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory still exists (%v)", err)
	}
}

// server writes a program in the place of mysqld.
func server(t *testing.T, script string) (find func() (string, error)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mysqld")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) { return path, nil }
}

func TestDatabaseThatDoesNotStart(t *testing.T) {
	absent := func() (string, error) { return "", mysqld.ErrNotFound }
	for _, tc := range []struct {
		name   string
		find   func() (string, error)
		stderr string // of auto
		err    string // of mysqld
	}{
		{"not installed", absent, `^$`, `^-database mysqld: mysqld and mariadbd are not installed$`},
		{
			"installation fails", server(t, `case "$*" in *--version*) ;; *) echo "[ERROR] no space"; echo advice; exit 3; esac`),
			`(?s)^starting a private database with /.*mysqld, which takes some seconds\nusing the embedded database, because the private one does not start: /.*mysqld: exit status 3: \[ERROR\] no space\n$`,
			`^start a private database: /.*mysqld: exit status 3: \[ERROR\] no space$`,
		},
		{
			"server ends at start", server(t, `case "$*" in *--port*) exit 4; esac`),
			`(?s)because the private one does not start: /.*mysqld ended at start: exit status 4\n$`,
			`^start a private database: /.*mysqld ended at start: exit status 4$`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			var stderr lockedbuffer.Buffer
			db, err := openDatabase(t.Context(), options{database: auto}, tc.find, dir, io.Discard, &stderr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := db.close(); err != nil {
					t.Error(err)
				}
			}()
			if !strings.Contains(db.description, "(embedded; keeps the newest 500 visits)") {
				t.Errorf("auto uses %s", db.description)
			}
			if !regexp.MustCompile(tc.stderr).MatchString(stderr.String()) {
				t.Errorf("auto prints %q, want %s", &stderr, tc.stderr)
			}
			if _, err := openDatabase(t.Context(), options{database: private}, tc.find, dir, io.Discard, io.Discard); err == nil || !regexp.MustCompile(tc.err).MatchString(err.Error()) {
				t.Errorf("mysqld: error %v, want %s", err, tc.err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// An interrupt ends a demo that is still installing its database.
func TestInterruptWhileTheDatabaseStarts(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	find := server(t, `case "$*" in *--version*) ;; *) sleep 1000; esac`)
	dir := t.TempDir()
	stderr := func(p []byte) (int, error) { interrupt(); return len(p), nil }
	if _, err := openDatabase(ctx, options{database: private}, find, dir, io.Discard, writer(stderr)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
