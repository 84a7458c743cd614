// Package service assembles apmapp from telemetry, the store and the HTTP
// surface. It starts and stops them in an order that loses no data.
//
// The steps of a stop are: readiness answers 503 → requests in flight end → the
// last counts are sent → the periodic job ends → the last profile is sent → the
// database is closed → the last traces are sent → the last log lines are written.
// Each step may still produce data that a later step sends.
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
	"apmapp/internal/doctor"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// Service is one instance of apmapp.
type Service struct {
	cfg      Config
	logger   *slog.Logger
	logs     logWriters
	listener *connections
	reporter *reporter
	draining atomic.Bool
}

// Listen binds the service's address, so that an address in use is an error before
// anything runs. The service writes its log to logs, and to the file and
// the receiver of cfg.
func Listen(ctx context.Context, cfg Config, logs io.Writer) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	to := logWriters{newLogWriter(logs, "standard output")}
	if cfg.LogFile != "" {
		file, err := openLogFile(cfg.LogFile, cfg.LogFileSize)
		if err != nil {
			return nil, fmt.Errorf("log-file: %w", err)
		}
		to = append(to, newLogWriter(file, cfg.LogFile))
	}
	if cfg.LogOTLP != "" {
		w := newLogWriter(newLogPost(cfg.LogOTLP), cfg.LogOTLP)
		// Another machine must not slow this one down.
		w.impatient = true
		to = append(to, w)
	}
	var bind net.ListenConfig
	listener, err := bind.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Addr, err)
	}
	s := newService(cfg, to)
	s.listener = limitConnections(listener, cfg.MaxConnections)
	return s, nil
}

func newService(cfg Config, logs logWriters) *Service {
	s := &Service{cfg: cfg, logs: logs}
	s.logger = telemetry.NewLogger(s.logs, cfg.Telemetry)
	s.reporter = newReporter(s.logger, s.logs)
	return s
}

// Addr returns the address that the service listens on.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Serve runs the service until ctx ends, then stops it. It returns nil if no step
// failed and no request was cut off. Call it once.
func (s *Service) Serve(ctx context.Context) error {
	defer s.logs.flush()
	s.logger.LogAttrs(ctx, slog.LevelInfo, "starting", s.cfg.attrs()...)
	// Telemetry starts first: a traced pool asks the tracer for the address of
	// DogStatsD when it is opened.
	before := environment()
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
	s.reporter.metrics = telemetry.StartMetrics(s.cfg.Telemetry, s.logger)
	stopReporter := start(background, s.reporter.run)
	// Beside the start, because an Agent that hangs takes seconds.
	stopDoctor := start(background, func(ctx context.Context) { doctor.AtStart(ctx, s.cfg.Doctor(before), s.logger) })
	server := s.newServer(visits)
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	s.logger.InfoContext(ctx, "listening", "addr", s.Addr().String())

	select {
	case <-ctx.Done():
		s.logger.InfoContext(ctx, "stopping")
		err = s.drain(background, server)
		<-served
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	}
	stopDoctor()
	stopReporter()
	s.reporter.metrics.Stop()
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
	cfg.Waited = telemetry.WaitedForConnection
	return store.Open(cfg)
}

func (s *Service) newServer(visits handlers.Visits) *http.Server {
	cfg := s.cfg.HTTP
	cfg.Visits, cfg.Logger, cfg.Telemetry, cfg.Draining = visits, s.logger, s.cfg.Telemetry, s.draining.Load
	cfg.Refused = func() { s.reporter.refused.Add(1) }
	cfg.Recorded = func() { s.reporter.metrics.Count(telemetry.VisitsRecorded, 1) }
	return &http.Server{
		Handler:     s.listener.handler(handlers.New(cfg)),
		ConnContext: s.listener.context,
		ConnState:   s.listener.state,
		ErrorLog:    slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
		// 16 KB are enough for the cookies and trace headers of an API's clients.
		// Each connection may cost that much memory.
		MaxHeaderBytes: 16 << 10,
		// A header arrives in one round trip. Five seconds allow for lost packets
		// of slow clients. Slower clients are an attack that holds connections.
		ReadHeaderTimeout: 5 * time.Second,
		// No ReadTimeout: it would end requests that run longer. No route reads a
		// body, and the handlers limit how long net/http waits for one.
		//
		// The work, then a few seconds for the client to receive the answer.
		WriteTimeout: cfg.MaxWait + cfg.RequestTimeout + 5*time.Second,
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
	server.RegisterOnShutdown(func() { s.listener.hangUp(ctx) })
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
		if n := s.listener.unanswered(); n > 0 {
			err = fmt.Errorf("requests were cut off after drain-timeout %s: %d had no answer", s.cfg.DrainTimeout, n)
		}
		err = errors.Join(err, server.Close())
	}
	return err
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
