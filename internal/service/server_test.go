package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/store"
)

// pipes is a listener in memory. Its connections have deadlines in fake time.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accept <- server
	return client
}

// database answers Latest after delay.
type database struct{ delay time.Duration }

func (d database) Latest(ctx context.Context) (store.Visit, bool, error) {
	time.Sleep(d.delay)
	return store.Visit{}, false, nil
}
func (d database) Recent(context.Context, int) ([]store.Visit, error)           { return nil, nil }
func (d database) Record(_ context.Context, v store.Visit) (store.Visit, error) { return v, nil }
func (d database) Ready(context.Context) error                                  { return nil }

// inFakeTime runs test with a service whose requests may take 3 s, its HTTP
// server and the server's listener.
func inFakeTime(t *testing.T, visits database, test func(*testing.T, *Service, *http.Server, pipes), change ...func(*Service)) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Defaults()
		cfg.HTTP.RequestTimeout = 3 * time.Second
		s := newService(cfg, nil)
		for _, c := range change {
			c(s)
		}
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		s.listener = limitConnections(listener, s.cfg.MaxConnections)
		server := s.newServer(visits)
		served := make(chan error, 1)
		go func() { served <- server.Serve(s.listener) }()
		test(t, s, server, listener)
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		time.Sleep(time.Second) // net/http closes a refused connection after 500 ms
	})
}

const request = "GET /healthz HTTP/1.1\r\nHost: apmapp\r\n\r\n"

// TestSlowClients checks when the server closes the connection of a client that
// stops at some point.
func TestSlowClients(t *testing.T) {
	for _, c := range []struct {
		name, send string
		answers    int // that the client reads
		closed     time.Duration
	}{
		{"in the header", "GET / HTTP/1.1\r\nHost: apmapp\r\nX-Slow: ", 0, 5 * time.Second},
		{"in the body", "POST / HTTP/1.1\r\nHost: apmapp\r\nContent-Length: 2\r\n\r\nx", 1, 500 * time.Millisecond},
		// The wait of 1 s, the request's 3 s, and 5 s more.
		{"before it reads the answer", request, 0, 9 * time.Second},
		{"after the answer", request, 1, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFakeTime(t, database{}, func(t *testing.T, _ *Service, _ *http.Server, listener pipes) {
				conn := listener.dial()
				defer conn.Close()
				start := time.Now()
				fmt.Fprint(conn, c.send)
				if c.answers > 0 {
					resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 4096)), nil)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					conn.Read(make([]byte, 1)) // returns when the server closes
				} else if strings.HasSuffix(c.send, "\r\n\r\n") {
					// A write returns when the server closes, a read would take the answer.
					conn.Write(make([]byte, 1<<10))
				} else {
					io.Copy(io.Discard, conn)
				}
				if got := time.Since(start); got != c.closed {
					t.Errorf("closed after %s, want %s", got, c.closed)
				}
			})
		})
	}
}

// TestHeaderLimit: net/http adds 4 KB to the server's limit of 16 KB.
func TestHeaderLimit(t *testing.T) {
	const limit = 16<<10 + 4<<10
	for _, c := range []struct {
		size int
		want int
	}{{limit - 1, 200}, {limit + 1, 431}} {
		inFakeTime(t, database{}, func(t *testing.T, _ *Service, _ *http.Server, listener pipes) {
			conn := listener.dial()
			defer conn.Close()
			const start, end = "GET /healthz HTTP/1.1\r\nHost: apmapp\r\nX-Long: ", "\r\n\r\n"
			go fmt.Fprint(conn, start+strings.Repeat("x", c.size-len(start)-len(end))+end)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.want {
				t.Errorf("header of %d bytes: %s, want %d", c.size, resp.Status, c.want)
			}
		})
	}
}

// TestDrain checks the time from the first 503 of /readyz to the end, and what
// happens to a request that runs meanwhile.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		name    string
		request time.Duration // how long it takes
		drained time.Duration
		err     string
		status  int
	}{
		{"no request", 0, 2 * time.Second, "", 0},
		{"request that ends in time", 5 * time.Second, 5 * time.Second, "", 200},
		{"request that takes too long", time.Minute, 12 * time.Second, "requests were cut off after drain-timeout 10s: 1 had no answer", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFakeTime(t, database{c.request}, func(t *testing.T, s *Service, server *http.Server, listener pipes) {
				s.cfg.DrainDelay, s.cfg.DrainTimeout = 2*time.Second, 10*time.Second
				start := time.Now()
				var status atomic.Int64
				if c.request > 0 {
					conn := listener.dial()
					go func() {
						fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: apmapp\r\n\r\n")
						if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
							status.Store(int64(resp.StatusCode))
							io.Copy(io.Discard, resp.Body)
						}
						conn.Close()
					}()
					synctest.Wait()
				}
				go func() {
					time.Sleep(time.Second) // half of drain-delay
					conn := listener.dial()
					defer conn.Close()
					fmt.Fprint(conn, "GET /readyz HTTP/1.1\r\nHost: apmapp\r\nConnection: close\r\n\r\n")
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Error(err)
						return
					}
					body, _ := io.ReadAll(resp.Body)
					if resp.StatusCode != 503 || string(body) != "draining" {
						t.Errorf("/readyz while draining: %s %s", resp.Status, body)
					}
				}()
				err := s.drain(t.Context(), server)
				// Shutdown looks for idle connections at most every 500 ms.
				if got := time.Since(start); got < c.drained || got > c.drained+500*time.Millisecond {
					t.Errorf("drained in %s, want %s", got, c.drained)
				}
				if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				time.Sleep(time.Minute)
				if got := int(status.Load()); got != c.status {
					t.Errorf("the request got %d, want %d", got, c.status)
				}
			})
		})
	}
}

// TestDrainWaitsForNobody: connections without a running request do not delay the
// end, and nothing counts as cut off.
func TestDrainWaitsForNobody(t *testing.T) {
	for _, c := range []struct {
		name, send string
		read       bool // whether the client reads the answer
		drained    time.Duration
	}{
		{"no request", "", false, 0},
		{"half a header", "GET / HTTP/1.1\r\nHost: ap", false, 0},
		{"between two requests", request, true, 0},
		{"half of a second header", request + "GET / HTTP/1.1\r\n", true, 0},
		{"a body that never arrives", "POST / HTTP/1.1\r\nHost: apmapp\r\nContent-Length: 9\r\n\r\n", true, bodyTime},
		{"an answer that is not read", request, false, linger},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFakeTime(t, database{}, func(t *testing.T, s *Service, server *http.Server, listener pipes) {
				conn := listener.dial()
				defer conn.Close()
				go fmt.Fprint(conn, c.send)
				if c.read {
					resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1), nil)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
				}
				synctest.Wait()
				start := time.Now()
				if err := s.drain(t.Context(), server); err != nil {
					t.Errorf("got %v, want no error", err)
				}
				// Shutdown looks for closed connections at most every 500 ms.
				if got := time.Since(start); got < c.drained || got > c.drained+600*time.Millisecond {
					t.Errorf("drained in %s, want %s", got, c.drained)
				}
			})
		})
	}
}

// A refused request counts once.
func TestRefusedRequestsAreCounted(t *testing.T) {
	limit := func(s *Service) { s.cfg.HTTP.MaxConcurrent, s.cfg.HTTP.MaxWait = 1, 0 }
	inFakeTime(t, database{time.Second}, func(t *testing.T, s *Service, _ *http.Server, listener pipes) {
		running, refused := listener.dial(), listener.dial()
		defer running.Close()
		defer refused.Close()
		go fmt.Fprint(running, "GET / HTTP/1.1\r\nHost: apmapp\r\n\r\n")
		synctest.Wait()
		if status, _ := exchange(t, refused, "GET / HTTP/1.1\r\nHost: apmapp\r\n\r\n"); status != 503 || s.reporter.refused.Load() != 1 {
			t.Errorf("%d, %d refused; want 503, 1", status, s.reporter.refused.Load())
		}
		if resp, err := http.ReadResponse(bufio.NewReader(running), nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("the running request got %v, %v", resp, err)
		}
	}, limit)
}

// bodyTime is the time for which net/http waits for a body after the answer.
const bodyTime = 500 * time.Millisecond
