package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"apmapp/internal/localagent"
	"apmapp/internal/viewer"
)

// local is the Agent that the demo brings along, and its pages.
type local struct {
	store *localagent.Store
	agent *localagent.Agent
	pages *viewer.Server
	// undo takes back what was set in the environment.
	undo []func()
}

// startLocal starts the Agent and its pages, and has the tracer, the profiler
// and DogStatsD find it. It is nil when the environment names another.
func startLocal(ctx context.Context, o options, logger *slog.Logger) (_ *local, err error) {
	if o.agent != "" {
		return nil, nil
	}
	l := &local{store: localagent.NewStore(o.memory)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	l.agent, err = localagent.Start(localagent.Config{Addr: o.traces, DogStatsD: o.metrics, Store: l.store, Logger: logger})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the Agent's port is taken, perhaps by an Agent: -agent-port 0 -dogstatsd-port 0 takes others, DD_TRACE_AGENT_URL uses that one: %w", err)
	}
	if err != nil {
		return nil, err
	}
	waiting := "The demo's traffic makes some within seconds; another program sends them with DD_TRACE_AGENT_URL=http://" + l.agent.Addr().String() + "."
	l.pages, err = viewer.Listen(ctx, o.pages, viewer.Config{Store: l.store, Waiting: waiting}, logger)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the pages' port is taken, -pages-port gives them another: %w", err)
	}
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(l.agent.DogStatsD().String())
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"DD_TRACE_AGENT_URL": "http://" + l.agent.Addr().String(),
		"DD_DOGSTATSD_HOST":  host,
		"DD_DOGSTATSD_PORT":  port,
	} {
		if err := l.setenv(name, value); err != nil {
			return nil, err
		}
	}
	return l, nil
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
