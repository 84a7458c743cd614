package openloop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestArrivalsFollowTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const service = 10_025 * time.Millisecond // slow, which must not matter
		s := &server{answer: after(service)}
		start := time.Now()
		r := run(t, t.Context(), config(t, s, 20, time.Minute))
		if len(s.arrived) != 1200 {
			t.Fatalf("%d arrivals, want 1,200", len(s.arrived))
		}
		slices.SortFunc(s.arrived, time.Time.Compare)
		for i, at := range s.arrived {
			if want := time.Duration(i) * 50 * time.Millisecond; at.Sub(start) != want {
				t.Fatalf("arrival %d at %s, want %s", i, at.Sub(start), want)
			}
		}
		if r.Total.Arrivals != 1200 || r.Total.Dropped != 0 || r.Total.Statuses[200] != 1200 || r.Total.Bytes != 2400 {
			t.Errorf("counted %+v", r.Total)
		}
		if !r.Start.Equal(start) || r.Sending != time.Minute {
			t.Errorf("sending for %s from %s", r.Sending, r.Start)
		}
		// The last answer arrives 10.025 s after the last arrival.
		if want := time.Minute - 50*time.Millisecond + service; r.Elapsed() != want {
			t.Errorf("elapsed %s, want %s", r.Elapsed(), want)
		}
		if got, want := r.AskedRate(), 20.0; got != want {
			t.Errorf("asked %v/s, want %v/s", got, want)
		}
		// Arrivals of the last 10.025 s end after the schedule: 200 of them, and that
		// at 49.95 s, which ends at 59.975 s, is the last one in time.
		if got, want := r.AchievedRate(), 1000.0/60; got != want {
			t.Errorf("achieved %v/s, want %v/s", got, want)
		}
		near(t, "response", r.Total.Response.Quantile(0.5), service, 0.002)
		near(t, "service", r.Total.Service.Quantile(0.5), service, 0.002)
		if r.Lateness.Count() != 1200 || r.Lateness.Max() >= time.Microsecond {
			t.Errorf("%d requests, late by up to %s on an exact clock", r.Lateness.Count(), r.Lateness.Max())
		}
	})
}

// lateClock oversleeps by its value.
type lateClock time.Duration

func (lateClock) Bind() func() { return func() {} }

func (c lateClock) SleepUntil(ctx context.Context, t time.Time) {
	TimerClock{}.SleepUntil(ctx, t)
	time.Sleep(time.Duration(c))
}

func TestLatenessCountsInResponseTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: after(5 * time.Millisecond)}, 1, 3*time.Second)
		cfg.Sender = Workers(&server{answer: after(5 * time.Millisecond)}, 1000, lateClock(30*time.Millisecond))
		r := run(t, t.Context(), cfg)
		if r.Lateness.Count() != 3 {
			t.Errorf("lateness of %d requests, want 3", r.Lateness.Count())
		}
		near(t, "lateness", r.Lateness.Quantile(0.5), 30*time.Millisecond, 0.002)
		for _, p := range []PathResult{r.Total, r.Paths[0]} {
			near(t, "service", p.Service.Max(), 5*time.Millisecond, 0.002)
			near(t, "response", p.Response.Max(), 35*time.Millisecond, 0.002)
		}
		near(t, "slowest", r.Slowest[0].Response, 35*time.Millisecond, 0)
		// The schedule ended on time; its sender woke up 30 ms later.
		if r.Sending != 3*time.Second {
			t.Errorf("sending for %s, want 3s", r.Sending)
		}
	})
}

// The server freezes for one second of a 10 s run at 100 requests per second. An
// arrival during the freeze waits for its end, as a caller would. The freeze
// starts and ends between two arrivals.
func TestFreezeIsVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const service = time.Millisecond
		start := time.Now()
		freeze, thaw := start.Add(3995*time.Millisecond), start.Add(4995*time.Millisecond)
		s := &server{answer: func(at time.Time) Exchange {
			if !at.Before(freeze) && at.Before(thaw) {
				time.Sleep(time.Until(thaw))
			}
			time.Sleep(service)
			return Exchange{Status: 200}
		}}
		r := run(t, t.Context(), config(t, s, 100, 10*time.Second))

		var truth []time.Duration
		for i := range 1000 {
			wait := service
			if due := start.Add(time.Duration(i) * 10 * time.Millisecond); !due.Before(freeze) && due.Before(thaw) {
				wait += thaw.Sub(due)
			}
			truth = append(truth, wait)
		}
		slices.Sort(truth)
		for _, q := range Quantiles {
			want := truth[int(math.Ceil(q*1000))-1]
			near(t, PercentileName(q), r.Total.Response.Quantile(q), want, 0.02)
		}
	})
}

// With one request in flight, arrivals in the meantime are dropped: neither
// delayed nor forgotten.
func TestDroppedArrivalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: after(250 * time.Millisecond)}, 10, 10*time.Second)
		cfg.MaxInFlight = 1
		r := run(t, t.Context(), cfg)
		// Of every three arrivals, 100 ms apart, the first is sent.
		for _, p := range []PathResult{r.Total, r.Paths[0]} {
			if p.Arrivals != 100 || p.Completed() != 34 || p.Dropped != 66 {
				t.Errorf("path %q: %d due, %d sent, %d dropped, want 100, 34, 66", p.Path, p.Arrivals, p.Completed(), p.Dropped)
			}
		}
		if got := r.ErrorRate(); got != 0.66 {
			t.Errorf("error rate %v, want 0.66", got)
		}
		if got := sum(t, r.Series); got.arrivals != 100 || got.dropped != 66 || got.responses != 34 {
			t.Errorf("the series counts %+v", got)
		}
		near(t, "longest response", r.Total.Response.Max(), 250*time.Millisecond, 0.002)
	})
}

func TestInterruptedRunKeepsItsResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second+time.Millisecond)
		defer cancel()
		r := run(t, ctx, config(t, &server{answer: after(3500 * time.Millisecond)}, 1, 0))
		if r.Total.Completed() != 3 || r.Total.Statuses[200] != 3 {
			t.Errorf("%d answers, want those of 0 s, 1 s and 2 s: %v", r.Total.Completed(), r.Total.Statuses)
		}
		if r.Sending != 2*time.Second+time.Millisecond || r.Elapsed() != 5500*time.Millisecond {
			t.Errorf("sending for %s, elapsed %s", r.Sending, r.Elapsed())
		}
	})
}

func TestRunInterruptedAfterItsLastArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		r := run(t, ctx, config(t, &server{answer: after(0)}, 0.5, 4*time.Second))
		if r.Total.Completed() != 2 || r.Sending != 2500*time.Millisecond || r.Elapsed() != r.Sending {
			t.Errorf("%d answers, sending for %s, elapsed %s; want 2, 2.5s, 2.5s", r.Total.Completed(), r.Sending, r.Elapsed())
		}
	})
}

// If the sender wakes up late after an interrupt, Sending still ends at a scheduled
// time.
func TestInterruptNoticedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1900*time.Millisecond)
		defer cancel()
		cfg := config(t, nil, 1, 0)
		cfg.Sender = Workers(&server{answer: after(0)}, 1, lateClock(300*time.Millisecond))
		if r := run(t, ctx, cfg); r.Sending != 2*time.Second || r.Total.Arrivals != 2 {
			t.Errorf("%d arrivals, sending for %s, want 2 and 2s", r.Total.Arrivals, r.Sending)
		}
	})
}

func TestStartInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(0)}
		cfg := config(t, s, 10, time.Second)
		cfg.Start = time.Now().Add(time.Minute)
		if r := run(t, t.Context(), cfg); !r.Start.Equal(cfg.Start) || !s.arrived[0].Equal(cfg.Start) || r.Total.Arrivals != 10 || r.Sending != time.Second {
			t.Errorf("from %s for %s, first arrival at %s", r.Start, r.Sending, s.arrived[0])
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cfg = config(t, s, 10, time.Second)
		cfg.Start = time.Now().Add(time.Minute)
		if r := run(t, ctx, cfg); r.Total.Arrivals != 0 || r.Sending != 0 || r.Elapsed() != 0 || r.AskedRate() != 0 || r.ErrorRate() != 0 {
			t.Errorf("interrupted before its start: %+v", r)
		}
	})
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []Exchange{{Status: 200}, {Status: 500}}
		cfg := config(t, &server{answer: func(time.Time) Exchange {
			time.Sleep(1500 * time.Millisecond)
			x := answers[0]
			answers = answers[1:]
			return x
		}}, 1, 4*time.Second)
		cfg.MaxInFlight = 1
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		check := func(want Snapshot, responses int64) {
			t.Helper()
			got := e.Snapshot()
			if got.Response.Count() != responses {
				t.Errorf("%d response times, want %d", got.Response.Count(), responses)
			}
			got.Response = nil
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		check(Snapshot{}, 0)
		go func() {
			time.Sleep(1100 * time.Millisecond)
			// The arrival at 1 s was dropped.
			check(Snapshot{Sending: 1100 * time.Millisecond, InFlight: 1, Arrivals: 2, Dropped: 1}, 0)
			time.Sleep(2500 * time.Millisecond)
			// The arrival at 3 s was dropped too; the one at 2 s ended at 3.5 s.
			check(Snapshot{Sending: 3600 * time.Millisecond, Arrivals: 4, Completed: 2, Failed: 1, Dropped: 2, Achieved: 1}, 2)
		}()
		if _, err := e.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Snapshots may be taken while a run starts, sends, receives and ends. Data races are
// found only with -race.
func TestSnapshotsDuringRun(t *testing.T) {
	e, err := New(Config{
		Schedule:    Schedule{Profile: Constant(20_000), Arrivals: Regular, Duration: 20 * time.Millisecond},
		Paths:       []Path{{"/", 1}},
		Sender:      Workers(&server{answer: func(time.Time) Exchange { return Exchange{Status: 200} }}, 10, TimerClock{}),
		MaxInFlight: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan *Result)
	go func() {
		r, err := e.Run(t.Context())
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	for {
		select {
		case r := <-ended:
			s := e.Snapshot()
			if s.InFlight != 0 || s.Completed+s.Dropped != 400 || s.Completed != r.Total.Completed() {
				t.Errorf("at the end: %+v", s)
			}
			return
		default:
			if s := e.Snapshot(); s.Completed+s.Dropped+int64(s.InFlight) > 400 {
				t.Fatalf("%+v", s)
			}
		}
	}
}

func TestFailuresAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := &server{answer: func(time.Time) Exchange {
			n++
			time.Sleep(time.Duration(n) * time.Millisecond)
			id := fmt.Sprint("trace", n)
			switch {
			case n <= 10:
				return Exchange{Status: 503, Bytes: 1, TraceID: id}
			case n == 11:
				return Exchange{Status: 500, Bytes: 1, TraceID: id}
			case n == 12:
				return Exchange{Status: 499, Bytes: 1, TraceID: id}
			case n == 13:
				return Exchange{Failure: "refused"}
			case n == 14: // the connection closed in the middle of the answer
				return Exchange{Status: 200, Bytes: 1, TraceID: id, Failure: "closed"}
			}
			return Exchange{Status: 200, Bytes: 1, TraceID: id}
		}}
		r := run(t, t.Context(), config(t, s, 1, 20*time.Second))
		if got, want := r.Total.Statuses, map[int]int64{503: 10, 500: 1, 499: 1, 200: 6}; !reflect.DeepEqual(got, want) {
			t.Errorf("answers by status %v, want %v", got, want)
		}
		if got, want := r.Total.Failures, map[string]int64{"refused": 1, "closed": 1}; !reflect.DeepEqual(got, want) {
			t.Errorf("failures by kind %v, want %v", got, want)
		}
		if got, want := r.Total.Classes(), [6]int64{0, 0, 6, 0, 1, 11}; got != want {
			t.Errorf("answers by class %v, want %v", got, want)
		}
		if r.Total.Failed() != 13 || r.ErrorRate() != 13.0/20 {
			t.Errorf("%d failed, a share of %v, want 13 and 0.65", r.Total.Failed(), r.ErrorRate())
		}
		if got, want := r.AchievedRate(), 7.0/20; got != want {
			t.Errorf("%v requests served per second, want %v", got, want)
		}
		if got := sum(t, r.Series); got.failed != 13 || got.served != 7 || got.responses != 20 {
			t.Errorf("the series counts %+v, want 13 failed, 7 served, 20 response times", got)
		}
		if len(r.Failed) != samples || r.Failed[9].TraceID != "trace10" {
			t.Errorf("failed: %+v", r.Failed)
		}
		if got, want := r.Failed[0], (Sample{TraceID: "trace1", Path: "/", Status: 503, Response: time.Millisecond}); got != want {
			t.Errorf("first failed: %+v, want %+v", got, want)
		}
		if len(r.Slowest) != samples || r.Slowest[9].TraceID != "trace11" {
			t.Errorf("slowest: %+v", r.Slowest)
		}
		want := []Sample{
			{TraceID: "trace20", Path: "/", Offset: 19 * time.Second, Status: 200, Response: 20 * time.Millisecond},
			{TraceID: "trace14", Path: "/", Offset: 13 * time.Second, Status: 200, Failure: "closed", Response: 14 * time.Millisecond},
		}
		if got := []Sample{r.Slowest[0], r.Slowest[6]}; !slices.Equal(got, want) {
			t.Errorf("slowest: %+v, want %+v", got, want)
		}
	})
}

// The first text of each kind of failure stays, on one line, without what could change
// a terminal.
func TestErrorTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		texts := []Exchange{
			{Failure: "closed"},
			{Failure: "closed", Detail: "after\n1 byte\x1b[2J of \xff"},
			{Failure: "closed", Detail: "the second of its kind"},
			{Failure: "reset", Detail: strings.Repeat("é", 200)},
			{Failure: "malformed", Detail: strings.Repeat("é", 201)},
			{Status: 200, Detail: "no failure"},
		}
		n := 0
		s := &server{answer: func(time.Time) Exchange { n++; time.Sleep(time.Millisecond); return texts[n-1] }}
		r := read(t, run(t, t.Context(), config(t, s, 1, 6*time.Second)))
		want := map[string]string{"closed": "after 1 byte\ufffd[2J of \ufffd", "reset": strings.Repeat("é", 200), "malformed": strings.Repeat("é", 200) + "…"}
		if !reflect.DeepEqual(r.Errors, want) {
			t.Errorf("got %q, want %q", r.Errors, want)
		}
		other := *r
		other.Runs = nil
		other.Errors = map[string]string{"closed": "other", "dns": "no such host"}
		m, err := Merge(r, &other)
		want["dns"] = "no such host"
		if err != nil || !reflect.DeepEqual(m.Errors, want) {
			t.Errorf("merged: %v, %q, want %q", err, m.Errors, want)
		}
	})
}

// Of requests with the same response time, the first ones stay in the list.
func TestSlowestKeepsTheFirstOfEquals(t *testing.T) {
	var kept []Sample
	for i := range 12 {
		kept = slowest(kept, Sample{TraceID: fmt.Sprint(i), Response: time.Second})
	}
	if len(kept) != samples || kept[0].TraceID != "0" || kept[9].TraceID != "9" {
		t.Errorf("%+v", kept)
	}
}

func TestWorkersLimitConcurrentRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(1500 * time.Millisecond)}
		cfg := config(t, s, 1, 4*time.Second)
		cfg.Sender = Workers(s, 1, TimerClock{})
		r := run(t, t.Context(), cfg)
		if s.mostBusy != 1 || r.Total.Completed() != 4 || r.Total.Dropped != 0 {
			t.Errorf("%d requests at once, %d completed, %d dropped; want 1, 4, 0", s.mostBusy, r.Total.Completed(), r.Total.Dropped)
		}
		// The fourth, due at 3 s, is sent when the third ends, at 4.5 s.
		near(t, "lateness", r.Lateness.Max(), 1500*time.Millisecond, 0.002)
	})
}

// boundClock counts how often it is bound and released.
type boundClock struct {
	TimerClock
	bound, released int
}

func (c *boundClock) Bind() func() {
	c.bound++
	return func() { c.released++ }
}

func TestWorkersReleaseTheirClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &boundClock{}
		cfg := config(t, nil, 1, time.Second)
		cfg.Sender = Workers(&server{answer: after(0)}, 1, clock)
		run(t, t.Context(), cfg)
		if clock.bound != 1 || clock.released != 1 {
			t.Errorf("bound %d times, released %d times, want once each", clock.bound, clock.released)
		}
	})
	if w := Workers(nil, 1, nil).(*workers); w.clock != (FineClock{}) {
		t.Errorf("the default clock is a %T", w.clock)
	}
}

func TestInvalidConfig(t *testing.T) {
	good := config(t, &server{answer: after(0)}, 1, time.Second)
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Schedule.Profile = Constant(0) }, "rate must be greater than 0 requests per second, got 0"},
		{func(c *Config) { c.Schedule.Profile = Constant(-1) }, "rate must be greater than 0 requests per second, got -1"},
		{func(c *Config) { c.Schedule.Profile = Constant(math.NaN()) }, "rate must be greater than 0 requests per second, got NaN"},
		{func(c *Config) { c.Schedule.Profile = Constant(math.Inf(1)) }, "rate must be a finite number of requests per second, at least 0, got +Inf"},
		{func(c *Config) { c.Schedule.Profile = nil }, "profile must be set"},
		{func(c *Config) { c.Schedule.Profile = Pieces{} }, "profile must have at least one piece"},
		{func(c *Config) { c.Schedule.Arrivals = "bursty" }, `arrivals must be constant or poisson, got "bursty"`},
		{func(c *Config) { c.Schedule.Duration = -time.Second }, "duration must be at least 0s, got -1s"},
		{func(c *Config) { c.Schedule.Shards = 2 }, "shard must be between 1 and the number of shards, got 0 of 2"},
		{func(c *Config) { c.Schedule.Shard, c.Schedule.Shards = 3, 2 }, "shard must be between 1 and the number of shards, got 3 of 2"},
		{func(c *Config) { c.Schedule.Shard = 1 }, "shard must be between 1 and the number of shards, got 1 of 0"},
		{func(c *Config) { c.Paths = nil }, "paths must not be empty"},
		{func(c *Config) { c.Paths = []Path{{"/", 0}} }, "path /: weight must be greater than 0, got 0"},
		{func(c *Config) { c.Sender = nil }, "sender must be set"},
		{func(c *Config) { c.MaxInFlight = 0 }, "max-in-flight must be at least 1, got 0"},
		{func(c *Config) { c.Warmup = -1 }, "warm-up must be at least 0s, got -1ns"},
		{func(c *Config) { c.Warmup = time.Second }, "warm-up must be shorter than the run, got 1s of 1s"},
	} {
		cfg := good
		test.change(&cfg)
		if _, err := New(cfg); err == nil || err.Error() != "open loop: "+test.want {
			t.Errorf("got %v, want open loop: %s", err, test.want)
		}
	}
	good.MaxInFlight, good.Schedule.Shard, good.Schedule.Shards, good.Warmup = 1, 2, 2, time.Second-1
	if _, err := New(good); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

// brokenSender cannot start.
type brokenSender struct{ Sender }

func (brokenSender) Start([]Path, Done) error { return errors.New("no files left") }

func TestSenderThatCannotStart(t *testing.T) {
	cfg := config(t, nil, 1, time.Second)
	cfg.Sender = brokenSender{}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := e.Run(t.Context()); r != nil || err == nil || err.Error() != "open loop: no files left" {
		t.Errorf("got %v, %v", r, err)
	}
}
