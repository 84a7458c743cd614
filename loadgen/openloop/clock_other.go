//go:build !linux

package openloop

// FineClock is the finest clock of the system; here, Go's timers.
type FineClock = TimerClock
