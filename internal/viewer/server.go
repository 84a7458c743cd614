package viewer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// DefaultAddr is where the pages are, next to the ports of an Agent.
const DefaultAddr = "127.0.0.1:8127"

// Server serves the pages.
type Server struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}
}

// Listen serves the pages on an address. One that is taken is an error that
// wraps syscall.EADDRINUSE.
func Listen(ctx context.Context, addr string, cfg Config, logger *slog.Logger) (*Server, error) {
	var bind net.ListenConfig
	listener, err := bind.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for browsers on %s: %w", addr, err)
	}
	s := &Server{
		listener: listener,
		server: &http.Server{
			Handler:           New(cfg),
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
			ReadHeaderTimeout: 5 * time.Second, // browsers are on this machine
		},
		served: make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(listener)
	}()
	return s, nil
}

// Addr is where the pages are.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is that of the first page, without a slash at its end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Trace is the URL of a trace's page.
func (s *Server) Trace(id string) string { return s.URL() + "/t/" + id }

// Close ends all pages, those that wait for events too.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.served
	return err
}
