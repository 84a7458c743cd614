package traceagent

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace/idx"
)

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

// Tags that have events and links as JSON. Protocol versions before 0.7 have no other
// form, and tracers for Node and OpenTelemetry always use this one.
const (
	eventsTag = "events"
	linksTag  = "_dd.span_links"
)

// addEvents adds the events and links of a span of protocol version 1.0.
func (s *Span) addEvents(from *idx.InternalSpan) {
	for _, e := range from.Events() {
		s.Events = append(s.Events, Event{time.Unix(0, int64(e.Time())), e.Name(), attributes(e.Attributes(), e.Strings)})
	}
	for _, l := range from.Links() {
		s.Links = append(s.Links, Link{traceID(l.TraceID()), l.SpanID(), attributes(l.Attributes(), l.Strings)})
	}
}

func attributes(from map[uint32]*idx.AnyValue, strings *idx.StringTable) map[string]string {
	all := make(map[string]string, len(from))
	for key, value := range from {
		all[strings.Get(key)] = value.AsString(strings)
	}
	return all
}

// takeTaggedEvents turns tags with events and links into fields. A tag that is
// malformed, such as one that the tracer cut off, remains.
func (s *Span) takeTaggedEvents() {
	if events, ok := parseEvents(s.Tags[eventsTag]); ok {
		s.Events = append(s.Events, events...)
		delete(s.Tags, eventsTag)
	}
	if links, ok := parseLinks(s.Tags[linksTag]); ok {
		s.Links = append(s.Links, links...)
		delete(s.Tags, linksTag)
	}
}

func parseEvents(tag string) ([]Event, bool) {
	var list []struct {
		Name       string
		Time       json.Number `json:"time_unix_nano"`
		Attributes map[string]json.RawMessage
	}
	if tag == "" || json.Unmarshal([]byte(tag), &list) != nil {
		return nil, false
	}
	var all []Event
	for _, e := range list {
		at, err := e.Time.Int64()
		if err != nil { // JavaScript writes 1.7e+18
			f, err := e.Time.Float64()
			if err != nil || !(f > -1<<63 && f < 1<<63) {
				return nil, false
			}
			at = int64(f)
		}
		all = append(all, Event{time.Unix(0, at), e.Name, texts(e.Attributes)})
	}
	return all, true
}

func parseLinks(tag string) ([]Link, bool) {
	var list []struct {
		TraceID    string `json:"trace_id"`
		SpanID     string `json:"span_id"` // in hex
		Attributes map[string]json.RawMessage
	}
	if tag == "" || json.Unmarshal([]byte(tag), &list) != nil {
		return nil, false
	}
	var all []Link
	for _, l := range list {
		id, err := hex.DecodeString(l.TraceID)
		if err != nil {
			return nil, false
		}
		span, err := strconv.ParseUint(l.SpanID, 16, 64)
		if err != nil {
			return nil, false
		}
		all = append(all, Link{traceID(id), span, texts(l.Attributes)})
	}
	return all, true
}

// texts returns JSON values as text: strings without quotes, others as JSON.
func texts(values map[string]json.RawMessage) map[string]string {
	all := make(map[string]string, len(values))
	for name, value := range values {
		text := string(value)
		var unquoted string
		if json.Unmarshal(value, &unquoted) == nil && text != "null" {
			text = unquoted
		}
		all[name] = text
	}
	return all
}
