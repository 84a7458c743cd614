package openloop

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations from a microsecond to an hour with three
// significant digits: https://www.hdrhistogram.org. Longer durations count as an
// hour. Its JSON has percentiles for readers and the whole histogram for Merge.
type Histogram struct {
	h       *hdr.Histogram
	longest time.Duration // exact; hdr only has the bucket of it
}

const (
	lowest  = int64(time.Microsecond)
	highest = int64(time.Hour)
	digits  = 3
)

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram { return &Histogram{h: hdr.New(lowest, highest, digits)} }

// Record counts one duration; negative durations count as zero.
func (h *Histogram) Record(d time.Duration) {
	d = min(max(d, 0), time.Duration(highest))
	_ = h.h.RecordValue(int64(d)) // it cannot fail within these limits
	h.longest = max(h.longest, d)
}

// Merge adds the counts of other to h.
func (h *Histogram) Merge(other *Histogram) {
	h.h.Merge(other.h)
	h.longest = max(h.longest, other.longest)
}

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram { return &Histogram{h.h.Clone(), h.longest} }

// Count returns the number of durations.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// Quantile returns the shortest duration that the share q (0 to 1) of all durations
// did not exceed, within three significant digits. It is 0 for an empty
// histogram, and never longer than Max.
func (h *Histogram) Quantile(q float64) time.Duration { return quantile(h.h, q, h.longest) }

// quantile returns a quantile of h, whose longest duration is longest. Of n
// durations, it is the one with the rank q·n, rounded up. hdr rounds to the nearest
// rank, which is too low in half of the cases, so it gets a share that is exactly a
// rank.
func quantile(h *hdr.Histogram, q float64, longest time.Duration) time.Duration {
	n := float64(h.TotalCount())
	if n == 0 {
		return 0
	}
	// q and the product are rounded: 0.07·100 is 7.000000000000001, and not rank 8.
	const exact = 1 - 0x1p-51
	rank := max(1, math.Ceil(q*n*exact))
	return min(longest, time.Duration(h.ValueAtQuantile(100*rank/n)))
}

// Max returns the longest duration, 0 for an empty histogram.
func (h *Histogram) Max() time.Duration { return h.longest }

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
	if err := mergeEncoded(h.h, in.HDR); err != nil {
		return err
	}
	if h.Count() > 0 {
		// The exact value, if it belongs to this histogram.
		h.longest = time.Duration(h.h.Max())
		if in.MaxNS >= 0 && h.h.ValuesAreEquivalent(in.MaxNS, h.h.Max()) {
			h.longest = time.Duration(in.MaxNS)
		}
	}
	return nil
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
