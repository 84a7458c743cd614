package openloop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// clientFunc is a Client that is a function.
type clientFunc func(ctx context.Context) Exchange

func (f clientFunc) Do(ctx context.Context, _ string) Exchange { return f(ctx) }

// A run that was interrupted waits for outstanding answers until Config.Wait ends.
// Its requests are then failures.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		wait, giveUp := context.WithCancel(t.Context())
		silent := clientFunc(func(ctx context.Context) Exchange {
			select {
			case <-ctx.Done():
				return Exchange{Failure: "canceled"}
			case <-time.After(time.Hour):
				return Exchange{Status: 200}
			}
		})
		cfg := config(t, nil, 1, 0)
		cfg.Sender, cfg.Wait = Workers(silent, 1000, TimerClock{}), wait
		time.AfterFunc(2500*time.Millisecond, interrupt)
		time.AfterFunc(4500*time.Millisecond, giveUp)
		r := run(t, ctx, cfg)
		if r.Total.Arrivals != 3 || r.Total.Failures["canceled"] != 3 || r.Sending != 2500*time.Millisecond || r.Elapsed() != 4500*time.Millisecond {
			t.Errorf("%d due, %v, sending for %s in %s; want 3 canceled, 2.5s in 4.5s", r.Total.Arrivals, r.Total.Failures, r.Sending, r.Elapsed())
		}
	})
}
