package store

import (
	"cmp"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/span"
)

// Summary describes a trace in one line, mostly by its root span.
type Summary struct {
	ID       string        `json:"trace_id"`
	Service  string        `json:"service"`
	Resource string        `json:"resource"`
	Type     string        `json:"type"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	Error    bool          `json:"error"`
	Status   string        `json:"status,omitempty"` // of HTTP
	Spans    int           `json:"spans"`
	// Failure is the type and message of the first error that arrived, of the root span if
	// that has one.
	Failure string `json:"failure,omitempty"`
}

// summarize updates the summary with the spans after the first known ones.
func (t *trace) summarize(known int) {
	t.root = t.findRoot(known)
	root := &t.Spans[t.root]
	failed := ""
	if t.summary != nil {
		failed = t.summary.Failure
	}
	for i := known; i < len(t.Spans) && failed == ""; i++ {
		failed = failureText(&t.Spans[i])
	}
	failed = cmp.Or(failureText(root), failed)
	t.summary = &Summary{
		ID: t.ID, Service: root.Service, Resource: root.Resource, Type: root.Type,
		Start: root.Start, Duration: root.Duration, Error: root.Error,
		Status: root.Tags["http.status_code"], Spans: len(t.Spans), Failure: failed,
	}
}

// failureText returns the type and the beginning of the message of a span's error, or "".
func failureText(s *span.Span) string {
	f, _ := s.Failure()
	text := strings.TrimSpace(f.Type + " " + f.Message)
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}

// findRoot returns the index of the span that Root returns. It starts from the root of
// the first known spans, to look only at the new ones.
func (t *trace) findRoot(known int) int {
	first := t.root
	if known > 0 && t.isRoot(first) {
		for i := known; i < len(t.Spans); i++ {
			if t.isRoot(i) && t.Spans[i].Start.Before(t.Spans[first].Start) {
				first = i
			}
		}
		return first
	}
	first = -1
	for i := range t.orphans.all() {
		if first < 0 || cmp.Or(t.Spans[i].Start.Compare(t.Spans[first].Start), cmp.Compare(i, first)) < 0 {
			first = i
		}
	}
	return max(first, 0) // parents form a circle
}

// Filter selects traces. Zero fields match everything.
type Filter struct {
	// One span has this service, resource, HTTP status (such as 503 or 5xx) and error.
	Service, Resource, Status string
	Errors                    bool
	// The duration and the start of the trace.
	MinDuration, MaxDuration time.Duration
	From, To                 time.Time
	// Text is in a span, in any case, or is a part of the trace ID.
	Text  string
	Query Query
	// Slowest orders by duration, the longest first.
	Slowest bool
	Limit   int
}

// search returns the matching traces, the latest first, at most f.Limit, and the number
// of all that match.
func (s *traces) search(f Filter) (listed []Summary, matching int) {
	q, order := f.query(), byStart
	if f.Slowest {
		order = byDuration
	}
	views := s.views()
	workers := runtime.GOMAXPROCS(0)
	tops, counts := make([]first, workers), make([]int, workers)
	var all sync.WaitGroup
	for n := range workers {
		all.Go(func() {
			top := first{limit: f.Limit, order: order}
			for _, v := range views[len(views)*n/workers : len(views)*(n+1)/workers] {
				if f.inTime(v.summary) && q.matches(v.summary.ID, v.spans) {
					counts[n]++
					top.add(v.summary)
				}
			}
			tops[n] = top
		})
	}
	all.Wait()
	top := first{limit: f.Limit, order: order}
	for n := range workers {
		matching += counts[n]
		for _, t := range tops[n].kept {
			top.add(t)
		}
	}
	listed = []Summary{}
	for _, t := range top.sorted() {
		listed = append(listed, *t)
	}
	return listed, matching
}

// inTime reports whether the start and the duration of a trace match.
func (f *Filter) inTime(t *Summary) bool {
	return t.Duration >= f.MinDuration && (f.MaxDuration == 0 || t.Duration <= f.MaxDuration) &&
		(f.From.IsZero() || !t.Start.Before(f.From)) && (f.To.IsZero() || t.Start.Before(f.To))
}

// first keeps the first traces of an order, without sorting all of them.
type first struct {
	order func(a, b *Summary) int
	limit int
	kept  []*Summary // at most twice the limit
	least *Summary   // the last one within the limit when kept was sorted; nil before
}

func (l *first) add(t *Summary) {
	if l.least != nil && l.order(t, l.least) > 0 {
		return
	}
	if l.kept = append(l.kept, t); len(l.kept) >= 2*l.limit && l.limit > 0 {
		l.sorted()
		l.least = l.kept[len(l.kept)-1]
	}
}

// sorted returns the traces in order.
func (l *first) sorted() []*Summary {
	slices.SortFunc(l.kept, l.order)
	l.kept = l.kept[:min(len(l.kept), l.limit)]
	return l.kept
}

func byStart(a, b *Summary) int {
	if c := b.Start.Compare(a.Start); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

func byDuration(a, b *Summary) int {
	if c := cmp.Compare(b.Duration, a.Duration); c != 0 {
		return c
	}
	return byStart(a, b)
}

// query returns the query with the other conditions.
func (f Filter) query() Query {
	q := Query{slices.Clone(f.Query.terms), slices.Clone(f.Query.words)}
	equal := func(value string) func(string) bool { return func(has string) bool { return has == value } }
	if f.Service != "" {
		q.terms = append(q.terms, term{field: "service", test: equal(f.Service)})
	}
	if f.Resource != "" {
		q.terms = append(q.terms, term{field: "resource", test: equal(f.Resource)})
	}
	if f.Status != "" {
		begin := strings.TrimRight(f.Status, "x")
		q.terms = append(q.terms, term{tag: statusTag, test: func(has string) bool { return strings.HasPrefix(has, begin) }})
	}
	if f.Errors {
		q.terms = append(q.terms, term{field: "error", test: equal("true")})
	}
	if text := strings.ToLower(strings.TrimSpace(f.Text)); text != "" {
		q.words = append(q.words, newWord(text, false))
	}
	return q
}

// view is what a search reads of a trace, also after the lock was released.
type view struct {
	summary *Summary
	spans   []span.Span
}

// views returns all traces, in no order.
func (s *traces) views() []view {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]view, 0, len(s.byID))
	for _, t := range s.byID {
		all = append(all, view{t.summary, t.Spans})
	}
	return all
}

// between returns the traces that begin in [from, to), the oldest first, and how many
// traces each represents.
func (s *traces) between(from, to time.Time) iter.Seq2[Trace, float64] {
	views := s.views()
	f := Filter{From: from, To: to}
	views = slices.DeleteFunc(views, func(v view) bool { return !f.inTime(v.summary) })
	slices.SortFunc(views, func(a, b view) int { return byStart(b.summary, a.summary) })
	return func(yield func(Trace, float64) bool) {
		for _, v := range views {
			if !yield(Trace{v.summary.ID, v.spans}, weight(v.spans)) {
				return
			}
		}
	}
}
