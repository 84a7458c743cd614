// Package loopback finds addresses of this machine for servers that tests start.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The ports of FreeAddr are below those that systems give to a process that asks for port
// 0 and to outgoing connections (from 32768 on Linux, from 49152 elsewhere), so no other
// process gets one by chance before the test uses it.
const (
	firstPort = 10000
	ports     = 22000
)

// FreeAddr returns a TCP address (127.0.0.1:port) on which nothing listens. Use
// it only for a process that cannot listen on port 0.
func FreeAddr(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.N(ports))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatalf("no free port: %v", err)
	return ""
}
