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
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n": "400 Bad Request",
		"GET / HTTP/9.9\r\nHost: h\r\n\r\n":                            "400 Bad Request",
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n":                            "404 Not Found",
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil || resp.Status != want {
			t.Errorf("%q: %s, %v, want %s", request, resp.Status, err, want)
		}
		conn.Close()
	}
}
