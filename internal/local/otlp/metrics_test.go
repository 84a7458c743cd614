package otlp

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// now is the time of arrival in tests: the middle of a slot of ten seconds.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) pcommon.Timestamp { return pcommon.NewTimestampFromTime(now.Add(-d)) }

// export returns metrics of the service shop with one metric.
func export(fill func(pmetric.Metric)) pmetric.Metrics {
	in := pmetric.NewMetrics()
	resource := in.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	metric := resource.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("orders")
	fill(metric)
	return in
}

// decoded returns samples and refusals, one per line.
func decoded(s *streams, in pmetric.Metrics, at time.Time) string {
	samples, refused := s.decode(in, at)
	var lines []string
	for _, s := range samples {
		line := fmt.Sprintf("%s %s %.6g", s.Name, s.Type, s.Values)
		if s.Weight != 1 {
			line += fmt.Sprintf(" x%g", s.Weight)
		}
		if s.Time != 0 {
			line += time.Unix(s.Time, 0).UTC().Format(" 15:04:05")
		}
		lines = append(lines, line+" "+strings.Join(s.Tags, ","))
	}
	for reason, n := range refused {
		lines = append(lines, fmt.Sprintf("refused %d: %s", n, reason))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func check(t *testing.T, name, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(strings.ReplaceAll(want, "\t", "")); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

// sum adds a sum with one point.
func sum(m pmetric.Metric, temporality pmetric.AggregationTemporality, monotonic bool, start, at pcommon.Timestamp, value float64) pmetric.NumberDataPoint {
	s := m.SetEmptySum()
	s.SetAggregationTemporality(temporality)
	s.SetIsMonotonic(monotonic)
	p := s.DataPoints().AppendEmpty()
	p.SetStartTimestamp(start)
	p.SetTimestamp(at)
	p.SetDoubleValue(value)
	return p
}

const (
	delta      = pmetric.AggregationTemporalityDelta
	cumulative = pmetric.AggregationTemporalityCumulative
)

func TestGaugesAndSums(t *testing.T) {
	gauge := func(fill func(pmetric.NumberDataPoint)) func(pmetric.Metric) {
		return func(m pmetric.Metric) { fill(m.SetEmptyGauge().DataPoints().AppendEmpty()) }
	}
	for _, c := range []struct {
		name string
		fill func(pmetric.Metric)
		want string
	}{
		{"gauge", gauge(func(p pmetric.NumberDataPoint) {
			p.SetTimestamp(ago(time.Second))
			p.SetDoubleValue(-1.5)
			p.Attributes().PutStr("queue", "a")
			p.Attributes().PutInt("shard", 3)
		}), "orders g [-1.5] 03:04:04 queue:a,service:shop,shard:3"},
		{"gauge of integers, without a time", gauge(func(p pmetric.NumberDataPoint) { p.SetIntValue(7) }), "orders g [7] 03:04:05 service:shop"},
		{"gauge without a value", gauge(func(p pmetric.NumberDataPoint) {}), "refused 1: value is not finite"},
		{"gauge that is not finite", gauge(func(p pmetric.NumberDataPoint) { p.SetDoubleValue(math.Inf(-1)) }), "refused 1: value is not finite"},
		{"gauge that has ended", gauge(func(p pmetric.NumberDataPoint) {
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		}), ""},
		{"non-monotonic sum", func(m pmetric.Metric) { sum(m, cumulative, false, 0, ago(0), -3) }, "orders g [-3] 03:04:05 service:shop"},
		{"non-monotonic delta", func(m pmetric.Metric) { sum(m, delta, false, 0, ago(0), -3) }, "orders c [-3] 03:04:05 service:shop"},
		{"delta without a start", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(0), 3) }, "orders c [3] 03:04:05 service:shop"},
		{"delta with a start after its end", func(m pmetric.Metric) { sum(m, delta, true, ago(0), ago(time.Second), 3) }, "orders c [3] 03:04:04 service:shop"},
		{"delta in one slot", func(m pmetric.Metric) { sum(m, delta, true, ago(4*time.Second), ago(time.Second), 3) }, "orders c [3] 03:04:00 service:shop"},
		{"delta of exactly one slot", func(m pmetric.Metric) { sum(m, delta, true, ago(15*time.Second), ago(5*time.Second), 3) }, "orders c [3] 03:03:50 service:shop"},
		{"delta over slots", func(m pmetric.Metric) { sum(m, delta, true, ago(20*time.Second), ago(0), 40) }, `
			orders c [10] 03:03:40 service:shop
			orders c [10] 03:04:00 service:shop
			orders c [20] 03:03:50 service:shop`},
		{"delta that decreases", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(0), -1) }, "refused 1: negative increase of a monotonic sum"},
		{"delta that is not finite", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(0), math.NaN()) }, "refused 1: value is not finite"},
		{"largest delta", func(m pmetric.Metric) { sum(m, delta, true, ago(time.Second), ago(0), math.MaxFloat64) }, "orders c [1.79769e+308] 03:04:00 service:shop"},
		{"cumulative that decreases below 0", func(m pmetric.Metric) { sum(m, cumulative, true, ago(time.Second), ago(0), -1) }, "refused 1: negative increase of a monotonic sum"},
		{"cumulative that is not finite", func(m pmetric.Metric) { sum(m, cumulative, true, ago(time.Second), ago(0), math.Inf(1)) }, "refused 1: value is not finite"},
		{"no temporality", func(m pmetric.Metric) { sum(m, 0, true, 0, ago(0), 1) }, "refused 1: no aggregation temporality"},
		{"unknown temporality", func(m pmetric.Metric) { sum(m, 9, false, 0, ago(0), 1) }, "refused 1: no aggregation temporality"},
		{"no data", func(m pmetric.Metric) {}, "refused 1: no data"},
		{"no name", func(m pmetric.Metric) { sum(m, delta, true, 0, 0, 1); m.SetName("") }, "refused 1: no name"},
		{"name with a newline", func(m pmetric.Metric) { sum(m, delta, true, 0, 0, 1); m.SetName("a\nb") }, "refused 1: no name"},
		{"name that is not UTF-8", func(m pmetric.Metric) { sum(m, delta, true, 0, 0, 1); m.SetName("a\xff") }, "a\uFFFD c [1] 03:04:05 service:shop"},
		{"ahead at the limit", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(-10*time.Second), 1) }, "orders c [1] 03:04:15 service:shop"},
		{"ahead", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(-10*time.Second-1), 1) }, "refused 1: timestamp outside the last half hour"},
		{"old at the limit", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(29*time.Minute+55*time.Second-1), 1) }, "orders c [1] 02:34:10 service:shop"},
		{"old", func(m pmetric.Metric) { sum(m, delta, true, 0, ago(29*time.Minute+55*time.Second), 1) }, "refused 1: timestamp outside the last half hour"},
		{"a time that no clock shows", func(m pmetric.Metric) { sum(m, delta, true, 0, 1<<63, 1) }, "refused 1: timestamp outside the last half hour"},
		{"100 attributes", func(m pmetric.Metric) {
			p := sum(m, delta, true, 0, 0, 1)
			for i := range 100 {
				p.Attributes().PutStr(fmt.Sprint(i), strings.Repeat("é", 200))
			}
			m.SetName("long")
		}, "long"},
		{"101 attributes", func(m pmetric.Metric) {
			p := sum(m, delta, true, 0, 0, 1)
			for i := range 101 {
				p.Attributes().PutStr(fmt.Sprint(i), "")
			}
		}, "refused 1: too many attributes"},
	} {
		got := decoded(newStreams(), export(c.fill), now)
		if c.want == "long" {
			if tags := strings.Split(got[strings.LastIndexByte(got, ' ')+1:], ","); len(tags) != 101 || len(tags[0]) != maxTag && len(tags[0]) != maxTag-1 {
				t.Errorf("%s: %d tags, the first with %d bytes", c.name, len(tags), len(tags[0]))
			}
			continue
		}
		check(t, c.name, got, c.want)
	}
}

// TestOldPartOfADelta: what is older than what is kept is left out of a long delta.
func TestOldPartOfADelta(t *testing.T) {
	samples, _ := newStreams().decode(export(func(m pmetric.Metric) { sum(m, delta, true, ago(time.Hour), ago(0), 3600) }), now)
	total := 0.0
	for _, s := range samples {
		total += s.Values[0]
	}
	// From 02:34:10 to 03:04:05, one per second.
	if len(samples) != 180 || math.Abs(total-1795) > 1e-6 {
		t.Errorf("%d samples with a total of %g, want 180 and 1795", len(samples), total)
	}
}

// TestCumulativeSums exports a sum several times.
func TestCumulativeSums(t *testing.T) {
	type point struct {
		start, at time.Duration // ago
		value     float64
		want      string
	}
	const service = " service:shop"
	at := func(value, time string) string { return "orders c [" + value + "] " + time + service }
	for _, c := range []struct {
		name   string
		points []point
	}{
		{"counts from the start, then the differences", []point{
			{5 * time.Second, 3 * time.Second, 2, at("2", "03:04:00")},
			{5 * time.Second, 2 * time.Second, 5, at("3", "03:04:00")},
			{5 * time.Second, 1 * time.Second, 5, at("0", "03:04:00")},
		}},
		{"a start longer ago than what is kept", []point{
			{window + 1, 3 * time.Second, 1000, ""},
			{window + 1, 2 * time.Second, 1005, at("5", "03:04:00")},
		}},
		{"a start as long ago as what is kept", []point{
			{window, window - 6*time.Second, 6, at("1", "02:34:10")},
		}},
		{"an unknown start", []point{
			{3 * time.Second, 3 * time.Second, 1000, ""},
			{3 * time.Second, 2 * time.Second, 1005, at("5", "03:04:00")},
		}},
		{"a new start", []point{
			{5 * time.Second, 4 * time.Second, 7, at("7", "03:04:00")},
			{3 * time.Second, 2 * time.Second, 4, at("4", "03:04:00")},
		}},
		{"a reset with the same start", []point{
			{5 * time.Second, 4 * time.Second, 7, at("7", "03:04:00")},
			{5 * time.Second, 2 * time.Second, 4, at("4", "03:04:00")},
		}},
		{"two processes", []point{
			{5 * time.Second, 4 * time.Second, 7, at("7", "03:04:00")},
			{4 * time.Second, 3 * time.Second, 100, at("100", "03:04:00")},
			{5 * time.Second, 2 * time.Second, 8, at("1", "03:04:00")},
			{4 * time.Second, 1 * time.Second, 102, at("2", "03:04:00")},
		}},
		{"the same point again, and an older one", []point{
			{5 * time.Second, 3 * time.Second, 7, at("7", "03:04:00")},
			{5 * time.Second, 3 * time.Second, 7, "refused 1: " + outOfOrder},
			{5 * time.Second, 4 * time.Second, 6, "refused 1: " + outOfOrder},
			{5 * time.Second, 1 * time.Second, 8, at("1", "03:04:00")},
		}},
	} {
		s := newStreams()
		for i, p := range c.points {
			got := decoded(s, export(func(m pmetric.Metric) { sum(m, cumulative, true, ago(p.start), ago(p.at), p.value) }), now)
			check(t, fmt.Sprintf("%s, point %d", c.name, i), got, p.want)
		}
	}
	s := newStreams()
	no := func(value float64, at time.Duration) pmetric.Metrics {
		return export(func(m pmetric.Metric) { sum(m, cumulative, true, 0, ago(at), value) })
	}
	check(t, "no start", decoded(s, no(5, 2*time.Second), now)+decoded(s, no(6, time.Second), now), at("1", "03:04:00"))
}

// TestSeriesOfCumulativeSums: attributes, scopes, resources and names tell series
// apart, also attributes that are no tags.
func TestSeriesOfCumulativeSums(t *testing.T) {
	s := newStreams()
	for name, change := range map[string]func(pmetric.ResourceMetrics, pmetric.Metric){
		"":              func(pmetric.ResourceMetrics, pmetric.Metric) {},
		"process":       func(r pmetric.ResourceMetrics, _ pmetric.Metric) { r.Resource().Attributes().PutInt("process.pid", 7) },
		"other process": func(r pmetric.ResourceMetrics, _ pmetric.Metric) { r.Resource().Attributes().PutInt("process.pid", 8) },
		"type": func(r pmetric.ResourceMetrics, _ pmetric.Metric) {
			r.Resource().Attributes().PutStr("process.pid", "7")
		},
		"scope":         func(r pmetric.ResourceMetrics, _ pmetric.Metric) { r.ScopeMetrics().At(0).Scope().SetName("a") },
		"scope version": func(r pmetric.ResourceMetrics, _ pmetric.Metric) { r.ScopeMetrics().At(0).Scope().SetVersion("a") },
		"name":          func(_ pmetric.ResourceMetrics, m pmetric.Metric) { m.SetName("other") },
		"attribute": func(_ pmetric.ResourceMetrics, m pmetric.Metric) {
			m.Sum().DataPoints().At(0).Attributes().PutStr("a", "b")
		},
		"attribute name": func(_ pmetric.ResourceMetrics, m pmetric.Metric) {
			m.Sum().DataPoints().At(0).Attributes().PutStr("ab", "")
		},
	} {
		in := export(func(m pmetric.Metric) { sum(m, cumulative, true, ago(2*time.Second), ago(time.Second), 5) })
		change(in.ResourceMetrics().At(0), in.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0))
		samples, refused := s.decode(in, now)
		if len(samples) != 1 || samples[0].Values[0] != 5 || len(refused) > 0 {
			t.Errorf("%s: %+v, refused %v, want 5", name, samples, refused)
		}
	}
	// The order of attributes does not matter.
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		in := export(func(m pmetric.Metric) {
			p := sum(m, cumulative, true, ago(2*time.Second), ago(time.Second), 5)
			for _, name := range order {
				p.Attributes().PutStr(name, "x")
			}
		})
		if samples, _ := s.decode(in, now); len(samples) == 1 != (order[0] == "a") {
			t.Errorf("%v: %+v", order, samples)
		}
	}
}

// TestStreamsAreBounded: a series without points for half an hour leaves; while there
// is no place, new ones are refused.
func TestStreamsAreBounded(t *testing.T) {
	s := newStreams()
	in := export(func(m pmetric.Metric) { sum(m, cumulative, true, ago(2*time.Second), ago(time.Second), 5) })
	points := in.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
	for i := range maxStreams {
		p := points.AppendEmpty()
		p.SetStartTimestamp(ago(2 * time.Second))
		p.SetTimestamp(ago(time.Second))
		p.Attributes().PutInt("n", int64(i))
		p.SetIntValue(1)
	}
	if samples, refused := s.decode(in, now); len(samples) != maxStreams || refused[tooManyStreams] != 1 {
		t.Errorf("%d samples, refused %v, want %d and 1", len(samples), refused, maxStreams)
	}
	again := export(func(m pmetric.Metric) { sum(m, cumulative, true, 0, 0, 1) })
	if _, refused := s.decode(again, now.Add(window)); refused[tooManyStreams] != 1 {
		t.Errorf("after half an hour: refused %v, want 1", refused)
	}
	if _, refused := s.decode(again, now.Add(window+time.Minute-1)); refused[tooManyStreams] != 1 {
		t.Errorf("less than a minute later: refused %v, want 1", refused)
	}
	if _, refused := s.decode(again, now.Add(window+time.Minute)); len(refused) != 0 || len(s.all) != 1 {
		t.Errorf("a minute later: refused %v, %d series, want only the new one", refused, len(s.all))
	}
}

func TestTags(t *testing.T) {
	for _, c := range []struct {
		name            string
		resource, point map[string]any
		want            string
	}{
		{"unified", map[string]any{"service.name": "shop", "deployment.environment": "old", "deployment.environment.name": "test", "service.version": "1.2", "host.name": "laptop"},
			nil, "env:test host:laptop service:shop version:1.2"},
		{"old name of the environment", map[string]any{"deployment.environment": "old"}, nil, "env:old"},
		{"empty name of the environment", map[string]any{"deployment.environment": "old", "deployment.environment.name": ""}, nil, "env:old"},
		{"restarts make no new series", map[string]any{"process.pid": 7, "service.instance.id": "a", "host.id": "b", "container.id": "c", "k8s.pod.uid": "d"}, nil, ""},
		{"the point's own", map[string]any{"service.name": "shop"}, map[string]any{"service": "cart", "b": true, "f": 0.5}, "b:true f:0.5 service:cart"},
		{"texts that are no tags", nil, map[string]any{"a": "x,y\nz\x7f", "b\xff": ""}, "a:x_y_z_ b\uFFFD:"},
	} {
		from := func(values map[string]any) pcommon.Map {
			m := pcommon.NewMap()
			if err := m.FromRaw(values); err != nil {
				t.Fatal(err)
			}
			return m
		}
		tags, _ := pointTags(resourceTags(from(c.resource)), from(c.point))
		if got := strings.Join(tags, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSummaries(t *testing.T) {
	point := func(at time.Duration, count uint64, sum float64, quantiles ...float64) pmetric.Metrics {
		return export(func(m pmetric.Metric) {
			p := m.SetEmptySummary().DataPoints().AppendEmpty()
			p.SetStartTimestamp(ago(5 * time.Second))
			p.SetTimestamp(ago(at))
			p.SetCount(count)
			p.SetSum(sum)
			for i := 0; i < len(quantiles); i += 2 {
				q := p.QuantileValues().AppendEmpty()
				q.SetQuantile(quantiles[i])
				q.SetValue(quantiles[i+1])
			}
		})
	}
	s := newStreams()
	check(t, "first", decoded(s, point(2*time.Second, 3, 30, 0.5, 9, 0.99, 12), now), `
		orders.count c [3] 03:04:00 service:shop
		orders.quantile g [12] 03:04:03 quantile:0.99,service:shop
		orders.quantile g [9] 03:04:03 quantile:0.5,service:shop
		orders.sum c [30] 03:04:00 service:shop`)
	check(t, "second", decoded(s, point(time.Second, 5, 36), now), `
		orders.count c [2] 03:04:00 service:shop
		orders.sum c [6] 03:04:00 service:shop`)
	check(t, "again", decoded(s, point(time.Second, 5, 36), now), "refused 1: "+outOfOrder)
	check(t, "empty", decoded(newStreams(), point(time.Second, 0, 0, 0.5, math.NaN()), now), `
		orders.count c [0] 03:04:00 service:shop
		orders.sum c [0] 03:04:00 service:shop`)
	for _, hostile := range [][]float64{{math.NaN(), 1}, {0.5, math.Inf(1)}} {
		check(t, fmt.Sprint(hostile), decoded(newStreams(), point(time.Second, 1, 1, hostile...), now), "refused 1: "+notFinite)
	}
	check(t, "sum", decoded(newStreams(), point(time.Second, 1, math.NaN()), now), "refused 1: "+notFinite)
	check(t, "negative", decoded(newStreams(), point(time.Second, 1, -1), now), "refused 1: "+negative)
}

// TestRefusedMetricsCountPoints: a metric without a name has points of any type.
func TestRefusedMetricsCountPoints(t *testing.T) {
	for name, fill := range map[string]func(pmetric.Metric){
		"gauge": func(m pmetric.Metric) {
			m.SetEmptyGauge().DataPoints().AppendEmpty()
			m.Gauge().DataPoints().AppendEmpty()
		},
		"sum": func(m pmetric.Metric) { m.SetEmptySum().DataPoints().AppendEmpty(); m.Sum().DataPoints().AppendEmpty() },
		"histogram": func(m pmetric.Metric) {
			m.SetEmptyHistogram().DataPoints().AppendEmpty()
			m.Histogram().DataPoints().AppendEmpty()
		},
		"exponential": func(m pmetric.Metric) {
			m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
			m.ExponentialHistogram().DataPoints().AppendEmpty()
		},
		"summary": func(m pmetric.Metric) {
			m.SetEmptySummary().DataPoints().AppendEmpty()
			m.Summary().DataPoints().AppendEmpty()
		},
	} {
		check(t, name, decoded(newStreams(), export(func(m pmetric.Metric) { fill(m); m.SetName("") }), now), "refused 2: no name")
	}
	check(t, "without points", decoded(newStreams(), export(func(m pmetric.Metric) { m.SetEmptySum(); m.SetName("") }), now), "refused 1: no name")
}
