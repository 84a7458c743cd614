package openloop

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Arrivals is how arrivals are spread around a profile's rate.
type Arrivals string

const (
	// Regular arrivals come at even distances.
	Regular Arrivals = "constant"
	// Poisson arrivals come independently of each other, as those of many
	// separate callers do.
	Poisson Arrivals = "poisson"
)

// Schedule is when each request of a run is due. Equal schedules are equal to
// the nanosecond, on any machine.
type Schedule struct {
	Profile  Profile
	Arrivals Arrivals
	// Seed makes Poisson arrivals; another seed makes others.
	Seed uint64
	// Duration is the length of the run; 0 is the profile's own.
	Duration time.Duration
	// Shard and Shards are a share of the schedule: of Shards senders, the one
	// with the number Shard, from 1, has every Shards-th arrival from the
	// Shard-th on. With 0 and 0 there is one.
	Shard, Shards int
}

// Length is how long the run takes, 0 when it does not end.
func (s Schedule) Length() time.Duration {
	if s.Duration > 0 {
		return s.Duration
	}
	return s.Profile.Length()
}

// Check returns what is wrong with the schedule.
func (s Schedule) Check() error {
	if s.Profile == nil {
		return errors.New("a schedule without a rate")
	}
	if c, ok := s.Profile.(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			return err
		}
	}
	if s.Arrivals != Regular && s.Arrivals != Poisson {
		return fmt.Errorf("arrivals are %s or %s, not %q", Regular, Poisson, s.Arrivals)
	}
	if s.Duration < 0 {
		return fmt.Errorf("a run of %s cannot be", s.Duration)
	}
	if (s.Shard != 0 || s.Shards != 0) && (s.Shard < 1 || s.Shard > s.Shards) {
		return fmt.Errorf("shard %d of %d cannot be", s.Shard, s.Shards)
	}
	return nil
}

// All yields the arrivals of the schedule, or of its shard: the number of each
// in the schedule, from 0, and its instant since the start.
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

// positions yields how many requests have been asked for when each is due:
// 0, 1, 2… for regular arrivals. Where gaps in it are exponential with a mean of
// one, arrivals are a Poisson process of the profile's rate, however that
// changes (https://en.wikipedia.org/wiki/Poisson_point_process, time rescaling).
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
