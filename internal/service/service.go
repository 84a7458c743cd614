// Package service assembles apmapp from telemetry, the store and the HTTP
// surface. It starts and stops them in an order that loses no data.
//
// The steps of a stop are: readiness answers 503 → requests in flight end → the
// periodic job ends → the last profile is sent → the database is closed → the
// last traces are sent. Each step may still produce data that a later step sends.
package service

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// Service is one instance of apmapp.
type Service struct {
	cfg      Config
	logger   *slog.Logger
	listener net.Listener
	draining atomic.Bool
}

// Listen binds the service's address, so that an address in use is an error before
// anything runs. The service writes its log to logs.
func Listen(ctx context.Context, cfg Config, logs io.Writer) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var bind net.ListenConfig
	listener, err := bind.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Addr, err)
	}
	return &Service{cfg: cfg, logger: telemetry.NewLogger(logs, cfg.Telemetry), listener: listener}, nil
}

// Addr returns the address that the service listens on.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Serve runs the service until ctx ends, then stops it. It returns nil if no step
// failed and no request was cut off. Call it once.
func (s *Service) Serve(ctx context.Context) error {
	s.logger.LogAttrs(ctx, slog.LevelInfo, "starting", s.cfg.attrs()...)
	// Telemetry starts first: a traced pool asks the tracer for the address of
	// DogStatsD when it is opened.
	telemetry.Start(s.cfg.Telemetry, s.logger)
	visits, err := s.openStore()
	if err != nil {
		telemetry.StopProfiler()
		telemetry.StopTracer()
		return errors.Join(err, s.listener.Close())
	}
	// The store and the job outlive ctx: requests in flight need the store.
	background := context.WithoutCancel(ctx)
	stopStore := start(background, visits.Run)
	stopJob := start(background, func(ctx context.Context) {
		expire(ctx, visits, s.cfg, s.logger)
	})
	server := s.newServer(visits)
	served := make(chan error, 1)
	go func() { served <- server.Serve(clientErrors{s.listener}) }()
	s.logger.InfoContext(ctx, "listening", "addr", s.Addr().String())

	select {
	case <-ctx.Done():
		s.logger.InfoContext(ctx, "stopping")
		err = s.drain(background, server)
		<-served
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	}
	stopJob()
	telemetry.StopProfiler()
	stopStore()
	err = errors.Join(err, visits.Close())
	telemetry.StopTracer()
	s.logger.InfoContext(ctx, "stopped")
	return err
}

func (s *Service) openStore() (*store.Store, error) {
	cfg := s.cfg.Store
	cfg.Logger = s.logger
	cfg.OpenDB = func(connector driver.Connector) *sql.DB {
		return telemetry.OpenDB(s.cfg.Telemetry, cfg.MySQL, connector)
	}
	return store.Open(cfg)
}

func (s *Service) newServer(visits handlers.Visits) *http.Server {
	cfg := s.cfg.HTTP
	cfg.Visits, cfg.Logger, cfg.Telemetry, cfg.Draining = visits, s.logger, s.cfg.Telemetry, s.draining.Load
	return &http.Server{
		Handler:  handlers.New(cfg),
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
		// 16 KB are enough for the cookies and trace headers of an API's clients.
		// Each connection may cost that much memory.
		MaxHeaderBytes: 16 << 10,
		// A header arrives in one round trip. Five seconds allow for lost packets
		// of slow clients. Slower clients are an attack that holds connections.
		ReadHeaderTimeout: 5 * time.Second,
		// No route reads a body, so little follows the header.
		ReadTimeout: 10 * time.Second,
		// The work, then a few seconds for the client to receive the answer.
		WriteTimeout: cfg.RequestTimeout + 5*time.Second,
		// Longer than the 60 s for which load balancers keep idle connections. So
		// the balancer closes a connection first, and never sends a request on one
		// that the service has just closed.
		IdleTimeout: 2 * time.Minute,
	}
}

// drain stops the HTTP server. Requests in flight may take DrainTimeout to end.
func (s *Service) drain(ctx context.Context, server *http.Server) error {
	s.draining.Store(true)
	time.Sleep(s.cfg.DrainDelay)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off after drain-timeout %s: %w", s.cfg.DrainTimeout, err), server.Close())
	}
	return nil
}

// start runs f in a goroutine. The returned function ends f and waits for it.
func start(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}
