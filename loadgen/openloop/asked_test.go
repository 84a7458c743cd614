package openloop

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"
)

// The requests that a profile asks for until an arrival are the arrival's number.
func TestRequestsIsTheInverseOfInstant(t *testing.T) {
	for _, p := range []Profile{
		Constant(333.3),
		Pieces{{20, 20, time.Second}, {100, 400, 3 * time.Second}, {0, 0, time.Second}, {500, 0, 2 * time.Second}, {50, 50, time.Second}},
	} {
		check := func(n uint16) bool {
			at := p.Instant(float64(n))
			return math.Abs(p.Requests(at)-float64(n)) < 1e-5
		}
		if err := quick.Check(check, &quick.Config{MaxCount: 2000}); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	ps := Pieces{{0, 100, 10 * time.Second}, {20, 20, time.Second}}
	for at, want := range map[time.Duration]float64{
		0: 0, time.Second: 5, 5 * time.Second: 125, 10 * time.Second: 500, 10500 * time.Millisecond: 510,
		11 * time.Second: 520, 21 * time.Second: 720, // continues at the last rate
	} {
		if got := ps.Requests(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("until %s: %v, want %v", at, got, want)
		}
	}
	s := Schedule{Profile: ps, Arrivals: Regular, Shard: 2, Shards: 4}
	for at, want := range map[time.Duration]float64{-time.Second: 0, 10 * time.Second: 125, time.Hour: 130} {
		if got := s.Requests(at); got != want {
			t.Errorf("a shard until %s: %v, want %v", at, got, want)
		}
	}
}

// askedRates returns the rates of the schedule over time.
func askedRates(r *Result) (rates []float64) {
	for _, p := range r.Points() {
		rates = append(rates, math.Round(p.Asked*1e6)/1e6)
	}
	return rates
}

// 40 requests per second are asked for in each interval, also in the last one of 10 ms,
// which has one arrival.
func TestAskedIsTheIntegralOfTheSchedule(t *testing.T) {
	const forty = "[40 40 40 40 40]"
	whole := Schedule{Profile: Constant(40), Arrivals: Regular, Duration: 5010 * time.Millisecond}
	with := func(change func(*Schedule)) Schedule {
		s := whole
		change(&s)
		return s
	}
	for _, test := range []struct {
		name      string
		schedule  Schedule
		interrupt time.Duration
		rate      float64
		points    string
		scheduled float64
	}{
		{"regular", whole, 0, 40, forty, 200.4},
		{"poisson", with(func(s *Schedule) { s.Arrivals, s.Seed = Poisson, 1 }), 0, 40, forty, 200.4},
		{"shard", with(func(s *Schedule) { s.Shard, s.Shards = 1, 2 }), 0, 20, "[20 20 20 20 20]", 100.2},
		{"interrupted", with(func(s *Schedule) { s.Duration = 0 }), 3013 * time.Millisecond, 40, "[40 40 40]", 120.52},
		{"half an interval is enough", with(func(s *Schedule) { s.Duration = 2500 * time.Millisecond }), 0, 40, "[40 40 40]", 100},
		{"shorter than an interval", with(func(s *Schedule) { s.Duration = 10 * time.Millisecond }), 0, 40, "[40]", 0.4},
		{"ramp", Schedule{Profile: Pieces{{0, 100, 4 * time.Second}}, Arrivals: Regular}, 0, 50, "[12.5 37.5 62.5 87.5]", 200},
		{"pause at its end", Schedule{Profile: Pieces{{10, 10, time.Second}, {0, 0, 3 * time.Second}}, Arrivals: Regular}, 0, 2.5, "[10 0 0 0]", 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.interrupt > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.interrupt)
					defer cancel()
				}
				cfg := config(t, &server{answer: after(time.Millisecond)}, 1, 0)
				cfg.Schedule = test.schedule
				r := read(t, run(t, ctx, cfg))
				if math.Abs(r.AskedRate()-test.rate) > 1e-9 || math.Abs(r.Scheduled-test.scheduled) > 1e-6 {
					t.Errorf("asked for %v at %v/s, want %v at %v/s", r.Scheduled, r.AskedRate(), test.scheduled, test.rate)
				}
				if got := fmt.Sprint(askedRates(r)); got != test.points {
					t.Errorf("over time %s, want %s", got, test.points)
				}
			})
		})
	}
}

// Intervals that were merged into longer ones ask for as much.
func TestAskedOfALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, t.Context(), config(t, &server{answer: after(time.Millisecond)}, 0.01, 3001*time.Second))
		rates := askedRates(r)
		if r.Series.Length != 4*time.Second || len(rates) != 750 {
			t.Errorf("%d rates of %s each, want 750 of 4 s", len(rates), r.Series.Length)
		}
		for i, got := range rates {
			if got != 0.01 {
				t.Fatalf("point %d: %v/s, want 0.01/s", i, got)
			}
		}
	})
	// So do those of merged runs that need longer intervals.
	a, b := emptyResult(3, time.Second), emptyResult(1200, time.Second)
	b.Start = b.Start.Add(2 * time.Second)
	for _, r := range []*Result{a, b} {
		for i := range r.Series.Intervals {
			r.Series.Intervals[i].Scheduled = 40
		}
	}
	m, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	rates := askedRates(m)
	if m.Series.Length != 2*time.Second || len(rates) != 601 || fmt.Sprint(rates[:3]) != "[40 60 40]" || rates[600] != 40 {
		t.Errorf("%d rates of %s each: %v…", len(rates), m.Series.Length, rates[:3])
	}
}

// Runs of 40/s merge into one whose rates are their sum while both send.
func TestAskedOfMergedRuns(t *testing.T) {
	for _, test := range []struct {
		name      string
		late      time.Duration
		a, b      time.Duration // lengths
		want      string
		scheduled float64
	}{
		{"together", 0, 5010 * time.Millisecond, 5010 * time.Millisecond, "[80 80 80 80 80]", 400.8},
		{"one is longer", 0, 5 * time.Second, 3010 * time.Millisecond, "[80 80 80 40.4 40]", 320.4},
		{"in the middle of an interval", 1500 * time.Millisecond, 3 * time.Second, 3 * time.Second, "[40 60 80 40 40]", 240},
		{"one after the other", 4 * time.Second, 2 * time.Second, 1010 * time.Millisecond, "[40 40 0 0 40]", 120.4},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				results := make([]*Result, 2)
				start := time.Now().Add(time.Second)
				var both sync.WaitGroup
				for i, length := range []time.Duration{test.a, test.b} {
					both.Go(func() {
						cfg := config(t, &server{answer: after(time.Millisecond)}, 40, length)
						cfg.Start = start.Add(time.Duration(i) * test.late)
						results[i] = run(t, t.Context(), cfg)
					})
				}
				both.Wait()
				m, err := Merge(read(t, results[0]), read(t, results[1]))
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(askedRates(m)); got != test.want {
					t.Errorf("over time %s, want %s", got, test.want)
				}
				sum := 0.0
				for _, i := range m.Series.Intervals {
					sum += i.Scheduled
				}
				if math.Abs(sum-test.scheduled) > 1e-6 || math.Abs(m.Scheduled-test.scheduled) > 1e-6 {
					t.Errorf("%v requests in the series, %v in all, want %v", sum, m.Scheduled, test.scheduled)
				}
				if err := m.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// One request in a rest of 10 ms makes no spike of any rate.
func TestShortRestsMakeNoSpike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answer: func(at time.Time) Exchange {
			time.Sleep(time.Millisecond)
			if at.Sub(start) >= 4*time.Second {
				return Exchange{Status: 500}
			}
			return Exchange{Status: 200}
		}}
		cfg := config(t, s, 40, 5010*time.Millisecond)
		r := run(t, t.Context(), cfg)
		points := r.Points()
		if len(points) != 5 || len(r.Series.Intervals) != 6 {
			t.Fatalf("%d points of %d intervals, want 5 of 6", len(points), len(r.Series.Intervals))
		}
		last := points[4]
		if math.Abs(last.Failed-41/1.01) > 1e-9 || last.Achieved != 0 || last.Start != 4*time.Second || last.Sending != 1010*time.Millisecond {
			t.Errorf("%+v", last)
		}
		if before := points[3]; before.Achieved != 40 || before.Failed != 0 {
			t.Errorf("%+v", before)
		}
		if h := newSummaryHistogram(); last.Response.addTo(h) != nil || h.TotalCount() != 41 {
			t.Errorf("%d response times, want 41", h.TotalCount())
		}
	})
}

// While a run waits for its last answers, nothing is asked for.
func TestPointsOfTheWaitForTheLastAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answer: func(at time.Time) Exchange {
			wait := time.Millisecond
			if at.Sub(start) >= 2*time.Second { // one request
				wait = 3700 * time.Millisecond
			}
			time.Sleep(wait)
			return Exchange{Status: 200}
		}}
		r := run(t, t.Context(), config(t, s, 40, 2010*time.Millisecond))
		if r.Sending != 2010*time.Millisecond || r.Waiting != 3690*time.Millisecond || r.Elapsed() != 5700*time.Millisecond {
			t.Errorf("sent for %s, waited for %s", r.Sending, r.Waiting)
		}
		points := r.Points()
		if len(points) != 6 {
			t.Fatalf("%d points, want 6", len(points))
		}
		for i, p := range points {
			sending, asked, achieved := time.Second, 40.0, 40.0
			switch i {
			case 1:
				sending = 1010 * time.Millisecond
			case 2, 3, 4:
				sending, asked, achieved = 0, 0, 0
			case 5:
				sending, asked, achieved = 0, 0, 1/0.7
			}
			if p.Sending != sending || math.Abs(p.Asked-asked) > 1e-9 || math.Abs(p.Achieved-achieved) > 1e-9 {
				t.Errorf("point %d: %+v, want %v asked, %v achieved in %s", i, p, asked, achieved, sending)
			}
		}
	})
}

// A target serves 20 requests per second. That one of them never gets an answer does
// not change their rate.
func TestAHangingRequestDoesNotLowerTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answer: func(at time.Time) Exchange {
			if at.Sub(start) == 2450*time.Millisecond {
				time.Sleep(10 * time.Second)
				return Exchange{Failure: "timeout"}
			}
			time.Sleep(time.Millisecond)
			return Exchange{Status: 200}
		}}
		r := read(t, run(t, t.Context(), config(t, s, 20, 5*time.Second)))
		if r.AskedRate() != 20 || r.AchievedRate() != 99.0/5 {
			t.Errorf("%v/s asked, %v/s achieved, want 20 and 19.8", r.AskedRate(), r.AchievedRate())
		}
		// The hanging request ended at 12.45 s.
		if r.Sending != 5*time.Second || r.Waiting != 7450*time.Millisecond {
			t.Errorf("sent for %s, waited for %s, want 5s and 7.45s", r.Sending, r.Waiting)
		}
	})
}

// An answer at the very end of the schedule counts, and none after it. An interrupt
// ends the schedule too.
func TestAchievedEndsWithTheSchedule(t *testing.T) {
	for _, test := range []struct {
		service, interrupt time.Duration
		want               int64
	}{
		{1500 * time.Millisecond, 0, 2}, // due at 0 s and 1 s, ended at 1.5 s and 2.5 s
		{1500*time.Millisecond + 1, 0, 1},
		{100 * time.Millisecond, 1050 * time.Millisecond, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if test.interrupt > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.interrupt)
				defer cancel()
			}
			cfg := config(t, nil, 1, 2500*time.Millisecond)
			cfg.Sender = Workers(&server{answer: after(test.service)}, 1000, TimerClock{})
			r := run(t, ctx, cfg)
			if r.Achieved != test.want {
				t.Errorf("%s per request: %d achieved, want %d", test.service, r.Achieved, test.want)
			}
		})
	}
}
