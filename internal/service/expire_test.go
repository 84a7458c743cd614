package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// table is a table of visits, by their age's instant.
type table struct {
	visits []time.Time
	calls  []time.Time
	fail   error
}

func (b *table) DeleteBefore(ctx context.Context, before time.Time, limit int) (int, error) {
	b.calls = append(b.calls, time.Now())
	if b.fail != nil {
		return 0, b.fail
	}
	n := 0
	for n < limit && n < len(b.visits) && b.visits[n].Before(before) {
		n++
	}
	b.visits = b.visits[n:]
	return n, ctx.Err()
}

func TestVisitsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := &table{}
		// Two batches and a half are past their retention of an hour when the
		// job first runs; then one a minute.
		for i := range batch*5/2 + 10 {
			b.visits = append(b.visits, start.Add(-time.Hour).Add(time.Duration(max(0, i-batch*5/2)+1)*time.Minute-time.Second))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+time.Second)
		defer cancel()
		cfg := Config{Retention: time.Hour, RetentionInterval: time.Minute}
		expire(ctx, b, cfg, slog.New(slog.DiscardHandler))
		if len(b.visits) != 7 {
			t.Errorf("%d visits are left after three runs, want 7", len(b.visits))
		}
		var at []time.Duration
		for _, call := range b.calls {
			at = append(at, call.Sub(start))
		}
		if len(at) != 5 || at[0] != time.Minute || at[2] != time.Minute || at[3] != 2*time.Minute || at[4] != 3*time.Minute {
			t.Errorf("statements at %v, want three at 1m, then one a minute", at)
		}
		if time.Since(start) != 3*time.Minute+time.Second {
			t.Errorf("ended after %s", time.Since(start))
		}
	})
}

func TestFailedExpiryIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Second)
		defer cancel()
		b := &table{fail: errors.New("the disk is full")}
		expire(ctx, b, Config{Retention: time.Hour, RetentionInterval: time.Minute}, slog.New(slog.NewJSONHandler(&logs, nil)))
		if n := strings.Count(logs.String(), `"level":"ERROR"`); n != 2 || !strings.Contains(logs.String(), `"error.message":"the disk is full"`) {
			t.Errorf("two runs failed, logged:\n%s", &logs)
		}
	})
}

func TestValidateNamesFlags(t *testing.T) {
	err := Config{DrainDelay: -1}.Validate()
	for _, flag := range []string{"dsn", "pool-size", "max-concurrent", "request-timeout", "ready-timeout", "drain-timeout", "drain-delay", "retention", "retention-interval"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+flag+": ") {
			t.Errorf("%s is not named: %v", flag, err)
		}
	}
}
