package client

import (
	"io"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"apmapp/loadgen/openloop"
)

type conn struct {
	fd       int
	exchange *exchange // nil while it is idle
	response response
	unsent   []byte
	// used means that it was idle before: its peer may have closed it meanwhile.
	used bool

	connecting bool
	others     []unix.Sockaddr // to try if the target refuses this connection
}

// watchAnswer are the events of a connection whose request is sent.
const watchAnswer = unix.EPOLLIN | unix.EPOLLRDHUP

// setIdle keeps a connection for the next request.
func (h *http1) setIdle(c *conn) {
	c.used = true
	h.idle = append(h.idle, c)
}

// write sends an exchange's request on a connection.
func (h *http1) write(c *conn, x *exchange) {
	c.exchange, x.conn = x, c
	request := &h.requests[x.Path]
	c.response.reset(request.method)
	c.unsent = request.text
	if err := h.flush(c); err != nil {
		h.fail(c, err)
	} else if len(c.unsent) > 0 {
		h.rewatch(c, watchAnswer|unix.EPOLLOUT)
	}
}

// flush writes as much as the socket accepts.
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
	if err := h.poller.modify(c.fd, events); err != nil {
		h.fail(c, err)
	}
}

// handle continues a connection that can be read or written.
func (h *http1) handle(c *conn, events uint32) {
	if c.connecting {
		h.connected(c)
		return
	}
	if events&unix.EPOLLOUT != 0 && len(c.unsent) > 0 {
		if err := h.flush(c); err != nil {
			h.fail(c, err)
			return
		}
		if len(c.unsent) == 0 {
			h.rewatch(c, watchAnswer)
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	data, at, err := h.in.receive(c.fd)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR: // there will be another event
	case err != nil:
		h.fail(c, os.NewSyscallError("recv", err))
	case len(data) == 0:
		h.eof(c)
	default:
		h.read(c, data, at)
	}
}

// read feeds a connection's response with data that arrived at a time.
func (h *http1) read(c *conn, data []byte, at time.Time) {
	if c.exchange == nil { // an answer without a request
		h.drop(c)
		return
	}
	rest, err := c.response.feed(data)
	switch {
	case err != nil:
		h.fail(c, err)
	case c.response.ended():
		h.answered(c, at, c.response.KeepAlive && !h.o.NoKeepAlive && len(rest) == 0 && len(c.unsent) == 0)
	}
}

// eof handles the end of a connection, which completes some responses.
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

// answered ends a connection's exchange with its complete response.
func (h *http1) answered(c *conn, at time.Time, keep bool) {
	x, r := c.exchange, &c.response
	c.exchange = nil
	if keep {
		h.setIdle(c)
	} else {
		h.drop(c)
	}
	if at.Before(x.sent) { // the wall clock was changed
		at = time.Now()
	}
	h.end(x, at, openloop.Exchange{Status: r.Status, Bytes: r.Bytes, TraceID: r.TraceID})
}

// fail ends a connection and its exchange. If the peer closed the connection
// while it was idle, the next request on it fails. If such a request may be
// repeated, it is sent again on a new connection, once: RFC 9112, section 9.3.1.
func (h *http1) fail(c *conn, err error) {
	x, r := c.exchange, &c.response
	c.exchange = nil
	h.drop(c)
	if x == nil {
		return
	}
	x.conn = nil
	if c.connecting {
		if len(c.others) > 0 {
			h.connect(x, c.others)
		} else {
			h.notConnected(x, err)
		}
		return
	}
	failure := kind(err)
	if c.used && !r.began && idempotent[h.requests[x.Path].method] && (failure == Closed || failure == Reset) {
		h.dial(x)
		return
	}
	end := failed(err)
	end.Bytes = r.Bytes
	if r.began {
		end.Status, end.TraceID = r.Status, r.TraceID
	}
	h.end(x, time.Now(), end)
}

// drop closes a connection, which also removes it from epoll.
func (h *http1) drop(c *conn) {
	if i := slices.Index(h.idle, c); i >= 0 {
		h.idle = slices.Delete(h.idle, i, i+1)
	}
	delete(h.conns, int32(c.fd))
	_ = unix.Close(c.fd)
}
