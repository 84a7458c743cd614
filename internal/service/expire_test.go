package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/mocktracer"

	"apmapp/internal/failure"
	"apmapp/internal/testing/lockedbuffer"
)

// table is a table of visits. It records its calls.
type table struct {
	visits []time.Time // oldest first
	calls  []string
	err    error // of the next calls
}

func (b *table) DeleteBefore(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	for n < limit && n < len(b.visits) && b.visits[n].Before(before) {
		n++
	}
	b.visits = b.visits[n:]
	b.calls = append(b.calls, fmt.Sprintf("%d of at most %d", n, limit))
	if ctx.Err() != nil {
		return n, ctx.Err()
	}
	return n, b.err
}

// withSpans runs test in fake time. The tracer runs in real time: one of its
// goroutines polls, and its timers would move the fake clock between two runs of
// the job.
func withSpans(t *testing.T, test func(*testing.T, mocktracer.Tracer)) {
	spans := mocktracer.Start()
	defer spans.Stop()
	synctest.Test(t, func(t *testing.T) { test(t, spans) })
}

// runExpire runs the job: retention one hour, one run per minute. It returns the log.
func runExpire(t *testing.T, b *table, duration time.Duration) []map[string]any {
	t.Helper()
	var logs lockedbuffer.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	start := time.Now()
	cfg := Config{Retention: time.Hour, RetentionInterval: time.Minute}
	cfg.Telemetry.Service = "shop"
	expire(ctx, b, cfg, slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if got := time.Since(start); got != duration {
		t.Errorf("the job ended after %s, want when its context ended", got)
	}
	return logged(t, &logs)
}

func TestVisitsExpire(t *testing.T) {
	withSpans(t, func(t *testing.T, tracer mocktracer.Tracer) {
		b := &table{}
		old := time.Now().Add(-2 * time.Hour)
		for range 1000 {
			b.visits = append(b.visits, old)
		}
		// At the second run these two are just older than one hour, and exactly
		// one hour old.
		atSecondRun := time.Now().Add(2*time.Minute - time.Hour)
		b.visits = append(b.visits, atSecondRun.Add(-time.Nanosecond), atSecondRun)
		logs := runExpire(t, b, 2*time.Minute+time.Second)
		spans := tracer.FinishedSpans()
		want := []string{"500 of at most 500", "500 of at most 500", "0 of at most 500", "1 of at most 500"}
		if !slices.Equal(b.calls, want) {
			t.Errorf("statements deleted %q, want %q", b.calls, want)
		}
		if len(logs) != 2 || len(spans) != 2 {
			t.Fatalf("%d log lines and %d spans, want one per run", len(logs), len(spans))
		}
		for i, deleted := range []float64{1000, 1} {
			if l := logs[i]; l["level"] != "DEBUG" || l["msg"] != "delete expired visits" || l["visits.deleted"] != deleted {
				t.Errorf("run %d logged %v, want %v deleted at DEBUG", i+1, l, deleted)
			}
			if s := spans[i]; s.Tag("service.name") != "shop-jobs" || s.Tag("resource.name") != "delete expired visits" || s.Tag("visits.deleted") != deleted || s.Tag("error.message") != nil {
				t.Errorf("run %d has span %v", i+1, s)
			}
		}
	})
}

func TestFailedRunIsAnError(t *testing.T) {
	withSpans(t, func(t *testing.T, tracer mocktracer.Tracer) {
		b := &table{visits: make([]time.Time, 3), err: failure.New("delete", errors.New("the disk is full"))}
		logs := runExpire(t, b, 2*time.Minute+time.Second)
		spans := tracer.FinishedSpans()
		if len(logs) != 2 || len(spans) != 2 {
			t.Fatalf("%d log lines and %d spans, want one per run: the job continues after an error", len(logs), len(spans))
		}
		l := logs[0]
		if l["level"] != "ERROR" || l["msg"] != "delete expired visits" || l["visits.deleted"] != 3.0 ||
			l["error.kind"] != "*errors.errorString" || l["error.message"] != "delete: the disk is full" || !strings.Contains(fmt.Sprint(l["error.stack"]), "expire_test.go") {
			t.Errorf("logged %v", l)
		}
		if s := spans[0]; s.Tag("error.message") != "delete: the disk is full" || s.Tag("visits.deleted") != 3.0 {
			t.Errorf("span %v", s)
		}
	})
}

// A run that the service's stop interrupts is not an error: the next start
// continues.
func TestInterruptedRunIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spans := mocktracer.Start()
	defer spans.Stop()
	var logs lockedbuffer.Buffer
	expireOnce(ctx, &table{}, Config{}, slog.New(slog.NewJSONHandler(&logs, nil)))
	finished := spans.FinishedSpans()
	if len(finished) != 1 || finished[0].Tag("error.message") != nil || logs.String() != "" {
		t.Errorf("spans %v, logged %q, want one span without an error", finished, logs.String())
	}
}
