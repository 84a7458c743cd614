package localagent

import (
	"slices"
	"strings"
	"time"

	"apmapp/internal/local/wire"
)

// Log is a log line.
type Log = wire.Log

// ParseLog decodes a line that is received at a time.
func ParseLog(line []byte, received time.Time) Log { return wire.DecodeLog(line, received) }

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
