package memdb

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// A change of a table holds while other sessions read and write it.
func TestSchemaChangesUnderLoad(t *testing.T) {
	db := open(t)
	insert(t, db, 1, 100)
	ctx, stop := context.WithCancel(t.Context())
	var sessions sync.WaitGroup
	for n := range 8 {
		sessions.Go(func() {
			for ctx.Err() == nil {
				// Each statement may find the table or the column missing.
				if n%2 == 0 {
					_, _ = db.Exec("INSERT INTO t (v) VALUES (7)")
				} else {
					_, _ = db.Exec("SELECT COUNT(*) FROM t")
				}
			}
		})
	}
	for range 10 {
		exec(t, db, "ALTER TABLE t RENAME COLUMN v TO w")
		if _, err := db.Exec("SELECT v FROM t LIMIT 1"); err == nil || !strings.Contains(err.Error(), `"v" could not be found`) {
			t.Fatalf("the column has its old name after it was renamed: %v", err)
		}
		exec(t, db, "ALTER TABLE t RENAME COLUMN w TO v")
		exec(t, db, "SELECT v FROM t LIMIT 1")
		exec(t, db, "/* a comment */ rename TABLE t TO kept")
		if _, err := db.Exec("SELECT v FROM t LIMIT 1"); err == nil {
			t.Fatal("the table has its old name after it was renamed")
		}
		exec(t, db, "RENAME TABLE kept TO t")
		insert(t, db, 8, 8)
	}
	stop()
	sessions.Wait()
}

// A session that waits for a lock keeps a change of the table waiting, and not the
// statement that ends the lock.
func TestSchemaChangeWaitsForALock(t *testing.T) {
	db := open(t)
	holder, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"LOCK TABLES t READ", "UNLOCK TABLES"} {
		if statement == "UNLOCK TABLES" {
			var waiting sync.WaitGroup
			for _, s := range []string{"INSERT INTO t (v) VALUES (1)", "ALTER TABLE t RENAME COLUMN v TO w"} {
				started := make(chan struct{})
				waiting.Go(func() {
					close(started)
					_, _ = db.Exec(s) // the INSERT may come second
				})
				<-started
			}
			defer waiting.Wait()
		}
		if _, err := holder.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
