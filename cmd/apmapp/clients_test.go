package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

// Slow clients do not keep others waiting, although they are more than the service's
// limits of requests and of connections. The service closes their connections.
func testSlowClients(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN="+server.Database(t), "APMAPP_MAX_CONCURRENT=4", "APMAPP_MAX_CONNECTIONS=100")
	p.awaitStatus("/readyz", 200)
	var slow []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: apmapp\r\nX-Slow: ")
		slow = append(slow, conn)
	}
	for range 20 {
		if status, _, _ := p.get("/"); status != 200 {
			t.Errorf("a request beside slow clients: %d, want 200", status)
		}
	}
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(poll.Limit)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the connection of a slow client stayed open: %v", err)
		}
	}
}

// A malformed request gets a 4xx or a closed connection, never a 5xx.
func testMalformedRequests(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN="+server.Database(t))
	p.awaitStatus("/readyz", 200)
	ctx, cancel := context.WithTimeout(t.Context(), poll.Limit)
	defer cancel()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		raw := malformed(random, i)
		status, err := send(ctx, p.addr(), raw)
		if err != nil || status >= 500 {
			t.Errorf("%.200q: %d, %v", raw, status, err)
		}
	}
	if status, _, _ := p.get("/"); status != 200 {
		t.Errorf("a request afterwards: %d, want 200", status)
	}
}

// malformed returns a request that no client should send: first one of each kind
// below, then a valid request with random changes.
func malformed(random *rand.Rand, i int) []byte {
	const valid = "GET /api/trace HTTP/1.1\r\nHost: apmapp\r\nAccept: */*\r\n\r\n"
	kinds := []string{
		"GET / HTTP/9.9\r\nHost: apmapp\r\n\r\n",
		"GET / HTTP/3.0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\nzz\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n folded: header\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n: nameless\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"\r\n\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"CONNECT db:3306 HTTP/1.1\r\nHost: db\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + strings.Repeat("/a", 40<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 20<<10) + "\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-zz-zz-zz\r\nx-datadog-trace-id: -1\r\nx-datadog-tags: ,=,\r\n\r\n",
	}
	if i < len(kinds) {
		return []byte(kinds[i])
	}
	raw := []byte(valid)
	for range 1 + random.IntN(6) {
		raw[random.IntN(len(raw))] = byte(random.IntN(256))
	}
	return raw[:1+random.IntN(len(raw))]
}

// send writes raw bytes to the service and returns the status of its answer, or
// 0 if it closed the connection without one.
func send(ctx context.Context, addr string, raw []byte) (int, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return 0, err
		}
	}
	// The write fails if the service refuses the request before its end.
	_, _ = conn.Write(raw)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}
