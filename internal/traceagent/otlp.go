package traceagent

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	ddattributes "github.com/DataDog/datadog-agent/pkg/opentelemetry-mapping-go/otlp/attributes"
	"github.com/DataDog/datadog-agent/pkg/trace/api"
	"github.com/DataDog/datadog-agent/pkg/trace/config"
	"github.com/DataDog/datadog-agent/pkg/trace/timing"
	"github.com/DataDog/datadog-go/v5/statsd"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric/noop"
)

// OTLP passes spans of OpenTelemetry to the Agent. It uses the Agent's own receiver,
// which names services, operations and resources as Datadog does.
type OTLP struct {
	agent    *Agent
	receiver *api.OTLPReceiver
}

// OTLP returns the receiver for spans of OpenTelemetry.
func (a *Agent) OTLP() (*OTLP, error) {
	conf := config.New()
	// A batch may lack the parents of its spans, so that it does not show which
	// span is the first of its service. The kind does.
	conf.Features["enable_otlp_compute_top_level_by_span_kind"] = struct{}{}
	// Names of pods and containers remain tags of spans.
	conf.Features["disable_otlp_container_tags_v2"] = struct{}{}
	conf.ContainerTags = func(string) ([]string, error) { return nil, nil }
	translator, err := ddattributes.NewTranslator(component.TelemetrySettings{MeterProvider: noop.NewMeterProvider()})
	if err != nil {
		return nil, fmt.Errorf("start OTLP: %w", err)
	}
	conf.OTLPReceiver.AttributesTranslator = translator
	return &OTLP{a, api.NewOTLPReceiver(a.core.In, conf, &statsd.NoOpClient{}, timing.New(&statsd.NoOpClient{}))}, nil
}

// Receive passes spans on, and returns when the Agent has taken them. It changes them.
// Their trace and span IDs must not be 0. It fails after Stop.
func (o *OTLP) Receive(ctx context.Context, traces ptrace.Traces) error {
	o.agent.serving.RLock()
	defer o.agent.serving.RUnlock()
	select {
	case <-o.agent.stop:
		return errors.New("the agent has stopped")
	default:
	}
	for i := 0; i < traces.ResourceSpans().Len(); i++ { // prepare may append some
		spans := traces.ResourceSpans().At(i)
		prepare(spans, traces.ResourceSpans())
		if _, err := o.receiver.ReceiveResourceSpans(ctx, spans, http.Header{}, nil); err != nil {
			return err
		}
	}
	return nil
}

// prepare adds to spans what the Agent's code leaves out. That code tells traces apart
// by the lower half of their IDs: spans of other traces with the same half go to the
// end of rest.
func prepare(spans ptrace.ResourceSpans, rest ptrace.ResourceSpansSlice) {
	upper := map[uint64]uint64{}
	other := ptrace.NewResourceSpans()
	for _, scope := range spans.ScopeSpans().All() {
		otherScope := ptrace.NewScopeSpans()
		scope.Spans().RemoveIf(func(s ptrace.Span) bool {
			id := s.TraceID()
			half := binary.BigEndian.Uint64(id[:8])
			first, found := upper[binary.BigEndian.Uint64(id[8:])]
			if found && first != half {
				s.MoveTo(otherScope.Spans().AppendEmpty())
				return true
			}
			if !found {
				upper[binary.BigEndian.Uint64(id[8:])] = half
				s.Attributes().PutStr("_dd.p.tid", hex.EncodeToString(id[:8])) // as tracers do in the first span
			}
			tagError(s)
			tagEvents(s)
			tagLinks(s)
			return false
		})
		if otherScope.Spans().Len() > 0 {
			scope.Scope().CopyTo(otherScope.Scope())
			otherScope.MoveTo(other.ScopeSpans().AppendEmpty())
		}
	}
	if other.ScopeSpans().Len() > 0 {
		spans.Resource().CopyTo(other.Resource())
		other.MoveTo(rest.AppendEmpty())
	}
}

// tagError sets the tags of an error. They describe the last exception. Without one,
// the message is the description of the status, or the HTTP status. An exception of a
// span whose status is not an error was handled, and remains an event.
func tagError(s ptrace.Span) {
	if s.Status().Code() != ptrace.StatusCodeError {
		return
	}
	set := func(tag, value string) {
		if _, found := s.Attributes().Get(tag); !found && value != "" {
			s.Attributes().PutStr(tag, value)
		}
	}
	text := func(of pcommon.Map, name string) string {
		if v, found := of.Get(name); found {
			return v.AsString()
		}
		return ""
	}
	message := ""
	for i := s.Events().Len() - 1; i >= 0; i-- {
		e := s.Events().At(i)
		if e.Name() == "exception" {
			set("error.type", text(e.Attributes(), "exception.type"))
			set("error.stack", text(e.Attributes(), "exception.stacktrace"))
			message = text(e.Attributes(), "exception.message")
			break
		}
	}
	httpStatus := cmp.Or(text(s.Attributes(), "http.response.status_code"), text(s.Attributes(), "http.status_code"))
	if n, err := strconv.Atoi(httpStatus); err == nil && http.StatusText(n) != "" {
		httpStatus += " " + http.StatusText(n)
	}
	set("error.message", cmp.Or(message, s.Status().Message(), httpStatus))
}

type taggedEvent struct {
	Name       string            `json:"name"`
	Time       uint64            `json:"time_unix_nano"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// tagEvents turns the events of a span into the tag that has them. The Agent's code cuts
// that tag if it is too long, so that it cannot be read.
func tagEvents(s ptrace.Span) {
	if s.Events().Len() == 0 {
		return
	}
	var all []taggedEvent
	for _, e := range s.Events().All() {
		at := e.Timestamp()
		if at == 0 || at > math.MaxInt64 {
			at = s.StartTimestamp()
		}
		if at > math.MaxInt64 {
			at = 0
		}
		if e.Name() == "exception" {
			s.Attributes().PutStr("_dd.span_events.has_exception", "true")
		}
		all = append(all, taggedEvent{e.Name(), uint64(at), textsOf(e.Attributes())})
	}
	s.Events().RemoveIf(func(ptrace.SpanEvent) bool { return true })
	s.Attributes().PutStr(eventsTag, short(all, func(e taggedEvent, most int) taggedEvent {
		return taggedEvent{cut(e.Name, most), e.Time, cutAll(e.Attributes, most)}
	}))
}

type taggedLink struct {
	TraceID    string            `json:"trace_id"`
	SpanID     string            `json:"span_id"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// tagLinks turns the links of a span into the tag that has them. The Agent's code does
// not escape their attributes.
func tagLinks(s ptrace.Span) {
	if s.Links().Len() == 0 {
		return
	}
	all := []taggedLink{}
	for _, l := range s.Links().All() {
		if l.TraceID().IsEmpty() {
			continue
		}
		traceID, spanID := l.TraceID(), l.SpanID()
		all = append(all, taggedLink{hex.EncodeToString(traceID[:]), hex.EncodeToString(spanID[:]), textsOf(l.Attributes())})
	}
	s.Links().RemoveIf(func(ptrace.SpanLink) bool { return true })
	s.Attributes().PutStr(linksTag, short(all, func(l taggedLink, most int) taggedLink {
		l.Attributes = cutAll(l.Attributes, most)
		return l
	}))
}

func textsOf(attributes pcommon.Map) map[string]string {
	all := make(map[string]string, attributes.Len())
	for name, value := range attributes.All() {
		all[name] = value.AsString()
	}
	return all
}

// maxTag is the length in bytes to which the Agent's code cuts tags.
const maxTag = 25_000

// short encodes items as JSON of at most maxTag bytes. If they are longer, it cuts their
// texts, and leaves out the first items if that is not enough.
func short[T any](items []T, cut func(item T, most int) T) string {
	for most := maxTag; ; most /= 2 {
		if most < 100 {
			items = items[(len(items)+1)/2:]
		}
		shorter := make([]T, 0, len(items))
		for _, item := range items {
			shorter = append(shorter, cut(item, max(most, 100)))
		}
		text, err := json.Marshal(shorter)
		if err == nil && len(text) <= maxTag || len(items) == 0 {
			return string(text)
		}
	}
}

func cutAll(texts map[string]string, most int) map[string]string {
	all := make(map[string]string, len(texts))
	for name, text := range texts {
		all[cut(name, most)] = cut(text, most)
	}
	return all
}

// cut shortens a text to a length in bytes. What remains of a character at the end is
// replaced when the text is encoded.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
