package openloop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram()
	if h.Count() != 0 || h.Max() != 0 || h.Mean() != 0 || h.Quantile(0.99) != 0 {
		t.Errorf("empty: %d, max %s, mean %s, p99 %s", h.Count(), h.Max(), h.Mean(), h.Quantile(0.99))
	}
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	near(t, "median", h.Quantile(0.5), 500*time.Millisecond, 0.001)
	near(t, "p99.9", h.Quantile(0.999), 999*time.Millisecond, 0.001)
	near(t, "longest", h.Max(), time.Second, 0.001)
	near(t, "mean", h.Mean(), 500500*time.Microsecond, 0.001)
	before := h.Clone()
	h.Merge(before)
	if h.Count() != 2000 || before.Count() != 1000 {
		t.Errorf("%d durations, its copy has %d, want 2,000 and 1,000", h.Count(), before.Count())
	}
}

// rank returns the p-th percentile of sorted durations by its definition, in whole
// numbers: the shortest one that p % did not exceed. p is in units of 0.0001 %.
func rank(sorted []time.Duration, p int) time.Duration {
	for i, d := range sorted {
		if (i+1)*1_000_000 >= p*len(sorted) {
			return d
		}
	}
	return 0
}

// Two of 160 requests took 500 ms. 158 requests are less than 99 % of them.
func TestTailOfFewRequests(t *testing.T) {
	h, s := NewHistogram(), newSummaryHistogram()
	for i := range 160 {
		d := 5 * time.Millisecond
		if i%80 == 7 {
			d = 500 * time.Millisecond
		}
		h.Record(d)
		if err := s.RecordValue(int64(d)); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.Quantile(0.99); got != 500*time.Millisecond {
		t.Errorf("p99 %s, want 500ms", got)
	}
	if got := summarize(s, 500*time.Millisecond).P99; got != 500*time.Millisecond {
		t.Errorf("p99 of an interval %s, want 500ms", got)
	}
	data, err := json.Marshal(h)
	if err != nil || !strings.Contains(string(data), `"p99":500000000,`) {
		t.Errorf("%v, no p99 of 500 ms in %s", err, data)
	}
}

// Every quantile is the one of the definition, within the digits of the histogram,
// and no quantile is above the longest duration.
func TestQuantilesFollowTheDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 400; n += 3 {
		h, s := NewHistogram(), newSummaryHistogram()
		var sorted []time.Duration
		for range n {
			// From microseconds to minutes, and far apart: a wrong rank is visible.
			d := time.Duration(random.ExpFloat64() * float64(time.Microsecond) * float64(int64(1)<<random.IntN(26)))
			sorted = append(sorted, d)
			h.Record(d)
			if err := s.RecordValue(int64(d)); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(sorted)
		longest := sorted[n-1]
		if h.Max() != longest {
			t.Fatalf("longest of %d: %s, want %s", n, h.Max(), longest)
		}
		percentiles := []int{1, 70_000, 500_000, 750_000, 900_000, 950_000, 990_000, 999_000, 999_900, 1_000_000}
		for range 20 {
			percentiles = append(percentiles, 1+random.IntN(1_000_000))
		}
		for _, p := range percentiles {
			got, want := h.Quantile(float64(p)/1_000_000), rank(sorted, p)
			near(t, fmt.Sprintf("%d of %d", p, n), got, want, 0.001)
			if got > longest {
				t.Fatalf("%d of %d: %s, longer than the longest, %s", p, n, got, longest)
			}
		}
		summary := summarize(s, longest)
		near(t, fmt.Sprint("p50 of an interval with ", n), summary.P50, rank(sorted, 500_000), 0.01)
		near(t, fmt.Sprint("p99 of an interval with ", n), summary.P99, rank(sorted, 990_000), 0.01)
		if t.Failed() {
			return
		}
	}
}

// A product of floating-point numbers may be just above a whole number.
func TestRanksOfWholeNumbers(t *testing.T) {
	h := NewHistogram()
	for i := range 100 {
		h.Record(time.Duration(i+1) * time.Second)
	}
	for i := 1; i <= 100; i++ {
		near(t, fmt.Sprint("percentile ", i), h.Quantile(float64(i)/100), time.Duration(i)*time.Second, 0.001)
	}
	near(t, "percentile 0", h.Quantile(0), time.Second, 0.001)
	near(t, "percentile 28.000001", h.Quantile(0.28000001), 29*time.Second, 0.001)
}

// The lines of the percentile format follow the definition too.
func TestWrittenPercentilesFollowTheDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for n := 1; n < 200; n += 7 {
		h := NewHistogram()
		var sorted []time.Duration
		for range n {
			d := time.Millisecond + time.Duration(random.Int64N(int64(time.Minute)))
			h.Record(d)
			sorted = append(sorted, d)
		}
		slices.Sort(sorted)
		var b strings.Builder
		if err := h.WritePercentiles(&b); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for in := bufio.NewScanner(strings.NewReader(b.String())); in.Scan(); {
			var value, share float64
			var count int
			if n, _ := fmt.Sscan(in.Text(), &value, &share, &count); n != 3 || share == 0 {
				continue
			}
			lines++
			// Shares are written with six digits.
			near(t, in.Text(), time.Duration(value*1e6), rank(sorted, int(share*1_000_000-0.5)), 0.001)
			if want, _ := slices.BinarySearch(sorted, time.Duration(value*1e6)+1000); count != want {
				t.Errorf("%s: want %d durations", in.Text(), want)
			}
		}
		if lines == 0 || t.Failed() {
			t.Fatalf("%d durations:\n%s", n, b.String())
		}
	}
}

// A merged histogram, its copy and its JSON keep the exact longest duration.
func TestLongestDurationIsExact(t *testing.T) {
	a, b := NewHistogram(), NewHistogram()
	a.Record(1_234_567_891)
	b.Record(7)
	b.Merge(a)
	var back Histogram
	data, err := json.Marshal(b.Clone())
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil || back.Max() != 1_234_567_891 || back.Quantile(1) != 1_234_567_891 || back.Quantile(0.5) != 7 && back.Quantile(0.5) > 1023 {
		t.Errorf("%v, longest %d, p100 %d, p50 %d", err, back.Max(), back.Quantile(1), back.Quantile(0.5))
	}
	// Of a maximum that is not in the histogram, nothing is believed.
	for _, wrong := range []string{`"max_ns":-1`, `"max_ns":0`, `"max_ns":5000000000`} {
		changed := strings.Replace(string(data), `"max_ns":1234567891`, wrong, 1)
		if err := json.Unmarshal([]byte(changed), &back); err != nil {
			t.Fatal(err)
		}
		near(t, wrong, back.Max(), 1_234_567_891, 0.001)
	}
}

// Three significant digits: durations that differ by 0.1 % are told apart.
func TestHistogramPrecision(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, time.Second, 10 * time.Minute} {
		h := NewHistogram()
		h.Record(d)
		h.Record(d + d/1000)
		if h.Quantile(0.5) >= h.Max() {
			t.Errorf("%s and %s count as %s", d, d+d/1000, h.Max())
		}
	}
}

func TestHistogramLimits(t *testing.T) {
	h := NewHistogram()
	h.Record(-time.Second)
	if h.Count() != 1 || h.Max() >= time.Microsecond {
		t.Errorf("a negative duration: %d, longest %s", h.Count(), h.Max())
	}
	h.Record(24 * time.Hour)
	near(t, "a day", h.Max(), time.Hour, 0.001)
}

func TestPercentileNames(t *testing.T) {
	var names []string
	for _, q := range Quantiles {
		names = append(names, PercentileName(q))
	}
	if got, want := strings.Join(names, " "), "p50 p75 p90 p95 p99 p99.9 p99.99"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHistogramJSON(t *testing.T) {
	h := NewHistogram()
	for i := range 100 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var fields struct {
		Count       int64            `json:"count"`
		Mean        time.Duration    `json:"mean_ns"`
		Max         time.Duration    `json:"max_ns"`
		Percentiles map[string]int64 `json:"percentiles_ns"`
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	if fields.Count != 100 || fields.Mean != h.Mean() || fields.Max != h.Max() || len(fields.Percentiles) != len(Quantiles) {
		t.Errorf("%+v", fields)
	}
	for _, q := range Quantiles {
		if got := fields.Percentiles[PercentileName(q)]; got != int64(h.Quantile(q)) {
			t.Errorf("%s: %d, want %d", PercentileName(q), got, h.Quantile(q))
		}
	}
	back := NewHistogram()
	back.Record(time.Hour) // must be replaced
	if err := json.Unmarshal(data, back); err != nil || !back.h.Equals(h.h) {
		t.Errorf("reads back with %d durations, want %d: %v", back.Count(), h.Count(), err)
	}
}

// encoded is a histogram of one duration with another range and precision.
func encoded(t *testing.T, digits int, d time.Duration) string {
	t.Helper()
	h := hdr.New(1, int64(100*time.Hour), digits)
	if err := h.RecordValue(int64(d)); err != nil {
		t.Fatal(err)
	}
	data, err := h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestInvalidHistogramJSON(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{}`, "hdr: encoded histogram too short: got 0 bytes, need at least 8"},
		{`{"hdr":"x"}`, "hdr: illegal base64 data at input byte 0"},
		{`[]`, "json: cannot unmarshal array into Go value of type openloop.histogramJSON"},
		{`{"hdr":"` + encoded(t, 2, 2*time.Hour) + `"}`, "hdr: 1 durations are longer than 1h0m0s"},
	} {
		if err := json.Unmarshal([]byte(test.in), NewHistogram()); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.in, err, test.want)
		}
	}
	h := NewHistogram()
	if err := json.Unmarshal([]byte(`{"hdr":"`+encoded(t, 2, time.Minute)+`"}`), h); err != nil || h.Count() != 1 {
		t.Errorf("another precision: %d durations, %v", h.Count(), err)
	}
}

func TestWritePercentiles(t *testing.T) {
	h := NewHistogram()
	for range 10 {
		h.Record(20 * time.Millisecond)
	}
	var b strings.Builder
	if err := h.WritePercentiles(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Value\tPercentile\tTotalCount\t1/(1-Percentile)", "20.0", "#[Max     =       20.0"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
