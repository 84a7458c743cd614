package query

import (
	"fmt"
	"strings"
	"testing"
)

// Each limit: the last value that is accepted, and the first that is not.
func TestLimits(t *testing.T) {
	metric := func(text string) error { _, err := ParseMetric(text, nil); return err }
	search := func(text string) error { _, err := ParseSearch("spans", text, nil); return err }
	template := func(text string) error { _, err := ParseTemplate(text); return err }
	monitor := func(kind, query string) error {
		m, err := NewMonitor("m", "7", map[string]any{"name": "n", "type": kind, "query": query})
		if err == nil && m.Unevaluated != "" {
			err = fmt.Errorf("%s", m.Unevaluated)
		}
		return err
	}
	check := func(query string) error { return monitor("service check", query) }
	alert := func(query string) error { return monitor("query alert", query) }
	burn := func(query string) error { return monitor("slo alert", query) }
	nested := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	for _, c := range []struct {
		name         string
		parse        func(string) error
		good, refuse string
	}{
		{"depth of an expression", metric, nested("(", "1", ")", 100), nested("(", "1", ")", 101)},
		{"depth of functions", metric, nested("abs(", "avg:m{*}", ")", 100), nested("abs(", "avg:m{*}", ")", 101)},
		{"depth of a scope", metric, "avg:m{" + nested("(", "a:b", ")", 100) + "}", "avg:m{" + nested("(", "a:b", ")", 101) + "}"},
		{"depth of a search", search, nested("(", "a:b", ")", 100), nested("(", "a:b", ")", 101)},
		{"depth of a template", template, nested("{{#is_alert}}", "a", "{{/is_alert}}", 100), nested("{{#is_alert}}", "a", "{{/is_alert}}", 101)},
		{"depth of a monitor", alert, "avg(last_5m):" + nested("(", "avg:m{*}", ")", 100) + " > 1", "avg(last_5m):" + nested("(", "avg:m{*}", ")", 101) + " > 1"},
		{"depth of an older request", func(q string) error { _, err := ParseRequest(map[string]any{"q": q}, nil); return err }, nested("(", "1", ")", 100), nested("(", "1", ")", 101)},
		{"seconds of a rollup", metric, "avg:m{*}.rollup(avg, 1)", "avg:m{*}.rollup(avg, 0)"},
		{"most seconds of a rollup", metric, "avg:m{*}.rollup(avg, 100000000)", "avg:m{*}.rollup(avg, 100000001)"},
		{"least limit of fill", metric, "avg:m{*}.fill(last, 1)", "avg:m{*}.fill(last, 0.5)"},
		{"limit of fill", metric, "avg:m{*}.fill(last, 600)", "avg:m{*}.fill(last, 601)"},
		{"lines of top", metric, "top(avg:m{*}, 1000)", "top(avg:m{*}, 1001)"},
		{"least lines of top", metric, "top(avg:m{*}, 1)", "top(avg:m{*}, 0)"},
		{"seconds of moving_rollup", metric, "moving_rollup(avg:m{*}, 10000000)", "moving_rollup(avg:m{*}, 10000001)"},
		{"least seconds of moving_rollup", metric, "moving_rollup(avg:m{*}, 1)", "moving_rollup(avg:m{*}, 0)"},
		{"timeshift", metric, "timeshift(avg:m{*}, -100000000)", "timeshift(avg:m{*}, -100000001)"},
		{"least timeshift", metric, "timeshift(avg:m{*}, 0)", "timeshift(avg:m{*}, 1)"},
		{"digits of a percentile", metric, "p99:m{*}", "p999:m{*}"},
		{"spans of ewma", metric, "ewma_20(avg:m{*})", "ewma_30(avg:m{*})"},
		{"spans of median", metric, "median_9(avg:m{*})", "median_11(avg:m{*})"},
		{"numbers of functions", metric, "clamp_max(avg:m{*}, 1)", "clamp_max(avg:m{*}, 1, 2)"},
		{"texts of functions", metric, "top(avg:m{*}, 1, 'max', 'asc')", "top(avg:m{*}, 1, 'max', 'asc', 'x')"},
		{"one method", metric, "moving_rollup(avg:m{*}, 60, 'max')", "moving_rollup(avg:m{*}, 60, 'max', 'min')"},
		{"one shift", metric, "timeshift(avg:m{*}, -60)", "timeshift(avg:m{*}, -60, -60)"},
		{"short forms of top take no more", metric, "top5_max(avg:m{*})", "top5_max(avg:m{*}, 5, 5)"},
		{"bounds of anomalies", metric, "anomalies(avg:m{*}, 'basic', 0.1)", "anomalies(avg:m{*}, 'basic', 0)"},
		{"one algorithm", metric, "anomalies(avg:m{*}, 'basic', 2)", "anomalies(avg:m{*}, 'basic', 'agile', 2)"},
		{"least interval of anomalies", alert, "avg(last_4h):anomalies(avg:m{*}, 'basic', 2, interval=10) >= 1", "avg(last_4h):anomalies(avg:m{*}, 'basic', 2, interval=9) >= 1"},
		{"interval of anomalies", alert, "avg(last_4h):anomalies(avg:m{*}, 'basic', 2, interval=86400) >= 1", "avg(last_4h):anomalies(avg:m{*}, 'basic', 2, interval=86401) >= 1"},
		{"least window", alert, "avg(last_1m):avg:m{*} > 1", "avg(last_0m):avg:m{*} > 1"},
		{"results of a check", check, `"c".over("*").last(100).count_by_status()`, `"c".over("*").last(101).count_by_status()`},
		{"least results of a check", check, `"c".over("*").last(1).count_by_status()`, `"c".over("*").last(0).count_by_status()`},
		{"windows of a burn rate", burn, `burn_rate("s").over("30d").long_window("2m").short_window("1m") > 1`, `burn_rate("s").over("30d").long_window("1m").short_window("1m") > 1`},
		{"least window of a burn rate", burn, `burn_rate("s").over("30d").long_window("2m").short_window("1m") > 1`, `burn_rate("s").over("30d").long_window("2m").short_window("0m") > 1`},
	} {
		if err := c.parse(c.good); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.parse(c.refuse) == nil {
			t.Errorf("%s: %.60s is accepted", c.name, c.refuse)
		}
	}
	for timeframe, want := range map[string]bool{"1d": true, "366d": true, "367d": false, "0d": false, "7": false, "d": false, "7h": false} {
		if _, ok := days(timeframe); ok != want {
			t.Errorf("the time frame %s: %t, want %t", timeframe, ok, want)
		}
	}
	thresholds := func(critical, last int) error {
		m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "service check", "query": "\"c\".over(\"*\").last(%d).count_by_status()", "options": {"thresholds": {"critical": %d}}}`, last, critical))
		if err == nil && m.Unevaluated != "" {
			err = fmt.Errorf("%s", m.Unevaluated)
		}
		return err
	}
	for _, c := range []struct {
		critical, last int
		want           bool
	}{{1, 1, true}, {4, 4, true}, {5, 4, false}, {0, 4, false}} {
		if err := thresholds(c.critical, c.last); (err == nil) != c.want {
			t.Errorf("critical %d of %d: %v", c.critical, c.last, err)
		}
	}
}
