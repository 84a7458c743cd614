package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// errNotMySQL reports a server that does not greet as MySQL does.
var errNotMySQL = errors.New("the first bytes of the server are not those of MySQL")

// greeted is a connection that checks the first packet before the driver reads it:
// the driver trusts its lengths, and would wait for megabytes or crash if an SSH
// server or MySQL's X protocol answers.
type greeted struct {
	net.Conn
	greeting  io.Reader // what the driver has not read yet
	err       error
	offersTLS *atomic.Bool
}

// newGreeted returns a connection that sets offersTLS if the server supports TLS.
// The driver asks it for the socket, to notice that the server has closed an idle
// connection.
func newGreeted(conn net.Conn, offersTLS *atomic.Bool) net.Conn {
	g := &greeted{Conn: conn, offersTLS: offersTLS}
	if socket, ok := conn.(syscall.Conn); ok {
		return struct {
			*greeted
			syscall.Conn
		}{g, socket}
	}
	return g
}

// Read implements net.Conn.
func (g *greeted) Read(b []byte) (int, error) {
	if g.greeting == nil {
		packet, tls, err := readGreeting(g.Conn)
		g.greeting, g.err = bytes.NewReader(packet), err
		g.offersTLS.Store(tls)
	}
	if g.err != nil {
		return 0, g.err
	}
	if n, err := g.greeting.Read(b); err == nil {
		return n, nil
	}
	return g.Conn.Read(b)
}

// maxGreeting bounds the first packet. MySQL's has about 100 bytes, or 600 as an
// error.
const maxGreeting = 4096

// readGreeting returns the first packet with its header, and whether the server
// supports TLS. Its error is errNotMySQL if the packet is neither an error nor a
// greeting that is long enough for the driver.
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
func readGreeting(r io.Reader) (packet []byte, offersTLS bool, err error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, false, err
	}
	length := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	if length < 4 || length > maxGreeting {
		return nil, false, errNotMySQL
	}
	packet = make([]byte, len(header)+length)
	copy(packet, header)
	body := packet[len(header):]
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, false, err
	}
	const errorPacket, protocol9, protocol10 = 0xff, 9, 10
	switch sequence := header[3]; {
	case body[0] == errorPacket: // the sequence of an error may be wrong
		// A # begins a state of five characters.
		if body[3] != '#' || len(body) >= 4+5 {
			return packet, false, nil
		}
	case sequence != 0:
	case body[0] == protocol9: // the driver refuses it
		return packet, false, nil
	case body[0] == protocol10:
		version := bytes.IndexByte(body[1:], 0)
		// The fields after the version are the connection's number (4 bytes), a
		// challenge (8), filler (1), capabilities (2), character set (1), status (2),
		// capabilities (2), length of the challenge (1), filler (10), and the rest of
		// the challenge (13).
		fields := body[1+version+1:]
		if version >= 0 && len(fields) >= 4+8+1+2+1+2+2+1+10+13 {
			const clientSSL = 1 << 11
			capabilities := binary.LittleEndian.Uint16(fields[4+8+1:])
			return packet, capabilities&clientSSL != 0, nil
		}
	}
	return nil, false, errNotMySQL
}
