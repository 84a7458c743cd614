package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"apmapp/docs/runbooks"
	"apmapp/internal/faults"
	"apmapp/internal/local/checks"
	"apmapp/internal/local/definitions"
	"apmapp/internal/local/intake"
	"apmapp/internal/local/query"
	"apmapp/internal/local/received"
	localstore "apmapp/internal/local/store"
	"apmapp/internal/local/viewer"
)

// local is the demo's own local agent, with its pages.
type local struct {
	store *localstore.Store
	agent *intake.Agent
	pages *viewer.Server
	// definitions are nil without any.
	definitions *definitions.Definitions
	// undo restores the environment.
	undo []func()
}

// startLocal starts the local agent and its pages, and sets the variables by
// which the tracer, the profiler and DogStatsD find it. It returns nil if the
// environment names another Agent.
func startLocal(ctx context.Context, o options, runner *faults.Runner, logger *slog.Logger, stdout io.Writer, warn func(error)) (_ *local, err error) {
	if o.agent != "" {
		return nil, nil
	}
	l := &local{store: localstore.New(o.memory)}
	counters := received.New()
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	otlp, err := intake.ListenOTLP(o.otlpGRPC, o.otlpHTTP, warn)
	if err != nil {
		return nil, err
	}
	l.agent, err = intake.Start(intake.Config{Addr: o.traces, DogStatsD: o.metrics, OTLP: otlp, Store: l.store, Received: counters, Logger: logger})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another process, perhaps an Agent, uses a port of the local agent; choose others with -agent-port and -dogstatsd-port, or use that Agent with DD_TRACE_AGENT_URL: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if err := l.define(o, stdout, warn); err != nil {
		return nil, err
	}
	waiting := "The demo's traffic makes some within seconds. To send traces from another program, set DD_TRACE_AGENT_URL=http://" + l.agent.Addr().String() + "."
	l.pages, err = viewer.Listen(ctx, o.pages, viewer.Config{Store: l.store, Received: counters, Faults: runner, Waiting: waiting, Inputs: viewer.NewInputs(l.agent.Addr(), l.agent.DogStatsD(), l.agent.OTLPHTTP()), Definitions: l.definitions, Runbooks: runbooks.Files}, logger)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another process uses the pages' port; choose one with -pages-port: %w", err)
	}
	if err != nil {
		return nil, err
	}
	l.agent.SetPages(l.pages.Addr())
	if l.definitions != nil {
		if err := l.definitions.Start(l.pages.URL()); err != nil {
			return nil, err
		}
	}
	host, port, err := net.SplitHostPort(l.agent.DogStatsD().String())
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		l.setenv("DD_TRACE_AGENT_URL", "http://"+l.agent.Addr().String()),
		l.setenv("DD_DOGSTATSD_HOST", host),
		l.setenv("DD_DOGSTATSD_PORT", port))
	return l, err
}

// define loads the definitions of dashboards, monitors, SLOs and downtimes, if there are any.
func (l *local) define(o options, stdout io.Writer, warn func(error)) error {
	if !o.defined.Given() {
		return nil
	}
	name, tags, err := checks.Host(o.checks, o.service.Telemetry.Env)
	if err != nil {
		return err
	}
	l.definitions, err = o.defined.Load(definitions.Config{
		Env: o.service.Telemetry.Env, Service: o.service.Telemetry.Service, Host: localstore.Host{Name: name, Tags: tags}, Store: l.store,
	}, stdout, warn)
	return err
}

// startChecks runs what a Datadog Agent on this machine would run, with the environment of
// the service. stop ends them.
func (l *local) startChecks(o options, cfg *mysql.Config, warn func(error)) (names string, stop func(), err error) {
	cfg = cfg.Clone()
	cfg.DBName = "" // the check reads the server only
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return "", nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	running, err := checks.Start(checks.Config{Files: o.checks, Env: o.service.Telemetry.Env, MySQL: db, System: true, Add: l.store.AddDatagram, Warn: warn})
	if err != nil {
		return "", nil, errors.Join(err, db.Close())
	}
	return running.String(), func() {
		running.Close()
		_ = db.Close() // a connection that a fault has broken is no failure of the demo
	}, nil
}

// monitor returns the state of a monitor, "" if there is no such monitor.
func (l *local) monitor(key string) (state string) {
	l.definitions.Read(func(c *query.Catalog, _ query.Source, _ time.Time) {
		if m := c.Monitor(key); m != nil && m.Unevaluated == "" {
			state = m.State().String()
		}
	})
	return state
}

func (l *local) setenv(name, value string) error {
	before, was := os.LookupEnv(name)
	l.undo = append(l.undo, func() {
		if was {
			_ = os.Setenv(name, before)
		} else {
			_ = os.Unsetenv(name)
		}
	})
	return os.Setenv(name, value)
}

func (l *local) close() error {
	var errs []error
	if l.definitions != nil {
		l.definitions.Close()
	}
	if l.pages != nil {
		errs = append(errs, l.pages.Close())
	}
	if l.agent != nil {
		errs = append(errs, l.agent.Close())
	}
	for _, undo := range l.undo {
		undo()
	}
	return errors.Join(errs...)
}
