package localagent

import (
	"container/list"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/traceagent"
)

// Store keeps received telemetry within a memory budget. The oldest is evicted
// first; traces with an error and the slowest of each resource are kept longest. It
// is safe for concurrent use.
type Store struct {
	budget int64

	mu        sync.RWMutex
	traces    map[string]*trace   // by ID
	lower     map[string][]*trace // by the lower half of the ID
	plain     *list.List          // of *trace, oldest first
	protected *list.List          // errors and the slowest, oldest first
	traceUse  int64               // bytes of all traces
	guarded   int64               // bytes of protected ones
	evicted   int64
	notFinite int // numbers of spans

	services *services
	logs     ring[Log]
	profiles ring[*Profile]
	metrics  *metrics
	leftOut  map[string]int // uploaded files that are not profiles, by extension

	changed chan struct{}
}

// The shares of the budget. Traces have the largest: they are used most. A profile of
// one minute of a small service has some 50 KB.
const (
	traceShare   = 0.50
	logShare     = 0.15
	profileShare = 0.20
	serviceShare = 0.10
	metricShare  = 0.05
)

// MinBudget is the smallest budget of a store, in bytes.
const MinBudget = 8 * mega

const mega = 1_000_000

// Budget converts a budget in MB to bytes. The error of one that is too small or too
// large follows the name of a flag.
func Budget(mb uint) (int64, error) {
	const least, most = MinBudget / mega, math.MaxInt64 / mega
	if mb < least {
		return 0, fmt.Errorf("must be at least %d MB, got %d", least, mb)
	}
	if uint64(mb) > most {
		return 0, fmt.Errorf("must be at most %d MB, got %d", uint64(most), mb)
	}
	return int64(mb) * mega, nil
}

// NewStore returns a store with a budget in bytes, at least MinBudget.
func NewStore(budget int64) *Store {
	budget = max(budget, MinBudget)
	return &Store{
		budget:    budget,
		traces:    map[string]*trace{},
		lower:     map[string][]*trace{},
		plain:     list.New(),
		protected: list.New(),
		services:  newServices(int64(serviceShare * float64(budget))),
		logs:      ring[Log]{budget: int64(logShare * float64(budget))},
		profiles:  ring[*Profile]{budget: int64(profileShare * float64(budget))},
		metrics:   newMetrics(int64(metricShare * float64(budget))),
		leftOut:   map[string]int{},
		changed:   make(chan struct{}),
	}
}

// Changed returns a channel that is closed at the next change.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// change wakes those who wait for Changed. The caller holds the lock.
func (s *Store) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Trace is the received spans of a trace.
type Trace struct {
	// ID is the 128-bit ID in 32 hex digits.
	ID string `json:"trace_id"`
	// Spans are in the order of their arrival.
	Spans []traceagent.Span `json:"spans"`
}

// trace is a Trace in the store. Adding a chunk costs only the size of the chunk,
// however large the trace already is.
type trace struct {
	Trace
	index   map[uint64]int   // of spans, by ID
	orphans map[uint64][]int // roots, by the ID of their missing parent
	summary Summary
	text    strings.Builder // for searches
	size    int64
	place   *list.Element
	in      *list.List
}

// AddSpans stores a chunk of a trace.
func (s *Store) AddSpans(c traceagent.Chunk) {
	if len(c.Spans) == 0 {
		return
	}
	notFinite := 0
	for i := range c.Spans {
		notFinite += c.Spans[i].FiniteMetrics()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.change()
	s.notFinite += notFinite
	t := s.same(c.TraceID)
	switch {
	case t != nil && withoutUpper(t.ID) && t.ID != c.TraceID:
		delete(s.traces, t.ID)
		t.ID = c.TraceID
		s.traces[t.ID] = t
	case t == nil:
		t = &trace{Trace: Trace{ID: c.TraceID}, index: map[uint64]int{}, orphans: map[uint64][]int{}, in: s.plain}
		t.place = s.plain.PushBack(t)
		s.traces[c.TraceID] = t
		s.lower[lowerHalf(t.ID)] = append(s.lower[lowerHalf(t.ID)], t)
	}
	grown := sizeOf(c.Spans)
	t.size += grown
	s.traceUse += grown
	if t.in == s.protected {
		s.guarded += grown
	}
	known := len(t.Spans)
	t.add(c.Spans)
	s.services.add(t, known)
	t.adopt(known)
	t.summarize(known)
	s.rank(t)
	s.evict()
}

// AddStatistics counts the statistics of spans that the Agent would send to Datadog.
func (s *Store) AddStatistics(p *pb.StatsPayload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, from := range p.Stats {
		s.services.addStatistics(from, p.ClientComputed)
	}
	s.change()
}

// add appends spans and indexes them by ID and by missing parent.
func (t *trace) add(spans []traceagent.Span) {
	known := len(t.Spans)
	t.Spans = append(t.Spans, spans...)
	for i := known; i < len(t.Spans); i++ {
		t.index[t.Spans[i].SpanID] = i
	}
	for i := known; i < len(t.Spans); i++ {
		if t.isRoot(i) {
			parent := t.Spans[i].ParentID
			if parent == t.Spans[i].SpanID {
				parent = 0 // adopt would delete it
			}
			t.orphans[parent] = append(t.orphans[parent], i)
		}
	}
}

func (t *trace) isRoot(i int) bool {
	return t.Spans[i].IsRoot(func(id uint64) bool {
		_, received := t.index[id]
		return received
	})
}

// adopt removes orphans whose parents are among the spans after the first known
// ones.
func (t *trace) adopt(known int) {
	for i := known; i < len(t.Spans); i++ {
		delete(t.orphans, t.Spans[i].SpanID)
	}
}

// sizeOf estimates the memory of spans in bytes: fields, maps of tags, index.
func sizeOf(spans []traceagent.Span) int64 {
	var n int64
	for i := range spans {
		sp := &spans[i]
		n += 320 + int64(len(sp.Resource))
		n += sizeOfMap(sp.Tags)
		n += 40 * int64(len(sp.Metrics))
		for _, e := range sp.Events {
			n += 96 + int64(len(e.Name)) + sizeOfMap(e.Attributes)
		}
		for _, l := range sp.Links {
			n += 96 + sizeOfMap(l.Attributes)
		}
	}
	return n
}

func sizeOfMap(tags map[string]string) (n int64) {
	for k, v := range tags {
		n += 48 + int64(len(k)+len(v))
	}
	return n
}

// slowest has the durations of the slowest traces of a resource, the shortest
// first.
type slowest []time.Duration

// keptSlowest is the number of slowest traces of a resource that are protected.
const keptSlowest = 10

// rank moves a trace to the protected list if it has an error or is among the
// slowest.
func (s *Store) rank(t *trace) {
	if t.in == s.protected {
		return
	}
	top := &s.services.resource(t.summary.Service, t.summary.Resource, t.summary.Type).slowest
	if !t.summary.Error && !top.add(t.summary.Duration) {
		return
	}
	s.plain.Remove(t.place)
	t.in, t.place = s.protected, s.protected.PushBack(t)
	s.guarded += t.size
}

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

// evict frees memory. Protected traces have at most half of it, so that ordinary ones
// remain visible.
func (s *Store) evict() {
	limit := int64(traceShare * float64(s.budget))
	for s.traceUse > limit {
		from := s.plain
		if s.guarded > limit/2 || from.Len() == 0 {
			from = s.protected
		}
		oldest := from.Front()
		if oldest == nil {
			return
		}
		t := from.Remove(oldest).(*trace)
		s.forget(t)
		s.traceUse -= t.size
		if from == s.protected {
			s.guarded -= t.size
		}
		s.evicted++
	}
}

// Trace returns a trace by its ID: 32 hex digits, or the lower half in 16 hex digits
// or in decimal, as in logs.
func (s *Store) Trace(id string) (Trace, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.find(id)
	if !ok {
		return Trace{}, false
	}
	return Trace{t.ID, append([]traceagent.Span(nil), t.Spans...)}, true
}

func (s *Store) find(id string) (*trace, bool) {
	id = strings.ToLower(strings.TrimSpace(id))
	if t := s.same(id); t != nil {
		return t, true
	}
	for _, half := range halves(id) {
		if all := s.lower[half]; len(all) > 0 {
			return all[0], true
		}
	}
	return nil, false
}

// same returns the trace with an ID of 32 hex digits, or nil. Some tracers do not send
// the upper half of an ID: the lower half is then enough.
func (s *Store) same(id string) *trace {
	if t := s.traces[id]; t != nil {
		return t
	}
	if len(id) != 32 {
		return nil
	}
	for _, t := range s.lower[lowerHalf(id)] {
		if sameID(t.ID, id) {
			return t
		}
	}
	return nil
}

// forget removes a trace from the indices.
func (s *Store) forget(t *trace) {
	delete(s.traces, t.ID)
	half := lowerHalf(t.ID)
	s.lower[half] = slices.DeleteFunc(s.lower[half], func(other *trace) bool { return other == t })
	if len(s.lower[half]) == 0 {
		delete(s.lower, half)
	}
}

// sameID reports whether two IDs of 32 hex digits are of one trace: the lower halves
// are equal, and so are the upper halves, unless one is missing.
func sameID(a, b string) bool {
	return a == b || lowerHalf(a) == lowerHalf(b) && (withoutUpper(a) || withoutUpper(b))
}

func lowerHalf(id string) string { return id[max(0, len(id)-16):] }

func withoutUpper(id string) bool { return strings.HasPrefix(id, "0000000000000000") }

// halves returns the lower halves of trace IDs that a text may stand for, in 16 hex
// digits.
func halves(id string) []string {
	var all []string
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		h := strconv.FormatUint(n, 16)
		all = append(all, strings.Repeat("0", 16-len(h))+h)
	}
	if len(id) == 16 {
		all = append(all, id)
	}
	return all
}

// Usage is what a store holds: numbers of items, and sizes in bytes.
type Usage struct {
	Budget                             int64
	Traces, Logs, Profiles             int
	TraceBytes, LogBytes, ProfileBytes int64
	EvictedTraces, EvictedLogs         int64
	Metrics, RefusedMetrics            int
	MalformedPackets, Resources        int
	// NotFinite are numbers of spans that were NaN or infinite, RefusedStatistics
	// groups of statistics with numbers that no service has, or with durations that
	// cannot be read.
	NotFinite, RefusedStatistics int
	ServiceBytes, MetricBytes    int64
}

// Usage returns what the store holds.
func (s *Store) Usage() Usage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Usage{
		Budget:            s.budget,
		Traces:            len(s.traces),
		TraceBytes:        s.traceUse,
		EvictedTraces:     s.evicted,
		Logs:              len(s.logs.items),
		LogBytes:          s.logs.used,
		EvictedLogs:       s.logs.evicted,
		Profiles:          len(s.profiles.items),
		ProfileBytes:      s.profiles.used,
		Metrics:           len(s.metrics.series.index),
		MetricBytes:       s.metrics.bytes(),
		RefusedMetrics:    s.metrics.refused,
		MalformedPackets:  s.metrics.malformed,
		Resources:         len(s.services.resources),
		NotFinite:         s.notFinite,
		RefusedStatistics: s.services.refused,
		ServiceBytes:      int64(len(s.services.durations.kept)) * distributionSize,
	}
}

// ring keeps the latest items within a budget in bytes.
type ring[T any] struct {
	budget, used, evicted int64
	items                 []sized[T]
}

type sized[T any] struct {
	item T
	size int64
}

func (r *ring[T]) add(item T, size int64) {
	r.items = append(r.items, sized[T]{item, size})
	r.used += size
	for r.used > r.budget && len(r.items) > 1 {
		r.used -= r.items[0].size
		r.items[0] = sized[T]{}
		r.items = r.items[1:]
		r.evicted++
	}
}
