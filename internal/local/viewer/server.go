package viewer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"apmapp/internal/local/origin"
)

// DefaultAddr is the default address of the pages, next to the ports of an Agent.
const DefaultAddr = "127.0.0.1:8127"

// Server serves the pages.
type Server struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}
}

// Listen serves the pages on an address. If the address is in use, the error wraps
// syscall.EADDRINUSE.
func Listen(ctx context.Context, addr string, cfg Config, logger *slog.Logger) (*Server, error) {
	var bind net.ListenConfig
	listener, err := bind.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for pages on %s: %w", addr, err)
	}
	cfg.Hosts = origin.Named(cfg.Hosts, addr)
	if cfg.Logger == nil {
		cfg.Logger = logger
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

// Addr returns the address of the pages.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL returns the URL of the first page, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Trace returns the URL of a trace's page.
func (s *Server) Trace(id string) string { return s.URL() + "/t/" + id }

// Close closes all connections, also those that wait for events.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.served
	return err
}
