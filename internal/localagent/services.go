package localagent

import (
	"cmp"
	"math"
	"slices"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"apmapp/internal/traceagent"
)

// The numbers of services are kept by ten seconds, for ten minutes.
const (
	bucketLength = 10 * time.Second
	buckets      = 60
)

// maxResources bounds what hostile or careless names cost; beyond it, spans are
// counted for their service alone, as the resource "(others)".
const maxResources = 500

const others = "(others)"

// services has the numbers of what spans came, whether or not their traces are
// still there.
type services struct {
	resources map[resourceKey]*resource
	calls     map[callKey]*series
}

type resourceKey struct{ service, resource string }

type callKey struct{ from, to string }

type resource struct {
	kind    string
	series  series
	slowest slowest
}

// series counts spans by time.
type series struct {
	ring  [buckets]*bucket
	first time.Time // when the first span ended
}

type bucket struct {
	start        int64 // in bucketLengths since 1970
	hits, errors int64
	durations    *hdr.Histogram // in microseconds
}

func newServices() *services {
	return &services{resources: map[resourceKey]*resource{}, calls: map[callKey]*series{}}
}

// add counts the spans of a trace that have come behind the first known ones.
// Counted are those that the Agent counts: the first of its service, and those
// that were marked to be measured.
func (s *services) add(all []traceagent.Span, known int) {
	index := make(map[uint64]int, len(all))
	for i := range all {
		index[all[i].SpanID] = i
	}
	for i := range all {
		span := &all[i]
		if span.Metrics["_top_level"] != 1 && span.Metrics["_dd.measured"] != 1 {
			continue
		}
		if i >= known {
			s.resource(span.Service, span.Resource, span.Type).series.add(span)
		}
		// What is called often ends, and comes, before its caller.
		parent, there := index[span.ParentID]
		if there && (i >= known || parent >= known) && all[parent].Service != span.Service {
			s.call(callKey{all[parent].Service, span.Service}).add(span)
		}
	}
}

func (s *services) call(key callKey) *series {
	if s.calls[key] == nil && len(s.calls) >= maxResources {
		key = callKey{others, others}
	}
	if s.calls[key] == nil {
		s.calls[key] = &series{}
	}
	return s.calls[key]
}

func (s *services) resource(service, name, kind string) *resource {
	key := resourceKey{service, name}
	r := s.resources[key]
	if r == nil && len(s.resources) >= maxResources {
		key.resource = others
		r = s.resources[key]
	}
	if r == nil {
		r = &resource{kind: kind}
		s.resources[key] = r
	}
	return r
}

func (s *series) add(span *traceagent.Span) {
	at := span.Start.Add(span.Duration).UnixNano() / int64(bucketLength)
	place := &s.ring[((at%buckets)+buckets)%buckets]
	if *place == nil || (*place).start != at {
		if *place != nil && (*place).start > at {
			return // older than all that is kept
		}
		*place = &bucket{start: at, durations: hdr.New(1, int64(time.Hour/time.Microsecond), 2)}
	}
	if s.first.IsZero() {
		s.first = span.Start.Add(span.Duration)
	}
	b := *place
	b.hits++
	if span.Error {
		b.errors++
	}
	_ = b.durations.RecordValue(min(max(span.Duration.Microseconds(), 1), int64(time.Hour/time.Microsecond)))
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

	durations *hdr.Histogram
}

// window is how far back the numbers go: far enough for percentiles of 20
// requests a second, near enough to show what is now.
const window = 5 * time.Minute

func (s *series) numbers(now time.Time) Numbers {
	n := Numbers{durations: hdr.New(1, int64(time.Hour/time.Microsecond), 2)}
	last := now.UnixNano() / int64(bucketLength)
	first := last - int64(window/bucketLength) + 1
	oldest := last
	for at := first; at <= last; at++ {
		b := s.ring[((at%buckets)+buckets)%buckets]
		if b == nil || b.start != at {
			n.PerBucket = append(n.PerBucket, 0)
			continue
		}
		oldest = min(oldest, at)
		n.PerBucket = append(n.PerBucket, b.hits)
		n.Hits += b.hits
		n.Errors += b.errors
		n.durations.Merge(b.durations)
	}
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
	quantile := func(q float64) time.Duration {
		return time.Duration(n.durations.ValueAtQuantile(q)) * time.Microsecond
	}
	n.P50, n.P95, n.P99 = quantile(50), quantile(95), quantile(99)
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
	if n.Hits == 0 {
		return nil
	}
	least, most := float64(max(n.durations.Min(), 1)), float64(n.durations.Max()+1)
	factor := math.Log(most/least) / bars
	all := make([]Bar, bars)
	for i := range all {
		all[i].From = time.Duration(least * math.Exp(factor*float64(i)) * float64(time.Microsecond))
		all[i].To = time.Duration(least * math.Exp(factor*float64(i+1)) * float64(time.Microsecond))
	}
	for _, b := range n.durations.Distribution() {
		if b.Count > 0 {
			i := int(math.Log(max(float64(b.From), least)/least) / factor)
			all[min(i, bars-1)].Hits += b.Count
		}
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
	if n.durations.Merge(o.durations); n.Hits > 0 {
		n.quantiles()
	}
}

// Resource has the numbers of one resource of a service.
type Resource struct {
	Service  string `json:"service"`
	Resource string `json:"resource"`
	Type     string `json:"type"`
	Numbers
}

// Service has the numbers of all resources of a service.
type Service struct {
	Name string `json:"service"`
	Type string `json:"type"`
	Numbers
}

// Call has the numbers of what one service asks of another.
type Call struct {
	From string `json:"from"`
	To   string `json:"to"`
	Numbers
}

// Resources returns the resources of a service, or of all for "", those with the
// most hits first.
func (s *Store) Resources(service string) []Resource {
	now := time.Now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []Resource{}
	for key, r := range s.services.resources {
		if service == "" || key.service == service {
			all = append(all, Resource{key.service, key.resource, r.kind, r.series.numbers(now)})
		}
	}
	slices.SortFunc(all, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Resource, b.Resource))
	})
	return all
}

// Services returns all services, by name.
func (s *Store) Services() []Service {
	byName := map[string]*Service{}
	for _, r := range s.Resources("") {
		of := byName[r.Service]
		if of == nil {
			byName[r.Service] = &Service{r.Service, r.Type, r.Numbers}
			continue
		}
		of.merge(r.Numbers)
	}
	all := []Service{}
	for _, of := range byName {
		all = append(all, *of)
	}
	slices.SortFunc(all, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// ServiceNames returns the names of all services, in order.
func (s *Store) ServiceNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []string
	for key := range s.services.resources {
		all = append(all, key.service)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Calls returns who asks whom, by name.
func (s *Store) Calls() []Call {
	now := time.Now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []Call{}
	for key, of := range s.services.calls {
		all = append(all, Call{key.from, key.to, of.numbers(now)})
	}
	slices.SortFunc(all, func(a, b Call) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return all
}
