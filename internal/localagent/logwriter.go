package localagent

import (
	"bytes"
	"sync"
	"time"
)

// LogWriter stores the lines that are written to it.
type LogWriter struct {
	store *Store

	mu      sync.Mutex
	partial []byte
}

// NewLogWriter returns a writer that stores each line.
func NewLogWriter(s *Store) *LogWriter { return &LogWriter{store: s} }

// Write implements io.Writer; it never fails.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if len(w.partial) <= maxLine { // the rest of a longer line is cut off
			w.partial = append(w.partial, line[:min(len(line), maxLine+1)]...)
		}
		if !whole {
			return n, nil
		}
		if line := bytes.TrimSpace(w.partial); len(line) > 0 {
			w.store.AddLog(ParseLog(line, time.Now()))
		}
		w.partial = w.partial[:0]
		p = rest
	}
}
