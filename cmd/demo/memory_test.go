package main

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestHeapHasOneSize(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })
	for _, tc := range []struct {
		name, gogc         string
		given, limit       int64
		telemetry, percent int
	}{
		{"default", "", math.MaxInt64, 192_000_000, 64_000_000, -1},
		{"larger budget", "", math.MaxInt64, 1_596_000_000, 1_000_000_000, -1},
		{"GOGC is set", "50", math.MaxInt64, math.MaxInt64, 64_000_000, 100},
		{"GOMEMLIMIT is set", "", 1 << 30, 1 << 30, 64_000_000, 100},
	} {
		t.Setenv("GOGC", tc.gogc)
		debug.SetMemoryLimit(tc.given)
		debug.SetGCPercent(100)
		limitMemory(int64(tc.telemetry))
		if got := debug.SetMemoryLimit(-1); got != tc.limit {
			t.Errorf("%s: the limit is %d, want %d", tc.name, got, tc.limit)
		}
		if got := debug.SetGCPercent(100); got != tc.percent {
			t.Errorf("%s: GC percent %d, want %d", tc.name, got, tc.percent)
		}
	}
}
