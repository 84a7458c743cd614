package openloop

import (
	"reflect"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

// A result describes its run. What the engine knows, its caller need not say.
func TestResultDescribesItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t, &server{answer: after(time.Millisecond)}, 20, 0)
		cfg.Schedule = Schedule{Profile: Constant(20), Arrivals: Poisson, Seed: 7, Duration: time.Minute, Shard: 2, Shards: 3}
		cfg.Warmup, cfg.Expect, cfg.MaxInFlight = 10*time.Second, Expect{{200, 299}, {404, 404}}, 50
		cfg.Run = Run{ID: "mine", Target: "http://shop.example", Method: "GET", Version: "1.2.3", Host: "here", Command: "loadgen -rps 20"}
		start := time.Now()
		a := read(t, run(t, t.Context(), cfg))
		cfg.Sender = Workers(&server{answer: after(time.Millisecond)}, 1000, TimerClock{})
		b := read(t, run(t, t.Context(), cfg))
		want := Run{ID: a.Runs[0].ID, Start: start, Target: "http://shop.example", Method: "GET", Schedule: "20/s for 1m", Arrivals: Poisson, Seed: 7, Shard: 2, Shards: 3,
			Warmup: "10s", Expect: "2xx,404", MaxInFlight: 50, Version: "1.2.3", Host: "here", Command: "loadgen -rps 20"}
		if !a.Runs[0].Start.Equal(start) || !a.Start.Equal(start.Add(10*time.Second)) {
			t.Errorf("started %s, counts from %s", a.Runs[0].Start, a.Start)
		}
		want.Start = a.Runs[0].Start
		if !reflect.DeepEqual(a.Runs, []Run{want}) {
			t.Errorf("got %+v, want %+v", a.Runs, want)
		}
		if !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(want.ID) || b.Runs[0].ID == want.ID {
			t.Errorf("IDs of two runs: %s, %s", want.ID, b.Runs[0].ID)
		}
		// Evenly spaced arrivals have no seed.
		cfg = config(t, &server{answer: after(time.Millisecond)}, 20, time.Second)
		cfg.Schedule.Seed = 7
		if got := run(t, t.Context(), cfg).Runs[0]; got.Seed != 0 || got.Warmup != "" || got.Expect != "" || got.Shards != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestScheduleString(t *testing.T) {
	for want, s := range map[string]Schedule{
		"20/s":                        {Profile: Constant(20)},
		"0.25/s for 90ms":             {Profile: Constant(0.25), Duration: 90 * time.Millisecond},
		"1000000/s for 1m":            {Profile: Constant(1e6), Duration: time.Minute},
		"20@1m,100..500@5m10s,500@2h": {Profile: Pieces{{20, 20, time.Minute}, {100, 500, 310 * time.Second}, {500, 500, 2 * time.Hour}}},
		"0..500@2m for 1h10m":         {Profile: Pieces{{0, 500, 2 * time.Minute}}, Duration: 70 * time.Minute},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Shards and repeated runs of one target merge, and the result describes all of them.
func TestMergeRefusesWhatIsNotOneTest(t *testing.T) {
	with := func(runs ...Run) *Result {
		r := emptyResult(1, time.Second)
		r.Runs = runs
		return r
	}
	first := Run{ID: "1", Target: "http://a.example", Shard: 1, Shards: 2}
	second := Run{ID: "2", Target: "http://a.example", Shard: 2, Shards: 2}
	again := Run{ID: "3", Target: "http://a.example", Shard: 1, Shards: 2}
	other := Run{ID: "4", Target: "http://b.example"}
	for _, test := range []struct {
		name string
		a, b *Result
		want string
	}{
		{"shards", with(first), with(second), ""},
		{"a repeated run", with(first), with(again), ""},
		{"the same run", with(first), with(first), "run 1 is in both reports: merge each run once"},
		{"a merged report and one of its runs", with(first, second, again), with(second), "run 2 is in both reports: merge each run once"},
		{"another target", with(first, second), with(other), "targets differ: http://a.example and http://b.example: merge runs of one target"},
		{"of other programs, without a target", with(Run{}), with(Run{}), ""},
		{"one without a target", with(first), with(Run{ID: "5"}), ""},
		{"without a description", with(), with(first), ""},
	} {
		m, err := Merge(test.a, test.b)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if err == nil && !reflect.DeepEqual(m.Runs, append(append([]Run{}, test.a.Runs...), test.b.Runs...)) {
			t.Errorf("%s: %+v", test.name, m.Runs)
		}
	}
}
