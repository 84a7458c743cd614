package openloop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Client sends one request and takes its whole answer.
type Client interface {
	// Do asks for a path. Several goroutines call it at once. It has a bound of
	// its own on how long an answer may take.
	Do(ctx context.Context, path string) Exchange
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

// Config is a run.
type Config struct {
	Schedule Schedule
	// Paths are what requests are for.
	Paths  []Path
	Client Client
	// MaxInFlight is how many requests may be in flight at once; what arrives
	// beyond it is dropped.
	MaxInFlight int
	// Clock waits for arrivals; nil is FineClock.
	Clock Clock
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
	if c.MaxInFlight < 1 {
		return fmt.Errorf("%d requests in flight at most cannot be", c.MaxInFlight)
	}
	return nil
}

// Engine runs a schedule once.
type Engine struct {
	cfg     Config
	arrived chan arrival
	workers sync.WaitGroup
	record  *record
}

// arrival is a request that is due.
type arrival struct {
	due  time.Time
	path int
}

// New returns an engine, or what is wrong with its configuration.
func New(cfg Config) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	if cfg.Clock == nil {
		cfg.Clock = FineClock{}
	}
	return &Engine{cfg: cfg, arrived: make(chan arrival), record: newRecord(cfg.Paths)}, nil
}

// Run sends requests until the schedule or ctx ends, waits for the answers that
// are under way, and returns what became of all. When ctx ends no more requests
// are sent; those in flight still have the client's own time. It may be called
// once.
func (e *Engine) Run(ctx context.Context) *Result {
	start := time.Now()
	e.record.begin(start)
	asked := e.dispatch(ctx, start)
	close(e.arrived)
	e.workers.Wait()
	return e.record.result(asked)
}

// Snapshot is how the run stands; it may be called while it runs.
func (e *Engine) Snapshot() Snapshot { return e.record.snapshot() }

// dispatch gives each arrival to a worker when it is due, and returns the time
// that the schedule has run for.
func (e *Engine) dispatch(ctx context.Context, start time.Time) time.Duration {
	defer e.cfg.Clock.Bind()()
	paths := newMix(e.cfg.Paths)
	workers := 0
	for offset := range e.cfg.Schedule.All() {
		a := arrival{due: start.Add(offset), path: paths.next()}
		e.cfg.Clock.SleepUntil(ctx, a.due)
		if ctx.Err() != nil {
			return min(time.Since(start), offset)
		}
		if e.record.admit(a.path, e.cfg.MaxInFlight) {
			workers = e.hand(a, workers)
		}
	}
	// The time behind the last arrival belongs to the run too.
	e.cfg.Clock.SleepUntil(ctx, start.Add(e.cfg.Schedule.Duration))
	return min(time.Since(start), e.cfg.Schedule.Duration)
}

// hand gives an arrival to a worker that waits for one, or to a new one; it
// returns how many there are now. With as many as may be in flight, one of them
// is about to wait.
func (e *Engine) hand(a arrival, workers int) int {
	select {
	case e.arrived <- a:
		return workers
	default:
	}
	if workers == e.cfg.MaxInFlight {
		e.arrived <- a
		return workers
	}
	e.workers.Go(func() { e.work(a) })
	return workers + 1
}

// work sends requests, one after the other, as they arrive.
func (e *Engine) work(a arrival) {
	// Requests in flight get to end when the run does.
	ctx := context.Background()
	for ok := true; ok; a, ok = <-e.arrived {
		sent := time.Now()
		x := e.cfg.Client.Do(ctx, e.cfg.Paths[a.path].Path)
		e.record.done(a, sent, time.Now(), x)
	}
}
