package openloop

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// record collects the results of a run.
type record struct {
	cfg      Config
	mu       sync.Mutex
	r        Result
	begun    time.Time // start of the schedule; r.Start is after the warm-up
	end      time.Time // end of the schedule, zero if it has none
	sent     bool      // the schedule has ended
	inFlight int
	last     time.Time // end of the last answer
	series   *recorder
	tidying  sync.WaitGroup
}

func newRecord(cfg Config) *record {
	rec := &record{cfg: cfg, series: newRecorder(), r: Result{
		Lateness: NewHistogram(), Errors: map[string]string{}, Total: newPathResult("")}}
	for _, p := range cfg.Paths {
		rec.r.Paths = append(rec.r.Paths, newPathResult(p.Path))
	}
	return rec
}

// begin sets the start of the schedule, which may be in the future.
func (rec *record) begin(start time.Time) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.begun, rec.r.Start = start, start.Add(rec.cfg.Warmup)
	rec.r.Runs = []Run{rec.cfg.run(start)}
	if length := rec.cfg.Schedule.Length(); length > 0 {
		rec.end = start.Add(length)
	}
}

// stop sets how long the schedule ran.
func (rec *record) stop(ran time.Duration) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.end, rec.sent = rec.begun.Add(ran), true
}

// abort keeps why the run was ended early.
func (rec *record) abort(reason string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.r.Aborted = reason
}

// warmup reports whether a request is due before requests are counted.
func (rec *record) warmup(r Request) bool { return r.Due.Before(rec.r.Start) }

// failed reports whether a request was not served.
func (rec *record) failed(x Exchange) bool {
	return x.Failure != "" || !rec.cfg.Expect.Has(x.Status)
}

// admit counts an arrival and reports whether it may be sent. The caller passes
// ended to tidy after sending.
func (rec *record) admit(r Request) (ok bool, ended []*openInterval) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	ok = rec.inFlight < rec.cfg.MaxInFlight
	if ok {
		rec.inFlight++
	}
	if rec.warmup(r) {
		return ok, nil
	}
	for _, p := range []*PathResult{&rec.r.Total, &rec.r.Paths[r.Path]} {
		p.Arrivals++
		if !ok {
			p.Dropped++
		}
	}
	return ok, rec.series.arrive(r.Due.Sub(rec.r.Start), ok)
}

// done counts a completed request.
func (rec *record) done(r Request, sent, end time.Time, x Exchange) {
	counted, failed := rec.count(r, sent, end, x)
	if counted && rec.cfg.Observe != nil {
		rec.cfg.Observe(r, sent, end, x, failed)
	}
}

// count counts a completed request, except one of the warm-up, and reports whether it
// failed.
func (rec *record) count(r Request, sent, end time.Time, x Exchange) (counted, failed bool) {
	response := end.Sub(r.Due)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.inFlight--
	if end.After(rec.last) {
		rec.last = end
	}
	if rec.warmup(r) {
		return false, false
	}
	failed = rec.failed(x)
	if !failed && (rec.end.IsZero() || !end.After(rec.end)) {
		rec.r.Achieved++
	}
	rec.series.done(r.Due.Sub(rec.r.Start), response, failed)
	rec.r.Lateness.Record(sent.Sub(r.Due))
	for _, p := range []*PathResult{&rec.r.Total, &rec.r.Paths[r.Path]} {
		p.add(response, end.Sub(sent), x, failed)
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
	if failed && len(rec.r.Failed) < samples {
		rec.r.Failed = append(rec.r.Failed, sample)
	}
	if _, known := rec.r.Errors[x.Failure]; x.Failure != "" && x.Detail != "" && !known {
		rec.r.Errors[x.Failure] = printable(x.Detail)
	}
	return true, failed
}

// maxDetail bounds the example of a kind of failure: a line or two.
const maxDetail = 200

// printable returns a text on one line and without control characters, which could
// change what a terminal shows: a target may have written parts of it.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
	n := 0
	for i := range s {
		if n++; n > maxDetail {
			return s[:i] + "…"
		}
	}
	return s
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

// result returns the result after all requests have ended.
func (rec *record) result() *Result {
	rec.tidying.Wait()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r := rec.r
	end := rec.end
	if end.Before(r.Start) { // interrupted before requests are counted
		end = r.Start
	}
	r.Sending = end.Sub(r.Start)
	r.Waiting = max(0, rec.last.Sub(end))
	asked := func(t time.Duration) float64 {
		warmup := rec.cfg.Warmup
		return rec.cfg.Schedule.Requests(warmup+min(t, r.Sending)) - rec.cfg.Schedule.Requests(warmup)
	}
	r.Scheduled = asked(r.Sending)
	r.Series = rec.series.result(r.Sending, asked)
	return &r
}

// Snapshot is the state of a run in progress.
type Snapshot struct {
	// StartsIn is the time until the schedule starts, WarmUp the rest of the
	// warm-up.
	StartsIn, WarmUp time.Duration
	// Sending is the time since then until the schedule ended, Waiting the time
	// since the schedule ended.
	Sending, Waiting time.Duration
	InFlight         int
	// Arrivals counts the requests that were due. Completed, Failed and Dropped
	// count those that ended, failed and were not sent. Achieved counts those that
	// were served before the schedule ended.
	Arrivals, Completed, Failed, Dropped, Achieved int64
	// Response holds the response times so far.
	Response *Histogram
}

func (rec *record) snapshot() Snapshot {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	total := &rec.r.Total
	s := Snapshot{InFlight: rec.inFlight, Arrivals: total.Arrivals, Completed: total.Completed(), Failed: total.Failed(),
		Dropped: total.Dropped, Achieved: rec.r.Achieved, Response: total.Response.Clone()}
	if rec.begun.IsZero() {
		return s
	}
	now := time.Now()
	s.StartsIn = max(0, rec.begun.Sub(now))
	if s.StartsIn == 0 {
		s.WarmUp = max(0, rec.r.Start.Sub(now))
	}
	s.Sending = max(0, now.Sub(rec.r.Start))
	if rec.sent {
		s.Sending = max(0, rec.end.Sub(rec.r.Start))
		s.Waiting = max(0, now.Sub(rec.end))
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
