package memdb

import (
	"database/sql"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

// open starts a database with an empty table t and returns a client.
func open(t *testing.T) *sql.DB {
	t.Helper()
	server, err := Start(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	db, err := sql.Open("mysql", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	exec(t, db, "CREATE TABLE t (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT NOT NULL, KEY t_v (v, id))")
	return db
}

func exec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%.80s: %v", statement, err)
	}
}

// insert inserts the values from first to last in one statement.
func insert(t *testing.T, db *sql.DB, first, last int) {
	t.Helper()
	var values []string
	for v := first; v <= last; v++ {
		values = append(values, fmt.Sprintf("(%d)", v))
	}
	exec(t, db, "INSERT INTO t (v) VALUES "+strings.Join(values, ", "))
}

// holds fails the test unless the table has the values from first to last, also by
// its index.
func holds(t *testing.T, db *sql.DB, first, last int) {
	t.Helper()
	for _, query := range []string{"SELECT COUNT(*), MIN(v), MAX(v) FROM t", "SELECT COUNT(*), MIN(v), MAX(v) FROM t FORCE INDEX (t_v) WHERE v > -1"} {
		var n, least, most int
		if err := db.QueryRow(query).Scan(&n, &least, &most); err != nil {
			t.Fatal(err)
		}
		if n != last-first+1 || least != first || most != last {
			t.Errorf("%s: %d values from %d to %d, want those from %d to %d", query, n, least, most, first, last)
		}
	}
}

func TestTablesKeepTheNewestRows(t *testing.T) {
	db := open(t)
	insert(t, db, 1, MaxRows-1)
	insert(t, db, MaxRows, MaxRows)
	holds(t, db, 1, MaxRows)
	insert(t, db, MaxRows+1, MaxRows+1)
	holds(t, db, 2, MaxRows+1)
	insert(t, db, MaxRows+2, MaxRows+4)
	holds(t, db, 5, MaxRows+4)
	// One statement with more rows than the table may have.
	insert(t, db, 1001, 1001+MaxRows+9)
	holds(t, db, 1011, 1010+MaxRows)
	exec(t, db, "UPDATE t SET v = v + 1000")
	holds(t, db, 2011, 2010+MaxRows)
	exec(t, db, "DELETE FROM t WHERE v < 2021")
	holds(t, db, 2021, 2010+MaxRows)
	insert(t, db, 2011+MaxRows, 2021+MaxRows)
	holds(t, db, 2022, 2021+MaxRows)
}

// README's recipes work on a full table.
func TestTriggerAndRenameOnAFullTable(t *testing.T) {
	db := open(t)
	insert(t, db, 1, MaxRows)
	exec(t, db, "CREATE TRIGGER nap BEFORE INSERT ON t FOR EACH ROW SET NEW.v = IF(SLEEP(0) = 0, NEW.v, 0)")
	insert(t, db, MaxRows+1, MaxRows+2)
	holds(t, db, 3, MaxRows+2)
	exec(t, db, "DROP TRIGGER nap")
	exec(t, db, "RENAME TABLE t TO kept")
	exec(t, db, "RENAME TABLE kept TO t")
	exec(t, db, "ALTER TABLE t RENAME COLUMN v TO w")
	exec(t, db, "ALTER TABLE t RENAME COLUMN w TO v")
	insert(t, db, MaxRows+3, MaxRows+3)
	holds(t, db, 4, MaxRows+3)
}

// A statement that fails deletes nothing.
func TestFailedInsertKeepsTheRows(t *testing.T) {
	db := open(t)
	insert(t, db, 1, MaxRows)
	if _, err := db.Exec("INSERT INTO t (id, v) VALUES (9999, 9999), (250, 9999)"); err == nil {
		t.Error("inserted a duplicate key")
	}
	holds(t, db, 1, MaxRows)
}

// The bound holds while sessions insert at the same time.
func TestBoundHoldsWithManySessions(t *testing.T) {
	db := open(t)
	insert(t, db, 1, MaxRows)
	var sessions sync.WaitGroup
	for range 4 {
		sessions.Go(func() {
			for range 25 {
				if _, err := db.Exec("INSERT INTO t (v) VALUES (7)"); err != nil {
					t.Error(err)
				}
				var n int
				if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil || n > MaxRows {
					t.Errorf("%d rows, want at most %d: %v", n, MaxRows, err)
				}
			}
		})
	}
	sessions.Wait()
}
