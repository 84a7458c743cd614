package service

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/internal/telemetry"
	"apmapp/internal/testing/lockedbuffer"
)

// reports runs a reporter in fake time, without metrics, and returns the numbers of
// its log lines.
func reports(t *testing.T, key string, during func(*reporter)) []float64 {
	var numbers []float64
	synctest.Test(t, func(t *testing.T) {
		var logs lockedbuffer.Buffer
		r := newReporter(slog.New(slog.NewJSONHandler(&logs, nil)), logWriters{newLogWriter(io.Discard, "a"), newLogWriter(io.Discard, "b")})
		r.metrics = telemetry.NoMetrics()
		stop := start(t.Context(), r.run)
		during(r)
		stop()
		for _, l := range logged(t, &logs) {
			if l["level"] != "WARN" {
				t.Errorf("level %v, want WARN", l["level"])
			}
			numbers = append(numbers, l[key].(float64))
		}
	})
	return numbers
}

// Refused requests are one line per second. The last line is written at the end, so
// the sum is exact.
func TestRefusedRequestsAreReported(t *testing.T) {
	got := reports(t, "requests.refused", func(r *reporter) {
		time.Sleep(2*reportInterval + reportInterval/2 + time.Millisecond)
		for range 300 {
			r.refused.Add(1)
			time.Sleep(10 * time.Millisecond)
		}
	})
	if want := []float64{50, 100, 100, 50}; !slices.Equal(got, want) {
		t.Errorf("logged %v, want %v", got, want)
	}
}

// Dropped lines are reported when a line can be written again.
func TestDroppedLinesAreReported(t *testing.T) {
	got := reports(t, "logs.dropped", func(r *reporter) {
		r.logs[1].mu.Lock()
		r.logs[1].dropped, r.logs[1].failed = 3, true
		r.logs[1].mu.Unlock()
		time.Sleep(3 * reportInterval)
		r.logs[1].mu.Lock()
		r.logs[1].dropped, r.logs[1].failed = 4, false
		r.logs[1].mu.Unlock()
		time.Sleep(3 * reportInterval)
	})
	if want := []float64{4}; !slices.Equal(got, want) {
		t.Errorf("logged %v, want %v", got, want)
	}
}

// Both counts are metrics, too. The sums are exact, also if no line can be written.
func TestCountsAreMetrics(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	t.Setenv("DD_DOGSTATSD_URL", packets.LocalAddr().String())
	logger := slog.New(slog.DiscardHandler)
	r := newReporter(logger, logWriters{newLogWriter(io.Discard, "a"), newLogWriter(io.Discard, "b")})
	r.metrics = telemetry.StartMetrics(telemetry.Config{Service: "shop", Env: "test", Version: "7"}, logger)
	r.refused.Add(5)
	r.logs[0].dropped, r.logs[0].failed = 2, true
	r.logs[1].dropped = 3
	r.report(context.Background())
	r.refused.Add(6)
	r.report(context.Background())
	r.metrics.Stop()
	var sent strings.Builder
	buf := make([]byte, 1<<16)
	for strings.Count(sent.String(), "|c|") < 2 {
		n, _, err := packets.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		sent.Write(buf[:n])
	}
	for _, want := range []string{"apmapp.requests.refused:11|c|#", "apmapp.logs.dropped:5|c|#", "service:shop", "env:test", "version:7"} {
		if !strings.Contains(sent.String(), want) {
			t.Errorf("sent\n%swant %s", &sent, want)
		}
	}
}
