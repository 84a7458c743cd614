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
// read-only, without its schema, or refuses the login or a privilege. The same
// call may succeed later. Any other error is a defect, except context.Canceled.
var ErrUnavailable = errors.New("database unavailable")

// unavailable makes an error match ErrUnavailable.
type unavailable struct{ error }

func (u unavailable) Unwrap() error        { return u.error }
func (u unavailable) Is(target error) bool { return target == ErrUnavailable }

// wrap adds the operation and the stack to a driver's error. A transient error
// also becomes ErrUnavailable. A canceled context does not: the caller left, so
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
	if errors.Is(err, context.Canceled) {
		return false
	}
	var connecting connectError
	if errors.As(err, &connecting) {
		return true
	}
	if number := errorNumber(err); number != 0 {
		return serverErrors[number].transient
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

// isReadOnly reports whether the server refuses to write. After a failover, that is
// how the old primary answers.
func isReadOnly(err error) bool { return serverErrors[errorNumber(err)].reason == readOnly }

// isDenied reports whether the user lacks a privilege.
func isDenied(err error) bool {
	reason := serverErrors[errorNumber(err)].reason
	return reason == noPrivilege || reason == noAccess
}

// isSchemaLost reports whether the database or its table is gone.
func isSchemaLost(err error) bool {
	switch errorNumber(err) {
	case errNoSuchTable, errNoDatabase, errBadDatabase:
		return true
	}
	return false
}

// Server error numbers that this package distinguishes.
const (
	errNoDatabase  = 1046
	errBadDatabase = 1049
	errNoColumn    = 1054
	errNoSuchTable = 1146
	errNoIndex     = 1176
)

const (
	readOnly       = "MySQL is read-only"
	noDatabase     = "MySQL has no database with that name"
	refusesLogin   = "MySQL refuses the user or password"
	noResources    = "MySQL is out of memory or other resources"
	broken         = "waiting for MySQL: the connection broke"
	stopping       = "MySQL is shutting down"
	noMethod       = "MySQL wants an authentication method that the service does not have"
	passwordIsOld  = "MySQL refuses the password: it has expired"
	locked         = "MySQL has locked the user's account"
	noPrivilege    = "MySQL denies the user a privilege"
	noAccess       = "MySQL denies the user access to the database"
	refusesSetting = "MySQL refuses a system variable that the DSN sets"
	tikv           = "TiDB's storage does not answer"
)

// serverErrors lists the server's errors that have a reason of their own. A
// transient one may not happen again on a second attempt, or until somebody has
// changed something in MySQL; a statement that fails with another one is a defect.
//
// Numbers from 1900 to 1999 and from 4000 are MariaDB's, except 4031; those from
// 9000 are TiDB's.
// https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
// https://docs.pingcap.com/tidb/stable/error-codes
var serverErrors = map[uint16]struct {
	reason    string
	transient bool
}{
	1021: {"MySQL's disk is full", true},
	1036: {readOnly, true}, // a table is read-only: MariaDB with innodb_read_only
	1037: {noResources, true},
	1038: {noResources, true}, // out of memory to sort
	1040: {"MySQL has too many connections", true},
	1041: {noResources, true},
	1043: {"MySQL refuses the handshake", true},
	1044: {noAccess, true},
	1045: {refusesLogin, true},
	1046: {noDatabase, true},
	1047: {"MySQL's node is not ready in its cluster", true}, // Galera
	1049: {noDatabase, true},
	1053: {stopping, true},
	1054: {"the table visits lacks a column", false},
	1064: {"MySQL does not understand a statement", false},
	1077: {stopping, true},
	1114: {"MySQL has no space for more rows", true},
	1115: {"MySQL does not have the character set utf8mb4", false},
	1129: {"MySQL has blocked this host after many failed connections: run mysqladmin flush-hosts", true},
	1130: {"MySQL accepts no connections from this host", true},
	1135: {noResources, true}, // no thread for a connection
	1142: {noPrivilege, true}, // on a table
	1143: {noPrivilege, true}, // on a column
	1146: {"the table visits is missing", true},
	1153: {"a statement is larger than MySQL's max_allowed_packet", false},
	1158: {broken, true},
	1159: {broken, true},
	1160: {broken, true},
	1161: {broken, true},
	1176: {"the table visits lacks an index", false},
	1193: {"MySQL does not know a system variable that the DSN sets", false},
	1203: {"MySQL has too many connections of the user", true},
	1205: {"MySQL waited too long for a lock", true},
	1213: {"MySQL ended the statement to resolve a deadlock", true},
	1226: {"the user has reached a limit that MySQL sets for it", true},
	1227: {noPrivilege, true}, // that is not about a table
	1229: {refusesSetting, false},
	1231: {refusesSetting, false},
	1232: {refusesSetting, false},
	1238: {refusesSetting, false},
	1251: {noMethod, true},
	1273: {"MySQL does not have the collation utf8mb4_general_ci", false},
	1286: {"MySQL does not have InnoDB", false},
	1290: {readOnly, true}, // --read-only
	1317: {"MySQL ended the statement early", true},
	1370: {noPrivilege, true}, // on a function
	1524: {noMethod, true},
	1698: {refusesLogin, true}, // a user who needs no password, but another login
	1792: {readOnly, true},     // a read-only transaction
	1820: {passwordIsOld, true},
	1836: {readOnly, true}, // InnoDB's or TiDB's read-only mode
	1862: {passwordIsOld, true},
	1927: {broken, true},                                   // MariaDB: connection was killed
	1969: {"MySQL's max_statement_time is exceeded", true}, // MariaDB
	3024: {"MySQL's max_execution_time is exceeded", true}, //
	3118: {locked, true},                                   //
	3159: {"MySQL accepts only connections with TLS: add ssl-mode=VERIFY_IDENTITY, or another mode, to the DSN", true},
	3168: {"MySQL is not available", true},
	3169: {broken, true},                                    // the session was killed
	4031: {broken, true},                                    // closed after inactivity
	4151: {locked, true},                                    // MariaDB
	9001: {"TiDB's placement driver does not answer", true}, //
	9002: {tikv, true},                                      // timeout
	9003: {tikv, true},                                      // busy
	9004: {tikv, true},                                      // timeout of resolving a lock
	9005: {tikv, true},                                      // region is unavailable
	9011: {tikv, true},                                      // region is not ready
}
