package service

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a writer that may stall or fail.
type pipe struct {
	held  chan struct{} // until closed, the writer takes nothing; nil if it does
	delay time.Duration
	err   error
	bytes.Buffer
	largest int // bytes of one write
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.held != nil {
		<-p.held
	}
	time.Sleep(p.delay)
	if p.err != nil {
		return 0, p.err
	}
	p.largest = max(p.largest, len(b))
	return p.Buffer.Write(b)
}

// line returns a log line with a number, 1,024 bytes long.
func line(n int) []byte { return fmt.Appendf(nil, "%1023d\n", n) }

// checkLines compares the written lines with those from 0 to n.
func checkLines(t *testing.T, p *pipe, n int) {
	t.Helper()
	var want strings.Builder
	for i := range n {
		want.Write(line(i))
	}
	if p.String() != want.String() {
		t.Errorf("%d bytes were written, want %d lines of 1024 bytes in their order", p.Len(), n)
	}
}

// Write returns before the line is written, and flush after all are.
func TestFlushWritesAllLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &pipe{delay: 10 * time.Millisecond}
		w := newLogWriter(to, "")
		w.flush() // nothing to write
		start := time.Now()
		const lines = maxPending / 1024
		for i := range lines {
			if n, err := w.Write(line(i)); n != 1024 || err != nil {
				t.Fatalf("wrote %d, %v, want 1024", n, err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("%d lines took %s, although they fit into the buffer", lines, took)
		}
		w.flush()
		checkLines(t, to, lines)
		if to.largest > chunk || to.largest < chunk/2 {
			t.Errorf("one write had %d bytes, want up to %d", to.largest, chunk)
		}
	})
}

// Lines wait for a slow writer, and none is lost.
func TestSlowWriterLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &pipe{delay: stalled - time.Millisecond}
		w := newLogWriter(to, "")
		const lines = 3 * maxPending / 1024
		for i := range lines {
			w.Write(line(i))
		}
		w.flush()
		checkLines(t, to, lines)
		if dropped, _ := w.lost(); dropped != 0 {
			t.Errorf("%d lines were dropped, want none", dropped)
		}
	})
}

// Requests never wait for an impatient writer: lines that do not fit are dropped.
func TestImpatientWriterDropsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &pipe{delay: time.Millisecond}
		w := newLogWriter(to, "")
		w.impatient = true
		start := time.Now()
		const fit = maxPending / 1024
		for i := range fit + 5 {
			w.Write(line(i))
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("the lines took %s, want no wait", took)
		}
		w.flush()
		checkLines(t, to, fit)
		if dropped, _ := w.lost(); dropped != 5 {
			t.Errorf("%d lines were dropped, want 5", dropped)
		}
	})
}

// A writer that takes nothing delays a request for one second at most. Lines that do
// not fit are dropped and counted. What waits is written when the writer continues.
func TestStalledWriterDropsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &pipe{held: make(chan struct{})}
		w := newLogWriter(to, "")
		start := time.Now()
		const fit = maxPending / 1024
		for i := range fit + 5 {
			w.Write(line(i))
		}
		if took := time.Since(start); took != stalled {
			t.Errorf("the lines took %s, want %s: only the first one over the limit waits", took, stalled)
		}
		if dropped, writable := w.lost(); dropped != 5 || writable {
			t.Errorf("%d lines dropped, writable %t; want 5, false", dropped, writable)
		}
		start = time.Now()
		w.flush()
		if took := time.Since(start); took > 0 {
			t.Errorf("flush waited %s for a stalled writer", took)
		}
		close(to.held)
		synctest.Wait()
		w.flush()
		checkLines(t, to, fit)
		if dropped, writable := w.lost(); dropped != 5 || !writable {
			t.Errorf("%d lines dropped, writable %t; want 5, true", dropped, writable)
		}
	})
}

// A writer that fails delays nobody. It may work again, like a disk that was full.
func TestFailingWriterDropsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &pipe{err: errors.New("broken pipe")}
		w := newLogWriter(to, "")
		for i := range 3 {
			w.Write(line(i))
		}
		w.flush()
		if dropped, writable := w.lost(); dropped != 3 || writable {
			t.Errorf("%d lines dropped, writable %t; want 3, false", dropped, writable)
		}
		to.err = nil
		w.Write(line(0))
		w.flush()
		checkLines(t, to, 1)
		if dropped, writable := w.lost(); dropped != 3 || !writable {
			t.Errorf("%d lines dropped, writable %t; want 3, true", dropped, writable)
		}
	})
}

func TestLinesAreNotSplit(t *testing.T) {
	for _, c := range []struct {
		lines string
		n     int
		want  string
	}{
		{"ab\ncd\n", 6, "ab\ncd\n"},
		{"ab\ncd\n", 5, "ab\n"},
		{"ab\ncd\n", 3, "ab\n"},
		{"abcd\nef\n", 3, "abcd\n"},
	} {
		if got := c.lines[:endOfLine([]byte(c.lines), c.n)]; got != c.want {
			t.Errorf("%d bytes of %q: %q, want %q", c.n, c.lines, got, c.want)
		}
	}
}
