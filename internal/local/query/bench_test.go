package query_test

import (
	"fmt"
	"testing"
	"time"

	"apmapp/internal/local/query"
	"apmapp/internal/provision"
)

// sixHours is a source with six hours of traffic on 20 resources.
type sixHours struct {
	nothing
	series map[string][]query.Series
}

func (s sixHours) Series(metric string, from, to time.Time) []query.Series { return s.series[metric] }

// BenchmarkEvaluate evaluates all monitors of the product once.
func BenchmarkEvaluate(b *testing.B) {
	var documents []query.Document
	for _, d := range product(b) {
		if d.Kind != provision.Dashboard {
			documents = append(documents, query.Document{Kind: string(d.Kind), Key: d.Key, ID: d.Key, Body: d.Body})
		}
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	src := sixHours{series: map[string][]query.Series{}}
	for i := range 20 {
		tags := query.NewTags("env:dev", "service:apmapp", "host:web", fmt.Sprintf("resource_name:r%d", i))
		hits := query.Series{Metric: "trace.http.request.hits", Tags: tags, Kind: query.Count, Interval: 60}
		durations := query.Series{Metric: "trace.http.request", Tags: tags, Kind: query.Distribution, Interval: 60}
		for k := range int64(360) {
			at := now.Unix() - 21600 + 60*k
			s := query.NewSketch()
			for v := range 20 {
				s.Add(0.001*float64(v+1), 1)
			}
			hits.Points = append(hits.Points, query.Point{Time: at, Value: 20})
			durations.Points = append(durations.Points, query.Point{Time: at, Sketch: s})
		}
		src.series["trace.http.request.hits"] = append(src.series["trace.http.request.hits"], hits)
		src.series["trace.http.request"] = append(src.series["trace.http.request"], durations)
	}
	c := query.NewCatalog(documents)
	for b.Loop() {
		now = now.Add(time.Second)
		c.Evaluate(src, now)
	}
}
