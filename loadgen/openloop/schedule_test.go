package openloop

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"
)

func instants(s Schedule) []time.Duration {
	var all []time.Duration
	for _, at := range s.All() {
		all = append(all, at)
	}
	return all
}

func TestScheduleEnds(t *testing.T) {
	ramp, err := ParseProfile("ramp:0..4@2s") // 4 requests
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		schedule Schedule
		length   time.Duration
		arrivals int
	}{
		{"an arrival at the very end is not in it", Schedule{Profile: Constant(2), Duration: time.Second}, time.Second, 2},
		{"after its profile", Schedule{Profile: ramp}, 2 * time.Second, 4},
		{"before its profile", Schedule{Profile: ramp, Duration: time.Second}, time.Second, 1},
		{"later, at the last rate of its profile", Schedule{Profile: ramp, Duration: 3 * time.Second}, 3 * time.Second, 8},
		{"when its profile has no more arrivals", Schedule{Profile: Pieces{{2, 0, time.Second}}, Duration: time.Hour}, time.Hour, 1},
	} {
		test.schedule.Arrivals = Regular
		if got := len(instants(test.schedule)); got != test.arrivals || test.schedule.Length() != test.length {
			t.Errorf("%s: %d arrivals in %s, want %d in %s", test.name, got, test.schedule.Length(), test.arrivals, test.length)
		}
	}
}

// The shards of a schedule have its arrivals and its paths.
func TestShardsAreOneSchedule(t *testing.T) {
	whole := Schedule{Profile: Constant(50), Arrivals: Poisson, Seed: 3, Duration: 10 * time.Second}
	paths := []Path{{"/a", 1}, {"/b", 3}}
	type arrival struct {
		at   time.Duration
		path int
	}
	arrivals := func(s Schedule) []arrival {
		var all []arrival
		chosen := newMix(paths)
		for n, at := range s.All() {
			all = append(all, arrival{at, chosen.at(n)})
		}
		return all
	}
	want := arrivals(whole)
	var together []arrival
	for shard := 1; shard <= 3; shard++ {
		s := whole
		s.Shard, s.Shards = shard, 3
		own := arrivals(s)
		if own[0] != want[shard-1] {
			t.Errorf("shard %d starts with %v, want arrival %d: %v", shard, own[0], shard, want[shard-1])
		}
		if math.Abs(float64(len(own))-float64(len(want))/3) > 1 {
			t.Errorf("shard %d has %d arrivals of %d", shard, len(own), len(want))
		}
		together = append(together, own...)
	}
	slices.SortFunc(together, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	if !slices.Equal(together, want) {
		t.Error("the shards together differ from the whole schedule")
	}
}

func TestPoissonArrivals(t *testing.T) {
	s := Schedule{Profile: Constant(1000), Arrivals: Poisson, Seed: 7, Duration: 100 * time.Second}
	first := instants(s)
	if second := instants(s); !slices.Equal(first, second) {
		t.Error("one seed gives two schedules")
	}
	if !slices.IsSorted(first) {
		t.Error("the arrivals are not in order")
	}
	other := s
	other.Seed = 8
	if slices.Equal(first[:100], instants(other)[:100]) {
		t.Error("two seeds give one schedule")
	}
	// Shards on machines with different versions of loadgen must agree.
	if got, want := first[:3], []time.Duration{318496, 3659537, 4013525}; !slices.Equal(got, want) {
		t.Errorf("the first arrivals are at %d, want %d", got, want)
	}
	// 100,000 are expected, with a standard deviation of 316. Of exponential gaps,
	// a share of 1/e is longer than the mean.
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
