package service

import (
	"bytes"
	"net"
)

// politeListener corrects the two answers that net/http gives, before any
// handler is asked, with a status that blames the server for what the client
// sent: 501 for an unknown Transfer-Encoding, 505 for an HTTP version that it
// does not speak. Anyone can send these, and an alert on 5xx should not wake
// people for them; they become the 400 that other malformed requests get.
type politeListener struct{ net.Listener }

func (l politeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return politeConn{tcp}, err
	}
	return conn, err
}

// politeConn embeds the TCP connection, whose CloseWrite net/http uses so that
// a client can read the refusal.
type politeConn struct{ *net.TCPConn }

var refusals = [][]byte{
	[]byte("HTTP/1.1 501 "),
	[]byte("HTTP/1.1 505 "),
}

var badRequest = []byte("HTTP/1.1 400 Bad Request\r\n")

// Write sends p. net/http writes a refusal in one piece.
func (c politeConn) Write(p []byte) (int, error) {
	for _, refusal := range refusals {
		if bytes.HasPrefix(p, refusal) {
			_, rest, _ := bytes.Cut(p, []byte("\r\n"))
			if _, err := c.TCPConn.Write(append(bytes.Clone(badRequest), rest...)); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	return c.TCPConn.Write(p)
}
