package openloop

import (
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Interval is one time slice of a run. A request counts in the slice it was due
// in, so a stall appears when it happened. Only Served counts requests by when
// they ended.
type Interval struct {
	// Scheduled is the number of requests that the schedule asks for: the integral
	// of its rate over the part of the interval in which it ran.
	Scheduled float64 `json:"scheduled"`
	// Arrivals counts the requests that were due, Dropped those that were not
	// sent, Failed those that failed.
	Arrivals int64 `json:"arrivals"`
	Dropped  int64 `json:"dropped,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
	// Served counts the requests that were served in this interval.
	Served int64 `json:"served"`
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
		Scheduled: a.Scheduled + b.Scheduled,
		Arrivals:  a.Arrivals + b.Arrivals,
		Dropped:   a.Dropped + b.Dropped,
		Failed:    a.Failed + b.Failed,
		Served:    a.Served + b.Served,
		Response:  response,
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
			err = checkCounts(i.Arrivals, i.Dropped, i.Failed, i.Served, h.TotalCount())
		}
		if err == nil {
			err = checkScheduled(i.Scheduled)
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
// common start. Requests count in the interval in which their interval started. What
// the schedules ask for is divided by time.
func mergeSeries(a, b *Result, lateA, lateB time.Duration) (Series, error) {
	m := Series{Length: max(a.Series.Length, b.Series.Length)}
	end := max(lateA+a.Series.span(a.Sending), lateB+b.Series.span(b.Sending))
	for end/m.Length >= maxIntervals {
		m.Length *= 2
	}
	for _, of := range []struct {
		run  *Result
		late time.Duration
	}{{a, lateA}, {b, lateB}} {
		length := of.run.Series.Length
		for i, interval := range of.run.Series.Intervals {
			start := time.Duration(i) * length
			m.spread(interval.Scheduled, of.late+start, of.late+min(start+length, of.run.Sending))
			interval.Scheduled = 0
			at := m.at(of.late + start)
			var err error
			if *at, err = mergeIntervals(*at, interval); err != nil {
				return Series{}, err
			}
		}
	}
	return m, nil
}

// span returns the end of the series of a run that sent for some time.
func (s Series) span(sending time.Duration) time.Duration {
	return max(sending, s.Length*time.Duration(len(s.Intervals)))
}

// at returns the interval at a time. It extends the series up to there.
func (s *Series) at(t time.Duration) *Interval {
	for len(s.Intervals) <= int(t/s.Length) {
		s.Intervals = append(s.Intervals, Interval{})
	}
	return &s.Intervals[t/s.Length]
}

// spread divides scheduled requests between the intervals from start to end, by time.
func (s *Series) spread(scheduled float64, start, end time.Duration) {
	if scheduled == 0 {
		return
	}
	for at := start; at < end; {
		until := min(end, at.Truncate(s.Length)+s.Length)
		s.at(at).Scheduled += scheduled * (float64(until-at) / float64(end-start))
		at = until
	}
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
func (r *recorder) done(offset, response time.Duration, failed bool) {
	if !failed {
		r.series.Intervals[r.at(offset+response)].Served++
	}
	i := r.at(offset)
	if failed {
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

// result returns the series of a run that sent for some time. asked returns how many
// requests the schedule asks for before a time. All requests must have ended.
func (r *recorder) result(sending time.Duration, asked func(time.Duration) float64) Series {
	if sending > 0 {
		r.at(sending - 1) // the schedule may end long after its last arrival
	}
	for i, o := range r.open {
		delete(r.open, i)
		r.store(o, summarize(o.histogram, o.longest))
	}
	for i := range r.series.Intervals {
		start := time.Duration(i) * r.series.Length
		r.series.Intervals[i].Scheduled = asked(start+r.series.Length) - asked(start)
	}
	return r.series
}
