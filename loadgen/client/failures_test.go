package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
	"apmapp/loadgen/openloop"
)

func TestFailures(t *testing.T) {
	const trace = "traceresponse: 00-11111111111111112222222222222222-3333333333333333-01\r\n"
	id := strings.Repeat("1", 16) + strings.Repeat("2", 16)
	senders(t, func(t *testing.T, start starter) {
		for _, test := range []struct {
			name, target string
			want         openloop.Exchange
		}{
			{"nothing listens", "http://127.0.0.1:1", openloop.Exchange{Failure: Refused}},
			{"no such host", "http://nobody.invalid", openloop.Exchange{Failure: DNS}},
			{"connection reset", answering(t, func(c *net.TCPConn) { c.SetLinger(0) }).url, openloop.Exchange{Failure: Reset}},
			{"closed without an answer", answering(t, func(*net.TCPConn) {}).url, openloop.Exchange{Failure: Closed}},
			// An interrupted answer keeps what is known of it, but it is a failure.
			{"closed within the body", answering(t, says("HTTP/1.1 200 OK\r\n"+trace+"Content-Length: 10\r\n\r\nshort")).url,
				openloop.Exchange{Status: 200, Bytes: 5, TraceID: id, Failure: Closed}},
			{"closed within a chunk", answering(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nshort")).url,
				openloop.Exchange{Status: 200, Bytes: 5, Failure: Closed}},
			{"closed before the last chunk", answering(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")).url,
				openloop.Exchange{Status: 200, Bytes: 5, Failure: Closed}},
			{"reset within the body", answering(t, func(c *net.TCPConn) {
				says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")(c)
				c.SetLinger(0)
			}).url, openloop.Exchange{Status: 200, Failure: Reset}},
			{"not HTTP", answering(t, says("SSH-2.0-OpenSSH_9.2\r\n\r\n")).url, openloop.Exchange{Failure: Malformed}},
			{"no status", answering(t, says("HTTP/1.1 OK\r\n\r\n")).url, openloop.Exchange{Failure: Malformed}},
			{"no chunk", answering(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")).url,
				openloop.Exchange{Status: 200, Failure: Malformed}},
		} {
			t.Run(test.name, func(t *testing.T) {
				if x := start(t, test.target).do(t); x != test.want {
					t.Errorf("got %+v, want %+v", x, test.want)
				}
			})
		}
		// Here the senders differ in what they keep.
		for _, test := range []struct{ name, answer, want string }{
			{"closed within the header", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", Closed},
			{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Malformed},
		} {
			t.Run(test.name, func(t *testing.T) {
				if x := start(t, answering(t, says(test.answer)).url).do(t); x.Failure != test.want {
					t.Errorf("%+v, want %s", x, test.want)
				}
			})
		}
	})
}

func TestTimeout(t *testing.T) {
	hurried := func(o *Options) { o.Timeout = 50 * time.Millisecond }
	senders(t, func(t *testing.T, start starter) {
		t.Run("no answer in time", func(t *testing.T) {
			c := start(t, answering(t, func(c *net.TCPConn) { c.Read(make([]byte, 1)) }).url, hurried)
			for range 2 {
				began := time.Now()
				if x := c.do(t); x != (openloop.Exchange{Failure: Timeout}) {
					t.Errorf("%+v", x)
				}
				if took := time.Since(began); took < 50*time.Millisecond {
					t.Errorf("timed out after %s, want 50ms", took)
				}
			}
		})
		t.Run("half an answer in time", func(t *testing.T) {
			slow := answering(t, func(c *net.TCPConn) {
				says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")(c)
				c.Read(make([]byte, 1))
			})
			// A busy machine needs more time for the first half.
			for timeout := 50 * time.Millisecond; ; timeout *= 2 {
				x := start(t, slow.url, func(o *Options) { o.Timeout = timeout }).do(t)
				if x == (openloop.Exchange{Status: 200, Bytes: 5, Failure: Timeout}) {
					break
				}
				if x.Failure != Timeout || x.Status != 0 || timeout > poll.Limit {
					t.Fatalf("%+v within %s", x, timeout)
				}
			}
		})
		t.Run("while the run ends", func(t *testing.T) {
			c := start(t, answering(t, func(c *net.TCPConn) { c.Read(make([]byte, 1)) }).url, hurried)
			c.sender.Send(openloop.Request{Due: time.Now()})
			c.finish()
			if x := <-c.ended; x.Failure != Timeout {
				t.Errorf("%+v", x)
			}
		})
	})
}

func TestEarlyHintsAreNotTheAnswer(t *testing.T) {
	early := answering(t, says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	senders(t, func(t *testing.T, start starter) {
		if x := start(t, early.url).do(t); x != (openloop.Exchange{Status: 200, Bytes: 2}) {
			t.Errorf("%+v", x)
		}
	})
}

func TestHTTPSOfAPlainService(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if x := start(t, New, strings.Replace(plain.URL, "http:", "https:", 1)).do(t); x.Failure != TLS {
		t.Errorf("%+v", x)
	}
}

// timedOut is a net.Error of unknown type.
type timedOut struct{ error }

func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }

// The kinds have the names that docs/loadgen.md lists.
// The detail of a failure names what went wrong, but not the URL.
func TestDetails(t *testing.T) {
	secret := &url.Error{Op: "Get", URL: "http://h/?token=secret", Err: errors.New("broken")}
	if x := failed(secret); x.Detail != "broken" || x.Failure != Malformed {
		t.Errorf("%+v", x)
	}
	if x := failed(fmt.Errorf("read: %w", context.Canceled)); x.Detail != "the run was interrupted before the answer was complete" || x.Failure != Canceled {
		t.Errorf("%+v", x)
	}
	if x := failed(malformed("a field without a colon")); x.Detail != "malformed response: a field without a colon" || x.Failure != Malformed {
		t.Errorf("%+v", x)
	}
}

func TestKinds(t *testing.T) {
	type test struct {
		err  error
		want string
	}
	tests := []test{
		{&net.DNSError{IsTimeout: true}, "dns"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{timedOut{errors.New("slow")}, "timeout"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, "tls"},
		{&net.OpError{Op: "local error", Err: errors.New("tls: bad record MAC")}, "tls"},
		{tls.RecordHeaderError{}, "tls"},
		{&tls.CertificateVerificationError{}, "tls"},
		{x509.UnknownAuthorityError{}, "tls"},
		{x509.HostnameError{Certificate: &x509.Certificate{}}, "tls"},
		{x509.CertificateInvalidError{}, "tls"},
		{http.ErrSchemeMismatch, "tls"},
		{io.EOF, "closed"},
		{io.ErrUnexpectedEOF, "closed"},
		{net.ErrClosed, "closed"},
		{errMalformed, "malformed"},
		{&net.OpError{Op: "read", Err: errors.New("unknown")}, "malformed"},
	}
	for kind, numbers := range map[string][]error{
		"refused": errorsOf(refused), "reset": errorsOf(reset), "unreachable": errorsOf(unreachable), "no ports or files left": errorsOf(exhausted),
	} {
		for _, number := range numbers {
			tests = append(tests, test{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", number)}, kind})
		}
	}
	for _, test := range tests {
		if got := kind(&url.Error{Op: "Get", URL: "http://h", Err: test.err}); got != test.want {
			t.Errorf("%T %v: %s, want %s", test.err, test.err, got, test.want)
		}
	}
}

func errorsOf[E error](numbers []E) (all []error) {
	for _, n := range numbers {
		all = append(all, n)
	}
	return all
}
