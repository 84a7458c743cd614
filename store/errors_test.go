package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/failure"
	"apmapp/store"
)

// TestServerErrors lists the server errors after which the service answers 503
// and a client may try again. Every other number is a defect, and a 500.
func TestServerErrors(t *testing.T) {
	const other = "MySQL answered with an error"
	transient := map[uint16]string{
		1021: other, // ER_DISK_FULL
		1037: other, // ER_OUTOFMEMORY
		1040: "MySQL has too many connections",
		1041: other, // ER_OUT_OF_RESOURCES
		1044: "MySQL denies the user access to the database",
		1045: "MySQL refuses the user or password",
		1046: "MySQL has no database with that name",
		1049: "MySQL has no database with that name",
		1053: other, // ER_SERVER_SHUTDOWN
		1077: other, // ER_NORMAL_SHUTDOWN
		1114: other, // ER_RECORD_FILE_FULL
		1129: other, // ER_HOST_IS_BLOCKED
		1130: other, // ER_HOST_NOT_PRIVILEGED
		1146: "the tables are missing",
		1158: other, // ER_NET_READ_ERROR
		1159: other, // ER_NET_READ_INTERRUPTED
		1160: other, // ER_NET_ERROR_ON_WRITE
		1161: other, // ER_NET_WRITE_INTERRUPTED
		1203: "MySQL has too many connections",
		1205: other, // ER_LOCK_WAIT_TIMEOUT
		1213: other, // ER_LOCK_DEADLOCK
		1226: other, // ER_USER_LIMIT_REACHED
		1290: "MySQL is read-only",
		1317: other, // ER_QUERY_INTERRUPTED
		1792: other, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
		1836: "MySQL is read-only",
		1927: other, // ER_CONNECTION_KILLED (MariaDB)
		1969: other, // ER_STATEMENT_TIMEOUT (MariaDB)
		3024: other, // ER_QUERY_TIMEOUT
		3159: other, // ER_SECURE_TRANSPORT_REQUIRED
		3168: other, // ER_SERVER_ISNT_AVAILABLE
		3169: other, // ER_SESSION_WAS_KILLED
		4031: other, // ER_CLIENT_INTERACTION_TIMEOUT
		9001: other, // TiDB: PD server timeout
		9002: other, // TiDB: TiKV server timeout
		9003: other, // TiDB: TiKV server is busy
		9004: other, // TiDB: resolve lock timeout
		9005: other, // TiDB: region is unavailable
		9011: other, // TiDB: region not ready
	}
	for number := range uint16(10000) {
		reason, want := transient[number]
		err := store.Wrap("read", &mysql.MySQLError{Number: number, Message: "refused"})
		if got := errors.Is(err, store.ErrUnavailable); got != want {
			t.Errorf("error %d is ErrUnavailable: %v, want %v", number, got, want)
		}
		if got := store.Reason(err); want && got != reason {
			t.Errorf("error %d: reason %q, want %q", number, got, reason)
		}
	}
}

func TestClientErrors(t *testing.T) {
	const (
		slow        = "waiting for MySQL: it does not answer in time"
		unreachable = "waiting for MySQL: it cannot be reached"
	)
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, tc := range []struct {
		err         error
		unavailable bool
		reason      string
	}{
		{context.DeadlineExceeded, true, slow},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, true, slow},
		{&net.DNSError{Err: "no such host", Name: "db"}, true, "waiting for MySQL: its host name does not resolve"},
		{refused, true, unreachable},
		{driver.ErrBadConn, true, unreachable},
		{mysql.ErrInvalidConn, true, unreachable},
		{sql.ErrConnDone, true, unreachable},
		{io.EOF, true, unreachable},
		{io.ErrUnexpectedEOF, true, unreachable},
		{context.Canceled, false, ""},
		{sql.ErrTxDone, false, ""},
		{errors.New("converting NULL to string"), false, ""},
	} {
		err := store.Wrap("read", fmt.Errorf("layer: %w", tc.err))
		if got := errors.Is(err, store.ErrUnavailable); got != tc.unavailable {
			t.Errorf("%v is ErrUnavailable: %v, want %v", tc.err, got, tc.unavailable)
		}
		if got := store.Reason(err); tc.unavailable && got != tc.reason {
			t.Errorf("%v: reason %q, want %q", tc.err, got, tc.reason)
		}
		if !errors.Is(err, tc.err) {
			t.Errorf("%v is lost", tc.err)
		}
	}
}

func TestErrorsHaveOperationKindAndStack(t *testing.T) {
	err := store.Wrap("read visits", &mysql.MySQLError{Number: 1213, Message: "Deadlock found"})
	if got, want := err.Error(), "read visits: Error 1213: Deadlock found"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := failure.Kind(err), "*mysql.MySQLError"; got != want {
		t.Errorf("kind %s, want %s", got, want)
	}
	if stack := failure.Stack(err); !strings.Contains(stack, "errors_test.go:") {
		t.Errorf("the stack does not lead to the caller:\n%s", stack)
	}
	if err := store.Wrap("read visits", nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}
