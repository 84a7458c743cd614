package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealthcheck(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s, want /healthz", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	if code, _, stderr := execute(t, nil, "-healthcheck", "-addr", addr); code != 0 || stderr != "" {
		t.Errorf("200: exit status %d, %q; want 0", code, stderr)
	}
	for _, c := range []struct {
		status int
		want   string
	}{{204, "204 No Content"}, {404, "404 Not Found"}, {503, "503 Service Unavailable"}} {
		status = c.status
		code, stdout, stderr := execute(t, nil, "-healthcheck", "-addr", addr)
		if want := "apmapp: http://" + addr + "/healthz answered " + c.want + "\n"; code != 1 || stderr != want || stdout != "" {
			t.Errorf("%d: exit status %d, %q; want 1, %q", c.status, code, stderr, want)
		}
	}
	server.Close()
	if code, _, stderr := execute(t, nil, "-healthcheck", "-addr", addr); code != 1 || !strings.Contains(stderr, addr) {
		t.Errorf("no service: exit status %d, %q; want 1", code, stderr)
	}
}

// dialer replaces the network of the health check during a test.
func dialer(t *testing.T, dial func(addr string) (net.Conn, error)) {
	t.Cleanup(func() { http.DefaultClient.Transport = nil })
	http.DefaultClient.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		return dial(addr)
	}}
}

// A service that listens on all addresses is asked on localhost.
func TestHealthcheckAddress(t *testing.T) {
	for _, c := range []struct{ listen, ask string }{
		{":5050", "localhost:5050"},
		{"0.0.0.0:5050", "localhost:5050"},
		{"[::]:5050", "localhost:5050"},
		{"127.0.0.1:5050", "127.0.0.1:5050"},
		{"[::1]:5050", "[::1]:5050"},
		{"db.example:80", "db.example:80"},
	} {
		var asked string
		dialer(t, func(addr string) (net.Conn, error) {
			asked = addr
			return nil, net.ErrClosed
		})
		if err := healthcheck(t.Context(), c.listen); !errors.Is(err, net.ErrClosed) || asked != c.ask {
			t.Errorf("%s: asked %s (%v), want %s", c.listen, asked, err, c.ask)
		}
	}
	if err := healthcheck(t.Context(), "localhost"); err == nil {
		t.Error("an address without a port is accepted")
	}
}

func TestHealthcheckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialer(t, func(string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, server) }() // never answers
			return client, nil
		})
		start := time.Now()
		err := healthcheck(t.Context(), ":5050")
		if got := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || got != 5*time.Second {
			t.Errorf("%v after %s, want a deadline after 5s", err, got)
		}
	})
}
