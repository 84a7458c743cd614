package main

import (
	"math"
	"os"
	"runtime/debug"
)

// besides is the memory in bytes that Go may use besides the stored telemetry: for what
// arrives, pages and garbage. The program itself has 25 MB more.
const besides = 34_000_000

// limitMemory bounds the memory of Go for a telemetry budget, unless GOGC or GOMEMLIMIT is
// set. By default, Go lets the heap grow to twice of what is in use.
func limitMemory(budget int64) {
	if os.Getenv("GOGC") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(budget + besides)
	}
}
