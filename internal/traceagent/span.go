package traceagent

import (
	"encoding/hex"
	"fmt"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace/idx"

	"apmapp/internal/local/span"
)

// fromChunk converts a chunk of the protocol versions before 1.0. They split the
// trace ID: its upper half is a tag of the chunk's first span.
func fromChunk(payload *pb.TracerPayload, chunk *pb.TraceChunk) span.Chunk {
	out := span.Chunk{Priority: chunk.Priority, Spans: make([]span.Span, 0, len(chunk.Spans))}
	high := "0000000000000000"
	for _, s := range chunk.Spans {
		if tid := s.Meta["_dd.p.tid"]; len(tid) == len(high) {
			high = tid
		}
		out.TraceID = fmt.Sprintf("%s%016x", high, s.TraceID)
		converted := span.Span{
			SpanID:    s.SpanID,
			ParentID:  s.ParentID,
			Service:   s.Service,
			Operation: s.Name,
			Resource:  s.Resource,
			Type:      s.Type,
			Start:     time.Unix(0, s.Start),
			Duration:  time.Duration(s.Duration),
			Error:     s.Error != 0,
			Tags:      s.Meta,
			Metrics:   s.Metrics,
		}
		converted.SetDefaultTag("env", payload.Env)
		takeTaggedEvents(&converted)
		out.Spans = append(out.Spans, converted)
	}
	return out
}

// fromChunkV1 converts a chunk of protocol version 1.0. Its strings are indices
// into a table, and some of its tags are fields.
func fromChunkV1(payload *idx.InternalTracerPayload, chunk *idx.InternalTraceChunk) span.Chunk {
	out := span.Chunk{
		TraceID:  traceID(chunk.TraceID),
		Priority: chunk.Priority,
		Spans:    make([]span.Span, 0, len(chunk.Spans)),
	}
	for _, s := range chunk.Spans {
		converted := span.Span{
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
				converted.Metrics[name] = v.DoubleValue
			case *idx.AnyValue_IntValue:
				converted.Metrics[name] = float64(v.IntValue)
			default:
				converted.Tags[name] = value.AsString(s.Strings)
			}
		}
		for _, field := range []struct{ name, value string }{
			{"env", s.Env()},
			{"env", payload.Env()},
			{"version", s.Version()},
			{"component", s.Component()},
			{"span.kind", s.SpanKind()},
		} {
			converted.SetDefaultTag(field.name, field.value)
		}
		addEvents(&converted, s)
		takeTaggedEvents(&converted)
		out.Spans = append(out.Spans, converted)
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
