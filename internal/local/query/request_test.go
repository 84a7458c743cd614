package query

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// table writes a table: group and values of each row.
func (t Table) written() string {
	var all []string
	for _, r := range t.Rows {
		all = append(all, strings.TrimSpace(r.Group.String()+" "+numbers(r.Values)))
	}
	return strings.Join(all, " | ")
}

func (r Result) written() string {
	var all []string
	for _, l := range r.Lines {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s", l.Name, l.Group))+" "+numbers(l.Values))
	}
	return strings.Join(all, " | ")
}

// metricQuery is the JSON of a query.
func metricQuery(name, query, aggregator string) string {
	return fmt.Sprintf(`{"data_source": "metrics", "name": %q, "query": %q, "aggregator": %q}`, name, query, aggregator)
}

func request(t testing.TB, text string) *Request {
	t.Helper()
	r, err := ParseRequest(parsed(t, text), nil)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

// Sources: metrics/faq/update-to-query-value-widget (first each query, then the formula), and
// the API's specification for sort, limit and count.
func TestScalars(t *testing.T) {
	src := record(t,
		"gauge g{host:a} 10 1 2 3 4 5 6",
		"gauge g{host:b} 10 10 20 30 40 50 60",
		"count hits{path:a} 10 10 20 _ 40 _ 60",
		"count hits{path:b} 10 1 2 _ 4 _ 6",
		"count errors{path:a} 10 1 _ _ 4 5 _",
		"distribution d{path:a} 10 1;1;1;1 9 _ _ 9;9;9;9;9",
		"gauge counter{host:a} 10 0 10 30 60 100 150",
	)
	hits, errors := metricQuery("hits", "sum:hits{*}.as_count()", "sum"), metricQuery("errors", "sum:errors{*}.as_count()", "sum")
	byPath := metricQuery("hits", "sum:hits{*} by {path}.as_count()", "sum") + "," + metricQuery("errors", "sum:errors{*} by {path}.as_count()", "sum")
	byHost := metricQuery("g", "avg:g{*} by {host}", "avg")
	for _, c := range []struct {
		name, queries, rest string
		from, to            int
		want                string
	}{
		{"totals, then the formula", hits + "," + errors, `"formulas": [{"formula": "100 * errors / hits"}]`, 0, 60, "6.993"}, // 100×10/143
		{"exactly the time frame", hits, `"formulas": [{"formula": "hits"}]`, 15, 55, "110"},
		{"missing counts are 0", hits + "," + metricQuery("none", "sum:none{*}.as_count()", "sum"), `"formulas": [{"formula": "none / hits"}]`, 0, 60, "0"},
		{"no data at all", metricQuery("none", "sum:none{*}.as_count()", "sum"), `"formulas": [{"formula": "none"}]`, 0, 60, ""},
		{"average", metricQuery("g", "avg:g{host:a}", "avg"), `"formulas": [{"formula": "g"}]`, 0, 60, "3.5"},
		{"average by default", metricQuery("g", "avg:g{host:a}", ""), `"formulas": [{"formula": "g"}]`, 0, 60, "3.5"},
		{"last", metricQuery("g", "avg:g{host:a}", "last"), `"formulas": [{"formula": "g"}]`, 0, 60, "6"},
		{"min", metricQuery("g", "avg:g{host:a}", "min"), `"formulas": [{"formula": "g"}]`, 0, 60, "1"},
		{"max", metricQuery("g", "avg:g{host:a}", "max"), `"formulas": [{"formula": "g"}]`, 0, 60, "6"},
		{"sum of a gauge's buckets", metricQuery("g", "avg:g{host:a}", "sum"), `"formulas": [{"formula": "g"}]`, 0, 60, "21"},
		{"area", metricQuery("g", "avg:g{host:a}", "area"), `"formulas": [{"formula": "g"}]`, 0, 60, "210"},
		{"l2norm", metricQuery("g", "avg:g{host:a}", "l2norm"), `"formulas": [{"formula": "g"}]`, 0, 20, "2.236"},
		{"rates are averaged over intervals with data", metricQuery("r", "sum:hits{path:a}.as_rate()", "avg"), `"formulas": [{"formula": "r"}]`, 0, 60, "3.25"},
		{"one median of all values", metricQuery("p", "p50:d{*}", "percentile"), `"formulas": [{"formula": "p"}]`, 0, 60, "9"},
		{"the average of medians, when asked for", metricQuery("p", "p50:d{*}", "avg"), `"formulas": [{"formula": "p"}]`, 0, 60, "6.333"},
		{"a function first, then the reduction", metricQuery("c", "avg:counter{*}", "max"), `"formulas": [{"formula": "per_second(c)"}]`, 0, 60, "5"},
		{"a function of a formula", hits, `"formulas": [{"formula": "abs(hits - 200)"}]`, 0, 60, "657"}, // each bucket: 189+178+156+134, without empty ones
		{"groups of two queries are joined", byPath, `"formulas": [{"formula": "hits"}, {"formula": "errors"}]`, 0, 60, "path:a 130 10 | path:b 13 _"},
		{"sorted by the second formula", byHost, `"formulas": [{"formula": "g"}, {"formula": "0 - g"}], "sort": {"order_by": [{"type": "formula", "index": 1, "order": "desc"}]}`, 0, 60, "host:a 3.5 -3.5 | host:b 35 -35"},
		{"sorted by the first formula without a sort", byHost, `"formulas": [{"formula": "g"}]`, 0, 60, "host:b 35 | host:a 3.5"},
		{"sorted by group", byHost, `"formulas": [{"formula": "g"}], "sort": {"order_by": [{"type": "group", "name": "host", "order": "asc"}]}`, 0, 60, "host:a 3.5 | host:b 35"},
		{"sorted by group, downwards", byHost, `"formulas": [{"formula": "g"}], "sort": {"order_by": [{"type": "group", "name": "host", "order": "desc"}]}`, 0, 60, "host:b 35 | host:a 3.5"},
		{"at most one row", byHost, `"formulas": [{"formula": "g"}], "sort": {"count": 1, "order_by": [{"type": "formula", "index": 0, "order": "asc"}]}`, 0, 60, "host:a 3.5"},
		{"the limit of a formula", byHost, `"formulas": [{"formula": "g", "limit": {"count": 1, "order": "desc"}}]`, 0, 60, "host:b 35"},
		{"the limit of a formula, upwards", byHost, `"formulas": [{"formula": "g", "limit": {"count": 1, "order": "asc"}}]`, 0, 60, "host:a 3.5"},
		{"a missing number is last", byPath, `"formulas": [{"formula": "errors"}, {"formula": "hits"}], "sort": {"order_by": [{"type": "formula", "index": 0, "order": "asc"}]}`, 0, 60, "path:a 10 130 | path:b _ 13"},
	} {
		r := request(t, fmt.Sprintf(`{"queries": [%s], %s}`, c.queries, c.rest))
		if got := r.Values(src, at(c.from), at(c.to)).written(); got != c.want && !close1(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// The older form has its aggregator, names and limit at the request. Source: the API's
// specification of widget requests, and metrics/faq/update-to-query-value-widget.
func TestOlderRequests(t *testing.T) {
	src := record(t,
		"gauge g{host:a} 10 1 2 3 4 5 6",
		"gauge g{host:b} 10 10 20 30 40 50 60",
		"count hits{path:a} 10 10 20 _ 40 _ 60",
		"count errors{path:a} 10 1 _ _ 4 5 _",
	)
	for _, c := range []struct{ body, columns, want string }{
		{`{"q": "avg:g{host:a}"}`, "avg:g{host:a}", "3.5"},
		{`{"q": "avg:g{host:a}", "aggregator": "last"}`, "avg:g{host:a}", "6"},
		{`{"q": "avg:g{host:a}", "aggregator": "max"}`, "avg:g{host:a}", "6"},
		{`{"q": "avg:g{host:a}", "aggregator": "min"}`, "avg:g{host:a}", "1"},
		{`{"q": "avg:g{host:a}", "aggregator": "sum", "alias": "load"}`, "load", "21"},
		{`{"q": "100 * sum:errors{*}.as_count() / sum:hits{*}.as_count()", "aggregator": "sum"}`, "100 * sum:errors{*}.as_count() / sum:hits{*}.as_count()", "7.692"}, // 100×10/130
		{`{"q": "avg:g{*} by {host}", "aggregator": "last", "order": "asc"}`, "avg:g{*} by {host}", "host:a 6 | host:b 60"},
		{`{"q": "avg:g{*} by {host}", "aggregator": "last", "order": "desc", "limit": 1}`, "avg:g{*} by {host}", "host:b 60"},
		{`{"q": "avg:g{host:a}, avg:g{host:b}", "metadata": [{"expression": "avg:g{host:b}", "alias_name": "b"}]}`, "avg:g{host:a},b", "3.5 35"},
	} {
		got := request(t, c.body).Values(src, at(0), at(60))
		if columns := strings.Join(got.Columns, ","); columns != c.columns || got.written() != c.want && !close1(got.written(), c.want) {
			t.Errorf("%s: %s of %s, want %s of %s", c.body, got.written(), columns, c.want, c.columns)
		}
	}
}

// The older forms of queries of logs and spans have a facet where the newer ones have a metric.
// Source: the API's specification (LogQueryDefinition).
func TestOlderQueriesOfEvents(t *testing.T) {
	line := func(status string, n float64) map[string]any {
		return map[string]any{"service": "web", "status": status, "@n": n}
	}
	src := spans(t, line("error", 5), line("error", 1), line("warn", 9), line("info", 2))
	for i := range src.events {
		e := src.events[i].(event)
		e.source = "logs"
		src.events[i] = e
	}
	newer := func(compute, sort string) string {
		return `{"queries": [{"data_source": "logs", "name": "q", "search": {"query": "service:web"}, "compute": ` + compute + `, "group_by": [{"facet": "status", "limit": 2, "sort": ` + sort + `}]}]}`
	}
	oldForm := func(compute, sort string) string {
		return `{"log_query": {"index": "*", "search": {"query": "service:web"}, ` + compute + `, "group_by": [{"facet": "status", "limit": 2, "sort": ` + sort + `}]}}`
	}
	for old, want := range map[string]string{
		oldForm(`"compute": {"aggregation": "count"}`, `{"aggregation": "count", "order": "desc"}`):                               newer(`{"aggregation": "count"}`, `{"aggregation": "count", "order": "desc"}`),
		oldForm(`"compute": {"aggregation": "max", "facet": "@n"}`, `{"aggregation": "avg", "facet": "@n", "order": "asc"}`):      newer(`{"aggregation": "max", "metric": "@n"}`, `{"aggregation": "avg", "metric": "@n", "order": "asc"}`),
		oldForm(`"multi_compute": [{"aggregation": "count"}, {"aggregation": "max", "facet": "@n"}]`, `{"aggregation": "count"}`): newer(`{"aggregation": "count"}`, `{"aggregation": "count"}`),
	} {
		got, want := request(t, old).Values(src, at(0), at(60)), request(t, want).Values(src, at(0), at(60))
		if len(got.Rows) != len(want.Rows) || len(got.Rows) == 0 {
			t.Fatalf("%s: %s, want %s", old, got.written(), want.written())
		}
		if strings.Contains(old, "multi_compute") && (len(got.Columns) != 2 || got.Rows[0].Values[1] != 5) {
			t.Errorf("%s: %v of %s, want 5 as the second number of errors", old, got.Columns, got.written())
		}
		for i, r := range want.Rows {
			if row := got.Rows[i]; row.Group.String() != r.Group.String() || row.Values[0] != r.Values[0] {
				t.Errorf("%s: %s, want %s", old, got.written(), want.written())
			}
		}
	}
}

// close1 reports whether two single numbers differ by 1 % at most.
func close1(got, want string) bool {
	var a, b float64
	if n, _ := fmt.Sscanf(got, "%g", &a); n != 1 {
		return false
	}
	if n, _ := fmt.Sscanf(want, "%g", &b); n != 1 {
		return false
	}
	return !strings.ContainsAny(got+want, " |") && a >= 0.99*b && a <= 1.01*b
}

func TestColumns(t *testing.T) {
	r := request(t, `{"queries": [`+metricQuery("g", "avg:g{*}", "avg")+`], "formulas": [{"formula": "g", "alias": "load"}, {"formula": "2 * g"}]}`)
	if got := strings.Join(r.Values(record(t, "gauge g{a:b} 10 1"), at(0), at(60)).Columns, ","); got != "load,2 * g" {
		t.Errorf("columns %s", got)
	}
	if r.Formulas[0].Body["alias"] != "load" {
		t.Errorf("the formula's JSON is %v", r.Formulas[0].Body)
	}
}

func TestTimeseries(t *testing.T) {
	src := record(t,
		"gauge g{host:a} 10 1 2 3 4 5 6",
		"gauge g{host:b} 10 10 20 30 40 50 60",
		"gauge day{host:a} 1800 1 2 3 4",
	)
	for _, c := range []struct {
		name, body     string
		from, to, step int
		want           string
		start, bucket  int
		notes          string
	}{
		{"aliases and groups", `{"queries": [` + metricQuery("g", "avg:g{*} by {host}", "") + `], "formulas": [{"formula": "g", "alias": "load"}]}`,
			0, 30, 10, "load host:a 1 2 3 | load host:b 10 20 30", 0, 10, ""},
		{"only formulas are shown", `{"queries": [` + metricQuery("g", "avg:g{host:a}", "") + `], "formulas": [{"formula": "g"}, {"formula": "2 * g"}]}`,
			0, 30, 10, "g 1 2 3 | 2 * g 2 4 6", 0, 10, ""},
		{"queries without formulas", `{"queries": [` + metricQuery("g", "avg:g{host:a}", "") + `]}`, 0, 30, 10, "g 1 2 3", 0, 10, ""},
		{"the older form", `{"q": "avg:g{host:a}, 2 * avg:g{host:b}"}`, 0, 30, 10, "avg:g{host:a} 1 2 3 | 2 * avg:g{host:b} 20 40 60", 0, 10, ""},
		{"a constant is no line", `{"q": "avg:g{host:a}, 5"}`, 0, 30, 10, "avg:g{host:a} 1 2 3", 0, 10, ""},
		{"a limit", `{"queries": [` + metricQuery("g", "avg:g{*} by {host}", "") + `], "formulas": [{"formula": "g", "limit": {"count": 1, "order": "desc"}}]}`,
			0, 30, 10, "g host:b 10 20 30", 0, 10, ""},
		{"an hour's bucket in a frame of five minutes", `{"q": "sum:day{*}.rollup(sum, 3600)"}`, 4000, 4300, 0, "sum:day{*}.rollup(sum, 3600) 3", 3600, 3600,
			"the interval of 1h from 09:00 UTC has not ended"},
		{"a bucket that has ended", `{"q": "sum:day{*}.rollup(sum, 3600)"}`, 0, 3600, 0, "sum:day{*}.rollup(sum, 3600) 3", 0, 3600, ""},
		{"two intervals", `{"q": "avg:g{host:a}.rollup(avg, 20), avg:g{host:a}.rollup(sum, 60)"}`, 0, 60, 0,
			"avg:g{host:a}.rollup(avg, 20) 1.5 3.5 5.5 | avg:g{host:a}.rollup(sum, 60) 21 _ _", 0, 20, ""},
		{"two intervals that do not fit", `{"q": "avg:g{host:a}.rollup(avg, 20), avg:g{host:a}.rollup(sum, 30)"}`, 0, 60, 0,
			"avg:g{host:a}.rollup(avg, 20) 1.5 3.5 5.5 | avg:g{host:a}.rollup(sum, 30) 6 15 _", 0, 20, "intervals of 30 s begin within those of 20 s here"},
		{"the default interval of five minutes", `{"q": "avg:g{host:a}"}`, 0, 30, 0, "avg:g{host:a} 1 2 3", 0, 10, ""},
	} {
		r := request(t, c.body)
		got := r.Series(src, at(c.from), at(c.to), time.Duration(c.step)*time.Second)
		if got.written() != c.want || got.Start != zero+int64(c.start) || got.Step != int64(c.bucket) || strings.Join(got.Notes, "; ") != c.notes {
			t.Errorf("%s:\n got %s from %d by %d, notes %q\nwant %s from %d by %d, notes %q", c.name, got.written(), got.Start-zero, got.Step, got.Notes, c.want, c.start, c.bucket, c.notes)
		}
		if !got.Time(1).Equal(at(c.start + c.bucket)) {
			t.Errorf("%s: bucket 1 begins at %s", c.name, got.Time(1))
		}
	}
	// A line has the length of its own buckets.
	got := request(t, `{"q": "avg:g{host:a}.rollup(avg, 20), avg:g{host:a}.rollup(sum, 60)"}`).Series(src, at(0), at(60), 0)
	if got.Lines[0].Step != 20 || got.Lines[1].Step != 60 || got.Lines[1].Formula != 1 {
		t.Errorf("steps %d and %d, formula %d", got.Lines[0].Step, got.Lines[1].Step, got.Lines[1].Formula)
	}
}

// Source: dashboards/functions/rollup.
func TestDefaultStep(t *testing.T) {
	for frame, want := range map[time.Duration][2]time.Duration{
		5 * time.Minute:     {10 * time.Second, 10 * time.Second},
		45 * time.Minute:    {10 * time.Second, 10 * time.Second},
		time.Hour:           {20 * time.Second, time.Minute},
		4 * time.Hour:       {time.Minute, 2 * time.Minute},
		4*time.Hour + 1:     {5 * time.Minute, 20 * time.Minute},
		24 * time.Hour:      {5 * time.Minute, 20 * time.Minute},
		48 * time.Hour:      {10 * time.Minute, 30 * time.Minute},
		7 * 24 * time.Hour:  {time.Hour, 2 * time.Hour},
		30 * 24 * time.Hour: {4 * time.Hour, 12 * time.Hour},
	} {
		if got := [2]time.Duration{DefaultStep(frame, false), DefaultStep(frame, true)}; got != want {
			t.Errorf("%s: %s, want %s", frame, got, want)
		}
	}
	// Bars are wider than lines.
	r := request(t, `{"q": "avg:g{*}", "display_type": "bars"}`)
	if got := r.Series(record(t), at(0), at(3600), 0); got.Step != 60 || got.Buckets != 60 {
		t.Errorf("%d bars of %d s, want 60 of a minute", got.Buckets, got.Step)
	}
}

func spans(t testing.TB, all ...map[string]any) *recorded {
	t.Helper()
	r := record(t)
	for i, attributes := range all {
		e := event{source: "spans", at: 10 * i, weight: 1, attributes: attributes}
		if w, ok := attributes["weight"]; ok {
			e.weight = w.(float64)
		}
		r.events = append(r.events, e)
	}
	return r
}

// Source: the API's specification of queries of spans and logs.
func TestEvents(t *testing.T) {
	a := func(route, kind string, duration float64) map[string]any {
		return map[string]any{"service": "web", "@http.route": route, "@error.type": kind, "@duration": duration}
	}
	src := spans(t, a("/a", "x", 10), a("/b", "x", 20), a("/a", "y", 30), a("/c", "y", 40), a("/a", "x", 50),
		map[string]any{"service": "web", "@duration": 60.0}, // without the facets
		map[string]any{"service": "other", "@http.route": "/a", "@duration": 1000.0})
	src.events = append(src.events, event{source: "logs", at: 0, weight: 1, attributes: map[string]any{"service": "web"}})
	query := func(compute, by string) string {
		return fmt.Sprintf(`{"queries": [{"data_source": "spans", "name": "s", "search": {"query": "service:web"}, "indexes": ["*"], "compute": %s, "group_by": [%s]}], "formulas": [{"formula": "s"}]}`, compute, by)
	}
	facet := func(name string, limit int, sort string) string {
		return fmt.Sprintf(`{"facet": %q, "limit": %d, "sort": %s}`, name, limit, sort)
	}
	count, down := `{"aggregation": "count"}`, `{"aggregation": "count", "order": "desc"}`
	for _, c := range []struct{ name, body, want string }{
		{"count", query(count, ""), "6"},
		{"count by facet", query(count, facet("@http.route", 10, down)), "@http.route:/a 3 | @http.route:/b 1 | @http.route:/c 1"},
		{"the largest two", query(count, facet("@http.route", 2, down)), "@http.route:/a 3 | @http.route:/b 1"},
		{"the smallest", query(count, facet("@http.route", 1, `{"aggregation": "count", "order": "asc"}`)), "@http.route:/b 1"},
		{"nested", query(count, facet("@error.type", 1, down)+","+facet("@http.route", 1, down)), "@error.type:x,@http.route:/a 2"},
		{"sum", query(`{"aggregation": "sum", "metric": "@duration"}`, facet("@http.route", 10, `{"aggregation": "sum", "metric": "@duration", "order": "desc"}`)),
			"@http.route:/a 90 | @http.route:/c 40 | @http.route:/b 20"},
		{"ranked by another number", query(count, facet("@http.route", 2, `{"aggregation": "max", "metric": "@duration", "order": "desc"}`)), "@http.route:/a 3 | @http.route:/c 1"},
		{"min", query(`{"aggregation": "min", "metric": "@duration"}`, ""), "10"},
		{"max", query(`{"aggregation": "max", "metric": "@duration"}`, ""), "60"},
		{"avg", query(`{"aggregation": "avg", "metric": "@duration"}`, ""), "35"},
		{"median", query(`{"aggregation": "median", "metric": "@duration"}`, ""), "30"},
		{"pc99", query(`{"aggregation": "pc99", "metric": "@duration"}`, ""), "50"},
		{"cardinality", query(`{"aggregation": "cardinality", "metric": "@http.route"}`, ""), "3"},
		{"of an attribute that no span has", query(`{"aggregation": "max", "metric": "@nothing"}`, ""), ""},
		{"of an attribute that is no number", query(`{"aggregation": "max", "metric": "@http.route"}`, ""), ""},
	} {
		got := request(t, c.body).Values(src, at(0), at(100)).written()
		if got == "_" {
			got = ""
		}
		if got != c.want && !close1(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	overTime := request(t, query(count, facet("@http.route", 10, down))).Series(src, at(0), at(60), 20*time.Second)
	if got, want := overTime.written(), "s @http.route:/a 1 1 1 | s @http.route:/b 1 _ _ | s @http.route:/c _ 1 _"; got != want {
		t.Errorf("over time: %s, want %s", got, want)
	}
	if got := request(t, query(count, "")).Values(src, at(10), at(30)).written(); got != "2" {
		t.Errorf("in another time frame: %s, want 2", got)
	}
	odd := request(t, `{"queries": [{"data_source": "spans", "name": "s", "search": {"query": "service:web"}, "indexes": ["main"], "compute": {"aggregation": "count", "interval": 60000}}]}`)
	if got := strings.Join(odd.Values(src, at(0), at(100)).Notes, "; "); got != "the interval of 60 s of a query of spans is not evaluated here; indexes do not exist here: a query of spans reads all" {
		t.Errorf("notes %q", got)
	}
	if got := request(t, query(count, "")).Values(src, at(0), at(100)).Notes; len(got) > 0 {
		t.Errorf("notes %q", got)
	}
	weighted := spans(t, map[string]any{"service": "web", "weight": 4.0, "@duration": 1.0}, map[string]any{"service": "web", "@duration": 11.0})
	for compute, want := range map[string]string{count: "5", `{"aggregation": "avg", "metric": "@duration"}`: "3", `{"aggregation": "sum", "metric": "@duration"}`: "15"} {
		if got := request(t, query(compute, "")).Values(weighted, at(0), at(100)).written(); got != want {
			t.Errorf("with weights, %s: %s, want %s", compute, got, want)
		}
	}
	// A formula of spans and of a metric.
	both := spans(t, map[string]any{"service": "web"}, map[string]any{"service": "web"})
	both.series = append(both.series, series(t, "count hits{a:b} 10 5 3"))
	r := request(t, `{"queries": [{"data_source": "spans", "name": "s", "search": {"query": "service:web"}, "compute": {"aggregation": "count"}}, `+metricQuery("h", "sum:hits{*}.as_count()", "sum")+`], "formulas": [{"formula": "s / h"}]}`)
	if got := r.Values(both, at(0), at(100)).written(); got != "0.25" {
		t.Errorf("spans / hits: %s, want 0.25", got)
	}
}

func TestSearch(t *testing.T) {
	span := event{attributes: map[string]any{"service": "web", "status": "error", "resource_name": "GET /api/trace", "@http.status_code": "503", "@duration": 1500.0, "@ok": true, "@empty": "", "@quote": `a "b"`}}
	line := event{attributes: map[string]any{"service": "web", "status": "warn", "message": "Connection refused (111)"}}
	v := Variables{"env": {Prefix: "service", Values: []string{"web"}}, "other": {Prefix: "service", Values: []string{"x", "y"}}, "all": {Prefix: "service", Values: []string{"*"}}, "tag": {Values: []string{"service:web"}}, "part": {Values: []string{"eb"}}}
	for _, c := range []struct {
		search string
		span   bool
		log    bool
	}{
		{"", true, true},
		{"*", true, true},
		{"service:web", true, true},
		{"service:we", false, false},
		{"service:w*", true, true},
		{"service:*e*", true, true},
		{"service:w?b", true, true},
		{"service:w?", false, false},
		{"service:web status:error", true, false},
		{"service:web AND status:error", true, false},
		{"service:x OR status:error", true, false},
		{"service:x OR status:warn service:web", false, true},
		{"(service:x OR service:web) status:warn", false, true},
		{"-status:error", false, true},
		{"NOT status:error", false, true},
		{"--status:error", true, false},
		{"-(status:error OR status:info)", false, true},
		{"status:(error OR warn)", true, true},
		{"status:(error)", true, false},
		{"status:(error AND err*)", true, false},
		{"status:(error AND warn)", false, false},
		{`resource_name:"GET /api/trace"`, true, false},
		{`resource_name:"GET /api/*"`, false, false}, // no wildcards in quotation marks
		{`resource_name:GET\ /api/trace`, true, false},
		{`@quote:"a \"b\""`, true, false},
		{"@http.status_code:503", true, false},
		{"@http.status_code:[500 TO 599]", true, false},
		{"@http.status_code:[504 TO 599]", false, false},
		{"@http.status_code:[503 TO 503]", true, false},
		{"@http.status_code:[* TO 503]", true, false},
		{"@http.status_code:[400 TO *]", true, false},
		{"@duration:>1500", false, false},
		{"@duration:>=1500", true, false},
		{"@duration:<1500", false, false},
		{"@duration:<=1500", true, false},
		{"@duration:<2e3", true, false},
		{"@resource:>1", false, false},
		{"resource_name:>1", false, false}, // no number
		{"@ok:true", true, false},
		{"@empty:*", true, false},
		{"@none:*", false, false},
		{"$env", true, true},
		{"$other", false, false},
		{"$all", true, true},
		{"$tag", true, true},
		{"$all status:error", true, false},
		{"service:$env", true, true},
		{"service:$env.value", true, true},
		{"service:w$part.value", true, true},
		{"service:x$part.value", false, false},
		{`service:"w$part.value"`, false, false},
		{"service:(x OR $env)", true, true},
		{"service:(x OR w$part.value)", true, true},
		{"@http.status_code:(>=500 AND <504)", true, false},
		{"@http.status_code:(>=500 AND <503)", false, false},
		{"@http.status_code:([200 TO 299] OR [500 TO 599])", true, false},
		{"@http.status_code:([200 TO 299] OR 404)", false, false},
	} {
		for source, e := range map[string]event{"spans": span, "logs": line} {
			s, err := ParseSearch(source, c.search, v)
			if err != nil {
				t.Errorf("%s: %v", c.search, err)
				continue
			}
			want := map[string]bool{"spans": c.span, "logs": c.log}[source]
			if got := s.Match(e); got != want {
				t.Errorf("%s of %s: %t, want %t", c.search, source, got, want)
			}
		}
	}
	for search, want := range map[string]bool{"refused": true, "REFUSED": true, `"connection refused"`: true, "refuse*": true, "timeout": false, "refused -status:warn": false} {
		s, err := ParseSearch("logs", search, nil)
		if err != nil || s.Match(line) != want {
			t.Errorf("words %s: %v, want %t", search, err, want)
		}
	}
	for search, want := range map[string]string{
		"(service:web":           "( lacks its )",
		"service:web)":           `unexpected ")"`,
		"service:":               "service: lacks a value",
		`service:"web`:           "lacks its end",
		"OR service:web":         "a term is missing",
		"service:web OR":         "a term is missing",
		"AND service:web":        "AND needs a term before it",
		"()":                     "a term is missing",
		"-":                      "a term is missing",
		"@duration:>x":           "needs a number",
		"@duration:>*":           "needs a number",
		"@duration:[1 TO b]":     "only ranges of numbers",
		"@duration:[1 2]":        "a range has the form [LOW TO HIGH]",
		"@duration:[1 TO 2":      "a range has the form [LOW TO HIGH]",
		"status:(a b)":           "AND or OR is missing between values",
		"status:(a OR b AND c)":  "AND and OR between values need parentheses",
		"status:(a":              "AND or OR is missing between values",
		"status:()":              "unexpected",
		"$nothing":               "unknown template variable $nothing",
		"service:$nothing":       "unknown template variable $nothing",
		"word":                   "has no key",
		strings.Repeat("(", 200): "nested too deeply",
	} {
		if _, err := ParseSearch("spans", search, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", search, err, want)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	g := metricQuery("g", "avg:g{*}", "avg")
	for body, want := range map[string]string{
		`{}`:                            "the request has no queries",
		`{"q": "nonsense"}`:             "unexpected",
		`{"q": "avg:g{*} avg:g{*}"}`:    "unexpected",
		`{"q": 5}`:                      "q is not a text: 5",
		`{"queries": 5}`:                "queries is not a list: 5",
		`{"rum_query": {"index": "*"}}`: "the older form rum_query is not evaluated here",
		`{"log_query": {"search": {"query": "("}, "compute": {"aggregation": "count"}}}`: `log_query: search "(": a term is missing`,
		`{"log_query": {"search": {"query": "a"}}}`:                                      `log_query: compute: the aggregation "" is not evaluated here`,
		`{"log_query": 5}`:                                                                                                    "log_query is not an object: 5",
		`{"q": "avg:g{*}", "aggregator": "median"}`:                                                                           `the aggregator "median" is not evaluated here`,
		`{"queries": [5]}`:                                                                                                    "queries is not a list of objects",
		`{"queries": [` + g + `], "formulas": [{"formula": "h"}]}`:                                                            `formulas[0]: "h": unknown query "h"; the queries are g`,
		`{"queries": [` + g + `,` + g + `]}`:                                                                                  `queries[1]: the name "g" is repeated`,
		`{"queries": [{"data_source": "process", "name": "p"}]}`:                                                              `queries[0]: the data source "process" is not evaluated here`,
		`{"queries": [` + metricQuery("g", "avg:g{*}", "median") + `]}`:                                                       `the aggregator "median" is not evaluated here`,
		`{"queries": [` + metricQuery("g", "avg:g{", "") + `]}`:                                                               "{ lacks its }",
		`{"queries": [` + g + `], "sort": {"order_by": [{"type": "formula", "index": 1}]}}`:                                   "there is no formula 1",
		`{"queries": [` + g + `], "sort": {"order_by": [{"type": "formula", "index": -1}]}}`:                                  "there is no formula -1",
		`{"queries": [` + g + `], "sort": {"order_by": [{"type": "nonsense"}]}}`:                                              `the type "nonsense" is not evaluated here`,
		`{"queries": [{"data_source": "spans", "name": "s", "search": {"query": "("}, "compute": {"aggregation": "count"}}]}`: "a term is missing",
		`{"queries": [{"data_source": "spans", "name": "s", "compute": {"aggregation": "mode"}}]}`:                            `the aggregation "mode" is not evaluated here`,
		`{"queries": [{"data_source": "spans", "name": "s", "compute": {"aggregation": "pc100", "metric": "@a"}}]}`:           `the aggregation "pc100"`,
		`{"queries": [{"data_source": "spans", "name": "s", "compute": {"aggregation": "pc0", "metric": "@a"}}]}`:             `the aggregation "pc0"`,
		`{"queries": [{"data_source": "spans", "name": "s", "compute": {"aggregation": "sum"}}]}`:                             "the aggregation sum needs a metric",
		`{"queries": [{"data_source": "spans", "name": "s", "compute": {"aggregation": "count"}, "group_by": [{"facet": "a", "sort": {"aggregation": "mode"}}]}]}`: `the aggregation "mode"`,
	} {
		if _, err := ParseRequest(parsed(t, body), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func FuzzParseSearch(f *testing.F) {
	for _, text := range []string{`$env service:web -(status:error OR @duration:>=1e6) "a \" b" w*rd`, "@a:[1 TO *] NOT b:(c OR d)", `a:\"`, "\xff:\xff"} {
		f.Add(text)
	}
	span := event{attributes: map[string]any{"service": "web", "message": "text", "@duration": 5.0}}
	f.Fuzz(func(t *testing.T, text string) {
		v := Variables{"env": {Prefix: "env", Values: []string{"dev"}}}
		if s, err := ParseSearch("logs", text, v); err == nil {
			got := s.Match(span)
			negated, err := ParseSearch("logs", "-("+text+")", v)
			if strings.TrimSpace(text) != "" && err == nil && negated.Match(span) == got {
				t.Errorf("%q and its negation are both %t", text, got)
			}
		}
	})
}
