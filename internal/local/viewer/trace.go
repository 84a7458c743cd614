package viewer

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// tagLine is a tag of a span.
type tagLine struct{ Name, Value string }

// Query returns the query of traces with the tag.
func (t tagLine) Query() string { return store.TagQuery(t.Name, t.Value) }

func noTrace(id string) string {
	return "Trace " + id + " has not arrived yet, or was evicted."
}

// logsOfTrace is the number of log lines that the page of a trace shows.
const logsOfTrace = 1000

func (v *viewer) trace(w http.ResponseWriter, r *http.Request) {
	t, ok := v.Store.Trace(r.PathValue("id"))
	if !ok {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Section: "traces", Live: true, Data: missing{
			Text: noTrace(r.PathValue("id")) + " Tracers send every few seconds; this page shows the trace when it arrives.",
			Wait: "/api/traces?limit=1&id=" + url.QueryEscape(r.PathValue("id")),
		}})
		return
	}
	logs, lines := v.Store.Logs(store.LogFilter{TraceID: t.ID, Limit: logsOfTrace})
	state := stateOf(t, lines, v.Store.Now())
	part := r.URL.Query().Get("part")
	if part == "state" {
		v.show(w, http.StatusOK, "trace", page{Part: "state", Data: struct{ State traceState }{state}})
		return
	}
	slices.Reverse(logs)
	root, rows := t.Root(), waterfall(t, logs)
	data := struct {
		ID       string
		State    traceState
		Root     *span.Span
		Rows     []row
		Selected *row
		Share    string // of the trace's time
		Tags     []tagLine
		Logs     []wire.Log
		Flame    string
		Samples  samples // of the selected span
		Notes    []string
		Services []serviceColor
		Ticks    []tick
		Groups   []group
		Find     string
		Drawn    drawing
	}{ID: t.ID, State: state, Root: root, Rows: rows, Logs: logs, Flame: v.flame(root), Find: r.URL.Query().Get("find")}
	for i := range rows {
		if strconv.FormatUint(rows[i].SpanID, 10) == r.URL.Query().Get("span") {
			data.Selected = &rows[i]
		}
	}
	if data.Selected == nil {
		data.Selected = &rows[0]
	}
	first, last := extent(rows)
	data.Share = format.Percent(float64(data.Selected.Duration) / float64(max(last.Sub(first), 1)))
	data.Samples = v.samples(data.Selected.Span)
	data.Tags = spanTags(data.Selected.Span)
	if part == "span" { // the rest of the page stays
		v.show(w, http.StatusOK, "trace", page{Part: "span", Data: data})
		return
	}
	data.Notes, data.Services, data.Ticks, data.Groups = oddities(t).notes(), colorsOf(rows), ticksOf(rows), groupsOf(rows)
	data.Drawn = newDrawing(rows)
	v.show(w, http.StatusOK, "trace", page{Title: root.Resource, Section: "traces", Feed: "trace", Live: state.Arriving != "", Data: data})
}

// spanTags returns the tags of a span by name, those of the tracer's own last.
func spanTags(s *span.Span) []tagLine {
	var all []tagLine
	for name, value := range s.Tags {
		all = append(all, tagLine{name, value})
	}
	for name, value := range s.Metrics {
		all = append(all, tagLine{name, strconv.FormatFloat(value, 'g', -1, 64)})
	}
	slices.SortFunc(all, func(a, b tagLine) int {
		return strings.Compare(strings.ReplaceAll(a.Name, "_", "~"), strings.ReplaceAll(b.Name, "_", "~"))
	})
	return all
}

// traceState is how much of a trace has arrived.
type traceState struct {
	// Version differs when more has arrived.
	Version string
	// Arriving tells why more may arrive; "" if the trace is complete.
	Arriving string
}

// Times after the end of a trace's last span until which more of it is expected. Tracers
// send at least every ten seconds; a tracer sends a span that has not ended again every few
// minutes.
const (
	untilSent    = 15 * time.Second
	untilMissing = time.Minute
	untilEnded   = 10 * time.Minute
)

func stateOf(t store.Trace, lines int, now time.Time) traceState {
	o := oddities(t)
	s := traceState{Version: fmt.Sprint(len(t.Spans), "-", o.partial, "-", lines)}
	var last time.Time
	for i := range t.Spans {
		if end := t.Spans[i].End(); end.After(last) {
			last = end
		}
	}
	switch age := now.Sub(last); {
	case o.partial > 0 && age < untilEnded:
		s.Arriving = "spans that have not ended: " + format.Count(int64(o.partial))
	case o.missing > 0 && age < untilMissing:
		s.Arriving = "missing spans: " + format.Count(int64(o.missing))
	case age < untilSent:
		s.Arriving = "the last span has just ended"
	}
	return s
}

// drawing is the data from which a script draws the rows of a waterfall. It is compact: a
// trace may have 20,000 spans.
type drawing struct {
	Services []string `json:"services"`
	// Resources are the ones of rows, each once, with at most resourceLength characters.
	Resources []string `json:"resources"`
	// Rows have: span ID, depth, index of service and of resource, offset and width in
	// percent, duration, flags, and the number of rows below in the tree.
	Rows [][9]any `json:"rows"`
	// Marks are log lines: index of row, offset in percent, level and message.
	Marks [][4]any `json:"marks"`
}

// Flags of rows.
const (
	failedRow      = 1 << iota // the span has an error
	criticalRow                // it is on the critical path
	failedBelowRow             // a span below has an error
)

const resourceLength = 200

func newDrawing(rows []row) drawing {
	d := drawing{Services: []string{}, Resources: []string{}, Rows: make([][9]any, 0, len(rows)), Marks: [][4]any{}}
	index := func(list *[]string, known map[string]int, text string) int {
		i, is := known[text]
		if !is {
			i = len(*list)
			known[text] = i
			*list = append(*list, text)
		}
		return i
	}
	services, resources := map[string]int{}, map[string]int{}
	for i, r := range rows {
		flags := 0
		for _, f := range []struct {
			set  bool
			flag int
		}{{r.Error, failedRow}, {r.Critical, criticalRow}, {r.FailedBelow, failedBelowRow}} {
			if f.set {
				flags |= f.flag
			}
		}
		d.Rows = append(d.Rows, [9]any{
			strconv.FormatUint(r.SpanID, 10), r.Depth, index(&d.Services, services, r.Service), index(&d.Resources, resources, shortened(r.Resource, resourceLength)),
			thousandths(r.Offset), thousandths(r.Width), format.Duration(r.Duration), flags, r.Below,
		})
		for _, l := range r.Logs {
			d.Marks = append(d.Marks, [4]any{i, thousandths(l.Offset), strings.ToLower(l.Level), shortened(l.Message, resourceLength)})
		}
	}
	return d
}

func thousandths(v float64) float64 { return math.Round(v*1000) / 1000 }

// shortened returns the beginning of a text.
func shortened(text string, most int) string {
	if len(text) <= most { // bytes, which are at least as many as characters
		return text
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// found is the spans of a trace that a query finds.
type found struct {
	Matching int      `json:"matching"`
	IDs      []string `json:"span_ids"`
}

// apiFind answers with the spans of a trace that match a query, in the order of their
// arrival.
func (v *viewer) apiFind(w http.ResponseWriter, r *http.Request) {
	t, ok := v.Store.Trace(r.PathValue("id"))
	if !ok {
		http.Error(w, noTrace(r.PathValue("id")), http.StatusNotFound)
		return
	}
	q, err := store.ParseQuery(r.URL.Query().Get("q"))
	if err != nil {
		http.Error(w, "q: "+err.Error(), http.StatusBadRequest)
		return
	}
	all := found{IDs: []string{}}
	for i := range t.Spans {
		if q.MatchesSpan(&t.Spans[i]) {
			all.IDs = append(all.IDs, strconv.FormatUint(t.Spans[i].SpanID, 10))
		}
	}
	all.Matching = len(all.IDs)
	v.answer(w, all)
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
