package viewer

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"apmapp/internal/format"
	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
)

// receivedReport is what arrived, and what was not kept or not counted.
type receivedReport struct {
	received.Report
	Spans struct {
		Duplicate int `json:"duplicate"`
		Late      int `json:"late"`
		NotFinite int `json:"not_finite"`
	} `json:"spans"`
	Statistics struct {
		Refused int `json:"refused"`
	} `json:"statistics"`
	Metrics []store.Refusal `json:"metrics_refused"`
	// OtherFiles are uploaded files that are not pprof profiles, by extension.
	OtherFiles map[string]int `json:"other_profiles"`
}

func (v *viewer) report() receivedReport {
	r := receivedReport{Report: v.Received.Report(), Metrics: v.Store.RefusedMetrics(), OtherFiles: v.Store.LeftOut()}
	u := v.Store.Usage()
	r.Spans.Duplicate, r.Spans.Late, r.Spans.NotFinite = u.DuplicateSpans, u.LateSpans, u.NotFinite
	r.Statistics.Refused = u.RefusedStatistics
	return r
}

func (v *viewer) apiReceived(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.report()) }

func (v *viewer) received(w http.ResponseWriter, _ *http.Request) {
	r := v.report()
	data := struct {
		receivedReport
		Refused, Accepted []received.Requests
		Notes             []note
	}{receivedReport: r}
	for _, of := range r.Requests {
		if of.Status >= 400 {
			data.Refused = append(data.Refused, of)
		} else {
			data.Accepted = append(data.Accepted, of)
		}
	}
	data.Notes = r.notes()
	v.show(w, http.StatusOK, "received", page{Title: "Received", Section: "received", Live: true, Data: data})
}

// note is a number of things that were not kept, or not counted, as they arrived.
type note struct {
	Number int64
	Text   string
}

func (r *receivedReport) notes() []note {
	var all []note
	add := func(n int64, text string) {
		if n > 0 {
			all = append(all, note{n, text})
		}
	}
	add(r.Duplicates, "payloads that arrived again, and were counted once")
	add(int64(r.Spans.Duplicate), "spans that arrived again, and were counted once")
	add(int64(r.Spans.Late), "spans that ended more than five minutes before they arrived, or in the future: their traces are kept, and no statistics count them. Is a clock wrong?")
	add(int64(r.Spans.NotFinite), "numbers of spans that were NaN or infinite: they are shown as text")
	add(int64(r.Statistics.Refused), "statistics of tracers with impossible numbers or unreadable durations, which are not counted")
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		add(r.Reasons[reason], reason)
	}
	for _, m := range r.Metrics {
		add(int64(m.Lines), "DogStatsD lines: "+m.Reason+". The last one: "+m.Last)
	}
	return all
}

// counts writes counts by name, the largest first.
func counts(of map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		if d := of[b] - of[a]; d != 0 {
			return int(max(min(d, 1), -1))
		}
		return strings.Compare(a, b)
	})
	var all []string
	for _, name := range names {
		all = append(all, format.Count(of[name])+" "+strings.ReplaceAll(name, "_", " "))
	}
	return strings.Join(all, ", ")
}
