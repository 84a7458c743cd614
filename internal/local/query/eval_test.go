package query

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Pages of docs.datadoghq.com.
const (
	metricsPage       = "metrics/_index"
	rollupPage        = "dashboards/functions/rollup"
	modifiersPage     = "metrics/custom_metrics/type_modifiers"
	filteringPage     = "metrics/advanced-filtering"
	interpolationPage = "metrics/guide/interpolation-the-fill-modifier-explained"
	fillPage          = "dashboards/functions/interpolation"
	percentilesPage   = "metrics/faq/rollup-for-distributions-with-percentiles"
	sparsePage        = "monitors/guide/monitor-arithmetic-and-sparse-metrics"
	noDataPage        = "monitors/guide/troubleshooting-no-data"
	ratePage          = "dashboards/functions/rate"
	arithmeticPage    = "dashboards/functions/arithmetic"
	exclusionPage     = "dashboards/functions/exclusion"
	countPage         = "dashboards/functions/count"
	smoothingPage     = "dashboards/functions/smoothing"
	rankPage          = "dashboards/functions/rank"
	shiftPage         = "dashboards/functions/timeshift"
	queryingPage      = "dashboards/querying"
)

// The results were computed by hand from the documentation.
func TestWorkedExamples(t *testing.T) {
	src := record(t,
		"gauge g{host:a,env:dev} 10 1 2 3 4 5 6",
		"gauge two{host:a,env:dev} 10 1 2 3 4 5 6",
		"gauge two{host:b,env:dev} 10 10 20 30 40 50 60",
		"gauge two{env:prod} 10 7 7 7 7 7 7",
		"gauge gap{host:a} 10 1 _ _ 4 _ 6",
		"gauge gaps{host:a} 10 1 _ _ 4 _ 6",
		"gauge gaps{host:b} 10 10 10 10 10 10 10",
		"gauge long{host:a} 60 1 _ _ _ _ _ _ 8 _ _ _ _ 13",
		"gauge long{host:b} 60 0 0 0 0 0 0 0 0 0 0 0 0 0",
		"gauge many{host:a} 10 5*3 7*1 _ 2*2",
		"count hits{path:a} 10 10 20 _ 40 _ 60",
		"count hits{path:b} 10 1 2 _ 4 _ 6",
		"count errors{path:a} 10 1 _ _ 4 5 _",
		"count gone{path:a} 10 _ _ _ _ _ _ _ _ _ _ _ _ 1",
		"rate r{host:a} 10 1 2 3 4 5 6",
		"distribution d{path:a} 10 1;2;3 4 _ 10;20",
		"distribution d{path:b} 10 100 _ _ 5",
		"gauge counter{host:a} 10 5 15 _ 45 40 50",
		"gauge counter{host:b} 10 0 10 20 30 40 50",
		"gauge wave{x:y} 10 -2 -1 0 1 2 1",
		"gauge multi{team:x,team:y,host:a} 10 3 3",
		"gauge hour{h:a} 1800 1 2 3 4 5",
	)
	for _, c := range []struct {
		query          string
		from, to, step int
		want, source   string
	}{
		// Aggregation of time.
		{"avg:g{*}", 0, 60, 10, "1 2 3 4 5 6", metricsPage},
		{"avg:g{*}", 0, 60, 20, "1.5 3.5 5.5", rollupPage},
		{"sum:g{*}", 0, 60, 20, "1.5 3.5 5.5", rollupPage}, // of space; that of time is still avg
		{"avg:g{*}.rollup(sum)", 0, 60, 20, "3 7 11", rollupPage},
		{"avg:g{*}.rollup(max, 30)", 0, 60, 10, "3 6", rollupPage},
		{"avg:g{*}.rollup(min, 30)", 0, 60, 10, "1 4", rollupPage},
		{"avg:g{*}.rollup(count, 30)", 0, 60, 10, "3 3", rollupPage},
		{"avg:g{*}.rollup(avg, 30)", 0, 60, 10, "2 5", rollupPage},
		{"avg:g{*}.rollup(30)", 0, 60, 10, "2 5", rollupPage},
		{"avg:g{*}.rollup(sum, 5)", 0, 60, 20, "3 7 11", rollupPage}, // an interval below the limit is raised
		{"avg:g{*}.rollup(sum, 60)", 25, 60, 10, "21", rollupPage},   // the whole bucket that overlaps the frame
		{"avg:g{*}", 25, 55, 20, "3.5 5.5", rollupPage},              // buckets are aligned to UNIX time
		{"avg:many{*}", 0, 40, 10, "5 7 _ 2", rollupPage},
		{"avg:many{*}", 0, 40, 20, "5.5 2", rollupPage}, // (3×5 + 7) / 4
		{"avg:many{*}.rollup(sum)", 0, 40, 20, "22 4", rollupPage},
		{"avg:many{*}.rollup(count)", 0, 40, 20, "4 2", rollupPage},
		{"avg:many{*}.rollup(min)", 0, 40, 20, "4 1", rollupPage},
		{"avg:many{*}.rollup(max)", 0, 40, 20, "7 3", rollupPage},
		{"sum:hour{*}.rollup(sum, 3600)", 0, 9000, 3600, "3 7 5", rollupPage},

		// Counts and rates.
		{"sum:hits{path:a}.as_count()", 0, 60, 10, "10 20 _ 40 _ 60", modifiersPage},
		{"sum:hits{path:a}.as_count()", 0, 60, 20, "30 40 60", modifiersPage},
		{"sum:hits{path:a}.as_rate()", 0, 60, 20, "1.5 2 3", modifiersPage},
		{"sum:hits{path:a}.as_rate()", 0, 60, 10, "1 2 _ 4 _ 6", modifiersPage},
		{"sum:hits{path:a}.as_rate()", 0, 60, 5, "1 _ 2 _ _ _ 4 _ _ _ 6 _", modifiersPage}, // no aggregation: the interval counts
		{"sum:hits{*}.as_count()", 0, 60, 30, "33 110", modifiersPage},
		{"sum:hits{path:a}.as_count().rollup(max, 30)", 0, 60, 10, "20 60", modifiersPage},
		{"sum:g{*}.as_count()", 0, 60, 20, "1.5 3.5 5.5", modifiersPage}, // gauges stay as they are
		{"sum:g{*}.as_rate()", 0, 60, 20, "1.5 3.5 5.5", modifiersPage},
		{"sum:r{*}.as_count()", 0, 60, 20, "30 70 110", modifiersPage},
		{"sum:r{*}.as_rate()", 0, 60, 20, "1.5 3.5 5.5", modifiersPage},
		{"sum:r{*}", 0, 60, 20, "1.5 3.5 5.5", modifiersPage},

		// Aggregation of space, scopes and groups.
		{"avg:two{env:dev}", 0, 20, 10, "5.5 11", metricsPage},
		{"sum:two{env:dev}", 0, 20, 10, "11 22", metricsPage},
		{"min:two{env:dev}", 0, 20, 10, "1 2", metricsPage},
		{"max:two{env:dev}", 0, 20, 10, "10 20", metricsPage},
		{"sum:two{*}", 0, 20, 10, "18 29", metricsPage},
		{"avg:two{env:dev,host:b}", 0, 20, 10, "10 20", filteringPage},
		{"avg:two{env:dev,!host:b}", 0, 20, 10, "1 2", filteringPage},
		{"avg:two{env:dev AND NOT host:b}", 0, 20, 10, "1 2", filteringPage},
		{"sum:two{host:a OR host:b}", 0, 20, 10, "11 22", filteringPage},
		{"sum:two{host IN (a, b)}", 0, 20, 10, "11 22", filteringPage},
		{"sum:two{host NOT IN (a)}", 0, 20, 10, "17 27", filteringPage},
		{"sum:two{host:*}", 0, 20, 10, "11 22", filteringPage},
		{"sum:two{env:d*}", 0, 20, 10, "11 22", filteringPage},
		{"sum:two{env:*od}", 0, 20, 10, "7 7", filteringPage},
		{"sum:two{env:none}", 0, 20, 10, "", filteringPage},
		{"sum:two{env:dev} by {host}", 0, 20, 10, "host:a 1 2 | host:b 10 20", metricsPage},
		{"sum:two{*} by {host}", 0, 20, 10, "host:N/A 7 7 | host:a 1 2 | host:b 10 20", noDataPage},
		{"sum:two{*} by {env,host}", 0, 10, 10, "env:dev,host:a 1 | env:dev,host:b 10 | env:prod,host:N/A 7", metricsPage},
		{"sum:multi{*} by {team}", 0, 20, 10, "team:x 3 3 | team:y 3 3", metricsPage},

		// Distributions.
		{"max:d{path:a}", 0, 40, 10, "3 4 _ 20", percentilesPage},
		{"min:d{path:a}", 0, 40, 10, "1 4 _ 10", percentilesPage},
		{"sum:d{path:a}", 0, 40, 10, "6 4 _ 30", percentilesPage},
		{"avg:d{path:a}", 0, 40, 10, "2 4 _ 15", percentilesPage},
		{"count:d{path:a}", 0, 40, 10, "3 1 _ 2", percentilesPage},
		{"count:d{*}.as_count()", 0, 40, 20, "5 3", percentilesPage},
		{"count:d{*}.as_rate()", 0, 40, 20, "0.25 0.15", percentilesPage},
		{"sum:d{*}.as_rate()", 0, 40, 20, "5.5 1.75", percentilesPage},
		{"avg:d{*}", 0, 40, 40, "18.12", percentilesPage}, // 145 / 8, not the mean of means
		{"max:d{*} by {path}", 0, 40, 20, "path:a 4 20 | path:b 100 5", percentilesPage},

		// Missing points.
		{"avg:gap{*}", 0, 60, 10, "1 _ _ 4 _ 6", interpolationPage}, // one source
		{"avg:gap{*} by {host}", 0, 60, 10, "host:a 1 _ _ 4 _ 6", interpolationPage},
		{"sum:gaps{*}", 0, 60, 10, "11 12 13 14 15 16", interpolationPage}, // linear between 1 and 4
		{"sum:gaps{*}.fill(null)", 0, 60, 10, "11 10 10 14 10 16", fillPage},
		{"sum:gaps{*}.fill(last)", 0, 60, 10, "11 11 11 14 14 16", fillPage},
		{"sum:gaps{*}.fill(zero)", 0, 60, 10, "11 10 10 14 10 16", fillPage},
		{"avg:gap{*}.fill(linear)", 0, 60, 10, "1 2 3 4 5 6", fillPage},
		{"avg:gap{*}.fill(linear, 20)", 0, 60, 10, "1 _ _ 4 5 6", fillPage},
		{"avg:gap{*}.fill(last, 20)", 0, 80, 10, "1 _ _ 4 4 6 6 6", fillPage},
		{"avg:gap{*}.fill(zero, 600)", 0, 80, 10, "1 0 0 4 0 6 0 0", fillPage},
		{"sum:long{*}", 0, 780, 60, "1 0 0 0 0 0 0 8 9 10 11 12 13", interpolationPage}, // 7 minutes are more than 5
		{"default_zero(avg:gap{*})", 0, 80, 10, "1 2 3 4 5 6 0 0", fillPage},
		{"default_zero(sum:hits{path:a}.as_count())", 0, 60, 10, "10 20 0 40 0 60", fillPage},
		{"default_zero(sum:nothing{*}.as_count())", 0, 30, 10, "0 0 0", fillPage},
		{"default_zero(sum:nothing{*} by {host})", 0, 30, 10, "", fillPage},

		// Arithmetic.
		{"100 * sum:errors{*}.as_count() / sum:hits{path:a}.as_count()", 0, 60, 10, "10 0 _ 10 _ 0", noDataPage},
		{"sum:gone{*}.as_count() / sum:hits{path:a}.as_count()", 0, 60, 10, "0 0 _ 0 _ 0", noDataPage},
		{"sum:errors{*}.as_count() + sum:hits{path:a}.as_count()", 0, 60, 10, "11 20 _ 44 5 60", noDataPage},
		{"sum:errors{*} by {path}.as_count() / sum:hits{*} by {path}.as_count()", 0, 20, 10, "path:a 0.1 0 | path:b 0 0", queryingPage},
		{"sum:hits{*} by {path}.as_count() / sum:hits{*}.as_count()", 0, 10, 10, "path:a 0.9091 | path:b 0.09091", queryingPage},
		{"avg:gap{*} + avg:g{*}", 0, 60, 10, "2 _ _ 8 _ 12", noDataPage}, // gauges: missing makes missing
		{"avg:g{*} / (avg:g{*} - 3)", 0, 60, 10, "-0.5 -2 _ 4 2.5 2", sparsePage},
		{"avg:wave{*} / (avg:g{*} - 1)", 0, 20, 10, "_ -1", sparsePage}, // -2/0
		{"diff(max:d{path:a})", 0, 40, 10, "_ 1 _ 16", ratePage},
		{"2 + 3 * avg:g{*}", 0, 30, 10, "5 8 11", queryingPage},
		{"abs(-5) + sum:hits{path:a}.as_count()", 0, 60, 10, "15 25 _ 45 _ 65", queryingPage}, // a constant alone is no value
		{"ewma_3(5) + sum:hits{path:a}.as_count()", 0, 60, 10, "15 25 _ 45 _ 65", queryingPage},
		{"(2 + 3) * avg:g{*}", 0, 30, 10, "5 10 15", queryingPage},
		{"-avg:g{*} - -1", 0, 30, 10, "0 -1 -2", queryingPage},
		{"10 - avg:g{*} - 1", 0, 30, 10, "8 7 6", queryingPage},
		{"12 / avg:g{*} / 2", 0, 30, 10, "6 3 2", queryingPage},
		{"avg:two{env:dev} by {host} - avg:gaps{*} by {host}", 0, 20, 10, "host:a 0 _ | host:b 0 10", queryingPage},
		{"avg:two{*} by {env,host} + avg:two{*} by {host,env}", 0, 10, 10, "env:dev,host:a 2 | env:dev,host:b 20 | env:prod,host:N/A 14", queryingPage},
		{"avg:two{*} by {host} + sum:hits{*} by {path}.as_count()", 0, 10, 10, "", queryingPage},

		// Functions.
		{"diff(avg:counter{host:a})", 0, 60, 10, "_ 10 _ 30 -5 10", ratePage},
		{"monotonic_diff(avg:counter{host:a})", 0, 60, 10, "_ 10 _ 30 _ 10", ratePage},
		{"per_second(avg:counter{host:a})", 0, 60, 10, "_ 1 _ 1.5 -0.5 1", ratePage},
		{"derivative(avg:counter{host:a})", 0, 60, 10, "_ 1 _ 1.5 -0.5 1", ratePage},
		{"per_minute(avg:counter{host:a})", 0, 60, 10, "_ 60 _ 90 -30 60", ratePage},
		{"per_hour(avg:counter{host:a})", 0, 60, 10, "_ 3600 _ 5400 -1800 3600", ratePage},
		{"diff(max:counter{*})", 0, 60, 10, "_ 10 20 30 10 10", ratePage}, // before the aggregation of space
		{"diff(1 * avg:counter{host:b})", 0, 60, 10, "_ 10 10 10 10 10", ratePage},
		{"diff(sum:hits{path:a}.as_count()) + avg:g{*}", 0, 60, 10, "_ 12 _ 24 _ 26", ratePage}, // a difference is no count
		{"diff(1 * sum:hits{path:a}.as_count()) + avg:g{*}", 0, 60, 10, "_ 12 _ 24 _ 26", ratePage},
		{"throughput(sum:hits{path:a}.as_count())", 0, 60, 20, "1.5 2 3", ratePage},
		{"abs(avg:wave{*})", 0, 60, 10, "2 1 0 1 2 1", arithmeticPage},
		{"log2(avg:wave{*})", 0, 60, 10, "_ _ _ 0 1 0", arithmeticPage},
		{"log10(10 * avg:wave{*})", 0, 60, 10, "_ _ _ 1 1.301 1", arithmeticPage},
		{"cumsum(avg:g{*})", 0, 60, 10, "1 3 6 10 15 21", arithmeticPage},
		{"cumsum(avg:gap{*})", 0, 60, 10, "1 _ _ 5 _ 11", arithmeticPage},
		{"integral(avg:gap{*})", 0, 60, 10, "0 _ _ 90 _ 130", arithmeticPage}, // 30×3, then 20×2
		{"clamp_min(avg:wave{*}, 0)", 0, 60, 10, "0 0 0 1 2 1", exclusionPage},
		{"clamp_max(avg:wave{*}, 0)", 0, 60, 10, "-2 -1 0 0 0 0", exclusionPage},
		{"cutoff_min(avg:wave{*}, 0)", 0, 60, 10, "_ _ 0 1 2 1", exclusionPage},
		{"cutoff_max(avg:wave{*}, -1)", 0, 60, 10, "-2 -1 _ _ _ _", exclusionPage},
		{"exclude_null(sum:two{*} by {host})", 0, 10, 10, "host:a 1 | host:b 10", exclusionPage},
		{"count_nonzero(avg:long{*} by {host})", 0, 120, 60, "1 _", countPage},
		{"count_not_null(avg:long{*} by {host})", 0, 120, 60, "2 1", countPage},
		{"median_3(avg:wave{*})", 0, 60, 10, "-2 -1.5 -1 0 1 1", smoothingPage},
		{"median_5(avg:gap{*})", 0, 60, 10, "1 _ _ 2.5 _ 4", smoothingPage},
		{"ewma_3(avg:g{*})", 0, 60, 10, "1 1.5 2.25 3.125 4.062 5.031", smoothingPage}, // weight 1/2
		{"moving_rollup(avg:g{*}, 20, sum)", 0, 60, 10, "1 3 5 7 9 11", rollupPage},
		{"moving_rollup(avg:g{*}, 30)", 20, 60, 10, "2 3 4 5", rollupPage}, // reads points from before the frame
		{"moving_rollup(avg:gap{*}, 30, count)", 0, 60, 10, "1 1 1 1 1 2", rollupPage},
		{"moving_rollup(avg:gap{*}, 20, max)", 0, 60, 10, "1 1 _ 4 4 6", rollupPage},
		{"top(avg:two{env:dev} by {host}, 1, 'mean', 'desc')", 0, 20, 10, "host:b 10 20", rankPage},
		{"top(avg:two{env:dev} by {host}, 1, 'max', 'asc')", 0, 20, 10, "host:a 1 2", rankPage},
		{"top(avg:two{*} by {host}, 2, 'last', 'desc')", 0, 20, 10, "host:b 10 20 | host:N/A 7 7", rankPage},
		{"top(avg:two{*} by {host}, 10)", 0, 10, 10, "host:b 10 | host:N/A 7 | host:a 1", rankPage},
		{"top5_mean(avg:two{env:dev} by {host})", 0, 10, 10, "host:b 10 | host:a 1", rankPage},
		{"bottom10_min(avg:two{env:dev} by {host})", 0, 10, 10, "host:a 1 | host:b 10", rankPage},
		{"top(avg:wave{*} by {x}, 5, 'l2norm', 'desc')", 0, 10, 10, "x:y -2", rankPage},
		{"timeshift(avg:g{*}, -20)", 20, 60, 10, "1 2 3 4", shiftPage},
		{"hour_before(avg:g{*})", 3600, 3630, 10, "1 2 3", shiftPage},
		{"day_before(avg:g{*})", 86400, 86420, 10, "1 2", shiftPage},
		{"week_before(avg:g{*})", 604800, 604820, 10, "1 2", shiftPage},
		{"month_before(avg:g{*})", 2419200, 2419220, 10, "1 2", shiftPage}, // four weeks
	} {
		if got, _ := evaluate(t, src, c.query, c.from, c.to, c.step); got != c.want {
			t.Errorf("%s, %d to %d by %d (%s):\n got %s\nwant %s", c.query, c.from, c.to, c.step, c.source, got, c.want)
		}
	}
}

// Percentiles are accurate to 1 %.
func TestPercentiles(t *testing.T) {
	all := []string{"distribution d{path:a} 10", "distribution d{path:b} 10"}
	for i := range 50 {
		all[0] += " " + numbers([]float64{float64(i + 1)})
		all[1] += " " + numbers([]float64{float64(i + 51)})
	}
	src := record(t, all...)
	for query, want := range map[string]float64{
		"p50:d{*}": 50, "p75:d{*}": 75, "p95:d{*}": 95, "p99:d{*}": 99, "p99.9:d{*}": 100, "p50:d{path:a}": 25, "p5:d{*}": 5,
		"p50:d{*}.rollup(max, 10)": 50, // the method is ignored
	} {
		q, err := ParseMetric(query, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := &notes{}
		f := q.root.eval(newEvaluator(src, at(0), at(500), 500, n))
		if got := f.lines[0].values[0]; math.Abs(got-want) > 0.011*want+0.5 {
			t.Errorf("%s: %g, want %g", query, got, want)
		}
	}
}

func TestQuantilesOfAggregators(t *testing.T) {
	for aggregator, want := range map[string]float64{"p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p5": 0.05} {
		q, err := ParseMetric(aggregator+":d{*}", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := metricsOf(q.root)[0].quantile; math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is the quantile %g", aggregator, got)
		}
	}
}

// What Datadog might show otherwise has a note.
func TestNotes(t *testing.T) {
	src := record(t,
		"count hits{path:a} 10 10 20",
		"gauge g{path:a} 10 3 1",
		"gauge coarse{path:a} 60 3 1",
	)
	for query, want := range map[string]string{
		"p95:hits{*}":          "hits is a count: percentiles and count: need a distribution",
		"count:g{*}":           "g is a gauge: percentiles and count: need a distribution",
		"sum:hits{*}":          "hits is a count, but without as_count() or as_rate() its points are averaged",
		"avg:coarse{*}":        "some points of coarse are for 60 s, longer than the intervals of 10 s here",
		"per_second(avg:g{*})": "per_second: a value fell",
		"diff(avg:g{*})":       "",
		"ewma_5(avg:g{*})":     "ewma_5: the newest value weighs 2/6",
		"avg:g{*} by {path} + sum:hits{*} by {host}.as_count()": "queries by {path} and by {host} have no groups in common",
		"anomalies(avg:g{*}, 'basic', 2)":                       "its exact rule is not public",
		"anomalies(avg:g{*}, 'robust', 2)":                      "'robust' needs days of history; a band like that of 'basic' is drawn instead",
		"sum:hits{*}.as_count()":                                "",
	} {
		_, got := evaluate(t, src, query, 0, 20, 10)
		if text := strings.Join(got, "; "); !strings.Contains(text, want) || want == "" && text != "" {
			t.Errorf("%s: notes %q, want %q", query, got, want)
		}
	}
}

func TestMetricsThatAreRefused(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "unexpected end of the text",
		"avg:":                               "the name of a metric is missing",
		"avg:m":                              `"{" is missing`,
		"avg:m{*":                            "{ lacks its } after m",
		"avg:m{}":                            "empty scope; use * for everything",
		"m{*}":                               "m has no aggregator",
		"median:m{*}":                        "unexpected",
		"avg:m{*} by":                        `"{" is missing`,
		"avg:m{*} by {}":                     "a tag key is missing",
		"avg:m{*} by {a b}":                  `"," is missing`,
		"avg:m{*}.as_count":                  `"(" is missing`,
		"avg:m{*}.as_count(1)":               ".as_count takes no arguments",
		"avg:m{*}.rollup()":                  ".rollup takes a method",
		"avg:m{*}.rollup(median, 60)":        `"median" is not one of avg`,
		"avg:m{*}.rollup(avg, 0)":            "0 is not a whole number of seconds",
		"avg:m{*}.rollup(avg, 1.5)":          "1.5 is not a whole number",
		"avg:m{*}.rollup(avg, 60, 60)":       ".rollup takes a method",
		"avg:m{*}.fill(cubic)":               ".fill takes linear, last, zero or null",
		"avg:m{*}.fill(last, 601)":           "the limit is 1 to 600 seconds, got 601",
		"avg:m{*}.fill(last, 0)":             "the limit is 1 to 600 seconds, got 0",
		"avg:m{*}.weighted()":                ".weighted is not evaluated here",
		"avg:m{*} +":                         "unexpected end of the text",
		"(avg:m{*}":                          `")" is missing`,
		"avg:m{*} avg:m{*}":                  "unexpected",
		"forecast(avg:m{*}, 'linear', 1)":    "the function forecast is not evaluated here",
		"top(avg:m{*})":                      "needs a number of lines",
		"top(avg:m{*}, 0)":                   "needs a number of lines",
		"top(avg:m{*}, 5, 'median')":         `"median" is not one of`,
		"top(avg:m{*}, 5, 'max', 'up')":      `"up" is neither asc nor desc`,
		"abs(avg:m{*}, 1)":                   "too many arguments",
		"abs(avg:m{*}, x='1')":               "takes no options",
		"abs(avg:m{*} 1)":                    `"," is missing`,
		"clamp_min(avg:m{*})":                "needs a threshold",
		"moving_rollup(avg:m{*})":            "needs a number of seconds",
		"moving_rollup(avg:m{*}, 60, 'p95')": `"p95" is not one of`,
		"timeshift(avg:m{*}, 60)":            "needs a negative number",
		"anomalies(avg:m{*})":                "needs one of 'basic', 'agile', 'robust'",
		"anomalies(avg:m{*}, 'basic')":       "needs the bounds",
		"anomalies(avg:m{*}, 'basic', 0)":    "needs the bounds",
		"anomalies(avg:m{*}, 'basic', 2, seasonality='yearly')": `seasonality="yearly" is not evaluated here`,
		"anomalies(avg:m{*}, 'basic', 2, nonsense='1')":         `nonsense="1" is not evaluated here`,
		"hits / errors":                              "unexpected",
		"avg:m{$env}":                                "unknown template variable $env",
		"avg:m{host:$host}":                          "unknown template variable $host",
		"avg:m{$host.value}":                         "unknown template variable $host",
		"avg:m{host:a-$host.value}":                  "unknown template variable in host:a-$host.value",
		"avg:m{host:a-$host}":                        "within a word, write $NAME.value",
		"avg:m{*} by {$host}":                        "unknown template variable",
		strings.Repeat("(", 200) + "1":               "nested too deeply",
		"avg:m{" + strings.Repeat("(", 200) + "a:b}": "nested too deeply",
		// Scopes.
		"avg:m{a:b AND c:d, e:f}": "a comma and the words AND, OR, NOT, IN cannot be in one scope",
		"avg:m{!a:b OR c:d}":      "! and the words",
		"avg:m{a:b OR}":           "a tag is missing",
		"avg:m{AND a:b}":          "a tag is missing",
		"avg:m{a:b,}":             "a tag is missing",
		"avg:m{(a:b}":             "( lacks its )",
		"avg:m{a:b)}":             `unexpected ")"`,
		"avg:m{a IN b}":           "IN needs a list in parentheses",
		"avg:m{a IN ()}":          "IN needs a list of values",
		"avg:m{a IN (b c)}":       "separated by commas",
		"avg:m{a NOT b}":          "NOT after a tag key needs IN",
	} {
		_, err := ParseMetric(query, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

func TestTemplateVariables(t *testing.T) {
	src := record(t, "gauge m{env:dev,host:a} 10 1", "gauge m{env:prod,host:b} 10 10", "gauge m{env:test} 10 100")
	v := Variables{
		"env":  {Prefix: "env", Values: []string{"dev"}},
		"two":  {Prefix: "env", Values: []string{"dev", "prod"}},
		"all":  {Prefix: "host", Values: []string{"*"}},
		"none": {Prefix: "host"},
		"tag":  {Values: []string{"host:b"}},
		"like": {Prefix: "host", Values: []string{"a*"}},
		"part": {Values: []string{"ev"}}, "parts": {Values: []string{"ev", "rod"}}, "first": {Values: []string{"d", "p"}},
	}
	for query, want := range map[string]string{
		"sum:m{$env}":             "1",
		"sum:m{$two}":             "11",
		"sum:m{$all}":             "111",
		"sum:m{$none}":            "111",
		"sum:m{$tag}":             "10",
		"sum:m{$like}":            "1",
		"sum:m{$two,$all,host:b}": "10",
		"sum:m{!$env}":            "110",
		"sum:m{env:$env}":         "1",
		"sum:m{env:$two.value}":   "11",
		"sum:m{$two AND $all}":    "11",
		"sum:m{$two} by {$env}":   "env:dev 1 | env:prod 10",
		// https://docs.datadoghq.com/dashboards/template_variables/: env:staging-$service.value
		"sum:m{env:d$part.value}":                      "1",
		"sum:m{env:$env.value,host:$none.value}":       "1",
		"sum:m{env:p$parts.value}":                     "10",
		"sum:m{env:$first.value$parts.value}":          "11",
		"sum:m{env IN (x,d$parts.value)}":              "1",
		"sum:m{!env:d$parts.value,!env:p$parts.value}": "100",
		"sum:m{env:t$none.value}":                      "100",
	} {
		q, err := ParseMetric(query, v)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := written(q.root.eval(newEvaluator(src, at(0), at(10), 10, &notes{})).lines); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// The band follows the past: a jump is outside. Before 20 values there is no band.
func TestAnomalies(t *testing.T) {
	text := "gauge m{a:b} 10"
	for i := range 100 {
		text += " " + numbers([]float64{100 + float64(i%3)})
	}
	src := record(t, text+" 200 101")
	q, err := ParseMetric("anomalies(avg:m{*}, 'basic', 2)", nil)
	if err != nil {
		t.Fatal(err)
	}
	l := q.root.eval(newEvaluator(src, at(0), at(1020), 10, &notes{})).lines[0]
	if len(l.values) != 102 || len(l.lower) != 102 || len(l.upper) != 102 {
		t.Fatalf("%d values, %d and %d edges, want 102", len(l.values), len(l.lower), len(l.upper))
	}
	for i := range l.values {
		switch {
		case i < 20:
			if !math.IsNaN(l.lower[i]) || !math.IsNaN(l.upper[i]) {
				t.Errorf("bucket %d has a band after %d values", i, i)
			}
		case i == 100:
			if l.values[i] <= l.upper[i] {
				t.Errorf("200 is inside of %g to %g", l.lower[i], l.upper[i])
			}
		default:
			if !(l.values[i] >= l.lower[i] && l.values[i] <= l.upper[i]) {
				t.Errorf("bucket %d: %g is outside of %g to %g", i, l.values[i], l.lower[i], l.upper[i])
			}
		}
	}
	// Of 0, 1 and 2 in turn, the quartiles are 0 and 2, or 1.483 standard deviations.
	if got := numbers([]float64{l.lower[99], l.upper[99]}); got != "98.03 104" {
		t.Errorf("the band is %s, want 101 ± 2 × 2/1.349", got)
	}
	// A frame that begins later has the same band: earlier points are read.
	later := q.root.eval(newEvaluator(src, at(990), at(1000), 10, &notes{})).lines[0]
	if later.lower[0] != l.lower[99] || later.upper[0] != l.upper[99] || later.values[0] != l.values[99] {
		t.Errorf("%g in %g to %g, want %g in %g to %g", later.values[0], later.lower[0], later.upper[0], l.values[99], l.lower[99], l.upper[99])
	}
	constant := record(t, "gauge m{a:b} 10"+strings.Repeat(" 50", 30))
	l = q.root.eval(newEvaluator(constant, at(0), at(300), 10, &notes{})).lines[0]
	if got := numbers([]float64{l.lower[29], l.upper[29]}); got != "49 51" {
		t.Errorf("the band of a constant 50 is %s, want 2 × 1 %% of it on each side", got)
	}
}

// randomCounts returns the values of some series.
func randomCounts(r *rand.Rand) []Series {
	var all []Series
	for i := range 1 + r.IntN(6) {
		s := Series{Metric: "m", Tags: NewTags("host:"+string(rune('a'+i)), "env:"+[]string{"dev", "prod"}[r.IntN(2)]), Kind: Count, Interval: 10}
		for k := range int64(60) {
			if r.IntN(3) > 0 {
				s.Points = append(s.Points, Point{Time: zero + 10*k, Value: float64(r.IntN(100))})
			}
		}
		all = append(all, s)
	}
	return all
}

// sum adds lines, bucket by bucket.
func sum(lines []line) []float64 {
	all := missing(len(lines[0].values))
	for _, l := range lines {
		for i, v := range l.values {
			switch {
			case math.IsNaN(v):
			case math.IsNaN(all[i]):
				all[i] = v
			default:
				all[i] += v
			}
		}
	}
	return all
}

func TestPropertiesOfAggregation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		src := &recorded{series: randomCounts(r)}
		step := []int{10, 20, 30, 60, 120, 300}[r.IntN(6)]
		from, to := r.IntN(300), 300+r.IntN(300)
		eval := func(text string, from, to, step int) []line {
			q, err := ParseMetric(text, nil)
			if err != nil {
				t.Fatal(err)
			}
			e := newEvaluator(src, at(from), at(to), int64(step), &notes{})
			if e.start%int64(step) != 0 || e.start > at(from).Unix() || e.start+int64(e.buckets*step) < at(to).Unix() {
				t.Fatalf("buckets of %d s begin at %d for %d to %d", step, e.start-zero, from, to)
			}
			return q.root.eval(e).lines
		}
		whole := eval("sum:m{*}.as_count()", from, to, step)
		if len(whole) == 0 {
			continue
		}
		// Associative: the sum of groups is the sum of all.
		for _, by := range []string{"host", "env", "env,host"} {
			if got := sum(eval("sum:m{*} by {"+by+"}.as_count()", from, to, step)); numbers(got) != numbers(whole[0].values) {
				t.Fatalf("the sum by {%s} is %s, of all %s", by, numbers(got), numbers(whole[0].values))
			}
		}
		// A rate times its interval is the count.
		rate := eval("sum:m{*}.as_rate()", from, to, step)[0].values
		for i, v := range whole[0].values {
			if !math.IsNaN(v) && math.Abs(rate[i]*float64(step)-v) > 1e-9 {
				t.Fatalf("%g a second for %d s, but %g", rate[i], step, v)
			}
		}
		// Buckets are aligned: two halves are the whole, and longer buckets the sum of shorter.
		middle := int(floor(int64((from+to)/2), int64(step)))
		if first, second := eval("sum:m{*}.as_count()", from, middle, step), eval("sum:m{*}.as_count()", middle, to, step); len(first) == 1 && len(second) == 1 {
			if got := slices.Concat(first[0].values, second[0].values); numbers(got) != numbers(whole[0].values) {
				t.Fatalf("%s in two parts, %s in one", numbers(got), numbers(whole[0].values))
			}
		}
		if short := eval("sum:m{*}.as_count()", 0, 600, 10); len(short) == 1 {
			long := eval("sum:m{*}.as_count()", 0, 600, step)[0].values
			for i, v := range long {
				width := step / 10
				if got := sum([]line{{values: []float64{reduce(short[0].values[i*width:min((i+1)*width, 60)], "sum", 10)}}})[0]; got != v && !(math.IsNaN(got) && math.IsNaN(v)) {
					t.Fatalf("bucket %d of %d s is %g, its parts %g", i, step, v, got)
				}
			}
		}
	}
}

// Sketches may be merged in any order.
func TestSketchesMergeInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var parts []*Sketch
		all := NewSketch()
		for range 5 {
			s := newSketch([]float64{1, 1e-9}[r.IntN(2)])
			for range r.IntN(50) {
				v := math.Exp(r.NormFloat64())
				s.Add(v, 1)
				all.Add(v, 1)
			}
			parts = append(parts, s)
		}
		a := merged(parts)
		slices.Reverse(parts)
		b := merged(parts)
		for _, q := range []float64{0, 0.5, 0.95, 1} {
			x, y, z := a.Quantile(q), b.Quantile(q), all.Quantile(q)
			if math.Abs(x-y) > 0.03*y || math.Abs(x-z) > 0.03*z {
				t.Fatalf("quantile %g: %g, %g, %g", q, x, y, z)
			}
		}
		if math.Abs(a.Count()-all.Count()) > 0 || math.Abs(a.sum-all.sum) > 1e-9*all.sum {
			t.Fatalf("%g values with the sum %g, want %g and %g", a.Count(), a.sum, all.Count(), all.sum)
		}
	}
}

func FuzzParseMetric(f *testing.F) {
	for _, text := range []string{
		"100 * sum:errors{env:dev,!host:a} by {host}.as_count() / sum:hits{env:dev AND (a:b OR c NOT IN (d, e))}.as_count()",
		"anomalies(sum:hits{*}.as_rate(), 'agile', 3, direction='both', interval=60)",
		"top(moving_rollup(p99.9:d{a:*}.rollup(sum, 60).fill(last, 30), 60, 'max'), 5, 'mean', 'desc') - -1.5e3",
		"ewma_5(per_second(avg:g{*})) + log2(hour_before(default_zero(avg:g{*})))",
		"timeshift(cutoff_min(avg:g{$env}, 3), -3600)",
	} {
		f.Add(text)
	}
	src := record(f, "gauge g{host:a} 10 1 _ 3 4", "count hits{env:dev} 10 1 2", "count errors{env:dev,host:b} 10 1 _ _ 2", "distribution d{a:b} 10 1;2 3")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseMetric(text, Variables{"env": {Prefix: "env", Values: []string{"dev"}}})
		if err != nil {
			return
		}
		for _, m := range metricsOf(q.root) { // one evaluation must stay short
			if m.interval > 0 && m.interval < 10 {
				return
			}
		}
		if callOf(q.root, "moving_rollup") != nil && len(text) > 200 {
			return
		}
		e := newGrid(src, []node{q.root}, at(0), at(60), 10, &notes{})
		for _, l := range q.root.eval(e).lines {
			if len(l.values) != e.buckets {
				t.Errorf("%s: %d values in %d buckets", text, len(l.values), e.buckets)
			}
			for _, v := range l.values {
				if math.IsInf(v, 0) {
					t.Errorf("%s: %g", text, v)
				}
			}
		}
		scalars(q.root, e, "avg", zero)
	})
}

func TestQuery(t *testing.T) {
	q, err := ParseMetric("per_second(avg:g{*}) + avg:g{host:a} / sum:hits{*}.as_count()", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(q.Metrics(), ","); got != "g,hits" {
		t.Errorf("metrics %s", got)
	}
	q, err = ParseMetric("avg:g{*} by {host}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := q.Series(record(t, "gauge g{host:a} 10 1 2"), at(0), at(20), 0).written(), "avg:g{*} by {host} host:a 1 2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
