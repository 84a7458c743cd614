package localagent

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Log is a log line.
type Log struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Service string    `json:"service"`
	Message string    `json:"message"`
	// TraceID is in hex or in decimal, as in the line; SpanID is in decimal.
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
	// Raw is the line as received.
	Raw string `json:"raw"`
}

// maxLine bounds a line, in bytes; the rest is cut off.
const maxLine = 64 << 10

// ParseLog parses a line of JSON with the attribute names of Datadog's log
// pipelines, with dots in names or as nested objects. A line that is not a JSON
// object is its own message.
func ParseLog(line []byte, now time.Time) Log {
	raw := strings.ToValidUTF8(string(line[:min(len(line), maxLine)]), "\uFFFD")
	l := Log{Time: now, Level: "INFO", Message: raw, Raw: raw}
	var attributes map[string]any
	if json.Unmarshal(line, &attributes) != nil || len(line) > maxLine {
		return l
	}
	text := func(names ...string) string {
		for _, name := range names {
			if v := attribute(attributes, name); v != "" {
				return v
			}
		}
		return ""
	}
	if m := text("msg", "message"); m != "" {
		l.Message = m
	}
	if level := text("level", "status", "severity"); level != "" {
		l.Level = strings.ToUpper(level)
	}
	l.Service = text("dd.service", "service")
	l.TraceID, l.SpanID = text("dd.trace_id", "trace_id"), text("dd.span_id", "span_id")
	if at, err := time.Parse(time.RFC3339Nano, text("timestamp", "time", "date", "@timestamp")); err == nil {
		l.Time = at
	}
	return l
}

// attribute returns an attribute by its name, or by its name as a path of nested
// objects.
func attribute(attributes map[string]any, name string) string {
	if v, ok := attributes[name]; ok {
		switch v := v.(type) {
		case string:
			return v
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return ""
	}
	first, rest, nested := strings.Cut(name, ".")
	if inner, ok := attributes[first].(map[string]any); ok && nested {
		return attribute(inner, rest)
	}
	return ""
}

// AddLog stores a line.
func (s *Store) AddLog(l Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs.add(l, int64(len(l.Raw)+len(l.Message)+256))
	s.change()
}

// LogFilter selects log lines. Empty fields match everything.
type LogFilter struct {
	Service, Level, Text string
	// TraceID is the 32 hex digits of a trace.
	TraceID string
	Limit   int
}

// Logs returns the matching lines, the latest first, at most f.Limit, and the number
// of all that match.
func (s *Store) Logs(f LogFilter) (listed []Log, matching int) {
	f.Text = strings.ToLower(strings.TrimSpace(f.Text))
	s.mu.RLock()
	defer s.mu.RUnlock()
	listed = []Log{}
	for _, l := range slices.Backward(s.logs.items) {
		if !f.matches(&l.item) {
			continue
		}
		matching++
		if len(listed) < f.Limit {
			listed = append(listed, l.item)
		}
	}
	return listed, matching
}

func (f LogFilter) matches(l *Log) bool {
	return (f.Service == "" || l.Service == f.Service) &&
		(f.Level == "" || l.Level == f.Level) &&
		(f.TraceID == "" || SameTrace(f.TraceID, l.TraceID)) &&
		(f.Text == "" || strings.Contains(strings.ToLower(l.Raw), f.Text))
}

// SameTrace reports whether the trace ID of a log line names the trace with an ID
// of 32 hex digits: the whole ID, or its lower half in hex or in decimal. The upper half
// of the trace's ID may be missing.
func SameTrace(id, logged string) bool {
	if logged == "" || len(id) != 32 {
		return false
	}
	return len(logged) == 32 && sameID(id, logged) || slices.Contains(halves(logged), id[16:])
}
