package intake

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"apmapp/internal/local/store"
)

// An Agent that has left refuses connections. After Return it serves its addresses and its
// socket again.
func TestLeaveAndReturn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "apm.socket")
	s := store.New(0)
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Socket: socket, Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	places := map[string]string{"tcp": a.Addr().String(), "unix": socket}
	reach := func(network string) error {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, places[network])
		}}}
		resp, err := client.Get("http://agent/info")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for range 2 {
		if err := a.Leave(); err != nil {
			t.Fatal(err)
		}
		for network := range places {
			if err := reach(network); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
				t.Errorf("%s after Leave: %v, want that nothing listens", network, err)
			}
		}
		taken, err := net.Listen("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Return(); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Return to an address in use: %v", err)
		}
		taken.Close()
		if err := a.Return(); err != nil {
			t.Fatal(err)
		}
		for network := range places {
			if err := reach(network); err != nil {
				t.Errorf("%s after Return: %v", network, err)
			}
		}
	}
	metrics, err := net.Dial("udp", a.DogStatsD().String())
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Close()
	awaitMetric(t, s, metrics)
}
