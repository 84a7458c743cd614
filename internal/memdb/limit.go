package memdb

import (
	"net"
	"sync"
)

// MaxConnections is the number of connections that clients may have: MySQL's default.
const MaxConnections = 151

// limited refuses connections over MaxConnections as MySQL does. go-mysql-server's own
// limit closes them without a reason.
type limited struct {
	net.Listener
	mu   sync.Mutex
	open int
}

// tooMany is the packet of MySQL's error 1040 in the place of its greeting.
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html
var tooMany = packet("\xff\x10\x04#08004Too many connections")

// packet returns the first packet of a server.
func packet(payload string) []byte {
	return append([]byte{byte(len(payload)), 0, 0, 0}, payload...)
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.count(1) <= MaxConnections {
			return &counted{Conn: conn, of: l}, nil
		}
		l.count(-1)
		_, _ = conn.Write(tooMany)
		_ = conn.Close()
	}
}

func (l *limited) count(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	return l.open
}

// counted is a connection of a client. go-mysql-server closes it more than once.
type counted struct {
	net.Conn
	of   *limited
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.of.count(-1) })
	return c.Conn.Close()
}
