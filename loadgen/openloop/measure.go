package openloop

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Unit is what the number of a Measure counts.
type Unit int

// The units of measures.
const (
	Nanoseconds Unit = iota // a time.Duration
	Share                   // 0 to 1
	PerSecond
)

// Measure is a figure of a run that a threshold can compare, such as p99 or errors.
type Measure struct {
	Name string
	Unit Unit
	of   func(figures) float64
}

// figures are what measures are computed from: those of a Result or a Snapshot.
type figures struct {
	response                            *Histogram
	arrivals, failed, dropped, achieved int64
	sending                             time.Duration
}

// ParseMeasure returns the measure of a name:
//
//	p50, p99, p99.9 …  percentiles of the response time
//	max, mean          of the response time
//	errors             the share of arrivals that failed or were dropped
//	failed, dropped    the two parts of errors
//	achieved           requests served per second while the schedule ran
func ParseMeasure(name string) (Measure, error) {
	response := func(of func(*Histogram) time.Duration) Measure {
		return Measure{name, Nanoseconds, func(f figures) float64 { return float64(of(f.response)) }}
	}
	share := func(of func(figures) int64) Measure {
		return Measure{name, Share, func(f figures) float64 {
			if f.arrivals == 0 {
				return 0
			}
			return float64(of(f)) / float64(f.arrivals)
		}}
	}
	switch name {
	case "max":
		return response((*Histogram).Max), nil
	case "mean":
		return response((*Histogram).Mean), nil
	case "errors":
		return share(func(f figures) int64 { return f.failed + f.dropped }), nil
	case "failed":
		return share(func(f figures) int64 { return f.failed }), nil
	case "dropped":
		return share(func(f figures) int64 { return f.dropped }), nil
	case "achieved":
		return Measure{name, PerSecond, func(f figures) float64 { return rate(float64(f.achieved), f.sending) }}, nil
	}
	number, ok := strings.CutPrefix(name, "p")
	percentile, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(percentile > 0 && percentile <= 100) || strings.Trim(number, "0123456789.") != "" {
		return Measure{}, fmt.Errorf("%q is not a measure: use p50, p99.9 or another percentile, max, mean, errors, failed, dropped or achieved", name)
	}
	return response(func(h *Histogram) time.Duration { return h.Quantile(percentile / 100) }), nil
}

// Value returns a measure of the run, in its unit. Without requests, it is 0.
func (r *Result) Value(m Measure) float64 {
	return m.of(figures{r.Total.Response, r.Total.Arrivals, r.Total.Failed(), r.Total.Dropped, r.Achieved, r.Sending})
}

// Value returns a measure of the run so far, in its unit. Without requests, it is 0.
func (s Snapshot) Value(m Measure) float64 {
	return m.of(figures{s.Response, s.Arrivals, s.Failed, s.Dropped, s.Achieved, s.Sending})
}
