package openloop

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Arrivals is how arrivals are distributed around the rate of a profile.
type Arrivals string

const (
	// Regular arrivals are evenly spaced.
	Regular Arrivals = "constant"
	// Poisson arrivals are independent of each other, like those of many separate
	// callers.
	Poisson Arrivals = "poisson"
)

// Schedule determines when each request of a run is due. Equal schedules have the
// same arrivals, to the nanosecond, on any machine.
type Schedule struct {
	Profile  Profile
	Arrivals Arrivals
	// Seed selects the Poisson arrivals.
	Seed uint64
	// Duration is the length of the run; 0 means that of the profile.
	Duration time.Duration
	// Shard and Shards select a share of the schedule. Shard, counted from 1, is
	// the number of this sender among Shards senders. It has every Shards-th
	// arrival, starting with the Shard-th. 0 and 0 mean the whole schedule.
	Shard, Shards int
}

// Length returns how long the run takes, 0 if it does not end.
func (s Schedule) Length() time.Duration {
	if s.Duration > 0 {
		return s.Duration
	}
	return s.Profile.Length()
}

// Requests returns how many requests the schedule, or its shard, asks for before a
// time of the run: the integral of its rate. Poisson arrivals differ from it by chance.
func (s Schedule) Requests(t time.Duration) float64 {
	if length := s.Length(); length > 0 {
		t = min(t, length)
	}
	return s.Profile.Requests(max(0, t)) / float64(max(1, s.Shards))
}

// Check returns an error if the schedule is invalid.
func (s Schedule) Check() error {
	if s.Profile == nil {
		return errors.New("profile must be set")
	}
	if c, ok := s.Profile.(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			return err
		}
	}
	if s.Arrivals != Regular && s.Arrivals != Poisson {
		return fmt.Errorf("arrivals must be %s or %s, got %q", Regular, Poisson, s.Arrivals)
	}
	if s.Duration < 0 {
		return fmt.Errorf("duration must be at least 0s, got %s", s.Duration)
	}
	if (s.Shard != 0 || s.Shards != 0) && (s.Shard < 1 || s.Shard > s.Shards) {
		return fmt.Errorf("shard must be between 1 and the number of shards, got %d of %d", s.Shard, s.Shards)
	}
	return nil
}

// All yields the arrivals of the schedule, or of its shard: their numbers in the
// whole schedule, counted from 0, and their times since the start.
func (s Schedule) All() iter.Seq2[int, time.Duration] {
	return func(yield func(int, time.Duration) bool) {
		length, n := s.Length(), 0
		for position := range s.positions() {
			due := s.Profile.Instant(position)
			if due == never || length > 0 && due >= length {
				return
			}
			if (s.Shards == 0 || n%s.Shards == s.Shard-1) && !yield(n, due) {
				return
			}
			n++
		}
	}
}

// never is beyond any run.
const never = time.Duration(1<<63 - 1)

// positions yields the integral of the rate at each arrival: 0, 1, 2… for regular
// arrivals. Exponential gaps with a mean of 1 make the arrivals a Poisson process
// with the rate of the profile, even if that changes
// (https://en.wikipedia.org/wiki/Poisson_point_process, time rescaling).
func (s Schedule) positions() iter.Seq[float64] {
	return func(yield func(float64) bool) {
		if s.Arrivals == Poisson {
			random := rand.New(rand.NewPCG(s.Seed, 0))
			for n := random.ExpFloat64(); yield(n); n += random.ExpFloat64() {
			}
			return
		}
		for n := 0; yield(float64(n)); n++ {
		}
	}
}
