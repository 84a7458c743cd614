package span

import (
	"math"
	"strconv"
	"time"
)

// Chunk is the part of a trace that arrived in one payload.
type Chunk struct {
	// TraceID is the 128-bit ID in 32 hex digits.
	TraceID string
	// Priority is the tracer's sampling decision: 1 and above keep the trace.
	Priority int32
	Spans    []Span
}

// Span is a span as the Agent would send it to Datadog: normalized and obfuscated.
type Span struct {
	// ParentID is 0 without a parent. In JSON both IDs are strings: they are too
	// large for the numbers of many languages.
	SpanID    uint64        `json:"span_id,string"`
	ParentID  uint64        `json:"parent_id,string"`
	Service   string        `json:"service"`
	Operation string        `json:"operation"`
	Resource  string        `json:"resource"`
	Type      string        `json:"type"`
	Start     time.Time     `json:"start"`
	Duration  time.Duration `json:"duration_ns"`
	Error     bool          `json:"error"`
	// Tags are strings, Metrics are numbers. A name is in one of them.
	Tags    map[string]string  `json:"tags"`
	Metrics map[string]float64 `json:"metrics"`
	Events  []Event            `json:"events,omitempty"`
	Links   []Link             `json:"links,omitempty"`
}

// Event is something that happened during a span, such as an exception.
type Event struct {
	Time       time.Time         `json:"time"`
	Name       string            `json:"name"`
	Attributes map[string]string `json:"attributes"`
}

// Link is another span that belongs to a span without being its parent, such as the
// one that sent a message. It may be in another trace.
type Link struct {
	TraceID    string            `json:"trace_id"` // 32 hex digits
	SpanID     uint64            `json:"span_id,string"`
	Attributes map[string]string `json:"attributes"`
}

// Tags and metrics that tracers and the Agent set.
const (
	kindTag      = "span.kind"
	statusTag    = "http.status_code"
	topLevel     = "_top_level"
	measured     = "_dd.measured"
	partial      = "_dd.partial_version"
	ServerKind   = "server"
	ConsumerKind = "consumer"
	ClientKind   = "client"
	ProducerKind = "producer"
)

// End returns the time at which the span ended.
func (s *Span) End() time.Time { return s.Start.Add(s.Duration) }

// Kind returns the span's kind, or "".
func (s *Span) Kind() string { return s.Tags[kindTag] }

// HTTPStatus returns the status of HTTP, or 0. Tracers set it as a tag or as a number.
func (s *Span) HTTPStatus() int {
	if status, err := strconv.Atoi(s.Tags[statusTag]); err == nil {
		return status
	}
	return int(s.Metrics[statusTag])
}

// IsTopLevel reports whether the span is the first of its service in the trace.
func (s *Span) IsTopLevel() bool { return s.Metrics[topLevel] == 1 }

// IsPartial reports whether the span has not ended: its tracer sends it again later.
func (s *Span) IsPartial() bool {
	version, set := s.Metrics[partial]
	return set && version >= 0
}

// IsCounted reports whether the Agent's statistics count the span.
func (s *Span) IsCounted() bool {
	if s.IsPartial() {
		return false
	}
	switch s.Kind() {
	case ServerKind, ConsumerKind, ClientKind, ProducerKind:
		return true
	}
	return s.IsTopLevel() || s.Metrics[measured] == 1
}

// FiniteMetrics turns metrics that are NaN or infinite into tags, because JSON has no
// such numbers. It returns how many there were.
func (s *Span) FiniteMetrics() int {
	n := 0
	for name, value := range s.Metrics {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			delete(s.Metrics, name)
			s.SetDefaultTag(name, strconv.FormatFloat(value, 'g', -1, 64))
			n++
		}
	}
	return n
}

// SetDefaultTag sets a tag, unless it is set already or the value is empty.
func (s *Span) SetDefaultTag(name, value string) {
	if _, set := s.Tags[name]; set || value == "" {
		return
	}
	if s.Tags == nil {
		s.Tags = map[string]string{}
	}
	s.Tags[name] = value
}

// IsRoot reports whether a span is a root among the received spans of its trace: it
// has no parent, its parent was not received, or it names itself as its parent.
func (s *Span) IsRoot(received func(spanID uint64) bool) bool {
	return s.ParentID == 0 || s.ParentID == s.SpanID || !received(s.ParentID)
}

// Root returns the index of the root span of a trace: the root that started
// first, and of several the first in the slice. If parents form a circle and
// there is no root, it is 0.
func Root(spans []Span) int {
	ids := make(map[uint64]bool, len(spans))
	for i := range spans {
		ids[spans[i].SpanID] = true
	}
	root := -1
	for i := range spans {
		if spans[i].IsRoot(func(id uint64) bool { return ids[id] }) && (root < 0 || spans[i].Start.Before(spans[root].Start)) {
			root = i
		}
	}
	return max(root, 0)
}
