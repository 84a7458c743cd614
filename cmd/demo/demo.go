package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"apmapp/internal/build"
	_ "apmapp/internal/ddenv/noreports" // a demo reports nothing to Datadog
	"apmapp/internal/faults"
	"apmapp/internal/local/intake"
	"apmapp/internal/mysqld"
	"apmapp/internal/service"
	"apmapp/internal/telemetry"
	"apmapp/loadgen/client"
	"apmapp/loadgen/metrics"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// settings are environment variables that a demo sets unless they are set. The
// tracer and the profiler read them.
var settings = map[string]string{
	"DD_ENV": "demo",
	// The tracer's startup banner is noise here.
	"DD_TRACE_STARTUP_LOGS": "false",
}

// demo starts the local agent, the database, the service and traffic. It stops
// them in the opposite order when the schedule or ctx ends.
func demo(ctx context.Context, o options, stdout, stderr, live io.Writer) (err error) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if _, set := os.LookupEnv(name); !set {
			if err := os.Setenv(name, settings[name]); err != nil {
				return err
			}
		}
	}
	if o.service.Telemetry.Env == "" {
		o.service.Telemetry.Env = settings["DD_ENV"]
	}
	limitMemory(o.memory)
	// All files of the demo: its log, and a database that it starts.
	dir, err := os.MkdirTemp("", "apmapp-demo-*")
	if err != nil {
		return err
	}
	logs, err := createLog(filepath.Join(dir, "demo.log"), maxLogFile)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		err = errors.Join(err, logs.Close())
		if err != nil {
			err = fmt.Errorf("%w; see the log: %s", err, logs.path)
		} else {
			err = os.RemoveAll(dir)
		}
	}()

	serviceLogs := io.Writer(logs)
	warn := func(err error) { fmt.Fprintf(stderr, "demo: %v\n", err) }
	runner := faults.New(o.faultLength)
	local, err := startLocal(ctx, o, runner, slog.New(slog.NewTextHandler(logs, nil)), stdout, warn)
	if err != nil {
		return err
	}
	if local != nil {
		defer func() { err = errors.Join(err, local.close()) }()
		serviceLogs = io.MultiWriter(logs, intake.NewLogWriter(local.store))
		o.service.HTTP.TracePage = local.pages.Trace
	}
	db, err := openDatabase(ctx, o, mysqld.Find, dir, logs, stderr)
	if ctx.Err() != nil {
		return nil // interrupted
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	network := new(faults.Network)
	o.service.Store.MySQL = network.Through(db.mysql)
	o.service.HTTP.MaxWait = maxWait
	var collected string
	if local != nil && o.checks != nil {
		var stopChecks func()
		if collected, stopChecks, err = local.startChecks(o, o.service.Store.MySQL, warn); err != nil {
			return fmt.Errorf("start the checks: %w", err)
		}
		defer stopChecks()
	}
	s, err := service.Listen(ctx, o.service, serviceLogs)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another process uses the service's port; choose one with -port: %w", err)
	}
	if err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	target := &url.URL{Scheme: "http", Host: s.Addr().String()}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- s.Serve(serving) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()

	if local != nil {
		fmt.Fprintf(stdout, "pages     %s  (overview, traces, logs, profiles, metrics, dashboards, monitors)\n", local.pages.URL())
	}
	fmt.Fprintf(stdout, "service   %s  (/, /api/trace, /api/apm)\n", target)
	fmt.Fprintf(stdout, "database  %s\n", db.description)
	if local != nil {
		fmt.Fprintf(stdout, "agent     http://%s for traces, %s for metrics\n", local.agent.Addr(), local.agent.DogStatsD())
		if addr := local.agent.OTLPHTTP(); addr != nil {
			fmt.Fprintf(stdout, "          http://%s for OpenTelemetry\n", addr)
		}
		if collected != "" {
			fmt.Fprintf(stdout, "checks    %s\n", collected)
		}
	} else {
		fmt.Fprintf(stdout, "agent     %s, from the environment; so there are no pages\n", o.agent)
	}
	fmt.Fprintf(stdout, "logs      %s\n", logs.path)
	if err := awaitReady(ctx, target); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "traffic   %g requests per second; interrupt to stop\n", o.schedule.Profile.Rate(0))
	if local != nil {
		fmt.Fprintf(stdout, "try       curl -i %s/api/trace  (its Link header is the page of its trace)\n", target)
	}
	fmt.Fprintln(stdout)

	ctx, end := context.WithCancel(ctx)
	defer end()
	traffic := newFlow(o.schedule.Profile.Rate(0), o.schedule.Duration, ctx.Done())
	seen := make(chan error, 1)
	if local != nil {
		var monitor func(string) string
		if local.definitions != nil {
			monitor = local.monitor
		}
		runner.Attach(faults.Demo{
			Database: db.mysql, Network: network, Stop: db.stop, Start: db.start,
			Rate: o.schedule.Profile.Rate(0), SetRate: traffic.Set,
			Leave: local.agent.Leave, Return: local.agent.Return,
			Ready: func() (int, string) { return ready(context.Background(), target) }, Name: o.service.Telemetry.Service, Store: local.store, Checks: collected != "", Monitor: monitor,
		})
		defer runner.Close()
		defer context.AfterFunc(ctx, runner.End)()
		if o.faults != nil {
			go func() {
				defer end()
				seen <- runAll(ctx, runner, o.faults, stdout)
			}()
		}
	}
	report := stdout
	if o.faults != nil {
		report, live = io.Discard, io.Discard // the faults' own lines
	}
	schedule := o.schedule
	schedule.Profile = traffic
	err = drive(ctx, schedule, traffic.start, target, slog.New(slog.NewTextHandler(logs, nil)), report, live)
	if o.faults != nil {
		err = errors.Join(err, <-seen)
	}
	return err
}

// runAll causes faults one after another. It returns the errors of those that were not seen.
func runAll(ctx context.Context, runner *faults.Runner, names []string, stdout io.Writer) (err error) {
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		err = errors.Join(err, runner.Run(ctx, name, func(l faults.Line) { fmt.Fprintf(stdout, "%s: %s\n", name, l.Text) }))
	}
	return err
}

// awaitReady waits until /readyz answers 200. It returns nil if ctx ends first.
func awaitReady(ctx context.Context, target *url.URL) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the service is not ready after %s", startTimeout))
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		if status, _ := ready(ctx, target); status == http.StatusOK {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return nil // interrupted
		}
	}
}

// ready returns the status and the body of /readyz, or 0 and an error without an answer.
func ready(ctx context.Context, target *url.URL) (status int, body string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("readyz").String(), nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// maxInFlight is a little less than the number of connections that the service accepts.
const maxInFlight = 1000

// maxWait is the time that a request waits for a place when too many run. It is shorter
// than the service's default, so that a spike of traffic overloads the service on a fast
// machine too: maxInFlight requests wait longer than this at up to 17,000 requests per
// second.
const maxWait = 50 * time.Millisecond

// drive sends traffic until the schedule or ctx ends, and prints the report. Metrics of
// the traffic go where those of the service go.
func drive(ctx context.Context, schedule openloop.Schedule, start time.Time, target *url.URL, logger *slog.Logger, stdout, live io.Writer) error {
	sender, err := client.New(client.Options{Target: target, Timeout: 10 * time.Second, MaxInFlight: maxInFlight})
	if err != nil {
		return err
	}
	cfg := openloop.Config{
		Schedule:    schedule,
		Start:       start,
		Paths:       []openloop.Path{{Path: "/", Weight: 1}, {Path: "/api/trace", Weight: 1}, {Path: "/api/apm", Weight: 1}},
		Sender:      sender,
		MaxInFlight: maxInFlight,
	}
	lost := func(err error) { logger.Warn("metrics of the traffic are lost", "error.message", err.Error()) }
	if m, err := metrics.Dial(metrics.Config{Address: telemetry.DogStatsDAddr(os.Getenv).URL, Paths: cfg.Paths, Version: build.Version(), Warn: lost}); err != nil {
		lost(err)
	} else {
		defer m.Close()
		cfg.Observe = m.Observe
	}
	engine, err := openloop.New(cfg)
	if err != nil {
		return err
	}
	stop := report.Watch(live, engine.Snapshot)
	result, err := engine.Run(ctx)
	stop()
	if err != nil {
		return err
	}
	return report.Text(stdout, result)
}
