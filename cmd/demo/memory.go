package main

import (
	"math"
	"os"
	"runtime/debug"
)

// limitMemory gives the heap one size from the first minutes on, unless GOGC or
// GOMEMLIMIT is set: garbage is collected when the heap reaches that size. By default, Go
// lets the heap grow to twice of what is in use, so the demo would grow for as long as the
// local agent's budget fills.
//
// At 200 requests per second, 50 MB are in use without telemetry, and the stored telemetry
// needs 1.1 times its budget. The rest is for garbage.
func limitMemory(telemetry int64) {
	if os.Getenv("GOGC") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(heapSize(telemetry))
		debug.SetGCPercent(-1)
	}
}

// heapSize returns the size of the heap for a telemetry budget.
func heapSize(telemetry int64) int64 { return 96_000_000 + telemetry*3/2 }
