package localagent

import (
	"container/list"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/traceagent"
)

// Store keeps what has come, within a budget of memory. What is oldest goes
// first; traces with an error, and the slowest of each resource, stay longest.
// It is safe for use by several goroutines.
type Store struct {
	budget int64

	mu       sync.RWMutex
	traces   map[string]*trace
	plain    *list.List // of *trace, the oldest first
	worthy   *list.List // those that stay longest
	traceUse int64
	evicted  int64

	services *services
	logs     ring[Log]
	profiles ring[*Profile]
	metrics  *metrics
	leftOut  map[string]int // files that came with profiles, by their kind

	changed chan struct{}
}

// The shares of the budget. Traces are what people come for; a minute's profile
// of a small service is some 50 KB.
const (
	traceShare   = 0.50
	logShare     = 0.15
	profileShare = 0.20
	serviceShare = 0.10
	metricShare  = 0.05
)

// MinBudget is the least that a store can do with, in bytes.
const MinBudget = 8 << 20

// Budget returns a budget in bytes of one in MB, or why it cannot be.
func Budget(mb uint) (int64, error) {
	const least, most = MinBudget >> 20, math.MaxInt64 >> 20
	if mb < least {
		return 0, fmt.Errorf("%d is less than %d", mb, least)
	}
	if uint64(mb) > most {
		return 0, fmt.Errorf("%d is more than %d", mb, uint64(most))
	}
	return int64(mb) << 20, nil
}

// NewStore returns a store that keeps to a budget in bytes, of which MinBudget is
// the least.
func NewStore(budget int64) *Store {
	budget = max(budget, MinBudget)
	return &Store{
		budget:   budget,
		traces:   map[string]*trace{},
		plain:    list.New(),
		worthy:   list.New(),
		services: newServices(int64(serviceShare * float64(budget))),
		logs:     ring[Log]{budget: int64(logShare * float64(budget))},
		profiles: ring[*Profile]{budget: int64(profileShare * float64(budget))},
		metrics:  newMetrics(int64(metricShare * float64(budget))),
		leftOut:  map[string]int{},
		changed:  make(chan struct{}),
	}
}

// Changed returns a channel that is closed at the next change.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// change tells those who wait; the caller holds the lock.
func (s *Store) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Trace is what has come of a trace.
type Trace struct {
	// ID is the 128-bit ID in 32 hex digits.
	ID string `json:"trace_id"`
	// Spans are in the order in which they came.
	Spans []traceagent.Span `json:"spans"`
}

// trace is a Trace in the store. A part that comes costs what it brings, however
// much has come before: a trace may grow for hours.
type trace struct {
	Trace
	index   map[uint64]int   // of each span, by its ID
	orphans map[uint64][]int // spans whose parent has not come, by its ID
	summary Summary
	text    strings.Builder // what a search looks through
	size    int64
	place   *list.Element
	in      *list.List
}

// AddSpans stores a part of a trace.
func (s *Store) AddSpans(c traceagent.Chunk) {
	if len(c.Spans) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.change()
	t := s.traces[c.TraceID]
	if t == nil {
		t = &trace{Trace: Trace{ID: c.TraceID}, index: map[uint64]int{}, orphans: map[uint64][]int{}, in: s.plain}
		t.place = s.plain.PushBack(t)
		s.traces[c.TraceID] = t
	}
	grown := sizeOf(c.Spans)
	t.size += grown
	s.traceUse += grown
	known := len(t.Spans)
	t.add(c.Spans)
	s.services.add(t, known)
	t.adopt(known)
	t.summarize(known)
	s.rank(t)
	s.evict()
}

// AddStatistics counts what the Agent would send on of spans.
func (s *Store) AddStatistics(p *pb.StatsPayload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, from := range p.Stats {
		s.services.addStatistics(from, p.ClientComputed)
	}
	s.change()
}

// add appends spans, and notes who is whose parent.
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

// adopt forgets the orphans whose parents have come behind the first known
// spans.
func (t *trace) adopt(known int) {
	for i := known; i < len(t.Spans); i++ {
		delete(t.orphans, t.Spans[i].SpanID)
	}
}

// sizeOf estimates what spans take in memory: their fields, tags with the
// buckets of their maps, and their place in the index.
func sizeOf(spans []traceagent.Span) int64 {
	var n int64
	for i := range spans {
		sp := &spans[i]
		n += 320 + int64(len(sp.Resource))
		for k, v := range sp.Tags {
			n += 48 + int64(len(k)+len(v))
		}
		n += 40 * int64(len(sp.Metrics))
	}
	return n
}

// slowest are the durations of the slowest traces of a resource, the shortest of
// them first.
type slowest []time.Duration

// keptSlowest is how many of each resource stay longest.
const keptSlowest = 10

// rank moves a trace to those that stay longest when it is one of them.
func (s *Store) rank(t *trace) {
	if t.in == s.worthy {
		return
	}
	top := &s.services.resource(t.summary.Service, t.summary.Resource, t.summary.Type).slowest
	if !t.summary.Error && !top.add(t.summary.Duration) {
		return
	}
	s.plain.Remove(t.place)
	t.in, t.place = s.worthy, s.worthy.PushBack(t)
}

// add reports whether d is among the slowest.
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

// evict makes room. Those that stay longest have at most half of it, so that
// there are always ordinary ones to see.
func (s *Store) evict() {
	room := int64(traceShare * float64(s.budget))
	for s.traceUse > room {
		from := s.plain
		if from.Len() == 0 || s.worthy.Len() > s.plain.Len() {
			from = s.worthy
		}
		oldest := from.Front()
		if oldest == nil {
			return
		}
		t := from.Remove(oldest).(*trace)
		delete(s.traces, t.ID)
		s.traceUse -= t.size
		s.evicted++
	}
}

// Trace returns the trace of an ID: 32 hex digits, or its lower half in 16 hex
// digits or in decimal, as logs have it.
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
	if t, ok := s.traces[id]; ok {
		return t, true
	}
	for _, half := range halves(id) {
		for full, t := range s.traces {
			if full[16:] == half {
				return t, true
			}
		}
	}
	return nil, false
}

// halves are the lower halves of trace IDs that a text may mean.
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

// Usage is how the budget is used, in bytes, and how much is there.
type Usage struct {
	Budget                             int64
	Traces, Logs, Profiles             int
	TraceBytes, LogBytes, ProfileBytes int64
	EvictedTraces, EvictedLogs         int64
	Metrics, RefusedMetrics            int
	MalformedPackets, Resources        int
	ServiceBytes, MetricBytes          int64
}

// Usage returns how the budget is used.
func (s *Store) Usage() Usage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Usage{
		Budget:           s.budget,
		Traces:           len(s.traces),
		TraceBytes:       s.traceUse,
		EvictedTraces:    s.evicted,
		Logs:             len(s.logs.items),
		LogBytes:         s.logs.used,
		EvictedLogs:      s.logs.evicted,
		Profiles:         len(s.profiles.items),
		ProfileBytes:     s.profiles.used,
		Metrics:          len(s.metrics.series),
		MetricBytes:      int64(len(s.metrics.series)) * seriesSize,
		RefusedMetrics:   s.metrics.refused,
		MalformedPackets: s.metrics.malformed,
		Resources:        len(s.services.resources),
		ServiceBytes:     int64(len(s.services.durations.kept)) * distributionSize,
	}
}

// ring keeps the latest of something within a budget of bytes.
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
