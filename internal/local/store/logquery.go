package store

import (
	"slices"
	"strconv"
	"strings"

	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// LogQueryFields are the fields of a log line that a query names, sorted. Every other name
// is the name of an attribute.
var LogQueryFields = []string{"duration", "error", "level", "message", "service", "span_id", "status", "trace_id"}

// The names of what every line has. The level is also status, as in Datadog.
const (
	levelTag   = "level"
	messageTag = "message"
)

// ParseLogQuery parses a query of log lines, in the language of traces. Status and level are
// the level of the line in any case, unless they are a status of HTTP such as 503 or 5xx.
func ParseLogQuery(text string) (Query, error) { return parseQuery(text, newLogTerm) }

func newLogTerm(name, value string, literal bool) (term, error) {
	switch field := strings.TrimPrefix(name, "@"); {
	case value == "": // newTerm returns the error
	case field == levelTag, name == "status" && !isHTTPStatus(value):
		level := wire.LevelOf(value)
		if level == "" {
			level = strings.ToUpper(value)
		}
		return newTerm("@"+levelTag, level, literal)
	case name == "status":
		return newTerm("@"+statusTag, value, literal)
	case name == "trace_id":
		return term{field: name, test: func(logged string) bool { return sameTraceID(value, logged) }}, nil
	}
	return newTerm(name, value, literal)
}

func isHTTPStatus(value string) bool {
	return len(value) == 3 && value[0] >= '1' && value[0] <= '5' && strings.Trim(value[1:], "0123456789xX?*") == "" || strings.ContainsAny(value[:1], "<>=")
}

// sameTraceID reports whether two IDs, each 32 or 16 hex digits or decimal, may be of one
// trace.
func sameTraceID(a, b string) bool {
	halves := func(id string) []string {
		if id = strings.ToLower(id); len(id) == 32 {
			return []string{span.LowerHalf(id)}
		}
		return span.LowerHalves(id)
	}
	return a == b || len(a) == 32 && len(b) == 32 && span.SameID(strings.ToLower(a), strings.ToLower(b)) ||
		(len(a) != 32 || len(b) != 32) && slices.ContainsFunc(halves(a), func(half string) bool { return slices.Contains(halves(b), half) })
}

// matchesLog reports whether a log line matches. Words are in the line as it was received.
func (q *Query) matchesLog(l *wire.Log) bool {
	for _, w := range q.words {
		if w.partOf(l.Raw) == w.not {
			return false
		}
	}
	return len(q.terms) == 0 || q.matchesOne(l.TraceID, []span.Span{q.spanOf(l)})
}

// spanOf returns a line in the form that terms test. Its attributes are read only if a term
// needs them.
func (q *Query) spanOf(l *wire.Log) span.Span {
	s := span.Span{Service: l.Service, Error: l.Level == wire.Error || l.Level == wire.Critical, Tags: map[string]string{}, Metrics: map[string]float64{}}
	s.SpanID, _ = strconv.ParseUint(l.SpanID, 10, 64)
	if slices.ContainsFunc(q.terms, func(t term) bool {
		return !slices.Contains([]string{"service", "trace_id", "span_id", "error"}, t.field) && t.tag != levelTag && t.tag != messageTag
	}) {
		for _, a := range l.Attributes() {
			if n, err := strconv.ParseFloat(a.Value, 64); a.Number && err == nil {
				s.Metrics[a.Name] = n
			} else {
				s.Tags[a.Name] = a.Value
			}
		}
		s.FiniteMetrics()
		s.Resource, s.Operation, s.Type = s.Tags["resource"], s.Tags["operation"], s.Tags["type"]
		s.Duration = l.Duration()
	}
	delete(s.Metrics, levelTag)
	s.Tags[levelTag], s.Tags[messageTag] = l.Level, l.Message
	return s
}
