package main

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestLimitMemory(t *testing.T) {
	unlimited := func() { debug.SetMemoryLimit(math.MaxInt64) }
	t.Cleanup(unlimited)
	for _, c := range []struct {
		name, gogc string
		before     int64
		want       int64
	}{
		{"default", "", math.MaxInt64, 64_000_000 + besides},
		{"GOGC is set", "50", math.MaxInt64, math.MaxInt64},
		{"GOMEMLIMIT is set", "", 500_000_000, 500_000_000},
	} {
		t.Setenv("GOGC", c.gogc)
		debug.SetMemoryLimit(c.before)
		limitMemory(64_000_000)
		if got := debug.SetMemoryLimit(-1); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
