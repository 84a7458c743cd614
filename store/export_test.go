package store

import (
	"context"
	"database/sql"
)

// Queries are the queries for visits and the number of rows that each may read.
var Queries = []struct {
	SQL  string
	Rows int
}{{latestVisit, 1}, {recentVisits, 20}}

var (
	Wrap         = wrap
	ForMigration = forMigration
	Lifetime     = lifetime
)

// Lock takes the lock of a schema on conn and waits at most the given seconds.
func Lock(ctx context.Context, conn *sql.Conn, schema string, seconds int) (unlock func(context.Context, *sql.Conn) error, err error) {
	lock := newSchemaLock(schema)
	lock.seconds = seconds
	return lock.SessionUnlock, lock.SessionLock(ctx, conn)
}

const LockSeconds = lockSeconds
