package checks

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/wire"
)

// Config configures the checks.
type Config struct {
	// Files has datadog.yaml, conf.d and checks.d. Only conf.d must exist.
	Files fs.FS
	// Env is the tag env of everything; "" takes it from datadog.yaml.
	Env string
	// MySQL is the server that the check mysql reads; nil runs no such check.
	MySQL *sql.DB
	// System collects the load, the memory and the CPU time of this machine too.
	System bool
	// Add receives the results.
	Add func(wire.Datagram)
	// Warn receives why a check fails, once until the check works again.
	Warn func(error)
}

// Checks are checks that run until Close.
type Checks struct {
	add  func(wire.Datagram)
	warn func(error)
	host host
	all  []*check
	stop context.CancelFunc
	done sync.WaitGroup
}

// check is a check with one instance of its configuration. One goroutine owns it.
type check struct {
	name     string
	interval time.Duration
	// run returns what one run collected. It returns that also with an error.
	run func(context.Context) (collected, error)
	// close ends a process of the check; nil if it has none.
	close func()
	// failing is set from a failed run to the next one that works.
	failing bool
}

// collected is what one run of a check collected.
type collected struct {
	samples []wire.Sample
	checks  []wire.Check
	// warnings are what the check warned about. It works nevertheless.
	warnings []string
}

// Start reads the configuration and starts the checks. An error names the file that is
// wrong.
func Start(cfg Config) (*Checks, error) {
	own, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the name of this host: %w", err)
	}
	c := &Checks{add: cfg.Add, warn: cfg.Warn}
	if c.host, err = readHost(cfg.Files, own, cfg.Env); err != nil {
		return nil, err
	}
	if c.all, err = custom(cfg.Files); err != nil {
		return nil, err
	}
	if cfg.MySQL != nil {
		mysql, err := newMySQL(cfg.Files, cfg.MySQL)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, mysql)
	}
	if cfg.System {
		c.all = append(c.all, newSystem())
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for _, of := range c.all {
		c.done.Go(func() { c.repeat(ctx, of) })
	}
	return c, nil
}

// Close ends all checks and their processes.
func (c *Checks) Close() {
	c.stop()
	c.done.Wait()
}

// String returns the names and intervals of the checks.
func (c *Checks) String() string {
	var all []string
	for _, of := range c.all {
		all = append(all, fmt.Sprintf("%s every %g s", of.name, of.interval.Seconds()))
	}
	return strings.Join(all, ", ")
}

// repeat runs a check at once, and then at its interval. The ticker drops ticks while
// the check runs.
func (c *Checks) repeat(ctx context.Context, of *check) {
	if of.close != nil {
		defer of.close()
	}
	ticker := time.NewTicker(of.interval)
	defer ticker.Stop()
	for {
		c.once(ctx, of)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// leastPatience is the time after which a run is given up. The Agent waits for ever; here
// a check that hangs should be seen.
const leastPatience = time.Minute

// errSlow is the cause of runs that are given up.
var errSlow = errors.New("it did not end")

// statusOfCheck is the Agent's own service check about its checks.
const statusOfCheck = "datadog.agent.check_status"

func (c *Checks) once(ctx context.Context, of *check) {
	patience := max(of.interval, leastPatience)
	within, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w within %g s", errSlow, patience.Seconds()))
	defer cancel()
	got, err := of.run(within)
	if ctx.Err() != nil { // Close was called, so the error is not the check's
		return
	}
	if within.Err() != nil && err != nil {
		err = context.Cause(within)
	}
	status := wire.Check{Name: statusOfCheck, Status: "ok", Tags: []string{"check:" + of.name}}
	switch {
	case err != nil:
		status.Status, status.Message = "critical", err.Error()
	case len(got.warnings) > 0:
		status.Status, status.Message = "warning", strings.Join(got.warnings, "; ")
	}
	if err != nil && !of.failing {
		c.warn(fmt.Errorf("check %s: %w", of.name, err))
	}
	of.failing = err != nil
	c.add(c.host.datagram(got, status))
}

// host is what the Agent adds to all that it collects.
type host struct {
	name, env string
	tags      []string // of datadog.yaml
}

// datagram adds the tags of the host.
func (h host) datagram(got collected, status wire.Check) wire.Datagram {
	d := wire.Datagram{Samples: got.samples, Checks: append(got.checks, status)}
	for i := range d.Samples {
		s := &d.Samples[i]
		s.Tags = h.tagged(s.Tags)
		if !wire.HasTag(s.Tags, "host") {
			s.Tags = append(s.Tags, "host:"+h.name)
		}
		slices.Sort(s.Tags)
	}
	for i := range d.Checks {
		k := &d.Checks[i]
		k.Host = cmp.Or(k.Host, h.name)
		k.Tags = h.tagged(k.Tags)
	}
	return d
}

// tagged returns the tags with those of the host, sorted and without duplicates.
func (h host) tagged(tags []string) []string {
	all := slices.Concat(tags, h.tags)
	if !wire.HasTag(all, "env") && h.env != "" {
		all = append(all, "env:"+h.env)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
