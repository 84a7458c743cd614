package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"
)

// Queries are the queries for visits and the number of rows that each may read.
var Queries = []struct {
	SQL  string
	Rows int
}{{latestVisit, 1}, {recentVisits, 20}}

// Statements are all statements of the store on the table visits, with arguments.
var Statements = []string{
	latestVisit,
	strings.Replace(recentVisits, "?", "20", 1),
	strings.NewReplacer("visited_at < ?", "visited_at < '2026-01-02'", "?", "100").Replace(deleteVisits),
}

var (
	Migrate      = migrate
	Wrap         = wrap
	ForMigration = forMigration
	Lifetime     = lifetime
)

// Lock takes the lock of a schema on conn and waits at most the given seconds.
func Lock(ctx context.Context, conn *sql.Conn, schema string, seconds int) (unlock func(context.Context, *sql.Conn) error, err error) {
	lock := newSchemaLock(schema)
	lock.seconds = seconds
	return func(ctx context.Context, conn *sql.Conn) error { return lock.release(ctx, conn) }, lock.take(ctx, conn)
}

// ConnectError returns err as an error before a connection could be used.
func ConnectError(err error) error { return connectError{error: err} }

// Age makes a connection of the driver old enough for a failover.
func Age(driverConn any) error {
	driverConn.(*conn).made = time.Now().Add(-failoverInterval)
	return nil
}

// Renew makes a connection of the driver too young for a failover.
func Renew(driverConn any) error {
	driverConn.(*conn).made = time.Now().Add(time.Hour)
	return nil
}

var (
	ErrNotMySQL  = errNotMySQL
	ServerErrors = slices.Sorted(maps.Keys(serverErrors))
)

const LockSeconds = lockSeconds
