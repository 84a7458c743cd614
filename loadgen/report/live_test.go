package report

import (
	"bytes"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/loadgen/openloop"
)

func TestLine(t *testing.T) {
	running := openloop.Snapshot{Sending: 90*time.Second + 400*time.Millisecond, InFlight: 1000, Completed: 3008, Achieved: 1808, Failed: 1200, Dropped: 1,
		Response: durations(100, time.Millisecond)}
	waiting := running
	waiting.Waiting = 3 * time.Second
	for _, test := range []struct {
		name     string
		snapshot openloop.Snapshot
		columns  int
		want     string
	}{
		{"at its start", openloop.Snapshot{Response: durations(0, 1)}, 0, "0s  0/s  0 in flight  p50 0s  p99 0s  0 failed"},
		// Failures are no throughput.
		{"in progress", running, 0, "1m30s  20.0/s  1,000 in flight  p50 50.0ms  p99 99.0ms  1,200 failed  1 dropped"},
		{"without drops", openloop.Snapshot{Sending: time.Second, Achieved: 5, Completed: 5, Response: durations(1, time.Millisecond)}, 0,
			"1s  5.00/s  0 in flight  p50 1.00ms  p99 1.00ms  0 failed"},
		{"only failures", openloop.Snapshot{Sending: 2 * time.Second, Completed: 40, Failed: 40, Response: durations(40, time.Millisecond)}, 0,
			"2s  0/s  0 in flight  p50 20.0ms  p99 40.0ms  40 failed"},
		{"before its start", openloop.Snapshot{StartsIn: 61*time.Second + 1, Response: durations(0, 1)}, 0, "starts in 1m2s"},
		{"just before its start", openloop.Snapshot{StartsIn: 1, Response: durations(0, 1)}, 0, "starts in 1s"},
		{"warm-up", openloop.Snapshot{WarmUp: 8 * time.Second, InFlight: 3, Response: durations(0, 1)}, 0, "warm-up, 8s left  3 in flight"},
		{"after its end", waiting, 0, "1m30s  20.0/s  waiting for 1,000 in flight  p50 50.0ms  p99 99.0ms  1,200 failed  1 dropped"},
		{"just fits", running, 80, "1m30s  20.0/s  1,000 in flight  p50 50.0ms  p99 99.0ms  1,200 failed  1 dropped"},
		{"one column less", running, 79, "1m30s  20.0/s  1,000 in flight  p99 99.0ms  1,200 failed  1 dropped"},
		{"60 columns", running, 60, "1m30s  20.0/s  p99 99.0ms  1,200 failed  1 dropped"},
		{"40 columns", running, 40, "1m30s  20.0/s  p99 99.0ms  1,200 failed"},
		{"20 columns", running, 20, "1m30s  20.0/s"},
		{"5 columns", running, 5, "1m30"},
		{"1 column", running, 1, ""},
		{"after its end in 44 columns", waiting, 44, "1m30s  20.0/s  waiting for 1,000 in flight"},
	} {
		if got := line(test.snapshot, test.columns); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w lockedbuffer.Buffer
		start := time.Now()
		stop := Watch(&w, func() openloop.Snapshot {
			return openloop.Snapshot{Sending: time.Since(start), Response: durations(0, 1)}
		})
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		stop()
		const erase, rest = "\r\x1b[K", "  0/s  0 in flight  p50 0s  p99 0s  0 failed"
		if got, want := w.String(), erase+"1s"+rest+erase+"2s"+rest+erase; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// openTerminal opens a terminal of the given width.
func openTerminal(t *testing.T, columns uint16) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system has no terminal to open: ", err)
	}
	t.Cleanup(func() { f.Close() })
	if err := setWidth(f, columns); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTerminal(t *testing.T) {
	terminal := openTerminal(t, 80)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		name         string
		stderr, want io.Writer
	}{
		{"a terminal", terminal, terminal},
		{"a file", file, io.Discard},
		{"a buffer", &bytes.Buffer{}, io.Discard},
	} {
		if got := Terminal(test.stderr); got != test.want {
			t.Errorf("%s: the live line goes to %v, want %v", test.name, got, test.want)
		}
	}
}

// The width may change during a run.
func TestWidth(t *testing.T) {
	terminal := openTerminal(t, 43)
	if got := width(terminal); got != 43 {
		t.Errorf("%d columns, want 43", got)
	}
	if err := setWidth(terminal, 20); err != nil {
		t.Fatal(err)
	}
	if got := width(terminal); got != 20 {
		t.Errorf("%d columns, want 20", got)
	}
	if got := width(&bytes.Buffer{}); got != 0 {
		t.Errorf("a buffer has %d columns", got)
	}
}

func TestNothingToWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := Watch(io.Discard, func() openloop.Snapshot {
			t.Error("a snapshot is taken, but not shown")
			return openloop.Snapshot{}
		})
		time.Sleep(2 * time.Second)
		stop()
	})
}
