package viewer

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// chart is a metric over time, with one line per series.
type chart struct {
	Name string
	// Says is what its values are, by the type of the metric, such as "per second".
	Says string
	// Unit is the unit of its values: "/s", "s", "ms", "B" or "".
	Unit  string
	Tags  []string // common to all series
	Lines []line
	More  int // number of series that are not drawn
	// Data has the times in seconds since 1970, then for each line its values at
	// these times, nil where it has none.
	Data [][]*float64
}

// line is a series, named by the tags that are not common to all series.
type line struct {
	Label string // the tags' values, shortened
	Tags  string
	Last  string
	// Spread has the other numbers of the last value, if it has some.
	Spread string
	Color  int
}

// chartGroup is the charts of one service, or of one of the groups.
type chartGroup struct {
	Title  string
	Charts []chart
}

// otherGroup is a group that the page does not show without a query.
type otherGroup struct {
	Title, Query string
	Metrics      int
}

func (v *viewer) metrics(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("q")
	charts := newCharts(v.Store.MetricsWhere(metricQuery(text)))
	data := struct {
		Text    string
		Names   []string
		Groups  []chartGroup
		Others  []otherGroup
		Events  []store.StatsdEvent
		Checks  []store.StatsdCheck
		Refused []store.Refusal
	}{Text: text, Events: v.Store.StatsdEvents(), Checks: v.Store.StatsdChecks(), Refused: v.Store.RefusedMetrics()}
	for _, c := range charts {
		data.Names = append(data.Names, c.Name)
	}
	data.Groups, data.Others = grouped(charts, text == "")
	data.Events = data.Events[:min(len(data.Events), listed)]
	v.show(w, http.StatusOK, "metrics", page{Title: "Metrics", Section: "metrics", Live: true, Data: data})
}

// grouped returns sorted charts in groups: the programs' own by service, then the others. With
// only, the others are left out if there are own ones.
func grouped(charts []chart, only bool) (shown []chartGroup, others []otherGroup) {
	at := map[string]int{}
	for _, c := range charts {
		title := c.owner()
		if r := rank(c.Name); r > 0 {
			title = groups[r-1].title
			if only && rank(charts[0].Name) == 0 {
				if n := len(others) - 1; n >= 0 && others[n].Title == title {
					others[n].Metrics++
				} else {
					others = append(others, otherGroup{title, groups[r-1].prefix, 1})
				}
				continue
			}
		}
		i, known := at[title]
		if !known {
			i = len(shown)
			at[title] = i
			shown = append(shown, chartGroup{Title: title})
		}
		shown[i].Charts = append(shown[i].Charts, c)
	}
	return shown, others
}

// owner returns the service of a metric, or the beginning of its name.
func (c chart) owner() string {
	for _, t := range c.Tags {
		if service, is := strings.CutPrefix(t, "service:"); is {
			return service
		}
	}
	first, _, _ := strings.Cut(c.Name, ".")
	return first
}

// metricQuery returns whether the name and the tags of a metric match a query: each word is a
// part of the name, or a tag if it has a colon, in which stars stand for any text. A minus
// excludes. Tags are separated by commas.
func metricQuery(text string) func(name, tags string) bool {
	type term struct {
		not bool
		in  func(name, tags string) bool
	}
	var terms []term
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		rest, not := strings.CutPrefix(word, "-")
		in := func(name, _ string) bool { return strings.Contains(strings.ToLower(name), rest) }
		if strings.Contains(rest, ":") {
			pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(rest), `\*`, ".*") + "$")
			in = func(_, tags string) bool {
				for t := range strings.SplitSeq(strings.ToLower(tags), ",") {
					if pattern.MatchString(t) {
						return true
					}
				}
				return false
			}
		}
		terms = append(terms, term{not, in})
	}
	return func(name, tags string) bool {
		for _, t := range terms {
			if t.in(name, tags) == t.not {
				return false
			}
		}
		return true
	}
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

// unitOf returns the unit of the values of a metric: from its type, else from the last words
// of its name, as in the metrics of Go's runtime.
func unitOf(name, kind string) string {
	last := name[strings.LastIndexAny(name, "._")+1:]
	switch {
	case kind == wire.Count:
		return "/s"
	case kind == wire.Timer:
		return "ms"
	case last == "bytes":
		return "B"
	case last == "seconds":
		return "s"
	}
	return ""
}

// valueIn writes a value with a unit.
func valueIn(v float64, unit string) string {
	asDuration := func(unit time.Duration) string {
		if d := v * float64(unit); math.Abs(d) < math.MaxInt64 {
			return format.Duration(time.Duration(math.Round(d)))
		}
		return format.Number(v)
	}
	switch unit {
	case "/s":
		return format.Rate(v)
	case "s":
		return asDuration(time.Second)
	case "ms":
		return asDuration(time.Millisecond)
	case "B":
		if math.Abs(v) < math.MaxInt64 {
			return format.Bytes(int64(v))
		}
	}
	return format.Number(v)
}

// labelOf returns the values of tags for a legend, without the ends of IDs.
func labelOf(tags []string) string {
	const longest = 16
	all := make([]string, len(tags))
	for i, t := range tags {
		_, value, found := strings.Cut(t, ":")
		if !found {
			value = t
		}
		if r := []rune(value); len(r) > longest {
			value = string(r[:longest/2]) + "…"
		}
		all[i] = value
	}
	return strings.Join(all, " ")
}

// newCharts returns a chart per name of metrics sorted by name. The programs' own are first.
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
	c := chart{Name: series[0].Name, Says: units[series[0].Type], Unit: unitOf(series[0].Name, series[0].Type), Tags: tagsOf(series[0]), More: max(0, len(series)-colors)}
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
		last, spread := m.Points[len(m.Points)-1], ""
		if last.Spread != nil {
			spread = fmt.Sprintf("median %s, p95 %s, max %s", valueIn(last.Median, c.Unit), valueIn(last.P95, c.Unit), valueIn(last.Max, c.Unit))
		}
		c.Lines = append(c.Lines, line{labelOf(own), strings.Join(own, ", "), valueIn(last.Value, c.Unit), spread, i})
	}
	return c
}
