package series

import (
	"math"
	"slices"
	"time"
)

// BucketLength is the length of a bucket, as in statistics of tracers.
const BucketLength = 10 * time.Second

// Window is the time that Numbers cover: long enough for percentiles at 20 requests
// per second, short enough to reflect the present.
const Window = 5 * time.Minute

// buckets is the number of buckets in a duration, with the one that has begun.
func buckets(of time.Duration) int64 { return int64(of/BucketLength) + 1 }

// MaxHits is the largest number that a source may count in a bucket: 10^11 a second.
// The sum over all resources and buckets fits an int64.
const MaxHits = 1e12

// Spans counts spans by the bucket in which they ended.
type Spans struct {
	most    int64     // buckets
	buckets []*bucket // the oldest first
	first   time.Time // end of the first span
}

// NewSpans returns an empty series that keeps the buckets of a duration.
func NewSpans(keep time.Duration) *Spans { return &Spans{most: buckets(keep)} }

// bucket counts the spans that ended in ten seconds, once per source.
type bucket struct {
	start    int64   // in BucketLengths since 1970
	received float64 // spans, unweighted
	sources  [sources]tally
}

// Source counts spans.
type Source int

// Received spans are weighted: each also represents those that its tracer sampled out.
// Statistics of the Agent and of tracers include those.
const (
	Received Source = iota
	Agent
	Tracer
	sources int = iota
)

type tally struct {
	hits, errors float64
	classes      Classes
	durations    *Distribution // nil if empty or evicted
}

// Classes counts requests by the first digit of their HTTP status. The first element counts
// failed ones without a status.
type Classes [6]float32

// add counts requests with a status; 0 means none.
func (c *Classes) add(status int, hits, errors float64) {
	class := status / 100
	switch {
	case class == 0:
		c[0] += float32(errors)
	case class > 0 && class < len(c):
		c[class] += float32(hits)
	}
}

// best returns the tally that counted most spans. It is not the sum: both the tracer
// and the Agent count what a tracer sends when it stops.
func (b *bucket) best() *tally {
	best, known := &b.sources[Received], b.received
	for _, from := range []Source{Agent, Tracer} {
		if t := &b.sources[from]; t.hits >= known {
			best, known = t, t.hits
		}
	}
	return best
}

// InTime reports whether a span that ended at a time can be counted: it is not older
// than Window, and not more than ten seconds in the future, as with a wrong clock.
func InTime(end, now time.Time) bool {
	return !end.After(now.Add(BucketLength)) && end.UnixNano()/int64(BucketLength) > now.UnixNano()/int64(BucketLength)-buckets(Window)
}

// at returns the bucket of a time; nil if the time is too old, or too far in the future.
func (s *Spans) at(end, now time.Time) *bucket {
	at := end.UnixNano() / int64(BucketLength)
	oldest := now.UnixNano()/int64(BucketLength) - s.most
	if at <= oldest || end.After(now.Add(BucketLength)) {
		return nil
	}
	for len(s.buckets) > 0 && s.buckets[0].start <= oldest {
		s.buckets[0] = nil
		s.buckets = s.buckets[1:]
	}
	i := len(s.buckets)
	for i > 0 && s.buckets[i-1].start > at {
		i--
	}
	if i == 0 || s.buckets[i-1].start != at {
		s.buckets = slices.Insert(s.buckets, i, &bucket{start: at})
		i++
	}
	if s.first.IsZero() {
		s.first = end
	}
	return s.buckets[i-1]
}

// Span is what Spans counts of a span.
type Span struct {
	End      time.Time
	Duration time.Duration
	Error    bool
	Status   int // of HTTP; 0 without
	// Weight is the number of spans that it represents, itself included.
	Weight float64
}

// Add counts a received span. It returns false if the span ended too long ago or in the
// future.
func (s *Spans) Add(span Span, now time.Time, pool *Pool) bool {
	b := s.at(span.End, now)
	if b == nil {
		return false
	}
	t := &b.sources[Received]
	b.received++
	t.hits += span.Weight
	errors := 0.0
	if span.Error {
		errors = span.Weight
	}
	t.errors += errors
	t.classes.add(span.Status, span.Weight, errors)
	pool.of(t).Add(span.Duration, span.Weight)
	return true
}

// Group is statistics of spans that ended in one bucket.
type Group struct {
	Start        time.Time
	Hits, Errors uint64
	Status       int // of HTTP; 0 without
	// OK and Failed are encoded distributions of durations, in nanoseconds.
	OK, Failed []byte
}

// AddGroup counts statistics of tracers or of the Agent. Counted is false if they are too
// old or from the future, and valid is false if their numbers or durations are
// impossible.
func (s *Spans) AddGroup(g Group, from Source, now time.Time, pool *Pool) (counted, valid bool) {
	if g.Hits > MaxHits || g.Errors > MaxHits {
		return false, false
	}
	b := s.at(g.Start, now)
	if b == nil {
		return false, true
	}
	t := &b.sources[from]
	t.hits = min(t.hits+float64(g.Hits), MaxHits)
	errors := float64(min(g.Errors, g.Hits)) // rounded numbers differ by 1
	t.errors = min(t.errors+errors, MaxHits)
	t.classes.add(g.Status, float64(g.Hits), errors)
	durations := pool.of(t)
	read, failed := durations.Decode(g.OK), durations.Decode(g.Failed)
	return true, read && failed
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

	durations *Distribution
}

// Numbers returns the numbers at a time.
func (s *Spans) Numbers(now time.Time) Numbers {
	n := Numbers{durations: NewDistribution(), PerBucket: make([]int64, buckets(Window)-1)}
	last := now.UnixNano() / int64(BucketLength)
	first := last - int64(len(n.PerBucket)) + 1
	oldest := last
	var hits, errors float64
	for _, b := range s.buckets {
		if b.start < first || b.start > last {
			continue
		}
		oldest = min(oldest, b.start)
		t := b.best()
		n.PerBucket[b.start-first] = int64(math.Round(t.hits))
		hits += t.hits
		errors += t.errors
		n.durations.Merge(t.durations)
	}
	n.Hits, n.Errors = int64(math.Round(hits)), int64(math.Round(errors))
	if n.Hits == 0 {
		return n
	}
	since := time.Unix(0, oldest*int64(BucketLength))
	if s.first.After(since) {
		since = s.first
	}
	n.Rate = float64(n.Hits) / max(now.Sub(since), time.Second).Seconds()
	n.quantiles()
	return n
}

// Between returns the numbers of the intervals that begin from a time on and before another
// one. They have no PerBucket.
func (s *Spans) Between(from, to time.Time) Numbers {
	n := Numbers{durations: NewDistribution()}
	var hits, errors float64
	for _, b := range s.buckets {
		if start := time.Unix(0, b.start*int64(BucketLength)); start.Before(from) || !start.Before(to) {
			continue
		}
		t := b.best()
		hits += t.hits
		errors += t.errors
		n.durations.Merge(t.durations)
	}
	n.Hits, n.Errors = int64(math.Round(hits)), int64(math.Round(errors))
	if n.Hits > 0 {
		n.Rate = float64(n.Hits) / max(to.Sub(from), time.Second).Seconds()
		n.quantiles()
	}
	return n
}

func (n *Numbers) quantiles() {
	n.P50, n.P95, n.P99 = n.durations.Quantile(0.50), n.durations.Quantile(0.95), n.durations.Quantile(0.99)
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
	least, most := n.durations.Bounds()
	if most == 0 {
		return nil
	}
	factor := math.Log(float64(most)/float64(least)) / bars
	edge := func(i int) time.Duration { return time.Duration(float64(least) * math.Exp(factor*float64(i))) }
	all := make([]Bar, bars)
	for i := range all {
		all[i].From, all[i].To = edge(i), edge(i+1)
	}
	for d, hits := range n.durations.All() {
		i := int(math.Log(float64(max(d, least))/float64(least)) / factor)
		all[min(max(i, 0), bars-1)].Hits += int64(math.Round(hits))
	}
	return all
}

// Interval is the statistics of ten seconds.
type Interval struct {
	Start   time.Time `json:"start"`
	Hits    float64   `json:"hits"`
	Errors  float64   `json:"errors"`
	Classes Classes   `json:"status_classes"`
	// The percentiles are 0 if the durations were evicted.
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
}

// Intervals returns the intervals with spans, the oldest first.
func (s *Spans) Intervals() []Interval {
	all := make([]Interval, 0, len(s.buckets))
	for _, b := range s.buckets {
		t := b.best()
		i := Interval{Start: time.Unix(0, b.start*int64(BucketLength)), Hits: t.hits, Errors: t.errors, Classes: t.classes}
		if t.durations != nil {
			i.P50, i.P95, i.P99 = t.durations.Quantile(0.50), t.durations.Quantile(0.95), t.durations.Quantile(0.99)
		}
		all = append(all, i)
	}
	return all
}

// Pool bounds the number of distributions in all series: the oldest are evicted.
type Pool struct {
	most int
	kept []*tally
}

// NewPool returns a pool with a budget in bytes.
func NewPool(budget int64) *Pool { return &Pool{most: max(int(budget/DistributionSize), 1)} }

// Bytes estimates the memory of the distributions.
func (p *Pool) Bytes() int64 { return int64(len(p.kept)) * DistributionSize }

// of returns the distribution of a tally and creates it if needed.
func (p *Pool) of(t *tally) *Distribution {
	if t.durations == nil {
		t.durations = NewDistribution()
		p.kept = append(p.kept, t)
		for len(p.kept) > p.most {
			p.kept[0].durations = nil
			p.kept[0] = nil
			p.kept = p.kept[1:]
		}
	}
	return t.durations
}
