package viewer

import (
	"apmapp/internal/local/series"
	"cmp"
	"net/http"
	"slices"
	"strings"

	"apmapp/internal/format"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// chart is a metric over time, with one line per series.
type chart struct {
	Name  string
	Unit  string   // what its values are, by the type of the metric
	Tags  []string // common to all series
	Lines []line
	More  int // number of series that are not drawn
	// Data has the times in seconds since 1970, then for each line its values at
	// these times, nil where it has none.
	Data [][]*float64
}

// line is a series, named by the tags that are not common to all series.
type line struct {
	Tags  string
	Last  string
	Color int
}

func (v *viewer) metrics(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("q")
	data := struct {
		Text    string
		Charts  []chart
		Events  []store.StatsdEvent
		Checks  []store.StatsdCheck
		Refused []store.Refusal
	}{text, newCharts(v.Store.Metrics(text)), v.Store.StatsdEvents(), v.Store.StatsdChecks(), v.Store.RefusedMetrics()}
	data.Events = data.Events[:min(len(data.Events), listed)]
	v.show(w, http.StatusOK, "metrics", page{Title: "Metrics", Section: "metrics", Live: true, Data: data})
}

func (v *viewer) apiRefused(w http.ResponseWriter, _ *http.Request) {
	v.answer(w, v.Store.RefusedMetrics())
}

func (v *viewer) apiEvents(w http.ResponseWriter, r *http.Request) {
	events := v.Store.StatsdEvents()
	v.answer(w, events[:min(len(events), limit(r))])
}

func (v *viewer) apiChecks(w http.ResponseWriter, _ *http.Request) {
	v.answer(w, v.Store.StatsdChecks())
}

// units are what the values of metrics are, by type.
var units = map[string]string{
	wire.Count: "per second", wire.Set: "unique in 10 s",
	wire.Histogram: "mean", wire.Timer: "mean", wire.Distribution: "mean",
}

// newCharts returns a chart per name of metrics sorted by name. Metrics of tracers
// and clients about themselves are last.
func newCharts(metrics []store.Metric) []chart {
	var all []chart
	for len(metrics) > 0 {
		n := slices.IndexFunc(metrics, func(m store.Metric) bool { return m.Name != metrics[0].Name })
		if n < 0 {
			n = len(metrics)
		}
		all = append(all, newChart(metrics[:n]))
		metrics = metrics[n:]
	}
	slices.SortStableFunc(all, func(a, b chart) int { return cmp.Compare(rank(a.Name), rank(b.Name)) })
	return all
}

// groups are the metrics that are not of the program itself, by the beginning of their names.
// The groups are in the order of the page, after the programs' own.
var groups = []struct{ prefix, title string }{
	{"runtime.", "Runtimes of the languages"},
	{"system.", "This machine"},
	{"datadog.", "Tracers and clients about themselves"},
}

// rank returns 0 for metrics of programs, else the number of their group.
func rank(name string) int {
	return 1 + slices.IndexFunc(groups, func(g struct{ prefix, title string }) bool { return strings.HasPrefix(name, g.prefix) })
}

func tagsOf(m store.Metric) []string {
	return strings.FieldsFunc(m.Tags, func(r rune) bool { return r == ',' })
}

// leastSpan is the shortest time that a chart shows, in seconds: with less, the
// first points would fill the chart.
const leastSpan = 300

// newChart returns the chart of the series of one metric: as many lines as there
// are colors, of series that have not ended first.
func newChart(series []store.Metric) chart {
	slices.SortStableFunc(series, func(a, b store.Metric) int {
		switch {
		case a.Ended == b.Ended:
			return 0
		case a.Ended:
			return 1
		}
		return -1
	})
	c := chart{Name: series[0].Name, Unit: units[series[0].Type], Tags: tagsOf(series[0]), More: max(0, len(series)-colors)}
	for _, m := range series[1:] {
		tags := tagsOf(m)
		c.Tags = slices.DeleteFunc(c.Tags, func(t string) bool { return !slices.Contains(tags, t) })
	}
	drawn := series[:len(series)-c.More]
	at := map[int64]int{} // the index of each time
	var times []int64
	for _, m := range drawn {
		for _, p := range m.Points {
			times = append(times, p.Time.Unix())
		}
	}
	slices.Sort(times)
	times = slices.Compact(times)
	if last := times[len(times)-1]; last-times[0] < leastSpan {
		times = slices.Insert(times, 0, last-leastSpan) // where no line has a value
	}
	c.Data = append(c.Data, make([]*float64, len(times)))
	for i, t := range times {
		seconds := float64(t)
		at[t], c.Data[0][i] = i, &seconds
	}
	for i, m := range drawn {
		own := slices.DeleteFunc(tagsOf(m), func(t string) bool { return slices.Contains(c.Tags, t) })
		values := make([]*float64, len(times))
		for _, p := range m.Points {
			values[at[p.Time.Unix()]] = &p.Value
		}
		c.Data = append(c.Data, values)
		c.Lines = append(c.Lines, line{strings.Join(own, ", "), valueOf(m.Points[len(m.Points)-1]), i})
	}
	return c
}

// valueOf returns the value of a point, and its percentiles if it has some.
func valueOf(p series.Point) string {
	text := format.Number(p.Value)
	if p.Spread != nil {
		text += ", median " + format.Number(p.Median) + ", p95 " + format.Number(p.P95) + ", max " + format.Number(p.Max)
	}
	return text
}
