package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

// dial sends raw bytes on a new connection.
func dial(t *testing.T, addr, raw string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(poll.Limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A request is answered although its body never arrives. The connection does not
// delay the stop, and the request does not count as cut off.
func testMissingBody(t *testing.T, server *mysqltest.Server) {
	p := launch(t, "MYSQL_DSN="+server.Database(t), "APMAPP_DRAIN_TIMEOUT=1h")
	p.awaitStatus("/readyz", 200)
	for _, body := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
		conn := dial(t, p.addr(), "POST /api/trace HTTP/1.1\r\nHost: apmapp\r\n"+body+"\r\n\r\n")
		r := bufio.NewReader(conn)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 405 || !resp.Close {
			t.Fatalf("%s: %v, %v, want 405 and a closed connection", body, resp, err)
		}
	}
	dial(t, p.addr(), "GET / HTTP/1.1\r\nHost: ap") // half a header
	dial(t, p.addr(), "")                           // no request
	start := time.Now()
	if got := p.stop(); got != 0 {
		t.Errorf("exit status %d, want 0: %s", got, &p.stderr)
	}
	// Without the deadlines it takes 5 s for the header and 10 s for the body.
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

// A client that closes its sending side after its request gets its answer, and the
// visit that is stored is acknowledged. A client that leaves has the status 499 in the
// log.
func testHalfClosed(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	p := launch(t, "MYSQL_DSN="+dsn)
	p.awaitStatus("/readyz", 200)
	unlock := server.Lock(t, mysqltest.DatabaseName(t, dsn)+".visits")
	const request = "GET /api/trace HTTP/1.1\r\nHost: apmapp\r\nUser-Agent: %s\r\n\r\n"
	stays := dial(t, p.addr(), fmt.Sprintf(request, "stays"))
	if err := stays.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	dial(t, p.addr(), fmt.Sprintf(request, "leaves")).Close()
	poll.Until(t, func() error {
		for _, l := range p.lines() {
			if l["http.useragent"] == "leaves" && l["http.status_code"] == 499.0 {
				return nil
			}
		}
		return fmt.Errorf("no line with 499")
	})
	unlock()
	r := bufio.NewReader(stays)
	resp, err := http.ReadResponse(r, nil)
	for err == nil && resp.StatusCode == 100 {
		resp, err = http.ReadResponse(r, nil)
	}
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("the client that stays got %v, %v, want 200", resp, err)
	}
}

// Every refused request is in the log's counts and in the metric, and nowhere else.
func testRefusals(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	in := newIntake(t)
	p := launch(t, "MYSQL_DSN="+dsn, "APMAPP_MAX_CONCURRENT=1",
		"DD_TRACE_AGENT_URL="+in.url, "DD_DOGSTATSD_HOST=127.0.0.1", "DD_DOGSTATSD_PORT="+in.statsd)
	p.awaitStatus("/readyz", 200)
	unlock := server.Lock(t, mysqltest.DatabaseName(t, dsn)+".visits")
	running := make(chan int)
	go func() {
		status, _, _ := p.get("/api/trace")
		running <- status
	}()
	server.AwaitWaiting(t, 1)
	const refused = 50
	var clients sync.WaitGroup
	for range refused {
		clients.Go(func() {
			if status, header, body := p.get("/"); status != 503 || header.Get("Retry-After") != "1" || !strings.Contains(body, "The service is busy.") {
				t.Errorf("beyond the limit: %d %v %s, want 503", status, header, body)
			}
		})
	}
	clients.Wait()
	unlock()
	if status := <-running; status != 200 {
		t.Errorf("the running request: %d, want 200", status)
	}
	if got := p.stop(); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
	in.stop()
	var logged float64
	for _, l := range p.lines() {
		if n, ok := l["requests.refused"].(float64); ok {
			logged += n
		}
		if l["http.status_code"] == 503.0 && l["level"] != "DEBUG" {
			t.Errorf("a refused request has a line of its own: %v", l)
		}
	}
	if logged != refused {
		t.Errorf("the log counts %v refused requests, want %d", logged, refused)
	}
	poll.Until(t, func() error {
		if got := in.count("apmapp.requests.refused"); got != refused {
			return fmt.Errorf("the metric counts %v refused requests, want %d", got, refused)
		}
		return nil
	})
	if spans := in.operations("http.request"); len(spans) != 1 {
		t.Errorf("%d requests have a span, want the one that was served", len(spans))
	}
}

// launchTo starts apmapp with a standard output that the test reads itself, or not.
func launchTo(t *testing.T, server *mysqltest.Server, stdout *os.File) (p *process) {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	addr := loopback.FreeAddr(t)
	p = &process{t: t, exited: make(chan struct{}), url: "http://" + addr}
	p.cmd = exec.Command(program, "-addr", addr)
	p.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "MYSQL_DSN=" + server.Database(t),
		"DD_TRACE_AGENT_URL=http://127.0.0.1:1", "DD_TRACE_STARTUP_LOGS=false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED=false",
	}
	p.cmd.Stdout, p.cmd.Stderr = stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.exited })
	awaitReady(t, p.url)
	return p
}

// If nobody reads the log, requests are still answered. Lines beyond the buffer are
// dropped and counted. When it is read again, every line is there or counted.
func testStalledLog(t *testing.T, server *mysqltest.Server) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p := launchTo(t, server, write)
	// Lines of 8 KB fill the pipe and the buffer of 1 MB soon.
	const requests = 400
	client := &http.Client{Timeout: poll.Limit}
	agent := strings.Repeat("\u00ff", 4<<10)
	for range requests {
		r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/nope", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", agent)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	lines, dropped := 0, 0.0
	stopping := false
	scanner := bufio.NewScanner(read)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var l logLine
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatalf("%v: %.200s", err, scanner.Text())
		}
		if len(scanner.Bytes()) >= 8<<10 {
			t.Errorf("a line of %d bytes, want less than 8 KB", len(scanner.Bytes()))
		}
		if l["msg"] == "request" {
			lines++
		}
		if n, ok := l["logs.dropped"].(float64); ok {
			dropped += n
			if !stopping {
				stopping = true
				p.signal(syscall.SIGTERM)
			}
		}
	}
	if lines+int(dropped) != requests || dropped == 0 {
		t.Errorf("%d lines were written and %v dropped, want %d together", lines, dropped, requests)
	}
	if got := p.status(); got != 0 {
		t.Errorf("exit status %d, want 0: %s", got, &p.stderr)
	}
}

// If the reader of the log is gone, the service goes on and stops as usual.
func testClosedLog(t *testing.T, server *mysqltest.Server) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := launchTo(t, server, write)
	read.Close()
	for range 20 {
		if status, _, _ := p.get("/api/trace"); status != 200 {
			t.Errorf("a request: %d, want 200", status)
		}
	}
	if got := p.stop(); got != 0 {
		t.Errorf("exit status %d, want 0: %s", got, &p.stderr)
	}
}
