package store

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
)

// Limits against hostile or careless names. A further resource replaces one without
// spans in the last five minutes. If all have some, its spans count as the resource
// "(others)" of their operation; after maxOperations operations, as that of the service
// "(others)".
const (
	maxResources  = 500
	maxOperations = 200
)

const others = "(others)"

const (
	// keepSpans is the time for which operations, resources and calls are listed after
	// their last span.
	keepSpans = 30 * time.Minute
	// keepOperations is the time for which the intervals of an operation are kept.
	keepOperations = time.Hour
	// keepResources is the time for which the intervals of a resource are kept. 500 resources
	// need 8 MB for them at most.
	keepResources = 15 * time.Minute
)

// statistics has the statistics of everything received, also of evicted traces. They
// come from spans, and from the statistics of tracers and of the Agent, which include
// spans that tracers sampled out.
type statistics struct {
	mu         sync.RWMutex
	operations recent[operationKey, *operation]
	resources  recent[resourceKey, *entry]
	calls      recent[callKey, *entry]
	pool       *series.Pool
	refused    int // groups of statistics
	late       int // spans
}

type operationKey struct{ service, operation string }

type resourceKey struct{ service, operation, resource string }

type callKey struct{ from, to string }

// entry is a series with the time of its last span.
type entry struct {
	typ  string
	last time.Time
	*series.Spans
}

type operation struct {
	entry
	kind     string
	topLevel bool
}

func newStatistics(budget int64) *statistics {
	return &statistics{
		operations: newRecent[operationKey, *operation](),
		resources:  newRecent[resourceKey, *entry](),
		calls:      newRecent[callKey, *entry](),
		pool:       series.NewPool(budget),
	}
}

// addSpans counts the spans of a chunk.
func (s *statistics) addSpans(a added, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range a.spans {
		c := &a.spans[i]
		if !series.InTime(c.End, now) {
			s.late++
			continue
		}
		o, r := s.named(c, now)
		o.Add(c.Span, now, s.pool)
		r.Add(c.Span, now, s.pool)
	}
	for _, c := range a.calls {
		if !series.InTime(c.to.End, now) {
			continue
		}
		key := callKey{c.from, c.to.service}
		if !hasPlace(&s.calls, key, maxResources, now) {
			key = callKey{others, others}
		}
		use(&s.calls, key, now, func() *entry { return &entry{Spans: series.NewSpans(series.Window)} }).Add(c.to.Span, now, s.pool)
	}
}

// named returns the operation and the resource of a span.
func (s *statistics) named(c *counted, now time.Time) (*operation, *entry) {
	ok, rk := operationKey{c.service, c.operation}, resourceKey{c.service, c.operation, c.resource}
	if !hasPlace(&s.operations, ok, maxOperations, now) {
		ok, rk = operationKey{others, others}, resourceKey{others, others, others}
	}
	if !hasPlace(&s.resources, rk, maxResources, now) {
		rk.resource = others
	}
	o := use(&s.operations, ok, now, func() *operation {
		return &operation{entry: entry{typ: c.typ, Spans: series.NewSpans(keepOperations)}, kind: c.kind}
	})
	o.topLevel = o.topLevel || c.topLevel
	r := use(&s.resources, rk, now, func() *entry { return &entry{typ: c.typ, Spans: series.NewSpans(keepResources)} })
	return o, r
}

// timed is what hasPlace and use read and write of an item.
type timed interface{ lastSpan() *time.Time }

func (e *entry) lastSpan() *time.Time { return &e.last }

// hasPlace reports whether an item of a key is there or can be added: there are less than
// most items, or the one used least recently has had no span for a while. That one is
// removed, with others that are not listed any more.
func hasPlace[K comparable, V timed](in *recent[K, V], key K, most int, now time.Time) bool {
	if _, known := in.index[key]; known {
		return true
	}
	for {
		last, oldest, found := in.oldest()
		if !found {
			return true
		}
		idle := now.Sub(*oldest.lastSpan())
		if idle < keepSpans && (len(in.index) < most || idle < series.Window) {
			return len(in.index) < most
		}
		in.remove(last)
	}
}

// use returns the item of a key. It adds one if the key is new.
func use[K comparable, V timed](in *recent[K, V], key K, now time.Time, create func() V) V {
	item, found := in.use(key)
	if !found {
		item = create()
		in.set(key, item, 0)
	}
	*item.lastSpan() = now
	return item
}

// addStatistics counts statistics that tracers computed, or the Agent for tracers that
// compute none.
func (s *statistics) addStatistics(p *pb.StatsPayload, now time.Time) {
	from := series.Agent
	if p.ClientComputed {
		from = series.Tracer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, client := range p.Stats {
		for _, in := range client.Stats {
			start := time.Unix(0, int64(in.Start))
			for _, g := range in.Stats {
				s.addGroup(g, start, from, now)
			}
		}
	}
}

func (s *statistics) addGroup(g *pb.ClientGroupedStats, start time.Time, from series.Source, now time.Time) {
	if !series.InTime(start, now) {
		if from == series.Tracer { // else they were counted when they were received
			s.late += int(min(g.Hits, series.MaxHits))
		}
		return
	}
	o, r := s.named(&counted{service: g.Service, operation: g.Name, resource: g.Resource, kind: g.SpanKind, typ: g.Type, topLevel: g.TopLevelHits > 0}, now)
	group := series.Group{Start: start, Hits: g.Hits, Errors: g.Errors, Status: int(min(g.HTTPStatusCode, 999)), OK: g.OkSummary, Failed: g.ErrorSummary}
	_, valid := r.AddGroup(group, from, now, s.pool)
	if _, also := o.AddGroup(group, from, now, s.pool); !valid || !also {
		s.refused++
	}
}

// Resource is a resource of a service, with its statistics.
type Resource struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
	Type      string `json:"type"`
	// Primary is set if the operation is the service's primary one.
	Primary bool `json:"primary"`
	series.Numbers

	spans timeline
}

// Intervals returns the statistics of each ten seconds that are kept, the oldest first.
func (r Resource) Intervals() []series.Interval { return r.spans.intervals() }

// Between returns the statistics of a time that is kept.
func (r Resource) Between(from, to time.Time) series.Numbers { return r.spans.between(from, to) }

// Service is a service, with the statistics of its primary operation: of requests to it,
// and not of the calls that it makes.
// https://docs.datadoghq.com/tracing/guide/configuring-primary-operation/
type Service struct {
	Name string `json:"service"`
	Type string `json:"type"`
	// Operation is the primary operation.
	Operation string `json:"operation"`
	series.Numbers
	// Operations are all operations, the primary one first, and then by hits, most first.
	Operations []Operation `json:"operations"`
}

// Operation is an operation of a service, such as http.request, with its statistics.
type Operation struct {
	Name string `json:"operation"`
	Type string `json:"type"`
	Kind string `json:"span_kind"`
	series.Numbers

	topLevel bool
	spans    timeline
}

// Intervals returns the statistics of each ten seconds of the last hour, the oldest
// first. Those without spans are left out. It computes percentiles of each interval.
func (o Operation) Intervals() []series.Interval { return o.spans.intervals() }

// Between returns the statistics of a time that is kept.
func (o Operation) Between(from, to time.Time) series.Numbers { return o.spans.between(from, to) }

// Call is the calls of one service to another, with their statistics.
type Call struct {
	From string `json:"from"`
	To   string `json:"to"`
	series.Numbers
}

// rank returns how far an operation is from one that receives requests. Of several, the
// primary operation has the lowest rank, and then the most hits.
func (o *Operation) rank() int {
	switch {
	case o.Kind == span.ServerKind || o.Kind == span.ConsumerKind:
		return 0
	case o.topLevel && o.Kind != span.ClientKind && o.Kind != span.ProducerKind:
		return 1
	case o.topLevel:
		return 2
	}
	return 3
}

// services returns all services, sorted by name.
func (s *statistics) services(now time.Time) []Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	byName := map[string][]Operation{}
	s.operations.all(func(key operationKey, o *operation) {
		if now.Sub(o.last) < keepSpans {
			byName[key.service] = append(byName[key.service],
				Operation{key.operation, o.typ, o.kind, o.Numbers(now), o.topLevel, timeline{s, o.Spans}})
		}
	})
	all := []Service{}
	for name, operations := range byName {
		slices.SortFunc(operations, func(a, b Operation) int {
			return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Name, b.Name))
		})
		slices.SortStableFunc(operations[1:], func(a, b Operation) int { return cmp.Compare(b.Hits, a.Hits) })
		first := operations[0]
		all = append(all, Service{name, first.Type, first.Name, first.Numbers, operations})
	}
	slices.SortFunc(all, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// timeline is the statistics of an operation or a resource over time.
type timeline struct {
	of    *statistics
	spans *series.Spans
}

func (h timeline) intervals() []series.Interval {
	h.of.mu.RLock()
	defer h.of.mu.RUnlock()
	return h.spans.Intervals()
}

func (h timeline) between(from, to time.Time) series.Numbers {
	h.of.mu.RLock()
	defer h.of.mu.RUnlock()
	return h.spans.Between(from, to)
}

// serviceNames returns the names of all services.
func (s *statistics) serviceNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	known := map[string]bool{}
	s.operations.all(func(key operationKey, _ *operation) { known[key.service] = true })
	return slices.Collect(maps.Keys(known))
}

// resourcesOf returns the resources of a service, or of all services for "".
func (s *statistics) resourcesOf(service string, now time.Time) []Resource {
	primary := map[operationKey]bool{}
	for _, of := range s.services(now) {
		primary[operationKey{of.Name, of.Operation}] = true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []Resource{}
	s.resources.all(func(key resourceKey, r *entry) {
		if (service == "" || key.service == service) && now.Sub(r.last) < keepSpans {
			all = append(all, Resource{key.service, key.operation, key.resource, r.typ, primary[operationKey{key.service, key.operation}], r.Numbers(now), timeline{s, r.Spans}})
		}
	})
	slices.SortFunc(all, func(a, b Resource) int {
		if a.Primary != b.Primary {
			if a.Primary {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Resource, b.Resource))
	})
	return all
}

// callList returns which service calls which, sorted by caller and callee.
func (s *statistics) callList(now time.Time) []Call {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []Call{}
	s.calls.all(func(key callKey, of *entry) {
		if now.Sub(of.last) < keepSpans {
			all = append(all, Call{key.from, key.to, of.Numbers(now)})
		}
	})
	slices.SortFunc(all, func(a, b Call) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return all
}

func (s *statistics) usage(u *Usage) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u.Resources, u.RefusedStatistics, u.LateSpans = len(s.resources.index), s.refused, s.late
	u.ServiceBytes = s.pool.Bytes()
}

// clear takes over the content of an empty keeper.
func (s *statistics) clear(to *statistics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operations, s.resources, s.calls, s.pool, s.refused, s.late = to.operations, to.resources, to.calls, to.pool, to.refused, to.late
}
