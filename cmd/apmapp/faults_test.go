package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

// TestFaults runs the program on a real database and disturbs it.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *mysqltest.Server)
	}{
		{"address in use", testAddressInUse},
		{"health check", testHealthcheckOfTheService},
		{"no request fails when the service stops", testStop},
		{"readiness ends before the listener", testDrainDelay},
		{"requests that outlast the drain", testDrainTimeout},
		{"a body that never arrives", testMissingBody},
		{"clients that close their sending side", testHalfClosed},
		{"refused requests are counted", testRefusals},
		{"nobody reads standard output", testStalledLog},
		{"standard output is closed", testClosedLog},
		{"malformed requests", testMalformedRequests},
		{"slow clients", testSlowClients},
		{"acknowledged rows", testAcknowledgedRows},
		{"missing table", testMissingTable},
		{"password in a parameter", testPasswordParameter},
		// The last one: it stops the server that the others share.
		{"MySQL stops and starts", testMySQLRestarts},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, server) })
	}
}

func testAddressInUse(t *testing.T, server *mysqltest.Server) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	status, _, stderr := execute(t, nil, "-addr", taken.Addr().String(), "-dsn", server.Database(t))
	if status != 1 || !strings.Contains(stderr, taken.Addr().String()) {
		t.Errorf("exit status %d, want 1: %s", status, stderr)
	}
}

func testHealthcheckOfTheService(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN="+server.Database(t))
	check := func(want int) {
		t.Helper()
		if got, _, stderr := execute(t, nil, "-healthcheck", "-addr", p.addr()); got != want {
			t.Errorf("exit status %d, want %d: %s", got, want, stderr)
		}
	}
	check(0)
	p.stop()
	check(1)
}

func testStop(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	p := launch(t, "MYSQL_DSN="+dsn)
	p.awaitStatus("/readyz", 200)
	// Ten requests that cannot end yet, because their table is locked.
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
}

func testDrainDelay(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN="+server.Database(t), "APMAPP_DRAIN_DELAY=1h")
	p.awaitStatus("/readyz", 200)
	p.signal(syscall.SIGTERM)
	p.awaitStatus("/readyz", 503)
	if status, _, body := p.get("/readyz"); body != "draining" {
		t.Errorf("/readyz: %d %s, want draining", status, body)
	}
	if status, _, _ := p.get("/"); status != 200 {
		t.Errorf("a request while draining: %d, want 200", status)
	}
	// A second signal, a second later, kills the process, although an hour of waiting is
	// left.
	poll.True(t, "the process is killed", func() bool {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	})
	if ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want SIGTERM", p.cmd.ProcessState)
	}
}

func testDrainTimeout(t *testing.T, server *mysqltest.Server) {
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
	if got := p.stop(); got != 1 || !strings.Contains(p.stderr.String(), "requests were cut off after drain-timeout 50ms: 1 had no answer") {
		t.Errorf("exit status %d, want 1: %s", got, &p.stderr)
	}
}

// MySQL stops and starts while requests arrive. Meanwhile another service starts.
func testMySQLRestarts(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN="+server.Database(t))
	lateDSN := server.Database(t)
	p.awaitStatus("/readyz", 200)
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	for _, path := range []string{"/", "/api/trace", "/api/apm"} {
		traffic.Go(func() {
			for ctx.Err() == nil {
				status, header, body := p.get(path)
				if status != 200 && (status != 503 || header.Get("Retry-After") == "" || header.Get("Traceresponse") == "") {
					t.Errorf("%s: %d %v %s, want 200 or 503 with Retry-After and a trace", path, status, header, body)
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
		t.Errorf("health: %d, want 200", status)
	}

	late := launch(t, "MYSQL_DSN="+lateDSN)
	if status, _, _ := late.get("/healthz"); status != 200 {
		t.Errorf("health before MySQL: %d, want 200", status)
	}
	const reason = "waiting for MySQL: nothing listens at its address"
	late.awaitLine(reason)
	if status, header, body := late.get("/api/trace"); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("a request before MySQL: %d %s, want 503 with Retry-After", status, body)
	}
	if status, _, body := late.get("/readyz"); status != 503 || body != reason {
		t.Errorf("readiness before MySQL: %d %s, want 503 %s", status, body, reason)
	}

	server.Up(t)
	for _, service := range []*process{p, late} {
		for _, path := range []string{"/", "/api/trace", "/api/apm", "/readyz"} {
			service.awaitStatus(path, 200)
		}
	}
	stop()
	traffic.Wait()
	if got := p.stop(); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
}
