package viewer

import (
	"apmapp/internal/local/wire"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/local/span"
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
		ms, err := strconv.ParseInt(at.value, 10, 64)
		if err != nil {
			return out, fmt.Errorf("%s must be a time in milliseconds since 1970, got %q", at.name, at.value)
		}
		*at.to = time.UnixMilli(ms)
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

// tagLine is a tag of a span.
type tagLine struct{ Name, Value string }

// Query returns the query of traces with the tag.
func (t tagLine) Query() string { return store.TagQuery(t.Name, t.Value) }

func noTrace(id string) string {
	return "Trace " + id + " has not arrived yet, or was evicted."
}

func (v *viewer) trace(w http.ResponseWriter, r *http.Request) {
	t, ok := v.Store.Trace(r.PathValue("id"))
	if !ok {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Live: true, Data: missing{
			Text: noTrace(r.PathValue("id")) + " Tracers send every few seconds; this page shows the trace when it arrives.",
			Wait: "/api/traces?limit=1&id=" + url.QueryEscape(r.PathValue("id")),
		}})
		return
	}
	logs, _ := v.Store.Logs(store.LogFilter{TraceID: t.ID, Limit: 1000})
	slices.Reverse(logs)
	root, rows := t.Root(), waterfall(t, logs)
	data := struct {
		ID       string
		Root     *span.Span
		Rows     []row
		Selected *row
		Tags     []tagLine
		Logs     []wire.Log
		Flame    string
		Samples  samples // of the selected span
		Notes    []string
		Services []serviceColor
		Ticks    []tick
		Groups   []group
	}{ID: t.ID, Root: root, Rows: rows, Logs: logs, Flame: v.flame(root)}
	for i := range rows {
		if fmt.Sprint(rows[i].SpanID) == r.URL.Query().Get("span") {
			data.Selected = &rows[i]
		}
	}
	if data.Selected == nil {
		data.Selected = &rows[0]
	}
	data.Samples = v.samples(data.Selected.Span)
	for name, value := range data.Selected.Tags {
		data.Tags = append(data.Tags, tagLine{name, value})
	}
	for name, value := range data.Selected.Metrics {
		data.Tags = append(data.Tags, tagLine{name, strconv.FormatFloat(value, 'g', -1, 64)})
	}
	slices.SortFunc(data.Tags, func(a, b tagLine) int {
		// Tags with underscores are the tracer's own: they are last.
		return strings.Compare(strings.ReplaceAll(a.Name, "_", "~"), strings.ReplaceAll(b.Name, "_", "~"))
	})
	if r.URL.Query().Has("part") { // the rest of the page stays
		v.show(w, http.StatusOK, "trace", page{Part: "span", Data: data})
		return
	}
	data.Notes, data.Services, data.Ticks, data.Groups = notesOf(t), colorsOf(rows), ticksOf(rows), groupsOf(rows)
	v.show(w, http.StatusOK, "trace", page{Title: root.Resource, Section: "traces", Data: data})
}

// flame returns the URL of the flame graph of the span's endpoint in the minute of
// the span, or "" if no profile has samples of it.
func (v *viewer) flame(root *span.Span) string {
	for _, p := range v.Store.Profiles(root.Service, "") {
		if !root.Start.Before(p.Start) && root.Start.Before(p.End) && slices.Contains(p.Endpoints, root.Resource) {
			return fmt.Sprintf("/profiles/%d/flamegraph?endpoint=%s", p.ID, url.QueryEscape(root.Resource))
		}
	}
	return ""
}

// samples has the data of CPU profiles about a span.
type samples struct {
	CPU   time.Duration
	Flame string // URL of its flame graph; "" if no profile has a sample of it
}

func (v *viewer) samples(s *span.Span) samples {
	for _, p := range v.Store.Profiles("", "") {
		if cpu := p.Spans[s.SpanID]; cpu > 0 {
			return samples{cpu, fmt.Sprintf("/profiles/%d/flamegraph?span=%d", p.ID, s.SpanID)}
		}
	}
	return samples{}
}

func (v *viewer) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	data := struct {
		Service, Level, Text string
		Lines                []wire.Log
		Matching             int
		Services             []string
	}{Service: q.Get("service"), Level: q.Get("level"), Text: q.Get("q"), Services: v.Store.ServiceNames()}
	data.Lines, data.Matching = v.Store.Logs(store.LogFilter{Service: data.Service, Level: data.Level, Text: data.Text, Limit: listed})
	v.show(w, http.StatusOK, "logs", page{Title: "Logs", Section: "logs", Live: true, Data: data})
}
