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
	// Path is its index in the run's paths.
	Path int
}

// Exchange is how a request ended.
type Exchange struct {
	// Status is the answer's, 0 when there was none.
	Status int
	// Bytes is the length of the answer's body.
	Bytes int64
	// TraceID is the trace that the service says it made of the request.
	TraceID string
	// Failure is the kind of error that kept the answer away or cut it off, ""
	// when it came whole.
	Failure string
}

// failed tells whether the request was not served.
func (x Exchange) failed() bool { return x.Failure != "" || x.Status >= 500 }

// Done hears how a request ended, when it was sent and when it ended.
type Done func(r Request, sent, end time.Time, x Exchange)

// Sender waits for arrivals and carries them out. One goroutine calls all its
// methods.
type Sender interface {
	// Start makes the sender ready to send requests for paths from the calling
	// goroutine. It calls done once for each, from any goroutine.
	Start(paths []Path, done Done) error
	// SleepUntil returns at t, or soon after ctx ends.
	SleepUntil(ctx context.Context, t time.Time)
	// Send sends a request and does not wait for its answer, for which there is
	// a bound of the sender's own.
	Send(r Request)
	// Finish returns when all requests have ended.
	Finish()
}

// Config is a run.
type Config struct {
	Schedule Schedule
	// Paths are what requests are for.
	Paths  []Path
	Sender Sender
	// MaxInFlight is how many requests may be in flight at once; what arrives
	// beyond it is dropped.
	MaxInFlight int
	// Start is the instant that the schedule counts from; zero is when Run is
	// called.
	Start time.Time
}

func (c Config) check() error {
	if err := c.Schedule.Check(); err != nil {
		return err
	}
	if len(c.Paths) == 0 {
		return errors.New("no paths to request")
	}
	for _, p := range c.Paths {
		if !(p.Weight > 0) {
			return fmt.Errorf("%s: the weight %v is not above 0", p.Path, p.Weight)
		}
	}
	if c.Sender == nil {
		return errors.New("nothing to send requests with")
	}
	if c.MaxInFlight < 1 {
		return fmt.Errorf("%d requests in flight at most cannot be", c.MaxInFlight)
	}
	return nil
}

// Engine runs a schedule once.
type Engine struct {
	cfg    Config
	record *record
}

// New returns an engine, or what is wrong with its configuration.
func New(cfg Config) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	return &Engine{cfg: cfg, record: newRecord(cfg.Paths)}, nil
}

// Run sends requests until the schedule or ctx ends, waits for the answers that
// are under way, and returns what became of all. When ctx ends no more requests
// are sent; those in flight still have the sender's own time. It may be called
// once.
func (e *Engine) Run(ctx context.Context) (*Result, error) {
	if err := e.cfg.Sender.Start(e.cfg.Paths, e.record.done); err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	start := time.Now()
	if !e.cfg.Start.IsZero() {
		// By the monotonic clock, as all that follows.
		start = start.Add(time.Until(e.cfg.Start))
		e.cfg.Sender.SleepUntil(ctx, start)
	}
	e.record.begin(start)
	asked := e.dispatch(ctx, start)
	e.cfg.Sender.Finish()
	return e.record.result(asked), nil
}

// Snapshot is how the run stands; it may be called while it runs.
func (e *Engine) Snapshot() Snapshot { return e.record.snapshot() }

// dispatch sends each request when it is due, and returns the time that the
// schedule has run for.
func (e *Engine) dispatch(ctx context.Context, start time.Time) time.Duration {
	paths := newMix(e.cfg.Paths)
	for n, offset := range e.cfg.Schedule.All() {
		r := Request{Due: start.Add(offset), Path: paths.at(n)}
		e.cfg.Sender.SleepUntil(ctx, r.Due)
		if ctx.Err() != nil {
			return max(0, min(time.Since(start), offset))
		}
		ok, ended := e.record.admit(r, e.cfg.MaxInFlight)
		if ok {
			e.cfg.Sender.Send(r)
		}
		e.record.tidy(ended)
	}
	// The time behind the last arrival belongs to the run too.
	length := e.cfg.Schedule.Length()
	e.cfg.Sender.SleepUntil(ctx, start.Add(length))
	return max(0, min(time.Since(start), length))
}
