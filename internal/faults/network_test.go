package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// A cut breaks the connections and refuses new ones, by the kernel. Those of others stay.
func TestNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	var dialed atomic.Int32
	cfg := mysql.NewConfig()
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	n := new(Network)
	through := n.Through(cfg)
	dial := func(of *mysql.Config) (net.Conn, error) {
		return of.DialFunc(t.Context(), "tcp", l.Addr().String())
	}
	direct, err := dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	var open []net.Conn
	for range 3 {
		conn, err := dial(through)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := conn.(syscall.Conn).SyscallConn(); err != nil || raw == nil {
			t.Errorf("the driver cannot look at the connection: %v", err)
		}
		open = append(open, conn)
	}
	if err := open[0].Close(); err != nil || len(n.conns) != 2 {
		t.Errorf("%d connections are kept after one was closed: %v", len(n.conns), err)
	}
	if err := n.Cut(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range open[1:] {
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a connection is not cut: %v", err)
		}
	}
	if _, err := direct.Write([]byte("x")); err != nil {
		t.Errorf("a connection of others is cut: %v", err)
	}
	if _, err := dial(through); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v, want that it is refused", err)
	}
	n.Mend()
	conn, err := dial(through)
	if err != nil {
		t.Fatalf("after Mend: %v", err)
	}
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Error(err)
	}
	if dialed.Load() != 6 {
		t.Errorf("the configuration's own function dialed %d times, want 6", dialed.Load())
	}
	// A connection that is made during a cut is cut too.
	late := n.Through(&mysql.Config{DialFunc: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return conn, errors.Join(err, n.Cut())
	}})
	if conn, err = dial(late); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that was made during the cut: %v", err)
	}
}
