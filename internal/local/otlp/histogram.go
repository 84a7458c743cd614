package otlp

import (
	"cmp"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"apmapp/internal/local/wire"
)

// maxBuckets bounds the buckets of a point that are not empty. SDKs have up to 160 for
// each sign.
const maxBuckets = 1_000

// histogram is a data point of either type of histogram.
type histogram struct {
	count         uint64
	sum, min, max float64 // NaN if unknown
	bins          []bin   // that are not empty, in ascending order
	bounds        []float64
	// exponential histograms have a scale instead of bounds.
	exponential bool
	scale       int
	refused     string // why the point is refused
}

// bin is a bucket. The key of an explicit one is its index, that of an exponential one
// its index plus exponentialKey, with a minus for negative values; 0 is the bucket of
// zeros.
type bin struct {
	key   int64
	count uint64
}

// exponentialKey makes keys of indices, which have 32 bits and a sign, positive.
const exponentialKey = 1 << 33

// explicit reads a histogram with explicit bounds. One without buckets gets one bin
// for all values.
func explicit(p pmetric.HistogramDataPoint) *histogram {
	h := &histogram{count: p.Count(), bounds: p.ExplicitBounds().AsRaw()}
	h.sum, h.min, h.max = h.known(p.HasSum(), p.Sum()), h.known(p.HasMin(), p.Min()), h.known(p.HasMax(), p.Max())
	counts := p.BucketCounts()
	switch {
	case counts.Len() == 0 && len(h.bounds) == 0:
		h.put(0, p.Count())
	case counts.Len() != len(h.bounds)+1:
		h.refuse(malformedPoint)
		return h
	}
	for i := range counts.Len() {
		h.put(int64(i), counts.At(i))
	}
	for i, bound := range h.bounds {
		if !finite(bound) {
			h.refuse(notFinite)
		}
		if i > 0 && bound <= h.bounds[i-1] {
			h.refuse(malformedPoint)
		}
	}
	return h.checked()
}

// exponential reads an exponential histogram.
func exponential(p pmetric.ExponentialHistogramDataPoint) *histogram {
	h := &histogram{count: p.Count(), exponential: true, scale: int(p.Scale())}
	h.sum, h.min, h.max = h.known(p.HasSum(), p.Sum()), h.known(p.HasMin(), p.Min()), h.known(p.HasMax(), p.Max())
	h.put(0, p.ZeroCount())
	for i := range p.Positive().BucketCounts().Len() {
		h.put(exponentialKey+int64(p.Positive().Offset())+int64(i), p.Positive().BucketCounts().At(i))
	}
	for i := range p.Negative().BucketCounts().Len() {
		h.put(-exponentialKey-int64(p.Negative().Offset())-int64(i), p.Negative().BucketCounts().At(i))
	}
	slices.SortFunc(h.bins, func(a, b bin) int { return cmp.Compare(a.key, b.key) })
	return h.checked()
}

// known returns a value, NaN if it is unknown.
func (h *histogram) known(has bool, value float64) float64 {
	switch {
	case !has || h.count == 0:
		return math.NaN()
	case !finite(value):
		h.refuse(notFinite)
	}
	return value
}

func (h *histogram) put(key int64, count uint64) {
	switch {
	case count == 0:
	case len(h.bins) == maxBuckets:
		h.refuse(tooManyBuckets)
	default:
		h.bins = append(h.bins, bin{key, count})
	}
}

// refuse sets the reason unless there is one.
func (h *histogram) refuse(reason string) { h.refused = cmp.Or(h.refused, reason) }

// checked refuses a histogram whose buckets have another number of values than it
// counts, or values that are not finite.
func (h *histogram) checked() *histogram {
	total := uint64(0)
	for _, b := range h.bins {
		if total += b.count; total < b.count { // overflow
			h.refuse(malformedPoint)
		}
		if low, high := h.limits(b.key); low == math.Inf(1) || high == math.Inf(-1) {
			h.refuse(notFinite)
		}
	}
	if total != h.count || h.min > h.max {
		h.refuse(malformedPoint)
	}
	return h
}

// limits returns the bounds of a bin. They may be infinite.
func (h *histogram) limits(key int64) (low, high float64) {
	power := func(index int64) float64 { return math.Exp2(math.Ldexp(float64(index), -h.scale)) }
	switch {
	case !h.exponential:
		low, high = math.Inf(-1), math.Inf(1)
		if key > 0 {
			low = h.bounds[key-1]
		}
		if key < int64(len(h.bounds)) {
			high = h.bounds[key]
		}
		return low, high
	case key > 0:
		return power(key - exponentialKey), power(key - exponentialKey + 1)
	case key < 0:
		return -power(-key - exponentialKey + 1), -power(-key - exponentialKey)
	}
	return 0, 0 // zeros
}

// minus returns the histogram of the values since an earlier one. It returns false if
// that is not possible: the program began again and kept the start time.
func (h *histogram) minus(earlier *histogram) (*histogram, bool) {
	if h.exponential != earlier.exponential || !slices.Equal(h.bounds, earlier.bounds) || h.scale > earlier.scale || h.count < earlier.count {
		return nil, false
	}
	before := map[int64]uint64{}
	for _, b := range earlier.bins {
		before[coarser(b.key, earlier.scale-h.scale)] += b.count
	}
	since := &histogram{
		count: h.count - earlier.count, sum: h.sum - earlier.sum, min: math.NaN(), max: math.NaN(),
		bounds: h.bounds, exponential: h.exponential, scale: h.scale,
	}
	for _, b := range h.bins {
		if b.count < before[b.key] {
			return nil, false
		}
		since.put(b.key, b.count-before[b.key])
		delete(before, b.key)
	}
	return since, len(before) == 0
}

// coarser returns the key of an exponential bin at a scale that is lower by some steps:
// SDKs lower it when the range of values grows.
func coarser(key int64, steps int) int64 {
	switch {
	case key > 0:
		return (key-exponentialKey)>>steps + exponentialKey
	case key < 0:
		return -((-key-exponentialKey)>>steps + exponentialKey)
	}
	return key
}

// histogram adds a histogram as a distribution.
func (b *batch) histogram(tags []string, p dataPoint, at time.Time, temporality pmetric.AggregationTemporality, h *histogram) string {
	if h.refused != "" {
		return h.refused
	}
	switch temporality {
	case pmetric.AggregationTemporalityDelta:
		b.distribution(tags, h)
		return ""
	case pmetric.AggregationTemporalityCumulative:
	default:
		return noTemporality
	}
	if b.streams.bins+len(h.bins) > maxBins {
		return tooManyStreams
	}
	s, known, reason := b.streams.next(b.stream(p, ""), p.StartTimestamp(), at, b.now)
	if reason != "" {
		return reason
	}
	since := h
	if s.histogram != nil {
		if d, ok := h.minus(s.histogram); ok {
			since = d
		}
	}
	b.streams.keep(s, h)
	if known {
		b.distribution(tags, since)
	}
	return ""
}

func (b *batch) distribution(tags []string, h *histogram) {
	for _, v := range h.values() {
		b.sample(wire.Sample{Name: b.name, Type: wire.Distribution, Values: v.values, Weight: v.weight, Tags: tags})
	}
}

// valued is values with the number of times that each occurs.
type valued struct {
	values []float64
	weight float64
	// low and high bound the values. Those of an open bucket may be beyond.
	low, high            float64
	openBelow, openAbove bool
}

// perBin is the number of values that stand for those of a bucket.
const perBin = 8

// values returns values that have the count, the sum, the smallest and the largest
// value of the histogram, and are spread evenly in its buckets.
func (h *histogram) values() []valued {
	var all []valued
	one := func(v float64) { all = append(all, valued{values: []float64{v}, weight: 1, low: v, high: v}) }
	bins := slices.Clone(h.bins)
	if n := len(bins); !math.IsNaN(h.max) { // it counts something
		one(h.max)
		bins[n-1].count--
	}
	if !math.IsNaN(h.min) && bins[0].count > 0 {
		one(h.min)
		bins[0].count--
	}
	for _, b := range bins {
		if b.count == 0 {
			continue
		}
		low, high := h.limits(b.key)
		if low < h.min && h.min <= high { // false for NaN
			low = h.min
		}
		if high > h.max && h.max >= low {
			high = h.max
		}
		all = append(all, spread(low, high, b.count))
	}
	if !math.IsNaN(h.sum) {
		fit(all, h.sum)
	}
	return all
}

// spread returns count values between two bounds. An open bucket ends at twice its
// bound, or at 0 if that is inside.
func spread(low, high float64, count uint64) valued {
	v := valued{low: low, high: high, openBelow: math.IsInf(low, -1), openAbove: math.IsInf(high, 1)}
	switch {
	case v.openBelow && v.openAbove:
		v.low, v.high = 0, 0
	case v.openBelow:
		v.low = min(2*high, 0)
	case v.openAbove:
		v.high = max(2*low, 0)
	}
	n := int(min(count, perBin))
	for i := range n {
		v.values = append(v.values, v.low+(v.high-v.low)*(float64(i)+0.5)/float64(n))
	}
	v.weight = float64(count) / float64(n)
	return v
}

// fit moves the values so that their sum is the given one: all towards the bound of
// their bucket, in proportion to their distance from it. If that is not enough, those
// of an open bucket take the rest.
func fit(all []valued, sum float64) {
	missing := sum
	for _, v := range all {
		for _, value := range v.values {
			missing -= value * v.weight
		}
	}
	up := missing > 0
	bound := func(v valued) float64 {
		if up {
			return v.high
		}
		return v.low
	}
	room := 0.0
	for _, v := range all {
		for _, value := range v.values {
			room += (bound(v) - value) * v.weight
		}
	}
	if room != 0 {
		share := min(missing/room, 1)
		for _, v := range all {
			for i, value := range v.values {
				v.values[i] += share * (bound(v) - value)
			}
		}
		missing -= share * room
	}
	for _, v := range all {
		if up && v.openAbove || !up && v.openBelow {
			for i := range v.values {
				v.values[i] += missing / v.weight / float64(len(v.values))
			}
			return
		}
	}
}
