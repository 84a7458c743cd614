package openloop

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Request is an arrival that is due.
type Request struct {
	Due time.Time
	// Path is an index into the run's paths.
	Path int
}

// Exchange is how a request ended.
type Exchange struct {
	// Status is the status of the answer, 0 without an answer.
	Status int
	// Bytes is the length of the answer's body.
	Bytes int64
	// TraceID is the trace of the request: the sender's own, or the one that the
	// service reports.
	TraceID string
	// Failure is the kind of error that prevented or interrupted the answer, ""
	// if the answer is complete.
	Failure string
	// Detail is the text of that error, "" without a failure or if Failure has all
	// that is known. It holds what went wrong and where, such as "dial tcp
	// 127.0.0.1:5050: connection refused" or "chunk length \"zz\" is not a number".
	// It must not hold header values, bodies or credentials. The engine keeps one
	// example for each kind of failure and shortens it.
	Detail string
}

// Done receives how a request ended, when it was sent and when it ended.
type Done func(r Request, sent, end time.Time, x Exchange)

// Sender waits for arrivals and sends their requests. One goroutine calls all
// its methods.
type Sender interface {
	// Start prepares the sender to send requests for paths from the calling
	// goroutine. The sender calls done once for each request, from any
	// goroutine.
	Start(paths []Path, done Done) error
	// SleepUntil returns at t, or soon after ctx ends.
	SleepUntil(ctx context.Context, t time.Time)
	// Send sends a request without waiting for its answer. The sender itself
	// limits how long an answer may take.
	Send(r Request)
	// Finish returns when all requests have ended. When ctx ends, it ends those in
	// flight: they fail as canceled.
	Finish(ctx context.Context)
}

// Config is a run.
type Config struct {
	Schedule Schedule
	// Paths are the paths to request.
	Paths  []Path
	Sender Sender
	// MaxInFlight is the maximum number of requests in flight; arrivals over it
	// are dropped.
	MaxInFlight int
	// Start is the time that the schedule counts from; zero means when Run is
	// called.
	Start time.Time
	// Run describes the run in the result.
	Run Run
	// Warmup is the first part of the schedule. Its requests are sent, but not
	// counted: the result begins after it. It must be shorter than the schedule.
	Warmup time.Duration
	// Expect holds the statuses that count as served; nil means all below 500.
	Expect Expect
	// Abort, if set, is called every second while the schedule runs, after the
	// warm-up. If it returns a reason, the run ends early, and its result has the
	// reason.
	Abort func(Snapshot) (reason string)
	// Observe, if set, receives each request that the result counts, when it has
	// ended, and whether it counts as failed. The sender's goroutines call it, so it
	// must be fast and safe for concurrent use.
	Observe func(r Request, sent, end time.Time, x Exchange, failed bool)
	// Wait limits the wait for the outstanding answers at the end of the run: when
	// it ends, their requests fail. Nil means that only the sender limits them.
	Wait context.Context
}

func (c Config) check() error {
	if err := c.Schedule.Check(); err != nil {
		return err
	}
	if len(c.Paths) == 0 {
		return errors.New("paths must not be empty")
	}
	for _, p := range c.Paths {
		if !(p.Weight > 0) {
			return fmt.Errorf("path %s: weight must be greater than 0, got %v", p.Path, p.Weight)
		}
	}
	if c.Sender == nil {
		return errors.New("sender must be set")
	}
	if c.MaxInFlight < 1 {
		return fmt.Errorf("max-in-flight must be at least 1, got %d", c.MaxInFlight)
	}
	if c.Warmup < 0 {
		return fmt.Errorf("warm-up must be at least 0s, got %s", c.Warmup)
	}
	if length := c.Schedule.Length(); length > 0 && c.Warmup >= length {
		return fmt.Errorf("warm-up must be shorter than the run, got %s of %s", c.Warmup, length)
	}
	return nil
}

// Engine runs a schedule once.
type Engine struct {
	cfg    Config
	record *record
}

// New returns an engine, or an error if the configuration is invalid.
func New(cfg Config) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	if cfg.Wait == nil {
		cfg.Wait = context.Background()
	}
	return &Engine{cfg: cfg, record: newRecord(cfg)}, nil
}

// Run sends requests until the schedule or ctx ends, waits for the outstanding
// answers, and returns the result. When ctx ends, no more requests are sent;
// those in flight still have the sender's own time limit, until Config.Wait ends.
// Run may be called once.
func (e *Engine) Run(ctx context.Context) (*Result, error) {
	if err := e.cfg.Sender.Start(e.cfg.Paths, e.record.done); err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	start := time.Now()
	if !e.cfg.Start.IsZero() {
		// On the monotonic clock, like all later times. On the wall clock, it is
		// exactly the given time: shards must agree about it.
		start = start.Add(e.cfg.Start.Sub(start))
	}
	e.record.begin(start)
	ran := e.dispatch(ctx, start)
	e.record.stop(ran)
	e.cfg.Sender.Finish(e.cfg.Wait)
	return e.record.result(), nil
}

// abortPeriod is the time between two calls of Config.Abort: short enough to spare a
// target in trouble, long enough for some answers in between.
const abortPeriod = time.Second

// watch calls cancel when Config.Abort returns a reason. The caller calls stop.
func (e *Engine) watch(ctx context.Context, cancel context.CancelFunc) (stop func()) {
	if e.cfg.Abort == nil {
		return func() {}
	}
	ctx, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(abortPeriod)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			s := e.Snapshot()
			if s.Sending == 0 {
				continue
			}
			if reason := e.cfg.Abort(s); reason != "" {
				e.record.abort(reason)
				cancel()
				return
			}
		}
	}()
	return func() {
		end()
		<-ended
	}
}

// Snapshot returns the current state of the run. Any goroutine may call it while
// the run is in progress.
func (e *Engine) Snapshot() Snapshot { return e.record.snapshot() }

// dispatch sends each request when it is due, and returns how long the schedule
// ran.
func (e *Engine) dispatch(ctx context.Context, start time.Time) time.Duration {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer e.watch(ctx, cancel)()
	paths := newMix(e.cfg.Paths)
	for n, offset := range e.cfg.Schedule.All() {
		r := Request{Due: start.Add(offset), Path: paths.at(n)}
		e.cfg.Sender.SleepUntil(ctx, r.Due)
		if ctx.Err() != nil {
			return max(0, min(time.Since(start), offset))
		}
		ok, ended := e.record.admit(r)
		if ok {
			e.cfg.Sender.Send(r)
		}
		e.record.tidy(ended)
	}
	// The time after the last arrival belongs to the run too.
	length := e.cfg.Schedule.Length()
	e.cfg.Sender.SleepUntil(ctx, start.Add(length))
	return max(0, min(time.Since(start), length))
}
