package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"syscall"

	"apmapp/docs/runbooks"
	"apmapp/internal/local/checks"
	"apmapp/internal/local/definitions"
	"apmapp/internal/local/intake"
	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
	"apmapp/internal/local/viewer"
	"apmapp/internal/local/wire"
)

// serve runs the agent and its pages until ctx ends.
func serve(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	limitMemory(o.budget)
	kept, counters := store.New(o.budget), received.New()
	taps, closeTaps, err := o.taps()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTaps()) }()
	otlp, err := intake.ListenOTLP(o.otlpGRPC, o.otlpHTTP, func(err error) { fmt.Fprintf(stderr, "localagent: %v\n", err) })
	if err != nil {
		return err
	}
	agent, err := intake.Start(intake.Config{
		Addr: o.addr, DogStatsD: o.dogstatsd, Socket: o.socket, DogStatsDSocket: o.dogstatsdSocket,
		OTLP: otlp, Store: kept, Received: counters, Taps: taps, Logger: logger})
	if err != nil {
		return taken(err)
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	// Before a recording: from here on the metrics that definitions read are kept.
	defined, err := o.define(kept, stdout, stderr)
	if err != nil {
		return err
	}
	lines := intake.NewLogWriter(kept)
	if o.replay != "" {
		if err := replay(agent, o.replay, stderr); err != nil {
			return err
		}
	}
	collected := ""
	if o.checks != "" {
		running, err := checks.Start(checks.Config{
			Files: os.DirFS(o.checks), System: true,
			Add: func(d wire.Datagram) {
				if _, replayed := kept.Recording(); !replayed { // its time is not the present
					kept.AddDatagram(d)
				}
			},
			Warn: func(err error) { fmt.Fprintf(stderr, "localagent: %v\n", err) },
		})
		if err != nil {
			return fmt.Errorf("-checks %s: %w", o.checks, err)
		}
		defer running.Close()
		collected = running.String()
	}
	waiting := "To send traces, start a program with DD_TRACE_AGENT_URL=http://" + agent.Addr().String() + ". For log lines, start localagent with -logs."
	pages, err := viewer.Listen(ctx, o.pages, viewer.Config{Store: kept, Received: counters, Hosts: o.hosts, Waiting: waiting, Inputs: viewer.NewInputs(agent.Addr(), agent.DogStatsD(), agent.OTLPHTTP()), Definitions: defined, Runbooks: runbooks.Files}, logger)
	if err != nil {
		return taken(err)
	}
	defer func() { err = errors.Join(err, pages.Close()) }()
	agent.SetPages(pages.Addr())
	if defined != nil {
		if err := defined.Start(pages.URL()); err != nil {
			return err
		}
		defer defined.Close()
	}

	fmt.Fprintf(stdout, "pages    %s\n", pages.URL())
	fmt.Fprintf(stdout, "traces   DD_TRACE_AGENT_URL=http://%s\n", agent.Addr())
	if o.socket != "" {
		fmt.Fprintf(stdout, "         DD_TRACE_AGENT_URL=unix://%s\n", o.socket)
	}
	fmt.Fprintf(stdout, "metrics  %s over UDP\n", agent.DogStatsD())
	if o.dogstatsdSocket != "" {
		fmt.Fprintf(stdout, "         unix://%s\n", o.dogstatsdSocket)
	}
	label := "otlp     "
	for _, by := range []struct {
		addr      net.Addr
		transport string
	}{{agent.OTLPHTTP(), "HTTP"}, {agent.OTLPGRPC(), "gRPC"}} {
		if by.addr != nil {
			fmt.Fprintf(stdout, "%sOTEL_EXPORTER_OTLP_ENDPOINT=http://%s over %s\n", label, by.addr, by.transport)
			label = "         "
		}
	}
	if collected != "" {
		fmt.Fprintf(stdout, "checks   %s\n", collected)
	}
	for _, addr := range []net.Addr{agent.Addr(), agent.DogStatsD(), agent.OTLPGRPC(), agent.OTLPHTTP(), pages.Addr()} {
		if addr == nil {
			continue
		}
		if host, _, err := net.SplitHostPort(addr.String()); err == nil && !net.ParseIP(host).IsLoopback() {
			fmt.Fprintf(stderr, "localagent: other machines can reach %s, and there is no login\n", addr)
		}
	}
	if o.logs == "" {
		<-ctx.Done()
		return nil
	}
	fmt.Fprintf(stdout, "logs     %s\n", o.logs)
	return follow(ctx, o.logs, stdin, intake.TapWriter{W: lines, Taps: taps})
}

// define loads the definitions; nil without any.
func (o options) define(kept *store.Store, stdout, stderr io.Writer) (*definitions.Definitions, error) {
	if !o.defined.Given() {
		return nil, nil
	}
	var files fs.FS
	if o.checks != "" {
		files = os.DirFS(o.checks)
	}
	name, tags, err := checks.Host(files, o.env)
	if err != nil {
		return nil, err
	}
	warn := func(err error) { fmt.Fprintf(stderr, "localagent: %v\n", err) }
	return o.defined.Load(definitions.Config{Env: o.env, Service: o.service, Host: store.Host{Name: name, Tags: tags}, Store: kept}, stdout, warn)
}

// taps opens the outputs of -record and -forward and returns a function that
// closes them.
func (o options) taps() (taps []intake.Tap, end func() error, err error) {
	var ends []func() error
	end = func() error {
		var errs []error
		for _, f := range ends {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	if o.record != "" {
		f, err := os.OpenFile(o.record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("-record: %w", err)
		}
		r := intake.NewRecorder(f)
		taps = append(taps, r)
		ends = append(ends, func() error { return errors.Join(r.Err(), f.Close()) })
	}
	if o.forward != "" {
		to, err := url.Parse(o.forward)
		if err != nil {
			return nil, nil, errors.Join(errors.New("-forward: not a URL"), end())
		}
		f, err := intake.NewForwarder(to)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("-forward: %w", err), end())
		}
		taps = append(taps, f)
		ends = append(ends, func() error {
			err := f.Close()
			if n := f.Dropped(); n > 0 {
				err = errors.Join(err, fmt.Errorf("-forward: %d requests or packets did not reach %s", n, to.Redacted()))
			}
			return err
		})
	}
	return taps, end, nil
}

func replay(agent *intake.Agent, name string, stderr io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("-replay: %w", err)
	}
	defer f.Close()
	skipped, err := agent.Replay(f)
	if errors.Is(err, intake.ErrCut) {
		fmt.Fprintf(stderr, "localagent: -replay: %s: %v\n", name, err)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("-replay: %s: %w", name, err)
	}
	if skipped.Requests > 0 {
		fmt.Fprintf(stderr, "localagent: -replay: %s: %d requests skipped, the first is %v\n", name, skipped.Requests, skipped.First)
	}
	return nil
}

// follow reads log lines until ctx ends. Standard input may end earlier.
func follow(ctx context.Context, name string, stdin io.Reader, w io.Writer) error {
	if name != "-" {
		return intake.Follow(ctx, name, w)
	}
	ended := make(chan error, 1)
	go func() { // a read from a terminal cannot be canceled
		_, err := io.Copy(w, stdin)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("-logs: %w", err)
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}

// taken adds what to do if another process uses an address.
func taken(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another process, perhaps an Agent, uses it; choose others with -addr, -dogstatsd and -pages", err)
	}
	return err
}
