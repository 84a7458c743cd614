package query

import (
	"math"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Sketch has the values of a distribution: quantiles are accurate to 1 %.
type Sketch struct {
	values *ddsketch.DDSketch
	// unit is a unit of the values in the sketch, in the metric's unit.
	unit                 float64
	count, sum, min, max float64
}

// maxBins bounds a sketch: 2048 bins, as in the Agent.
const maxBins = 2048

var accuracy = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(0.01)
	if err != nil {
		panic(err) // 0.01 is a relative accuracy
	}
	return m
}()

func bins() store.Store { return store.NewCollapsingLowestDenseStore(maxBins) }

// NewSketch returns an empty sketch.
func NewSketch() *Sketch { return newSketch(1) }

func newSketch(unit float64) *Sketch {
	return &Sketch{values: ddsketch.NewDDSketchFromStoreProvider(accuracy, bins), unit: unit, min: math.Inf(1), max: math.Inf(-1)}
}

// SketchOf returns a sketch of values that somebody else counted, with a relative accuracy
// of 1 %. unit is a unit of its values in the metric's unit: 1e-9 for nanoseconds of a
// metric in seconds. Sum, minimum and maximum are then accurate to 1 %, too. The values
// must not change afterwards.
func SketchOf(values *ddsketch.DDSketch, unit float64) *Sketch {
	s := &Sketch{values: values, unit: unit, min: math.Inf(1), max: math.Inf(-1)}
	if values.IsEmpty() {
		return s
	}
	s.count, s.sum = values.GetCount(), values.GetSum()*unit
	if v, err := values.GetMinValue(); err == nil {
		s.min = v * unit
	}
	if v, err := values.GetMaxValue(); err == nil {
		s.max = v * unit
	}
	return s
}

// Add counts a value weight times. It ignores values that are not finite.
func (s *Sketch) Add(value, weight float64) {
	if s.values.AddWithCount(value/s.unit, weight) != nil {
		return
	}
	s.count += weight
	s.sum += value * weight
	s.min, s.max = min(s.min, value), max(s.max, value)
}

// Merge adds the values of another sketch.
func (s *Sketch) Merge(o *Sketch) {
	if o == nil || o.count == 0 {
		return
	}
	if o.unit == s.unit {
		if s.values.MergeWith(o.values) != nil { // another accuracy
			return
		}
	} else {
		o.values.ForEach(func(value, count float64) bool {
			_ = s.values.AddWithCount(value*o.unit/s.unit, count)
			return false
		})
	}
	s.count += o.count
	s.sum += o.sum
	s.min, s.max = min(s.min, o.min), max(s.max, o.max)
}

// merged returns a new sketch of all values. The sketches do not change.
func merged(all []*Sketch) *Sketch {
	unit := 1.0
	for _, s := range all {
		if s != nil {
			unit = s.unit
			break
		}
	}
	sum := newSketch(unit)
	for _, s := range all {
		sum.Merge(s)
	}
	return sum
}

// Count returns the number of values.
func (s *Sketch) Count() float64 { return s.count }

// Quantile returns a quantile, such as 0.99. It is NaN for an empty sketch.
func (s *Sketch) Quantile(q float64) float64 {
	v, err := s.values.GetValueAtQuantile(q)
	if err != nil {
		return math.NaN()
	}
	return min(max(v*s.unit, s.min), s.max)
}
