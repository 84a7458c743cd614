package openloop

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations from a microsecond to an hour with three
// significant digits: https://www.hdrhistogram.org. Longer durations count as an
// hour. Its JSON has percentiles for readers and the whole histogram for Merge.
type Histogram struct{ h *hdr.Histogram }

const (
	lowest  = int64(time.Microsecond)
	highest = int64(time.Hour)
	digits  = 3
)

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram { return &Histogram{hdr.New(lowest, highest, digits)} }

// Record counts one duration; negative durations count as zero.
func (h *Histogram) Record(d time.Duration) {
	// It cannot fail within these limits.
	_ = h.h.RecordValue(min(max(int64(d), 0), highest))
}

// Merge adds the counts of other to h.
func (h *Histogram) Merge(other *Histogram) { h.h.Merge(other.h) }

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram {
	c := NewHistogram()
	c.Merge(h)
	return c
}

// Count returns the number of durations.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Quantile returns the duration that the share q (0 to 1) of all durations did not
// exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	return time.Duration(h.h.ValueAtQuantile(q * 100))
}

// Max returns the longest duration, 0 if there is none.
func (h *Histogram) Max() time.Duration {
	if h.Count() == 0 { // hdr returns the end of its first bucket for an empty histogram
		return 0
	}
	return time.Duration(h.h.Max())
}

// Mean returns the average duration.
func (h *Histogram) Mean() time.Duration { return time.Duration(h.h.Mean()) }

// WritePercentiles writes the distribution in HdrHistogram's percentile format,
// in milliseconds, with five lines each time the distance to 100 % halves.
func (h *Histogram) WritePercentiles(w io.Writer) error {
	_, err := h.h.PercentilesPrint(w, 5, float64(time.Millisecond))
	return err
}

// Quantiles are the quantiles that reports show.
var Quantiles = []float64{0.50, 0.75, 0.90, 0.95, 0.99, 0.999, 0.9999}

type histogramJSON struct {
	Count         int64            `json:"count"`
	MeanNS        int64            `json:"mean_ns"`
	MaxNS         int64            `json:"max_ns"`
	PercentilesNS map[string]int64 `json:"percentiles_ns"`
	// HDR is HdrHistogram's V2 compressed encoding, in base64.
	HDR string `json:"hdr"`
}

// MarshalJSON implements json.Marshaler.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	encoded, err := h.h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	out := histogramJSON{
		Count:         h.Count(),
		MeanNS:        int64(h.Mean()),
		MaxNS:         int64(h.Max()),
		PercentilesNS: map[string]int64{},
		HDR:           string(encoded),
	}
	for _, q := range Quantiles {
		out.PercentilesNS[PercentileName(q)] = int64(h.Quantile(q))
	}
	return json.Marshal(out)
}

// PercentileName returns the usual name of a quantile: p99.9 for 0.999.
func PercentileName(q float64) string {
	return "p" + strconv.FormatFloat(q*100, 'g', 6, 64)
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*h = *NewHistogram()
	return mergeEncoded(h.h, in.HDR)
}

// mergeEncoded adds an encoded histogram to h.
func mergeEncoded(h *hdr.Histogram, encoded string) error {
	decoded, err := hdr.Decode([]byte(encoded))
	if err != nil {
		return fmt.Errorf("hdr: %w", err)
	}
	if dropped := h.Merge(decoded); dropped > 0 {
		return fmt.Errorf("hdr: %d durations are longer than %s", dropped, time.Duration(highest))
	}
	return nil
}
