package openloop

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// samples is the number of slowest and of failed requests that a result lists:
// enough to look at by hand.
const samples = 10

// Result is the outcome of a run. Its JSON has everything that Merge needs.
type Result struct {
	// Runs describes the runs that the result is of: one, or those that were merged.
	Runs []Run `json:"runs"`
	// Start is the time that requests are counted from: the start of the schedule,
	// or the end of the warm-up.
	Start time.Time `json:"start"`
	// Sending is the time that the schedule ran from there. Waiting is the time from then
	// to the last answer.
	Sending time.Duration `json:"sending_ns"`
	Waiting time.Duration `json:"waiting_ns"`
	// Aborted is why Config.Abort ended the run early, "" if it did not.
	Aborted string `json:"aborted,omitempty"`
	// Scheduled is the number of requests that the schedule asks for: the integral
	// of its rate over the time that it ran. Total.Arrivals differs from it by less
	// than one for regular arrivals, and by chance for Poisson arrivals.
	Scheduled float64 `json:"scheduled"`
	// Achieved counts the requests that were served before the schedule ended.
	Achieved int64 `json:"achieved"`
	// Lateness holds the delays between the scheduled times of requests and when
	// they were sent.
	Lateness *Histogram `json:"lateness"`
	// Total counts all requests, Paths the requests of each path.
	Total PathResult   `json:"total"`
	Paths []PathResult `json:"paths"`
	// Errors has the text of one failure of each kind.
	Errors map[string]string `json:"errors"`
	// Slowest are the requests with the longest response times, longest first.
	// Failed are the first requests that failed.
	Slowest []Sample `json:"slowest"`
	Failed  []Sample `json:"failed"`
	// Series is the run over time.
	Series Series `json:"series"`
}

// PathResult counts the requests for a path.
type PathResult struct {
	Path string `json:"path,omitempty"`
	// Arrivals counts the requests that were due. Dropped counts those that were
	// not sent because the maximum number of requests was in flight.
	Arrivals int64 `json:"arrivals"`
	Dropped  int64 `json:"dropped"`
	// Bytes is the total length of the answers' bodies.
	Bytes int64 `json:"bytes"`
	// Statuses counts complete answers by status, Failures the other requests by
	// kind of error.
	Statuses map[int]int64    `json:"statuses"`
	Failures map[string]int64 `json:"failures"`
	// Unexpected counts the complete answers that do not count as served, because
	// of their status.
	Unexpected int64 `json:"unexpected"`
	// Response and Service hold the times of all requests that were sent,
	// failed ones included.
	Response *Histogram `json:"response"`
	Service  *Histogram `json:"service"`
}

// Sample is one request.
type Sample struct {
	TraceID string `json:"trace_id,omitempty"`
	Path    string `json:"path"`
	// Offset is its scheduled time, counted from the start of the run.
	Offset   time.Duration `json:"offset_ns"`
	Status   int           `json:"status,omitempty"`
	Failure  string        `json:"failure,omitempty"`
	Response time.Duration `json:"response_ns"`
}

func newPathResult(path string) PathResult {
	return PathResult{
		Path:     path,
		Statuses: map[int]int64{},
		Failures: map[string]int64{},
		Response: NewHistogram(),
		Service:  NewHistogram(),
	}
}

func (p *PathResult) add(response, service time.Duration, x Exchange, failed bool) {
	p.Response.Record(response)
	p.Service.Record(service)
	p.Bytes += x.Bytes
	if x.Failure != "" {
		p.Failures[x.Failure]++
	} else {
		p.Statuses[x.Status]++
		if failed {
			p.Unexpected++
		}
	}
}

// Completed returns the number of requests that ended, failed ones included.
func (p *PathResult) Completed() int64 { return p.Response.Count() }

// Failed returns the number of requests that were not served: those without a
// complete answer, and answers with an unexpected status.
func (p *PathResult) Failed() int64 {
	n := p.Unexpected
	for _, count := range p.Failures {
		n += count
	}
	return n
}

// Classes counts complete answers by the first digit of their status.
func (p *PathResult) Classes() [6]int64 {
	var classes [6]int64
	for status, count := range p.Statuses {
		classes[min(max(status/100, 0), 5)] += count
	}
	return classes
}

// ErrorRate returns the share of arrivals, 0 to 1, that were not served: failed
// requests and dropped arrivals.
func (r *Result) ErrorRate() float64 {
	if r.Total.Arrivals == 0 {
		return 0
	}
	return float64(r.Total.Failed()+r.Total.Dropped) / float64(r.Total.Arrivals)
}

// Elapsed returns the time from Start to the last answer.
func (r *Result) Elapsed() time.Duration { return r.Sending + r.Waiting }

// AskedRate returns the mean rate of the schedule in requests per second.
func (r *Result) AskedRate() float64 { return rate(r.Scheduled, r.Sending) }

// AchievedRate returns how many requests were served per second while the schedule
// ran. Answers that arrive after the schedule ended do not count, nor does the time
// spent waiting for them: one answer that never arrives would otherwise lower the rate
// of all others.
func (r *Result) AchievedRate() float64 { return rate(float64(r.Achieved), r.Sending) }

func rate(n float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}

// The limits of results that Check accepts. They are far beyond any run, and low
// enough that sums of two results do not overflow.
const (
	maxSpan  = 10 * 365 * 24 * time.Hour
	maxCount = 1 << 50
)

// Check returns an error if a result that was read from JSON is incomplete or has
// values that no run has. Merge and reports rely on it.
func (r *Result) Check() error {
	if r.Start.IsZero() || r.Lateness == nil {
		return errors.New("not the result of a run: start or lateness is missing")
	}
	if min(r.Sending, r.Waiting) < 0 || max(r.Sending, r.Waiting) > maxSpan {
		return fmt.Errorf("sending and waiting must be between 0s and %s, got %s and %s", maxSpan, r.Sending, r.Waiting)
	}
	if err := errors.Join(checkCounts(r.Achieved), checkScheduled(r.Scheduled)); err != nil {
		return err
	}
	for _, p := range append([]PathResult{r.Total}, r.Paths...) {
		if err := p.check(); err != nil {
			return fmt.Errorf("path %q: %w", p.Path, err)
		}
	}
	if err := r.Series.check(); err != nil {
		return fmt.Errorf("series: %w", err)
	}
	return nil
}

func (p *PathResult) check() error {
	if p.Response == nil || p.Service == nil || p.Statuses == nil || p.Failures == nil {
		return errors.New("response, service, statuses or failures is missing")
	}
	counts := []int64{p.Arrivals, p.Dropped, p.Bytes, p.Unexpected, p.Response.Count(), p.Service.Count()}
	counts = slices.AppendSeq(counts, maps.Values(p.Statuses))
	counts = slices.AppendSeq(counts, maps.Values(p.Failures))
	return checkCounts(counts...)
}

func checkCounts(counts ...int64) error {
	if least, most := slices.Min(counts), slices.Max(counts); least < 0 || most > maxCount {
		return fmt.Errorf("counts must be between 0 and %d, got %d to %d", int64(maxCount), least, most)
	}
	return nil
}

func checkScheduled(n float64) error {
	if !(n >= 0 && n <= maxCount) {
		return fmt.Errorf("scheduled requests must be between 0 and %d, got %v", int64(maxCount), n)
	}
	return nil
}

// Merge returns the result that one run would have had that sent the requests of
// both. It is exact: histograms are added, not averaged. Both results must pass
// Check. Merge fails if they have a run in common or different targets, or if their
// sum does not pass Check, for example because the runs are years apart.
func Merge(a, b *Result) (*Result, error) {
	runs, err := mergeRuns(a.Runs, b.Runs)
	if err != nil {
		return nil, err
	}
	m := &Result{
		Runs:      runs,
		Start:     a.Start,
		Scheduled: a.Scheduled + b.Scheduled,
		Achieved:  a.Achieved + b.Achieved,
		Aborted:   cmp.Or(a.Aborted, b.Aborted),
		Lateness:  a.Lateness.Clone(),
		Total:     mergePaths(a.Total, b.Total),
		Errors:    map[string]string{},
		Slowest:   slowest(append([]Sample(nil), a.Slowest...), b.Slowest...),
		Failed:    append(append([]Sample(nil), a.Failed...), b.Failed...),
	}
	if b.Start.Before(a.Start) {
		m.Start = b.Start
	}
	if apart := a.Start.Sub(b.Start).Abs(); apart > maxSpan {
		return nil, fmt.Errorf("runs must start within %s, got %s and %s", maxSpan, a.Start.Format(time.RFC3339), b.Start.Format(time.RFC3339))
	}
	m.Lateness.Merge(b.Lateness)
	m.Failed = m.Failed[:min(len(m.Failed), samples)]
	maps.Copy(m.Errors, b.Errors)
	maps.Copy(m.Errors, a.Errors)
	if m.Series, err = mergeSeries(a, b, a.Start.Sub(m.Start), b.Start.Sub(m.Start)); err != nil {
		return nil, err
	}
	var last time.Duration
	for _, r := range []*Result{a, b} {
		late := r.Start.Sub(m.Start)
		m.Sending = max(m.Sending, late+r.Sending)
		last = max(last, late+r.Elapsed())
	}
	m.Waiting = last - m.Sending
	m.Paths = append(m.Paths, a.Paths...)
	for _, p := range b.Paths {
		i := 0
		for i < len(m.Paths) && m.Paths[i].Path != p.Path {
			i++
		}
		if i == len(m.Paths) {
			m.Paths = append(m.Paths, p)
		} else {
			m.Paths[i] = mergePaths(m.Paths[i], p)
		}
	}
	return m, m.Check()
}

func mergePaths(a, b PathResult) PathResult {
	a.Arrivals += b.Arrivals
	a.Dropped += b.Dropped
	a.Bytes += b.Bytes
	a.Unexpected += b.Unexpected
	a.Statuses = addAll(a.Statuses, b.Statuses)
	a.Failures = addAll(a.Failures, b.Failures)
	a.Response, a.Service = a.Response.Clone(), a.Service.Clone()
	a.Response.Merge(b.Response)
	a.Service.Merge(b.Service)
	return a
}
