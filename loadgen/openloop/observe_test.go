package openloop

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Observe receives the requests that the result counts: none of the warm-up, none that
// was dropped. What failed is what the result counts as failed.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		statuses := []int{200, 304, 404, 500}
		s := &server{answer: func(at time.Time) Exchange {
			time.Sleep(1300 * time.Millisecond)
			i := int(at.Sub(start) / time.Second)
			if i == 9 {
				return Exchange{Status: 200, Failure: "closed"}
			}
			return Exchange{Status: statuses[i%4]}
		}}
		cfg := config(t, s, 2, 10*time.Second)
		cfg.Warmup, cfg.Expect, cfg.MaxInFlight = 3*time.Second, Expect{{200, 399}}, 2
		var mu sync.Mutex
		var observed, failed int64
		cfg.Observe = func(r Request, sent, end time.Time, x Exchange, isFailure bool) {
			mu.Lock()
			defer mu.Unlock()
			observed++
			if isFailure {
				failed++
			}
			if r.Due.Sub(start) < 3*time.Second || end.Sub(sent) != 1300*time.Millisecond {
				t.Errorf("observed a request due at %s that took %s", r.Due.Sub(start), end.Sub(sent))
			}
			if want := x.Failure != "" || x.Status >= 400; isFailure != want {
				t.Errorf("%+v failed: %t", x, isFailure)
			}
		}
		r := run(t, t.Context(), cfg)
		if r.Total.Dropped == 0 || r.Total.Failures["closed"] == 0 || r.Total.Unexpected == 0 {
			t.Fatalf("nothing dropped, closed or unexpected: %+v", r.Total)
		}
		if observed != r.Total.Completed() || failed != r.Total.Failed() {
			t.Errorf("observed %d requests, %d of them failed; the result counts %d and %d", observed, failed, r.Total.Completed(), r.Total.Failed())
		}
	})
}
