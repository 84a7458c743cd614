package service

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// logWriter writes log lines to an io.Writer that may stall, such as a pipe whose
// reader has stopped. Requests only wait for it when it is slow. If it takes nothing
// for a second it is stalled: then lines are dropped and counted, because a request
// matters more than its log line.
type logWriter struct {
	to   io.Writer
	name string // for the report of dropped lines
	// impatient writers drop lines that do not fit, and never wait for to.
	impatient bool

	mu       sync.Mutex
	pending  []byte        // complete lines
	writing  bool          // the goroutine that writes is running
	since    time.Time     // the start of the write in progress
	progress chan struct{} // closed after each write
	dropped  int           // lines
	failed   bool          // the last write failed: the reader is gone, or the disk is full
}

const (
	// maxPending bounds the lines that wait: a fifth of a second of the lines of a
	// service under full load.
	maxPending = 1 << 20
	// chunk is the size of one write: what an empty pipe takes at once.
	chunk = 64 << 10
	// stalled is the time after which a write in progress counts as stalled.
	stalled = time.Second
)

func newLogWriter(to io.Writer, name string) *logWriter {
	return &logWriter{to: to, name: name, progress: make(chan struct{})}
}

// logWriters write each line to several places. One that stalls does not keep it from
// the others.
type logWriters []*logWriter

func (all logWriters) Write(line []byte) (int, error) {
	for _, w := range all {
		_, _ = w.Write(line)
	}
	return len(line), nil
}

func (all logWriters) flush() {
	for _, w := range all {
		w.flush()
	}
}

// Write takes a line, or drops it. It never fails: a log that cannot be written
// does not stop the service.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending)+len(line) > maxPending {
		if w.impatient || !w.wait() {
			w.dropped++
			return len(line), nil
		}
	}
	w.pending = append(w.pending, line...)
	if !w.writing {
		w.writing, w.since = true, time.Now()
		go w.run()
	}
	return len(line), nil
}

// wait waits for the write in progress. It returns false if that is stalled. The
// caller holds mu.
func (w *logWriter) wait() bool {
	progress, left := w.progress, stalled-time.Since(w.since)
	if left <= 0 {
		return false
	}
	w.mu.Unlock()
	defer w.mu.Lock()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-progress:
	case <-timer.C:
	}
	return true
}

// run writes until nothing is pending.
func (w *logWriter) run() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > 0 {
		next := w.pending[:endOfLine(w.pending, chunk)]
		w.since = time.Now()
		w.mu.Unlock()
		n, err := w.to.Write(next)
		w.mu.Lock()
		if w.failed = err != nil; w.failed {
			w.dropped += bytes.Count(next[n:], []byte{'\n'})
		}
		w.pending = append(w.pending[:0], w.pending[len(next):]...)
		close(w.progress)
		w.progress = make(chan struct{})
	}
	w.writing = false
}

// endOfLine returns the length of the complete lines in b that fit into n bytes, or
// of the first line if that is longer.
func endOfLine(b []byte, n int) int {
	if len(b) <= n {
		return len(b)
	}
	if end := bytes.LastIndexByte(b[:n], '\n'); end >= 0 {
		return end + 1
	}
	return bytes.IndexByte(b, '\n') + 1
}

// flush waits until all lines are written, or until the writer stalls.
func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing && w.wait() {
	}
}

// lost returns how many lines were dropped so far, and whether a line that reports
// it would be written.
func (w *logWriter) lost() (lines int, writable bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped, !w.failed && (!w.writing || time.Since(w.since) < stalled)
}
