package store

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
)

// traces keeps traces.
type traces struct {
	budget int64

	mu         sync.RWMutex
	byID       map[string]*trace
	lower      map[string][]*trace // by the lower half of the ID
	plain      *list.List          // of *trace, oldest first
	protected  *list.List          // errors and the slowest, oldest first
	slowest    recent[resourceName, *slowest]
	texts      *interner
	services   counter // of spans
	used       int64   // bytes of all traces
	guarded    int64   // bytes of protected ones
	evicted    int64
	notFinite  int // numbers of spans
	duplicates int // spans
}

type resourceName struct{ service, resource string }

func newTraces(budget int64) *traces {
	return &traces{
		budget:    budget,
		byID:      map[string]*trace{},
		lower:     map[string][]*trace{},
		plain:     list.New(),
		protected: list.New(),
		slowest:   newRecent[resourceName, *slowest](),
		texts:     newInterner(),
		services:  counter{},
	}
}

// counter counts by name.
type counter map[string]int

func (c counter) add(name string, n int) {
	if c[name] += n; c[name] == 0 {
		delete(c, name)
	}
}

// Trace is the received spans of a trace.
type Trace struct {
	// ID is the 128-bit ID in 32 hex digits.
	ID string `json:"trace_id"`
	// Spans are in the order of their arrival.
	Spans []span.Span `json:"spans"`
}

// Root returns the trace's root span, as span.Root defines it.
func (t Trace) Root() *span.Span { return &t.Spans[span.Root(t.Spans)] }

// trace is a Trace in the store. Adding a chunk costs only the size of the chunk,
// however large the trace already is.
type trace struct {
	// Trace has spans that readers may use after the lock was released: spans are
	// appended, and never changed in place.
	Trace
	sizes   []int64   // of spans
	index   positions // of spans, by ID
	orphans positions // of roots, by the ID of their missing parent
	root    int       // index of the root span
	summary *Summary  // replaced at each change
	size    int64
	place   *list.Element
	in      *list.List
}

// added is what must be counted after a chunk was stored.
type added struct {
	spans []counted
	calls []call
	// failed are spans with an error, of the trace with this ID.
	failed  []span.Span
	traceID string
}

// counted is a span that is counted.
type counted struct {
	service, operation, resource, kind, typ string
	topLevel                                bool
	series.Span
}

// call is a counted span whose parent is of another service.
type call struct {
	from string
	to   counted
}

// add stores a chunk.
func (s *traces) add(c span.Chunk) added {
	notFinite := 0
	for i := range c.Spans {
		notFinite += c.Spans[i].FiniteMetrics()
	}
	sizes := s.texts.intern(c.Spans)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notFinite += notFinite
	t := s.same(c.TraceID)
	switch {
	case t != nil && span.WithoutUpperHalf(t.ID) && t.ID != c.TraceID:
		delete(s.byID, t.ID)
		t.ID = c.TraceID
		s.byID[t.ID] = t
	case t == nil:
		t = &trace{Trace: Trace{ID: c.TraceID}, in: s.plain}
		t.place = s.plain.PushBack(t)
		s.byID[c.TraceID] = t
		s.lower[span.LowerHalf(t.ID)] = append(s.lower[span.LowerHalf(t.ID)], t)
		t.size = traceSize
		s.used += traceSize
	}
	fresh, ended, grown := t.replace(c.Spans, sizes, s.services)
	s.duplicates += len(c.Spans) - len(fresh) - len(ended)
	known := len(t.Spans)
	t.add(fresh)
	for i := range fresh {
		s.services.add(fresh[i].Service, 1)
	}
	t.size += grown
	s.used += grown
	if t.in == s.protected {
		s.guarded += grown
	}
	out := t.count(ended, known)
	t.adopt(known)
	t.summarize(known)
	s.rank(t)
	s.evict()
	return out
}

// replace replaces the spans that arrived before, as when a tracer sends again, and
// returns the others. A span that has ended is not replaced by a report from before its
// end. Ended are the indices of spans that had not ended before, and grown is the number of
// bytes that the trace then has more, with the others.
func (t *trace) replace(spans []span.Span, sizes []int64, services counter) (fresh []span.Span, ended []int, grown int64) {
	again := func(s span.Span) bool {
		i, received := t.index.last(s.SpanID)
		return received && t.Spans[i].Start.Equal(s.Start)
	}
	if !slices.ContainsFunc(spans, again) {
		for _, size := range sizes {
			grown += size
		}
		t.sizes = append(t.sizes, sizes...)
		return slices.Clip(spans), nil, grown
	}
	t.Spans = slices.Clone(t.Spans) // readers have the old one
	for i := range spans {
		grown += sizes[i]
		if !again(spans[i]) {
			fresh = append(fresh, spans[i])
			t.sizes = append(t.sizes, sizes[i])
			continue
		}
		at, _ := t.index.last(spans[i].SpanID)
		switch was, is := t.Spans[at].IsPartial(), spans[i].IsPartial(); {
		case !was && is:
			grown -= sizes[i]
			continue
		case was && !is:
			ended = append(ended, at)
		}
		services.add(t.Spans[at].Service, -1)
		services.add(spans[i].Service, 1)
		grown -= t.sizes[at]
		t.Spans[at], t.sizes[at] = spans[i], sizes[i]
	}
	return fresh, ended, grown
}

// add appends spans and indexes them by ID and by missing parent.
func (t *trace) add(spans []span.Span) {
	known := len(t.Spans)
	if known == 0 {
		t.Spans = spans // without a copy
	} else {
		t.Spans = append(t.Spans, spans...)
	}
	for i := known; i < len(t.Spans); i++ {
		t.index.add(t.Spans[i].SpanID, i)
	}
	for i := known; i < len(t.Spans); i++ {
		if t.isRoot(i) {
			parent := t.Spans[i].ParentID
			if parent == t.Spans[i].SpanID {
				parent = 0 // adopt would delete it
			}
			t.orphans.add(parent, i)
		}
	}
}

func (t *trace) isRoot(i int) bool {
	return t.Spans[i].IsRoot(func(id uint64) bool {
		_, received := t.index.last(id)
		return received
	})
}

// count returns what to count of the spans with the indices ended, and of those after
// the first known ones.
func (t *trace) count(ended []int, known int) (out added) {
	weight := weight(t.Spans[known:])
	out.traceID = t.ID
	one := func(i int) {
		s := &t.Spans[i]
		if s.Error && !s.IsPartial() {
			out.failed = append(out.failed, *s)
		}
		if s.IsCounted() {
			c := countedOf(s, weight)
			out.spans = append(out.spans, c)
			if parent, there := t.index.last(s.ParentID); there && t.Spans[parent].Service != s.Service {
				out.calls = append(out.calls, call{t.Spans[parent].Service, c})
			}
		}
	}
	for _, i := range ended {
		one(i)
	}
	for i := known; i < len(t.Spans); i++ {
		one(i)
		// A callee often ends, and arrives, before its caller.
		for child := range t.orphans.of(t.Spans[i].SpanID) {
			if c := &t.Spans[child]; c.IsCounted() && c.Service != t.Spans[i].Service {
				out.calls = append(out.calls, call{t.Spans[i].Service, countedOf(c, weight)})
			}
		}
	}
	return out
}

func countedOf(s *span.Span, weight float64) counted {
	return counted{
		s.Service, s.Operation, s.Resource, s.Kind(), s.Type, s.IsTopLevel(),
		series.Span{End: s.End(), Duration: s.Duration, Error: s.Error, Status: s.HTTPStatus(), Weight: weight},
	}
}

// leastRate is the lowest sampling rate that counts: a trace represents at most a
// million traces.
const leastRate = 1e-6

// weight returns how many traces each received trace represents, from the tracer's
// sampling rates.
func weight(spans []span.Span) float64 {
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

// adopt removes orphans whose parents are among the spans after the first known
// ones.
func (t *trace) adopt(known int) {
	for i := known; i < len(t.Spans); i++ {
		t.orphans.remove(t.Spans[i].SpanID)
	}
}

// slowest has the durations of the slowest traces of a resource, the shortest
// first.
type slowest []time.Duration

// keptSlowest is the number of slowest traces of a resource that are protected.
const keptSlowest = 10

// add inserts d and reports whether it is among the slowest.
func (s *slowest) add(d time.Duration) bool {
	if len(*s) == keptSlowest && d <= (*s)[0] {
		return false
	}
	*s = append(*s, d)
	for i := len(*s) - 1; i > 0 && (*s)[i] < (*s)[i-1]; i-- {
		(*s)[i], (*s)[i-1] = (*s)[i-1], (*s)[i]
	}
	if len(*s) > keptSlowest {
		*s = (*s)[1:]
	}
	return true
}

// rank moves a trace to the protected list if it has an error or is among the
// slowest.
func (s *traces) rank(t *trace) {
	if t.in == s.protected {
		return
	}
	if !t.summary.Error && !s.slowestOf(t.summary).add(t.summary.Duration) {
		return
	}
	s.plain.Remove(t.place)
	t.in, t.place = s.protected, s.protected.PushBack(t)
	s.guarded += t.size
}

// slowestOf returns the slowest traces of a resource. The resource used least recently
// is forgotten if there are too many.
func (s *traces) slowestOf(t *Summary) *slowest {
	key := resourceName{t.Service, t.Resource}
	top, found := s.slowest.use(key)
	if !found {
		top = &slowest{}
		s.slowest.set(key, top, 0)
		if oldest, _, _ := s.slowest.oldest(); len(s.slowest.index) > maxResources {
			s.slowest.remove(oldest)
		}
	}
	return top
}

// evict frees memory. Protected traces have at most half of it, so that ordinary ones
// remain visible.
func (s *traces) evict() {
	for s.used > s.budget {
		from := s.plain
		if s.guarded > s.budget/2 || from.Len() == 0 {
			from = s.protected
		}
		oldest := from.Front()
		if oldest == nil {
			return
		}
		t := from.Remove(oldest).(*trace)
		s.forget(t)
		s.used -= t.size
		if from == s.protected {
			s.guarded -= t.size
		}
		s.evicted++
	}
}

// forget removes a trace from the indices.
func (s *traces) forget(t *trace) {
	for i := range t.Spans {
		s.services.add(t.Spans[i].Service, -1)
	}
	delete(s.byID, t.ID)
	half := span.LowerHalf(t.ID)
	s.lower[half] = slices.DeleteFunc(s.lower[half], func(other *trace) bool { return other == t })
	if len(s.lower[half]) == 0 {
		delete(s.lower, half)
	}
}

func (s *traces) trace(id string) (Trace, bool) {
	id = strings.ToLower(strings.TrimSpace(id))
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.same(id); t != nil {
		return t.Trace, true
	}
	for _, half := range span.LowerHalves(id) {
		if all := s.lower[half]; len(all) > 0 {
			return all[0].Trace, true
		}
	}
	return Trace{}, false
}

// same returns the trace with an ID of 32 hex digits, or nil. Some tracers do not send
// the upper half of an ID: the lower half is then enough.
func (s *traces) same(id string) *trace {
	if t := s.byID[id]; t != nil {
		return t
	}
	if len(id) != 32 {
		return nil
	}
	for _, t := range s.lower[span.LowerHalf(id)] {
		if span.SameID(t.ID, id) {
			return t
		}
	}
	return nil
}

// serviceNames returns the services of spans in traces.
func (s *traces) serviceNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.services))
}

func (s *traces) usage(u *Usage) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u.Traces, u.TraceBytes, u.EvictedTraces = len(s.byID), s.used, s.evicted
	u.NotFinite, u.DuplicateSpans = s.notFinite, s.duplicates
}

// clear takes over the content of an empty keeper.
func (s *traces) clear(to *traces) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID, s.lower, s.plain, s.protected, s.slowest, s.texts, s.services, s.used, s.guarded, s.evicted, s.notFinite, s.duplicates = to.byID, to.lower, to.plain, to.protected, to.slowest, to.texts, to.services, to.used, to.guarded, to.evicted, to.notFinite, to.duplicates
}
