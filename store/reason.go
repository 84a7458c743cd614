package store

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
	"regexp"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// Reason returns a safe sentence that explains why MySQL cannot serve. It
// contains no address, user or password, and no text of the server, which could
// have data.
func Reason(err error) string {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return serverReason(my, err)
	}
	for _, known := range clientReasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	if reason := tlsReason(err); reason != "" {
		return reason
	}
	return networkReason(err)
}

// serverReason explains an error of the server.
func serverReason(my *mysql.MySQLError, err error) string {
	known, ok := serverErrors[my.Number]
	if !ok {
		return fmt.Sprintf("MySQL answers with error %d", my.Number)
	}
	var variable variableError
	var connecting connectError
	switch named := errors.As(err, &variable); {
	case known.reason == refusesLogin && errors.As(err, &connecting) && connecting.unusedTLS:
		return refusesLogin + ", or demands TLS: see ssl-mode"
	case known.reason == noPrivilege:
		return noPrivilege + deniedPrivileges(my.Message)
	case named && my.Number == 1193:
		return "MySQL does not know the system variable " + variable.name + " that the DSN sets"
	case named:
		return "MySQL refuses the system variable " + variable.name + " that the DSN sets"
	}
	return known.reason
}

var privilegeList = regexp.MustCompile(`^(?:(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|INDEX|DROP|REFERENCES)(?:, )?)+`)

// deniedPrivileges returns the privileges that a message of the server begins with,
// after a colon.
func deniedPrivileges(message string) string {
	if list := privilegeList.FindString(message); list != "" {
		return ": " + strings.TrimSuffix(list, ", ")
	}
	return ""
}

// clientReasons explains errors of this package and of the driver.
var clientReasons = []struct {
	err    error
	reason string
}{
	{errConnecting, "waiting for MySQL: not connected yet"},
	{errLocked, "waiting for another process that migrates the schema"},
	{errNotMySQL, "the server at MySQL's address is not MySQL"},
	{mysql.ErrNoTLS, "MySQL does not support TLS, which the DSN demands"},
	{mysql.ErrCleartextPassword, "MySQL wants the password in clear text: add allowCleartextPasswords=true to the DSN, and TLS"},
	{mysql.ErrNativePassword, "MySQL wants a native password, which the DSN forbids: remove allowNativePasswords=false"},
	{mysql.ErrOldPassword, "MySQL wants a password in the form from before 4.1: change the user's authentication method"},
	{mysql.ErrUnknownPlugin, noMethod},
	{mysql.ErrOldProtocol, "MySQL is older than 4.1"},
	{mysql.ErrPktTooLarge, "a statement is larger than the DSN's maxAllowedPacket"},
	{mysql.ErrMalformPkt, malformed},
	{mysql.ErrPktSync, malformed},
	{mysql.ErrPktSyncMul, malformed},
	{mysql.ErrBusyBuffer, malformed},
}

const malformed = "MySQL's answer does not follow its protocol"

// tlsReason explains an error of TLS, or returns "".
func tlsReason(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "MySQL's TLS certificate is signed by an unknown authority: give the authority's certificate as ssl-ca in the DSN"
	case errors.As(err, &name):
		return "MySQL's TLS certificate is for another host name: use the name in the DSN, or ssl-mode=VERIFY_CA"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "MySQL's TLS certificate has expired or is not valid yet"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "MySQL's TLS certificate is not valid"
	case errors.As(err, &roots):
		return "this machine has no list of certificate authorities: give one as ssl-ca in the DSN"
	case errors.As(err, &record):
		return "MySQL's answer is not TLS, which the DSN demands"
	case errors.As(err, &op) && op.Op == "remote error":
		return "MySQL refuses the TLS handshake"
	case errors.As(err, &op) && op.Op == "local error":
		return tlsFails
	}
	// The other errors of crypto/tls have no type.
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if strings.HasPrefix(cause.Error(), "tls: ") {
			return tlsFails
		}
	}
	return ""
}

const tlsFails = "the TLS handshake with MySQL fails: they have no version or cipher in common"

// networkReason explains an error of the network.
func networkReason(err error) string {
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "waiting for MySQL: its host name does not resolve"
	case errors.As(err, &dns):
		return "waiting for MySQL: the name server does not answer"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &netErr) && netErr.Timeout():
		return "waiting for MySQL: it does not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "waiting for MySQL: nothing listens at its address"
	case errors.Is(err, os.ErrNotExist):
		return "waiting for MySQL: its socket does not exist"
	case errors.Is(err, os.ErrPermission):
		return "waiting for MySQL: this user may not use its socket, or the network forbids it"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "waiting for MySQL: no route leads to its host"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return broken
	case errors.As(err, &netErr):
		return "waiting for MySQL: it cannot be reached"
	}
	return "MySQL cannot be used, the log has the error"
}
