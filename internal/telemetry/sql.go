package telemetry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/go-sql-driver/mysql"
	sqltrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/database/sql"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
)

// OpenDB opens a pool that traces statements. Each statement is a child span of
// its request and, unless DD_DBM_PROPAGATION_MODE says otherwise, carries the trace to
// MySQL in a comment.
func OpenDB(cfg Config, dsn *mysql.Config, connector driver.Connector) *sql.DB {
	sqltrace.Register("mysql", &mysql.MySQLDriver{})
	return sqltrace.OpenDB(connector,
		sqltrace.WithServiceName(cfg.DatabaseService()),
		// User, host, port and database become tags. The tracer does not need the
		// rest.
		sqltrace.WithDSN((&mysql.Config{User: dsn.User, Net: dsn.Net, Addr: dsn.Addr, DBName: dsn.DBName, AllowNativePasswords: true}).FormatDSN()),
		sqltrace.WithChildSpansOnly(),
		sqltrace.WithIgnoreQueryTypes(
			sqltrace.QueryTypeConnect, sqltrace.QueryTypePing, sqltrace.QueryTypePrepare, sqltrace.QueryTypeClose,
			sqltrace.QueryTypeBegin, sqltrace.QueryTypeCommit, sqltrace.QueryTypeRollback,
		),
		// A client that left is not an error of the database.
		sqltrace.WithErrorCheck(func(err error) bool { return !errors.Is(err, context.Canceled) }),
		sqltrace.WithDBStats(),
		// Without it, the tracer's default for the called service would be the
		// schema's name, which may be that of this service.
		sqltrace.WithCustomTag(ext.PeerService, cfg.DatabaseService()),
	)
}
