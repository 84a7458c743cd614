package openloop

import (
	"encoding/json"
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
