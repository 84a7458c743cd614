package openloop

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// The first three seconds of a ramp are sent, but not counted: slow and failed requests
// of that time are nowhere in the result, not even those that end later.
func TestWarmUpIsSentButNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answer: func(at time.Time) Exchange {
			if at.Sub(start) < 3*time.Second {
				time.Sleep(4001 * time.Millisecond)
				return Exchange{Failure: "reset", Detail: "cold"}
			}
			time.Sleep(time.Millisecond)
			return Exchange{Status: 200, Bytes: 2}
		}}
		cfg := config(t, s, 1, 0)
		cfg.Schedule = Schedule{Profile: Pieces{{1, 11, 10 * time.Second}}, Arrivals: Regular} // 60 requests
		cfg.Warmup = 3 * time.Second
		r := read(t, run(t, t.Context(), cfg))
		// (1+4)/2·3 = 7.5: the requests 0 to 7 are in the warm-up.
		if len(s.arrived) != 60 || r.Total.Arrivals != 52 || r.Paths[0].Arrivals != 52 || r.Total.Statuses[200] != 52 || r.Total.Failed() != 0 || len(r.Errors) != 0 {
			t.Errorf("%d sent, counted %+v, %v", len(s.arrived), r.Total, r.Errors)
		}
		if !r.Start.Equal(start.Add(3*time.Second)) || r.Sending != 7*time.Second || r.Waiting != 0 {
			t.Errorf("from %s for %s and %s", r.Start.Sub(start), r.Sending, r.Waiting)
		}
		if math.Abs(r.Scheduled-52.5) > 1e-9 || r.Achieved != 52 {
			t.Errorf("asked for %v, achieved %d, want 52.5 and 52", r.Scheduled, r.Achieved)
		}
		if r.Lateness.Count() != 52 || r.Total.Service.Count() != 52 || r.Total.Response.Max() > 2*time.Millisecond || r.Slowest[0].Offset < 0 || len(r.Failed) > 0 {
			t.Errorf("%d lateness, longest %s, %+v", r.Lateness.Count(), r.Total.Response.Max(), r.Slowest[0])
		}
		if got, want := sum(t, r.Series), (sums{arrivals: 52, served: 52, responses: 52}); got != want {
			t.Errorf("the series counts %+v, want %+v", got, want)
		}
		for i, want := range []float64{4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5} {
			if got := r.Points()[i].Asked; math.Abs(got-want) > 1e-9 {
				t.Errorf("second %d: %v/s asked, want %v/s", i, got, want)
			}
		}
	})
}

// Requests of the warm-up are in flight like others: arrivals over the limit are
// dropped.
func TestWarmUpCountsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: after(2500 * time.Millisecond)}, 1, 4*time.Second)
		cfg.MaxInFlight, cfg.Warmup = 1, 2*time.Second
		// Due at 0 s: sent. At 1 s: dropped, not counted. At 2 s: dropped. At 3 s: sent.
		if r := run(t, t.Context(), cfg); r.Total.Arrivals != 2 || r.Total.Dropped != 1 || r.Total.Completed() != 1 {
			t.Errorf("%+v", r.Total)
		}
	})
}

func TestInterruptedWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		cfg := config(t, &server{answer: after(time.Millisecond)}, 1, 0)
		cfg.Warmup = 10 * time.Second
		if r := read(t, run(t, ctx, cfg)); r.Total.Arrivals != 0 || r.Sending != 0 || r.Waiting != 0 || r.Scheduled != 0 || len(r.Points()) != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestSnapshotsOfAllPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: after(2600 * time.Millisecond)}, 1, 4*time.Second)
		cfg.Start, cfg.Warmup = time.Now().Add(2*time.Second), 2*time.Second
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			wait := 500 * time.Millisecond
			for _, want := range []Snapshot{
				{StartsIn: 1500 * time.Millisecond},
				{StartsIn: 500 * time.Millisecond},
				{WarmUp: 1500 * time.Millisecond, InFlight: 1},
				{WarmUp: 500 * time.Millisecond, InFlight: 2},
				{Sending: 500 * time.Millisecond, Arrivals: 1, InFlight: 3},
				{Sending: 1500 * time.Millisecond, Arrivals: 2, InFlight: 3},
				{Sending: 2 * time.Second, Waiting: 500 * time.Millisecond, Arrivals: 2, InFlight: 2},
				{Sending: 2 * time.Second, Waiting: 1500 * time.Millisecond, Arrivals: 2, Completed: 1, InFlight: 1},
			} {
				time.Sleep(wait)
				wait = time.Second
				synctest.Wait()
				got := e.Snapshot()
				got.Response = nil
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
		}()
		if _, err := e.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Abort sees a snapshot each second, after the warm-up. Its reason ends the run, and is
// in the result.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answer: func(at time.Time) Exchange {
			time.Sleep(time.Millisecond)
			if at.Sub(start) >= 5*time.Second {
				return Exchange{Status: 500}
			}
			return Exchange{Status: 200}
		}}
		cfg := config(t, s, 10, time.Minute)
		cfg.Schedule.Profile = Constant(10)
		cfg.Warmup = 1500 * time.Millisecond
		calls := 0
		cfg.Abort = func(s Snapshot) string {
			calls++
			if s.Failed > 15 {
				return "too many failed"
			}
			return ""
		}
		r := read(t, run(t, t.Context(), cfg))
		// 20 had failed after 7 s, and the snapshot at that time decides.
		if r.Aborted != "too many failed" || r.Sending != 5500*time.Millisecond || calls != 6 {
			t.Errorf("%q after %s and %d calls", r.Aborted, r.Sending, calls)
		}
		other := read(t, run(t, t.Context(), config(t, &server{answer: after(time.Millisecond)}, 10, time.Second)))
		if other.Aborted != "" {
			t.Errorf("a whole run: %q", other.Aborted)
		}
		if m, err := Merge(other, r); err != nil || m.Aborted != r.Aborted {
			t.Errorf("merged: %q, %v", m.Aborted, err)
		}
	})
}

// Abort is not called while a run waits for its last answers: there is nothing to end.
func TestNoAbortWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: after(9 * time.Second)}, 1, 2500*time.Millisecond)
		calls := 0
		cfg.Abort = func(Snapshot) string { calls++; return "" }
		if run(t, t.Context(), cfg); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}
