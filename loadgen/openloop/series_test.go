package openloop

import (
	"testing"
	"testing/synctest"
	"time"
)

type sums struct{ arrivals, dropped, failed, served, responses int64 }

// none is a schedule that asks for nothing.
func none(time.Duration) float64 { return 0 }

// sum adds up the intervals of a series.
func sum(t *testing.T, s Series) (all sums) {
	t.Helper()
	for _, i := range s.Intervals {
		h := newSummaryHistogram()
		if err := i.Response.addTo(h); err != nil {
			t.Fatal(err)
		}
		all.arrivals += i.Arrivals
		all.dropped += i.Dropped
		all.failed += i.Failed
		all.served += i.Served
		all.responses += h.TotalCount()
	}
	return all
}

// The server stalls for two seconds. The requests that were due during the stall
// waited; those of the other seconds did not. The stall starts and ends between
// two arrivals, so it is certain which requests are sent.
func TestSeriesShowsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cfg := config(t, &server{answer: func(at time.Time) Exchange {
			if since := at.Sub(start); since >= 2995*time.Millisecond && since < 4995*time.Millisecond {
				time.Sleep(4995*time.Millisecond - since)
				return Exchange{Status: 503}
			}
			time.Sleep(time.Millisecond)
			return Exchange{Status: 200}
		}}, 100, 8*time.Second)
		cfg.MaxInFlight = 150 // of the 200 that arrive during the stall
		r := run(t, t.Context(), cfg)
		s := read(t, r).Series
		if s.Length != time.Second || len(s.Intervals) != 8 {
			t.Fatalf("%d intervals of %s", len(s.Intervals), s.Length)
		}
		for i, want := range []struct{ dropped, failed, served int64 }{
			{0, 0, 100}, {0, 0, 100}, {0, 0, 100}, {0, 100, 0}, {50, 50, 0}, {0, 0, 100}, {0, 0, 100}, {0, 0, 100},
		} {
			got := s.Intervals[i]
			if got.Arrivals != 100 || got.Dropped != want.dropped || got.Failed != want.failed || got.Served != want.served {
				t.Errorf("second %d: %+v, want %+v", i, got, want)
			}
		}
		stall, before := s.Intervals[3].Response, s.Intervals[2].Response
		near(t, "p50 of the stall", stall.P50, 1500*time.Millisecond, 0.02)
		near(t, "p99 of the stall", stall.P99, 1985*time.Millisecond, 0.01)
		if stall.Max != 1995*time.Millisecond || before.Max != time.Millisecond {
			t.Errorf("longest %s in the stall, %s before it, want 1.995s, 1ms", stall.Max, before.Max)
		}
		// A quantile of a histogram is the upper end of its bucket, but no more
		// than the longest duration.
		if before.P50 != time.Millisecond || before.P99 != time.Millisecond {
			t.Errorf("p50 %s, p99 %s before the stall, want 1ms", before.P50, before.P99)
		}
		if got := sum(t, s); got.responses != r.Total.Completed() {
			t.Errorf("%d response times, want %d", got.responses, r.Total.Completed())
		}
	})
}

// A run with more seconds than a series has intervals.
func TestLongRunsHaveLongerIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: func(at time.Time) Exchange {
			time.Sleep(3500 * time.Millisecond)
			if at.Unix()%8 == 4 {
				return Exchange{Status: 500}
			}
			return Exchange{Status: 200}
		}}, 0.25, 2*time.Hour)
		r := run(t, t.Context(), cfg)
		// 7,200 s, in steps of 1, 2, 4 and then 8 s.
		if r.Series.Length != 8*time.Second || len(r.Series.Intervals) != 900 {
			t.Errorf("%d intervals of %s", len(r.Series.Intervals), r.Series.Length)
		}
		if got, want := sum(t, r.Series), (sums{arrivals: 1800, failed: 900, served: 900, responses: 1800}); got != want {
			t.Errorf("the series counts %+v, want %+v", got, want)
		}
		for i, interval := range r.Series.Intervals {
			if interval.Arrivals != 2 || interval.Failed != 1 || interval.Response.Max != 3500*time.Millisecond {
				t.Fatalf("interval %d: %+v", i, interval)
			}
		}
	})
}

// Intervals become longer at the first time that they do not cover: after 1,200 s,
// and not before.
func TestIntervalsDoubleAtTheirLimit(t *testing.T) {
	r := newRecorder()
	for _, test := range []struct {
		offset, length time.Duration
		want           int
	}{
		{-time.Millisecond, time.Second, 0}, // sent before its time by a clock that is not exact
		{1200*time.Second - 1, time.Second, 1199},
		{1200 * time.Second, 2 * time.Second, 600},
		{4800 * time.Second, 8 * time.Second, 600},
	} {
		if got := r.at(test.offset); got != test.want || r.series.Length != test.length || len(r.series.Intervals) <= got {
			t.Errorf("%s: interval %d of %d, %s long; want %d, %s long", test.offset, got, len(r.series.Intervals), r.series.Length, test.want, test.length)
		}
	}
}

// A histogram takes 24 KB, so a run reuses those of finished intervals.
func TestHistogramsOfFinishedIntervalsAreReused(t *testing.T) {
	r := newRecorder()
	for i := range 100 {
		at := time.Duration(i) * time.Second
		for _, o := range r.arrive(at, true) {
			r.store(o, summarize(o.histogram, o.longest))
		}
		r.done(at, time.Millisecond, false)
		if len(r.open)+len(r.spare) != 2 {
			t.Fatalf("after %s: %d histograms in use, %d spare, want 2 in all", at, len(r.open), len(r.spare))
		}
	}
	if got := sum(t, r.result(100*time.Second, none)); got.responses != 100 {
		t.Errorf("%d response times, want 100", got.responses)
	}
}

// An interval stays open while one of its requests is in flight.
func TestIntervalWithARequestInFlightStaysOpen(t *testing.T) {
	r := newRecorder()
	r.arrive(0, true)
	r.arrive(100*time.Millisecond, true)
	r.done(100*time.Millisecond, time.Millisecond, false)
	for i := 1; i < 4; i++ {
		at := time.Duration(i) * time.Second
		if i == 3 {
			r.done(0, 2500*time.Millisecond, false)
		}
		ended := r.arrive(at, true)
		if want := map[int]int{1: 0, 2: 1, 3: 2}[i]; len(ended) != want {
			t.Fatalf("at %s: %d intervals ended, want %d", at, len(ended), want)
		}
		r.done(at, time.Millisecond, false)
	}
}

// While intervals are coarsened, requests of several of them are in flight, and
// one that ended before is being summarized.
func TestRequestsInFlightWhileIntervalsDouble(t *testing.T) {
	r := newRecorder()
	due := []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second}
	var ended []*openInterval
	for i, at := range due {
		ended = append(ended, r.arrive(at, true)...)
		if i < 2 {
			r.done(at, time.Duration(i+1)*time.Millisecond, false)
		}
	}
	if len(ended) != 1 {
		t.Fatalf("%d intervals ended, want the first", len(ended))
	}
	summary := summarize(ended[0].histogram, ended[0].longest)
	r.at(1200 * time.Second)
	r.done(due[2], 5*time.Millisecond, true)
	r.store(ended[0], summary)
	r.done(due[3], 2*time.Second, false)
	r.done(due[4], time.Millisecond, false)
	s := r.result(1201*time.Second, none)
	for i, want := range []struct {
		arrivals, failed, responses int64
		longest                     time.Duration
	}{{3, 1, 3, 5 * time.Millisecond}, {2, 0, 2, 2 * time.Second}} {
		got := s.Intervals[i]
		h := newSummaryHistogram()
		if err := got.Response.addTo(h); err != nil {
			t.Fatal(err)
		}
		if got.Arrivals != want.arrivals || got.Failed != want.failed || h.TotalCount() != want.responses || got.Response.Max != want.longest {
			t.Errorf("interval %d: %+v with %d response times, want %+v", i, got, h.TotalCount(), want)
		}
	}
}
