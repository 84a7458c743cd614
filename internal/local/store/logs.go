package store

import (
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// logs keeps log lines.
type logs struct {
	mu    sync.RWMutex
	lines ring[*wire.Log]
	last  int64 // ID of the last line
}

func newLogs(budget int64) *logs { return &logs{lines: ring[*wire.Log]{budget: budget}} }

func (l *logs) add(line *wire.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	line.ID = l.last
	l.lines.add(line, int64(len(line.Raw)+len(line.Message)+256))
}

func (l *logs) latest() []*wire.Log {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lines.latest()
}

// around returns the line with an ID, and the lines before and after it that satisfy a
// condition, in the order of their arrival, at most some on each side.
func (l *logs) around(id int64, most int, is func(line, other *wire.Log) bool) (line wire.Log, before, after []wire.Log, found bool) {
	all := l.latest()
	slices.Reverse(all)
	at, found := slices.BinarySearchFunc(all, id, func(l *wire.Log, id int64) int { return int(l.ID - id) })
	if !found {
		return line, nil, nil, false
	}
	for i := at - 1; i >= 0 && len(before) < most; i-- {
		if is(all[at], all[i]) {
			before = append(before, *all[i])
		}
	}
	slices.Reverse(before)
	for i := at + 1; i < len(all) && len(after) < most; i++ {
		if is(all[at], all[i]) {
			after = append(after, *all[i])
		}
	}
	return *all[at], before, after, true
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
	Query   Query
	// From and To are times of lines.
	From, To time.Time
	// Is is a further condition; nil matches everything.
	Is    func(l *wire.Log) bool
	Limit int
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

func (f *LogFilter) matches(l *wire.Log) bool {
	return (f.Service == "" || l.Service == f.Service) &&
		(f.Level == "" || l.Level == f.Level) &&
		(f.TraceID == "" || span.SameTrace(f.TraceID, l.TraceID)) &&
		(f.From.IsZero() || !l.Time.Before(f.From)) && (f.To.IsZero() || l.Time.Before(f.To)) &&
		(f.Text == "" || strings.Contains(strings.ToLower(l.Raw), f.Text)) &&
		f.Query.matchesLog(l) &&
		(f.Is == nil || f.Is(l))
}

// clear takes over the content of an empty keeper. IDs go on.
func (l *logs) clear(to *logs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = to.lines
}
