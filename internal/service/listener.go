package service

import (
	"bytes"
	"net"
)

// clientErrors is a listener that changes two answers to 400. net/http answers
// some malformed requests itself, before any handler. For two of them its status
// blames the server: 501 for an unknown Transfer-Encoding, 505 for an unknown HTTP
// version. Anyone can send such requests, so an alert on 5xx must not fire for
// them. Other malformed requests get a 400 too.
type clientErrors struct{ net.Listener }

func (l clientErrors) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return clientErrorsConn{tcp}, err
	}
	return conn, err
}

// clientErrorsConn embeds the TCP connection for its CloseWrite: net/http calls it
// so that a client can read the answer.
type clientErrorsConn struct{ *net.TCPConn }

var serverErrors = [][]byte{
	[]byte("HTTP/1.1 501 "),
	[]byte("HTTP/1.1 505 "),
}

var badRequest = []byte("HTTP/1.1 400 Bad Request\r\n")

// Write sends p. net/http writes such an answer in one call.
func (c clientErrorsConn) Write(p []byte) (int, error) {
	for _, serverError := range serverErrors {
		if bytes.HasPrefix(p, serverError) {
			_, rest, _ := bytes.Cut(p, []byte("\r\n"))
			if _, err := c.TCPConn.Write(append(bytes.Clone(badRequest), rest...)); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	return c.TCPConn.Write(p)
}
