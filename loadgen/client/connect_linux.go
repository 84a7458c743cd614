package client

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"apmapp/loadgen/openloop"
)

// dialed is the outcome of an attempt to connect for an exchange.
type dialed struct {
	exchange *exchange
	fd       int
	err      error
}

// connectWait is the time that the start of a run waits for its first connection:
// if the target takes longer, the report should show it.
const connectWait = time.Second

// connectOnce connects before the first request, whose answer would otherwise be
// later by the time to connect. If it fails, the first request reports the error.
func (h *http1) connectOnce() {
	deadline := time.Now().Add(min(connectWait, h.o.Timeout))
	if fd, err := connect(h.o.hostPort(), deadline); err == nil {
		if c, err := h.adopt(fd); err == nil {
			h.setIdle(c)
		}
	}
}

// dial connects for an exchange. Connections are kept, so this is rare enough
// for a goroutine, which may look up names and try several addresses.
func (h *http1) dial(x *exchange) {
	h.dials.Go(func() {
		fd, err := connect(h.o.hostPort(), h.deadline(x))
		h.mu.Lock()
		h.dialed = append(h.dialed, dialed{x, fd, err})
		h.mu.Unlock()
		h.poller.signal()
	})
}

// connect returns a connected socket that Go's own poller does not watch.
func connect(addr string, deadline time.Time) (fd int, err error) {
	c, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", addr)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := raw.Control(func(own uintptr) {
		// The duplicate shares the non-blocking mode of the socket.
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
		err = os.NewSyscallError("fcntl", err)
	})
	if controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

// takeDialed gives new connections to the exchanges that wait for them.
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
			h.setIdle(c)
		default:
			h.write(c, d.exchange)
		}
	}
}

// adopt turns a socket into a watched connection.
func (h *http1) adopt(fd int) (*conn, error) {
	if err := h.poller.add(fd, unix.EPOLLIN|unix.EPOLLRDHUP); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	// If the kernel has no timestamps, an answer's time is when it is read.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	c := &conn{fd: fd}
	h.conns[int32(fd)] = c
	return c, nil
}
