package localagent

import (
	"math"
	"time"
)

// The numbers of services are kept by ten seconds, as tracers' statistics are,
// for as long as pages show them and the one that has just begun.
const (
	bucketLength = 10 * time.Second
	buckets      = int(window/bucketLength) + 1
)

// series counts by time.
type series struct {
	ring  [buckets]*bucket
	first time.Time // when the first span ended
}

// bucket is what ended within ten seconds, as each that tells has it.
type bucket struct {
	start         int64 // in bucketLengths since 1970
	came          float64
	spans         tally // each that came stands for those that its tracer sampled out, too
	tracer, agent tally // statistics
}

// tally counts spans.
type tally struct {
	hits, errors float64
	durations    *distribution // nil when there are none, or when they made room
}

// best is the tally that knows of more spans. It is not their sum: what a tracer
// sends when it stops is counted by itself and by the Agent.
func (b *bucket) best() *tally {
	best, known := &b.spans, b.came
	for _, t := range []*tally{&b.agent, &b.tracer} {
		if t.hits >= known {
			best, known = t, t.hits
		}
	}
	return best
}

// at is the bucket of an instant; nil when that is older than all that is kept,
// or when it is still to come by a clock that is right.
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

// Numbers are what came within a stretch of time.
type Numbers struct {
	Hits   int64         `json:"hits"`
	Errors int64         `json:"errors"`
	Rate   float64       `json:"per_second"`
	P50    time.Duration `json:"p50_ns"`
	P95    time.Duration `json:"p95_ns"`
	P99    time.Duration `json:"p99_ns"`
	// PerBucket are the hits of each ten seconds, the oldest first.
	PerBucket []int64 `json:"per_10s"`

	durations *distribution
}

// window is how far back the numbers go: far enough for percentiles of 20
// requests a second, near enough to show what is now.
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

// Bar is how many durations lie between two.
type Bar struct {
	From, To time.Duration
	Hits     int64
}

// bars is how many a distribution has: enough to see two humps.
const bars = 24

// Distribution returns the distribution of the durations in bars that are each
// longer than the one before by the same factor.
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
