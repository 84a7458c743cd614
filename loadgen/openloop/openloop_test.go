package openloop

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"
)

// server is a client that answers after a while of the test's own time.
type server struct {
	mu      sync.Mutex
	arrived []time.Time
	paths   []string
	answer  func(arrival time.Time) Exchange
}

func (s *server) Do(_ context.Context, path string) Exchange {
	now := time.Now()
	s.mu.Lock()
	s.arrived = append(s.arrived, now)
	s.paths = append(s.paths, path)
	s.mu.Unlock()
	return s.answer(now)
}

func after(d time.Duration) func(time.Time) Exchange {
	return func(time.Time) Exchange {
		time.Sleep(d)
		return Exchange{Status: 200, Bytes: 2, TraceID: "t"}
	}
}

// noTies is a Sender that fails the test when a request ends at the instant that
// another one is due: synctest runs the two in either order, so the count of
// requests in flight, and the result, would be random.
type noTies struct {
	Sender
	t    *testing.T
	mu   sync.Mutex
	due  map[int64]bool  // by UnixNano
	ends map[int64]int64 // when a request ended: when it was due
}

func (n *noTies) Start(paths []Path, done Done) error {
	return n.Sender.Start(paths, func(r Request, sent, end time.Time, x Exchange) {
		n.mu.Lock()
		n.ends[end.UnixNano()] = r.Due.UnixNano()
		n.mu.Unlock()
		done(r, sent, end, x)
	})
}

func (n *noTies) SleepUntil(ctx context.Context, t time.Time) {
	n.due[t.UnixNano()] = true
	n.Sender.SleepUntil(ctx, t)
}

func (n *noTies) Finish() {
	n.Sender.Finish()
	for end, due := range n.ends {
		if n.due[end] && end != due {
			n.t.Errorf("a request ended at %s, when another one was due", time.Unix(0, end).UTC())
		}
	}
}

func config(t *testing.T, s *server, rps float64, d time.Duration) Config {
	return Config{
		Schedule:    Schedule{Profile: Constant(rps), Arrivals: Regular, Duration: d},
		Paths:       []Path{{"/", 1}},
		Sender:      &noTies{Sender: Workers(s, 1000, TimerClock{}), t: t, due: map[int64]bool{}, ends: map[int64]int64{}},
		MaxInFlight: 1000,
	}
}

func run(t *testing.T, ctx context.Context, cfg Config) *Result {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// near fails the test unless got is within a share of want: histograms keep
// three digits.
func near(t *testing.T, what string, got, want time.Duration, share float64) {
	t.Helper()
	if math.Abs(float64(got-want)) > share*float64(want)+1000 {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestArrivalsFollowTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(10_025 * time.Millisecond)} // slow, which must not matter
		start := time.Now()
		r := run(t, t.Context(), config(t, s, 20, time.Minute))
		if len(s.arrived) != 1200 {
			t.Fatalf("%d arrivals, want 1,200", len(s.arrived))
		}
		slices.SortFunc(s.arrived, time.Time.Compare)
		for i, at := range s.arrived {
			if want := time.Duration(i) * 50 * time.Millisecond; at.Sub(start) != want {
				t.Fatalf("arrival %d at %s, want %s", i, at.Sub(start), want)
			}
		}
		if r.Total.Arrivals != 1200 || r.Total.Dropped != 0 || r.Total.Statuses[200] != 1200 || r.Total.Bytes != 2400 {
			t.Errorf("counted %+v", r.Total)
		}
		if r.Asked != time.Minute || r.AskedRate() != 20 {
			t.Errorf("asked %v/s for %s", r.AskedRate(), r.Asked)
		}
		// The last answer arrives 10.025 s after the last arrival.
		if want := time.Minute - 50*time.Millisecond + 10_025*time.Millisecond; r.Elapsed != want {
			t.Errorf("elapsed %s, want %s", r.Elapsed, want)
		}
		near(t, "response", r.Total.Response.Quantile(0.5), 10_025*time.Millisecond, 0.002)
		if r.Lateness.Max() >= time.Microsecond {
			t.Errorf("late by %s on a clock that is exact", r.Lateness.Max())
		}
	})
}

// The server freezes for one second of a 10 s run at 100 requests per second. An
// arrival during the freeze waits for its end, as a caller would. The freeze
// starts and ends between two arrivals.
func TestAFreezeShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const service = time.Millisecond
		start := time.Now()
		freeze, thaw := start.Add(3995*time.Millisecond), start.Add(4995*time.Millisecond)
		s := &server{answer: func(at time.Time) Exchange {
			if !at.Before(freeze) && at.Before(thaw) {
				time.Sleep(time.Until(thaw))
			}
			time.Sleep(service)
			return Exchange{Status: 200}
		}}
		r := run(t, t.Context(), config(t, s, 100, 10*time.Second))

		var truth []time.Duration
		for i := range 1000 {
			wait := service
			if due := start.Add(time.Duration(i) * 10 * time.Millisecond); !due.Before(freeze) && due.Before(thaw) {
				wait += thaw.Sub(due)
			}
			truth = append(truth, wait)
		}
		slices.Sort(truth)
		for _, q := range Quantiles {
			want := truth[int(math.Ceil(q*1000))-1]
			near(t, PercentileName(q), r.Total.Response.Quantile(q), want, 0.02)
		}
	})
}

// One request at a time: what comes meanwhile is dropped, neither delayed nor
// forgotten.
func TestDroppedArrivalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(250 * time.Millisecond)}
		cfg := config(t, s, 10, 10*time.Second)
		cfg.MaxInFlight = 1
		r := run(t, t.Context(), cfg)
		// Of three arrivals, 100 ms apart, the first is sent.
		if r.Total.Arrivals != 100 || r.Total.Completed() != 34 || r.Total.Dropped != 66 {
			t.Errorf("%d due, %d sent, %d dropped, want 100, 34, 66", r.Total.Arrivals, r.Total.Completed(), r.Total.Dropped)
		}
		if got := r.ErrorRate(); got != 0.66 {
			t.Errorf("error rate %v, want 0.66", got)
		}
		near(t, "longest response", r.Total.Response.Max(), 250*time.Millisecond, 0.002)
	})
}

func TestInterruptedRunKeepsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second+time.Millisecond)
		defer cancel()
		s := &server{answer: after(3500 * time.Millisecond)}
		r := run(t, ctx, config(t, s, 1, 0))
		if r.Total.Completed() != 3 || r.Total.Statuses[200] != 3 {
			t.Errorf("%d answers, want those of 0 s, 1 s and 2 s: %v", r.Total.Completed(), r.Total.Statuses)
		}
		if r.Asked != 2*time.Second+time.Millisecond || r.Elapsed != 5500*time.Millisecond {
			t.Errorf("asked for %s, elapsed %s", r.Asked, r.Elapsed)
		}
	})
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(config(t, &server{answer: after(1500 * time.Millisecond)}, 1, 4*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if s := e.Snapshot(); s.Elapsed != 0 || s.Completed != 0 {
			t.Errorf("before the run: %+v", s)
		}
		go func() {
			time.Sleep(2100 * time.Millisecond)
			s := e.Snapshot()
			if s.Elapsed != 2100*time.Millisecond || s.InFlight != 2 || s.Completed != 1 || s.Failed != 0 {
				t.Errorf("%+v", s)
			}
		}()
		if _, err := e.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFailuresAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := &server{answer: func(time.Time) Exchange {
			n++
			time.Sleep(time.Duration(n) * time.Millisecond)
			id := fmt.Sprint("trace", n)
			switch {
			case n <= 12:
				return Exchange{Status: 503, TraceID: id}
			case n == 13:
				return Exchange{Failure: "refused"}
			case n == 14:
				return Exchange{Status: 404, TraceID: id}
			}
			return Exchange{Status: 200, TraceID: id}
		}}
		r := run(t, t.Context(), config(t, s, 1, 20*time.Second))
		if got := r.Total.Failed(); got != 13 {
			t.Errorf("%d failed, want 12 of 503 and one refused", got)
		}
		if got, want := r.Total.Classes(), [6]int64{0, 0, 6, 0, 1, 12}; got != want {
			t.Errorf("answers by class %v, want %v", got, want)
		}
		if len(r.Failed) != samples || r.Failed[0].TraceID != "trace1" || r.Failed[0].Status != 503 {
			t.Errorf("failed: %+v", r.Failed)
		}
		if len(r.Slowest) != samples || r.Slowest[0].TraceID != "trace20" || r.Slowest[9].TraceID != "trace11" {
			t.Errorf("slowest: %+v", r.Slowest)
		}
		if r.Slowest[0].Offset != 19*time.Second || r.Slowest[0].Response != 20*time.Millisecond {
			t.Errorf("slowest: %+v", r.Slowest[0])
		}
	})
}

func TestRegularInstantsDoNotDrift(t *testing.T) {
	check := func(n uint32, milliRPS uint16) bool {
		if milliRPS == 0 {
			return true
		}
		got := Constant(float64(milliRPS) / 1000).Instant(float64(n))
		want := float64(n) * 1e12 / float64(milliRPS)
		if want > math.MaxInt64 {
			return got == never
		}
		return math.Abs(float64(got)-want) <= 1+want*1e-15
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 10000}); err != nil {
		t.Error(err)
	}
	if got, want := Constant(333.3).Instant(1e9), time.Duration(3_000_300_030_003_000); got != want {
		t.Errorf("the 1e9th arrival at %d, want %d", got, want)
	}
}

func instants(s Schedule) []time.Duration {
	var all []time.Duration
	for _, at := range s.All() {
		all = append(all, at)
	}
	return all
}

func TestProfiles(t *testing.T) {
	for text, want := range map[string]struct {
		length   time.Duration
		arrivals map[time.Duration]int // by second
	}{
		"steps:20,100,0,500@2s": {8 * time.Second, map[time.Duration]int{0: 20, 1: 20, 2: 100, 3: 100, 4: 0, 5: 0, 6: 500, 7: 500}},
		"ramp:0..400@4s":        {4 * time.Second, map[time.Duration]int{0: 50, 1: 150, 2: 250, 3: 350}},
		"ramp:100..0@2s":        {2 * time.Second, map[time.Duration]int{0: 75, 1: 25}},
		"spike:20..500@1s":      {3 * time.Second, map[time.Duration]int{0: 20, 1: 500, 2: 20}},
		"ramp:0.5..0.5@4s":      {4 * time.Second, map[time.Duration]int{0: 1, 1: 0, 2: 1, 3: 0}},
	} {
		p, err := ParseProfile(text)
		if err != nil {
			t.Fatal(err)
		}
		s := Schedule{Profile: p, Arrivals: Regular}
		if s.Length() != want.length {
			t.Errorf("%s: %s long, want %s", text, s.Length(), want.length)
		}
		got := map[time.Duration]int{}
		last := time.Duration(-1)
		for _, at := range s.All() {
			got[at/time.Second]++
			if at <= last {
				t.Errorf("%s: %s comes after %s", text, at, last)
			}
			last = at
		}
		for second, n := range want.arrivals {
			// An arrival on the second's border may round to either side.
			if math.Abs(float64(got[second]-n)) > 1 || n == 0 && got[second] > 0 {
				t.Errorf("%s: %d arrivals in second %d, want %d", text, got[second], second, n)
			}
		}
	}
}

// TestProfileInstantsAreItsIntegral holds Instant against Rate, summed.
func TestProfileInstantsAreItsIntegral(t *testing.T) {
	p := Pieces{{0, 300, 3 * time.Second}, {300, 300, time.Second}, {0, 0, time.Second}, {50, 10, 4 * time.Second}}
	const step = 100 * time.Microsecond
	asked, n := 0.0, 0
	for at := time.Duration(0); at < p.Length(); at += step {
		asked += p.Rate(at+step/2) * step.Seconds()
		for ; float64(n) < asked; n++ {
			if got := p.Instant(float64(n)); got < at-step || got > at+2*step {
				t.Fatalf("the %dth arrival at %s, want about %s", n, got, at)
			}
		}
	}
	if n != 870 {
		t.Errorf("%d arrivals, want 870", n)
	}
	// Beyond its end it goes on at the last rate.
	if got, want := p.Instant(870+10), p.Length()+time.Second; got.Round(time.Microsecond) != want {
		t.Errorf("10 more at %s, want %s", got, want)
	}
	if got := (Pieces{{10, 0, time.Second}}).Instant(6); got != never {
		t.Errorf("beyond the last of all at %s", got)
	}
}

func TestParseProfileRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "not of the form",
		"steps:20":          "not of the form",
		"steps:20@":         `"" is not a duration`,
		"steps:20@5":        `"5" is not a duration`,
		"steps:20@-5s":      "a stretch of -5s",
		"steps:@5s":         `"" is not a rate`,
		"steps:20,x@5s":     `"x" is not a rate`,
		"steps:0,0@5s":      "asks for nothing",
		"steps:-1@5s":       "a rate of -1",
		"steps:NaN@5s":      "a rate of NaN",
		"ramp:1..2..3@5s":   "is not two rates",
		"ramp:5@5s":         "is not two rates",
		"spike:1..Inf@5s":   "a rate of +Inf",
		"wave:1..2@5s":      `"wave" is neither`,
		"ramp:1..2@0s":      "a stretch of 0s",
		"ramp:1,2@1s":       `"1,2" is not a rate`,
		"ramp:0..500@2m@2m": "is not a duration",
	} {
		if p, err := ParseProfile(in); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), in) {
			t.Errorf("%q: %v, %v, want %q", in, p, err, want)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	for _, seed := range []string{"steps:20,100,500@30s", "ramp:0..500@2m", "spike:20..500@10s", "ramp:1e300..0@1ns"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParseProfile(in)
		if err != nil {
			return
		}
		last := time.Duration(-1)
		for n := range 100 {
			at := p.Instant(float64(n))
			if at < last {
				t.Fatalf("the %dth arrival at %d, the one before at %d", n, at, last)
			}
			last = at
		}
	})
}

// TestShardsAreOneSchedule has arrivals, and the paths that they ask for.
func TestShardsAreOneSchedule(t *testing.T) {
	whole := Schedule{Profile: Constant(50), Arrivals: Poisson, Seed: 3, Duration: 10 * time.Second}
	paths := []Path{{"/a", 1}, {"/b", 3}}
	type arrival struct {
		at   time.Duration
		path int
	}
	arrivals := func(s Schedule) []arrival {
		var all []arrival
		dealt := newMix(paths)
		for n, at := range s.All() {
			all = append(all, arrival{at, dealt.at(n)})
		}
		return all
	}
	var together []arrival
	for shard := 1; shard <= 3; shard++ {
		s := whole
		s.Shard, s.Shards = shard, 3
		own := arrivals(s)
		if math.Abs(float64(len(own))-float64(len(arrivals(whole)))/3) > 1 {
			t.Errorf("shard %d has %d arrivals of %d", shard, len(own), len(arrivals(whole)))
		}
		together = append(together, own...)
	}
	slices.SortFunc(together, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	if !slices.Equal(together, arrivals(whole)) {
		t.Error("the shards are not the schedule")
	}
}

func TestPoissonArrivals(t *testing.T) {
	s := Schedule{Profile: Constant(1000), Arrivals: Poisson, Seed: 7, Duration: 100 * time.Second}
	first := instants(s)
	if second := instants(s); !slices.Equal(first, second) {
		t.Error("one seed, two schedules")
	}
	if !slices.IsSorted(first) {
		t.Error("not in order")
	}
	other := s
	other.Seed = 8
	if slices.Equal(first[:100], instants(other)[:100]) {
		t.Error("two seeds, one schedule")
	}
	// 100,000 expected, with a standard deviation of 316; and of exponential
	// gaps a share of 1/e is longer than the mean.
	if math.Abs(float64(len(first))-100_000) > 5*316 {
		t.Errorf("%d arrivals, want about 100,000", len(first))
	}
	long := 0
	for i := range first[1:] {
		if first[i+1]-first[i] > time.Millisecond {
			long++
		}
	}
	if got := float64(long) / float64(len(first)); math.Abs(got-1/math.E) > 0.01 {
		t.Errorf("a share of %.3f of the gaps is longer than the mean, want %.3f", got, 1/math.E)
	}
}

func TestPathsAreDealtByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(0)}
		cfg := config(t, s, 100, 10*time.Second)
		cfg.Paths = []Path{{"/a", 1}, {"/b", 3}, {"/c", 0.5}}
		r := run(t, t.Context(), cfg)
		for i, want := range []int64{222, 667, 111} {
			if got := r.Paths[i].Arrivals; got != want {
				t.Errorf("%s: %d of 1,000, want %d", r.Paths[i].Path, got, want)
			}
		}
		if strings.Join(s.paths[:9], "") != strings.Join(s.paths[9:18], "") {
			t.Errorf("not smooth: %v", s.paths[:18])
		}
	})
}

func TestConfigRefused(t *testing.T) {
	good := config(t, &server{answer: after(0)}, 1, time.Second)
	for want, change := range map[string]func(*Config){
		"a rate of 0":                  func(c *Config) { c.Schedule.Profile = Constant(0) },
		"a rate of -1":                 func(c *Config) { c.Schedule.Profile = Constant(-1) },
		"a rate of NaN":                func(c *Config) { c.Schedule.Profile = Constant(math.NaN()) },
		"a rate of +Inf":               func(c *Config) { c.Schedule.Profile = Constant(math.Inf(1)) },
		"without a rate":               func(c *Config) { c.Schedule.Profile = nil },
		`not "bursty"`:                 func(c *Config) { c.Schedule.Arrivals = "bursty" },
		"a run of -1s":                 func(c *Config) { c.Schedule.Duration = -time.Second },
		"shard 0 of 2":                 func(c *Config) { c.Schedule.Shards = 2 },
		"shard 3 of 2":                 func(c *Config) { c.Schedule.Shard, c.Schedule.Shards = 3, 2 },
		"shard 1 of 0":                 func(c *Config) { c.Schedule.Shard = 1 },
		"no pieces":                    func(c *Config) { c.Schedule.Profile = Pieces{} },
		"no paths":                     func(c *Config) { c.Paths = nil },
		"/: the weight 0":              func(c *Config) { c.Paths = []Path{{"/", 0}} },
		"nothing to send":              func(c *Config) { c.Sender = nil },
		"0 requests in flight at most": func(c *Config) { c.MaxInFlight = 0 },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMergeIsOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(at time.Time) Exchange {
			time.Sleep(time.Duration(at.UnixNano()%97) * time.Millisecond)
			if at.UnixNano()%5 == 0 {
				return Exchange{Status: 500, Bytes: 3, TraceID: fmt.Sprint(at.UnixNano())}
			}
			return Exchange{Status: 200, Bytes: 1, TraceID: fmt.Sprint(at.UnixNano())}
		}
		results := make([]*Result, 2)
		var both sync.WaitGroup
		for i := range results {
			both.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				cfg := config(t, &server{answer: answer}, 30+float64(i), 10*time.Second)
				cfg.Paths = []Path{{"/", 1}, {fmt.Sprint("/", i), 1}}
				results[i] = run(t, t.Context(), cfg)
			})
		}
		both.Wait()
		a, b := results[0], results[1]
		m, err := Merge(read(t, a), read(t, b)) // as they come from two machines
		if err != nil {
			t.Fatal(err)
		}

		whole := NewHistogram()
		whole.Merge(a.Total.Response)
		whole.Merge(b.Total.Response)
		if !m.Total.Response.h.Equals(whole.h) || m.Total.Response.Count() != 610 {
			t.Error("the response times are not those of both")
		}
		if m.Total.Arrivals != 610 || m.Total.Bytes != a.Total.Bytes+b.Total.Bytes ||
			m.Total.Statuses[500] != a.Total.Statuses[500]+b.Total.Statuses[500] {
			t.Errorf("%+v", m.Total)
		}
		if !m.Start.Equal(a.Start) || m.Asked != 11*time.Second || m.Elapsed < b.Elapsed {
			t.Errorf("from %s, asked for %s, elapsed %s", m.Start, m.Asked, m.Elapsed)
		}
		var paths []string
		for _, p := range m.Paths {
			paths = append(paths, fmt.Sprint(p.Path, " ", p.Arrivals))
		}
		if got, want := fmt.Sprint(paths), "[/ 305 /0 150 /1 155]"; got != want {
			t.Errorf("paths %s, want %s", got, want)
		}
		if len(m.Slowest) != samples || m.Slowest[0].Response < a.Slowest[0].Response || m.Slowest[0].Response < b.Slowest[0].Response {
			t.Errorf("slowest: %+v", m.Slowest)
		}
		if len(m.Failed) != samples {
			t.Errorf("failed: %+v", m.Failed)
		}
		if got := sum(t, m.Series); got.arrivals != 610 || got.responses != 610 || got.failed != m.Total.Failed() || got.ended != 610 {
			t.Errorf("the series has %+v", got)
		}
		for i, want := range []int64{30, 61, 61, 61, 61, 61, 61, 61, 61, 61, 31} {
			if got := m.Series.Intervals[i].Arrivals; got != want {
				t.Errorf("%d arrivals in second %d, want %d", got, i, want)
			}
		}
	})
}

type sums struct{ arrivals, dropped, failed, ended, responses int64 }

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
		all.ended += i.Ended
		all.responses += h.TotalCount()
	}
	return all
}

// The server stops for two seconds. The requests that were due during the stall
// waited; those of the other seconds did not. The stall starts and ends between
// two arrivals, so it is certain which requests find a place in flight.
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
		for i, want := range []struct{ dropped, failed, ended int64 }{
			{0, 0, 100}, {0, 0, 100}, {0, 0, 100}, {0, 100, 0}, {50, 50, 150}, {0, 0, 100}, {0, 0, 100}, {0, 0, 100},
		} {
			got := s.Intervals[i]
			if got.Arrivals != 100 || got.Dropped != want.dropped || got.Failed != want.failed || got.Ended != want.ended {
				t.Errorf("second %d: %+v, want %+v", i, got, want)
			}
		}
		near(t, "p50 of the stall", s.Intervals[3].Response.P50, 1500*time.Millisecond, 0.02)
		near(t, "max of the stall", s.Intervals[3].Response.Max, 1995*time.Millisecond, 0.001)
		near(t, "p99 before", s.Intervals[2].Response.P99, time.Millisecond, 0.02)
		if got := sum(t, s); got.responses != r.Total.Completed() {
			t.Errorf("%d response times, want %d", got.responses, r.Total.Completed())
		}
	})
}

// TestLongRunsAreCoarser has more seconds than a series has intervals.
func TestLongRunsAreCoarser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, t.Context(), config(t, &server{answer: after(3500 * time.Millisecond)}, 1, 2*time.Hour))
		if r.Series.Length != 8*time.Second || len(r.Series.Intervals) > maxIntervals {
			t.Errorf("%d intervals of %s", len(r.Series.Intervals), r.Series.Length)
		}
		if got := sum(t, r.Series); got.arrivals != 7200 || got.ended != 7200 || got.responses != 7200 {
			t.Errorf("the series has %+v", got)
		}
	})
}

func TestAStartToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(0)}
		cfg := config(t, s, 10, time.Second)
		cfg.Start = time.Now().Add(time.Minute)
		if r := run(t, t.Context(), cfg); !r.Start.Equal(cfg.Start) || !s.arrived[0].Equal(cfg.Start) || r.Total.Arrivals != 10 {
			t.Errorf("from %s, first arrival at %s", r.Start, s.arrived[0])
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cfg = config(t, s, 10, time.Second)
		cfg.Start = time.Now().Add(time.Minute)
		if r := run(t, ctx, cfg); r.Total.Arrivals != 0 || r.Asked != 0 || r.Elapsed != 0 {
			t.Errorf("interrupted before its start: %+v", r)
		}
	})
}

// read returns a result that has been written as JSON.
func read(t *testing.T, r *Result) *Result {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var out Result
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func TestParsePaths(t *testing.T) {
	for in, want := range map[string]string{
		"/":                   "[{/ 1}]",
		"/=1,/api/trace=2":    "[{/ 1} {/api/trace 2}]",
		" /a = 0.5 , /b":      `"/a = 0.5": the weight " 0.5" is not`,
		"/a=0.5, /b":          "[{/a 0.5} {/b 1}]",
		"/search?q=go=3":      "[{/search?q=go 3}]",
		"/search?q=go":        `the weight "go" is not a number above 0`,
		"/=0":                 `"/=0": the weight "0" is not a number above 0`,
		"/=-1":                `the weight "-1"`,
		"/=NaN":               `the weight "NaN"`,
		"/=Inf":               `the weight "Inf"`,
		"/=":                  `the weight ""`,
		"":                    `"" does not begin with a slash`,
		"/,":                  `"" does not begin with a slash`,
		"api=1":               `"api=1" does not begin with a slash`,
		"http://127.0.0.1/=1": "does not begin with a slash",
		"/=1,/=2":             `"/" is there twice`,
		"/a b":                `"/a b" is not the path of a URL`,
		"/%zz":                `"/%zz" is not the path of a URL`,
		"/a#top":              `"/a#top" is not the path of a URL`,
	} {
		paths, err := ParsePaths(in)
		got := fmt.Sprint(paths)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzParsePaths(f *testing.F) {
	for _, seed := range []string{"/=1,/api/trace=1", "/a?b=c=2", "=", ",", "/=1e999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		paths, err := ParsePaths(s)
		if err != nil {
			return
		}
		for _, p := range paths {
			if !strings.HasPrefix(p.Path, "/") || !(p.Weight > 0) || math.IsInf(p.Weight, 0) {
				t.Errorf("%q: %+v", s, p)
			}
		}
		m := newMix(paths)
		for range 10 {
			if i := m.next(); i < 0 || i >= len(paths) {
				t.Fatalf("%q: path %d of %d", s, i, len(paths))
			}
		}
	})
}

func TestHistogramJSONRefused(t *testing.T) {
	for _, in := range []string{`{}`, `{"hdr":"x"}`, `{"hdr":"HISTFAAAAB9"}`, `[]`} {
		if err := json.Unmarshal([]byte(in), NewHistogram()); err == nil {
			t.Errorf("%s was read", in)
		}
	}
}

// The fine clock of this system, in real time: it must not come early, and ends
// with its context.
func TestFineClock(t *testing.T) {
	defer FineClock{}.Bind()()
	for range 20 {
		until := time.Now().Add(5 * time.Millisecond)
		FineClock{}.SleepUntil(t.Context(), until)
		if early := time.Until(until); early > 0 {
			t.Errorf("early by %s", early)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	FineClock{}.SleepUntil(ctx, time.Now().Add(time.Hour))
}
