package openloop

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// record collects the results of a run.
type record struct {
	mu       sync.Mutex
	r        Result
	inFlight int
	last     time.Time // end of the last answer
	series   *recorder
	tidying  sync.WaitGroup
}

func newRecord(paths []Path) *record {
	rec := &record{series: newRecorder(), r: Result{Lateness: NewHistogram(), Total: newPathResult("")}}
	for _, p := range paths {
		rec.r.Paths = append(rec.r.Paths, newPathResult(p.Path))
	}
	return rec
}

func (rec *record) begin(start time.Time) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.r.Start = start
}

// admit counts an arrival and reports whether it may be sent. The caller passes
// ended to tidy after sending.
func (rec *record) admit(r Request, maxInFlight int) (ok bool, ended []*openInterval) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	ok = rec.inFlight < maxInFlight
	ended = rec.series.arrive(r.Due.Sub(rec.r.Start), ok)
	for _, p := range []*PathResult{&rec.r.Total, &rec.r.Paths[r.Path]} {
		p.Arrivals++
		if !ok {
			p.Dropped++
		}
	}
	if ok {
		rec.inFlight++
	}
	return ok, ended
}

// done counts a completed request.
func (rec *record) done(r Request, sent, end time.Time, x Exchange) {
	response := end.Sub(r.Due)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.inFlight--
	if end.After(rec.last) {
		rec.last = end
	}
	rec.series.done(r.Due.Sub(rec.r.Start), response, x)
	rec.r.Lateness.Record(sent.Sub(r.Due))
	for _, p := range []*PathResult{&rec.r.Total, &rec.r.Paths[r.Path]} {
		p.add(response, end.Sub(sent), x)
	}
	sample := Sample{
		TraceID:  x.TraceID,
		Path:     rec.r.Paths[r.Path].Path,
		Offset:   r.Due.Sub(rec.r.Start),
		Status:   x.Status,
		Failure:  x.Failure,
		Response: response,
	}
	rec.r.Slowest = slowest(rec.r.Slowest, sample)
	if x.failed() && len(rec.r.Failed) < samples {
		rec.r.Failed = append(rec.r.Failed, sample)
	}
}

// slowest keeps the samples with the longest response times, longest first.
func slowest(kept []Sample, s ...Sample) []Sample {
	if len(kept) == samples && len(s) == 1 && s[0].Response <= kept[samples-1].Response {
		return kept
	}
	kept = append(kept, s...)
	slices.SortStableFunc(kept, func(a, b Sample) int { return cmp.Compare(b.Response, a.Response) })
	return kept[:min(len(kept), samples)]
}

// tidy summarizes finished intervals in the background.
func (rec *record) tidy(ended []*openInterval) {
	if ended == nil {
		return
	}
	rec.tidying.Go(func() {
		for _, o := range ended {
			summary := summarize(o.histogram, o.longest)
			rec.mu.Lock()
			rec.series.store(o, summary)
			rec.mu.Unlock()
		}
	})
}

func (rec *record) result(asked time.Duration) *Result {
	rec.tidying.Wait()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r := rec.r
	r.Asked = asked
	r.Series = rec.series.result()
	// Answers after the end of the schedule make the run longer.
	r.Elapsed = max(asked, rec.last.Sub(r.Start))
	return &r
}

// Snapshot is the state of a run in progress.
type Snapshot struct {
	Elapsed  time.Duration
	InFlight int
	// Completed, Failed and Dropped count requests.
	Completed, Failed, Dropped int64
	// Response holds the response times so far.
	Response *Histogram
}

func (rec *record) snapshot() Snapshot {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	total := &rec.r.Total
	s := Snapshot{InFlight: rec.inFlight, Completed: total.Completed(), Failed: total.Failed(), Dropped: total.Dropped,
		Response: total.Response.Clone()}
	if !rec.r.Start.IsZero() {
		s.Elapsed = time.Since(rec.r.Start)
	}
	return s
}

func addAll[K comparable](to, from map[K]int64) map[K]int64 {
	to = maps.Clone(to)
	for k, n := range from {
		to[k] += n
	}
	return to
}
