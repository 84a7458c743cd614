package definitions

import (
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/local/query"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// source is a store as queries read it.
type source struct{ *store.Store }

// nanoseconds is the unit of the durations of spans in the metrics' unit, seconds.
const nanoseconds = 1e-9

// Series implements query.Source.
func (s source) Series(metric string, from, to time.Time) []query.Series {
	var all []query.Series
	for _, past := range s.Past(metric, from, to) {
		series := query.Series{Metric: metric, Tags: query.NewTags(past.Tags...), Points: make([]query.Point, 0, len(past.Cells))}
		switch past.Kind {
		case store.CountMetric:
			series.Kind = query.Count
		case store.DistributionMetric:
			series.Kind = query.Distribution
		}
		unit := 1.0
		if strings.HasPrefix(metric, "trace.") {
			unit = nanoseconds
		}
		for _, c := range past.Cells {
			point := query.Point{Time: c.Start}
			switch past.Kind {
			case store.CountMetric:
				point.Value = c.Sum
			case store.DistributionMetric:
				point.Sketch = query.SketchOf(c.Values.Sketch(), unit)
			default:
				point.Value, point.Samples, point.Min, point.Max = c.Sum/c.Count, int(c.Count), c.Min, c.Max
			}
			series.Interval = max(series.Interval, c.Length)
			series.Points = append(series.Points, point)
		}
		all = append(all, series)
	}
	return all
}

// statuses are the statuses of service checks.
var statuses = map[string]query.Status{"ok": query.CheckOK, "warning": query.CheckWarning, "critical": query.CheckCritical, "unknown": query.CheckUnknown}

// Checks implements query.Source.
func (s source) Checks(name string, from, to time.Time) []query.CheckResult {
	var all []query.CheckResult
	for _, results := range s.PastChecks(name) {
		for _, r := range results {
			if !r.At.Before(from) && r.At.Before(to) {
				all = append(all, query.CheckResult{Time: r.At.Unix(), Tags: query.NewTags(r.Tags...), Status: statuses[r.Status], Message: r.Message})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b query.CheckResult) int { return int(a.Time - b.Time) })
	return all
}

// Since implements query.Source.
func (s source) Since() time.Time { return s.PastSince() }

// Events implements query.Source.
func (s source) Events(of string, from, to time.Time) iter.Seq[query.Event] {
	if of == "logs" {
		return s.lines(from, to)
	}
	return s.spans(from, to)
}

// longest is the time by which a trace may begin before a span of it.
const longest = time.Hour

func (s source) spans(from, to time.Time) iter.Seq[query.Event] {
	return func(yield func(query.Event) bool) {
		for trace, weight := range s.TracesBetween(from.Add(-longest), to) {
			for i := range trace.Spans {
				of := &trace.Spans[i]
				if of.Start.Before(from) || !of.Start.Before(to) {
					continue
				}
				if !yield(Span{of, trace.ID, weight}) {
					return
				}
			}
		}
	}
}

// Span is a span of a trace as an event.
type Span struct {
	*span.Span
	TraceID string
	weight  float64
}

// Time implements query.Event.
func (s Span) Time() time.Time { return s.Start }

// Weight implements query.Event.
func (s Span) Weight() float64 { return s.weight }

// Attribute implements query.Event.
func (s Span) Attribute(name string) (value any, ok bool) {
	switch name {
	case "service":
		return s.Service, true
	case "operation_name":
		return s.Operation, true
	case "resource_name":
		return s.Resource, true
	case "type":
		return s.Type, s.Type != ""
	case "status":
		if s.Error {
			return "error", true
		}
		return "ok", true
	case "trace_id":
		return s.TraceID, true
	case "span_id":
		return strconv.FormatUint(s.SpanID, 10), true
	case "timestamp":
		return float64(s.Start.UnixMilli()), true
	case "@duration":
		return float64(s.Duration), true
	}
	tag := strings.TrimPrefix(name, "@")
	if value, ok := s.Tags[tag]; ok {
		return value, true
	}
	number, ok := s.Metrics[tag]
	return number, ok
}

func (s source) lines(from, to time.Time) iter.Seq[query.Event] {
	return func(yield func(query.Event) bool) {
		for _, l := range slices.Backward(s.LogLines()) {
			if l.Time.Before(from) || !l.Time.Before(to) {
				continue
			}
			if !yield(&line{log: l}) {
				return
			}
		}
	}
}

// line is a log line as an event.
type line struct {
	log    *wire.Log
	fields map[string]any // of a JSON line; nil before it is needed
}

// Time implements query.Event.
func (l *line) Time() time.Time { return l.log.Time }

// Weight implements query.Event.
func (*line) Weight() float64 { return 1 }

// Attribute implements query.Event.
func (l *line) Attribute(name string) (value any, ok bool) {
	switch name {
	case "service":
		return l.log.Service, true
	case "status":
		return strings.ToLower(l.log.Level), true
	case "trace_id":
		return l.log.TraceID, l.log.TraceID != ""
	case "span_id":
		return l.log.SpanID, l.log.SpanID != ""
	case "timestamp":
		return float64(l.log.Time.UnixMilli()), true
	case "message", "content": // msg in the lines of many loggers
		return l.log.Message, l.log.Message != ""
	}
	name = strings.TrimPrefix(name, "@")
	if !l.mayHave(name) {
		return nil, false
	}
	if l.fields == nil {
		l.fields = map[string]any{}
		if json.Unmarshal([]byte(l.log.Raw), &l.fields) != nil {
			l.fields = map[string]any{} // not JSON, so it has no fields
		}
	}
	return field(l.fields, name)
}

// mayHave reports whether the line has the last part of a name. It saves the reading of JSON:
// dashboards of other products ask every line for fields that none has.
func (l *line) mayHave(name string) bool {
	key := name[strings.LastIndexByte(name, '.')+1:]
	return l.fields != nil || strings.Contains(l.log.Raw, key) || strings.Contains(l.log.Raw, `\`)
}

// field returns a field by its name, in which dots may separate objects.
func field(of map[string]any, name string) (any, bool) {
	if value, ok := of[name]; ok {
		switch value.(type) {
		case string, float64, bool:
			return value, true
		}
	}
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		if inner, is := of[name[:i]].(map[string]any); is {
			if value, ok := field(inner, name[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}
