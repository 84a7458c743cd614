package openloop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimerClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for _, test := range []struct{ until, want time.Duration }{
			{time.Second, time.Second},
			{time.Second, time.Second}, // now
			{0, time.Second},           // in the past
			{time.Hour, 2 * time.Second},
		} {
			if (TimerClock{}).SleepUntil(ctx, start.Add(test.until)); time.Since(start) != test.want {
				t.Errorf("until %s: woke up at %s, want %s", test.until, time.Since(start), test.want)
			}
		}
	})
}

// The fine clock of this system, in real time: it must not wake up early, and a
// sleep ends with its context.
func TestFineClock(t *testing.T) {
	defer FineClock{}.Bind()()
	for _, d := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
		for range 10 {
			until := time.Now().Add(d)
			FineClock{}.SleepUntil(t.Context(), until)
			if early := time.Until(until); early > 0 {
				t.Errorf("early by %s", early)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	FineClock{}.SleepUntil(ctx, start.Add(time.Minute))
	FineClock{}.SleepUntil(ctx, start)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("a sleep outlived its context by %s", took)
	}
}
