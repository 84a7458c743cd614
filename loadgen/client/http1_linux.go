package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"apmapp/loadgen/openloop"
)

// http1 sends requests over HTTP/1.1, without TLS, from one thread: no request
// passes from one goroutine to another. It writes a request itself on a
// connection that is idle. Where the next is due soon, it sleeps until then, and
// takes the answers that have come meanwhile when it wakes; the kernel says when
// they came. So a request costs one waking, not two.
// docs/adr/0002-http-client.md has what that saves.
type http1 struct {
	o        Options
	requests [][]byte // by path
	done     openloop.Done

	release            func() // of the thread
	epoll, timer, wake int
	clock              monotonic
	armed              time.Time // what the timer is set to
	polled             time.Time // when answers were last taken
	events             []unix.EpollEvent
	in                 receiver

	conns map[int32]*conn
	idle  []*conn   // the last used is the first to be used again
	queue exchanges // in flight, the oldest first

	watched context.Context
	unwatch func()
	dials   sync.WaitGroup
	mu      sync.Mutex
	dialed  []dialed
}

// exchange is a request in flight.
type exchange struct {
	openloop.Request
	sent time.Time
	over bool  // it has ended, if only by its timeout
	conn *conn // nil while there is none yet

	prev, next *exchange
}

type conn struct {
	fd       int
	exchange *exchange // nil when it is idle
	response response
	unsent   []byte
	// used tells that it has been idle: its peer may have closed it meanwhile.
	used bool
}

// dialed is what became of an attempt to connect.
type dialed struct {
	exchange *exchange
	fd       int
	err      error
}

// pollEvery is how long answers may wait while requests are overdue: sending
// goes first, but connections have to become idle again.
const pollEvery = 100 * time.Microsecond

// nap is the longest sleep through which answers wait. It is also how long the
// end of a context may go unnoticed, and the rate from which on a request costs
// one waking, 500 a second.
const nap = 2 * time.Millisecond

// HTTP1 returns a sender for a target without TLS.
func HTTP1(o Options) (openloop.Sender, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	return &http1{
		o:      o,
		events: make([]unix.EpollEvent, 128),
		conns:  map[int32]*conn{},
	}, nil
}

// Start implements openloop.Sender. The goroutine gets a thread of its own, so
// that the scheduler moves nothing between it and its timer.
func (h *http1) Start(paths []openloop.Path, done openloop.Done) error {
	h.done = done
	for _, p := range paths {
		req, err := h.o.request(context.Background(), p.Path)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := req.Write(&b); err != nil {
			return fmt.Errorf("write a request for %s: %w", p.Path, err)
		}
		h.requests = append(h.requests, b.Bytes())
	}
	if err := h.open(); err != nil {
		return err
	}
	h.in.init()
	h.connectOnce()
	h.release = openloop.FineClock{}.Bind()
	return nil
}

// connectWait is how long a run may wait for its first connection before it
// begins: a target that needs longer is better seen in the report.
const connectWait = time.Second

// connectOnce connects ahead of the first request, which would else be late by
// as long. If it cannot, that request will find out why.
func (h *http1) connectOnce() {
	ctx, cancel := context.WithTimeout(context.Background(), min(connectWait, h.o.Timeout))
	defer cancel()
	if fd, err := connect(ctx, h.o.hostPort()); err == nil {
		if c, err := h.adopt(fd); err == nil {
			h.rest(c)
		}
	}
}

// rest keeps a connection for the next request.
func (h *http1) rest(c *conn) {
	c.used = true
	h.idle = append(h.idle, c)
}

// adopt makes a connection of a socket.
func (h *http1) adopt(fd int) (*conn, error) {
	if err := h.watchFD(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	// Where the kernel knows no stamps, answers come when they are read.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	c := &conn{fd: fd}
	h.conns[int32(fd)] = c
	return c, nil
}

func (h *http1) open() (err error) {
	h.epoll, h.timer, h.wake = -1, -1, -1
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	// A timer, and not the timeout of epoll_wait: that counts milliseconds.
	if h.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if h.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	for _, fd := range []int{h.timer, h.wake} {
		if err = h.watchFD(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return err
		}
	}
	h.clock, err = newMonotonic()
	return err
}

func (h *http1) watchFD(op, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(h.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

func (h *http1) close() {
	for _, fd := range []int{h.epoll, h.timer, h.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Finish implements openloop.Sender.
func (h *http1) Finish() {
	for h.queue.first != nil {
		h.poll(h.deadline(h.queue.first), true)
		h.expire(time.Now())
	}
	h.release()
	h.watch(context.Background())
	h.dials.Wait()
	h.takeDialed()
	for _, c := range h.conns {
		_ = unix.Close(c.fd)
	}
	h.close()
}

// SleepUntil implements openloop.Sender: it takes answers until t.
func (h *http1) SleepUntil(ctx context.Context, t time.Time) {
	h.watch(ctx)
	for {
		now := time.Now()
		h.expire(now)
		until := t
		if first := h.queue.first; first != nil && h.deadline(first).Before(t) {
			until = h.deadline(first)
		}
		over := !now.Before(t) || ctx.Err() != nil
		if over && now.Sub(h.polled) < pollEvery {
			return
		}
		h.poll(until, !over)
		if over {
			return
		}
	}
}

// watch makes the end of ctx end the sleep.
func (h *http1) watch(ctx context.Context) {
	if h.watched == ctx {
		return
	}
	if h.unwatch != nil {
		h.unwatch()
	}
	signalled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		h.signal()
		close(signalled)
	})
	h.watched, h.unwatch = ctx, func() {
		if !stop() {
			<-signalled
		}
	}
}

// signal makes poll return. Any goroutine may call it.
func (h *http1) signal() {
	_, _ = unix.Write(h.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// poll takes what has come; wait tells to sleep until something does, or until
// an instant.
func (h *http1) poll(until time.Time, wait bool) {
	n := 0
	switch {
	case !wait:
		n = h.come()
	case time.Until(until) < nap:
		h.clock.sleepUntil(until)
		n = h.come()
	default:
		n = h.await(until)
	}
	h.polled = time.Now()
	for _, event := range h.events[:n] {
		switch fd := int(event.Fd); fd {
		case h.timer:
		case h.wake:
			var count [8]byte
			_, _ = unix.Read(fd, count[:])
			h.takeDialed()
		default:
			if c := h.conns[event.Fd]; c != nil {
				h.ready(c, event.Events)
			}
		}
	}
}

// come returns how many events there are, and waits for none.
func (h *http1) come() int {
	// Raw, as all calls here that do not wait: the scheduler need not know.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(h.epoll), uintptr(unsafe.Pointer(&h.events[0])), uintptr(len(h.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// await waits for events until an instant and returns how many there are.
func (h *http1) await(until time.Time) int {
	if until != h.armed {
		// An absolute instant: what happens between here and the sleep does not
		// move it. Setting the timer also takes back that it has rung.
		at := unix.ItimerSpec{Value: h.clock.timespec(until)}
		if err := unix.TimerfdSettime(h.timer, unix.TFD_TIMER_ABSTIME, &at, nil); err != nil {
			panic(fmt.Sprintf("timerfd_settime %+v: %v", at, err)) // the arguments are this package's
		}
		h.armed = until
	}
	n, err := unix.EpollWait(h.epoll, h.events, -1)
	if err != nil {
		return 0 // a signal came
	}
	return n
}

// Send implements openloop.Sender.
func (h *http1) Send(r openloop.Request) {
	x := &exchange{Request: r, sent: time.Now()}
	h.queue.push(x)
	if n := len(h.idle); n > 0 {
		c := h.idle[n-1]
		h.idle = h.idle[:n-1]
		h.write(c, x)
		return
	}
	h.dial(x)
}

// dial connects for an exchange. Connections are kept, so this is rare enough
// for a goroutine, which may look up names and try several addresses.
func (h *http1) dial(x *exchange) {
	h.dials.Go(func() {
		ctx, cancel := context.WithDeadline(context.Background(), h.deadline(x))
		defer cancel()
		fd, err := connect(ctx, h.o.hostPort())
		h.mu.Lock()
		h.dialed = append(h.dialed, dialed{x, fd, err})
		h.mu.Unlock()
		h.signal()
	})
}

// connect returns a connected socket that Go's own poller does not watch.
func connect(ctx context.Context, addr string) (fd int, err error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	controlErr := raw.Control(func(own uintptr) {
		// Its mode, not to block, is the socket's and comes along.
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
		err = os.NewSyscallError("fcntl", err)
	})
	if controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

// takeDialed gives new connections to the requests that wait for them.
func (h *http1) takeDialed() {
	h.mu.Lock()
	all := h.dialed
	h.dialed = nil
	h.mu.Unlock()
	for _, d := range all {
		var c *conn
		err := d.err
		if err == nil {
			c, err = h.adopt(d.fd)
		}
		switch {
		case err != nil:
			h.end(d.exchange, time.Now(), openloop.Exchange{Failure: kind(err)})
		case d.exchange.over:
			h.rest(c)
		default:
			h.write(c, d.exchange)
		}
	}
}

// write sends an exchange's request on an idle connection.
func (h *http1) write(c *conn, x *exchange) {
	c.exchange, x.conn = x, c
	c.response.reset(h.o.Method)
	c.unsent = h.requests[x.Path]
	if err := h.flush(c); err != nil {
		h.fail(c, err)
	} else if len(c.unsent) > 0 {
		h.rewatch(c, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLOUT)
	}
}

// flush writes as much as the socket takes.
func (h *http1) flush(c *conn) error {
	for len(c.unsent) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&c.unsent[0])), uintptr(len(c.unsent)), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			c.unsent = c.unsent[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("send", errno)
		}
	}
	return nil
}

func (h *http1) rewatch(c *conn, events uint32) {
	if err := h.watchFD(unix.EPOLL_CTL_MOD, c.fd, events); err != nil {
		h.fail(c, err)
	}
}

// ready goes on with a connection that can be read or written.
func (h *http1) ready(c *conn, events uint32) {
	if events&unix.EPOLLOUT != 0 && len(c.unsent) > 0 {
		if err := h.flush(c); err != nil {
			h.fail(c, err)
			return
		}
		if len(c.unsent) == 0 {
			h.rewatch(c, unix.EPOLLIN|unix.EPOLLRDHUP)
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	data, at, err := h.in.receive(c.fd)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR: // it will be ready again
	case err != nil:
		h.fail(c, os.NewSyscallError("recv", err))
	case len(data) == 0:
		h.eof(c)
	default:
		h.take(c, data, at)
	}
}

// take gives a connection's bytes, and when they came, to its response.
func (h *http1) take(c *conn, data []byte, at time.Time) {
	if c.exchange == nil { // nobody asked
		h.drop(c)
		return
	}
	rest, err := c.response.feed(data)
	switch {
	case err != nil:
		h.fail(c, err)
	case c.response.ended():
		h.answered(c, at, c.response.KeepAlive && len(rest) == 0 && len(c.unsent) == 0)
	}
}

func (h *http1) eof(c *conn) {
	switch {
	case c.exchange == nil:
		h.drop(c)
	case !c.response.began:
		h.fail(c, io.EOF)
	default:
		if err := c.response.eof(); err != nil {
			h.fail(c, err)
			return
		}
		h.answered(c, time.Now(), false)
	}
}

// answered ends a connection's exchange with the response that has come.
func (h *http1) answered(c *conn, at time.Time, keep bool) {
	x, r := c.exchange, &c.response
	c.exchange = nil
	if keep {
		h.rest(c)
	} else {
		h.drop(c)
	}
	if at.Before(x.sent) { // somebody has set the clock
		at = time.Now()
	}
	h.end(x, at, openloop.Exchange{Status: r.Status, Bytes: r.Bytes, TraceID: r.TraceID})
}

// fail ends a connection and its exchange. A connection that its peer closed
// while it was idle fails the request that comes next; such a request, if it may
// be repeated, goes out again on a new one, and so only once: RFC 9112, section
// 9.3.1.
func (h *http1) fail(c *conn, err error) {
	x, r := c.exchange, &c.response
	c.exchange = nil
	h.drop(c)
	if x == nil {
		return
	}
	x.conn = nil
	failure := kind(err)
	if c.used && !r.began && idempotent[h.o.Method] && (failure == Closed || failure == Reset) {
		h.dial(x)
		return
	}
	end := openloop.Exchange{Failure: failure, Bytes: r.Bytes}
	if r.began {
		end.Status, end.TraceID = r.Status, r.TraceID
	}
	h.end(x, time.Now(), end)
}

// drop closes a connection. Closing takes it out of epoll.
func (h *http1) drop(c *conn) {
	for i := range h.idle {
		if h.idle[i] == c {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			break
		}
	}
	delete(h.conns, int32(c.fd))
	_ = unix.Close(c.fd)
}

// deadline is when an exchange has taken too long.
func (h *http1) deadline(x *exchange) time.Time { return x.sent.Add(h.o.Timeout) }

// expire ends the exchanges that have taken too long. All may take the same
// time, so the oldest is the first.
func (h *http1) expire(now time.Time) {
	for x := h.queue.first; x != nil && !now.Before(h.deadline(x)); x = h.queue.first {
		if x.conn == nil {
			h.end(x, now, openloop.Exchange{Failure: Timeout})
			continue
		}
		h.fail(x.conn, os.ErrDeadlineExceeded)
	}
}

// end reports when and how an exchange has ended, once.
func (h *http1) end(x *exchange, at time.Time, how openloop.Exchange) {
	if x.over {
		return
	}
	x.over = true
	h.queue.remove(x)
	h.done(x.Request, x.sent, at, how)
}

// exchanges is a queue from whose middle one may leave.
type exchanges struct{ first, last *exchange }

func (q *exchanges) push(x *exchange) {
	x.prev = q.last
	if q.last == nil {
		q.first = x
	} else {
		q.last.next = x
	}
	q.last = x
}

func (q *exchanges) remove(x *exchange) {
	if x.prev == nil {
		q.first = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		q.last = x.prev
	} else {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
}
