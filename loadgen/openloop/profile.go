package openloop

import (
	"fmt"
	"math"
	"time"
)

// Profile is how many requests a second are asked for, over time.
type Profile interface {
	// Rate is the rate at an instant of the run, in requests per second.
	Rate(t time.Duration) float64
	// Instant is when n requests have been asked for since the start: the
	// inverse of the rate's integral. It grows with n; where the profile ends
	// before, it is beyond any duration.
	Instant(n float64) time.Duration
}

// Constant is a rate that does not change, in requests per second.
type Constant float64

// Rate implements Profile.
func (c Constant) Rate(time.Duration) float64 { return float64(c) }

// Instant implements Profile.
func (c Constant) Instant(n float64) time.Duration { return seconds(n / float64(c)) }

func (c Constant) check() error {
	if !(c > 0) || math.IsInf(float64(c), 0) {
		return fmt.Errorf("a rate of %v requests per second cannot be", float64(c))
	}
	return nil
}

// seconds rounds to the nearest nanosecond, and to never where that is too far.
func seconds(s float64) time.Duration {
	ns := math.Round(s * 1e9)
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
