package viewer

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// overTime is the data of the charts of an operation or a resource: times in seconds since
// 1970, requests per second, durations in milliseconds. A percentile is nil in an interval
// without requests.
type overTime struct {
	Time   []int64    `json:"time"`
	Layers []layer    `json:"layers"` // the top one first
	P50    []*float64 `json:"p50"`
	P95    []*float64 `json:"p95"`
	P99    []*float64 `json:"p99"`
}

// layer is a part of the requests. Top is its rate and that of all layers below it.
type layer struct {
	Name   string    `json:"name"`
	Color  string    `json:"color"` // of the design system
	Values []float64 `json:"values"`
	Top    []float64 `json:"top"`
}

// newLayers returns the layers of requests by the class of their status, the top one first.
func newLayers() []layer {
	return []layer{{Name: "2xx", Color: "s2"}, {Name: "ok", Color: "s2"}, {Name: "1xx", Color: "s3"}, {Name: "3xx", Color: "s3"},
		{Name: "4xx", Color: "s4"}, {Name: "failed", Color: "s5"}, {Name: "5xx", Color: "s5"}}
}

// ratesOf returns the rates of the layers of an interval. Requests without a status are ok or
// failed.
func ratesOf(i series.Interval) []float64 {
	c, ok := i.Classes, i.Hits
	for _, n := range c {
		ok -= float64(n)
	}
	var all []float64
	for _, n := range []float64{float64(c[2]), ok, float64(c[1]), float64(c[3]), float64(c[4]), float64(c[0]), float64(c[5])} {
		if n < i.Hits/1e5 { // what rounding leaves
			n = 0
		}
		all = append(all, n/series.BucketLength.Seconds())
	}
	return all
}

// charted is the time that charts show at most.
const charted = 30 * time.Minute

// newOverTime returns the data of complete intervals: the one that has begun would look like
// a drop. Intervals without requests are 0. Layers without requests are left out.
func newOverTime(all []series.Interval, now time.Time) overTime {
	o := overTime{Time: []int64{}, P50: []*float64{}, P95: []*float64{}, P99: []*float64{}}
	all = slices.DeleteFunc(slices.Clone(all), func(i series.Interval) bool {
		return now.Sub(i.Start) > charted || i.Start.Add(series.BucketLength).After(now)
	})
	if len(all) == 0 {
		return o
	}
	layers := newLayers()
	const length = int64(series.BucketLength / time.Second)
	last := now.Unix()/length*length - length
	for at := all[0].Start.Unix(); at <= last; at += length {
		o.Time = append(o.Time, at)
		var one series.Interval
		if len(all) > 0 && all[0].Start.Unix() == at {
			one, all = all[0], all[1:]
		}
		rates, top := ratesOf(one), 0.0
		for i := len(layers) - 1; i >= 0; i-- {
			top += rates[i]
			layers[i].Values, layers[i].Top = append(layers[i].Values, rates[i]), append(layers[i].Top, top)
		}
		for _, p := range []struct {
			to *[]*float64
			d  time.Duration
		}{{&o.P50, one.P50}, {&o.P95, one.P95}, {&o.P99, one.P99}} {
			var ms *float64
			if p.d > 0 {
				v := float64(p.d) / float64(time.Millisecond)
				ms = &v
			}
			*p.to = append(*p.to, ms)
		}
	}
	o.Layers = slices.DeleteFunc(layers, func(l layer) bool { return slices.Max(l.Values) == 0 })
	return o
}

// happening is an episode of a service, in words.
type happening struct {
	Service    string
	Start, End time.Time
	Ongoing    bool
	Text       string
	// Traces is the URL of the traces of that time, Changes of the comparison with the time
	// before.
	Traces, Changes string
}

// happenings returns the latest episodes of all services, the latest first.
func happenings(services []store.Service, now time.Time) []happening {
	var all []happening
	for _, s := range services {
		intervals := s.Operations[0].Intervals()
		all = append(all, episodesOf(scope{Service: s.Name}, intervals, now)...)
		if kind := s.Operations[0].Kind; kind != span.ServerKind && kind != span.ConsumerKind {
			continue // others are called by a service that has the episode
		}
		for _, e := range series.SilentEpisodes(intervals, now) {
			// The traces are the last ones before: the episode has no traces.
			q := url.Values{"service": {s.Name}, "from": {fmt.Sprint(e.Start.Add(-time.Minute).UnixMilli())}, "to": {fmt.Sprint(e.Start.UnixMilli())}}
			all = append(all, happening{s.Name, e.Start, e.End, e.Ongoing, "no requests", "/traces?" + q.Encode(), ""})
		}
	}
	return latestOf(all)
}

// latestOf sorts happenings, the latest first, and keeps as many as a page shows.
func latestOf(all []happening) []happening {
	const most = 8
	slices.SortFunc(all, func(a, b happening) int {
		return cmp.Or(b.End.Compare(a.End), b.Start.Compare(a.Start), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Text, b.Text))
	})
	return all[:min(len(all), most)]
}

// episodesOf returns the episodes of a scope.
func episodesOf(of scope, intervals []series.Interval, now time.Time) []happening {
	var all []happening
	add := func(e series.Episode, text string, more url.Values) {
		q := of.query()
		maps.Copy(q, more)
		q.Set("from", fmt.Sprint(e.Start.UnixMilli()))
		q.Set("to", fmt.Sprint(e.End.UnixMilli()))
		all = append(all, happening{of.Service, e.Start, e.End, e.Ongoing, text, "/traces?" + q.Encode(), times{of, twoTimes{From: e.Start, To: e.End}}.before().URL()})
	}
	for _, e := range series.FailingEpisodes(intervals, now) {
		add(e, fmt.Sprintf("%s of requests failed (%s of %s)", format.Percent(e.Errors/e.Hits), format.Count(int64(e.Errors+0.5)), format.Count(int64(e.Hits+0.5))), url.Values{"errors": {"1"}})
	}
	for _, e := range series.SlowEpisodes(intervals, now) {
		add(e, fmt.Sprintf("slow: p95 rose from %s to %s", format.Duration(e.Usual), format.Duration(e.P95)),
			url.Values{"q": {fmt.Sprintf("service:%q duration:>=%s", of.Service, (e.Usual * 3).Round(time.Millisecond))}})
	}
	return all
}

// healthOf is what the overview shows of a service.
type healthOf struct {
	store.Service
	Chart  overTime
	Health []column
}

// healthBars returns a bar for each ten seconds of the last five minutes, 100 wide and 24 high:
// the requests, and before them the failed ones.
func healthBars(all []series.Interval, now time.Time) []column {
	const length, n = series.BucketLength, int(series.Window / series.BucketLength)
	first := now.Truncate(length).Add(-series.Window)
	most := 0.0
	for _, i := range all {
		if !i.Start.Before(first) {
			most = max(most, i.Hits)
		}
	}
	var bars []column
	for _, i := range all {
		at := int(i.Start.Sub(first) / length)
		if i.Start.Before(first) || at >= n || i.Hits == 0 {
			continue
		}
		title := fmt.Sprintf("%s: %s requests, %s failed", clock(i.Start, now), format.Count(int64(i.Hits+0.5)), format.Count(int64(i.Errors+0.5)))
		for _, part := range []struct {
			of     float64
			failed bool
		}{{i.Hits, false}, {i.Errors, true}} {
			if part.of == 0 {
				continue
			}
			height := max(23*part.of/most, 1)
			bars = append(bars, column{100 * float64(at) / float64(n), 24 - height, height, title, part.failed})
		}
	}
	return bars
}

const (
	topErrors = 5
	slowest   = 5
)

func (v *viewer) overview(w http.ResponseWriter, _ *http.Request) {
	now := v.Store.Now()
	data := struct {
		Services   []healthOf
		Happenings []happening
		Errors     []store.Failure
		Slowest    []store.Resource
	}{Errors: v.Store.Failures("")}
	services := v.Store.Services()
	data.Happenings = happenings(services, now)
	for _, s := range services {
		intervals := s.Operations[0].Intervals()
		data.Services = append(data.Services, healthOf{s, newOverTime(intervals, now), healthBars(intervals, now)})
	}
	data.Errors = data.Errors[:min(len(data.Errors), topErrors)]
	for _, r := range v.Store.Resources("") {
		if r.Primary && r.Hits > 0 {
			data.Slowest = append(data.Slowest, r)
		}
	}
	slices.SortStableFunc(data.Slowest, func(a, b store.Resource) int { return cmp.Compare(b.P95, a.P95) })
	data.Slowest = data.Slowest[:min(len(data.Slowest), slowest)]
	v.show(w, http.StatusOK, "overview", page{Title: "Overview", Section: "services", Live: true, Data: data})
}

func (v *viewer) errors(w http.ResponseWriter, r *http.Request) {
	data := struct {
		Service  string
		Services []string
		Errors   []store.Failure
	}{Service: r.URL.Query().Get("service"), Services: v.Store.ServiceNames()}
	data.Errors = v.Store.Failures(data.Service)
	v.show(w, http.StatusOK, "errors", page{Title: "Errors", Section: "errors", Live: true, Data: data})
}

func (v *viewer) apiErrors(w http.ResponseWriter, r *http.Request) {
	v.answer(w, v.Store.Failures(r.URL.Query().Get("service")))
}

// apiIntervals answers with the statistics of the operations of a service over time.
func (v *viewer) apiIntervals(w http.ResponseWriter, r *http.Request) {
	type intervals struct {
		Service   string            `json:"service"`
		Operation string            `json:"operation"`
		Intervals []series.Interval `json:"intervals"`
	}
	all := []intervals{}
	for _, s := range v.Store.Services() {
		if name := r.URL.Query().Get("service"); name != "" && name != s.Name {
			continue
		}
		for _, o := range s.Operations {
			all = append(all, intervals{s.Name, o.Name, o.Intervals()})
		}
	}
	v.answer(w, all)
}
