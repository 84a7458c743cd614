package service

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestMalformedRequestsAreClientErrors(t *testing.T) {
	for _, c := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "400 Bad Request"},
		{"GET / HTTP/9.9\r\nHost: h\r\n\r\n", "400 Bad Request"},
		{"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", "200 OK"},
	} {
		inFakeTime(t, database{}, func(t *testing.T, _ *Service, _ *http.Server, listener pipes) {
			conn := listener.dial()
			defer conn.Close()
			io.WriteString(conn, c.request)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%q: %v", c.request, err)
			}
			if _, err := io.ReadAll(resp.Body); err != nil || resp.Status != c.want {
				t.Errorf("%q: %s, %v, want %s", c.request, resp.Status, err, c.want)
			}
		})
	}
}

// Write counts the bytes of its argument, also when it sends another status.
func TestWriteReturnsTheLength(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	limited := limitConnections(listener, 1)
	conn, err := limited.Accept()
	if err != nil {
		t.Fatal(err)
	}
	const answer = "HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n\r\n"
	if n, err := conn.Write([]byte(answer)); n != len(answer) || err != nil {
		t.Errorf("wrote %d, %v, want %d", n, err, len(answer))
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if n, err := conn.Write([]byte(answer)); n != 0 || err == nil {
		t.Errorf("on a closed connection: wrote %d, %v, want an error", n, err)
	}
	got, err := io.ReadAll(client)
	if want := "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"; string(got) != want || err != nil {
		t.Errorf("sent %q, %v, want %q", got, err, want)
	}
	limited.Close()
	if conn, err := limited.Accept(); conn != nil || err == nil {
		t.Errorf("a closed listener accepts %v, %v", conn, err)
	}
}

// exchange sends a request and returns the status and whether the server closes the
// connection.
func exchange(t *testing.T, conn net.Conn, request string) (status int, closes bool) {
	t.Helper()
	fmt.Fprint(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close
}

// isClosed reports whether the server has closed conn.
func isClosed(conn net.Conn) bool {
	conn.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// At the limit, a new connection replaces the one that has been idle for longest,
// so a probe gets its answer whatever the number of idle connections.
func TestConnectionsAreLimited(t *testing.T) {
	limit := func(s *Service) { s.cfg.MaxConnections = 3 }
	inFakeTime(t, database{}, func(t *testing.T, s *Service, _ *http.Server, listener pipes) {
		// One client between two requests, one that has sent nothing, and one that
		// stopped in its header.
		answered, silent, slow := listener.dial(), listener.dial(), listener.dial()
		defer answered.Close()
		defer silent.Close()
		defer slow.Close()
		go fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost: ")
		time.Sleep(time.Second)
		exchange(t, answered, request) // so it is idle since later
		time.Sleep(time.Second)

		for i, closed := range []net.Conn{silent, slow, answered} {
			start := time.Now()
			conn := listener.dial()
			defer conn.Close()
			if status, closes := exchange(t, conn, request); status != 200 || closes {
				t.Errorf("connection %d over the limit: %d, closed %t, want 200 on a connection that stays open", i+1, status, closes)
			}
			if waited := time.Since(start); waited > 0 {
				t.Errorf("connection %d over the limit waited %s", i+1, waited)
			}
			if !isClosed(closed) {
				t.Errorf("connection %d over the limit did not replace the one that was idle for longest", i+1)
			}
		}
		if got := len(s.listener.open); got != 3 {
			t.Errorf("%d connections are open, want 3", got)
		}

		// These three have just become idle: the next one waits for a second.
		start := time.Now()
		conn := listener.dial()
		defer conn.Close()
		if status, _ := exchange(t, conn, request); status != 200 || time.Since(start) != time.Second {
			t.Errorf("%d after %s, want 200 after a second", status, time.Since(start))
		}
	}, limit)
}

// fewFiles is a listener in a process that may have two connections.
type fewFiles struct {
	pipes
	open *map[*conn]struct{}
}

func (l fewFiles) Accept() (net.Conn, error) {
	if len(*l.open) == 2 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.pipes.Accept()
}

// If the process may not open so many files, the limit is lower.
func TestTheLimitOfOpenFilesIsALimitOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		limited := limitConnections(listener, 1000)
		limited.Listener = fewFiles{listener, &limited.open}
		start := time.Now()
		var clients []net.Conn
		var dialing sync.WaitGroup
		dialing.Go(func() {
			for range 4 {
				clients = append(clients, listener.dial())
			}
		})
		for range 4 {
			if _, err := limited.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		dialing.Wait()
		// The first two connections were idle for a second, then the next two replaced them.
		if took := time.Since(start); took != evictable || !isClosed(clients[0]) || !isClosed(clients[1]) || isClosed(clients[2]) {
			t.Errorf("four connections took %s, want %s and the first two closed", took, evictable)
		}
		limited.Close()
		if _, err := limited.Accept(); err == nil {
			t.Error("a closed listener accepts connections")
		}
	})
	limited := limitConnections(fewFiles{open: &map[*conn]struct{}{{}: {}, {}: {}}}, 1000)
	if _, err := limited.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without connections to close: got %v, want %v", err, syscall.EMFILE)
	}
}

// If a request runs on every connection, a new one waits. The answers close their
// connections, so that it does not wait for long.
func TestBusyConnectionsAreKept(t *testing.T) {
	inFakeTime(t, database{2 * time.Second}, func(t *testing.T, s *Service, _ *http.Server, listener pipes) {
		busy, late := listener.dial(), net.Conn(nil)
		var clients sync.WaitGroup
		clients.Go(func() {
			if status, closes := exchange(t, busy, "GET / HTTP/1.1\r\nHost: apmapp\r\n\r\nGET / HTTP/1.1\r\nHost: apmapp\r\n\r\n"); status != 200 || closes {
				t.Errorf("request on the only connection: %d, closed %t", status, closes)
			}
			if status, closes := exchange(t, busy, ""); status != 200 || !closes {
				t.Errorf("while another one waits: %d, closed %t, want 200 and closed", status, closes)
			}
			busy.Close()
		})
		time.Sleep(time.Second)
		start := time.Now()
		late = listener.dial()
		if status, closes := exchange(t, late, request); status != 200 || closes || time.Since(start) != 3*time.Second {
			t.Errorf("the next connection: %d, closed %t, after %s; want 200 after 3s", status, closes, time.Since(start))
		}
		late.Close()
		clients.Wait()
	}, func(s *Service) { s.cfg.MaxConnections = 1 })
}

// A connection that waits at the limit does not keep the listener open.
func TestCloseEndsTheWaitForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		limited := limitConnections(listener, 1)
		go listener.dial()
		if _, err := limited.Accept(); err != nil {
			t.Fatal(err)
		}
		result := make(chan error)
		go func() {
			_, err := limited.Accept()
			result <- err
		}()
		waiting := listener.dial()
		synctest.Wait()
		limited.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want %v", err, net.ErrClosed)
		}
		if !isClosed(waiting) {
			t.Error("the waiting connection is still open")
		}
	})
}

// oneRequest is a connection whose client sends one request and then closes its
// sending side.
type oneRequest struct {
	net.Conn // nil
	request  io.Reader
	left     func() bool // whether the client closed the other side too
	mu       sync.Mutex
	sent     bytes.Buffer // what the client receives
	closed   chan struct{}
}

func (c *oneRequest) Read(p []byte) (int, error) { return c.request.Read(p) }

// Write fails after the client's system has replied with a reset, which is after
// the first write.
func (c *oneRequest) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left() && c.sent.Len() > 0 {
		return 0, errors.New("broken pipe")
	}
	return c.sent.Write(p)
}

func (c *oneRequest) Close() error                     { close(c.closed); return nil }
func (c *oneRequest) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *oneRequest) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *oneRequest) SetDeadline(time.Time) error      { return nil }
func (c *oneRequest) SetReadDeadline(time.Time) error  { return nil }
func (c *oneRequest) SetWriteDeadline(time.Time) error { return nil }

// A client that closes its sending side after its request gets its answer. If it
// really left, its request ends within two seconds, and nothing more is sent.
func TestClientsThatCloseTheirSendingSide(t *testing.T) {
	const interim = "HTTP/1.1 100 Continue\r\n\r\n"
	stays, leaves := func() bool { return false }, func() bool { return true }
	for _, c := range []struct {
		name   string
		left   func() bool
		proto  string
		work   time.Duration
		ends   time.Duration // the request's context
		status string        // "" for none
		before string        // of the answer
	}{
		{"at once", stays, "HTTP/1.1", 0, 0, "200 OK", ""},
		{"soon", stays, "HTTP/1.1", 900 * time.Millisecond, 900 * time.Millisecond, "200 OK", ""},
		{"late", stays, "HTTP/1.1", 2500 * time.Millisecond, 2500 * time.Millisecond, "200 OK", interim + interim},
		{"HTTP/1.0 has no interim answers", stays, "HTTP/1.0", 2500 * time.Millisecond, 2500 * time.Millisecond, "200 OK", ""},
		{"client left", leaves, "HTTP/1.1", time.Hour, 2 * time.Second, "", interim},
		{"client left, answer soon", leaves, "HTTP/1.1", 900 * time.Millisecond, 900 * time.Millisecond, "200 OK", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := pipes{make(chan net.Conn), make(chan struct{})}
				limited := limitConnections(listener, 1)
				start := time.Now()
				var ended time.Duration
				server := &http.Server{
					ConnContext: limited.context,
					ConnState:   limited.state,
					Handler: limited.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						ctx, cancel := context.WithTimeout(r.Context(), c.work)
						defer cancel()
						<-ctx.Done()
						ended = time.Since(start)
						fmt.Fprint(w, "done")
					})),
				}
				go server.Serve(limited)
				conn := &oneRequest{request: strings.NewReader("GET / " + c.proto + "\r\nHost: h\r\n\r\n"), left: c.left, closed: make(chan struct{})}
				listener.accept <- conn
				<-conn.closed
				synctest.Wait()
				if ended != c.ends {
					t.Errorf("the request ended after %s, want %s", ended, c.ends)
				}
				before, answer, _ := strings.Cut(conn.sent.String(), "HTTP/1.1 200")
				if c.proto == "HTTP/1.0" {
					before, answer, _ = strings.Cut(conn.sent.String(), "HTTP/1.0 200")
				}
				if before != c.before || (answer != "") != (c.status != "") {
					t.Errorf("sent %q, want %q before the status %q", conn.sent.String(), c.before, c.status)
				}
				server.Close()
			})
		})
	}
}

// No interim answer is sent within an answer.
func TestNoInterimAnswerInsideAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		limited := limitConnections(listener, 1)
		server := &http.Server{
			ConnContext: limited.context,
			Handler: limited.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Write(make([]byte, 8<<10))
				time.Sleep(3 * time.Second)
				w.Write(make([]byte, 8<<10))
			})),
		}
		go server.Serve(limited)
		conn := &oneRequest{request: strings.NewReader("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), left: func() bool { return false }, closed: make(chan struct{})}
		listener.accept <- conn
		<-conn.closed
		if strings.Contains(conn.sent.String(), "100 Continue") {
			t.Error("the answer contains an interim answer")
		}
		server.Close()
	})
}

// A reset ends the request at once.
func TestAResetEndsTheRequest(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := limitConnections(raw, 1)
	server := &http.Server{
		ConnContext: limited.context,
		Handler: limited.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(started)
			<-r.Context().Done()
			close(ended)
		})),
	}
	go server.Serve(limited)
	defer server.Close()
	conn, err := net.Dial("tcp", raw.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-started
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close() // sends a reset
	<-ended
}
