package traceagent

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace/idx"
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

// FiniteMetrics turns metrics that are NaN or infinite into tags, because JSON has no
// such numbers. It returns how many there were.
func (s *Span) FiniteMetrics() int {
	n := 0
	for name, value := range s.Metrics {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			delete(s.Metrics, name)
			s.Tags = withDefault(s.Tags, name, strconv.FormatFloat(value, 'g', -1, 64))
			n++
		}
	}
	return n
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

// fromChunk converts a chunk of the protocol versions before 1.0. They split the
// trace ID: its upper half is a tag of the chunk's first span.
func fromChunk(payload *pb.TracerPayload, chunk *pb.TraceChunk) Chunk {
	out := Chunk{Priority: chunk.Priority, Spans: make([]Span, 0, len(chunk.Spans))}
	high := "0000000000000000"
	for _, s := range chunk.Spans {
		if tid := s.Meta["_dd.p.tid"]; len(tid) == len(high) {
			high = tid
		}
		out.TraceID = fmt.Sprintf("%s%016x", high, s.TraceID)
		out.Spans = append(out.Spans, Span{
			SpanID:    s.SpanID,
			ParentID:  s.ParentID,
			Service:   s.Service,
			Operation: s.Name,
			Resource:  s.Resource,
			Type:      s.Type,
			Start:     time.Unix(0, s.Start),
			Duration:  time.Duration(s.Duration),
			Error:     s.Error != 0,
			Tags:      withDefault(s.Meta, "env", payload.Env),
			Metrics:   s.Metrics,
		})
		out.Spans[len(out.Spans)-1].takeTaggedEvents()
	}
	return out
}

// fromChunkV1 converts a chunk of protocol version 1.0. Its strings are indices
// into a table, and some of its tags are fields.
func fromChunkV1(payload *idx.InternalTracerPayload, chunk *idx.InternalTraceChunk) Chunk {
	out := Chunk{
		TraceID:  traceID(chunk.TraceID),
		Priority: chunk.Priority,
		Spans:    make([]Span, 0, len(chunk.Spans)),
	}
	for _, s := range chunk.Spans {
		span := Span{
			SpanID:    s.SpanID(),
			ParentID:  s.ParentID(),
			Service:   s.Service(),
			Operation: s.Name(),
			Resource:  s.Resource(),
			Type:      s.Type(),
			Start:     time.Unix(0, int64(s.Start())),
			Duration:  time.Duration(s.Duration()),
			Error:     s.Error(),
			Tags:      map[string]string{},
			Metrics:   map[string]float64{},
		}
		for key, value := range s.Attributes() {
			name := s.Strings.Get(key)
			switch v := value.Value.(type) {
			case *idx.AnyValue_DoubleValue:
				span.Metrics[name] = v.DoubleValue
			case *idx.AnyValue_IntValue:
				span.Metrics[name] = float64(v.IntValue)
			default:
				span.Tags[name] = value.AsString(s.Strings)
			}
		}
		for _, field := range []struct{ name, value string }{
			{"env", s.Env()},
			{"env", payload.Env()},
			{"version", s.Version()},
			{"component", s.Component()},
			{"span.kind", s.SpanKind()},
		} {
			span.Tags = withDefault(span.Tags, field.name, field.value)
		}
		span.addEvents(s)
		span.takeTaggedEvents()
		out.Spans = append(out.Spans, span)
	}
	return out
}

// traceID returns a trace ID in 32 hex digits. Tracers may send fewer or more bytes than
// 16: the last ones count.
func traceID(id []byte) string {
	var full [16]byte
	id = id[max(0, len(id)-len(full)):]
	copy(full[len(full)-len(id):], id)
	return hex.EncodeToString(full[:])
}

// withDefault returns tags with name set to value, unless name is set already or
// value is empty.
func withDefault(tags map[string]string, name, value string) map[string]string {
	if _, set := tags[name]; set || value == "" {
		return tags
	}
	if tags == nil {
		tags = map[string]string{}
	}
	tags[name] = value
	return tags
}
