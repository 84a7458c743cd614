package traceagent

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace/idx"

	"apmapp/internal/local/span"
)

// Tags that have events and links as JSON. Protocol versions before 0.7 have no other
// form, and tracers for Node and OpenTelemetry always use this one.
const (
	eventsTag = "events"
	linksTag  = "_dd.span_links"
)

// addEvents adds the events and links of a span of protocol version 1.0.
func addEvents(s *span.Span, from *idx.InternalSpan) {
	for _, e := range from.Events() {
		s.Events = append(s.Events, span.Event{Time: time.Unix(0, int64(e.Time())), Name: e.Name(), Attributes: attributeTexts(e.Attributes(), e.Strings)})
	}
	for _, l := range from.Links() {
		s.Links = append(s.Links, span.Link{TraceID: traceID(l.TraceID()), SpanID: l.SpanID(), Attributes: attributeTexts(l.Attributes(), l.Strings)})
	}
}

func attributeTexts(from map[uint32]*idx.AnyValue, strings *idx.StringTable) map[string]string {
	all := make(map[string]string, len(from))
	for key, value := range from {
		all[strings.Get(key)] = value.AsString(strings)
	}
	return all
}

// takeTaggedEvents turns tags with events and links into fields. A tag that is
// malformed, such as one that the tracer cut off, remains.
func takeTaggedEvents(s *span.Span) {
	if events, ok := parseEvents(s.Tags[eventsTag]); ok {
		s.Events = append(s.Events, events...)
		delete(s.Tags, eventsTag)
	}
	if links, ok := parseLinks(s.Tags[linksTag]); ok {
		s.Links = append(s.Links, links...)
		delete(s.Tags, linksTag)
	}
}

func parseEvents(tag string) ([]span.Event, bool) {
	var list []struct {
		Name       string
		Time       json.Number `json:"time_unix_nano"`
		Attributes map[string]json.RawMessage
	}
	if tag == "" || json.Unmarshal([]byte(tag), &list) != nil {
		return nil, false
	}
	var all []span.Event
	for _, e := range list {
		at, err := e.Time.Int64()
		if err != nil { // JavaScript writes 1.7e+18
			f, err := e.Time.Float64()
			if err != nil || !(f > -1<<63 && f < 1<<63) {
				return nil, false
			}
			at = int64(f)
		}
		all = append(all, span.Event{Time: time.Unix(0, at), Name: e.Name, Attributes: texts(e.Attributes)})
	}
	return all, true
}

func parseLinks(tag string) ([]span.Link, bool) {
	var list []struct {
		TraceID    string `json:"trace_id"`
		SpanID     string `json:"span_id"` // in hex
		Attributes map[string]json.RawMessage
	}
	if tag == "" || json.Unmarshal([]byte(tag), &list) != nil {
		return nil, false
	}
	var all []span.Link
	for _, l := range list {
		id, err := hex.DecodeString(l.TraceID)
		if err != nil {
			return nil, false
		}
		spanID, err := strconv.ParseUint(l.SpanID, 16, 64)
		if err != nil {
			return nil, false
		}
		all = append(all, span.Link{TraceID: traceID(id), SpanID: spanID, Attributes: texts(l.Attributes)})
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
