// Package doctor finds out why no traces appear. It checks the way of a trace from the
// settings to the Agent, and what is beside it: metrics, profiles, logs and MySQL.
//
// Each check ends within seconds, also if a server hangs. None changes anything, except
// that Run sends one test trace. No finding contains a password or a key.
package doctor

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"apmapp/internal/ddenv"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// State is the result of a check.
type State string

// The states. A warning is something that may be meant, or that only loses a part.
const (
	OK      State = "ok"
	Warning State = "warning"
	Failed  State = "failed"
)

// Finding is the result of one check.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	// Found is what is the case.
	Found string `json:"found"`
	// Do is what to do about it, or "".
	Do string `json:"do,omitempty"`
}

// Report is the result of all checks.
type Report struct {
	Findings []Finding `json:"findings"`
	// NotChecked are checks that an earlier failure made pointless.
	NotChecked []string `json:"not_checked"`
}

// Count returns how many findings have a state.
func (r Report) Count(s State) (n int) {
	for _, f := range r.Findings {
		if f.State == s {
			n++
		}
	}
	return n
}

// Config is the configuration of the service that is checked.
type Config struct {
	Telemetry telemetry.Config
	Store     store.Config
	// LogFile and LogOTLP are where the log goes besides standard output, or "".
	LogFile, LogOTLP string
	// Resources are the names of the service's routes in Datadog.
	Resources []string
	Getenv    func(string) string
	// Problems and Unknown are package ddenv's.
	Problems []ddenv.Problem
	Unknown  []string
	// patience bounds one step with a server; 0 is defaultPatience.
	patience time.Duration
}

const (
	// overall bounds Run. A person waits for it.
	overall = 15 * time.Second
	// defaultPatience bounds one step with a server. On the same network an answer takes
	// milliseconds; two seconds allow for one lost packet, which is sent again after one
	// second.
	defaultPatience = 2 * time.Second
)

// doctor is one run.
type doctor struct {
	Config
	report Report
	each   func(Finding)
	agent  agent
	apiKey bool // is set; the test trace removes it from the environment
}

func (d *doctor) add(check string, s State, found, do string) {
	f := Finding{check, s, found, do}
	d.report.Findings = append(d.report.Findings, f)
	d.each(f)
}

func (d *doctor) skip(checks ...string) {
	d.report.NotChecked = append(d.report.NotChecked, checks...)
}

// Run makes all checks. If each is set, it is called with every finding as soon as it is
// known. It starts and stops a tracer, so the process must have none.
func Run(ctx context.Context, cfg Config, each func(Finding)) Report {
	if each == nil {
		each = func(Finding) {}
	}
	ctx, cancel := context.WithTimeout(ctx, overall)
	defer cancel()
	cfg.patience = cmp.Or(cfg.patience, defaultPatience)
	d := &doctor{Config: cfg, each: each, report: Report{Findings: []Finding{}, NotChecked: []string{}}}
	d.variables()
	d.account()
	d.tracing()
	d.sampling(func(check func()) { d.probe(offline{}, check) })
	diagnosed := make(chan store.Diagnosis, 1)
	go func() { diagnosed <- d.diagnose(ctx) }()
	d.reach(ctx)
	diagnosis := <-diagnosed
	t := d.testTrace(ctx, diagnosis.Connect == nil)
	d.accepted(ctx, t)
	d.metrics(ctx)
	d.profiling(ctx)
	d.injection(t)
	d.logs(ctx)
	d.database(diagnosis)
	d.comment(t)
	return d.report
}

// AtStart makes the checks that are cheap, for a service whose tracer runs, and writes
// to logger what they found: where traces go, and a warning for each problem. It sends
// no trace, and is silent about what was turned off.
func AtStart(running context.Context, cfg Config, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(running, overall)
	defer cancel()
	cfg.patience = cmp.Or(cfg.patience, defaultPatience)
	cfg.Problems = nil // telemetry.Start has logged them
	d := &doctor{Config: cfg, each: func(f Finding) {
		if f.State != OK && running.Err() == nil { // a service that stops cancels the checks
			logger.LogAttrs(ctx, slog.LevelWarn, f.Check+": "+sentence(f))
		}
	}}
	d.contradictions()
	d.account()
	if cfg.Telemetry.Tracing {
		d.tracing()
		d.sampling(func(check func()) { check() })
	}
	if cfg.Telemetry.Tracing || cfg.Telemetry.Profiling {
		d.reach(ctx)
	}
	d.metrics(ctx)
	if cfg.Telemetry.Profiling {
		d.profiling(ctx)
	}
	if d.agent.up {
		logger.LogAttrs(ctx, slog.LevelInfo, "traces go to "+d.agent.URL+", from "+d.agent.From+": "+d.agent.name())
	}
}

// sentence returns a finding in one line.
func sentence(f Finding) string {
	if f.Do == "" {
		return f.Found
	}
	return f.Found + "; " + f.Do
}
