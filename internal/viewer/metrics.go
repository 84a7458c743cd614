package viewer

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"apmapp/internal/format"
	"apmapp/internal/localagent"
)

// chart is a metric over time, with one line per series.
type chart struct {
	Name  string
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
		Text   string
		Charts []chart
	}{text, newCharts(v.Store.Metrics(text))}
	v.show(w, http.StatusOK, "metrics", page{Title: "Metrics", Section: "metrics", Live: true, Data: data})
}

// newCharts returns a chart per name of metrics sorted by name. Metrics of tracers
// and clients about themselves are last.
func newCharts(metrics []localagent.Metric) []chart {
	var all []chart
	for len(metrics) > 0 {
		n := slices.IndexFunc(metrics, func(m localagent.Metric) bool { return m.Name != metrics[0].Name })
		if n < 0 {
			n = len(metrics)
		}
		all = append(all, newChart(metrics[:n]))
		metrics = metrics[n:]
	}
	slices.SortStableFunc(all, func(a, b chart) int { return cmp.Compare(rank(a.Name), rank(b.Name)) })
	return all
}

// rank is 0 for metrics of programs, 1 for those of tracers about themselves, 2 for
// those of DogStatsD clients about themselves.
func rank(name string) int {
	switch {
	case strings.HasPrefix(name, "datadog.dogstatsd.client."):
		return 2
	case strings.HasPrefix(name, "datadog."):
		return 1
	}
	return 0
}

func tagsOf(m localagent.Metric) []string {
	return strings.FieldsFunc(m.Tags, func(r rune) bool { return r == ',' })
}

// leastSpan is the shortest time that a chart shows, in seconds: with less, the
// first points would fill the chart.
const leastSpan = 300

// newChart returns the chart of the series of one metric: as many lines as there
// are colors.
func newChart(series []localagent.Metric) chart {
	c := chart{Name: series[0].Name, Tags: tagsOf(series[0]), More: max(0, len(series)-colors)}
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
		last := m.Points[len(m.Points)-1].Value
		c.Lines = append(c.Lines, line{strings.Join(own, ", "), format.Number(last), i})
	}
	return c
}
