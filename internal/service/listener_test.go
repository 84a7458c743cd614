package service

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

func TestMalformedRequestsAreClientErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(clientErrors{listener})
	defer server.Close()
	for _, c := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "400 Bad Request"},
		{"GET / HTTP/9.9\r\nHost: h\r\n\r\n", "400 Bad Request"},
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found"},
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, c.request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", c.request, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil || resp.Status != c.want {
			t.Errorf("%q: %s, %v, want %s", c.request, resp.Status, err, c.want)
		}
		conn.Close()
	}
}

// Write counts the bytes of its argument, also when it sends another status.
func TestWriteReturnsTheLength(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := clientErrors{listener}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	const answer = "HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n\r\n"
	if n, err := conn.Write([]byte(answer)); n != len(answer) || err != nil {
		t.Errorf("wrote %d, %v, want %d", n, err, len(answer))
	}
	conn.Close()
	if n, err := conn.Write([]byte(answer)); n != 0 || err == nil {
		t.Errorf("on a closed connection: wrote %d, %v, want an error", n, err)
	}
	got, err := io.ReadAll(client)
	if want := "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"; string(got) != want || err != nil {
		t.Errorf("sent %q, %v, want %q", got, err, want)
	}
	listener.Close()
	if conn, err := (clientErrors{listener}).Accept(); conn != nil || err == nil {
		t.Errorf("a closed listener accepts %v, %v", conn, err)
	}
}
