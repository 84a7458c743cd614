package series

import (
	"hash/maphash"
	"math"
	"slices"
	"time"

	"apmapp/internal/local/wire"
)

// A metric's values are kept in slots of ten seconds, for half an hour.
const (
	SlotLength = int64(BucketLength / time.Second)
	MaxPoints  = 180
	// countsOn is the time for which a count without samples is continued with 0, in seconds,
	// as the Agent does (dogstatsd_expiry_seconds).
	countsOn = 300
)

// The reasons for which well-formed values are refused.
const (
	OutsideWindow wire.Reason = "timestamp outside the last half hour"
	TooLarge      wire.Reason = "value is too large"
)

// SlotOf returns the start of the slot of a time, in seconds since 1970.
func SlotOf(seconds int64) int64 { return seconds - seconds%SlotLength }

// Point is the value of a metric in ten seconds: counts per second, the last value of
// a gauge, the number of unique members of a set, the mean of other types.
type Point struct {
	Time  time.Time `json:"time"`
	Value float64   `json:"value"`
	*Spread
}

// Spread describes the values of a histogram, timer or distribution in ten seconds.
type Spread struct {
	// Count is their number, including those that the client sampled out.
	Count  float64 `json:"count"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Max    float64 `json:"max"`
}

// Metric is a metric with one set of tags.
type Metric struct {
	Kind  string // of DogStatsD
	slots []slot // the oldest first
	// Last is the time of arrival of the last sample, in seconds since 1970.
	Last int64
	// open has the values of the newest slot of a set, histogram, timer or
	// distribution; nil when the slot is complete.
	open *open
}

type slot struct {
	at int64 // its start, in seconds since 1970
	// value is the sum of a count, else as in Point.
	value float64
	// stamped slots have only values whose senders set the time. A count is not
	// continued after them.
	stamped bool
	spread  *Spread
}

type open struct {
	members         map[uint64]struct{} // hashes
	values          *Distribution
	count, sum, max float64
}

// MemberSize estimates a member of a set in memory, in bytes.
const MemberSize = 24

var memberSeed = maphash.MakeSeed()

// The sizes of series in bytes, besides name and tags. A slot has 32, and 48 more
// with a spread.
const (
	countSize  = 300 + MaxPoints*32
	spreadSize = countSize + MaxPoints*48 + DistributionSize
)

// Size estimates the series in memory, in bytes.
func (s *Metric) Size() int64 {
	switch s.Kind {
	case wire.Histogram, wire.Timer, wire.Distribution:
		return spreadSize
	}
	return countSize
}

// find returns the index of the slot that begins at a time, or where it belongs.
func (s *Metric) find(at int64) (i int, found bool) {
	i = len(s.slots)
	for i > 0 && s.slots[i-1].at > at {
		i--
	}
	if i > 0 && s.slots[i-1].at == at {
		return i - 1, true
	}
	return i, false
}

// insert inserts a slot at an index and drops the first one if there are too many.
func (s *Metric) insert(i int, new slot) {
	if len(s.slots) == MaxPoints {
		s.slots = slices.Delete(s.slots, 0, 1)
		i--
	}
	if len(s.slots) == cap(s.slots) { // append would allocate more than MaxPoints
		s.slots = append(make([]slot, 0, min(max(2*len(s.slots), 4), MaxPoints)), s.slots...)
	}
	s.slots = slices.Insert(s.slots, i, new)
}

// Add adds the values of a count or gauge to the slot that begins at a time. It
// changes nothing if it refuses them.
func (s *Metric) Add(values []float64, at int64, stamped bool) wire.Reason {
	i, found := s.find(at)
	if !found && i == 0 && len(s.slots) == MaxPoints {
		return OutsideWindow
	}
	value := 0.0
	if found {
		value = s.slots[i].value
	}
	for _, v := range values {
		if s.Kind == wire.Count {
			v += value
		}
		value = v
	}
	if math.IsInf(value, 0) {
		return wire.NotFinite
	}
	if !found {
		s.insert(i, slot{at: at, value: value, stamped: stamped})
		return ""
	}
	s.slots[i].value = value
	s.slots[i].stamped = s.slots[i].stamped && stamped
	return ""
}

// IsComplete reports whether the newest slot begins before the one of a time, in seconds
// since 1970.
func (s *Metric) IsComplete(now int64) bool {
	n := len(s.slots)
	return n > 0 && s.slots[n-1].at < SlotOf(now)
}

// IsOpen reports whether the newest slot is open and takes the samples of the slot
// that begins at a time. It does so too when the clock was set back.
func (s *Metric) IsOpen(at int64) bool {
	return s.open != nil && s.slots[len(s.slots)-1].at >= at
}

// Begin completes the newest slot and opens the one that begins at a time. It returns
// the number of members that are released.
func (s *Metric) Begin(at int64) (released int64) {
	released = s.Complete()
	if n := len(s.slots); n == 0 || s.slots[n-1].at < at {
		s.insert(n, slot{at: at})
	} // else the clock was set back: the newest slot begins again
	s.open = &open{max: math.Inf(-1)}
	return released
}

// Complete stores the value of the open slot and returns the number of members that
// it releases.
func (s *Metric) Complete() (members int64) {
	if s.open == nil {
		return 0
	}
	to := &s.slots[len(s.slots)-1]
	to.value, to.spread = s.open.result()
	members = int64(len(s.open.members))
	s.open = nil
	return members
}

func (o *open) result() (float64, *Spread) {
	if o.values == nil {
		return float64(len(o.members)), nil
	}
	quantile := func(q float64) float64 { return min(o.values.Value(q), o.max) } // the sketch is accurate to 1 %
	return o.sum / o.count, &Spread{o.count, quantile(0.5), quantile(0.95), o.max}
}

// AddMember adds a member of a set to the open slot and reports whether it is new.
func (s *Metric) AddMember(member string) bool {
	if s.open.members == nil {
		s.open.members = map[uint64]struct{}{}
	}
	before := len(s.open.members)
	s.open.members[maphash.String(memberSeed, member)] = struct{}{}
	return len(s.open.members) > before
}

// AddValues adds the values of a histogram, timer or distribution to the slot that
// begins at a time. It changes nothing if it refuses them.
func (s *Metric) AddValues(values []float64, weight float64, at int64) wire.Reason {
	count, sum, largest := 0.0, 0.0, math.Inf(-1)
	if s.IsOpen(at) {
		count, sum, largest = s.open.count, s.open.sum, s.open.max
	}
	for _, v := range values {
		if math.Abs(v) > accuracy.MaxIndexableValue() {
			return TooLarge
		}
		count += weight
		sum += v * weight
		largest = max(largest, v)
	}
	if math.IsInf(count, 0) || math.IsInf(sum, 0) {
		return wire.NotFinite
	}
	if !s.IsOpen(at) {
		s.Begin(at)
		s.open.values = NewDistribution()
	}
	for _, v := range values {
		_ = s.open.values.sketch.AddWithCount(v, weight) // an error means that v is too large
	}
	s.open.count, s.open.sum, s.open.max = count, sum, largest
	return ""
}

// Points returns the points of the series from a slot on, as seen at a time. A count
// or set whose slot is not complete has no point of it, unless it is the only one.
func (s *Metric) Points(from, now int64) []Point {
	all := []Point{}
	add := func(at int64, value float64, spread *Spread) {
		if at >= from {
			all = append(all, Point{time.Unix(at, 0), value, spread})
		}
	}
	current := SlotOf(now)
	for i, slot := range s.slots {
		value, spread := slot.value, slot.spread
		if i == len(s.slots)-1 && s.open != nil {
			value, spread = s.open.result()
		}
		switch s.Kind {
		case wire.Count, wire.Set:
			if slot.at >= current && len(all) > 0 {
				return all
			}
		}
		if s.Kind != wire.Count {
			add(slot.at, value, spread)
			continue
		}
		add(slot.at, value/float64(SlotLength), nil)
		if slot.stamped {
			continue
		}
		next := current
		if i+1 < len(s.slots) {
			next = min(next, s.slots[i+1].at)
		}
		for at := slot.at + SlotLength; at < next && at <= slot.at+countsOn; at += SlotLength {
			add(at, 0, nil)
		}
	}
	return all
}
