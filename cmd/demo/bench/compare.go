package main

import (
	"fmt"
	"slices"
	"time"
)

// window is what was measured in one.
type window struct {
	p50      time.Duration // of the requests that bench sends
	cpu      float64       // cores that the demo and its children used
	rss      float64       // bytes of resident memory of the same, the mean
	visits   int           // in the database at the end
	requests int           // that bench sent
	failed   int           // of these, without the status 200
	others   float64       // cores that other processes used
}

const (
	// limit is how much more than in the base the demo may need.
	limit = 0.20
	// compared is the number of windows at the end whose median is compared: one alone
	// may have been disturbed by another process.
	compared = 3
)

// failures returns a sentence about requests that failed, and whether they are more than
// one in a hundred: a fast refusal must not count as speed.
func failures(windows []window) (text string, exceeded bool) {
	var requests, failed int
	for _, w := range windows {
		requests, failed = requests+w.requests, failed+w.failed
	}
	return fmt.Sprintf("failed %d of %d requests, at most 1%% may", failed, requests), 100*failed > requests
}

// finding is the change of one number.
type finding struct {
	name   string
	change float64 // 0.1 is 10 % more
}

func (f finding) exceeded() bool { return f.change > limit }

func (f finding) String() string {
	verdict := "within"
	if f.exceeded() {
		verdict = "EXCEEDS"
	}
	return fmt.Sprintf("%-6s %+.0f%% from window 2 to the last %d, %s the limit of %+.0f%%", f.name, 100*f.change, compared, verdict, 100*limit)
}

// compare compares the median of the last windows with the second window.
func compare(windows []window) []finding {
	base, last := windows[1], windows[len(windows)-compared:]
	change := func(name string, of func(window) float64) finding {
		var values []float64
		for _, w := range last {
			values = append(values, of(w))
		}
		slices.Sort(values)
		before, after := of(base), values[compared/2]
		if before == after { // maybe both 0: too little to measure
			return finding{name, 0}
		}
		return finding{name, after/before - 1}
	}
	return []finding{
		change("p50", func(w window) float64 { return float64(w.p50) }),
		change("CPU", func(w window) float64 { return w.cpu }),
		change("memory", func(w window) float64 { return w.rss }),
	}
}
