package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

func TestFaults(t *testing.T) {
	server := mysqltest.Start(t)

	t.Run("a port that is taken", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		status, _, stderr := execute(t, nil, "-addr", taken.Addr().String(), "-dsn", server.Database(t))
		if status != 1 || !strings.Contains(stderr, taken.Addr().String()) {
			t.Errorf("status %d: %s", status, stderr)
		}
	})

	t.Run("health check", func(t *testing.T) {
		p := launch(t, "MYSQL_DSN="+server.Database(t))
		check := func(want int) {
			t.Helper()
			if got, _, stderr := execute(t, nil, "-healthcheck", "-addr", strings.TrimPrefix(p.url, "http://")); got != want {
				t.Errorf("status %d, want %d: %s", got, want, stderr)
			}
		}
		check(0)
		p.stop()
		check(1)
	})

	t.Run("no request fails when the service is told to stop", func(t *testing.T) {
		dsn := server.Database(t)
		p := launch(t, "MYSQL_DSN="+dsn)
		p.awaitStatus("/readyz", 200)
		// Ten requests that cannot end yet: their table is locked.
		unlock := server.Lock(t, mysqltest.DatabaseName(t, dsn)+".visits")
		statuses := make(chan string)
		for range 10 {
			go func() {
				resp, err := http.Get(p.url + "/api/trace")
				if err != nil {
					statuses <- err.Error()
					return
				}
				resp.Body.Close()
				statuses <- resp.Status
			}()
		}
		server.AwaitWaiting(t, 10)
		p.signal(syscall.SIGTERM)
		p.awaitLine("stopping")
		unlock()
		for range 10 {
			if got := <-statuses; got != "200 OK" {
				t.Errorf("a request in flight: %s", got)
			}
		}
		if got := p.status(); got != 0 {
			t.Errorf("exit status %d, want 0", got)
		}
		p.awaitLine("stopped")
	})

	t.Run("readiness goes before the listener", func(t *testing.T) {
		p := launch(t, "MYSQL_DSN="+server.Database(t), "APMAPP_DRAIN_DELAY=1h")
		p.awaitStatus("/readyz", 200)
		p.signal(syscall.SIGTERM)
		p.awaitStatus("/readyz", 503)
		if status, _, body := p.get("/readyz"); body != "draining" {
			t.Errorf("%d %s", status, body)
		}
		if status, _, _ := p.get("/"); status != 200 {
			t.Errorf("a request while draining: %d", status)
		}
		// A second signal ends it at once, whatever is left to wait for.
		p.signal(syscall.SIGTERM)
		p.status()
		if ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
			t.Errorf("ended by %v", p.cmd.ProcessState)
		}
	})

	t.Run("requests that outlast the drain", func(t *testing.T) {
		dsn := server.Database(t)
		p := launch(t, "MYSQL_DSN="+dsn, "APMAPP_DRAIN_TIMEOUT=50ms", "APMAPP_REQUEST_TIMEOUT=1h")
		p.awaitStatus("/readyz", 200)
		unlock := server.Lock(t, mysqltest.DatabaseName(t, dsn)+".visits")
		defer unlock()
		go func() {
			if resp, err := http.Get(p.url + "/api/trace"); err == nil {
				resp.Body.Close()
			}
		}()
		server.AwaitWaiting(t, 1)
		if got := p.stop(); got != 1 || !strings.Contains(p.stderr.String(), "cut off") {
			t.Errorf("exit status %d, want 1: %s", got, &p.stderr)
		}
	})

	t.Run("malformed requests", func(t *testing.T) {
		p := launch(t, "MYSQL_DSN="+server.Database(t))
		p.awaitStatus("/readyz", 200)
		ctx, cancel := context.WithTimeout(t.Context(), poll.Limit)
		defer cancel()
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			raw := malformed(random, i)
			status, err := send(ctx, strings.TrimPrefix(p.url, "http://"), raw)
			if err != nil || status >= 500 {
				t.Errorf("%.200q: %d, %v", raw, status, err)
			}
		}
		if status, _, _ := p.get("/"); status != 200 {
			t.Errorf("afterwards: %d", status)
		}
	})

	t.Run("slow clients", func(t *testing.T) {
		t.Parallel()
		p := launch(t, "MYSQL_DSN="+server.Database(t), "APMAPP_MAX_CONCURRENT=4")
		p.awaitStatus("/readyz", 200)
		var slow []net.Conn
		for range 200 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: apmapp\r\nX-Slow: ")
			slow = append(slow, conn)
		}
		for range 20 {
			if status, _, _ := p.get("/"); status != 200 {
				t.Errorf("beside slow clients: %d", status)
			}
		}
		for _, conn := range slow {
			if err := conn.SetReadDeadline(time.Now().Add(poll.Limit)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("a slow client was not cut off: %v", err)
			}
		}
	})

	t.Run("MySQL stops and starts under traffic", func(t *testing.T) {
		server := mysqltest.Start(t)
		p := launch(t, "MYSQL_DSN="+server.Database(t))
		p.awaitStatus("/readyz", 200)
		ctx, stop := context.WithCancel(t.Context())
		var traffic sync.WaitGroup
		for _, path := range []string{"/", "/api/trace", "/api/apm"} {
			traffic.Go(func() {
				for ctx.Err() == nil {
					status, header, body := p.get(path)
					if status != 200 && (status != 503 || header.Get("Retry-After") == "" || header.Get("Traceresponse") == "") {
						t.Errorf("%s: %d %v %s", path, status, header, body)
						return
					}
				}
			})
		}
		server.Down(t)
		p.awaitStatus("/api/trace", 503)
		if status, _, body := p.get("/readyz"); status != 503 || !strings.Contains(body, "MySQL") {
			t.Errorf("readiness: %d %s", status, body)
		}
		if status, _, _ := p.get("/healthz"); status != 200 {
			t.Errorf("health: %d", status)
		}
		server.Up(t)
		for _, path := range []string{"/", "/api/trace", "/api/apm", "/readyz"} {
			p.awaitStatus(path, 200)
		}
		stop()
		traffic.Wait()
		if got := p.stop(); got != 0 {
			t.Errorf("exit status %d", got)
		}
	})

	t.Run("MySQL comes after the service", func(t *testing.T) {
		server := mysqltest.Start(t)
		dsn := server.Database(t)
		server.Down(t)
		p := launch(t, "MYSQL_DSN="+dsn)
		if status, _, _ := p.get("/healthz"); status != 200 {
			t.Errorf("health: %d", status)
		}
		p.awaitLine("waiting for MySQL: it cannot be reached")
		if status, header, body := p.get("/api/trace"); status != 503 || header.Get("Retry-After") == "" {
			t.Errorf("%d %s", status, body)
		}
		if status, _, body := p.get("/readyz"); status != 503 || body != "waiting for MySQL: it cannot be reached" {
			t.Errorf("readiness: %d %s", status, body)
		}
		server.Up(t)
		p.awaitStatus("/readyz", 200)
		p.awaitStatus("/api/trace", 200)
	})
}

// malformed returns a request that no client should send, of one of a dozen
// kinds or with its bytes changed at random.
func malformed(random *rand.Rand, i int) []byte {
	const good = "GET /api/trace HTTP/1.1\r\nHost: apmapp\r\nAccept: */*\r\n\r\n"
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
	raw := []byte(good)
	for range 1 + random.IntN(6) {
		raw[random.IntN(len(raw))] = byte(random.IntN(256))
	}
	return raw[:1+random.IntN(len(raw))]
}
