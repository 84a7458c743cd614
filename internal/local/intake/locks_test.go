package intake

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"apmapp/internal/local/store"
)

// TestLogWriterOfTwoPrograms: lines of concurrent writers are not lost or mixed.
func TestLogWriterOfTwoPrograms(t *testing.T) {
	s := store.New(0)
	w := NewLogWriter(s)
	var writers sync.WaitGroup
	for _, line := range []string{"first\n", "second\n"} {
		writers.Go(func() {
			for range 500 {
				_, _ = w.Write([]byte(line)) // never fails
			}
		})
	}
	writers.Wait()
	for _, text := range []string{"first", "second"} {
		if _, n := s.Logs(store.LogFilter{Text: text}); n != 500 {
			t.Errorf("%d lines %q, want 500", n, text)
		}
	}
}

// failing is a writer that fails after its first line.
type failing struct{ bytes.Buffer }

func (f *failing) Write(p []byte) (int, error) {
	if f.Len() > 0 {
		return 0, fmt.Errorf("disk full")
	}
	return f.Buffer.Write(p)
}

// TestRecorder: concurrent events are one line each. After an error nothing more is
// written, and Err returns it.
func TestRecorder(t *testing.T) {
	hear := func(r *Recorder) {
		var taps sync.WaitGroup
		for range 2 {
			taps.Go(func() {
				for range 100 {
					r.Hear(Event{Kind: Packet, Body: []byte("a:1|c")})
					_ = r.Err()
				}
			})
		}
		taps.Wait()
	}
	var out bytes.Buffer
	r := NewRecorder(&out)
	hear(r)
	if n := strings.Count(out.String(), `"kind":"packet"`); n != 200 || n != strings.Count(out.String(), "\n") || r.Err() != nil {
		t.Errorf("%d events in %d lines, want 200; %v", n, strings.Count(out.String(), "\n"), r.Err())
	}
	var full failing
	r = NewRecorder(&full)
	hear(r)
	if n := strings.Count(full.String(), "\n"); n != 1 || r.Err() == nil || r.Err().Error() != "disk full" {
		t.Errorf("%d lines and %v, want 1 and disk full", n, r.Err())
	}
}
