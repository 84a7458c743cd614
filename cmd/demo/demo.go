package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"apmapp/internal/localagent"
	"apmapp/internal/memdb"
	"apmapp/internal/service"
	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
	"apmapp/store"
)

// settings are what a demo sets in the environment where that says nothing: the
// tracer and the profiler read theirs from there.
var settings = map[string]string{
	"DD_ENV": "demo",
	// A page of settings, of which a demo has none.
	"DD_TRACE_STARTUP_LOGS": "false",
	// A demo tells nobody of itself.
	"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
}

// demo starts database, service and traffic, and stops them in the opposite
// order when the schedule or ctx ends.
func demo(ctx context.Context, o options, stdout, live io.Writer) (err error) {
	for name, value := range settings {
		if _, set := os.LookupEnv(name); !set {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	if o.service.Telemetry.Env == "" {
		o.service.Telemetry.Env = settings["DD_ENV"]
	}
	logs, err := os.CreateTemp("", "apmapp-demo-*.log")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.Close()) }()

	serviceLogs := io.Writer(logs)
	local, err := startLocal(ctx, o, slog.New(slog.NewTextHandler(logs, nil)))
	if err != nil {
		return err
	}
	if local != nil {
		defer func() { err = errors.Join(err, local.close()) }()
		serviceLogs = io.MultiWriter(logs, localagent.NewLogWriter(local.store))
		o.service.TracePage = local.pages.Trace
	}
	var database string
	if o.service.MySQL != nil {
		database = store.Masked(o.service.MySQL)
	} else {
		var db *memdb.Server
		if db, err = memdb.Start(logs); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if o.service.MySQL, err = store.ParseDSN(db.DSN()); err != nil {
			return err
		}
		database = fmt.Sprintf("mysql -h 127.0.0.1 -P %d -u root %s  (in memory)", db.Port(), memdb.Name)
	}
	s, err := service.Listen(ctx, o.service, serviceLogs)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the service's port is taken, -port gives it another: %w", err)
	}
	if err != nil {
		return fmt.Errorf("the service: %w", err)
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
		fmt.Fprintf(stdout, "pages     %s  (services, traces, logs, profiles, metrics)\n", local.pages.URL())
	}
	fmt.Fprintf(stdout, "service   %s  (/, /api/trace, /api/apm)\n", target)
	fmt.Fprintf(stdout, "database  %s\n", database)
	if local != nil {
		fmt.Fprintf(stdout, "agent     http://%s for traces, %s for metrics\n", local.agent.Addr(), local.agent.DogStatsD())
	} else {
		fmt.Fprintf(stdout, "agent     %s, as the environment has it; so there are no pages\n", o.agent)
	}
	fmt.Fprintf(stdout, "logs      %s\n", logs.Name())
	if err := awaitReady(ctx, target); err != nil {
		return fmt.Errorf("%w; the log has more: %s", err, logs.Name())
	}
	fmt.Fprintf(stdout, "traffic   %g requests per second; interrupt to stop\n", o.schedule.Profile.Rate(0))
	if local != nil {
		fmt.Fprintf(stdout, "try       curl -i %s/api/trace  (its Link is the page of its trace)\n", target)
	}
	fmt.Fprintln(stdout)
	return drive(ctx, o.schedule, target, stdout, live)
}

// startTimeout is how long a database may take that is starting too.
const startTimeout = time.Minute

// awaitReady waits until the service can answer; when ctx ends, it is not to be
// waited for.
func awaitReady(ctx context.Context, target *url.URL) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the service is not ready after %s", startTimeout))
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("readyz").String(), nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
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

// maxInFlight is far above what the service admits at once.
const maxInFlight = 256

// drive sends traffic until the schedule or ctx ends, and prints its report.
func drive(ctx context.Context, schedule openloop.Schedule, target *url.URL, stdout, live io.Writer) error {
	sender, err := client.New(client.Options{Target: target, Timeout: 10 * time.Second, MaxInFlight: maxInFlight})
	if err != nil {
		return err
	}
	engine, err := openloop.New(openloop.Config{
		Schedule:    schedule,
		Paths:       []openloop.Path{{Path: "/", Weight: 1}, {Path: "/api/trace", Weight: 1}, {Path: "/api/apm", Weight: 1}},
		Sender:      sender,
		MaxInFlight: maxInFlight,
	})
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
