package series

import (
	"iter"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/pb/sketchpb"
	"github.com/DataDog/sketches-go/ddsketch/store"
	"google.golang.org/protobuf/proto"
)

// Distribution is a DDSketch of the durations of spans, in nanoseconds. Its accuracy
// is 1 %, like that of the sketches in tracers' statistics, so that these can be
// merged.
// https://www.vldb.org/pvldb/vol12/p2195-masson.pdf
type Distribution struct{ sketch *ddsketch.DDSketch }

// maxBins bounds a distribution. 512 bins cover durations that differ by a factor of
// 25,000; shorter ones share the lowest bin.
const maxBins = 512

// DistributionSize estimates a distribution in memory, in bytes: durations that
// differ by a factor of ten have 115 bins of eight bytes, and slices have spare
// capacity.
const DistributionSize = 2 << 10

var accuracy = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(0.01)
	if err != nil {
		panic(err) // 0.01 is a relative accuracy
	}
	return m
}()

func bins() store.Store { return store.NewCollapsingLowestDenseStore(maxBins) }

// fewBins are for reduced distributions.
func fewBins() store.Store { return store.NewSparseStore() }

// NewDistribution returns an empty distribution.
func NewDistribution() *Distribution {
	return &Distribution{ddsketch.NewDDSketchFromStoreProvider(accuracy, bins)}
}

// Add counts a duration weight times.
func (d *Distribution) Add(duration time.Duration, weight float64) {
	// An error means that the number is out of range; this one never is.
	_ = d.sketch.AddWithCount(float64(max(duration, 1)), weight)
}

// AddValue counts a value of any unit weight times. It returns false if the value is too
// large.
func (d *Distribution) AddValue(value, weight float64) bool {
	return d.sketch.AddWithCount(value, weight) == nil
}

// Value returns a quantile of values of any unit; 0 if the distribution is empty.
func (d *Distribution) Value(q float64) float64 {
	v, err := d.sketch.GetValueAtQuantile(q)
	if err != nil {
		return 0
	}
	return v
}

// Count returns the number of values.
func (d *Distribution) Count() float64 { return d.sketch.GetCount() }

// CountUpTo returns the number of values that are not above a bound. Values within 1 % of
// the bound may be on either side.
func (d *Distribution) CountUpTo(bound float64) (n float64) {
	d.sketch.ForEach(func(value, count float64) bool {
		if value <= bound {
			n += count
		}
		return false
	})
	return n
}

// kept are the quantiles of a reduced distribution.
var kept = []float64{0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1}

// reduced returns a small distribution with the same number of values. Its quantiles that
// are kept are the ones of d, the others are the next one above.
func (d *Distribution) reduced() *Distribution {
	small := &Distribution{ddsketch.NewDDSketchFromStoreProvider(accuracy, fewBins)}
	for i, q := range kept[1:] {
		if share := (q - kept[i]) * d.Count(); share > 0 {
			small.AddValue(d.Value(q), share)
		}
	}
	return small
}

// Clone returns a copy; nil of nil.
func (d *Distribution) Clone() *Distribution {
	if d == nil {
		return nil
	}
	return &Distribution{d.sketch.Copy()}
}

// Sketch returns the distribution as a DDSketch; an empty one of nil.
func (d *Distribution) Sketch() *ddsketch.DDSketch {
	if d == nil {
		return NewDistribution().sketch
	}
	return d.sketch
}

// Merge adds another distribution, which may be nil.
func (d *Distribution) Merge(o *Distribution) {
	if o != nil {
		_ = d.sketch.MergeWith(o.sketch) // an error means another accuracy
	}
}

// Decode adds an encoded sketch of statistics, if there is one. It returns false for
// a sketch that is malformed, has another accuracy or counts that are impossible: hits
// are counted separately.
func (d *Distribution) Decode(data []byte) bool {
	if len(data) == 0 {
		return true
	}
	read, ok := decoded(data, bins)
	if !ok {
		return false
	}
	possible := func(count float64) bool { return count >= 0 && count <= MaxHits } // false for NaN
	all := possible(read.GetCount())
	read.ForEach(func(_, count float64) bool {
		all = all && possible(count)
		return !all
	})
	return all && d.sketch.MergeWith(read) == nil
}

// decoded returns an encoded sketch; false if it is malformed.
func decoded(data []byte, bins store.Provider) (*ddsketch.DDSketch, bool) {
	var in sketchpb.DDSketch
	if proto.Unmarshal(data, &in) != nil || in.GetMapping() == nil {
		return nil, false
	}
	read, err := ddsketch.FromProtoWithStoreProvider(&in, bins)
	return read, err == nil
}

// Quantile returns 0 if the distribution is empty.
func (d *Distribution) Quantile(q float64) time.Duration {
	if d.sketch.IsEmpty() {
		return 0
	}
	return asDuration(d.Value(q))
}

// asDuration bounds a value: sketches of clients may contain any number.
func asDuration(v float64) time.Duration {
	const longest = 1000 * time.Hour
	return time.Duration(max(min(v, float64(longest)), 1))
}

// Bounds returns the shortest duration, and the longest plus one nanosecond; 0 and
// 0 if the distribution is empty.
func (d *Distribution) Bounds() (least, most time.Duration) {
	low, err := d.sketch.GetMinValue()
	if err != nil {
		return 0, 0
	}
	high, err := d.sketch.GetMaxValue()
	if err != nil {
		return 0, 0
	}
	return asDuration(low), asDuration(high) + 1
}

// All returns the durations and the number of spans of each.
func (d *Distribution) All() iter.Seq2[time.Duration, float64] {
	return func(yield func(time.Duration, float64) bool) {
		d.sketch.ForEach(func(value, count float64) bool { return !yield(asDuration(value), count) })
	}
}
