package localagent

import (
	"cmp"
	"slices"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/traceagent"
)

// Limits against hostile or careless names. After maxResources resources, spans of
// further ones count as the resource "(others)" of their service; after maxServices
// of these, as the service "(others)".
const (
	maxResources = 500
	maxServices  = 100
)

const others = "(others)"

// services has the statistics of everything received, also of evicted traces. They
// come from spans, and from the statistics of tracers and of the Agent, which arrive
// some twenty seconds later and include spans that tracers sampled out.
type services struct {
	resources map[resourceKey]*resource
	calls     map[callKey]*series
	durations distributions
	refused   int // groups of statistics
}

type resourceKey struct{ service, resource string }

type callKey struct{ from, to string }

type resource struct {
	kind    string
	series  series
	slowest slowest
}

func newServices(budget int64) *services {
	return &services{
		resources: map[resourceKey]*resource{},
		calls:     map[callKey]*series{},
		durations: distributions{most: int(budget / distributionSize)},
	}
}

// add counts the spans of a trace after the first known ones. Only spans that the
// Agent counts are counted: the first of their service (top level), and those marked
// as measured.
func (s *services) add(t *trace, known int) {
	weight := weight(t.Spans[known:])
	for i := known; i < len(t.Spans); i++ {
		span := &t.Spans[i]
		if counted(span) {
			s.addSpan(&s.resource(span.Service, span.Resource, span.Type).series, span, weight)
			if parent, there := t.index[span.ParentID]; there {
				s.addCall(&t.Spans[parent], span, weight)
			}
		}
		// A callee often ends, and arrives, before its caller.
		for _, child := range t.orphans[span.SpanID] {
			if counted(&t.Spans[child]) {
				s.addCall(span, &t.Spans[child], weight)
			}
		}
	}
}

func counted(span *traceagent.Span) bool {
	return span.Metrics["_top_level"] == 1 || span.Metrics["_dd.measured"] == 1
}

// maxHits is the largest number that statistics of ten seconds may count: 10^11 a
// second. The sum over all resources and buckets fits an int64.
const maxHits = 1e12

// leastRate is the lowest sampling rate that counts: a trace represents at most a
// million traces.
const leastRate = 1e-6

// weight returns how many traces each received trace represents, from the tracer's
// sampling rates.
func weight(spans []traceagent.Span) float64 {
	for i := range spans {
		rate := 1.0
		for _, name := range []string{"_dd.rule_psr", "_dd.limit_psr", "_dd.agent_psr"} {
			if r, said := spans[i].Metrics[name]; said && r > 0 && r <= 1 {
				rate *= r
			}
		}
		if rate < 1 {
			return 1 / max(rate, leastRate)
		}
	}
	return 1
}

func (s *services) addCall(from, to *traceagent.Span, weight float64) {
	if from.Service == to.Service {
		return
	}
	key := callKey{from.Service, to.Service}
	if s.calls[key] == nil && len(s.calls) >= maxResources {
		key = callKey{others, others}
	}
	if s.calls[key] == nil {
		s.calls[key] = &series{}
	}
	s.addSpan(s.calls[key], to, weight)
}

func (s *services) resource(service, name, kind string) *resource {
	key := resourceKey{service, name}
	for _, most := range []int{maxResources, maxResources + maxServices} {
		if s.resources[key] != nil || len(s.resources) < most {
			break
		}
		key = resourceKey{service, others}
		service = others
	}
	r := s.resources[key]
	if r == nil {
		r = &resource{kind: kind}
		s.resources[key] = r
	}
	return r
}

func (s *services) addSpan(to *series, span *traceagent.Span, weight float64) {
	end := span.Start.Add(span.Duration)
	b := to.at(end)
	if b == nil {
		return
	}
	b.received++
	b.spans.hits += weight
	if span.Error {
		b.spans.errors += weight
	}
	s.durations.of(&b.spans).add(span.Duration, weight)
}

// addStatistics counts statistics that a tracer computed, or the Agent for a tracer
// that computes none.
func (s *services) addStatistics(p *pb.ClientStatsPayload, byTracer bool) {
	for _, in := range p.Stats {
		start := time.Unix(0, int64(in.Start))
		for _, group := range in.Stats {
			if !toCount(group) {
				continue
			}
			if group.Hits > maxHits || group.Errors > maxHits {
				s.refused++
				continue
			}
			b := s.resource(group.Service, group.Resource, group.Type).series.at(start)
			if b == nil {
				continue
			}
			t := &b.agent
			if byTracer {
				t = &b.tracer
			}
			t.hits = min(t.hits+float64(group.Hits), maxHits)
			t.errors = min(t.errors+float64(group.Errors), maxHits)
			durations := s.durations.of(t)
			if read, failed := durations.decode(group.OkSummary), durations.decode(group.ErrorSummary); !read || !failed {
				s.refused++
			}
		}
	}
}

// toCount reports whether the spans of a group are counted. Top-level spans are
// marked. Other groups are either measured spans, which are counted, or spans of a
// kind such as client or server, which are not.
func toCount(group *pb.ClientGroupedStats) bool {
	return group.TopLevelHits > 0 || !slices.Contains([]string{"server", "consumer", "client", "producer"}, group.SpanKind)
}

// Resource is a resource of a service, with its statistics.
type Resource struct {
	Service  string `json:"service"`
	Resource string `json:"resource"`
	Type     string `json:"type"`
	Numbers
}

// Service is a service, with the statistics of all its resources.
type Service struct {
	Name string `json:"service"`
	Type string `json:"type"`
	Numbers
}

// Call is the calls of one service to another, with their statistics.
type Call struct {
	From string `json:"from"`
	To   string `json:"to"`
	Numbers
}

// Resources returns the resources of a service, or of all services for "", sorted by
// hits, most first.
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

// Services returns all services, sorted by name.
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

// ServiceNames returns the names of all services, sorted.
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

// Calls returns which service calls which, sorted by caller and callee.
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
