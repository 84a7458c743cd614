package query

import (
	"math"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch"
)

// A sketch that somebody else counted in nanoseconds is read in seconds.
func TestSketchOf(t *testing.T) {
	counted := ddsketch.NewDDSketchFromStoreProvider(accuracy, bins)
	for i := range 100 {
		if err := counted.Add(float64(i+1) * 1e9); err != nil {
			t.Fatal(err)
		}
	}
	s := SketchOf(counted, 1e-9)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.011*want {
			t.Errorf("%s is %g, want %g", what, got, want)
		}
	}
	near("the count", s.Count(), 100)
	near("the sum", s.sum, 5050)
	near("the least", s.min, 1)
	near("the most", s.max, 100)
	near("p50", s.Quantile(0.5), 50)
	near("p99", s.Quantile(0.99), 99)
	all := NewSketch() // in seconds
	all.Add(1000, 100)
	all.Merge(s)
	all.Merge(nil)
	all.Merge(NewSketch())
	near("the count of both", all.Count(), 200)
	near("the sum of both", all.sum, 105050)
	near("p25 of both", all.Quantile(0.25), 50)
	near("p75 of both", all.Quantile(0.75), 1000)
	near("p50 of the first, still", s.Quantile(0.5), 50)
	if empty := SketchOf(ddsketch.NewDDSketchFromStoreProvider(accuracy, bins), 1); empty.Count() != 0 || !math.IsNaN(empty.Quantile(0.5)) {
		t.Errorf("an empty sketch has %g values and the median %g", empty.Count(), empty.Quantile(0.5))
	}
	odd := NewSketch()
	odd.Add(math.NaN(), 1)
	odd.Add(math.Inf(1), 1)
	odd.Add(1, -1)
	odd.Add(-3, 2)
	odd.Add(0, 1)
	if odd.Count() != 3 || odd.min != -3 || odd.max != 0 || odd.sum != -6 {
		t.Errorf("%g values from %g to %g, sum %g; want 3 from -3 to 0, sum -6", odd.Count(), odd.min, odd.max, odd.sum)
	}
}

// Quantiles are within the values, although a bin is 2 % wide.
func TestQuantilesAreWithinTheValues(t *testing.T) {
	s := NewSketch()
	s.Add(0.05, 10)
	for _, q := range []float64{0, 0.5, 1} {
		if got := s.Quantile(q); got != 0.05 {
			t.Errorf("quantile %g is %g, want 0.05", q, got)
		}
	}
}
