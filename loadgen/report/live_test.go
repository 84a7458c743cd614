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
	for _, test := range []struct {
		name     string
		snapshot openloop.Snapshot
		want     string
	}{
		{"before its start", openloop.Snapshot{Response: durations(0, 1)}, "0s  0/s  0 in flight  p50 0s  p99 0s  0 failed"},
		{"in progress", openloop.Snapshot{Elapsed: 90*time.Second + 400*time.Millisecond, InFlight: 1000, Completed: 1808, Failed: 1200, Response: durations(100, time.Millisecond)},
			"1m30s  20.0/s  1,000 in flight  p50 50.0ms  p99 99.0ms  1,200 failed"},
		{"with drops", openloop.Snapshot{Elapsed: time.Second, Completed: 5, Dropped: 1, Response: durations(1, time.Millisecond)},
			"1s  5.00/s  0 in flight  p50 1.00ms  p99 1.00ms  0 failed  1 dropped"},
	} {
		if got := line(test.snapshot); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w lockedbuffer.Buffer
		start := time.Now()
		stop := Watch(&w, func() openloop.Snapshot {
			return openloop.Snapshot{Elapsed: time.Since(start), Response: durations(0, 1)}
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

func TestTerminal(t *testing.T) {
	stdout, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system has no terminal to open: ", err)
	}
	defer stdout.Close()
	stderr, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		name                 string
		stdout, stderr, want io.Writer
	}{
		{"two terminals", stdout, stderr, stderr},
		{"output to a file", file, stderr, io.Discard},
		{"errors to a file", stdout, file, io.Discard},
		{"output to a buffer", &bytes.Buffer{}, stderr, io.Discard},
		{"errors to a buffer", stdout, &bytes.Buffer{}, io.Discard},
	} {
		if got := Terminal(test.stdout, test.stderr); got != test.want {
			t.Errorf("%s: the live line goes to %v, want %v", test.name, got, test.want)
		}
	}
}

func TestNothingToWatch(t *testing.T) {
	Watch(io.Discard, func() openloop.Snapshot {
		t.Error("a snapshot is taken, but not shown")
		return openloop.Snapshot{}
	})()
}
