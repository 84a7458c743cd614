package viewer

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/local/store"
)

// listed is the number of traces or log lines that a page shows.
const listed = 200

// form is a page's filter, as in its URL.
type form struct {
	Service, Resource, Status, Text, Min, Max, From, To string
	Errors                                              bool
}

func newForm(q url.Values) form {
	return form{
		Service: q.Get("service"), Resource: q.Get("resource"), Status: q.Get("status"), Text: q.Get("q"),
		Min: q.Get("min"), Max: q.Get("max"), From: q.Get("from"), To: q.Get("to"), Errors: q.Get("errors") != "",
	}
}

// Window is the chosen time in words, "" without one.
func (f form) Window() string {
	clockOf := func(ms string) string {
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return ms
		}
		return clock(time.UnixMilli(n), time.Now())
	}
	switch {
	case f.From != "" && f.To != "":
		return "started from " + clockOf(f.From) + " to " + clockOf(f.To)
	case f.From != "":
		return "started from " + clockOf(f.From)
	case f.To != "":
		return "started before " + clockOf(f.To)
	}
	return ""
}

// WithoutWindow returns the URL of the form without the chosen time.
func (f form) WithoutWindow() string {
	q := url.Values{}
	for _, field := range []struct{ name, value string }{
		{"service", f.Service}, {"resource", f.Resource}, {"status", f.Status}, {"q", f.Text}, {"min", f.Min}, {"max", f.Max},
	} {
		if field.value != "" {
			q.Set(field.name, field.value)
		}
	}
	if f.Errors {
		q.Set("errors", "1")
	}
	return "/traces?" + q.Encode()
}

// filter parses the form. An error names the field.
func (f form) filter(limit int) (store.Filter, error) {
	out := store.Filter{Service: f.Service, Resource: f.Resource, Status: f.Status, Errors: f.Errors, Limit: limit}
	var err error
	if out.Query, err = store.ParseQuery(f.Text); err != nil {
		return out, fmt.Errorf("q: %w", err)
	}
	for _, d := range []struct {
		name, value string
		to          *time.Duration
	}{{"min", f.Min, &out.MinDuration}, {"max", f.Max, &out.MaxDuration}} {
		if d.value == "" {
			continue
		}
		v, err := time.ParseDuration(strings.ReplaceAll(d.value, " ", ""))
		if err != nil || v < 0 {
			return out, fmt.Errorf("%s must be a duration such as 10ms, got %q", d.name, d.value)
		}
		*d.to = v
	}
	for _, at := range []struct {
		name, value string
		to          *time.Time
	}{{"from", f.From, &out.From}, {"to", f.To, &out.To}} {
		if at.value == "" {
			continue
		}
		if *at.to, err = readTime(at.name, at.value); err != nil {
			return out, err
		}
	}
	return out, nil
}

// scatter is the data of the chart above the list: times in seconds since 1970,
// durations in milliseconds. A trace has a value in Served or in Failed; it is nil
// in the other.
type scatter struct {
	Time   []float64  `json:"time"`
	Served []*float64 `json:"served"`
	Failed []*float64 `json:"failed"`
}

// scattered is the largest number of points in a chart: more overlap.
const scattered = 2000

func newScatter(traces []store.Summary) scatter {
	s := scatter{Time: []float64{}, Served: []*float64{}, Failed: []*float64{}}
	for _, t := range slices.Backward(traces) {
		ms := float64(t.Duration) / float64(time.Millisecond)
		s.Time = append(s.Time, float64(t.Start.UnixMilli())/1000)
		if t.Error {
			s.Served, s.Failed = append(s.Served, nil), append(s.Failed, &ms)
		} else {
			s.Served, s.Failed = append(s.Served, &ms), append(s.Failed, nil)
		}
	}
	return s
}

func (v *viewer) traces(w http.ResponseWriter, r *http.Request) {
	f := newForm(r.URL.Query())
	filter, err := f.filter(scattered)
	data := struct {
		Form     form
		Problem  string
		Traces   []store.Summary
		Matching int
		Services []string
		Fields   []string // of queries
		Scatter  scatter
	}{Form: f, Services: v.Store.ServiceNames(), Fields: store.QueryFields, Scatter: newScatter(nil)}
	status := http.StatusOK
	if err != nil {
		data.Problem, status = err.Error(), http.StatusBadRequest
	} else {
		data.Traces, data.Matching = v.Store.Traces(filter)
		data.Scatter = newScatter(data.Traces)
		data.Traces = data.Traces[:min(listed, len(data.Traces))]
	}
	v.show(w, status, "traces", page{Title: "Traces", Section: "traces", Live: true, Data: data})
}
