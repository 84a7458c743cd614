package client

import (
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"apmapp/internal/testing/poll"
	"apmapp/loadgen/openloop"
)

// connection returns a connection of the sender to a peer.
func (h startedHTTP1) connection(t *testing.T) (c *conn, peer int) {
	t.Helper()
	own, peer := socketPair(t)
	c, err := h.adopt(own, false)
	if err != nil {
		t.Fatal(err)
	}
	return c, peer
}

// request sends a request on a connection.
func (h startedHTTP1) request(c *conn) *exchange {
	x := &exchange{sent: time.Now()}
	h.queue.push(x)
	h.write(c, x)
	return x
}

// A connection is kept if the answer and the request are complete, and both sides
// keep it.
func TestWhichConnectionsAreKept(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		unsent, end  bool
		want         bool
	}{
		{"a complete answer", "HTTP/1.1 204 No Content\r\n\r\n", false, false, true},
		{"an announced end", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", false, false, false},
		{"more than the answer", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204", false, false, false},
		{"a part of the request is not sent", "HTTP/1.1 204 No Content\r\n\r\n", true, false, false},
		{"the end of the connection ends the answer", "HTTP/1.1 200 OK\r\n\r\n", false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, ended := newHTTP1(t, "http://127.0.0.1:1")
			c, _ := h.connection(t)
			h.request(c)
			if test.unsent {
				c.unsent = []byte("x")
			}
			h.read(c, []byte(test.answer), time.Now())
			if test.end {
				h.eof(c)
			}
			if x := <-ended; x.Failure != "" {
				t.Errorf("%+v", x)
			}
			if kept := slices.Contains(h.idle, c); kept != test.want || len(h.conns) != len(h.idle) {
				t.Errorf("%d connections, kept %t, want %t", len(h.conns), kept, test.want)
			}
			if c.exchange != nil {
				t.Error("the connection still waits for an answer")
			}
		})
	}
}

// A request is sent again if its connection ended while it was idle, and if the
// request has no effects.
func TestWhichRequestsAreRepeated(t *testing.T) {
	for _, test := range []struct {
		name, method string
		used         bool
		answer       string // its beginning
		err          error
		want         string // failure, "" if repeated
	}{
		{"closed", "GET", true, "", io.EOF, ""},
		{"reset", "GET", true, "", unix.ECONNRESET, ""},
		{"on a new connection", "GET", false, "", io.EOF, Closed},
		{"within the answer", "GET", true, "HTTP/1.1 2", io.EOF, Closed},
		{"after early hints", "GET", true, "HTTP/1.1 103 Early Hints\r\n\r\n", io.EOF, Closed},
		{"may have effects", "POST", true, "", io.EOF, Closed},
		{"timed out", "GET", true, "", os.ErrDeadlineExceeded, Timeout},
		{"malformed", "GET", true, "", errMalformed, Malformed},
		{"unreachable", "GET", true, "", unix.EHOSTUNREACH, Unreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, ended := newHTTP1(t, "http://127.0.0.1:1", func(o *Options) { o.Method = test.method })
			c, _ := h.connection(t)
			c.used = test.used
			x := h.request(c)
			if test.answer != "" {
				h.read(c, []byte(test.answer), time.Now())
			}
			h.fail(c, test.err)
			if h.conns[int32(c.fd)] == c || c.exchange != nil {
				t.Errorf("the connection is kept; it waits for the answer to %v", c.exchange)
			}
			if test.want == "" {
				if len(ended) != 0 {
					t.Fatalf("not repeated: %+v", <-ended)
				}
				// It still times out, although it has no connection yet.
				h.expire(h.deadline(x))
				test.want = Timeout
			}
			if len(ended) != 1 {
				t.Fatalf("%d ends, want 1", len(ended))
			}
			if got := <-ended; got != (openloop.Exchange{Failure: test.want}) {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

// A request fails when its connection cannot be written or watched, not when it
// times out.
func TestWhileARequestIsSent(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(h startedHTTP1, c *conn)
		want string
	}{
		{"the beginning cannot be written", func(h startedHTTP1, c *conn) {
			unix.Shutdown(c.fd, unix.SHUT_WR)
			h.request(c)
		}, Reset},
		{"the rest cannot be written", func(h startedHTTP1, c *conn) {
			h.request(c)
			unix.Shutdown(c.fd, unix.SHUT_WR)
			c.unsent = []byte("x")
			h.handle(c, unix.EPOLLOUT)
		}, Reset},
		{"the rest cannot be watched", func(h startedHTTP1, c *conn) {
			h.request(c)
			if err := unix.EpollCtl(h.poller.epoll, unix.EPOLL_CTL_DEL, c.fd, nil); err != nil {
				t.Fatal(err)
			}
			h.rewatch(c, unix.EPOLLIN)
		}, Malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, ended := newHTTP1(t, "http://127.0.0.1:1", func(o *Options) { o.Method = "POST" })
			c, _ := h.connection(t)
			test.send(h, c)
			if len(ended) != 1 || len(h.conns) != 0 {
				t.Fatalf("%d ends, %d connections; want 1, 0", len(ended), len(h.conns))
			}
			if got := <-ended; got != (openloop.Exchange{Failure: test.want}) {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

// An error of an idle connection is no error of a request.
func TestIdleConnectionFails(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	c, _ := h.connection(t)
	h.setIdle(c)
	h.fail(c, unix.ECONNRESET)
	if len(h.idle) != 0 || len(h.conns) != 0 || len(ended) != 0 {
		t.Errorf("%d idle of %d connections, %d ends of requests; want 0", len(h.idle), len(h.conns), len(ended))
	}
}

// A connection is watched for writing only while a part of its request is not
// sent. Otherwise each wait would end at once.
func TestWatchedForWriting(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	defer h.expire(time.Now().Add(2 * poll.Limit)) // do not wait for answers
	small, _ := h.connection(t)
	h.request(small)
	if events := h.poller.pending(); len(events) != 0 {
		t.Errorf("a request that is sent: %v", events)
	}
	c, peer := h.connection(t)
	h.requests[0].text = make([]byte, 1<<20)
	h.request(c)
	if len(c.unsent) == 0 {
		t.Fatal("a socket buffers the whole request")
	}
	received := 0
	for range 10000 {
		n, err := unix.Read(peer, make([]byte, 64<<10))
		if err == unix.EAGAIN && len(c.unsent) == 0 {
			break
		}
		received += max(0, n)
		h.poll(time.Now(), false)
	}
	if received != 1<<20 {
		t.Errorf("the peer received %d bytes, want %d", received, 1<<20)
	}
	if events := h.poller.pending(); len(events) != 0 {
		t.Errorf("a large request that is sent: %v", events)
	}
}

// Events of a connection that was closed meanwhile are ignored.
func TestEventOfAClosedConnection(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	c, peer := h.connection(t)
	unix.Write(peer, []byte("x"))
	delete(h.conns, int32(c.fd))
	h.poll(time.Now(), false)
	unix.Close(c.fd)
	if len(ended) != 0 {
		t.Errorf("%+v", <-ended)
	}
}

// A file that cannot be watched is closed.
func TestConnectionThatCannotBeWatched(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0) // no folder can
	if err != nil {
		t.Fatal(err)
	}
	if c, err := h.adopt(fd, false); c != nil || err == nil || err.Error() != "epoll_ctl: operation not permitted" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the file stays open: %v", err)
	}
}

// The wall clock, which the kernel's timestamps are of, is set forward while a
// request is in flight: its answer seems to have arrived before it was sent.
func TestWallClockChange(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	own, _ := socketPair(t)
	c, err := h.adopt(own, false)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{sent: time.Now()}
	h.queue.push(x)
	h.write(c, x)
	h.read(c, []byte("HTTP/1.1 204 No Content\r\n\r\n"), x.sent.Add(-time.Hour))
	if got := <-ended; got.Status != 204 {
		t.Errorf("%+v", got)
	}
}

// Idle connections that their peer closes, or on which it sends something, are
// not used again. The others are, the last one first.
func TestIdleConnections(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	var conns []*conn
	var peers []int
	for range 4 {
		own, peer := socketPair(t)
		c, err := h.adopt(own, false)
		if err != nil {
			t.Fatal(err)
		}
		h.setIdle(c)
		conns, peers = append(conns, c), append(peers, peer)
	}
	unix.Shutdown(peers[0], unix.SHUT_RDWR)
	unix.Write(peers[2], []byte("HTTP/1.1 408 Request Timeout\r\n"))
	h.poll(time.Now(), false)
	if !slices.Equal(h.idle, []*conn{conns[1], conns[3]}) || len(h.conns) != 2 {
		t.Fatalf("%d idle of %d connections, want 2 of 2", len(h.idle), len(h.conns))
	}
	h.Send(openloop.Request{Due: time.Now()})
	if conns[3].exchange == nil || len(h.idle) != 1 || h.idle[0] != conns[1] {
		t.Error("the connection that was used last is not used first")
	}
	h.fail(conns[3], unix.ECONNRESET) // do not wait for an answer
}
