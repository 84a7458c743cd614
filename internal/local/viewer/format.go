package viewer

import (
	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/wire"
)

// functions are the functions of templates.
var functions = template.FuncMap{
	"asset":    assetPath,
	"duration": format.Duration,
	"change":   change,
	"rate":     format.Rate,
	"bytes":    format.Bytes,
	"clock":    func(t time.Time) string { return clock(t, time.Now()) },
	"second": func(t time.Time) string {
		return strings.TrimSuffix(clock(t.Truncate(time.Second), time.Now()), ".000")
	},
	"percent": percent,
	"share":   format.Percent,
	"number":  format.Number,
	"resource": func(service, resource string) string {
		return scope{Service: service, Resource: resource}.page("/resource")
	},
	"count":   func(n reflect.Value) string { return format.Count(n.Int()) }, // of any integer type,
	"counts":  counts,
	"facts":   func(l wire.Log) string { return factsOf(l).String() },
	"failure": func(s *span.Span) span.Failure { f, _ := s.Failure(); return f },
	"spark":   spark,
	"add":     func(a, b int) int { return a + b },
	"path":    url.PathEscape,
	"indent":  func(depth int) string { return fmt.Sprintf("%.1f", 0.9*float64(min(depth, 20))) },
	"class":   statusClass,
	"lower":   strings.ToLower,
	"columns": columnsOf,
	"bars":    barsOf,
	"json":    encode,
	"levels":  levels,
}

// change writes the difference of two durations with its sign.
func change(d time.Duration) string {
	if d > 0 {
		return "+" + format.Duration(d)
	}
	return format.Duration(d)
}

func levels() []string {
	return []string{wire.Debug, wire.Info, wire.Warn, wire.Error, wire.Critical}
}

// clock writes a time in this machine's zone, with its date if that is not today's.
func clock(t, now time.Time) string {
	layout := "15:04:05.000"
	if at, today := t.Local(), now.Local(); at.YearDay() != today.YearDay() || at.Year() != today.Year() {
		layout = time.DateOnly + " " + layout
	}
	return t.Local().Format(layout)
}

// encode returns JSON, for an attribute that a script reads.
func encode(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

// percent writes what share of whole part is.
func percent(part, whole int64) string { return format.Percent(float64(part) / float64(whole)) }

// statusClass returns the CSS class of an HTTP status: s1 to s5, or "".
func statusClass(status string) string {
	if status == "" || status[0] < '1' || status[0] > '5' {
		return ""
	}
	return "s" + status[:1]
}

// spark returns the points of an SVG line of hits, 100 wide and 24 high.
func spark(values []int64) string {
	most := int64(1)
	for _, v := range values {
		most = max(most, v)
	}
	var points strings.Builder
	for i, v := range values {
		x := 100 * float64(i) / float64(max(len(values)-1, 1))
		fmt.Fprintf(&points, "%.1f,%.1f ", x, 23-22*float64(v)/float64(most))
	}
	return points.String()
}

// column is a bar of a distribution that is 100 wide and 24 high.
type column struct {
	X, Y, Height float64
	Title        string
	Failed       bool
}

func columnsOf(bars []series.Bar) []column {
	most := int64(1)
	for _, b := range bars {
		most = max(most, b.Hits)
	}
	all := make([]column, len(bars))
	for i, b := range bars {
		height := 23 * float64(b.Hits) / float64(most)
		all[i] = column{100 * float64(i) / float64(len(bars)), 24 - height, height,
			fmt.Sprintf("%s from %s to %s", format.Count(b.Hits), format.Duration(b.From), format.Duration(b.To)), false}
	}
	return all
}

// barsOf returns the bars of numbers per minute, the last one now.
func barsOf(values []int64) []column {
	bars := make([]series.Bar, len(values))
	for i, n := range values {
		bars[i].Hits = n
	}
	all := columnsOf(bars)
	for i := range all {
		all[i].Title = fmt.Sprintf("%s, %d minutes ago", format.Count(values[i]), len(values)-1-i)
	}
	return all
}
