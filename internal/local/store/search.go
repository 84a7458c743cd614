package store

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
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

	text string // for searches
}

// summarize updates the summary with the spans after the first known ones.
func (t *trace) summarize(known int) {
	t.root = t.findRoot(known)
	root := &t.Spans[t.root]
	for i := known; i < len(t.Spans) && t.text.Len() < 4<<10; i++ { // long traces repeat themselves
		sp := &t.Spans[i]
		t.text.WriteString(strings.ToLower(sp.Service + " " + sp.Resource + " " + sp.Operation + " " + sp.Tags["error.message"] + "\n"))
	}
	t.summary = &Summary{
		ID: t.ID, Service: root.Service, Resource: root.Resource, Type: root.Type,
		Start: root.Start, Duration: root.Duration, Error: root.Error,
		Status: root.Tags["http.status_code"], Spans: len(t.Spans),
		text: t.text.String(),
	}
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
	for _, of := range t.orphans {
		for _, i := range of {
			if first < 0 || cmp.Or(t.Spans[i].Start.Compare(t.Spans[first].Start), cmp.Compare(i, first)) < 0 {
				first = i
			}
		}
	}
	return max(first, 0) // parents form a circle
}

// Filter selects traces. Zero fields match everything.
type Filter struct {
	Service, Resource, Status string
	Errors                    bool
	MinDuration, MaxDuration  time.Duration
	From, To                  time.Time
	// Text is a part of a service, resource, operation, error message or trace ID.
	Text  string
	Limit int
}

func (f Filter) matches(s *Summary) bool {
	return (f.Service == "" || s.Service == f.Service) &&
		(f.Resource == "" || s.Resource == f.Resource) &&
		(f.Status == "" || strings.HasPrefix(s.Status, strings.TrimRight(f.Status, "x"))) &&
		(!f.Errors || s.Error) &&
		s.Duration >= f.MinDuration && (f.MaxDuration == 0 || s.Duration <= f.MaxDuration) &&
		(f.From.IsZero() || !s.Start.Before(f.From)) && (f.To.IsZero() || s.Start.Before(f.To)) &&
		(f.Text == "" || strings.Contains(s.text, f.Text) || strings.Contains(s.ID, f.Text))
}

// search returns the matching traces, the latest first, at most f.Limit, and the number
// of all that match.
func (s *traces) search(f Filter) (listed []Summary, matching int) {
	f.Text = strings.ToLower(strings.TrimSpace(f.Text))
	all := slices.DeleteFunc(s.summaries(), func(t *Summary) bool { return !f.matches(t) })
	slices.SortFunc(all, func(a, b *Summary) int {
		return cmp.Or(b.Start.Compare(a.Start), strings.Compare(a.ID, b.ID))
	})
	listed = make([]Summary, 0, min(len(all), f.Limit))
	for _, t := range all[:min(len(all), f.Limit)] {
		listed = append(listed, *t)
	}
	return listed, len(all)
}

// summaries returns the summaries of all traces, in no order.
func (s *traces) summaries() []*Summary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Summary, 0, len(s.byID))
	for _, t := range s.byID {
		all = append(all, t.summary)
	}
	return all
}

// serviceNames returns the services of root spans.
func (s *traces) serviceNames() []string {
	known := map[string]bool{}
	for _, t := range s.summaries() {
		known[t.Service] = true
	}
	return slices.Collect(maps.Keys(known))
}
