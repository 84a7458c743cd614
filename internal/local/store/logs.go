package store

import (
	"strings"
	"sync"

	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// logs keeps log lines.
type logs struct {
	mu    sync.RWMutex
	lines ring[*wire.Log]
}

func newLogs(budget int64) *logs { return &logs{lines: ring[*wire.Log]{budget: budget}} }

func (l *logs) add(line *wire.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.add(line, int64(len(line.Raw)+len(line.Message)+256))
}

func (l *logs) latest() []*wire.Log {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lines.latest()
}

func (l *logs) usage(u *Usage) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	u.Logs, u.LogBytes, u.EvictedLogs = len(l.lines.items), l.lines.used, l.lines.evicted
}

// LogFilter selects log lines. Empty fields match everything.
type LogFilter struct {
	Service, Level, Text string
	// TraceID is the 32 hex digits of a trace.
	TraceID string
	Limit   int
}

func (l *logs) search(f LogFilter) (listed []wire.Log, matching int) {
	f.Text = strings.ToLower(strings.TrimSpace(f.Text))
	listed = []wire.Log{}
	for _, line := range l.latest() {
		if !f.matches(line) {
			continue
		}
		matching++
		if len(listed) < f.Limit {
			listed = append(listed, *line)
		}
	}
	return listed, matching
}

func (f LogFilter) matches(l *wire.Log) bool {
	return (f.Service == "" || l.Service == f.Service) &&
		(f.Level == "" || l.Level == f.Level) &&
		(f.TraceID == "" || span.SameTrace(f.TraceID, l.TraceID)) &&
		(f.Text == "" || strings.Contains(strings.ToLower(l.Raw), f.Text))
}

// clear takes over the content of an empty keeper.
func (l *logs) clear(to *logs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = to.lines
}
