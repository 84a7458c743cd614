package openloop

import (
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Interval is one time slice of a run. A request counts in the slice it was due
// in, so a stall appears when it happened. Only Ended counts requests by when
// they ended.
type Interval struct {
	// Arrivals counts the requests that were due, Dropped those that were not
	// sent, Failed those that failed.
	Arrivals int64 `json:"arrivals"`
	Dropped  int64 `json:"dropped,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
	// Ended counts the requests whose complete answer ended in this interval.
	Ended int64 `json:"ended"`
	// Response holds the response times of the requests that were sent.
	Response Summary `json:"response"`
}

// Summary is a compressed histogram of durations with two significant digits.
type Summary struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
	// HDR is HdrHistogram's V2 compressed encoding in base64, "" if empty.
	HDR string `json:"hdr,omitempty"`
}

const summaryDigits = 2

func newSummaryHistogram() *hdr.Histogram { return hdr.New(lowest, highest, summaryDigits) }

func summarize(h *hdr.Histogram, longest time.Duration) Summary {
	if h.TotalCount() == 0 {
		return Summary{}
	}
	encoded, err := h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil { // it writes to memory
		panic("encode a histogram: " + err.Error())
	}
	return Summary{
		P50: quantile(h, 0.50, longest),
		P99: quantile(h, 0.99, longest),
		Max: longest,
		HDR: string(encoded),
	}
}

// addTo adds the summarized durations to h.
func (s Summary) addTo(h *hdr.Histogram) error {
	if s.HDR == "" {
		return nil
	}
	return mergeEncoded(h, s.HDR)
}

func mergeSummaries(a, b Summary) (Summary, error) {
	h := newSummaryHistogram()
	for _, s := range []Summary{a, b} {
		if err := s.addTo(h); err != nil {
			return Summary{}, err
		}
	}
	return summarize(h, max(a.Max, b.Max)), nil
}

func mergeIntervals(a, b Interval) (Interval, error) {
	response, err := mergeSummaries(a.Response, b.Response)
	return Interval{
		Arrivals: a.Arrivals + b.Arrivals,
		Dropped:  a.Dropped + b.Dropped,
		Failed:   a.Failed + b.Failed,
		Ended:    a.Ended + b.Ended,
		Response: response,
	}, err
}

// Series is a run over time.
type Series struct {
	// Length is the length of each interval.
	Length    time.Duration `json:"length_ns"`
	Intervals []Interval    `json:"intervals"`
}

func (s Series) check() error {
	if s.Length <= 0 {
		return fmt.Errorf("length of an interval must be greater than 0s, got %s", s.Length)
	}
	if n := len(s.Intervals); n > maxIntervals || n > 0 && s.Length > maxSpan/time.Duration(n) {
		return fmt.Errorf("must have at most %d intervals and be at most %s long, got %d intervals of %s", maxIntervals, maxSpan, n, s.Length)
	}
	for n, i := range s.Intervals {
		h := newSummaryHistogram()
		err := i.Response.addTo(h)
		if err == nil {
			err = checkCounts(i.Arrivals, i.Dropped, i.Failed, i.Ended, h.TotalCount())
		}
		if err != nil {
			return fmt.Errorf("interval %d: %w", n, err)
		}
	}
	return nil
}

// maxIntervals limits the memory of a long run: a series that needs more merges
// each two intervals into one. A page cannot draw more anyway.
const maxIntervals = 1200

// coarsen merges each two intervals into one.
func (s *Series) coarsen() error {
	half := make([]Interval, 0, maxIntervals)
	for i := 0; i < len(s.Intervals); i += 2 {
		one := s.Intervals[i]
		if i+1 < len(s.Intervals) {
			var err error
			if one, err = mergeIntervals(one, s.Intervals[i+1]); err != nil {
				return err
			}
		}
		half = append(half, one)
	}
	s.Length, s.Intervals = 2*s.Length, half
	return nil
}

// mergeSeries adds the series of two runs that started at lateA and lateB after a
// common start.
func mergeSeries(a, b Series, lateA, lateB time.Duration) (Series, error) {
	m := Series{Length: max(a.Length, b.Length)}
	end := max(lateA+a.Length*time.Duration(len(a.Intervals)), lateB+b.Length*time.Duration(len(b.Intervals)))
	for end/m.Length >= maxIntervals {
		m.Length *= 2
	}
	for _, of := range []struct {
		series Series
		late   time.Duration
	}{{a, lateA}, {b, lateB}} {
		for i, interval := range of.series.Intervals {
			at := int((of.late + time.Duration(i)*of.series.Length) / m.Length)
			for len(m.Intervals) <= at {
				m.Intervals = append(m.Intervals, Interval{})
			}
			var err error
			if m.Intervals[at], err = mergeIntervals(m.Intervals[at], interval); err != nil {
				return Series{}, err
			}
		}
	}
	return m, nil
}

// recorder builds the series of a run. A histogram takes 24 KB, so an interval
// has one only while requests that were due in it are in flight.
type recorder struct {
	series Series
	open   map[int]*openInterval
	spare  []*hdr.Histogram
}

type openInterval struct {
	offset    time.Duration // of its first arrival
	histogram *hdr.Histogram
	longest   time.Duration
	inFlight  int
}

func newRecorder() *recorder {
	return &recorder{
		series: Series{Length: time.Second},
		open:   map[int]*openInterval{},
		// One for the current interval, one for the previous one.
		spare: []*hdr.Histogram{newSummaryHistogram(), newSummaryHistogram()},
	}
}

// at returns the index of the interval at offset.
func (r *recorder) at(offset time.Duration) int {
	for offset >= r.series.Length*maxIntervals {
		r.coarsen()
	}
	i := int(max(0, offset) / r.series.Length)
	for len(r.series.Intervals) <= i {
		r.series.Intervals = append(r.series.Intervals, Interval{})
	}
	return i
}

// arrive counts an arrival; sent is false if it was dropped. It returns the
// earlier intervals that have no more requests in flight. The caller summarizes
// them for store, after sending: that takes a millisecond, and no request should
// wait for it.
func (r *recorder) arrive(offset time.Duration, sent bool) (ended []*openInterval) {
	i := r.at(offset)
	r.series.Intervals[i].Arrivals++
	if !sent {
		r.series.Intervals[i].Dropped++
		return nil
	}
	if r.open[i] == nil {
		for before, o := range r.open {
			if before < i && o.inFlight == 0 {
				ended = append(ended, o)
				delete(r.open, before)
			}
		}
		r.open[i] = &openInterval{offset: offset, histogram: r.histogram()}
	}
	r.open[i].inFlight++
	return ended
}

func (r *recorder) histogram() *hdr.Histogram {
	if n := len(r.spare); n > 0 {
		h := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return h
	}
	return newSummaryHistogram()
}

// done counts a completed request that was due at offset.
func (r *recorder) done(offset, response time.Duration, x Exchange) {
	if x.Failure == "" {
		r.series.Intervals[r.at(offset+response)].Ended++
	}
	i := r.at(offset)
	if x.failed() {
		r.series.Intervals[i].Failed++
	}
	o := r.open[i]
	_ = o.histogram.RecordValue(min(max(int64(response), 0), highest))
	o.longest = max(o.longest, response)
	o.inFlight--
}

// store keeps the summary of a finished interval.
func (r *recorder) store(o *openInterval, summary Summary) {
	at := &r.series.Intervals[r.at(o.offset)]
	if at.Response.HDR != "" { // the intervals were coarsened in between
		var err error
		if summary, err = mergeSummaries(at.Response, summary); err != nil {
			panic("decode a histogram of this process: " + err.Error())
		}
	}
	at.Response = summary
	o.histogram.Reset()
	r.spare = append(r.spare, o.histogram)
}

func (r *recorder) coarsen() {
	if err := r.series.coarsen(); err != nil {
		panic("decode a histogram of this process: " + err.Error())
	}
	open := r.open
	r.open = map[int]*openInterval{}
	for i, o := range open {
		to := r.open[i/2]
		if to == nil {
			r.open[i/2] = o
			continue
		}
		to.histogram.Merge(o.histogram)
		to.longest = max(to.longest, o.longest)
		to.inFlight += o.inFlight
	}
}

// result returns the series; all requests must have ended.
func (r *recorder) result() Series {
	for i, o := range r.open {
		delete(r.open, i)
		r.store(o, summarize(o.histogram, o.longest))
	}
	return r.series
}
