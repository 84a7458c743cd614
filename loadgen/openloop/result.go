package openloop

import (
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
	// Start is the time that the schedule counts from.
	Start time.Time `json:"start"`
	// Asked is the time that the schedule ran. Elapsed also includes the wait for
	// the last answer.
	Asked   time.Duration `json:"asked_ns"`
	Elapsed time.Duration `json:"elapsed_ns"`
	// Lateness holds the delays between the scheduled times of requests and when
	// they were sent.
	Lateness *Histogram `json:"lateness"`
	// Total counts all requests, Paths the requests of each path.
	Total PathResult   `json:"total"`
	Paths []PathResult `json:"paths"`
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

func (p *PathResult) add(response, service time.Duration, x Exchange) {
	p.Response.Record(response)
	p.Service.Record(service)
	p.Bytes += x.Bytes
	if x.Failure != "" {
		p.Failures[x.Failure]++
	} else {
		p.Statuses[x.Status]++
	}
}

// Completed returns the number of requests that ended, failed ones included.
func (p *PathResult) Completed() int64 { return p.Response.Count() }

// Failed returns the number of requests without a complete answer or with a 5xx.
func (p *PathResult) Failed() int64 {
	var n int64
	for _, count := range p.Failures {
		n += count
	}
	for status, count := range p.Statuses {
		if status >= 500 {
			n += count
		}
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

// AskedRate returns the mean rate of the schedule in requests per second.
func (r *Result) AskedRate() float64 { return rate(r.Total.Arrivals, r.Asked) }

// AchievedRate returns the number of complete answers per second, 5xx included.
func (r *Result) AchievedRate() float64 {
	whole := r.Total.Completed()
	for _, n := range r.Total.Failures {
		whole -= n
	}
	return rate(whole, r.Elapsed)
}

func rate(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
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
	if min(r.Asked, r.Elapsed) < 0 || max(r.Asked, r.Elapsed) > maxSpan {
		return fmt.Errorf("asked and elapsed must be between 0s and %s, got %s and %s", maxSpan, r.Asked, r.Elapsed)
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
	counts := []int64{p.Arrivals, p.Dropped, p.Bytes, p.Response.Count(), p.Service.Count()}
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

// Merge returns the result that one run would have had that sent the requests of
// both. It is exact: histograms are added, not averaged. Both results must pass
// Check. Merge fails if their sum does not, for example because the runs are
// years apart.
func Merge(a, b *Result) (*Result, error) {
	m := &Result{
		Start:    a.Start,
		Lateness: a.Lateness.Clone(),
		Total:    mergePaths(a.Total, b.Total),
		Slowest:  slowest(append([]Sample(nil), a.Slowest...), b.Slowest...),
		Failed:   append(append([]Sample(nil), a.Failed...), b.Failed...),
	}
	if b.Start.Before(a.Start) {
		m.Start = b.Start
	}
	if apart := a.Start.Sub(b.Start).Abs(); apart > maxSpan {
		return nil, fmt.Errorf("runs must start within %s, got %s and %s", maxSpan, a.Start.Format(time.RFC3339), b.Start.Format(time.RFC3339))
	}
	m.Lateness.Merge(b.Lateness)
	m.Failed = m.Failed[:min(len(m.Failed), samples)]
	var err error
	if m.Series, err = mergeSeries(a.Series, b.Series, a.Start.Sub(m.Start), b.Start.Sub(m.Start)); err != nil {
		return nil, err
	}
	for _, r := range []*Result{a, b} {
		late := r.Start.Sub(m.Start)
		m.Asked = max(m.Asked, late+r.Asked)
		m.Elapsed = max(m.Elapsed, late+r.Elapsed)
	}
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
	a.Statuses = addAll(a.Statuses, b.Statuses)
	a.Failures = addAll(a.Failures, b.Failures)
	a.Response, a.Service = a.Response.Clone(), a.Service.Clone()
	a.Response.Merge(b.Response)
	a.Service.Merge(b.Service)
	return a
}
