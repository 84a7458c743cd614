package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// The addresses at which SDKs expect a collector.
const (
	DefaultGRPC = "127.0.0.1:4317"
	DefaultHTTP = "127.0.0.1:4318"
)

// Config configures a Server.
type Config struct {
	// GRPC and HTTP accept connections; nil is switched off.
	GRPC, HTTP net.Listener
	// Hosts are names that browsers may use for the agent, in lower case.
	Hosts    []string
	Receiver *Receiver
	// Before is called before each request is decoded, Accepted after each that was
	// accepted. Either may be nil.
	Before   func()
	Accepted func(Request)
	Logger   *slog.Logger
}

// Request is a request that was accepted, in the form of HTTP and without compression.
type Request struct {
	Path, ContentType string
	Body              []byte
}

// door is a receiver with the functions that observe requests.
type door struct {
	*Receiver
	before   func()
	accepted func(Request)
}

// open receives a request.
func (d door) open(ctx context.Context, s signal, f format, body []byte) ([]byte, error) {
	if d.before != nil {
		d.before()
	}
	answer, err := d.receive(ctx, s, f, body)
	if err == nil && d.accepted != nil {
		d.accepted(Request{s.path, f.contentType(), body})
	}
	return answer, err
}

// Server serves a receiver over gRPC and HTTP.
type Server struct {
	grpc    *grpc.Server
	http    *http.Server
	running sync.WaitGroup
}

// Serve starts a server.
func Serve(cfg Config) *Server {
	s := &Server{}
	d := door{cfg.Receiver, cfg.Before, cfg.Accepted}
	if cfg.GRPC != nil {
		s.grpc = d.grpc(cfg.Hosts)
		s.running.Go(func() { _ = s.grpc.Serve(cfg.GRPC) })
	}
	if cfg.HTTP != nil {
		s.http = &http.Server{
			Handler:           d.local(cfg.Hosts, d.http()),
			ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
			ReadHeaderTimeout: 5 * time.Second,  // clients are on this machine
			ReadTimeout:       30 * time.Second, // as for traces of Datadog's tracers
			IdleTimeout:       2 * time.Minute,  // SDKs export metrics every minute
		}
		s.running.Go(func() { _ = s.http.Serve(cfg.HTTP) })
	}
	return s
}

// Close stops the server after it has answered all requests, at the latest when ctx
// ends.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	if s.http != nil {
		if err := s.http.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop OTLP over HTTP: %w", err), s.http.Close())
		}
	}
	if s.grpc != nil {
		// Clients keep their connections: without this, it would wait for them.
		stop := context.AfterFunc(ctx, s.grpc.Stop)
		s.grpc.GracefulStop()
		stop()
	}
	s.running.Wait()
	return errors.Join(errs...)
}
