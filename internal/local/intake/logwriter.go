package intake

import (
	"bytes"
	"sync"
	"time"

	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// quietTime is the time after which a line is stored without its newline: a program
// that ended, or that waits at a prompt, does not write one.
const quietTime = time.Second

// LogWriter stores the lines that are written to it.
type LogWriter struct {
	store *store.Store
	live  bool

	mu      sync.Mutex
	partial []byte // its beginning, and its end if the line is longer than wire.MaxLine
	quiet   *time.Timer
}

// NewLogWriter returns a writer that stores each line. It stores a last line without a
// newline when nothing else is written for a second.
func NewLogWriter(s *store.Store) *LogWriter { return &LogWriter{store: s, live: true} }

// newLogWriter returns a LogWriter for the lines of a recording.
func newLogWriter(s *store.Store) *LogWriter { return &LogWriter{store: s} }

// Write implements io.Writer; it never fails.
func (w *LogWriter) Write(p []byte) (int, error) {
	if w.live {
		w.store.Live()
	}
	w.write(p)
	return len(p), nil
}

func (w *LogWriter) write(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		w.grow(line)
		if !whole {
			break
		}
		w.end()
		p = rest
	}
	if len(w.partial) == 0 {
		return
	}
	if w.quiet == nil {
		w.quiet = time.AfterFunc(quietTime, w.Flush)
	} else {
		w.quiet.Reset(quietTime)
	}
}

// Flush stores the last line, also without a newline.
func (w *LogWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
}

// grow appends a piece to the line. Of a line that is too long it keeps the beginning
// and the end.
func (w *LogWriter) grow(piece []byte) {
	const most = 2 * wire.MaxLine
	for len(piece) > 0 {
		n := min(len(piece), most-len(w.partial))
		w.partial = append(w.partial, piece[:n]...)
		piece = piece[n:]
		if len(w.partial) == most {
			w.partial = append(w.partial[:wire.MaxLine], w.partial[most-wire.LineEnd:]...)
		}
	}
}

func (w *LogWriter) end() {
	if line := bytes.TrimSpace(w.partial); len(line) > 0 {
		w.store.AddLog(wire.DecodeLog(line, w.store.Now()))
	}
	w.partial = w.partial[:0]
}
