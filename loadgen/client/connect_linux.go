package client

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connectWait is the time that the start of a run waits for its first connection:
// if the target takes longer, the report should show it.
const connectWait = time.Second

// lookupPause is the shortest time between two lookups of a target that no longer
// accepts connections: its name may have got another address.
const lookupPause = time.Second

// connectOnce connects before the first request, whose answer would otherwise be
// later by the time to connect. The first address that accepts the connection
// becomes the first one that requests try. If none does, the first request reports
// the error.
func (h *http1) connectOnce() {
	deadline := time.Now().Add(min(connectWait, h.o.Timeout))
	if h.addresses = h.o.literal(); h.addresses == nil {
		h.lookUp()
		for h.looking && time.Now().Before(deadline) {
			h.poll(deadline, true)
		}
	}
	all := h.addresses
	for i, address := range all {
		c, err := h.open(address)
		if err != nil {
			continue
		}
		// Each address has its share of the time.
		until := time.Now().Add(time.Until(deadline) / time.Duration(len(all)-i))
		for c.connecting && h.conns[int32(c.fd)] == c && time.Now().Before(until) {
			h.poll(until, true)
		}
		switch {
		case h.conns[int32(c.fd)] != c: // it failed
		case c.connecting:
			h.drop(c)
		default:
			h.addresses = append(append([]unix.Sockaddr{address}, all[:i]...), all[i+1:]...)
			return
		}
	}
}

// dial opens a connection for an exchange.
func (h *http1) dial(x *exchange) {
	if h.addresses == nil {
		h.waiting = append(h.waiting, x)
		h.lookUp()
		return
	}
	h.connect(x, h.addresses)
}

// connect opens a connection for an exchange to the first of the addresses that
// accepts it.
func (h *http1) connect(x *exchange, addresses []unix.Sockaddr) {
	var err error
	for i, address := range addresses {
		var c *conn
		if c, err = h.open(address); err != nil {
			continue
		}
		c.exchange, x.conn = x, c
		c.others = addresses[i+1:]
		if !c.connecting {
			h.write(c, x)
		}
		return
	}
	h.notConnected(x, err)
}

// notConnected ends an exchange that no address accepts.
func (h *http1) notConnected(x *exchange, err error) {
	if h.o.literal() == nil && time.Since(h.lookedUp) >= lookupPause {
		h.lookUp()
	}
	h.end(x, time.Now(), failed(err))
}

// open begins to connect to an address. The poller reports the end of that.
func (h *http1) open(to unix.Sockaddr) (*conn, error) {
	family := unix.AF_INET
	switch to.(type) {
	case *unix.SockaddrInet6:
		family = unix.AF_INET6
	case *unix.SockaddrUnix:
		family = unix.AF_UNIX
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if family != unix.AF_UNIX {
		// Without this option the last part of a large request would wait for an
		// acknowledgement.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	switch err := unix.Connect(fd, to); err {
	case nil:
		return h.adopt(fd, false)
	case unix.EINPROGRESS, unix.EINTR:
		return h.adopt(fd, true)
	default:
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
}

// adopt turns a socket into a watched connection.
func (h *http1) adopt(fd int, connecting bool) (*conn, error) {
	events := uint32(watchAnswer)
	if connecting {
		events = unix.EPOLLOUT
	}
	if err := h.poller.add(fd, events); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	// If the kernel has no timestamps, an answer's time is when it is read.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	c := &conn{fd: fd, connecting: connecting}
	h.conns[int32(fd)] = c
	return c, nil
}

// connected continues a connection whose attempt to connect has ended.
func (h *http1) connected(c *conn) {
	number, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && number != 0 {
		err = os.NewSyscallError("connect", syscall.Errno(number))
	}
	if err == nil {
		err = h.poller.modify(c.fd, watchAnswer)
	}
	if err != nil {
		h.fail(c, err)
		return
	}
	c.connecting = false
	if c.exchange == nil {
		h.idle = append(h.idle, c)
		return
	}
	h.write(c, c.exchange)
}

// found is the outcome of a lookup.
type found struct {
	addresses []unix.Sockaddr
	err       error
}

// lookUp looks the target's name up in the background, once at a time.
func (h *http1) lookUp() {
	if h.looking {
		return
	}
	h.looking = true
	h.lookups.Go(func() {
		ctx, cancel := context.WithTimeout(h.lookupCtx, h.o.Timeout)
		defer cancel()
		addresses, err := h.o.lookUp(ctx)
		h.found <- found{addresses, err}
		h.poller.signal()
	})
}

// takeFound gives the addresses that a lookup found to the exchanges that wait for
// them. A lookup that fails changes nothing for the others.
func (h *http1) takeFound() {
	var f found
	select {
	case f = <-h.found:
	default:
		return
	}
	h.looking, h.lookedUp = false, time.Now()
	if f.err == nil {
		h.addresses = f.addresses
	}
	waiting := h.waiting
	h.waiting = nil
	for _, x := range waiting {
		switch {
		case x.over:
		case h.addresses == nil:
			h.end(x, time.Now(), failed(f.err))
		default:
			h.connect(x, h.addresses)
		}
	}
}

// literal returns the address of a target that needs no lookup, nil if it needs
// one. The options are checked.
func (o Options) literal() []unix.Sockaddr {
	if path, ok := strings.CutPrefix(o.address(), SocketPrefix); ok {
		return []unix.Sockaddr{&unix.SockaddrUnix{Name: path}}
	}
	host, port, _ := o.hostPort()
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	return []unix.Sockaddr{sockaddr(ip, port)}
}

// lookUp returns the addresses of the target's name, in the order of RFC 6724.
func (o Options) lookUp(ctx context.Context) ([]unix.Sockaddr, error) {
	host, port, err := o.hostPort()
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var all []unix.Sockaddr
	for _, ip := range ips {
		all = append(all, sockaddr(ip, port))
	}
	return all, err
}

func sockaddr(ip netip.Addr, port int) unix.Sockaddr {
	if ip = ip.Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Addr: ip.As4(), Port: port}
	}
	a := &unix.SockaddrInet6{Addr: ip.As16(), Port: port}
	if zone := ip.Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			a.ZoneId = uint32(n)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			a.ZoneId = uint32(i.Index)
		}
	}
	return a
}
