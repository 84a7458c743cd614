package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/failure"
)

// ErrUnavailable matches (errors.Is) each error that means MySQL cannot serve
// at the moment: it is unreachable, too slow, overloaded, shutting down,
// read-only, without its schema, or refuses the login. The same call may succeed
// later. Any other error is a defect, except context.Canceled.
var ErrUnavailable = errors.New("database unavailable")

// unavailable makes an error match ErrUnavailable.
type unavailable struct{ error }

func (u unavailable) Unwrap() error        { return u.error }
func (u unavailable) Is(target error) bool { return target == ErrUnavailable }

// wrap adds the operation and the stack to a driver's error. A transient error
// also becomes ErrUnavailable. A cancelled context does not: the caller left, so
// the database is not at fault.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if isUnavailable(err) {
		err = unavailable{err}
	}
	return failure.New(op, err)
}

func isUnavailable(err error) bool {
	if number := errorNumber(err); number != 0 {
		return transient[number]
	}
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &netErr)
}

// errorNumber returns the server's error number, or 0 if err is not from the
// server.
func errorNumber(err error) uint16 {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return my.Number
	}
	return 0
}

// Server error numbers that this package distinguishes.
// https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
const (
	errDBAccessDenied = 1044
	errAccessDenied   = 1045
	errNoDatabase     = 1046
	errBadDatabase    = 1049
	errNoSuchTable    = 1146
)

// transient lists server errors that may not happen again on a second attempt.
// Numbers from 1900 to 1999 are MariaDB's, those from 9000 are TiDB's
// (https://docs.pingcap.com/tidb/stable/error-codes).
var transient = map[uint16]bool{
	errDBAccessDenied: true,
	errAccessDenied:   true,
	errNoDatabase:     true,
	errBadDatabase:    true,
	errNoSuchTable:    true,

	1021: true, // disk full
	1037: true, // out of memory
	1040: true, // too many connections
	1041: true, // out of resources
	1053: true, // server shutdown in progress
	1077: true, // normal shutdown
	1114: true, // table is full
	1129: true, // host is blocked
	1130: true, // host may not connect
	1158: true, // error reading communication packets
	1159: true, // timeout reading communication packets
	1160: true, // error writing communication packets
	1161: true, // timeout writing communication packets
	1203: true, // user has too many connections
	1205: true, // lock wait timeout
	1213: true, // deadlock
	1226: true, // user exceeded a resource
	1290: true, // the server runs with --read-only
	1317: true, // query interrupted (KILL QUERY)
	1792: true, // read-only transaction
	1836: true, // read-only mode
	1927: true, // connection was killed
	1969: true, // max_statement_time exceeded
	3024: true, // max_execution_time exceeded
	3159: true, // connections are required to use secure transport
	3168: true, // server is not available
	3169: true, // session was killed
	4031: true, // disconnected by the server for inactivity
	9001: true, // PD timeout
	9002: true, // TiKV timeout
	9003: true, // TiKV is busy
	9004: true, // resolve lock timeout
	9005: true, // region is unavailable
	9011: true, // region not ready
}

// Reason returns a safe sentence that explains why MySQL cannot serve. It
// contains no address, user or password.
func Reason(err error) string {
	switch errorNumber(err) {
	case 0:
	case errAccessDenied:
		return "MySQL refuses the user or password"
	case errDBAccessDenied:
		return "MySQL denies the user access to the database"
	case errBadDatabase, errNoDatabase:
		return "MySQL has no database with that name"
	case errNoSuchTable:
		return "the tables are missing"
	case 1040, 1203:
		return "MySQL has too many connections"
	case 1290, 1836:
		return "MySQL is read-only"
	default:
		return "MySQL answered with an error"
	}
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.Is(err, errConnecting):
		return "waiting for MySQL: not connected yet"
	case errors.As(err, &dns):
		return "waiting for MySQL: its host name does not resolve"
	case errors.Is(err, context.DeadlineExceeded):
		return "waiting for MySQL: it does not answer in time"
	case errors.As(err, &netErr) && netErr.Timeout():
		return "waiting for MySQL: it does not answer in time"
	default:
		return "waiting for MySQL: it cannot be reached"
	}
}
