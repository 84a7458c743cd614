// Package service puts apmapp together: telemetry around a store and the HTTP
// surface on top, started and stopped in the order that loses nothing.
//
// Stopping goes: readiness says no → requests in flight end → the periodic job
// ends → the last profile is sent → the database is closed → the last traces
// are sent. Each step may still emit what the next one carries away.
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

// Listen binds the service's address, so that one that cannot be had is known
// before anything runs. The service logs to logs.
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

// Addr is the address that the service listens on.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Serve runs the service until ctx ends, then stops it. It returns nil when
// everything ended as it should; it may be called once.
func (s *Service) Serve(ctx context.Context) error {
	s.logger.LogAttrs(ctx, slog.LevelInfo, "starting", s.cfg.attrs()...)
	// First of all: what is traced asks the tracer where to send its metrics
	// when it is made.
	if err := telemetry.Start(s.cfg.Telemetry, s.logger); err != nil {
		return errors.Join(fmt.Errorf("start telemetry: %w", err), s.listener.Close())
	}
	visits, err := s.openStore()
	if err != nil {
		telemetry.StopProfiler()
		telemetry.StopTracer()
		return errors.Join(err, s.listener.Close())
	}
	// What serves requests outlives ctx: requests in flight still need it.
	background := context.WithoutCancel(ctx)
	stopStore := start(background, visits.Run)
	stopJob := start(background, func(ctx context.Context) {
		expire(ctx, visits, s.cfg, s.logger)
	})
	server := s.newServer(visits)
	served := make(chan error, 1)
	go func() { served <- server.Serve(politeListener{s.listener}) }()
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
		// A header of 16 KB holds every cookie and trace header that clients of
		// an API send; each connection may make the service hold that much.
		MaxHeaderBytes: 16 << 10,
		// A header arrives in one round trip; five seconds are slow clients'
		// lost packets. What is slower is an attack that holds connections.
		ReadHeaderTimeout: 5 * time.Second,
		// No route reads a body, so there is little to wait for behind it.
		ReadTimeout: 10 * time.Second,
		// The work, and then a few seconds to take the answer.
		WriteTimeout: cfg.RequestTimeout + 5*time.Second,
		// Longer than the 60 s that load balancers keep idle connections, so
		// that they, not the service, close one: no request meets a closed one.
		IdleTimeout: 2 * time.Minute,
	}
}

// drain ends the HTTP server. Requests in flight have DrainTimeout to end.
func (s *Service) drain(ctx context.Context, server *http.Server) error {
	s.draining.Store(true)
	time.Sleep(s.cfg.DrainDelay)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off after %s: %w", s.cfg.DrainTimeout, err), server.Close())
	}
	return nil
}

// start runs f beside the caller; the returned function ends it and waits.
func start(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}
