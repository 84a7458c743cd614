package viewer

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// servicePage is the data of the page of a service, or of one of its resources.
type servicePage struct {
	scope
	Numbers    series.Numbers
	Chart      overTime
	Happenings []happening
	Histogram  histogram
	// Primary and Others are the resources of a service.
	Primary, Others []store.Resource
	Errors          []store.Failure
	Around          surroundings
	Latest, Slowest []store.Summary
	Profiles        []profileLink
	// Lines are log lines; Severe is set if they are the warnings and errors.
	Lines  []wire.Log
	Severe bool
	Charts []chart
}

// TracesURL and the others are links to more of the same.
func (p servicePage) TracesURL() string { return "/traces?" + p.query().Encode() }

// CompareURL is the comparison of the last minutes with the ones before.
func (p servicePage) CompareURL() string { return p.page("/compare") }

func (s scope) missing() string {
	text := "No span of service " + s.Service
	if s.Resource != "" {
		text += " with the resource " + s.Resource
	}
	return text + " has arrived in the last half hour."
}

// scopeOf returns the resource that a request names.
func scopeOf(r *http.Request) scope {
	q := r.URL.Query()
	return scope{Service: r.PathValue("service"), Operation: q.Get("operation"), Resource: q.Get("name")}
}

// find returns the statistics of a resource, of its primary operation if the scope names none.
func (v *viewer) find(of scope) (store.Resource, bool) {
	all := v.Store.Resources(of.Service)
	i := slices.IndexFunc(all, func(r store.Resource) bool {
		return r.Resource == of.Resource && (of.Operation == "" || r.Operation == of.Operation)
	})
	if i < 0 {
		return store.Resource{}, false
	}
	return all[i], true
}

const (
	// listedOfService is the number of traces and log lines on the page of a service.
	listedOfService = 5
	// chartsOfService is the number of metrics there.
	chartsOfService = 6
)

func (v *viewer) service(w http.ResponseWriter, r *http.Request) {
	now := v.Store.Now()
	p := servicePage{scope: scope{Service: r.PathValue("service")}}
	operation := ""
	for _, of := range v.Store.Resources(p.Service) {
		if of.Primary {
			operation, p.Primary = of.Operation, append(p.Primary, of)
		} else {
			p.Others = append(p.Others, of)
		}
	}
	if len(p.Primary) == 0 {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Data: missing{Text: p.missing()}})
		return
	}
	for _, s := range v.Store.Services() {
		if s.Name == p.Service {
			p.fill(s.Numbers, s.Operations[0].Intervals(), now)
		}
	}
	p.Errors = v.Store.Failures(p.Service)
	v.relate(&p, now)
	p.Operation = operation
	v.show(w, http.StatusOK, "service", page{Title: p.Service, Section: "services", Live: true, Data: p})
}

func (v *viewer) resource(w http.ResponseWriter, r *http.Request) {
	now := v.Store.Now()
	p := servicePage{scope: scopeOf(r)}
	of, ok := v.find(p.scope)
	if !ok || p.Resource == "" {
		v.show(w, http.StatusNotFound, "missing", page{Title: "Not found", Data: missing{Text: p.missing()}})
		return
	}
	p.Operation = of.Operation
	p.fill(of.Numbers, of.Intervals(), now)
	for _, f := range v.Store.Failures(p.Service) {
		if slices.Contains(f.Resources, p.Resource) {
			p.Errors = append(p.Errors, f)
		}
	}
	v.relate(&p, now)
	v.show(w, http.StatusOK, "service", page{Title: p.Resource, Section: "services", Live: true, Data: p})
}

// fill sets what is known from statistics.
func (p *servicePage) fill(n series.Numbers, intervals []series.Interval, now time.Time) {
	p.Numbers, p.Chart, p.Histogram = n, newOverTime(intervals, now), newHistogram(n, p.scope)
	p.Happenings = latestOf(episodesOf(p.scope, intervals, now))
}

// relate sets what is known from traces, profiles, log lines and metrics.
func (v *viewer) relate(p *servicePage, now time.Time) {
	traces, latest := v.sample(p.scope, store.Filter{})
	p.Around = surroundingsOf(traces, p.scope, p.Numbers.Rate)
	p.Latest = latest[:min(len(latest), listedOfService)]
	p.Slowest, _ = v.Store.Traces(store.Filter{Service: p.Service, Resource: p.Resource, Limit: listedOfService, Slowest: true})
	p.Profiles = v.profilesOf(p.scope, now)
	p.Lines, p.Severe = v.linesOf(p.scope, traces)
	p.Charts = newCharts(v.Store.MetricsWhere(func(name, tags string) bool {
		return rank(name) == 0 && slices.Contains(strings.Split(tags, ","), "service:"+p.Service)
	}))
	p.Charts = p.Charts[:min(len(p.Charts), chartsOfService)]
}

// linesOf returns the latest log lines of a scope: the warnings and errors, or all lines
// without these. The lines of a resource are the ones of its traces.
func (v *viewer) linesOf(of scope, traces []store.Trace) (lines []wire.Log, severe bool) {
	const looked = 2000
	all, _ := v.Store.Logs(store.LogFilter{Service: of.Service, Limit: looked})
	if of.Resource != "" {
		ids := map[string]bool{}
		for _, t := range traces {
			ids[span.LowerHalf(t.ID)] = true
		}
		all = slices.DeleteFunc(all, func(l wire.Log) bool {
			return !ids[span.LowerHalf(l.TraceID)] && !slices.ContainsFunc(span.LowerHalves(l.TraceID), func(half string) bool { return ids[half] })
		})
	}
	for _, l := range all {
		if l.Level == wire.Warn || l.Level == wire.Error || l.Level == wire.Critical {
			lines = append(lines, l)
		}
	}
	if severe = len(lines) > 0; !severe {
		lines = all
	}
	return lines[:min(len(lines), listedOfService)], severe
}

// profileLink is a kind of profile of a scope.
type profileLink struct{ Kind, URL string }

// profiled is the time of the flame graphs on the page of a service.
const profiled = 10 * time.Minute

// profilesOf returns the kinds of profiles of a scope, each with the URL of its flame graph.
func (v *viewer) profilesOf(of scope, now time.Time) []profileLink {
	var all []profileLink
	for _, p := range v.Store.Profiles(of.Service, "") {
		if of.Resource != "" && !slices.Contains(p.Endpoints, of.Resource) || slices.ContainsFunc(all, func(l profileLink) bool { return l.Kind == p.Kind }) {
			continue
		}
		all = append(all, profileLink{p.Kind, profileRange{Service: of.Service, Kind: p.Kind, Endpoint: of.Resource, twoTimes: twoTimes{From: now.Add(-profiled)}}.url()})
	}
	slices.SortFunc(all, func(a, b profileLink) int { return strings.Compare(a.Kind, b.Kind) })
	return all
}

// histogram is a distribution of durations, on a logarithmic axis. Positions and heights are
// percentages.
type histogram struct {
	Bars  []histogramBar
	Marks []histogramMark
}

type histogramBar struct {
	Height float64
	Title  string
	// URL has the traces with these durations.
	URL string
}

// histogramMark is a percentile on the axis. The text of a right one is left of its place.
type histogramMark struct {
	X     float64
	Text  string
	Right bool
}

// overlaps reports whether the text of a mark overlaps the one of a mark left of it, in a
// window of 400 pixels.
func (m histogramMark) overlaps(left histogramMark) bool {
	const width = 25 // of a text
	if m.Right && !left.Right {
		return m.X-left.X < 2*width
	}
	return m.X-left.X < width
}

func newHistogram(n series.Numbers, of scope) histogram {
	var h histogram
	bars := n.Distribution()
	if len(bars) == 0 {
		return h
	}
	most := int64(1)
	for _, b := range bars {
		most = max(most, b.Hits)
	}
	for _, b := range bars {
		q := of.query()
		q.Set("min", b.From.String())
		q.Set("max", b.To.String())
		h.Bars = append(h.Bars, histogramBar{100 * float64(b.Hits) / float64(most),
			fmt.Sprintf("%s requests from %s to %s", format.Count(b.Hits), format.Duration(b.From), format.Duration(b.To)), "/traces?" + q.Encode()})
	}
	least, last := float64(bars[0].From), float64(bars[len(bars)-1].To)
	for _, m := range []struct {
		name string
		at   time.Duration
	}{{"p50", n.P50}, {"p95", n.P95}, {"p99", n.P99}} {
		x := min(max(100*math.Log(float64(m.at)/least)/math.Log(last/least), 0), 100)
		mark := histogramMark{x, m.name + " " + format.Duration(m.at), x > 60}
		if i := len(h.Marks) - 1; i >= 0 && mark.overlaps(h.Marks[i]) {
			h.Marks[i].Text += ", " + mark.Text
			continue
		}
		h.Marks = append(h.Marks, mark)
	}
	return h
}
