package query

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// metricMonitor returns a monitor of a query with thresholds and more options, as JSON.
func metricMonitor(t testing.TB, query, thresholds, options string) *Monitor {
	t.Helper()
	m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "query alert", "query": %q, "message": "v={{value}}", "options": {"thresholds": {%s}%s}}`, query, thresholds, options))
	if err != nil {
		t.Fatal(err)
	}
	if m.Unevaluated != "" {
		t.Fatalf("%s: %s", query, m.Unevaluated)
	}
	return m
}

// once returns the value and the reason of one evaluation.
func measure(t testing.TB, src Source, m *Monitor, seconds int) string {
	t.Helper()
	var all []string
	for _, r := range m.rule.readings(src, &Catalog{}, m, at(seconds), &notes{}) {
		text := strings.TrimSpace(r.group.String() + " " + numbers([]float64{r.value}))
		if r.skipped != "" {
			text += " (" + r.skipped + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, " | ")
}

// Sources: monitors/guide/monitor_aggregators, monitors/guide/as-count-in-monitor-evaluations,
// monitors/guide/division-in-monitor-evaluations, monitors/configuration.
func TestValuesOfMonitors(t *testing.T) {
	src := record(t,
		"gauge g{host:a} 60 1 2 3 4 5 6 7 8 9 10",
		"gauge g{host:b} 60 10 20 30 _ _ _ 70 80 90 100",
		"gauge sparse{host:a} 45 1 2 3 4 5 6 7",
		"gauge untagged{x:y} 60 5 5",
		"count hits{path:a} 60 10 20 _ 40 _ 60",
		"count errors{path:a} 60 1 _ _ 4 5 _",
		"distribution d{path:a} 60 1;1;1;1 9 _ _ 9;9;9;9;9",
	)
	for _, c := range []struct {
		query string
		at    int
		want  string
	}{
		{"avg(last_5m):avg:g{host:a} > 5", 600, "8"}, // 6 to 10
		{"avg(last_5m):avg:g{host:a} > 5", 599, "8"}, // 300 ≤ t < 599: a point at the start counts
		{"avg(last_5m):avg:g{host:a} > 5", 601, "8.5"},
		{"min(last_5m):avg:g{host:a} > 5", 600, "6"},
		{"max(last_5m):avg:g{host:a} > 5", 600, "10"},
		{"sum(last_5m):avg:g{host:a} > 5", 600, "40"},
		{"avg(last_5m):avg:g{*} by {host} > 5", 600, "host:a 8 | host:b 85"}, // one source each: nothing is interpolated
		{"avg(last_5m):sum:g{*} > 5", 240, "16.18"},                          // two sources are interpolated between their points
		{"avg(last_5m):avg:untagged{*} by {host} > 5", 100, ""},              // series without the tag are left out
		{"avg(last_5m):avg:sparse{*} > 5", 300, "4"},                         // raw points, not means of minutes
		{"avg(last_1h):avg:g{host:a} > 5", 3600, "5.5"},
		{"avg(last_4h):avg:g{host:a} > 5", 3600, "5.5"},
		{"avg(last_1d):avg:g{host:a} > 5", 3600, "5.5"}, // two buckets of 300 s: 3 and 8
		{"sum(last_5m):sum:hits{*}.as_count() > 5", 360, "120"},
		{"sum(last_10m):sum:hits{*}.as_count() > 5", 360, "130"},
		{"sum(last_10m):100 * sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5", 360, "7.692"}, // 100 × 10 / 130, not a mean of shares
		{"sum(last_1m):100 * sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5", 180, ""},
		{"sum(last_1m):100 * sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5", 300, "_ (no value in the window)"}, // errors without hits: x/0
		{"sum(last_1m):100 * sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5", 120, "0"},                          // hits without errors
		{"sum(last_10m):sum:none{*}.as_count() / sum:hits{*}.as_count() > 5", 360, "0"},
		{"avg(last_10m):sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5", 360, "0.1026"}, // (10/3) / (130/4)
		{"sum(last_5m):default_zero(sum:hits{*}.as_count()) < 1", 360, "120"},
		{"sum(last_5m):default_zero(sum:hits{*}.as_count()) < 1", 3600, "0"},
		{"percentile(last_10m):p50:d{*} > 5", 600, "8.935"}, // all ten values at once
		{"percentile(last_1m):p50:d{*} > 5", 60, "1"},
		{"percentile(last_1m):p50:d{*} > 5", 180, ""},
		{"max(last_5m):avg:g{host:a}.rollup(sum, 120) > 5", 600, "19"}, // whole buckets: 360 to 600
		{"min(last_5m):avg:g{host:a}.rollup(sum, 120) > 5", 600, "15"}, // the one from 240 began before the window
		{"max(last_5m):avg:g{host:a}.rollup(sum, 3600) > 5", 600, ""},  // longer than the window
		{"avg(last_5m):per_second(avg:g{host:a}) > 5", 600, "0.01667"},
		{"avg(last_5m):avg:g{host:a} > -5", 600, "8"},
	} {
		m := metricMonitor(t, c.query, "", "")
		if got := measure(t, src, m, c.at); got != c.want {
			t.Errorf("%s at %d: got %q, want %q", c.query, c.at, got, c.want)
		}
	}
	m := metricMonitor(t, "avg(last_5m):avg:g{host:a} > 5", "", `, "evaluation_delay": 60`)
	if got := measure(t, src, m, 600); got != "7" {
		t.Errorf("a minute earlier: %s, want 7", got)
	}
}

// Source: monitors/types/change-alert. The change a - b, or (a - b) / b × 100, is computed for
// each interval and aggregated over the window; with as_count() each operand is aggregated
// first, and missing points are 0.
func TestChanges(t *testing.T) {
	src := record(t,
		"gauge g{host:a} 60 1 2 3 4 5 6 7 8 9 10",
		"gauge g{host:b} 60 10 20 30 _ _ _ 70 80 90 100",
		"gauge down{host:a} 60 10 10 10 10 10 5 5 5 5 5",
		"gauge zero{host:a} 60 0 0 0 0 0 5 5 5 5 5",
		"gauge agent{host:a} 15 10 10 10 10 20 20 20 20 30 30 30 30 40 40 40 40",
		"count hits{path:a} 60 10 20 30 40 50 60 _ 80 90 100",
		"count errors{path:a} 60 1 1 1 1 1 3 3 3 3 3",
	)
	for _, c := range []struct {
		query string
		at    int
		want  string
	}{
		{"change(avg(last_5m),last_5m):avg:g{host:a} > 5", 600, "5"},
		{"change(avg(last_5m),5m_ago):avg:g{host:a} > 5", 600, "5"},
		{"change(sum(last_5m),last_5m):avg:g{host:a} > 5", 600, "25"},
		{"change(avg(last_5m),last_5m):avg:g{host:a} > 5", 480, "5"},                         // 4 to 8 and _ _ 1 2 3: three pairs have data
		{"change(avg(last_5m),last_5m):avg:g{*} by {host} > 5", 600, "host:a 5 | host:b 50"}, // pairs 20 → 70 and 30 → 80
		{"pct_change(avg(last_5m),last_5m):avg:g{host:a} > 5", 600, "228.3"},                 // 500, 250, 166.7, 125, 100
		{"pct_change(min(last_5m),last_5m):avg:g{host:a} > 5", 600, "100"},
		{"pct_change(max(last_5m),last_5m):avg:g{host:a} > 5", 600, "500"},
		{"pct_change(sum(last_5m),last_5m):avg:g{host:a} > 5", 600, "1142"}, // a sum of shares, as the page warns
		{"pct_change(avg(last_5m),last_5m):avg:down{*} > -50", 600, "-50"},
		{"change(avg(last_5m),last_5m):avg:down{*} > -50", 600, "-5"},
		{"pct_change(avg(last_5m),last_5m):avg:zero{*} > 5", 600, "_ (no value both in the window and 5m before it)"}, // x/0
		{"change(avg(last_5m),last_5m):avg:zero{*} > 5", 600, "5"},
		{"change(avg(last_1m),last_2m):avg:agent{*} > 5", 240, "20"},      // four points of a minute are one interval
		{"pct_change(avg(last_2m),last_2m):avg:agent{*} > 5", 240, "150"}, // 200 and 100
		{"change(avg(last_5m),last_1h):avg:g{host:a} > 5", 300, "_ (no value both in the window and 1h before it)"},
		{"change(avg(last_5m),last_1h):avg:g{host:a} > 5", 3900, "_ (no value both in the window and 1h before it)"}, // only the past
		{"change(sum(last_5m),last_5m):sum:hits{*}.as_count() > 5", 600, "180"},                                      // 330 - 150
		{"change(sum(last_5m),last_5m):sum:hits{*} > 5", 600, "200"},                                                 // four pairs
		{"pct_change(sum(last_5m),last_5m):sum:hits{*}.as_count() > 5", 600, "120"},                                  // 100 × 180 / 150
		{"pct_change(sum(last_5m),last_5m):sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5", 600, "36.36"},     // of 5/150 to 15/330
	} {
		m := metricMonitor(t, c.query, "", "")
		if got := measure(t, src, m, c.at); got != c.want {
			t.Errorf("%s at %d: got %q, want %q", c.query, c.at, got, c.want)
		}
		if len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "for each interval of 60 s") {
			t.Errorf("%s: notes %q", c.query, m.Notes)
		}
	}
	// Data that only the past has is no data.
	m := metricMonitor(t, "change(avg(last_5m),last_5m):avg:g{host:a} > 100", "", `, "notify_no_data": true, "no_data_timeframe": 10`)
	if got := history(t, src, &Catalog{Monitors: []*Monitor{m}}, 25); got != "6 OK, 19 No Data!" { // the newest point is of minute 9
		t.Errorf("states: %s", got)
	}
}

// Source: monitors/types/metric. The first minute must have data, and all but three.
func TestFullWindow(t *testing.T) {
	for points, want := range map[string]string{
		"1 1 1 1 1 1 1 1 1 1": "1",
		"1 _ 1 _ 1 _ 1 1 1 1": "1",
		"1 _ 1 _ 1 _ 1 _ 1 1": "_ (the window is not full of data (require_full_window))",
		"_ 1 1 1 1 1 1 1 1 1": "_ (the window is not full of data (require_full_window))",
	} {
		src := record(t, "gauge g{host:a} 60 "+points)
		m := metricMonitor(t, "avg(last_10m):avg:g{*} > 5", "", `, "require_full_window": true`)
		if got := measure(t, src, m, 600); got != want {
			t.Errorf("%s: %s, want %s", points, got, want)
		}
		if got := measure(t, src, metricMonitor(t, "avg(last_10m):avg:g{*} > 5", "", ""), 600); got != "1" {
			t.Errorf("%s without require_full_window: %s, want 1", points, got)
		}
	}
	// Windows of hours have buckets of ten minutes, those of days of an hour.
	for window, c := range map[string]struct {
		interval, at int
		want         bool
	}{
		"last_1h": {600, 3600, true}, "last_59m": {600, 3600, false}, "last_1d": {3600, 86400, true}, "last_23h": {3600, 86400, false},
	} {
		src := record(t, fmt.Sprintf("gauge g{host:a} %d%s", c.interval, strings.Repeat(" 1", 24)))
		m := metricMonitor(t, "avg("+window+"):avg:g{*} > 5", "", `, "require_full_window": true`)
		if got := measure(t, src, m, c.at); (got == "1") != c.want {
			t.Errorf("%s of points each %d s: %s, want full %t", window, c.interval, got, c.want)
		}
	}
}

// history evaluates each minute and returns what happened: minute, state, and ! for a
// notification.
func history(t testing.TB, src Source, c *Catalog, minutes int) string {
	t.Helper()
	var all []string
	for i := 1; i <= minutes; i++ {
		for _, n := range c.Evaluate(src, at(60*i)) {
			text := fmt.Sprintf("%d %s", i, n.To)
			if len(n.Group) > 0 {
				text = fmt.Sprintf("%d %s %s", i, n.Group, n.To)
			}
			if n.Notify {
				text += "!"
			}
			if n.Reason != "" {
				text += " (" + n.Reason + ")"
			}
			if len(n.MutedBy) > 0 {
				text += fmt.Sprintf(" muted by %s", strings.Join(n.MutedBy, "+"))
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// Sources: monitors/configuration, monitors/guide/recovery-thresholds,
// monitors/guide/on_missing_data, monitors/guide/troubleshooting-no-data.
func TestStates(t *testing.T) {
	const query = "avg(last_1m):avg:g{*} > 5"
	repeat := func(v string, n int) string { return strings.Repeat(v+" ", n) }
	for _, c := range []struct{ name, query, thresholds, options, values, want string }{
		{"a comparison is as written", query, `"critical": 5`, "", "5 5.1 5", "1 OK, 2 Alert!, 3 OK!"},
		{">=", "avg(last_1m):avg:g{*} >= 5", `"critical": 5`, "", "4.9 5 4.9", "1 OK, 2 Alert!, 3 OK!"},
		{"<", "avg(last_1m):avg:g{*} < 5", `"critical": 5, "warning": 7`, "", "7 6 5 4.9 7", "1 OK, 2 Warn!, 4 Alert!, 5 OK!"},
		{"<=", "avg(last_1m):avg:g{*} <= 5", `"critical": 5`, "", "5.1 5", "1 OK, 2 Alert!"},
		{"==", "avg(last_1m):avg:g{*} == 5", `"critical": 5`, "", "5.1 5", "1 OK, 2 Alert!"},
		{"!=", "avg(last_1m):avg:g{*} != 5", `"critical": 5`, "", "5 5.1", "1 OK, 2 Alert!"},
		{"warning and back", query, `"critical": 5, "warning": 3`, "", "1 4 6 4 3", "1 OK, 2 Warn!, 3 Alert!, 4 Warn!, 5 OK!"},
		{"the first state is an alert", query, `"critical": 5`, "", "6", "1 Alert!"},
		{"recovery thresholds", query, `"critical": 5, "critical_recovery": 2, "warning": 3, "warning_recovery": 1`, "", "0 6 4 2.1 2 4 2 1.1 1 6 3.5 2",
			"1 OK, 2 Alert!, 5 OK!, 6 Warn!, 9 OK!, 10 Alert!, 12 OK!"},
		{"recovery from an alert to a warning", query, `"critical": 5, "critical_recovery": 4, "warning": 3`, "", "6 4.5 4 3", "1 Alert!, 3 Warn!, 4 OK!"},
		{"without data nothing changes", query, `"critical": 5`, "", "6 _ _ _ 1", "1 Alert!, 5 OK!"},
		{"no data after the timeframe", query, `"critical": 5`, `, "notify_no_data": true, "no_data_timeframe": 3`, "6 _ _ _ _ 6 1", "1 Alert!, 3 No Data!, 6 Alert!, 7 OK!"},
		{"no data after twice the window by default", "avg(last_2m):avg:g{*} > 5", `"critical": 5`, `, "notify_no_data": true`, "1 _ _ _ _ 1 1", "1 OK, 4 No Data!, 6 OK!"},
		{"before the first data a monitor waits", query, `"critical": 5`, `, "notify_no_data": true, "no_data_timeframe": 2`, "_ _ _ _ 1 6", "5 OK, 6 Alert!"},
		{"timeout_h", query, `"critical": 5`, `, "timeout_h": 1`, "6 " + repeat("_", 65), "1 Alert!, 60 OK! (no data for 1h (timeout_h))"},
		{"timeout_h resolves no OK", query, `"critical": 5`, `, "timeout_h": 1`, "1 " + repeat("_", 65), "1 OK"},
		{"on_missing_data: show_no_data", query, `"critical": 5`, `, "on_missing_data": "show_no_data"`, "6 _ _ 1", "1 Alert!, 2 No Data, 4 OK"},
		{"on_missing_data: show_and_notify_no_data", query, `"critical": 5`, `, "on_missing_data": "show_and_notify_no_data"`, "6 _ _ 1", "1 Alert!, 2 No Data!, 4 OK!"},
		{"on_missing_data: resolve", query, `"critical": 5`, `, "on_missing_data": "resolve"`, "6 _ _ 1", "1 Alert!, 2 OK! (no data (on_missing_data: resolve))"},
		{"on_missing_data: default of a gauge", query, `"critical": 5`, `, "on_missing_data": "default"`, "6 _ _ 1", "1 Alert!, 4 OK!"},
		{"on_missing_data: default of a count", "sum(last_1m):sum:c{*}.as_count() < 5", `"critical": 5`, `, "on_missing_data": "default"`, "6 _ 6", "1 OK, 2 Alert! (no data counts as 0 (on_missing_data: default)), 3 OK!"},
		{"default_zero", "sum(last_1m):default_zero(sum:c{*}.as_count()) < 1", `"critical": 1`, "", "_ _ 6 _ 6", "3 OK, 4 Alert!, 5 OK!"},
		{"a new group waits", "avg(last_1m):avg:g{*} by {host} > 5", `"critical": 5`, `, "new_group_delay": 120`, "6 6 6 6", "3 host:a Alert!"},
		{"a minute by default", "avg(last_1m):avg:g{*} by {host} > 5", `"critical": 5`, "", "6 6 6 6", "2 host:a Alert!"},
		{"no delay", "avg(last_1m):avg:g{*} by {host} > 5", `"critical": 5`, `, "new_group_delay": 0`, "6 6 6 6", "1 host:a Alert!"},
	} {
		src := record(t, "gauge g{host:a} 60 "+c.values, "count c{host:a} 60 "+c.values)
		m := metricMonitor(t, c.query, c.thresholds, c.options)
		got := history(t, src, &Catalog{Monitors: []*Monitor{m}}, len(strings.Fields(c.values)))
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// A group without data for a day is forgotten: when it comes back, it is new.
func TestGroupsAreForgotten(t *testing.T) {
	src := record(t, "gauge g{host:a} 60 6 6", "gauge g{host:b} 60"+strings.Repeat(" 1", 1500))
	m := metricMonitor(t, "avg(last_1m):avg:g{*} by {host} > 5", `"critical": 5`, "")
	c := &Catalog{Monitors: []*Monitor{m}}
	if got := history(t, src, c, 2); got != "2 host:a Alert!, 2 host:b OK" {
		t.Errorf("got %s", got)
	}
	if m.State() != Alert {
		t.Errorf("the state is %s, want that of the worst group", m.State())
	}
	if got := strings.Join(m.LastNotes, ""); got != "some points of g are for 60 s, longer than the intervals of 10 s here" {
		t.Errorf("the last notes are %q", got)
	}
	c.Evaluate(src, at(60+24*3600-1))
	if len(m.Groups()) != 2 {
		t.Errorf("%d groups before a day", len(m.Groups()))
	}
	c.Evaluate(src, at(60+24*3600))
	if all := m.Groups(); len(all) != 1 || all[0].Tags.String() != "host:b" || all[0].State != OK {
		t.Errorf("after a day the groups are %v", all)
	}
	check, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "service check", "query": "\"c\".over(\"*\").by(\"host\").last(4).count_by_status()", "options": {"thresholds": {"critical": 3}, "notify_no_data": true, "no_data_timeframe": 5}}`))
	if err != nil {
		t.Fatal(err)
	}
	c = &Catalog{Monitors: []*Monitor{check}}
	results := &recorded{checks: []CheckResult{{Time: zero, Tags: Tags{"host:a"}}}}
	c.Evaluate(results, at(1))
	c.Evaluate(results, at(48*3600-1))
	if len(check.Groups()) != 1 {
		t.Errorf("a check that notifies of no data is forgotten before two days")
	}
	c.Evaluate(results, at(48*3600))
	if len(check.Groups()) != 0 {
		t.Errorf("a check is not forgotten after two days: %v", check.Groups())
	}
}

// Source: monitors/types/service_check: a threshold is a number of results in a row.
func TestServiceChecks(t *testing.T) {
	statuses := map[rune]Status{'o': CheckOK, 'w': CheckWarning, 'c': CheckCritical, 'u': CheckUnknown}
	for _, c := range []struct{ name, thresholds, options, results, want string }{
		{"three in a row", `"critical": 3, "ok": 1`, "", "occocccco", "1 host:a OK, 7 host:a Alert!, 9 host:a OK!"},
		{"two successes to recover", `"critical": 1, "ok": 2`, "", "coco.oo", "1 host:a Alert!, 6 host:a OK!"},
		{"a warning", `"critical": 3, "warning": 1, "ok": 1`, "", "owo", "1 host:a OK, 2 host:a Warn!, 3 host:a OK!"},
		{"a warning without a threshold changes nothing", `"critical": 1, "ok": 1`, "", "owcw", "1 host:a OK, 3 host:a Alert!"},
		{"unknown without a threshold", `"critical": 1, "ok": 1`, "", "ouu", "1 host:a OK"},
		{"unknown", `"critical": 1, "ok": 1, "unknown": 2`, "", "ouuo", "1 host:a OK, 3 host:a Unknown!, 4 host:a OK!"},
		{"one success by default", `"critical": 2`, "", "cco", "2 host:a Alert!, 3 host:a OK!"},
		{"no data", `"critical": 3`, `, "notify_no_data": true, "no_data_timeframe": 2`, "o...o", "1 host:a OK, 2 host:a No Data!, 5 host:a OK!"},
		{"no data without a notification", `"critical": 3`, "", "o...o", "1 host:a OK"},
	} {
		src := &recorded{}
		for i, r := range c.results {
			if r != '.' {
				src.checks = append(src.checks, CheckResult{Time: zero + int64(60*i), Tags: NewTags("host:a", "env:dev"), Status: statuses[r], Message: fmt.Sprintf("<%c>", r)})
				src.checks = append(src.checks, CheckResult{Time: zero + int64(60*i), Tags: NewTags("host:a", "env:other"), Status: CheckCritical},
					CheckResult{Time: zero + int64(60*i), Tags: NewTags("env:dev"), Status: CheckCritical})
			}
		}
		m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "service check", "query": "\"c\".over(\"env:dev\").by(\"host\").last(4).count_by_status()", "message": "{{{check_message}}}",
			"options": {"new_group_delay": 0, "thresholds": {%s}%s}}`, c.thresholds, c.options))
		if err != nil || m.Unevaluated != "" {
			t.Fatalf("%v %s", err, m.Unevaluated)
		}
		if got := history(t, src, &Catalog{Monitors: []*Monitor{m}}, len(c.results)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// The message has that of the newest result, except of OK, which Datadog drops.
func TestCheckMessage(t *testing.T) {
	src := &recorded{checks: []CheckResult{
		{Time: zero, Tags: Tags{"host:a"}, Status: CheckCritical, Message: "old"}, {Time: zero + 10, Tags: Tags{"host:a"}, Status: CheckCritical, Message: "it's <gone>"},
		{Time: zero + 70, Tags: Tags{"host:a"}, Status: CheckOK, Message: "fine"}}}
	m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "service check", "query": "\"c\".over(\"*\").by(\"*\").last(2).count_by_status()", "message": "{{{check_message}}}|{{check_message}}|{{threshold}}|{{ok_threshold}}",
		"options": {"new_group_delay": 0, "thresholds": {"critical": 2, "ok": 1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{Monitors: []*Monitor{m}}
	var got []string
	for _, seconds := range []int{60, 120} {
		for _, n := range c.Evaluate(src, at(seconds)) {
			got = append(got, n.Message)
		}
	}
	if want := "it's <gone>|it&#39;s &lt;gone&gt;|2|1 ||2|1"; strings.Join(got, " ") != want {
		t.Errorf("messages %q, want %q", got, want)
	}
}

func TestMessageVariables(t *testing.T) {
	src := record(t, "gauge g{host:a,env:dev} 60 1 4 6 4 1 _ _ _")
	m, err := NewMonitor("m", "7", body(t, `{"name": "on {{host.name}}", "type": "query alert", "query": "avg(last_1m):avg:g{*} by {host,env} > 5", "priority": 2,
		"message": "{{#is_alert}}A{{/is_alert}}{{#is_warning}}W{{/is_warning}}{{#is_alert_to_warning}}D{{/is_alert_to_warning}}{{#is_recovery}}R{{/is_recovery}}{{#is_warning_recovery}}Q{{/is_warning_recovery}}{{#is_no_data}}N{{/is_no_data}}{{#is_priority 'P2'}}P{{/is_priority}} {{value}} {{comparator}} {{threshold}} {{warn_threshold}} {{alert_recovery_threshold}} {{warn_recovery_threshold}} {{host.name}} {{env.name}} {{host.ip}} {{first_triggered_at}} {{last_triggered_at_epoch}} {{triggered_duration_sec}} @a @b",
		"options": {"new_group_delay": 0, "notify_no_data": true, "no_data_timeframe": 2, "thresholds": {"critical": 5, "warning": 3, "critical_recovery": 4.5, "warning_recovery": 2}}}`))
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{Monitors: []*Monitor{m}, HostIP: func(host string) string { return "10.0.0." + host }}
	var got []string
	for i := 1; i <= 8; i++ {
		for _, n := range c.Evaluate(src, at(60*i)) {
			got = append(got, fmt.Sprintf("%s: %s", n.Title, n.Message))
			if n.To != OK && n.From != Waiting && (len(n.Notes) > 0 || strings.Join(n.Recipients, ",") != "@a,@b") {
				t.Errorf("minute %d: notes %q, recipients %q", i, n.Notes, n.Recipients)
			}
		}
	}
	want := []string{
		"[Recovered on {host:a,env:dev}] on a: P 1 &gt; 5 3 4.5 2 a dev 10.0.0.a    @a @b",
		"[Warn on {host:a,env:dev}] on a: WP 4 &gt; 5 3 4.5 2 a dev 10.0.0.a 2027-01-15 08:02:00 UTC 1800000120000 0 @a @b",
		"[Triggered on {host:a,env:dev}] on a: AP 6 &gt; 5 3 4.5 2 a dev 10.0.0.a 2027-01-15 08:02:00 UTC 1800000180000 60 @a @b",
		"[Warn on {host:a,env:dev}] on a: WDP 4 &gt; 5 3 4.5 2 a dev 10.0.0.a 2027-01-15 08:02:00 UTC 1800000240000 120 @a @b",
		"[Recovered on {host:a,env:dev}] on a: RQP 1 &gt; 5 3 4.5 2 a dev 10.0.0.a 2027-01-15 08:02:00 UTC 1800000240000 180 @a @b",
		"[No data on {host:a,env:dev}] on a: NP  &gt; 5 3 4.5 2 a dev 10.0.0.a 2027-01-15 08:06:00 UTC 1800000360000 0 @a @b",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if g := m.Groups()[0]; g.Value != 1 || !g.Evaluated.Equal(at(300)) || !g.Since.Equal(at(360)) || g.State != NoData {
		t.Errorf("the group is %+v", g)
	}
	m.Options.IncludeTags = false
	src = record(t, "gauge g{host:b,env:dev} 60 6")
	if all := c.Evaluate(src, at(60)); len(all) != 1 || all[0].Title != "[Triggered] on b" {
		t.Errorf("without include_tags: %+v", all)
	}
}

// What a title or message cannot show is in the transition's notes, each once.
func TestNotesOfMessages(t *testing.T) {
	m, err := NewMonitor("m", "7", body(t, `{"name": "a {{nothing}}", "type": "query alert", "query": "avg(last_1m):avg:g{*} > 5", "message": "{{nothing}} {{host.name}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	all := (&Catalog{Monitors: []*Monitor{m}}).Evaluate(record(t, "gauge g{host:a} 60 6"), at(60))
	want := "{{nothing}} is empty: this monitor has no such variable here; {{host.name}} is empty: this monitor has no such variable here"
	if len(all) != 1 || strings.Join(all[0].Notes, "; ") != want {
		t.Errorf("got %+v, want the notes %s", all, want)
	}
}

func TestHolding(t *testing.T) {
	for _, c := range []struct {
		from, to State
		want     string
	}{
		{OK, Alert, "is_alert"}, {Warn, Alert, "is_alert"}, {NoData, Alert, "is_alert"},
		{OK, Warn, "is_warning"}, {Alert, Warn, "is_warning is_alert_to_warning"},
		{OK, NoData, "is_no_data"}, {OK, Unknown, "is_unknown"},
		{Alert, OK, "is_recovery is_alert_recovery"}, {Warn, OK, "is_recovery is_warning_recovery"},
		{NoData, OK, "is_recovery is_no_data_recovery"}, {Unknown, OK, "is_recovery"}, {Waiting, OK, ""},
	} {
		if got := strings.Join(holding(c.from, c.to), " "); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

// Options that would change what is notified have a note.
func TestIgnoredOptions(t *testing.T) {
	for options, want := range map[string]string{
		`"renotify_interval": 60`:                           "options.renotify_interval is not evaluated here",
		`"renotify_interval": 0, "silenced": {}`:            "",
		`"renotify_interval": null, "notify_by": []`:        "",
		`"silenced": {"*": null}, "notify_by": ["service"]`: "options.notify_by is not evaluated here; options.silenced is not evaluated here",
		`"scheduling_options": {"custom_schedule": {}}`:     "options.scheduling_options is not evaluated here",
		`"group_retention_duration": "2d"`:                  "options.group_retention_duration is not evaluated here",
		`"min_failure_duration": 60, "new_host_delay": 300`: "options.min_failure_duration is not evaluated here; options.new_host_delay is not evaluated here",
		`"locked": true, "notify_audit": true`:              "", // who may edit it
	} {
		m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "query alert", "query": "avg(last_5m):avg:g{*} > 5", "options": {%s}}`, options))
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if got := strings.Join(m.Notes, "; "); got != want {
			t.Errorf("%s: notes %q, want %q", options, got, want)
		}
	}
	for window, want := range map[string]string{"last_1h": "", "last_61m": "is read in steps of 60 s", "last_6h": "the window of 6h is read in steps of 60 s", "last_7h": "in steps of 300 s"} {
		m := metricMonitor(t, "avg("+window+"):avg:g{*} > 5", "", "")
		if got := strings.Join(m.Notes, ""); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", window, got, want)
		}
	}
}

func TestMonitorsThatAreNotEvaluated(t *testing.T) {
	for _, c := range []struct{ kind, query, want string }{
		{"composite", "1 &&", "the ID of a monitor is missing before end of the text"},
		{"composite", "1 & 2", `unexpected "& 2" at character 3`},
		{"composite", "(1 || 2", `")" is missing`},
		{"composite", "1 2", `unexpected "2"`},
		{"composite", "1||2||3||4||5||6||7||8||9||10||11", "11 monitors are joined; at most 10 can be"},
		{"composite", strings.Repeat("(", 200) + "1", "nested too deeply"},
		{"composite", strings.Repeat("!", 200) + "1", "nested too deeply"},
		{"log alert", "logs()", `monitors of the type "log alert" are not evaluated here`},
		{"query alert", "change(avg(last_5m)):avg:g{*} > 5", `"," is missing`},
		{"query alert", "change(avg(last_5m),5m):avg:g{*} > 5", `the window "5m" is not evaluated here`},
		{"query alert", "change(avg(last_5m),last_5m:avg:g{*} > 5", `")" is missing`},
		{"query alert", "change avg(last_5m):avg:g{*} > 5", `"(" is missing`},
		{"query alert", "change(percentile(last_5m),last_5m):p99:g{*} > 5", "nor with a change of one"},
		{"query alert", "change(avg(last_5m),last_5m):anomalies(avg:g{*}, 'basic', 2) > 5", "changes of anomalies are not evaluated here"},
		{"query alert", "avg:g{*} > 5", `"(" is missing`},
		{"query alert", "median(last_5m):avg:g{*} > 5", "does not begin with"},
		{"query alert", `formula("query1").rollup("sum").last("5m") > 5`, "formula(…) with options.variables is not evaluated here"},
		{"query alert", "avg(last_5y):avg:g{*} > 5", `the window "last_5y" is not evaluated here`},
		{"query alert", "avg(current_1d):avg:g{*} > 5", "the window \"current_1d\" is not evaluated here"},
		{"query alert", "avg(last_5m:avg:g{*} > 5", `")" is missing`},
		{"query alert", "avg(last_5m)avg:g{*} > 5", `":" is missing`},
		{"query alert", "avg(last_5m):avg:g{*}", "the query lacks a comparison at its end"},
		{"query alert", "avg(last_5m):avg:g{*} >", "the query lacks a comparison at its end"},
		{"query alert", "avg(last_5m):avg:g{*} > 5 x", "the query lacks a comparison at its end"},
		{"query alert", "avg(last_5m):avg:g{*} > 6", "the query's threshold 6 is not options.thresholds.critical, 5"},
		{"query alert", "avg(last_5m):1 > 5", "the query has no metric"},
		{"query alert", "avg(last_5m):outliers(avg:g{*}) > 5", "the function outliers is not evaluated here"},
		{"query alert", "percentile(last_5m):avg:g{*} > 5", "needs a percentile of a distribution"},
		{"query alert", "avg(last_5m):abs(anomalies(avg:g{*}, 'basic', 2)) > 5", "anomalies inside of other functions"},
		{"query alert", "avg(last_5m):anomalies(avg:g{*}, 'basic', 2, alert_window='x') > 5", `the window "x"`},
		{"query alert", "avg(last_5m):anomalies(avg:g{*}, 'basic', 2, interval=5) > 5", `the interval "5" is not evaluated here`},
		{"service check", "c", "is not a query of a service check"},
		{"service check", `"c".over("*").by("host").last(4)`, "lacks .last(n) or .count_by_status()"},
		{"service check", `"c".over("*").count_by_status()`, "lacks .last(n) or .count_by_status()"},
		{"service check", `"c".over("*").last(0).count_by_status()`, ".last(0) is not a number from 1 to 100"},
		{"service check", `"c".over("*").last(101).count_by_status()`, ".last(101) is not a number from 1 to 100"},
		{"service check", `"c".over("*").last(4).count_by_status()`, "the threshold 5 is not from 1 to 4"},
		{"service check", `"c".over(a).last(5).count_by_status()`, `"a" is not in quotation marks`},
		{"service check", `"c".over("*").exclude("a").last(5).count_by_status()`, ".exclude is not evaluated here"},
		{"slo alert", `burn("x")`, "is neither a burn_rate nor an error_budget query"},
		{"slo alert", `burn_rate("x").over("30d").long_window("1h").short_window("1h") > 5`, "the short window 1h is not shorter than the long one, 1h"},
		{"slo alert", `burn_rate("x").over("30d").long_window("1h").short_window("5m") > 6`, "the query's threshold 6 is not options.thresholds.critical, 5"},
		{"slo alert", `burn_rate("x").over("30d").long_window("1h").short_window("5m")`, "lacks a comparison"},
	} {
		m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": %q, "query": %q, "options": {"thresholds": {"critical": 5}}}`, c.kind, c.query))
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if !strings.Contains(m.Unevaluated, c.want) {
			t.Errorf("%s %s: %q, want %q", c.kind, c.query, m.Unevaluated, c.want)
		}
		if got := history(t, record(t, "gauge g{a:b} 60 9 9"), &Catalog{Monitors: []*Monitor{m}}, 2); got != "" || m.State() != Waiting {
			t.Errorf("%s is evaluated: %s, %s", c.query, got, m.State())
		}
	}
	for text, want := range map[string]string{
		`{}`:                        "name or query is empty",
		`{"name": "n", "query": 5}`: "query is not a text: 5",
		`{"name": "n", "query": "q", "tags": [5]}`:                                                        "tags is not a list of texts",
		`{"name": "n", "query": "q", "options": []}`:                                                      "options is not an object",
		`{"name": "n", "query": "q", "options": {"no_data_timeframe": -1}}`:                               `options.no_data_timeframe is not at least 0 and at most 527040: -1`,
		`{"name": "n", "query": "q", "options": {"timeout_h": 8785}}`:                                     `options.timeout_h is not at least 0 and at most 8784: 8785`,
		`{"name": "n", "query": "q", "options": {"thresholds": {"critical": "5"}}}`:                       `options.thresholds.critical is not a number: "5"`,
		`{"name": "n", "query": "q", "options": {"notify_no_data": 1}}`:                                   "options.notify_no_data is not true or false: 1",
		`{"name": "{{#x}}", "query": "q"}`:                                                                "name: {{#x}} is not a condition",
		`{"name": "n", "query": "q", "message": "{{"}`:                                                    "message: {{ lacks a closing }}",
		`{"name": "n", "query": "q", "options": {"on_missing_data": "zero"}}`:                             `options.on_missing_data "zero" is not default`,
		`{"name": "n", "query": "q", "options": {"on_missing_data": "default", "notify_no_data": true}}`:  "on_missing_data cannot be beside notify_no_data",
		`{"name": "n", "query": "q", "options": {"on_missing_data": "default", "no_data_timeframe": 10}}`: "on_missing_data cannot be beside notify_no_data",
	} {
		if _, err := NewMonitor("m", "7", parsed(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// The share of values outside of the band, in the last window.
func TestAnomalyMonitors(t *testing.T) {
	calm := strings.Repeat(" 100 101 102", 40) // two hours of minutes
	for _, c := range []struct{ name, options, values, want string }{
		{"inside", "", calm, "0"},
		{"all outside", "", calm + strings.Repeat(" 200", 15), "1"},
		{"a third outside", "", calm + " 200 200 200 200 200" + strings.Repeat(" 101", 10), "0.3333"},
		{"the other direction", ", direction='below'", calm + strings.Repeat(" 200", 15), "0"},
		{"this direction", ", direction='above'", calm + strings.Repeat(" 200", 15), "1"},
		{"below", ", direction='below'", calm + strings.Repeat(" 20", 15), "1"},
		{"a shorter window", ", alert_window='last_5m'", calm + strings.Repeat(" 200", 3) + " 101 101", "0.6"},
		{"too little history", "", " 100 101 102", "_ (no value in the window)"},
	} {
		src := record(t, "gauge g{a:b} 60"+c.values)
		m := metricMonitor(t, "avg(last_1h):anomalies(avg:g{*}, 'basic', 2, interval=60, alert_window='last_15m'"+c.options+") >= 1", "", "")
		if strings.Contains(c.options, "alert_window") {
			m = metricMonitor(t, "avg(last_1h):anomalies(avg:g{*}, 'basic', 2, interval=60"+c.options+") >= 1", "", "")
		}
		minutes := len(strings.Fields(c.values))
		if got := measure(t, src, m, 60*minutes+30); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if !strings.Contains(strings.Join(m.Notes, ""), "exact rule is not public") {
			t.Errorf("%s: notes %q", c.name, m.Notes)
		}
	}
	// A percentile of a gauge has no values, so there is nothing to compare.
	none := metricMonitor(t, "avg(last_1h):anomalies(p95:g{*}.as_count(), 'basic', 2, interval=60) >= 1", "", "")
	if got := measure(t, record(t, "gauge g{a:b} 60"+calm), none, 7200); got != "" {
		t.Errorf("a percentile of a gauge: %s", got)
	}
	// Recovery at 0 means no value outside, although the comparison is >=.
	src := record(t, "gauge g{a:b} 60"+calm+strings.Repeat(" 200", 16)+strings.Repeat(" 101", 20))
	m := metricMonitor(t, "avg(last_1h):anomalies(avg:g{*}, 'basic', 2, interval=60, alert_window='last_15m') >= 1", `"critical": 1, "critical_recovery": 0`, `, "threshold_windows": {"trigger_window": "last_15m", "recovery_window": "last_5m"}`)
	if got := history(t, src, &Catalog{Monitors: []*Monitor{m}}, 156); got != "21 OK, 135 Alert!, 141 OK!" {
		t.Errorf("got %s", got)
	}
	// A count that is missing is 0, unless the query says otherwise.
	for option, want := range map[string]string{"": "1", ", count_default_zero='true'": "1", ", count_default_zero='false'": "_ (no value in the window)"} {
		src := record(t, "count g{a:b} 60"+calm, "count h{a:b} 60"+calm)
		m := metricMonitor(t, "avg(last_1h):anomalies(sum:g{*}.as_count(), 'basic', 2, interval=60, alert_window='last_15m'"+option+") >= 1", "", "")
		if got := measure(t, src, m, 60*135); got != want {
			t.Errorf("count without values%s: %s, want %s", option, got, want)
		}
	}
}

// 'agile' compares with the same time of earlier seasons, and needs three of them.
func TestSeasonalAnomalies(t *testing.T) {
	// Each hour has 30 minutes of 100 and 30 of 10.
	hour := strings.Repeat(" 100", 30) + strings.Repeat(" 10", 30)
	query := func(seasonality string) *Monitor {
		return metricMonitor(t, "avg(last_4h):anomalies(avg:g{*}, 'agile', 2, interval=60, alert_window='last_15m', seasonality='"+seasonality+"') >= 1", "", "")
	}
	for _, c := range []struct {
		name, values, seasonality string
		want                      string
	}{
		{"as in the hours before", strings.Repeat(hour, 4), "hourly", "0"},
		{"100 at a time of 10", strings.Repeat(hour, 3) + strings.Repeat(" 100", 50), "hourly", "1"},
		{"10 at a time of 100", strings.Repeat(hour, 3) + strings.Repeat(" 10", 25), "hourly", "1"},
		{"two hours are too few", strings.Repeat(hour, 2), "hourly", "_ ('agile' needs 3h of history, the recording has 2h)"},
		{"a day needs three days", strings.Repeat(hour, 4), "daily", "_ ('agile' needs 3d of history, the recording has 4h)"},
		{"a week needs three weeks", strings.Repeat(hour, 4), "weekly", "_ ('agile' needs 21d of history, the recording has 4h)"},
	} {
		src := record(t, "gauge g{a:b} 60"+c.values)
		if got := measure(t, src, query(c.seasonality), 60*len(strings.Fields(c.values))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	src := record(t, "gauge g{a:b} 60"+strings.Repeat(hour, 4))
	src.since = at(2 * 3600) // what is older is not known
	if got := measure(t, src, query("hourly"), 4*3600); !strings.Contains(got, "the recording has 2h") {
		t.Errorf("got %s", got)
	}
	if got := measure(t, src, query("hourly"), 3600); got != "" {
		t.Errorf("before the recording began: %s", got)
	}
}

func TestMonitorHistory(t *testing.T) {
	src := record(t, "gauge g{host:a} 60 1 2 3 4 5 6", "gauge g{host:b} 60 10 20 30 40 50 60")
	m := metricMonitor(t, "max(last_2m):avg:g{*} by {host} > 5", "", "")
	r := m.History(src, &Catalog{}, at(60), at(360), 2*time.Minute)
	if got, want := r.written(), "value host:a 2 4 6 | value host:b 20 40 60"; got != want || r.Step != 120 || r.Start != zero {
		t.Errorf("%s from %d by %d, want %s", got, r.Start-zero, r.Step, want)
	}
	m.rule, m.Unevaluated = nil, "because"
	if r := m.History(src, &Catalog{}, at(60), at(360), time.Minute); len(r.Lines) != 0 || r.Notes[0] != "because" {
		t.Errorf("a monitor that is not evaluated has %v, notes %q", r.Lines, r.Notes)
	}
	slo, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "slo alert", "query": "burn_rate(\"s\").over(\"30d\").long_window(\"4m\").short_window(\"1m\") > 5"}`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSLO("s", "s", parsed(t, countSLO))
	if err != nil {
		t.Fatal(err)
	}
	hits := record(t, "count hits{a:b} 60 100 100 100 100", "count errors{a:b} 60 _ _ 1 2")
	r = slo.History(hits, &Catalog{SLOs: []*SLO{s}}, at(0), at(240), time.Minute)
	if got, want := r.written(), "long_window_burn_rate 0 0 0.3333 0.75 | short_window_burn_rate 0 0 1 2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSaveAndRestore(t *testing.T) {
	src := record(t, "gauge g{host:a} 60 6 6 6 1", "gauge g{host:b} 60 1 1 1")
	build := func(query string) *Catalog {
		return &Catalog{Monitors: []*Monitor{metricMonitor(t, query, `"critical": 5`, `, "notify_no_data": true, "no_data_timeframe": 2`)}}
	}
	const query = "avg(last_1m):avg:g{*} by {host} > 5"
	whole, first := build(query), build(query)
	for i := 1; i <= 3; i++ {
		whole.Evaluate(src, at(60*i))
		first.Evaluate(src, at(60*i))
	}
	saved := first.SaveState()
	second := build(query)
	if err := second.RestoreState(saved); err != nil {
		t.Fatal(err)
	}
	for i := 4; i <= 8; i++ {
		a, b := whole.Evaluate(src, at(60*i)), second.Evaluate(src, at(60*i))
		if len(a) != len(b) {
			t.Fatalf("minute %d: %d transitions, %d after a restart", i, len(a), len(b))
		}
		for k := range a {
			if a[k].Title != b[k].Title || a[k].Message != b[k].Message || a[k].From != b[k].From || a[k].Notify != b[k].Notify {
				t.Errorf("minute %d: %+v, after a restart %+v", i, a[k], b[k])
			}
		}
	}
	if got, want := string(second.SaveState()), string(whole.SaveState()); got != want {
		t.Errorf("saved again:\n%s\nwant\n%s", got, want)
	}
	for _, state := range []State{Waiting, Alert} {
		c := build(query)
		if err := c.RestoreState([]byte(fmt.Sprintf(`[{"Monitor": "m", "Query": %q, "State": %d}]`, query, state))); err != nil || c.Monitors[0].Groups()[0].State != state {
			t.Errorf("the state %s is not restored: %v", state, err)
		}
	}
	other := build("avg(last_1m):avg:g{*} by {host} > 5.0") // another query: nothing to restore
	if err := other.RestoreState(saved); err != nil || len(other.Monitors[0].Groups()) > 0 {
		t.Errorf("states of another query are restored: %v", err)
	}
	for text, want := range map[string]string{"x": "states of monitors: ", `[{"Monitor": "m", "State": 9}]`: "m has the unknown state 9", `[{"Monitor": "m", "State": -1}]`: "unknown state -1", `[{"Monitor": "m", "State": 6}]`: "unknown state 6"} {
		if err := other.RestoreState([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzMonitorQuery(f *testing.F) {
	f.Add("query alert", "sum(last_5m):100 * sum:errors{*}.as_count() / sum:hits{*}.as_count() > 5")
	f.Add("query alert", "avg(last_4h):anomalies(sum:hits{*}.as_rate(), 'agile', 3, interval=60, alert_window='last_15m') >= 1")
	f.Add("service check", `"c".over("env:dev").by("host").last(4).count_by_status()`)
	f.Add("slo alert", `burn_rate("s").over("30d").long_window("1h").short_window("5m") > 14.4`)
	f.Add("query alert", "pct_change(sum(last_5m),5m_ago):sum:errors{*} by {host}.as_count() / sum:hits{*}.as_count() > 5")
	f.Add("composite", "!(7 && a-b) || monitor:c")
	src := record(f, "gauge g{host:a} 10 1 _ 3 4", "count hits{env:dev} 10 1 2", "count errors{env:dev,host:b} 10 1 _ _ 2")
	src.checks = []CheckResult{{Time: zero, Tags: Tags{"env:dev", "host:a"}}}
	f.Fuzz(func(t *testing.T, kind, query string) {
		m, err := NewMonitor("m", "7", map[string]any{"name": "n", "type": kind, "query": query})
		if err != nil || m.Unevaluated != "" {
			return
		}
		if r, ok := m.rule.(*metricRule); ok && (r.window > time.Hour || r.anomalies != nil) {
			return // correct, but long
		}
		c := &Catalog{Monitors: []*Monitor{m}}
		for _, transition := range append(c.Evaluate(src, at(60)), c.Evaluate(src, at(120))...) {
			if transition.From == transition.To || math.IsInf(transition.Value, 0) {
				t.Errorf("%s: %+v", query, transition)
			}
		}
	})
}
