package faults

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// Network is the way of connections to a database, which can be cut.
type Network struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	// closed is an address at which nothing listens while the network is cut, else "".
	closed string
}

// Through returns a configuration whose connections use the network.
func (n *Network) Through(cfg *mysql.Config) *mysql.Config {
	cfg = cfg.Clone()
	dial := cfg.DialFunc
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.mu.Lock()
		if n.closed != "" {
			network, addr = "tcp", n.closed
		}
		n.mu.Unlock()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return n.add(conn), nil
	}
	return cfg
}

// Cut breaks all connections. New ones are refused until Mend is called.
func (n *Network) Cut() error {
	// The kernel refuses connections to a port that was bound a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = l.Addr().String()
	for conn := range n.conns {
		_ = conn.Close()
	}
	clear(n.conns)
	return l.Close()
}

// Mend ends a cut.
func (n *Network) Mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = ""
}

func (n *Network) add(conn net.Conn) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = map[net.Conn]bool{}
	}
	n.conns[conn] = true
	if n.closed != "" { // cut meanwhile
		_ = conn.Close()
	}
	return &link{conn, n}
}

// link is a connection through a network.
type link struct {
	net.Conn
	of *Network
}

// SyscallConn implements syscall.Conn: the driver sees whether an idle connection has broken.
func (c *link) SyscallConn() (syscall.RawConn, error) {
	if sys, is := c.Conn.(syscall.Conn); is {
		return sys.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Close implements net.Conn.
func (c *link) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
