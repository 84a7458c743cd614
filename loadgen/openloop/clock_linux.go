package openloop

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// FineClock sleeps to some ten microseconds. Go's timers wake a sleeper by way
// of epoll, which counts in milliseconds; this one sleeps in the kernel.
type FineClock struct{}

// fineStretch is the last part of a sleep, in the kernel: longer than a timer is
// late. It is also how long the end of a context may go unnoticed.
const fineStretch = 3 * time.Millisecond

// Bind implements Clock: the goroutine gets a thread of its own, which the
// kernel wakes on the dot and not with others 50 µs later.
func (FineClock) Bind() (release func()) {
	runtime.LockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	// Where either call is forbidden, arrivals are that bit later; lateness is
	// measured and shows it.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		if err == nil {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
		}
		runtime.UnlockOSThread()
	}
}

// SleepUntil implements Clock.
func (FineClock) SleepUntil(ctx context.Context, t time.Time) {
	if time.Until(t) > fineStretch {
		TimerClock{}.SleepUntil(ctx, t.Add(-fineStretch*2/3))
	}
	left := time.Until(t)
	if left <= 0 || ctx.Err() != nil {
		return
	}
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		time.Sleep(left)
		return
	}
	until := unix.NsecToTimespec(now.Nano() + left.Nanoseconds())
	// An absolute instant: a signal that interrupts the sleep does not move it.
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) == unix.EINTR {
	}
}
