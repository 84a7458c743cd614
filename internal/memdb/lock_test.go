package memdb

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"
)

// LOCK TABLES lets others read, and makes their INSERTs wait until the lock ends, or its
// session.
func TestLockedTable(t *testing.T) {
	for name, release := range map[string]func(*sql.Conn) error{
		"UNLOCK TABLES": func(c *sql.Conn) error {
			_, err := c.ExecContext(context.Background(), "UNLOCK TABLES")
			return err
		},
		"end of the session": func(c *sql.Conn) error {
			return c.Raw(func(raw any) error { return raw.(interface{ Close() error }).Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t) // not in parallel: the library's status variables are one for all servers
			insert(t, db, 1, 3)
			holder, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := holder.ExecContext(t.Context(), "LOCK TABLES t READ"); err != nil {
				t.Fatal(err)
			}
			holds(t, db, 1, 3)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := db.ExecContext(ctx, "INSERT INTO t (v) VALUES (4)"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("INSERT into a locked table: %v, want a timeout", err)
			}
			// The session that has the lock does not wait for itself.
			if _, err := holder.ExecContext(t.Context(), "INSERT INTO t (v) VALUES (5)"); err != nil {
				t.Error(err)
			}
			waiting := make(chan error, 1)
			go func() {
				_, err := db.Exec("INSERT INTO t (v) VALUES (6)")
				waiting <- err
			}()
			if err := release(holder); err != nil {
				t.Error(err)
			}
			if err := <-waiting; err != nil {
				t.Error(err)
			}
			insert(t, db, 7, 7) // the table is free
		})
	}
}
