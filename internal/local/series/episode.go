package series

import (
	"slices"
	"time"
)

// Episode is a time in which requests failed, were slow, or did not arrive.
type Episode struct {
	Start, End time.Time
	// Ongoing episodes have not ended.
	Ongoing      bool
	Hits, Errors float64
	// P95 is the highest one of an interval, Usual the median of all intervals.
	P95, Usual time.Duration
}

// failing is the share of errors from which on an interval fails: fewer are often a
// client's own.
const failing = 0.05

// FailingEpisodes returns when requests failed, the earliest first.
func FailingEpisodes(all []Interval, now time.Time) []Episode {
	return episodes(all, now, func(i Interval) bool { return i.Errors > 0 && i.Errors >= failing*i.Hits })
}

const (
	// slower is the factor over the usual p95 from which on an interval is slow, and
	// slowerBy the least difference: nobody notices a few milliseconds.
	slower   = 3
	slowerBy = 50 * time.Millisecond
	// leastIntervals is the number of intervals from which on a usual p95 is known.
	leastIntervals = 6
)

// SlowEpisodes returns when requests were slow, the earliest first. Usual is then the
// usual p95.
func SlowEpisodes(all []Interval, now time.Time) []Episode {
	var known []time.Duration
	for _, i := range all {
		if i.P95 > 0 {
			known = append(known, i.P95)
		}
	}
	if len(known) < leastIntervals {
		return nil
	}
	slices.Sort(known)
	usual := known[len(known)/2]
	found := episodes(all, now, func(i Interval) bool { return i.P95 >= slower*usual && i.P95 >= usual+slowerBy })
	for i := range found {
		found[i].Usual = usual
	}
	return found
}

// leastSilence is the length from which on no requests are an episode. The last interval may
// be incomplete.
const leastSilence = 2 * BucketLength

// SilentEpisodes returns when no requests arrived, the earliest first. Before each episode
// there were some in every interval of a minute.
func SilentEpisodes(all []Interval, now time.Time) (found []Episode) {
	steady := 0
	for i, one := range all {
		steady++
		end, next := one.Start.Add(BucketLength), now
		last := i == len(all)-1
		if !last {
			next = all[i+1].Start
		}
		if !next.After(end) {
			continue
		}
		if steady >= leastIntervals && next.Sub(end) >= leastSilence {
			found = append(found, Episode{Start: end, End: next, Ongoing: last})
		}
		steady = 0
	}
	return found
}

// episodes joins intervals for which is holds. One interval without requests, or for which
// it does not hold, does not end an episode.
func episodes(all []Interval, now time.Time, is func(Interval) bool) []Episode {
	var found []Episode
	for _, i := range all {
		if !is(i) {
			continue
		}
		end := i.Start.Add(BucketLength)
		if n := len(found); n > 0 && i.Start.Sub(found[n-1].End) <= BucketLength {
			last := &found[n-1]
			last.End, last.Hits, last.Errors, last.P95 = end, last.Hits+i.Hits, last.Errors+i.Errors, max(last.P95, i.P95)
			continue
		}
		found = append(found, Episode{Start: i.Start, End: end, Hits: i.Hits, Errors: i.Errors, P95: i.P95})
	}
	if n := len(found); n > 0 && now.Sub(found[n-1].End) < BucketLength {
		found[n-1].Ongoing = true
	}
	return found
}
