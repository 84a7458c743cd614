//go:build !linux

package openloop

// FineClock is the most precise clock of the system. Outside Linux that is Go's
// timers.
type FineClock = TimerClock
