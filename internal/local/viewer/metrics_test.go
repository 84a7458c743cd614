package viewer

import (
	"fmt"
	"math"
	"testing"

	"apmapp/internal/local/wire"
)

func TestMetricQuery(t *testing.T) {
	const name, tags = "apmapp.Visits.recorded", "env:demo,path:/api/trace,service:apmapp,flag"
	for query, want := range map[string]bool{
		"":                        true,
		"visits":                  true,
		"VISITS recorded":         true,
		"visits lost":             false,
		"-visits":                 false,
		"-lost":                   true,
		"service:apmapp":          true,
		"service:apm":             false,
		"service:apm*":            true,
		"service:*":               true,
		"path:/api/*":             true,
		"*:apmapp":                true,
		"SERVICE:apmapp visits":   true,
		"service:web":             false,
		"-service:web":            true,
		"-service:apmapp":         false,
		"version:*":               false,
		"service:a.mapp":          false,
		"-version:* env:demo app": true,
		"path:/api/(":             false,
	} {
		if got := metricQuery(query)(name, tags); got != want {
			t.Errorf("%q: %t, want %t", query, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		name, kind string
		value      float64
		want       string
	}{
		{"visits", wire.Count, 1.6, "1.60/s"},
		{"visits", wire.Count, 0, "0/s"},
		{"bytes", wire.Count, 5, "5.00/s"},
		{"queue", wire.Gauge, 7, "7"},
		{"heap.bytes", wire.Gauge, 1234567, "1.23MB"},
		{"memory_bytes", wire.Gauge, 0, "0B"},
		{"kilobytes", wire.Gauge, 2, "2"},
		{"gc.seconds", wire.Distribution, 0.00123, "1.23ms"},
		{"cpu_seconds", wire.Gauge, 348, "348s"},
		{"cpu_seconds", wire.Gauge, -0.5, "-500ms"},
		{"cpu_seconds", wire.Gauge, 1e300, "1.00e+300"},
		{"x.bytes", wire.Gauge, 1e300, "1.00e+300"},
		{"wait", wire.Timer, 12.3, "12.3ms"},
		{"wait", wire.Timer, 0, "0s"},
		{"sizes", wire.Histogram, math.Pi, "3.14"},
	} {
		if got := valueIn(test.value, unitOf(test.name, test.kind)); got != test.want {
			t.Errorf("%s of type %s: %s, want %s", test.name, test.kind, got, test.want)
		}
	}
}

func TestShortened(t *testing.T) {
	for want, tags := range map[string][]string{
		"":                 {},
		"b":                {"a:b"},
		"/api/trace 2xx":   {"path:/api/trace", "status_class:2xx"},
		"b261705a… flag":   {"runtime-id:b261705a-06d8-4ec8-a646-c9c036d916ad", "flag"},
		"1234567890123456": {"n:1234567890123456"},
		"éééééééé…":        {"n:ééééééééééééééééé"},
		"b:c":              {"a:b:c"},
	} {
		if got := labelOf(tags); got != want {
			t.Errorf("%q: %q, want %q", tags, got, want)
		}
	}
}

// TestMetricGroups: the programs' own metrics are first, by service; the others are named with
// their numbers, unless there are only such, or a query asks for them.
func TestMetricGroups(t *testing.T) {
	charts := []chart{{Name: "shop.orders", Tags: []string{"env:dev", "service:shop"}}, {Name: "visits"}, {Name: "shop.carts", Tags: []string{"service:shop"}},
		{Name: "runtime.go.a"}, {Name: "runtime.go.b"}, {Name: "system.load.1"}, {Name: "datadog.tracer.x"}}
	for _, test := range []struct {
		charts []chart
		only   bool
		want   string
	}{
		{charts, true, "shop 2, visits 1, ; Runtimes of the languages 2 runtime., This machine 1 system., Tracers and clients about themselves 1 datadog., "},
		{charts, false, "shop 2, visits 1, Runtimes of the languages 2, This machine 1, Tracers and clients about themselves 1, ; "},
		{charts[3:], true, "Runtimes of the languages 2, This machine 1, Tracers and clients about themselves 1, ; "},
		{nil, true, "; "},
	} {
		shown, others := grouped(test.charts, test.only)
		got := ""
		for _, g := range shown {
			got += fmt.Sprint(g.Title, " ", len(g.Charts), ", ")
		}
		got += "; "
		for _, o := range others {
			got += fmt.Sprint(o.Title, " ", o.Metrics, " ", o.Query, ", ")
		}
		if got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}
