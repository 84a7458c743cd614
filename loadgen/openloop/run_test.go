package openloop

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"testing"
	"time"
)

// server is a Client that answers after a while of the test's fake time.
type server struct {
	answer func(arrival time.Time) Exchange

	mu             sync.Mutex
	arrived        []time.Time
	paths          []string
	busy, mostBusy int
}

func (s *server) Do(_ context.Context, path string) Exchange {
	now := time.Now()
	s.mu.Lock()
	s.arrived = append(s.arrived, now)
	s.paths = append(s.paths, path)
	s.busy++
	s.mostBusy = max(s.mostBusy, s.busy)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	return s.answer(now)
}

// after answers after d.
func after(d time.Duration) func(time.Time) Exchange {
	return func(time.Time) Exchange {
		time.Sleep(d)
		return Exchange{Status: 200, Bytes: 2, TraceID: "t"}
	}
}

// noTies is a Sender that fails the test if a request ends at the very time
// another one is due. synctest runs the two in either order, so the number of
// requests in flight, and with it the result, would be random.
type noTies struct {
	Sender
	t   *testing.T
	due map[int64]bool // by UnixNano

	mu    sync.Mutex
	ended []ended
}

type ended struct{ due, end time.Time }

func (n *noTies) Start(paths []Path, done Done) error {
	n.due = map[int64]bool{}
	return n.Sender.Start(paths, func(r Request, sent, end time.Time, x Exchange) {
		n.mu.Lock()
		n.ended = append(n.ended, ended{r.Due, end})
		n.mu.Unlock()
		done(r, sent, end, x)
	})
}

func (n *noTies) SleepUntil(ctx context.Context, t time.Time) {
	n.due[t.UnixNano()] = true
	n.Sender.SleepUntil(ctx, t)
}

func (n *noTies) Finish(ctx context.Context) {
	n.Sender.Finish(ctx)
	for _, e := range n.ended {
		if n.due[e.end.UnixNano()] && !e.end.Equal(e.due) {
			n.t.Errorf("a request ended at %s, when another one was due", e.end.UTC())
		}
	}
}

// config is a run at a constant rate; 0 means without an end.
func config(t *testing.T, s *server, rps float64, d time.Duration) Config {
	return Config{
		Schedule:    Schedule{Profile: Constant(rps), Arrivals: Regular, Duration: d},
		Paths:       []Path{{"/", 1}},
		Sender:      &noTies{Sender: Workers(s, 1000, TimerClock{}), t: t},
		MaxInFlight: 1000,
	}
}

func run(t *testing.T, ctx context.Context, cfg Config) *Result {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read returns a result after a round trip through JSON.
func read(t *testing.T, r *Result) *Result {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var out Result
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// near fails the test unless got is within a share of want: histograms keep
// three significant digits.
func near(t *testing.T, what string, got, want time.Duration, share float64) {
	t.Helper()
	if math.Abs(float64(got-want)) > share*float64(want)+1000 {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}
