package client

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
)

// target is a service whose connections are handled one by one.
type target struct {
	url         string
	connections atomic.Int64
}

// answering calls answer for each connection, after the first request on it, and
// then closes the connection.
func answering(t *testing.T, answer func(*net.TCPConn)) *target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		open    []net.Conn
	)
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	target := &target{url: "http://" + listener.Addr().String()}
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			target.connections.Add(1)
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 4096)); err == nil {
					answer(conn.(*net.TCPConn))
				}
			})
		}
	})
	return target
}

// says writes text.
func says(text string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { io.WriteString(c, text) }
}

// newContext returns a context of the test that end ends.
func newContext(t *testing.T) (ctx context.Context, end func()) {
	ctx, end = context.WithCancel(t.Context())
	t.Cleanup(end)
	return ctx, end
}

// testProcess runs one test in a process of its own, with more environment.
func testProcess(t *testing.T, name string, env ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
