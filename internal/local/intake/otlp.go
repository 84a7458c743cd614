package intake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"apmapp/internal/local/origin"
	"apmapp/internal/local/otlp"
	"apmapp/internal/local/wire"
)

// The addresses at which SDKs of OpenTelemetry expect a collector.
const (
	DefaultOTLPGRPC = otlp.DefaultGRPC
	DefaultOTLPHTTP = otlp.DefaultHTTP
)

// OTLPAddr is an address for OpenTelemetry.
type OTLPAddr struct {
	// Flag names the address in errors.
	Flag string
	// Addr is a host:port; "" switches it off.
	Addr string
	// Optional means that the agent starts without the address if another process
	// uses it.
	Optional bool
}

// OTLP accepts connections of OpenTelemetry's SDKs. A nil listener is switched off. The
// agent closes the listeners.
type OTLP struct {
	GRPC, HTTP net.Listener
	hosts      []string // in the addresses, for browsers
}

// ListenOTLP listens on two addresses. Warn receives the error of an optional one that
// is in use.
func ListenOTLP(grpc, http OTLPAddr, warn func(error)) (o OTLP, err error) {
	o.hosts = origin.Named(origin.Named(nil, grpc.Addr), http.Addr)
	if o.GRPC, err = grpc.listen(warn); err != nil {
		return OTLP{}, err
	}
	if o.HTTP, err = http.listen(warn); err != nil {
		return OTLP{}, errors.Join(err, o.close())
	}
	return o, nil
}

func (a OTLPAddr) listen(warn func(error)) (net.Listener, error) {
	if a.Addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", a.Addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE) && a.Optional:
		warn(fmt.Errorf("another process, perhaps a collector, uses %s: starting without it; choose another address with -%s", a.Addr, a.Flag))
		return nil, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("-%s: another process, perhaps a collector, uses %s; choose another one: %w", a.Flag, a.Addr, err)
	}
	return nil, fmt.Errorf("-%s: %w", a.Flag, err)
}

func (o OTLP) close() error {
	var errs []error
	for _, l := range []net.Listener{o.GRPC, o.HTTP} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// OTLPGRPC returns the address for OTLP over gRPC, nil without one.
func (a *Agent) OTLPGRPC() net.Addr { return addrOf(a.cfg.OTLP.GRPC) }

// OTLPHTTP returns the address for OTLP over HTTP, nil without one.
func (a *Agent) OTLPHTTP() net.Addr { return addrOf(a.cfg.OTLP.HTTP) }

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// startOTLP starts to receive what SDKs of OpenTelemetry send.
func (a *Agent) startOTLP() error {
	spans, err := a.core.OTLP()
	if err != nil {
		return err
	}
	accepted := newPayloads()
	receiver := otlp.NewReceiver(otlp.Sink{
		Repeated: func(path string, body []byte) bool {
			if !accepted.know(path, body) {
				return false
			}
			a.cfg.Received.Duplicate()
			return true
		},
		Accepted: accepted.remember,
		Traces:   func(ctx context.Context, traces ptrace.Traces) error { return spans.Receive(ctx, traces) },
		Logs: func(lines []wire.Log) {
			for _, l := range lines {
				a.cfg.Store.AddLog(l)
			}
		},
		Metrics: func(samples []wire.Sample) { a.cfg.Store.AddDatagram(wire.Datagram{Samples: samples}) },
		Refused: func(signal, reason string, n int) {
			a.cfg.Received.Refused(strings.TrimSpace("OTLP "+signal)+": "+reason, n)
		},
	}, a.cfg.Logger, a.cfg.Store.Now)
	a.otlpReplay = receiver.Handler()
	a.otlp = otlp.Serve(otlp.Config{
		GRPC: a.cfg.OTLP.GRPC, HTTP: a.cfg.OTLP.HTTP, Hosts: a.cfg.OTLP.hosts, Receiver: receiver, Logger: a.cfg.Logger,
		Before:   a.cfg.Store.Live,
		Accepted: a.acceptedOTLP,
	})
	return nil
}

// acceptedOTLP counts a request, also one of gRPC, and passes it to the taps.
func (a *Agent) acceptedOTLP(r otlp.Request) {
	now := a.cfg.Store.Now()
	a.cfg.Received.Request(&http.Request{Method: http.MethodPost, URL: &url.URL{Path: r.Path}}, http.StatusOK, "", now)
	for _, t := range a.cfg.Taps {
		t.Hear(Event{Time: now, Kind: Request, Method: http.MethodPost, Path: r.Path, Header: http.Header{"Content-Type": {r.ContentType}}, Body: r.Body})
	}
}

// isOTLP reports whether a request is of OpenTelemetry.
func isOTLP(path string) bool { return slices.Contains(otlp.Paths(), path) }
