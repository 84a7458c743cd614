// Command localagent stands in the Datadog Agent's place, for one machine: it
// takes traces, profiles, DogStatsD metrics and log lines of any program that
// Datadog traces, and shows them as pages. It needs no account and sends nothing
// anywhere.
//
//	go run ./cmd/localagent -logs service.log
//
// It exits with 0 when it was interrupted, 1 when something failed, and 2 when
// its command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"apmapp/internal/localagent"
	"apmapp/internal/viewer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal gives the next one its default meaning back.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	addr, dogstatsd, pages, logs string
	socket, dogstatsdSocket      string
	hosts                        []string // names that the pages answer to
	record, replay, forward      string
	mb                           uint
	budget                       int64 // of mb, in bytes
}

func flags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("localagent", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.addr, "addr", localagent.DefaultAddr, "`host:port` that takes traces and profiles")
	fs.StringVar(&o.dogstatsd, "dogstatsd", localagent.DefaultDogStatsD, "`host:port` that takes metrics, over UDP")
	fs.StringVar(&o.socket, "socket", "", "`path` of a UNIX socket that takes traces and profiles, too")
	fs.StringVar(&o.dogstatsdSocket, "dogstatsd-socket", "", "`path` of a UNIX socket that takes metrics, too")
	fs.StringVar(&o.pages, "pages", viewer.DefaultAddr, "`host:port` of the pages")
	fs.Func("pages-host", "`name` that browsers know this machine by, if not an address or localhost; several with commas", func(names string) error {
		o.hosts = strings.Split(strings.ToLower(names), ",")
		return nil
	})
	fs.StringVar(&o.logs, "logs", "", "`file` of log lines to follow, or - for standard input")
	fs.StringVar(&o.record, "record", "", "`file` to write all that comes to, for -replay")
	fs.StringVar(&o.replay, "replay", "", "`file` of -record to take first")
	fs.StringVar(&o.forward, "forward", "", "`URL` of another Agent to pass all on to, but logs")
	fs.UintVar(&o.mb, "memory", 128, "`MB` to keep at most")
	return fs
}

func parse(args []string) (options, error) {
	var o options
	fs := flags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	for name, addr := range map[string]string{"addr": o.addr, "dogstatsd": o.dogstatsd, "pages": o.pages} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return o, fmt.Errorf("-%s: %q is not host:port", name, addr)
		}
	}
	var err error
	if o.budget, err = localagent.Budget(o.mb); err != nil {
		return o, fmt.Errorf("-memory: %w", err)
	}
	return o, nil
}

// run is the program but for its process: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "localagent: %v\nRun localagent -help for all flags.\n", err)
		return 2
	}
	if err := serve(ctx, o, stdin, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "localagent: %v\n", err)
		return 1
	}
	return 0
}

func usage() string {
	var b strings.Builder
	b.WriteString("localagent takes what Datadog's tracers send, and shows it as pages.\n\n")
	fs := flags(&options{})
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return b.String()
}

func serve(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store := localagent.NewStore(o.budget)
	taps, closeTaps, err := o.taps()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTaps()) }()
	agent, err := localagent.Start(localagent.Config{
		Addr: o.addr, DogStatsD: o.dogstatsd, Socket: o.socket, DogStatsDSocket: o.dogstatsdSocket,
		Store: store, Taps: taps, Logger: logger})
	if err != nil {
		return taken(err)
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	lines := localagent.NewLogWriter(store)
	if o.replay != "" {
		if err := replay(agent, o.replay, lines); err != nil {
			return err
		}
	}
	waiting := "A program sends them with DD_TRACE_AGENT_URL=http://" + agent.Addr().String() + "; log lines come with -logs."
	pages, err := viewer.Listen(ctx, o.pages, viewer.Config{Store: store, Hosts: o.hosts, Waiting: waiting}, logger)
	if err != nil {
		return taken(err)
	}
	defer func() { err = errors.Join(err, pages.Close()) }()

	fmt.Fprintf(stdout, "pages    %s\n", pages.URL())
	fmt.Fprintf(stdout, "traces   DD_TRACE_AGENT_URL=http://%s\n", agent.Addr())
	if o.socket != "" {
		fmt.Fprintf(stdout, "         DD_TRACE_AGENT_URL=unix://%s\n", o.socket)
	}
	fmt.Fprintf(stdout, "metrics  %s over UDP\n", agent.DogStatsD())
	if o.dogstatsdSocket != "" {
		fmt.Fprintf(stdout, "         unix://%s\n", o.dogstatsdSocket)
	}
	for _, addr := range []net.Addr{agent.Addr(), agent.DogStatsD(), pages.Addr()} {
		if host, _, err := net.SplitHostPort(addr.String()); err == nil && !net.ParseIP(host).IsLoopback() {
			fmt.Fprintf(stderr, "localagent: %s is open to other machines, and asks nobody who they are\n", addr)
		}
	}
	if o.logs == "" {
		<-ctx.Done()
		return nil
	}
	fmt.Fprintf(stdout, "logs     %s\n", o.logs)
	return follow(ctx, o.logs, stdin, localagent.TapWriter{W: lines, Taps: taps})
}

// taps returns who else hears of what comes, and how to end that.
func (o options) taps() (taps []localagent.Tap, end func() error, err error) {
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
		r := localagent.NewRecorder(f)
		taps = append(taps, r)
		ends = append(ends, func() error { return errors.Join(r.Err(), f.Close()) })
	}
	if o.forward != "" {
		to, err := url.Parse(o.forward)
		if err != nil {
			return nil, nil, errors.Join(errors.New("-forward: not a URL"), end())
		}
		f, err := localagent.NewForwarder(to)
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

func replay(agent *localagent.Agent, name string, lines io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("-replay: %w", err)
	}
	defer f.Close()
	if err := agent.Replay(f, lines); err != nil {
		return fmt.Errorf("-replay: %s: %w", name, err)
	}
	return nil
}

// follow takes log lines until ctx ends; standard input may end before.
func follow(ctx context.Context, name string, stdin io.Reader, w io.Writer) error {
	if name != "-" {
		return localagent.Follow(ctx, name, w)
	}
	ended := make(chan error, 1)
	go func() { // a read of a terminal cannot be called off
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

// taken says what to do about an address that is taken.
func taken(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; perhaps by an Agent, -addr, -dogstatsd and -pages give others", err)
	}
	return err
}
