package query

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"*", "", true}, {"*", "x", true}, {"a*", "a", true}, {"a*", "ab", true}, {"a*", "ba", false},
		{"*a", "ba", true}, {"*a", "ab", false}, {"*a*", "bab", true}, {"*a*", "bb", false}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "ab", false},
		{"a*a", "a", false}, {"a*b*c", "axbxc", true}, {"a*b*c", "axc", false}, {"a*b*b", "ab", false}, {"a*b*b", "abb", true}, {"**", "x", true},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("%s matches %s: %t, want %t", c.pattern, c.text, got, c.want)
		}
	}
}

func TestFloor(t *testing.T) {
	for _, c := range [][3]int64{{0, 60, 0}, {59, 60, 0}, {60, 60, 60}, {61, 60, 60}, {-1, 60, -60}, {-60, 60, -60}} {
		if got := floor(c[0], c[1]); got != c[2] {
			t.Errorf("floor(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

// A monitor with default_zero that has just been started looks for data of the day before: then
// traffic has ended, else it has never begun.
func TestDefaultZeroLooksBack(t *testing.T) {
	const query = "sum(last_10m):default_zero(sum:hits{env:dev}.as_count()) < 1"
	for _, c := range []struct {
		series string
		at     int
		want   string
	}{
		{"count hits{env:dev} 60 5", 3600, "Alert"},
		{"count hits{env:dev} 60 5", 24 * 3600, "Alert"},
		{"count hits{env:dev} 60 5", 24*3600 + 1, ""},
		{"count hits{env:other} 60 5", 3600, ""},
	} {
		m := metricMonitor(t, query, `"critical": 1`, "")
		all := (&Catalog{Monitors: []*Monitor{m}}).Evaluate(record(t, c.series), at(c.at))
		got := ""
		if len(all) > 0 {
			got = all[0].To.String()
		}
		if got != c.want {
			t.Errorf("%s, %d s later: %q, want %q", c.series, c.at, got, c.want)
		}
		if skipped := m.Groups()[0].Skipped; (skipped == "waiting for first data") != (c.want == "") {
			t.Errorf("%s, %d s later: skipped for %q", c.series, c.at, skipped)
		}
	}
}

// Rows without a number are last, in both directions.
func TestRowsWithoutNumbers(t *testing.T) {
	row := func(name string, v float64) Row { return Row{Tags{name}, []float64{v}} }
	for _, desc := range []bool{true, false} {
		r := &Request{Formulas: make([]Formula, 1), sort: []ordering{{desc: desc}}}
		if r.compare(row("a", math.NaN()), row("b", 1)) <= 0 || r.compare(row("b", 1), row("a", math.NaN())) >= 0 {
			t.Errorf("descending %t: a missing number is before 1", desc)
		}
		if r.compare(row("a", math.NaN()), row("b", math.NaN())) >= 0 || r.compare(row("b", 1), row("a", 1)) <= 0 {
			t.Errorf("descending %t: equal rows are not in the order of their groups", desc)
		}
		if got := r.compare(row("a", 1), row("b", 2)) < 0; got == desc {
			t.Errorf("descending %t: 1 before 2 is %t", desc, got)
		}
	}
}

// The anomalies' season is a week unless the query names another one.
func TestSeasons(t *testing.T) {
	for option, want := range map[string]time.Duration{"": 21 * 24 * time.Hour, ", seasonality='weekly'": 21 * 24 * time.Hour, ", seasonality='daily'": 72 * time.Hour, ", seasonality='hourly'": 3 * time.Hour} {
		q, err := ParseMetric("anomalies(avg:m{*}, 'robust', 2"+option+")", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := callOf(q.root, "anomalies").history(); got != want {
			t.Errorf("%s needs %s, want %s", option, got, want)
		}
	}
	q, err := ParseMetric("anomalies(avg:m{*}, 'basic', 2, seasonality='hourly')", nil)
	if err != nil || callOf(q.root, "anomalies").history() != 0 {
		t.Errorf("'basic' needs history: %v", err)
	}
}

// Arguments of functions and options have several forms.
func TestForms(t *testing.T) {
	src := record(t, "gauge g{host:a} 10 1 2 3")
	for _, query := range []string{
		"avg:g{*}.rollup(avg,10)", "avg:g{*} .rollup( avg , 10 )", "avg:g{ * }", `avg:g{*}.rollup("avg", 10)`, "avg:g{*}.rollup('avg', 10)",
		"top(avg:g{*}, 5, mean, desc)", `top(avg:g{*}, 5, "mean", "desc")`, "\n avg:g{host:a}\t", "clamp_min(avg:g{*}, -1)",
	} {
		if got, _ := evaluate(t, src, query, 0, 30, 10); got != "1 2 3" {
			t.Errorf("%s: %s", query, got)
		}
	}
	for query, want := range map[string]string{
		"abs(avg:g{*}, )":                               "unexpected",
		"abs(avg:g{*}, 'x)":                             "unexpected",
		"anomalies(avg:g{*}, 'basic', 2, interval=)":    "the value of interval is missing",
		"avg:g{*}.rollup(avg 10)":                       `"," is missing`,
		"avg:g{*}.rollup(;)":                            ".rollup: unexpected",
		"anomalies(avg:g{*}, 'basic', 2, direction=up)": `direction="up" is not evaluated here`,
	} {
		if _, err := ParseMetric(query, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
	for _, query := range []string{"anomalies(avg:g{*}, 'basic', 2, interval=60)", "anomalies(avg:g{*}, 'basic', 2, interval='60')", "anomalies(avg:g{*}, 'basic', 2, direction=both)"} {
		if _, err := ParseMetric(query, nil); err != nil {
			t.Error(err)
		}
	}
}

// Points outside of the range that was asked for are ignored: a source may return more.
type generous struct{ *recorded }

func (g generous) Series(metric string, _, _ time.Time) []Series {
	return g.recorded.Series(metric, at(-1e6), at(1e6))
}

func TestPointsOutsideOfTheRange(t *testing.T) {
	src := generous{record(t, "gauge g{host:a} 10 1 2 3 4 5 6")}
	if got, _ := evaluate(t, src, "avg:g{*}", 20, 40, 10); got != "3 4" {
		t.Errorf("got %s", got)
	}
	m := metricMonitor(t, "sum(last_1m):avg:g{*} > 5", "", "")
	if got := measure(t, src, m, 90); got != "15" { // 30 ≤ t < 90: 4, 5 and 6
		t.Errorf("got %s", got)
	}
}

// An SLO alert on a budget waits for data.
func TestBudgetWithoutData(t *testing.T) {
	m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "slo alert", "query": "error_budget(\"s\").over(\"7d\") > -5"}`))
	if err != nil || m.Unevaluated != "" {
		t.Fatalf("%v %s", err, m.Unevaluated)
	}
	c := &Catalog{Monitors: []*Monitor{m}, SLOs: []*SLO{slo(t, countSLO)}}
	if all := c.Evaluate(record(t), at(60)); len(all) > 0 || m.Groups()[0].Skipped != "the SLO has no data" {
		t.Errorf("%v, %+v", all, m.Groups())
	}
}

// A downtime of another monitor is not a part of the time in which this one is muted.
func TestOtherDowntimesAreIgnored(t *testing.T) {
	other, err := NewDowntime("other", "9", body(t, `{"monitor_identifier": {"monitor_id": 9}, "scope": "*"}`))
	if err != nil {
		t.Fatal(err)
	}
	m := metricMonitor(t, "avg(last_1m):avg:g{*} > 5", `"critical": 5`, "")
	c := &Catalog{Monitors: []*Monitor{m}, Downtimes: []*Downtime{other, night(t, "night", 2, 6, "")}}
	if got := history(t, record(t, "gauge g{host:a} 60 6 6 1 6"), c, 4); got != "1 Alert!, 3 OK!, 4 Alert! muted by night" {
		t.Errorf("got %s", got)
	}
}

// A group with several values of a key has them all in its messages.
func TestSeveralValuesOfAKey(t *testing.T) {
	m := metricMonitor(t, "avg(last_1m):avg:g{*} > 5", `"critical": 5`, "")
	g := &group{Group: Group{Tags: Tags{"team:x", "team:y"}, Value: 1}}
	if got := m.variables(&Catalog{}, g, &Transition{To: OK}, at(0))["team.name"]; got != "x,y" {
		t.Errorf("team.name is %q", got)
	}
}
