package openloop

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Run describes a run: what was sent, where and by which program. It has no secrets:
// no header values, bodies, credentials or queries. The caller of New sets Target,
// Method, Version, Host and Command; the engine sets the rest.
type Run struct {
	// ID is random. Merge refuses to count a run twice.
	ID    string    `json:"id"`
	Start time.Time `json:"start"` // of the schedule, the warm-up included
	// Target is the base URL, without user and password.
	Target string `json:"target,omitempty"`
	Method string `json:"method,omitempty"`
	// Schedule is the rate over time, such as "20/s for 1m" or "0..500@2m".
	Schedule string   `json:"schedule"`
	Arrivals Arrivals `json:"arrivals"`
	// Seed selects the Poisson arrivals.
	Seed   uint64 `json:"seed,omitempty"`
	Shard  int    `json:"shard,omitempty"`
	Shards int    `json:"shards,omitempty"`
	Warmup string `json:"warmup,omitempty"`
	// Expect holds the statuses that counted as served, "" for all below 500.
	Expect      string `json:"expect,omitempty"`
	MaxInFlight int    `json:"max_in_flight"`
	// Version is the version of loadgen, Host the name of its machine.
	Version string `json:"version,omitempty"`
	Host    string `json:"host,omitempty"`
	// Command is the command line.
	Command string `json:"command,omitempty"`
}

// run returns the description of a run that starts now.
func (c Config) run(start time.Time) Run {
	r := c.Run
	r.ID = fmt.Sprintf("%016x", rand.Uint64())
	r.Start = start.UTC().Round(0) // without the monotonic clock
	r.Schedule = c.Schedule.String()
	r.Arrivals = c.Schedule.Arrivals
	if r.Arrivals == Poisson {
		r.Seed = c.Schedule.Seed
	}
	r.Shard, r.Shards = c.Schedule.Shard, c.Schedule.Shards
	if c.Warmup > 0 {
		r.Warmup = shortDuration(c.Warmup)
	}
	r.Expect = c.Expect.String()
	r.MaxInFlight = c.MaxInFlight
	return r
}

// String returns the rate over time and the length, such as "20/s for 1m".
func (s Schedule) String() string {
	text := fmt.Sprint(s.Profile)
	if s.Duration > 0 {
		text += " for " + shortDuration(s.Duration)
	}
	return text
}

// String returns the rate, such as "20/s".
func (c Constant) String() string { return decimal(float64(c)) + "/s" }

// String returns the pieces, such as "20@1m,100..500@5m".
func (ps Pieces) String() string {
	var parts []string
	for _, p := range ps {
		rate := decimal(p.From)
		if p.To != p.From {
			rate += ".." + decimal(p.To)
		}
		parts = append(parts, rate+"@"+shortDuration(p.Length))
	}
	return strings.Join(parts, ",")
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// shortDuration writes 1m instead of 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// mergeRuns returns the runs of two results. It fails if a run is in both of them, or
// if they have different targets.
func mergeRuns(a, b []Run) ([]Run, error) {
	for _, x := range a {
		for _, y := range b {
			if x.ID == y.ID && x.ID != "" {
				return nil, fmt.Errorf("run %s is in both reports: merge each run once", x.ID)
			}
			if x.Target != y.Target && x.Target != "" && y.Target != "" {
				return nil, fmt.Errorf("targets differ: %s and %s: merge runs of one target", x.Target, y.Target)
			}
		}
	}
	return append(append([]Run{}, a...), b...), nil
}
