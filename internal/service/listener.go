package service

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connections is the service's listener. It knows every connection and whether a
// request runs on it. So it can bound their number, end those on which nothing
// runs when the service stops, and notice clients that leave.
type connections struct {
	net.Listener
	max int

	mu      sync.Mutex
	changed sync.Cond
	open    map[*conn]struct{}
	idle    *list.List // connections without a request, the longest idle first
	full    bool       // a new connection waits for another one to end
	closed  bool
	running int // requests without an answer
}

func limitConnections(l net.Listener, max int) *connections {
	c := &connections{Listener: l, max: max, open: map[*conn]struct{}{}, idle: list.New()}
	c.changed.L = &c.mu
	return c
}

// evictable is the shortest time for which a connection is idle before a new one may
// take its place. A client that has just connected sends its request within that time.
const evictable = time.Second

// Accept returns the next connection. At the limit it closes the connection that
// has been idle for longest, as nginx does: its client can connect again, while a
// request on the new one would wait. If no connection is idle, the new one waits
// until one ends. Meanwhile each answer closes its connection.
func (l *connections) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	for errors.Is(err, syscall.EMFILE) && len(l.open) > 0 && !l.closed {
		// The process's limit of open files is lower than max.
		l.makeRoom()
		l.mu.Unlock()
		raw, err = l.Listener.Accept()
		l.mu.Lock()
	}
	if err != nil {
		return nil, err
	}
	for len(l.open) >= l.max && !l.closed {
		l.makeRoom()
	}
	l.full = false
	if l.closed {
		return nil, errors.Join(net.ErrClosed, raw.Close())
	}
	c := &conn{Conn: raw, of: l}
	l.open[c] = struct{}{}
	l.setIdle(c, true)
	return c, nil
}

// makeRoom closes the connection that has been idle for longest, or waits for a
// change. The caller holds mu.
func (l *connections) makeRoom() {
	if oldest := l.idle.Front(); oldest != nil {
		c := oldest.Value.(*conn)
		left := evictable - time.Since(c.since)
		if left <= 0 {
			l.forget(c)
			return
		}
		defer time.AfterFunc(left, l.changed.Signal).Stop()
	}
	l.full = true
	l.changed.Wait()
}

// Close ends a wait of Accept, too.
func (l *connections) Close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// forget closes a connection and ends its request's context. The caller holds mu.
func (l *connections) forget(c *conn) {
	if _, open := l.open[c]; !open {
		return
	}
	delete(l.open, c)
	l.setIdle(c, false)
	if c.cancel != nil {
		c.cancel()
	}
	c.closed = c.Conn.Close()
	l.changed.Signal()
}

func (l *connections) setIdle(c *conn, idle bool) {
	switch {
	case idle && c.idle == nil:
		c.since = time.Now()
		c.idle = l.idle.PushBack(c)
		l.changed.Signal()
	case !idle && c.idle != nil:
		c.since = time.Now()
		l.idle.Remove(c.idle)
		c.idle = nil
	}
}

// state follows the state of a connection; it is the server's ConnState.
func (l *connections) state(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.open[c]; open {
		l.setIdle(c, state == http.StateNew || state == http.StateIdle)
	}
}

type connKey struct{}

// context makes a request's connection known; it is the server's ConnContext.
func (l *connections) context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// handler counts the running requests, and ends a request's context when its client
// leaves. net/http's own context also ends when the client only closes its sending
// side after the request, which HTTP/1.1 allows: such a client waits for its answer
// (https://www.rfc-editor.org/rfc/rfc9112#section-9.6).
func (l *connections) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		answer := c.written.Load()
		defer context.AfterFunc(r.Context(), func() { c.awaitDeparture(ctx, r, answer) })()
		if l.begin(c, cancel) {
			w.Header().Set("Connection", "close")
		}
		defer l.end(c)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (l *connections) begin(c *conn, cancel context.CancelFunc) (full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running++
	c.cancel = cancel
	return l.full
}

func (l *connections) end(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	c.cancel, c.since = nil, time.Now()
}

// unanswered returns the number of running requests.
func (l *connections) unanswered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

// linger is the time for which a connection may stay open after its answer while the
// service stops: for a client that takes the answer slowly, or still sends a body.
const linger = time.Second

// hangUp closes connections on which no request runs, until ctx ends. net/http
// waits for them when it stops: 5 s for a request whose header is not complete, and
// up to the write timeout for an answer that the client does not take.
func (l *connections) hangUp(ctx context.Context) {
	tick := time.NewTicker(linger / 10)
	defer tick.Stop()
	for {
		l.mu.Lock()
		for c := range l.open {
			if c.idle != nil || c.cancel == nil && time.Since(c.since) >= linger {
				l.forget(c)
			}
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// conn is a connection of the service.
type conn struct {
	net.Conn
	of *connections

	// of.mu protects these.
	idle   *list.Element      // in of.idle; nil while a request is read or runs
	cancel context.CancelFunc // of the running request; nil if none runs
	since  time.Time          // when idle or cancel changed
	closed error              // the error of closing it

	write   sync.Mutex
	written atomic.Int64 // bytes
}

// Read ends the running request when the client resets the connection.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.Close()
	}
	return n, err
}

// Close closes the connection once.
func (c *conn) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.forget(c)
	return c.closed
}

// CloseWrite closes the sending side: net/http does that so that a client can read
// the answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// probeInterval is the time between two probes of a client that may have left. Most
// answers are sent earlier.
const probeInterval = time.Second

// continues is an answer that clients of HTTP/1.1 have to ignore:
// https://www.rfc-editor.org/rfc/rfc9110#section-15.2
const continues = "HTTP/1.1 100 Continue\r\n\r\n"

// awaitDeparture runs when nothing more arrives from the client of r. It closes the
// connection when the client has left, and returns at the latest when ctx ends.
//
// A client that left and one that only closed its sending side look the same until
// something is sent to them. So it sends interim answers: the system of a client
// that left replies with a reset, and the next write fails. It sends none after the
// answer has begun, when more than answer bytes were written.
func (c *conn) awaitDeparture(ctx context.Context, r *http.Request, answer int64) {
	if !r.ProtoAtLeast(1, 1) {
		return // does not know interim answers
	}
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n, err := c.probe(answer)
			if err != nil {
				c.Close()
				return
			}
			answer += n
		}
	}
}

func (c *conn) probe(answer int64) (int64, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if c.written.Load() > answer {
		return 0, nil
	}
	n, err := io.WriteString(c.Conn, continues)
	c.written.Add(int64(n))
	return int64(n), err
}

// net/http answers some malformed requests itself, before any handler. For two of
// them its status blames the server: 501 for an unknown Transfer-Encoding, 505 for an
// unknown HTTP version. Anyone can send such requests, so an alert on 5xx must not
// fire for them. They get a 400, like other malformed requests.
var serverErrors = [][]byte{
	[]byte("HTTP/1.1 501 "),
	[]byte("HTTP/1.1 505 "),
}

var badRequest = []byte("HTTP/1.1 400 Bad Request\r\n")

// Write sends p. net/http writes an answer of its own in one call.
func (c *conn) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	for _, serverError := range serverErrors {
		if bytes.HasPrefix(p, serverError) {
			_, rest, _ := bytes.Cut(p, []byte("\r\n"))
			if _, err := c.Conn.Write(append(bytes.Clone(badRequest), rest...)); err != nil {
				return 0, err
			}
			c.written.Add(int64(len(p)))
			return len(p), nil
		}
	}
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}
