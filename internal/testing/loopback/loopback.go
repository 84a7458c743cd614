// Package loopback finds addresses of this machine for servers that tests start.
package loopback

import (
	"net"
	"testing"
)

// FreeAddr returns a TCP address (127.0.0.1:port) on which nothing listens. Use
// it only for a process that cannot listen on port 0: another process may take
// the port first.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
