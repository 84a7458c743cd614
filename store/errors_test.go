package store_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

// TestServerErrors lists the server's errors that have a reason of their own. After
// a transient one, the service answers 503 and a client may try again. A statement
// that fails with another one is a defect, and a 500.
func TestServerErrors(t *testing.T) {
	transient := map[uint16]string{
		1021: "MySQL's disk is full",                                                                               // ER_DISK_FULL
		1036: "MySQL is read-only",                                                                                 // ER_OPEN_AS_READONLY
		1037: "MySQL is out of memory or other resources",                                                          // ER_OUTOFMEMORY
		1038: "MySQL is out of memory or other resources",                                                          // ER_OUT_OF_SORTMEMORY
		1040: "MySQL has too many connections",                                                                     // ER_CON_COUNT_ERROR
		1041: "MySQL is out of memory or other resources",                                                          // ER_OUT_OF_RESOURCES
		1043: "MySQL refuses the handshake",                                                                        // ER_HANDSHAKE_ERROR
		1044: "MySQL denies the user access to the database",                                                       // ER_DBACCESS_DENIED_ERROR
		1045: "MySQL refuses the user or password",                                                                 // ER_ACCESS_DENIED_ERROR
		1046: "MySQL has no database with that name",                                                               // ER_NO_DB_ERROR
		1047: "MySQL's node is not ready in its cluster",                                                           // ER_UNKNOWN_COM_ERROR
		1049: "MySQL has no database with that name",                                                               // ER_BAD_DB_ERROR
		1053: "MySQL is shutting down",                                                                             // ER_SERVER_SHUTDOWN
		1077: "MySQL is shutting down",                                                                             // ER_NORMAL_SHUTDOWN
		1114: "MySQL has no space for more rows",                                                                   // ER_RECORD_FILE_FULL
		1129: "MySQL has blocked this host after many failed connections: run mysqladmin flush-hosts",              // ER_HOST_IS_BLOCKED
		1130: "MySQL accepts no connections from this host",                                                        // ER_HOST_NOT_PRIVILEGED
		1135: "MySQL is out of memory or other resources",                                                          // ER_CANT_CREATE_THREAD
		1142: "MySQL denies the user a privilege",                                                                  // ER_TABLEACCESS_DENIED_ERROR
		1143: "MySQL denies the user a privilege",                                                                  // ER_COLUMNACCESS_DENIED_ERROR
		1146: "the table visits is missing",                                                                        // ER_NO_SUCH_TABLE
		1158: "waiting for MySQL: the connection broke",                                                            // ER_NET_READ_ERROR
		1159: "waiting for MySQL: the connection broke",                                                            // ER_NET_READ_INTERRUPTED
		1160: "waiting for MySQL: the connection broke",                                                            // ER_NET_ERROR_ON_WRITE
		1161: "waiting for MySQL: the connection broke",                                                            // ER_NET_WRITE_INTERRUPTED
		1203: "MySQL has too many connections of the user",                                                         // ER_TOO_MANY_USER_CONNECTIONS
		1205: "MySQL waited too long for a lock",                                                                   // ER_LOCK_WAIT_TIMEOUT
		1213: "MySQL ended the statement to resolve a deadlock",                                                    // ER_LOCK_DEADLOCK
		1226: "the user has reached a limit that MySQL sets for it",                                                // ER_USER_LIMIT_REACHED
		1227: "MySQL denies the user a privilege",                                                                  // ER_SPECIFIC_ACCESS_DENIED_ERROR
		1251: "MySQL wants an authentication method that the service does not have",                                // ER_NOT_SUPPORTED_AUTH_MODE
		1290: "MySQL is read-only",                                                                                 // ER_OPTION_PREVENTS_STATEMENT
		1317: "MySQL ended the statement early",                                                                    // ER_QUERY_INTERRUPTED
		1370: "MySQL denies the user a privilege",                                                                  // ER_PROCACCESS_DENIED_ERROR
		1524: "MySQL wants an authentication method that the service does not have",                                // ER_PLUGIN_IS_NOT_LOADED
		1698: "MySQL refuses the user or password",                                                                 // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
		1792: "MySQL is read-only",                                                                                 // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
		1820: "MySQL refuses the password: it has expired",                                                         // ER_MUST_CHANGE_PASSWORD
		1836: "MySQL is read-only",                                                                                 // ER_READ_ONLY_MODE
		1862: "MySQL refuses the password: it has expired",                                                         // ER_MUST_CHANGE_PASSWORD_LOGIN
		1927: "waiting for MySQL: the connection broke",                                                            // ER_CONNECTION_KILLED (MariaDB)
		1969: "MySQL's max_statement_time is exceeded",                                                             // ER_STATEMENT_TIMEOUT (MariaDB)
		3024: "MySQL's max_execution_time is exceeded",                                                             // ER_QUERY_TIMEOUT
		3118: "MySQL has locked the user's account",                                                                // ER_ACCOUNT_HAS_BEEN_LOCKED
		3159: "MySQL accepts only connections with TLS: add ssl-mode=VERIFY_IDENTITY, or another mode, to the DSN", // ER_SECURE_TRANSPORT_REQUIRED
		3168: "MySQL is not available",                                                                             // ER_SERVER_ISNT_AVAILABLE
		3169: "waiting for MySQL: the connection broke",                                                            // ER_SESSION_WAS_KILLED
		4031: "waiting for MySQL: the connection broke",                                                            // ER_CLIENT_INTERACTION_TIMEOUT
		4151: "MySQL has locked the user's account",                                                                // ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB)
		9001: "TiDB's placement driver does not answer",                                                            // TiDB: PD server timeout
		9002: "TiDB's storage does not answer",                                                                     // TiDB: TiKV server timeout
		9003: "TiDB's storage does not answer",                                                                     // TiDB: TiKV server is busy
		9004: "TiDB's storage does not answer",                                                                     // TiDB: resolve lock timeout
		9005: "TiDB's storage does not answer",                                                                     // TiDB: region is unavailable
		9011: "TiDB's storage does not answer",                                                                     // TiDB: region not ready
	}
	defects := map[uint16]string{
		1054: "the table visits lacks a column",                         // ER_BAD_FIELD_ERROR
		1064: "MySQL does not understand a statement",                   // ER_PARSE_ERROR
		1115: "MySQL does not have the character set utf8mb4",           // ER_UNKNOWN_CHARACTER_SET
		1153: "a statement is larger than MySQL's max_allowed_packet",   // ER_NET_PACKET_TOO_LARGE
		1176: "the table visits lacks an index",                         // ER_KEY_DOES_NOT_EXITS
		1193: "MySQL does not know a system variable that the DSN sets", // ER_UNKNOWN_SYSTEM_VARIABLE
		1229: "MySQL refuses a system variable that the DSN sets",       // ER_GLOBAL_VARIABLE
		1231: "MySQL refuses a system variable that the DSN sets",       // ER_WRONG_VALUE_FOR_VAR
		1232: "MySQL refuses a system variable that the DSN sets",       // ER_WRONG_TYPE_FOR_VAR
		1238: "MySQL refuses a system variable that the DSN sets",       // ER_INCORRECT_GLOBAL_LOCAL_VAR
		1273: "MySQL does not have the collation utf8mb4_general_ci",    // ER_UNKNOWN_COLLATION
		1286: "MySQL does not have InnoDB",                              // ER_UNKNOWN_STORAGE_ENGINE
	}
	for number := range uint16(10000) {
		reason, want := transient[number]
		if !want {
			reason = defects[number]
		}
		if reason == "" {
			reason = fmt.Sprintf("MySQL answers with error %d", number)
		}
		err := store.Wrap("read", &mysql.MySQLError{Number: number, Message: "hunter2"})
		if got := errors.Is(err, store.ErrUnavailable); got != want {
			t.Errorf("error %d is ErrUnavailable: %v, want %v", number, got, want)
		}
		if got := store.Reason(err); got != reason {
			t.Errorf("error %d: reason %q, want %q", number, got, reason)
		}
		// Without a connection, no statement can be at fault.
		if err := store.Wrap("read", store.ConnectError(err)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("error %d of a connection is not ErrUnavailable", number)
		}
	}
}

// Reasons name the privilege that is missing, but no other text of the server.
func TestDeniedPrivileges(t *testing.T) {
	for _, tc := range []struct{ message, want string }{
		{"CREATE command denied to user 'app'@'%' for table 'visits'", "MySQL denies the user a privilege: CREATE"},
		{"INSERT, DELETE command denied to user 'app'@'%'", "MySQL denies the user a privilege: INSERT, DELETE"},
		{"Access denied; you need the hunter2 privilege", "MySQL denies the user a privilege"},
		{"hunter2 command denied", "MySQL denies the user a privilege"},
	} {
		if got := store.Reason(&mysql.MySQLError{Number: 1142, Message: tc.message}); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.message, got, tc.want)
		}
	}
}

func TestClientErrors(t *testing.T) {
	const (
		slow      = "waiting for MySQL: it does not answer in time"
		broken    = "waiting for MySQL: the connection broke"
		handshake = "the TLS handshake with MySQL fails: they have no version or cipher in common"
		malformed = "MySQL's answer does not follow its protocol"
		method    = "MySQL wants an authentication method that the service does not have"
	)
	dial := func(err syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)}
	}
	for _, tc := range []struct {
		err         error
		unavailable bool
		reason      string
	}{
		{context.DeadlineExceeded, true, slow},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, true, slow},
		{&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}, true, "waiting for MySQL: its host name does not resolve"},
		{&net.DNSError{Err: "server misbehaving", Name: "db", IsTemporary: true}, true, "waiting for MySQL: the name server does not answer"},
		{dial(syscall.ECONNREFUSED), true, "waiting for MySQL: nothing listens at its address"},
		{dial(syscall.ENOENT), true, "waiting for MySQL: its socket does not exist"},
		{dial(syscall.EACCES), true, "waiting for MySQL: this user may not use its socket, or the network forbids it"},
		{dial(syscall.EHOSTUNREACH), true, "waiting for MySQL: no route leads to its host"},
		{dial(syscall.ENETUNREACH), true, "waiting for MySQL: no route leads to its host"},
		{dial(syscall.EADDRNOTAVAIL), true, "waiting for MySQL: it cannot be reached"},
		{dial(syscall.ECONNRESET), true, broken},
		{dial(syscall.EPIPE), true, broken},
		{driver.ErrBadConn, true, broken},
		{mysql.ErrInvalidConn, true, broken},
		{sql.ErrConnDone, true, broken},
		{io.EOF, true, broken},
		{io.ErrUnexpectedEOF, true, broken},
		// Before a connection can be used.
		{store.ConnectError(store.ErrNotMySQL), true, "the server at MySQL's address is not MySQL"},
		{store.ConnectError(mysql.ErrNoTLS), true, "MySQL does not support TLS, which the DSN demands"},
		{store.ConnectError(mysql.ErrCleartextPassword), true, "MySQL wants the password in clear text: add allowCleartextPasswords=true to the DSN, and TLS"},
		{store.ConnectError(mysql.ErrNativePassword), true, "MySQL wants a native password, which the DSN forbids: remove allowNativePasswords=false"},
		{store.ConnectError(mysql.ErrOldPassword), true, "MySQL wants a password in the form from before 4.1: change the user's authentication method"},
		{store.ConnectError(mysql.ErrUnknownPlugin), true, method},
		{store.ConnectError(mysql.ErrOldProtocol), true, "MySQL is older than 4.1"},
		{store.ConnectError(mysql.ErrPktTooLarge), true, "a statement is larger than the DSN's maxAllowedPacket"},
		{store.ConnectError(mysql.ErrMalformPkt), true, malformed},
		{store.ConnectError(mysql.ErrPktSync), true, malformed},
		{store.ConnectError(mysql.ErrPktSyncMul), true, malformed},
		{store.ConnectError(mysql.ErrBusyBuffer), true, malformed},
		{store.ConnectError(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), true, "MySQL's TLS certificate is signed by an unknown authority: give the authority's certificate as ssl-ca in the DSN"},
		{store.ConnectError(&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: new(x509.Certificate)}}), true, "MySQL's TLS certificate is for another host name: use the name in the DSN, or ssl-mode=VERIFY_CA"},
		{store.ConnectError(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}), true, "MySQL's TLS certificate has expired or is not valid yet"},
		{store.ConnectError(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}}), true, "MySQL's TLS certificate is not valid"},
		{store.ConnectError(&tls.CertificateVerificationError{Err: errors.New("hunter2")}), true, "MySQL's TLS certificate is not valid"},
		{store.ConnectError(x509.SystemRootsError{}), true, "this machine has no list of certificate authorities: give one as ssl-ca in the DSN"},
		{store.ConnectError(tls.RecordHeaderError{}), true, "MySQL's answer is not TLS, which the DSN demands"},
		{store.ConnectError(&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}), true, "MySQL refuses the TLS handshake"},
		{store.ConnectError(&net.OpError{Op: "local error", Err: errors.New("tls: protocol version not supported")}), true, handshake},
		{store.ConnectError(errors.New("tls: server selected unsupported protocol version 301")), true, handshake},
		{store.ConnectError(errors.New("hunter2")), true, "MySQL cannot be used, the log has the error"},
		{store.ConnectError(context.Canceled), false, ""},
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
	}
	cause := errors.New("cause")
	if err := store.Wrap("read", store.ConnectError(cause)); !errors.Is(err, cause) {
		t.Errorf("%v lost its cause", err)
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
