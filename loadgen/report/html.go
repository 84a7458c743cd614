package report

import (
	"cmp"
	"embed"
	"html/template"
	"io"
	"io/fs"
	"math"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/uplot"
	"apmapp/loadgen/openloop"
)

//go:embed page
var files embed.FS

var page = template.Must(template.ParseFS(files, "page/report.html"))

// HTML writes a result as a self-contained page.
func HTML(w io.Writer, r *openloop.Result) error {
	return page.Execute(w, newView(r))
}

// view is what the page shows.
type view struct {
	Start, Interval string
	About           []figure
	Warnings        []string
	Figures         []figure
	Errors          []figure // an example of each kind
	Quantiles       []string
	Tables          []table
	Lists           []sampleList
	Run             run

	Style           template.CSS
	Library, Script template.JS
}

type figure struct {
	Name, Value string
	Bad, Long   bool
}

type table struct {
	Title string
	Rows  []row
}

type sampleList struct {
	Title   string
	Samples []sample
}

type sample struct{ Response, Offset, Outcome, Path, TraceID string }

// run is what the charts draw: durations in nanoseconds, rates per second.
type run struct {
	Seconds  []float64        `json:"seconds"`
	P50      []*time.Duration `json:"p50"` // nil where no request was sent
	P99      []*time.Duration `json:"p99"`
	Max      []*time.Duration `json:"max"`
	Asked    []*float64       `json:"asked"` // nil after the end of the schedule
	Achieved []*float64       `json:"achieved"`
	Failed   []*float64       `json:"failed"`
	Dropped  []*float64       `json:"dropped"`
	// Inverse is 1/(1-q) of each quantile q.
	Inverse  []float64       `json:"inverse"`
	Response []time.Duration `json:"response"`
	Service  []time.Duration `json:"service"`
}

func newView(r *openloop.Result) view {
	t := &r.Total
	v := view{
		Start:    r.Start.UTC().Format("2006-01-02 15:04:05 UTC"),
		Interval: r.Series.Length.String(),
		Figures: []figure{
			{Name: "requests due", Value: format.Count(t.Arrivals)},
			{Name: "failed", Value: format.Count(t.Failed()), Bad: t.Failed() > 0},
			{Name: "dropped", Value: format.Count(t.Dropped), Bad: t.Dropped > 0},
			{Name: "not served", Value: format.Percent(r.ErrorRate()), Bad: r.ErrorRate() > 0},
			{Name: "asked", Value: format.Rate(r.AskedRate())},
			{Name: "achieved", Value: format.Rate(r.AchievedRate())},
			{Name: "time of sending", Value: format.Duration(r.Sending)},
			{Name: "wait for last answers", Value: format.Duration(r.Waiting)},
			{Name: "sent late, p99", Value: format.Duration(r.Lateness.Quantile(0.99))},
			{Name: "answers", Value: answers(t), Long: true},
			{Name: "statuses", Value: cmp.Or(statuses(t), "none"), Long: true},
		},
		About:    about(r),
		Warnings: r.Warnings(),
		Errors:   examples(r),
		Run:      newRun(r),
		Style:    template.CSS(file(uplot.Files, "uPlot.min.css") + file(files, "page/report.css")),
		Library:  template.JS(file(uplot.Files, "uPlot.iife.min.js")),
		Script:   template.JS(file(files, "page/report.js")),
	}
	if len(t.Failures) > 0 {
		v.Figures = append(v.Figures, figure{Name: "errors", Value: errorCounts(t.Failures), Bad: true, Long: true})
	}
	if r.Aborted != "" {
		v.Figures = append(v.Figures, figure{Name: "aborted", Value: r.Aborted, Bad: true, Long: true})
	}
	for _, q := range openloop.Quantiles {
		v.Quantiles = append(v.Quantiles, openloop.PercentileName(q))
	}
	for _, times := range bothTimes {
		v.Tables = append(v.Tables, table{times.title, times.rows(r)})
	}
	for _, l := range []struct {
		title   string
		samples []openloop.Sample
	}{{"Slowest requests", r.Slowest}, {"Failed requests", r.Failed}} {
		if len(l.samples) > 0 {
			v.Lists = append(v.Lists, sampleList{l.title, newSamples(l.samples)})
		}
	}
	return v
}

func file(from fs.FS, name string) string {
	data, err := fs.ReadFile(from, name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(data)
}

func newSamples(samples []openloop.Sample) []sample {
	var all []sample
	for _, s := range samples {
		all = append(all, sample{format.Duration(s.Response), format.Duration(s.Offset), outcome(s), s.Path, s.TraceID})
	}
	return all
}

func newRun(r *openloop.Result) run {
	points := r.Points()
	n := len(points)
	out := run{
		Seconds: make([]float64, 0, n), P50: make([]*time.Duration, 0, n), P99: make([]*time.Duration, 0, n), Max: make([]*time.Duration, 0, n),
		Asked: make([]*float64, 0, n), Achieved: make([]*float64, 0, n), Failed: make([]*float64, 0, n), Dropped: make([]*float64, 0, n),
		Inverse: []float64{}, Response: []time.Duration{}, Service: []time.Duration{},
	}
	for _, p := range points {
		sent := p.Sending > 0
		out.Seconds = append(out.Seconds, p.Start.Seconds())
		out.P50 = append(out.P50, known(p.Response.P50))
		out.P99 = append(out.P99, known(p.Response.P99))
		out.Max = append(out.Max, known(p.Response.Max))
		out.Asked = append(out.Asked, perSecond(p.Asked, sent))
		out.Achieved = append(out.Achieved, perSecond(p.Achieved, true))
		out.Failed = append(out.Failed, perSecond(p.Failed, sent))
		out.Dropped = append(out.Dropped, perSecond(p.Dropped, sent))
	}
	// Twenty points for each nine, up to the slowest request: of n requests, it is
	// every percentile above 1-1/n. The logarithmic axis has no place for 0.
	for k := 0; ; k++ {
		x := math.Pow(10, float64(k)/20)
		if x > 2*float64(r.Total.Response.Count()) {
			return out
		}
		out.Inverse = append(out.Inverse, x)
		out.Response = append(out.Response, max(time.Microsecond, r.Total.Response.Quantile(1-1/x)))
		out.Service = append(out.Service, max(time.Microsecond, r.Total.Service.Quantile(1-1/x)))
	}
}

// perSecond returns a rate without the noise of its last digits, and nil if there is
// none.
func perSecond(rate float64, ok bool) *float64 {
	if !ok {
		return nil
	}
	rate = math.Round(rate*1e6) / 1e6
	return &rate
}

// known returns nil for 0, which is the summary of no requests.
func known(d time.Duration) *time.Duration {
	if d == 0 {
		return nil
	}
	return &d
}
