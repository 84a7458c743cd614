package otlp

import (
	"fmt"
	"math"
	"testing"
	"testing/quick"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"apmapp/internal/local/wire"
)

// described returns count, sum, smallest and largest of distributions.
func described(samples []wire.Sample) (count, sum, least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, s := range samples {
		for _, v := range s.Values {
			count += s.Weight
			sum += v * s.Weight
			least, most = min(least, v), max(most, v)
		}
	}
	return count, sum, least, most
}

// buckets adds a histogram with one point.
func buckets(m pmetric.Metric, temporality pmetric.AggregationTemporality, at time.Duration, bounds []float64, counts []uint64, sum float64) pmetric.HistogramDataPoint {
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(temporality)
	p := h.DataPoints().AppendEmpty()
	p.SetStartTimestamp(ago(5 * time.Second))
	p.SetTimestamp(ago(at))
	p.ExplicitBounds().FromRaw(bounds)
	p.BucketCounts().FromRaw(counts)
	for _, n := range counts {
		p.SetCount(p.Count() + n)
	}
	if !math.IsNaN(sum) {
		p.SetSum(sum)
	}
	return p
}

var unknown = math.NaN()

func TestHistograms(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(pmetric.Metric)
		want string
	}{
		{"values are spread in their bucket", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10, 20}, []uint64{0, 2, 0}, unknown) },
			"orders d [12.5 17.5] service:shop"},
		{"many values in a bucket", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{0, 8}, []uint64{0, 16, 0}, unknown) },
			"orders d [0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5] x2 service:shop"},
		{"the sum moves them", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10, 20}, []uint64{0, 2, 0}, 39) },
			"orders d [19.25 19.75] service:shop"},
		{"and down", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10, 20}, []uint64{0, 2, 0}, 21) },
			"orders d [10.25 10.75] service:shop"},
		{"but not out of the bucket", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10, 20}, []uint64{0, 2, 0}, 1000) },
			"orders d [20 20] service:shop"},
		{"the last bucket ends at twice its bound", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10}, []uint64{0, 2}, unknown) },
			"orders d [12.5 17.5] service:shop"},
		{"or later if the sum shows it", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10}, []uint64{0, 2}, 100) },
			"orders d [50 50] service:shop"},
		{"the first bucket begins at 0", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10}, []uint64{2, 0}, unknown) },
			"orders d [2.5 7.5] service:shop"},
		{"or below if the sum shows it", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10}, []uint64{2, 0}, -10) },
			"orders d [-5 -5] service:shop"},
		{"negative bounds", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{-20, -10}, []uint64{1, 0, 1}, unknown) }, `
			orders d [-30] service:shop
			orders d [-5] service:shop`},
		{"without buckets", func(m pmetric.Metric) { buckets(m, delta, 0, nil, []uint64{4}, 20) }, "orders d [5 5 5 5] service:shop"},
		{"without buckets and sum", func(m pmetric.Metric) { buckets(m, delta, 0, nil, []uint64{1}, unknown) }, "orders d [0] service:shop"},
		{"only count and sum", func(m pmetric.Metric) { buckets(m, delta, 0, nil, nil, 20).SetCount(4) }, "orders d [5 5 5 5] service:shop"},
		{"empty", func(m pmetric.Metric) {
			buckets(m, delta, 0, []float64{10}, []uint64{0, 0}, math.NaN()).SetSum(math.NaN())
		}, ""},
		{"smallest and largest", func(m pmetric.Metric) {
			p := buckets(m, delta, 0, []float64{10, 20}, []uint64{1, 2, 1}, 4+15+15+70)
			p.SetMin(4)
			p.SetMax(70)
		}, `
			orders d [12.5 17.5] service:shop
			orders d [4] service:shop
			orders d [70] service:shop`},
		{"one value", func(m pmetric.Metric) {
			p := buckets(m, delta, 0, []float64{10}, []uint64{0, 1}, 70)
			p.SetMin(70)
			p.SetMax(70)
		}, "orders d [70] service:shop"},
		{"smallest and largest narrow their buckets", func(m pmetric.Metric) {
			p := buckets(m, delta, 0, []float64{10, 20}, []uint64{0, 3, 0}, unknown)
			p.SetMin(12)
			p.SetMax(14)
		}, `
			orders d [12] service:shop
			orders d [13] service:shop
			orders d [14] service:shop`},
		{"smallest and largest outside of their buckets", func(m pmetric.Metric) {
			p := buckets(m, delta, 0, []float64{10, 20}, []uint64{0, 4, 0}, unknown)
			p.SetMin(50)
			p.SetMax(60)
		}, `
			orders d [12.5 17.5] service:shop
			orders d [50] service:shop
			orders d [60] service:shop`},
		{"smallest above the largest", func(m pmetric.Metric) {
			p := buckets(m, delta, 0, []float64{10}, []uint64{0, 1}, 1)
			p.SetMin(2)
			p.SetMax(1)
		}, "refused 1: malformed histogram"},
		{"sum that is not finite", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{10}, []uint64{0, 1}, math.Inf(1)) }, "refused 1: value is not finite"},
		{"smallest that is not finite", func(m pmetric.Metric) {
			buckets(m, delta, 0, []float64{10}, []uint64{0, 1}, 1).SetMin(math.NaN())
		}, "refused 1: value is not finite"},
		{"largest that is not finite", func(m pmetric.Metric) {
			buckets(m, delta, 0, []float64{10}, []uint64{0, 1}, 1).SetMax(math.Inf(1))
		}, "refused 1: value is not finite"},
		{"bound that is not finite", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{math.NaN()}, []uint64{0, 1}, 1) }, "refused 1: value is not finite"},
		{"equal bounds", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{1, 1}, []uint64{0, 1, 0}, 1) }, "refused 1: malformed histogram"},
		{"a bucket too few", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{1, 2}, []uint64{0, 1}, 1) }, "refused 1: malformed histogram"},
		{"a bucket too many", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{1}, []uint64{0, 1, 1}, 1) }, "refused 1: malformed histogram"},
		{"bounds without buckets", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{1}, nil, 1) }, "refused 1: malformed histogram"},
		{"another count", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{1}, []uint64{1, 1}, 1).SetCount(3) }, "refused 1: malformed histogram"},
		{"counts that overflow", func(m pmetric.Metric) { buckets(m, delta, 0, []float64{1}, []uint64{1 << 63, 1 << 63}, 1) }, "refused 1: malformed histogram"},
		{"no temporality", func(m pmetric.Metric) { buckets(m, 0, 0, []float64{1}, []uint64{1, 0}, 1) }, "refused 1: no aggregation temporality"},
	} {
		check(t, c.name, decoded(newStreams(), export(c.fill), now), c.want)
	}
}

// TestHistogramsKeepTheirNumbers: count, sum, smallest and largest value remain those
// that an SDK had before it put values in buckets.
func TestHistogramsKeepTheirNumbers(t *testing.T) {
	bounds := []float64{0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000} // of SDKs
	same := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1) }
	err := quick.Check(func(raw []uint16) bool {
		counts := make([]uint64, len(bounds)+1)
		sum, least, most := 0.0, math.Inf(1), math.Inf(-1)
		for _, r := range raw {
			v := float64(r) / 4
			i := 0
			for i < len(bounds) && v > bounds[i] {
				i++
			}
			counts[i]++
			sum, least, most = sum+v, min(least, v), max(most, v)
		}
		samples, refused := newStreams().decode(export(func(m pmetric.Metric) {
			p := buckets(m, delta, 0, bounds, counts, sum)
			p.SetMin(least)
			p.SetMax(most)
		}), now)
		n, gotSum, gotLeast, gotMost := described(samples)
		return len(refused) == 0 && same(n, float64(len(raw))) && (len(raw) == 0 || same(gotSum, sum) && gotLeast == least && gotMost == most)
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestCumulativeHistograms(t *testing.T) {
	type point struct {
		at     time.Duration
		bounds []float64
		counts []uint64
		sum    float64
		want   string
	}
	for name, points := range map[string][]point{
		"differences": {
			{4 * time.Second, []float64{10, 20}, []uint64{0, 1, 0}, 15, "orders d [15] service:shop"},
			{3 * time.Second, []float64{10, 20}, []uint64{0, 3, 0}, 51, "orders d [17 19] service:shop"},
			{3 * time.Second, []float64{10, 20}, []uint64{0, 3, 0}, 51, "refused 1: " + outOfOrder},
			{2 * time.Second, []float64{10, 20}, []uint64{0, 3, 0}, 51, ""},
			{1 * time.Second, []float64{10, 20}, []uint64{1, 3, 0}, 52, "orders d [1] service:shop"},
		},
		"a bucket decreases": {
			{4 * time.Second, []float64{10, 20}, []uint64{2, 1, 0}, unknown, "orders d [15] service:shop\norders d [2.5 7.5] service:shop"},
			{3 * time.Second, []float64{10, 20}, []uint64{1, 3, 0}, unknown, "orders d [11.6667 15 18.3333] service:shop\norders d [5] service:shop"},
		},
		"a bucket becomes empty": {
			{4 * time.Second, []float64{10, 20}, []uint64{2, 1, 0}, unknown, "orders d [15] service:shop\norders d [2.5 7.5] service:shop"},
			{3 * time.Second, []float64{10, 20}, []uint64{0, 3, 0}, unknown, "orders d [11.6667 15 18.3333] service:shop"},
		},
		"other bounds": {
			{4 * time.Second, []float64{10, 20}, []uint64{0, 1, 0}, 15, "orders d [15] service:shop"},
			{3 * time.Second, []float64{10, 30}, []uint64{0, 2, 0}, 30, "orders d [12.5 17.5] service:shop"},
		},
	} {
		s := newStreams()
		for i, p := range points {
			got := decoded(s, export(func(m pmetric.Metric) { buckets(m, cumulative, p.at, p.bounds, p.counts, p.sum) }), now)
			check(t, fmt.Sprintf("%s, point %d", name, i), got, p.want)
		}
	}
}

// exponents adds an exponential histogram with one point.
func exponents(m pmetric.Metric, temporality pmetric.AggregationTemporality, at time.Duration, scale, offset int32, counts []uint64) pmetric.ExponentialHistogramDataPoint {
	h := m.SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(temporality)
	p := h.DataPoints().AppendEmpty()
	p.SetStartTimestamp(ago(5 * time.Second))
	p.SetTimestamp(ago(at))
	p.SetScale(scale)
	p.Positive().SetOffset(offset)
	p.Positive().BucketCounts().FromRaw(counts)
	for _, n := range counts {
		p.SetCount(p.Count() + n)
	}
	return p
}

func TestExponentialHistograms(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(pmetric.Metric)
		want string
	}{
		{"powers of 2", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 3, []uint64{1, 0, 2}) }, `
			orders d [12] service:shop
			orders d [40 56] service:shop`},
		{"negative offset", func(m pmetric.Metric) { exponents(m, delta, 0, 0, -2, []uint64{1}) }, "orders d [0.375] service:shop"},
		{"finer", func(m pmetric.Metric) { exponents(m, delta, 0, 1, 6, []uint64{1}) }, "orders d [9.65685] service:shop"},
		{"coarser", func(m pmetric.Metric) { exponents(m, delta, 0, -1, 1, []uint64{1}) }, "orders d [10] service:shop"},
		{"zeros, negative values and the sum", func(m pmetric.Metric) {
			p := exponents(m, delta, 0, 0, 0, []uint64{1})
			p.Negative().SetOffset(1)
			p.Negative().BucketCounts().FromRaw([]uint64{1, 1})
			p.SetZeroCount(3)
			p.SetCount(6)
			p.SetSum(-3 - 6 + 2)
		}, `
			orders d [-2.85714] service:shop
			orders d [-5.71429] service:shop
			orders d [0 0 0] service:shop
			orders d [1.57143] service:shop`},
		{"largest", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 3, []uint64{2}).SetMax(9) }, `
			orders d [8.5] service:shop
			orders d [9] service:shop`},
		{"smallest", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 3, []uint64{2}).SetMin(15) }, `
			orders d [15.5] service:shop
			orders d [15] service:shop`},
		{"the last float", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 1022, []uint64{1}) }, "orders d [6.74135e+307] service:shop"},
		{"beyond floats", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 1024, []uint64{1}) }, "refused 1: value is not finite"},
		{"beyond floats, negative", func(m pmetric.Metric) {
			p := exponents(m, delta, 0, 0, 0, nil)
			p.Negative().SetOffset(1024)
			p.Negative().BucketCounts().FromRaw([]uint64{1})
			p.SetCount(1)
		}, "refused 1: value is not finite"},
		{"below floats", func(m pmetric.Metric) { exponents(m, delta, 0, 0, math.MinInt32, []uint64{1}) }, "orders d [0] service:shop"},
		{"scale beyond floats", func(m pmetric.Metric) { exponents(m, delta, 0, math.MinInt32, 1, []uint64{1}) }, "refused 1: value is not finite"},
		{"scale below floats", func(m pmetric.Metric) { exponents(m, delta, 0, math.MaxInt32, 1, []uint64{1}) }, "orders d [1] service:shop"},
		{"sum that is not finite", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 0, []uint64{1}).SetSum(math.NaN()) }, "refused 1: value is not finite"},
		{"another count", func(m pmetric.Metric) { exponents(m, delta, 0, 0, 0, []uint64{1}).SetCount(2) }, "refused 1: malformed histogram"},
		{"as many buckets as allowed", func(m pmetric.Metric) { exponents(m, delta, 0, 20, 0, ones(maxBuckets)) }, "many"},
		{"too many buckets", func(m pmetric.Metric) { exponents(m, delta, 0, 20, 0, ones(maxBuckets+1)) }, "refused 1: too many buckets"},
		{"empty", func(m pmetric.Metric) { exponents(m, delta, 0, 20, 0, nil) }, ""},
	} {
		got := decoded(newStreams(), export(c.fill), now)
		if c.want == "many" {
			if samples, _ := newStreams().decode(export(c.fill), now); len(samples) != maxBuckets {
				t.Errorf("%s: %d samples, want %d", c.name, len(samples), maxBuckets)
			}
			continue
		}
		check(t, c.name, got, c.want)
	}
}

func ones(n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = 1
	}
	return all
}

// TestCumulativeExponentialHistograms: an SDK that lowers the scale merges buckets.
func TestCumulativeExponentialHistograms(t *testing.T) {
	type point struct {
		at            time.Duration
		scale, offset int32
		counts        []uint64
		want          string
	}
	for name, points := range map[string][]point{
		"differences": {
			{4 * time.Second, 0, 3, []uint64{1}, "orders d [12] service:shop"},
			{3 * time.Second, 0, 3, []uint64{2, 1}, "orders d [12] service:shop\norders d [24] service:shop"},
		},
		"lower scale": {
			{4 * time.Second, 1, 6, []uint64{1, 1}, "orders d [13.6569] service:shop\norders d [9.65685] service:shop"},
			{3 * time.Second, 0, 3, []uint64{3}, "orders d [12] service:shop"},
			{2 * time.Second, -2, 0, []uint64{5}, "orders d [4.75 12.25] service:shop"},
		},
		"lower scale with negative indices": {
			{4 * time.Second, 0, -3, []uint64{1, 1}, "orders d [0.1875] service:shop\norders d [0.375] service:shop"},
			{3 * time.Second, -1, -2, []uint64{1, 2}, "orders d [0.625] service:shop"},
		},
		"higher scale": {
			{4 * time.Second, 0, 3, []uint64{1}, "orders d [12] service:shop"},
			{3 * time.Second, 1, 6, []uint64{1}, "orders d [9.65685] service:shop"},
		},
		"scale of a hostile client": {
			{4 * time.Second, math.MaxInt32, -5, []uint64{1}, "orders d [1] service:shop"},
			{3 * time.Second, 0, -1, []uint64{2}, "orders d [0.75] service:shop"},
		},
	} {
		s := newStreams()
		for i, p := range points {
			got := decoded(s, export(func(m pmetric.Metric) { exponents(m, cumulative, p.at, p.scale, p.offset, p.counts) }), now)
			check(t, fmt.Sprintf("%s, point %d", name, i), got, p.want)
		}
	}
}

// TestNegativeExponentialBuckets: a lower scale merges negative buckets too.
func TestNegativeExponentialBuckets(t *testing.T) {
	s := newStreams()
	for i, c := range []struct {
		scale, offset int32
		counts        []uint64
		want          string
	}{
		{1, 6, []uint64{1, 1}, "orders d [-13.6569] service:shop\norders d [-9.65685] service:shop"},
		{0, 3, []uint64{3}, "orders d [-12] service:shop"},
	} {
		got := decoded(s, export(func(m pmetric.Metric) {
			p := exponents(m, cumulative, 4*time.Second-time.Duration(i), c.scale, 0, nil)
			p.Negative().SetOffset(c.offset)
			p.Negative().BucketCounts().FromRaw(c.counts)
			for _, n := range c.counts {
				p.SetCount(p.Count() + n)
			}
		}), now)
		check(t, fmt.Sprint(i), got, c.want)
	}
}

// TestBinsAreBounded: the buckets of cumulative histograms have a common limit, and
// leave with their series.
func TestBinsAreBounded(t *testing.T) {
	s := newStreams()
	in := func(n int) pmetric.Metrics {
		return export(func(m pmetric.Metric) {
			exponents(m, cumulative, time.Second, 20, 0, ones(maxBuckets)).Attributes().PutInt("n", int64(n))
		})
	}
	for i := range maxBins / maxBuckets {
		if _, refused := s.decode(in(i), now); len(refused) > 0 {
			t.Fatalf("%d: refused %v", i, refused)
		}
	}
	if _, refused := s.decode(in(-1), now); refused[tooManyStreams] != 1 {
		t.Errorf("refused %v, want 1", refused)
	}
	s.decode(pmetric.NewMetrics(), now.Add(window+time.Second))
	if s.bins != 0 || len(s.all) != 0 {
		t.Errorf("%d buckets of %d series remain", s.bins, len(s.all))
	}
}
