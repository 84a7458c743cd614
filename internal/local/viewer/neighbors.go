package viewer

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// scope is a service, or one of its resources.
type scope struct {
	Service string
	// Operation and Resource are "" for the whole service.
	Operation, Resource string
}

// query returns the parameters of the pages of its traces.
func (s scope) query() url.Values {
	q := url.Values{"service": {s.Service}}
	if s.Resource != "" {
		q.Set("resource", s.Resource)
	}
	return q
}

// page returns the URL of a page of the scope: "", "/resource" or another one.
func (s scope) page(name string) string {
	q := url.Values{}
	if s.Resource != "" {
		q.Set("name", s.Resource)
	}
	if s.Resource != "" && s.Operation != "" {
		q.Set("operation", s.Operation)
	}
	path := "/services/" + url.PathEscape(s.Service) + name
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// has reports whether a span is of the scope.
func (s scope) has(of *span.Span) bool {
	return of.Service == s.Service && (s.Resource == "" || of.Resource == s.Resource && (s.Operation == "" || of.Operation == s.Operation))
}

// neighbor is a caller of a scope, or what it calls, in a sample of traces.
type neighbor struct {
	Service  string `json:"service"` // "" for callers that sent no span
	Resource string `json:"resource"`
	Calls    int64  `json:"calls"`
	Errors   int64  `json:"errors"`
	// PerRequest is the number of calls for one request of the scope. Of a caller it is the
	// share of the requests.
	PerRequest float64 `json:"per_request"`
	// Rate is PerRequest times the rate of the scope.
	Rate float64       `json:"per_second"`
	Mean time.Duration `json:"mean_ns"`
	// Share of the time of all requests of the scope; calls at the same time count each.
	Share float64 `json:"share"`

	total time.Duration
}

// surroundings is what is around the requests of a scope in a sample of traces.
type surroundings struct {
	Requests int64 `json:"requests"`
	// Own is the share of the time in which the scope waited for no other service.
	Own     float64    `json:"own"`
	Callers []neighbor `json:"callers"`
	Callees []neighbor `json:"callees"`
}

const (
	// sampled is the number of traces from which neighbors are known, sampledSpans the one of
	// their spans: the page must be fast.
	sampled      = 200
	sampledSpans = 40_000
	// mostNeighbors is the number of callers, and of callees, that a page shows.
	mostNeighbors = 10
)

// surroundingsOf returns what is around the requests of a scope with a rate. A request is a span of the
// scope whose parent is not of the scope. It calls the first spans of other services below it.
func surroundingsOf(traces []store.Trace, of scope, rate float64) surroundings {
	type key struct{ service, resource string }
	callers, callees := map[key]*neighbor{}, map[key]*neighbor{}
	count := func(all map[key]*neighbor, service, resource string, s *span.Span) {
		k := key{service, resource}
		if all[k] == nil {
			all[k] = &neighbor{Service: service, Resource: resource}
		}
		n := all[k]
		n.Calls++
		n.total += s.Duration
		if s.Error {
			n.Errors++
		}
	}
	out := surroundings{}
	var total, own time.Duration
	spans := 0
	for _, t := range traces {
		if spans += len(t.Spans); spans > sampledSpans && out.Requests > 0 {
			break
		}
		byID, children := map[uint64]*span.Span{}, map[uint64][]*span.Span{}
		for i := range t.Spans {
			s := &t.Spans[i]
			byID[s.SpanID] = s
			children[s.ParentID] = append(children[s.ParentID], s)
		}
		for i := range t.Spans {
			s := &t.Spans[i]
			parent := byID[s.ParentID]
			if s.IsPartial() || !of.has(s) || parent != nil && parent != s && of.has(parent) {
				continue
			}
			out.Requests++
			total += s.Duration
			if parent == nil || parent == s {
				count(callers, "", "", s)
			} else {
				count(callers, parent.Service, parent.Resource, s)
			}
			var waited []interval
			seen := map[uint64]bool{s.SpanID: true} // parents may form a circle
			var visit func(id uint64)
			visit = func(id uint64) {
				for _, c := range children[id] {
					if seen[c.SpanID] {
						continue
					}
					seen[c.SpanID] = true
					if c.Service == s.Service {
						visit(c.SpanID)
						continue
					}
					count(callees, c.Service, c.Resource, c)
					waited = append(waited, interval{c.Start, c.End()})
				}
			}
			visit(s.SpanID)
			own += s.Duration - covered(waited, s.Start, s.End())
		}
	}
	if total > 0 {
		out.Own = float64(own) / float64(total)
	}
	list := func(all map[key]*neighbor) []neighbor {
		sorted := []neighbor{}
		for _, n := range all {
			n.PerRequest, n.Mean = float64(n.Calls)/float64(out.Requests), n.total/time.Duration(n.Calls)
			n.Rate = n.PerRequest * rate
			if total > 0 {
				n.Share = float64(n.total) / float64(total)
			}
			sorted = append(sorted, *n)
		}
		slices.SortFunc(sorted, func(a, b neighbor) int {
			return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Resource, b.Resource))
		})
		return sorted[:min(len(sorted), mostNeighbors)]
	}
	out.Callers, out.Callees = list(callers), list(callees)
	return out
}

type interval struct{ start, end time.Time }

// covered returns how much of the time from start to end is in at least one interval.
func covered(all []interval, start, end time.Time) time.Duration {
	slices.SortFunc(all, func(a, b interval) int { return a.start.Compare(b.start) })
	var sum time.Duration
	for _, i := range all {
		if i.start.Before(start) {
			i.start = start
		}
		if i.end.After(end) {
			i.end = end
		}
		if i.end.After(i.start) {
			sum += i.end.Sub(i.start)
			start = i.end
		}
	}
	return sum
}

// sample returns the latest traces with a span of a scope, and their summaries.
func (v *viewer) sample(of scope, f store.Filter) ([]store.Trace, []store.Summary) {
	f.Service, f.Resource, f.Limit = of.Service, of.Resource, sampled
	latest, _ := v.Store.Traces(f)
	all := make([]store.Trace, 0, len(latest))
	for _, s := range latest {
		if t, ok := v.Store.Trace(s.ID); ok {
			all = append(all, t)
		}
	}
	return all, latest
}
