package openloop

import (
	"context"
	"time"
)

// Clock is how the dispatcher waits until an arrival is due.
type Clock interface {
	// Bind prepares the calling goroutine, which is the one that sleeps;
	// release undoes that.
	Bind() (release func())
	// SleepUntil returns at t, or soon after ctx ends.
	SleepUntil(ctx context.Context, t time.Time)
}

// TimerClock sleeps with Go's timers: precise to about a millisecond.
type TimerClock struct{}

// Bind implements Clock.
func (TimerClock) Bind() (release func()) { return func() {} }

// SleepUntil implements Clock.
func (TimerClock) SleepUntil(ctx context.Context, t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
