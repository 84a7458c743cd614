package localagent

import (
	"iter"
	"math"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/pb/sketchpb"
	"github.com/DataDog/sketches-go/ddsketch/store"
	"google.golang.org/protobuf/proto"
)

// distribution is how long spans took: a DDSketch of nanoseconds, with the 1 %
// accuracy of those in the tracers' statistics, so that these can be added.
// https://www.vldb.org/pvldb/vol12/p2195-masson.pdf
type distribution struct{ sketch *ddsketch.DDSketch }

// maxBins bounds a distribution, whatever comes: durations that differ by a
// factor of 25,000 have a bin each, the shortest beyond that share one.
const maxBins = 512

// distributionSize is what one takes in memory, in bytes: durations that differ
// by a factor of ten have 115 bins of eight bytes, and room to grow.
const distributionSize = 2 << 10

var accuracy = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(0.01)
	if err != nil {
		panic(err) // 0.01 is a relative accuracy
	}
	return m
}()

func bins() store.Store { return store.NewCollapsingLowestDenseStore(maxBins) }

func newDistribution() *distribution {
	return &distribution{ddsketch.NewDDSketchFromStoreProvider(accuracy, bins)}
}

// add counts a duration, of one span that stands for weight of them.
func (d *distribution) add(duration time.Duration, weight float64) {
	// An error is a number out of range, which this cannot be.
	_ = d.sketch.AddWithCount(float64(max(duration, 1)), weight)
}

// merge adds what is in another; nil has nothing.
func (d *distribution) merge(o *distribution) {
	if o != nil {
		_ = d.sketch.MergeWith(o.sketch) // an error is another accuracy
	}
}

// decode adds a sketch as it is in statistics. One that cannot be read, or is of
// another accuracy, is left out: the hits are counted apart from it.
func (d *distribution) decode(data []byte) {
	var in sketchpb.DDSketch
	if len(data) == 0 || proto.Unmarshal(data, &in) != nil || in.GetMapping() == nil {
		return
	}
	read, err := ddsketch.FromProtoWithStoreProvider(&in, bins)
	if err == nil && read.GetCount() > 0 && !math.IsInf(read.GetCount(), 0) {
		_ = d.sketch.MergeWith(read) // an error is another accuracy
	}
}

// quantile is 0 when there are no durations.
func (d *distribution) quantile(q float64) time.Duration {
	v, err := d.sketch.GetValueAtQuantile(q)
	if err != nil {
		return 0
	}
	return asDuration(v)
}

// asDuration bounds what a sketch of somebody's making may say.
func asDuration(v float64) time.Duration {
	const longest = 1000 * time.Hour
	return time.Duration(max(min(v, float64(longest)), 1))
}

// bounds are the shortest and more than the longest; both are 0 when there are
// none.
func (d *distribution) bounds() (least, most time.Duration) {
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

// all are the durations, and how many spans took each.
func (d *distribution) all() iter.Seq2[time.Duration, float64] {
	return func(yield func(time.Duration, float64) bool) {
		d.sketch.ForEach(func(value, count float64) bool { return !yield(asDuration(value), count) })
	}
}

// distributions bounds how many there are: the oldest make room.
type distributions struct {
	most int
	kept []*tally
}

// of returns the distribution of a tally, a new one when it has none.
func (d *distributions) of(t *tally) *distribution {
	if t.durations == nil {
		t.durations = newDistribution()
		d.kept = append(d.kept, t)
		for len(d.kept) > max(d.most, 1) {
			d.kept[0].durations = nil
			d.kept[0] = nil
			d.kept = d.kept[1:]
		}
	}
	return t.durations
}
