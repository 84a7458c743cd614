package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"

	"apmapp/loadgen/openloop"
)

// Kinds of failure. Refused: no program listens on the target's port or socket.
// Unreachable: there is no network path to the target. Closed: the connection
// ended before the answer was complete.
const (
	Refused     = "refused"
	Unreachable = "unreachable"
	Reset       = "reset"
	Closed      = "closed"
	DNS         = "dns"
	TLS         = "tls"
	Timeout     = "timeout"
	Canceled    = "canceled"
	// NoPorts means that this machine has no ports or file descriptors left.
	NoPorts = "no ports or files left"
	// Malformed is an answer that is not HTTP, and every other error.
	Malformed = "malformed"
)

// failed returns the end of a request that an error prevented or interrupted.
func failed(err error) openloop.Exchange {
	x := openloop.Exchange{Failure: kind(err), Detail: err.Error()}
	// The error of net/http begins with the URL, which may have secrets.
	if of := new(url.Error); errors.As(err, &of) {
		x.Detail = of.Err.Error()
	}
	if x.Failure == Canceled {
		x.Detail = "the run was interrupted before the answer was complete"
	}
	return x
}

// kind returns the kind of the error that prevented or interrupted an answer.
func kind(err error) string {
	var (
		dns       *net.DNSError
		timeout   net.Error
		op        *net.OpError
		call      *os.SyscallError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &dns):
		return DNS
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	// A TLS alert of either side has no type; crypto/tls names it in Op.
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"), errors.As(err, &record), errors.As(err, &verify),
		errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.Is(err, http.ErrSchemeMismatch):
		return TLS
	// A socket of the file system that does not exist.
	case isAny(err, refused), errors.As(err, &call) && call.Syscall == "connect" && errors.Is(call, fs.ErrNotExist):
		return Refused
	case isAny(err, reset):
		return Reset
	case isAny(err, unreachable):
		return Unreachable
	case isAny(err, exhausted):
		return NoPorts
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return Closed
	}
	return Malformed
}

func isAny(err error, numbers []syscall.Errno) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	for _, n := range numbers {
		if n == number {
			return true
		}
	}
	return false
}
