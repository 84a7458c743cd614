package localagent

import (
	"math"
	"time"
)

// Service statistics are kept in ten-second buckets, like tracer statistics: those
// of the window that pages show, and the current one.
const (
	bucketLength = 10 * time.Second
	buckets      = int(window/bucketLength) + 1
)

// series counts spans by time.
type series struct {
	ring  [buckets]*bucket
	first time.Time // end of the first span
}

// bucket counts the spans that ended in one ten-second interval, once per source:
// spans, tracer statistics and Agent statistics.
type bucket struct {
	start         int64   // in bucketLengths since 1970
	received      float64 // spans, unweighted
	spans         tally   // weighted: each received span also represents those that its tracer sampled out
	tracer, agent tally   // from statistics
}

// tally counts spans.
type tally struct {
	hits, errors float64
	durations    *distribution // nil if empty or evicted
}

// best returns the tally that counted most spans. It is not the sum: both the tracer
// and the Agent count what a tracer sends when it stops.
func (b *bucket) best() *tally {
	best, known := &b.spans, b.received
	for _, t := range []*tally{&b.agent, &b.tracer} {
		if t.hits >= known {
			best, known = t, t.hits
		}
	}
	return best
}

// at returns the bucket of a time, or nil if the time is too old, or more than ten
// seconds in the future (a wrong clock).
func (s *series) at(end time.Time) *bucket {
	at := end.UnixNano() / int64(bucketLength)
	if end.After(time.Now().Add(bucketLength)) {
		return nil
	}
	place := &s.ring[((at%int64(buckets))+int64(buckets))%int64(buckets)]
	if *place == nil || (*place).start != at {
		if *place != nil && (*place).start > at {
			return nil
		}
		*place = &bucket{start: at}
	}
	if s.first.IsZero() {
		s.first = end
	}
	return *place
}

// Numbers are the statistics of the last five minutes.
type Numbers struct {
	Hits   int64         `json:"hits"`
	Errors int64         `json:"errors"`
	Rate   float64       `json:"per_second"`
	P50    time.Duration `json:"p50_ns"`
	P95    time.Duration `json:"p95_ns"`
	P99    time.Duration `json:"p99_ns"`
	// PerBucket has the hits of each ten seconds, the oldest first.
	PerBucket []int64 `json:"per_10s"`

	durations *distribution
}

// window is the time that Numbers cover: long enough for percentiles at 20 requests
// per second, short enough to reflect the present.
const window = 5 * time.Minute

func (s *series) numbers(now time.Time) Numbers {
	n := Numbers{durations: newDistribution()}
	last := now.UnixNano() / int64(bucketLength)
	first := last - int64(window/bucketLength) + 1
	oldest := last
	var hits, errors float64
	for at := first; at <= last; at++ {
		b := s.ring[((at%int64(buckets))+int64(buckets))%int64(buckets)]
		if b == nil || b.start != at {
			n.PerBucket = append(n.PerBucket, 0)
			continue
		}
		oldest = min(oldest, at)
		t := b.best()
		n.PerBucket = append(n.PerBucket, int64(math.Round(t.hits)))
		hits += t.hits
		errors += t.errors
		n.durations.merge(t.durations)
	}
	n.Hits, n.Errors = int64(math.Round(hits)), int64(math.Round(errors))
	if n.Hits == 0 {
		return n
	}
	since := time.Unix(0, oldest*int64(bucketLength))
	if s.first.After(since) {
		since = s.first
	}
	n.Rate = float64(n.Hits) / max(now.Sub(since), time.Second).Seconds()
	n.quantiles()
	return n
}

func (n *Numbers) quantiles() {
	n.P50, n.P95, n.P99 = n.durations.quantile(0.50), n.durations.quantile(0.95), n.durations.quantile(0.99)
}

// Bar counts the durations from From (inclusive) to To.
type Bar struct {
	From, To time.Duration
	Hits     int64
}

// bars is the number of bars of a distribution: enough to see two humps.
const bars = 24

// Distribution returns the distribution of the durations. Bars have equal widths on
// a logarithmic scale.
func (n Numbers) Distribution() []Bar {
	least, most := n.durations.bounds()
	if most == 0 {
		return nil
	}
	factor := math.Log(float64(most)/float64(least)) / bars
	edge := func(i int) time.Duration { return time.Duration(float64(least) * math.Exp(factor*float64(i))) }
	all := make([]Bar, bars)
	for i := range all {
		all[i].From, all[i].To = edge(i), edge(i+1)
	}
	for d, hits := range n.durations.all() {
		i := int(math.Log(float64(max(d, least))/float64(least)) / factor)
		all[min(max(i, 0), bars-1)].Hits += int64(math.Round(hits))
	}
	return all
}

func (n *Numbers) merge(o Numbers) {
	n.Hits += o.Hits
	n.Errors += o.Errors
	n.Rate += o.Rate
	for i, hits := range o.PerBucket {
		n.PerBucket[i] += hits
	}
	n.durations.merge(o.durations)
	n.quantiles()
}
