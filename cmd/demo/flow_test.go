package main

import (
	"testing"
	"testing/synctest"
	"time"

	"apmapp/loadgen/openloop"
)

// TestFlow reads the arrivals of a schedule whose rate changes from 10 to 20 per second,
// to 0 for ten seconds, and back to 10.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(10, 14*time.Second, nil)
		go func() {
			for _, step := range []struct {
				after time.Duration
				rate  float64
			}{{time.Second, 20}, {time.Second, 0}, {10 * time.Second, 10}} {
				time.Sleep(step.after + time.Millisecond)
				f.Set(step.rate)
			}
		}()
		inSecond := map[time.Duration]int{}
		for _, due := range (openloop.Schedule{Profile: f, Arrivals: openloop.Regular, Duration: 14 * time.Second}).All() {
			time.Sleep(time.Until(f.start.Add(due)))
			inSecond[due.Truncate(time.Second)/time.Second]++
		}
		for second, want := range map[time.Duration]int{0: 10, 1: 20, 5: 0, 11: 0, 13: 10} {
			if got := inSecond[second]; got < want-1 || got > want+1 {
				t.Errorf("%d requests in second %d, want %d", got, second, want)
			}
		}
		if got := f.Requests(14 * time.Second); got < 49 || got > 51 {
			t.Errorf("%g requests in 14 s, want 50", got)
		}
		for at, want := range map[time.Duration]float64{0: 10, 1500 * time.Millisecond: 20, 3 * time.Second: 0, 13 * time.Second: 10} {
			if got := f.Rate(at); got != want {
				t.Errorf("%g requests per second at %s, want %g", got, at, want)
			}
		}
	})
}

// A flow that is stopped ends with its length, or with the traffic.
func TestStoppedFlowEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		length time.Duration
		end    bool
	}{"length": {3 * time.Second, false}, "end of the traffic": {0, true}} {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan struct{})
			f := newFlow(10, tc.length, ended)
			f.Set(0)
			if tc.end {
				time.AfterFunc(3*time.Second, func() { close(ended) })
			}
			if due := f.Instant(1); due != never || time.Since(f.start) != 3*time.Second {
				t.Errorf("%s: due at %s after %s", name, due, time.Since(f.start))
			}
		})
	}
}

// After a rate that is too high, the late requests are not sent.
func TestFlowLeavesOutLateRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(1000, 0, nil)
		for n := range 10 { // ten requests in ten seconds
			f.Instant(float64(n))
			time.Sleep(time.Second)
		}
		f.Set(10)
		for n, want := range map[float64]time.Duration{10: 10 * time.Second, 11: 10100 * time.Millisecond} {
			if got := f.Instant(n); got != want {
				t.Errorf("request %g is due at %s, want %s", n, got, want)
			}
		}
	})
}
