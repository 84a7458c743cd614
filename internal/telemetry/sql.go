package telemetry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"

	"github.com/go-sql-driver/mysql"
	sqltrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/database/sql"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// OpenDB opens a pool that traces statements. Each statement is a child span of
// its request and carries the trace to MySQL in a comment.
func OpenDB(cfg Config, dsn *mysql.Config, connector driver.Connector) *sql.DB {
	sqltrace.Register("mysql", &mysql.MySQLDriver{})
	options := []sqltrace.Option{
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
	}
	if os.Getenv("DD_DBM_PROPAGATION_MODE") == "" && os.Getenv("DD_TRACE_SQL_COMMENT_INJECTION_MODE") == "" {
		options = append(options, sqltrace.WithDBMPropagation(tracer.DBMPropagationModeFull))
	}
	return sqltrace.OpenDB(connector, options...)
}
