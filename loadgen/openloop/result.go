package openloop

import (
	"errors"
	"fmt"
	"time"
)

// samples is how many requests of a kind a result names: enough to look at.
const samples = 10

// Result is what became of a run. As JSON it keeps all that Merge needs.
type Result struct {
	// Start is the instant that the schedule counts from.
	Start time.Time `json:"start"`
	// Asked is how long the schedule ran, Elapsed until the last answer.
	Asked   time.Duration `json:"asked_ns"`
	Elapsed time.Duration `json:"elapsed_ns"`
	// Lateness is how long after their scheduled instants requests were sent.
	Lateness *Histogram `json:"lateness"`
	// Total counts all requests, Paths those of each path.
	Total PathResult   `json:"total"`
	Paths []PathResult `json:"paths"`
	// Slowest are the requests with the longest response times, longest first;
	// Failed the first that failed.
	Slowest []Sample `json:"slowest"`
	Failed  []Sample `json:"failed"`
	// Series is the run over time.
	Series Series `json:"series"`
}

// PathResult counts the requests of a path.
type PathResult struct {
	Path string `json:"path,omitempty"`
	// Arrivals were due; Dropped of them were not sent, because as many as may
	// be were in flight.
	Arrivals int64 `json:"arrivals"`
	Dropped  int64 `json:"dropped"`
	// Bytes are those of the answers' bodies.
	Bytes int64 `json:"bytes"`
	// Statuses counts whole answers by status, Failures the others by kind.
	Statuses map[int]int64    `json:"statuses"`
	Failures map[string]int64 `json:"failures"`
	// Response and Service have the times of all requests that were sent, also
	// of those that failed.
	Response *Histogram `json:"response"`
	Service  *Histogram `json:"service"`
}

// Sample is one request.
type Sample struct {
	TraceID string `json:"trace_id,omitempty"`
	Path    string `json:"path"`
	// Offset is its scheduled instant, from the run's start.
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

// Completed is the number of requests that have ended, well or not.
func (p *PathResult) Completed() int64 { return p.Response.Count() }

// Failed is the number of requests without a whole answer, or with a 5xx.
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

// Classes counts whole answers by the first digit of their status.
func (p *PathResult) Classes() [6]int64 {
	var classes [6]int64
	for status, count := range p.Statuses {
		classes[min(max(status/100, 0), 5)] += count
	}
	return classes
}

// ErrorRate is the share of arrivals, 0 to 1, that were not served: requests
// that failed, and arrivals that were dropped.
func (r *Result) ErrorRate() float64 {
	if r.Total.Arrivals == 0 {
		return 0
	}
	return float64(r.Total.Failed()+r.Total.Dropped) / float64(r.Total.Arrivals)
}

// AskedRate is the mean of the schedule's rate, in requests per second.
func (r *Result) AskedRate() float64 { return rate(r.Total.Arrivals, r.Asked) }

// AchievedRate is how many answers came whole per second, 5xx among them.
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

// Check returns what is missing from a result that was read from JSON.
func (r *Result) Check() error {
	whole := func(h *Histogram) bool { return h != nil && h.h != nil }
	if r.Start.IsZero() || !whole(r.Lateness) {
		return errors.New("not a result of a run")
	}
	for _, p := range append([]PathResult{r.Total}, r.Paths...) {
		if !whole(p.Response) || !whole(p.Service) || p.Statuses == nil || p.Failures == nil {
			return fmt.Errorf("the result of path %q is not whole", p.Path)
		}
	}
	if r.Series.Length <= 0 {
		return errors.New("the result has no series")
	}
	for _, i := range r.Series.Intervals {
		if err := i.Response.addTo(newSummaryHistogram()); err != nil {
			return fmt.Errorf("the result's series: hdr: %w", err)
		}
	}
	return nil
}

// Merge returns what one run would have had that sent both runs' requests. It
// is exact: histograms are added, not averaged. It fails for results that Check
// refuses.
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
	return m, nil
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
