package openloop

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// FineClock sleeps with a precision of some ten microseconds. Go's timers wake a
// sleeper through epoll, which counts in milliseconds; FineClock sleeps in the
// kernel.
type FineClock struct{}

// fineStretch is the last part of a sleep, spent in the kernel: longer than a Go
// timer may be late. It also bounds how late the end of a context is noticed.
const fineStretch = 3 * time.Millisecond

// Bind implements Clock: the goroutine gets its own thread, which the kernel
// wakes exactly on time and not together with others, up to 50 µs later. A thread
// that sleeps in the kernel may keep one of Go's processors (P); with GOMAXPROCS=1
// every other goroutine would wait for it, so the thread adds one.
func (FineClock) Bind() (release func()) {
	runtime.LockOSThread()
	addProcessors(1)
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	// Where either call is forbidden, arrivals are up to 50 µs later; lateness is
	// measured and shows it.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		if err == nil {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
		}
		addProcessors(-1)
		runtime.UnlockOSThread()
	}
}

// processors guards GOMAXPROCS against two clocks that change it at the same time.
var processors sync.Mutex

func addProcessors(n int) {
	processors.Lock()
	defer processors.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
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
	// An absolute time: a signal that interrupts the sleep does not move it.
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) == unix.EINTR {
	}
}
