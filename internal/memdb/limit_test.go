package memdb

import (
	"database/sql"
	"errors"
	"io"
	"testing"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/testing/poll"
)

// The error is MySQL's own. A connection that ends frees its place.
func TestLimitOfConnections(t *testing.T) {
	server, err := Start(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	db, err := sql.Open("mysql", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var open []*sql.Conn
	for range MaxConnections {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatalf("after %d connections: %v", len(open), err)
		}
		open = append(open, conn)
	}
	var refused *mysql.MySQLError
	if _, err := db.Conn(t.Context()); !errors.As(err, &refused) || refused.Number != 1040 || refused.Message != "Too many connections" {
		t.Errorf("connection %d: %v, want MySQL's error 1040", MaxConnections+1, err)
	}
	_ = open[0].Raw(func(c any) error { return c.(interface{ Close() error }).Close() })
	poll.Until(t, func() error {
		conn, err := db.Conn(t.Context())
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}
