package query

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// countSLO and sliceSLO are SLOs of 99 %.
const countSLO = `{"name": "availability", "type": "metric", "tags": ["b:c", "a:b"], "timeframe": "30d", "target_threshold": 99,
	"thresholds": [{"timeframe": "7d", "target": 99, "warning": 99.5}, {"timeframe": "30d", "target": 99}],
	"sli_specification": {"count": {"good_events_formula": {"formula": "hits - errors"}, "bad_events_formula": {"formula": "errors"}, "queries": [
		{"data_source": "metrics", "name": "hits", "query": "sum:hits{*}.as_count()"}, {"data_source": "metrics", "name": "errors", "query": "sum:errors{*}.as_count()"}]}}}`

func sliceSLO(query, comparator string, threshold float64) string {
	return fmt.Sprintf(`{"name": "latency", "type": "time_slice", "thresholds": [{"timeframe": "7d", "target": 99}],
	"sli_specification": {"time_slice": {"comparator": %q, "threshold": %g, "query_interval_seconds": 300, "query": {"formulas": [{"formula": "q"}], "queries": [{"data_source": "metrics", "name": "q", "query": %q}]}}}}`, comparator, threshold, query)
}

func slo(t testing.TB, text string) *SLO {
	t.Helper()
	s, err := NewSLO("s", "s", parsed(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Sources: service_management/service_level_objectives/metric, the same section's index for
// the budget, dashboards/widgets/slo for colours and "-".
func TestCountSLO(t *testing.T) {
	s := slo(t, countSLO)
	if s.Timeframe != "30d" || s.Tags.String() != "a:b,b:c" || len(s.Targets) != 2 {
		t.Errorf("the SLO is %+v", s)
	}
	now := at(600)
	for _, c := range []struct {
		hits, errors   string
		sli, remaining float64
		state          State
	}{
		{"100 100", "", 100, 100, OK},
		{"500 500", "5 _", 99.5, 50, OK},   // at the warning
		{"500 500", "6 _", 99.4, 40, Warn}, // below it
		{"500 500", "5 5", 99, 0, Warn},    // at the target
		{"500 500", "5 6", 98.9, -10, Alert},
		{"10", "10", 0, -9900, Alert},
		{"", "", math.NaN(), math.NaN(), NoData},
		{"0 0", "", math.NaN(), math.NaN(), NoData},
	} {
		src := record(t, "count hits{a:b} 60 "+c.hits, "count errors{a:b} 60 "+c.errors)
		src.since = now.Add(-time.Hour)
		got := s.Status(src, "7d", now)
		if numbers([]float64{got.SLI, got.Remaining}) != numbers([]float64{c.sli, c.remaining}) || got.State != c.state {
			t.Errorf("hits %s, errors %s: SLI %g, remaining %g, %s; want %g, %g, %s", c.hits, c.errors, got.SLI, got.Remaining, got.State, c.sli, c.remaining, c.state)
		}
		if got.Recorded != time.Hour || strings.Join(got.Notes, "") != "of the 1h recorded; earlier data is unknown" {
			t.Errorf("recorded %s, notes %q", got.Recorded, got.Notes)
		}
	}
	src := record(t, "count hits{a:b} 60 100 300", "count errors{a:b} 60 1 2")
	src.since = now.Add(-60 * 24 * time.Hour)
	got := s.Status(src, "30d", now)
	if got.Good != 397 || got.Bad != 3 || got.Timeframe != "30d" || got.Target.Target != 99 || got.HasWarning || got.Recorded != 30*24*time.Hour || len(got.Notes) > 0 {
		t.Errorf("the status is %+v", got)
	}
	if got := s.Status(src, "90d", now); got.State != NoData || got.Timeframe != "90d" || got.Notes[0] != "the SLO has no target for 90d" {
		t.Errorf("a time frame without a target: %+v", got)
	}
	// The window rolls: what is older does not count.
	if got := s.Status(src, "7d", at(7*24*3600+60)); got.Good != 298 || got.Bad != 2 {
		t.Errorf("seven days later: %g good, %g bad; want those of the second minute", got.Good, got.Bad)
	}
	old := slo(t, `{"name": "a", "type": "metric", "thresholds": [{"timeframe": "7d", "target": 99}], "query": {"numerator": "sum:hits{*}.as_count() - sum:errors{*}.as_count()", "denominator": "sum:hits{*}.as_count()"}}`)
	if got := old.Status(src, "7d", now); got.Good != 397 || got.Bad != 3 {
		t.Errorf("the older form: %+v", got)
	}
	total := slo(t, strings.Replace(strings.Replace(countSLO, `"bad_events_formula"`, `"total_events_formula"`, 1), `{"formula": "errors"}`, `{"formula": "hits"}`, 1))
	if got := total.Status(src, "7d", now); got.Good != 397 || got.Bad != 3 {
		t.Errorf("with a total: %+v", got)
	}
	if old.Timeframe != "7d" {
		t.Errorf("the primary time frame is %s, want the first one", old.Timeframe)
	}
}

// Source: service_management/service_level_objectives/time_slice: missing is up, and any group
// that is down makes the slice down.
func TestTimeSliceSLO(t *testing.T) {
	now := at(7 * 24 * 3600)
	const all = 7 * 24 * 12
	for _, c := range []struct {
		name, query, comparator string
		lines                   []string
		up, down                int
	}{
		{"<", "avg:g{*}", "<", []string{"gauge g{a:b} 300 1 2 3 _ 1"}, 2, 2},
		{"<=", "avg:g{*}", "<=", []string{"gauge g{a:b} 300 1 2 3 _ 1"}, 3, 1},
		{">", "avg:g{*}", ">", []string{"gauge g{a:b} 300 1 2 3 _ 1"}, 1, 3},
		{">=", "avg:g{*}", ">=", []string{"gauge g{a:b} 300 1 2 3 _ 1"}, 2, 2},
		{"any group", "avg:g{*} by {h}", "<", []string{"gauge g{h:a} 300 1 1 3 _", "gauge g{h:b} 300 3 1 1 1"}, 2, 2},
		{"one quantile a slice", "max:d{*}", "<", []string{"distribution d{h:a} 60 1 1 1 1 9 1 1 1 1 1"}, 1, 1},
	} {
		s := slo(t, sliceSLO(c.query, c.comparator, 2))
		got := s.Status(record(t, c.lines...), "7d", now)
		if got.Up != c.up || got.Down != c.down || got.Missing != all-c.up-c.down {
			t.Errorf("%s: %d up, %d down, %d missing; want %d, %d of %d", c.name, got.Up, got.Down, got.Missing, c.up, c.down, all)
		}
		if want := 100 * float64(all-c.down) / all; numbers([]float64{got.SLI, got.Remaining}) != numbers([]float64{want, want*100 - 9900}) || got.State != OK {
			t.Errorf("%s: SLI %g, remaining %g, %s", c.name, got.SLI, got.Remaining, got.State)
		}
		if !strings.Contains(strings.Join(got.Notes, ""), fmt.Sprintf("%d of %d intervals have no data and count as up", all-c.up-c.down, all)) {
			t.Errorf("%s: notes %q", c.name, got.Notes)
		}
	}
	s := slo(t, sliceSLO("avg:g{*}", "<", 2))
	if got := s.Status(record(t, "gauge g{a:b} 300"+strings.Repeat(" 1", all)), "7d", now); got.Missing != 0 || got.Up != all || len(got.Notes) != 0 {
		t.Errorf("with all data: %+v", got)
	}
	if got := s.Status(record(t), "7d", now); got.State != NoData || !math.IsNaN(got.SLI) || !math.IsNaN(got.Remaining) {
		t.Errorf("without data: %+v", got)
	}
	// Only whole slices count: neither the running one nor one that began before the window.
	got := s.Status(record(t, "gauge g{a:b} 300 5 1 5"), "7d", at(7*24*3600+10))
	if got.Down != 1 || got.Up != 1 || got.Up+got.Down+got.Missing != all-1 {
		t.Errorf("%d up, %d down, %d missing", got.Up, got.Down, got.Missing)
	}
	if got := s.Status(record(t, "gauge g{a:b} 300 5 1 5"), "7d", at(899)); got.Down != 1 || got.Up != 1 {
		t.Errorf("the running slice counts: %d up, %d down", got.Up, got.Down)
	}
}

// Source: service_management/service_level_objectives/burn_rate.
func TestBurnRate(t *testing.T) {
	s := slo(t, countSLO)
	src := record(t, "count hits{a:b} 60 100 100 100 100 100 100", "count errors{a:b} 60 _ _ _ _ 3 1")
	for window, want := range map[time.Duration]float64{time.Minute: 1, 2 * time.Minute: 2, 4 * time.Minute: 1, 6 * time.Minute: 0.666666667} {
		if got, _ := s.BurnRate(src, "7d", window, at(360)); got != want {
			t.Errorf("%s: %g, want %g", window, got, want)
		}
	}
	if got, _ := s.BurnRate(src, "7d", time.Minute, at(3600)); !math.IsNaN(got) {
		t.Errorf("without data: %g", got)
	}
	if got, notes := s.BurnRate(src, "90d", time.Minute, at(360)); !math.IsNaN(got) || len(notes) != 1 {
		t.Errorf("without a target: %g, %q", got, notes)
	}
	slices := slo(t, sliceSLO("avg:g{*}", "<", 2))
	src = record(t, "gauge g{a:b} 300 1 5 1 _ 5 9")
	for _, c := range []struct {
		window time.Duration
		at     int
		want   float64
	}{
		{5 * time.Minute, 600, 100}, {5 * time.Minute, 899, 100}, {5 * time.Minute, 900, 0}, // the slice that ended last
		{10 * time.Minute, 600, 50}, {10 * time.Minute, 1200, 0}, {30 * time.Minute, 1500, 33.333333333},
		{5 * time.Minute, 1200, math.NaN()}, {5 * time.Minute, 1800, 100},
	} {
		if got, _ := slices.BurnRate(src, "7d", c.window, at(c.at)); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s at %d: %g, want %g", c.window, c.at, got, c.want)
		}
	}
}

// Both windows must be above the threshold.
func TestBurnRateMonitor(t *testing.T) {
	m, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "slo alert", "query": "burn_rate(\"s\").over(\"7d\").long_window(\"4m\").short_window(\"1m\") > 2",
		"message": "{{long_window_burn_rate}} {{short_window_burn_rate}} {{timeframe}} {{threshold}}", "options": {"thresholds": {"critical": 2, "warning": 1}}}`))
	if err != nil || m.Unevaluated != "" {
		t.Fatalf("%v %s", err, m.Unevaluated)
	}
	c := &Catalog{Monitors: []*Monitor{m}, SLOs: []*SLO{slo(t, countSLO)}}
	src := record(t, "count hits{a:b} 60 100 100 100 100 100 100 100 100 100 _ _", "count errors{a:b} 60 _ 7 _ _ 2 5 6 _ _ _ _")
	// Four minutes: 0, 3.5, 2.33, 1.75, 2.25, 1.75, 3.25, 3.25, 2.75
	if got, want := history(t, src, c, 11), "1 OK, 2 Alert!, 3 OK!, 5 Warn!, 7 Alert!, 8 OK!"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := m.Groups()[0].Skipped; got != "the SLO has no data in one of the windows" {
		t.Errorf("skipped for %q", got)
	}
	lonely := &Catalog{Monitors: []*Monitor{m}}
	if all := lonely.Evaluate(src, at(60)); len(all) > 0 || m.Groups()[0].Skipped != "the SLO s is not among the definitions" {
		t.Errorf("without the SLO: %v, %q", all, m.Groups()[0].Skipped)
	}
	budget, err := NewMonitor("m", "7", body(t, `{"name": "n", "type": "slo alert", "query": "error_budget(\"s\").over(\"7d\") > 75", "message": "{{value}}"}`))
	if err != nil || budget.Unevaluated != "" {
		t.Fatalf("%v %s", err, budget.Unevaluated)
	}
	c = &Catalog{Monitors: []*Monitor{budget}, SLOs: []*SLO{slo(t, countSLO)}}
	src = record(t, "count hits{a:b} 60 1000 1000", "count errors{a:b} 60 5 11")
	var got []string
	for _, seconds := range []int{60, 120} {
		for _, n := range c.Evaluate(src, at(seconds)) {
			got = append(got, fmt.Sprintf("%s %s", n.To, n.Message))
		}
	}
	if strings.Join(got, ", ") != "OK 50, Alert 80" {
		t.Errorf("budget: %q", got)
	}
}

func TestSLOHistory(t *testing.T) {
	src := record(t, "count hits{a:b} 60 100 100 _ 100", "count errors{a:b} 60 1 _ _ 2", "gauge g{a:b} 300 1 5 _ 1")
	r := slo(t, countSLO).History(src, at(0), at(240), time.Minute)
	if got := numbers(r.Lines[0].Values); got != "99 100 _ 98" || r.Step != 60 || r.Start != zero {
		t.Errorf("count: %s by %d", got, r.Step)
	}
	r = slo(t, sliceSLO("avg:g{*}", "<", 2)).History(src, at(0), at(1200), time.Minute)
	if got := numbers(r.Lines[0].Values); got != "100 0 _ 100" || r.Step != 300 {
		t.Errorf("slices: %s by %d", got, r.Step)
	}
	r = slo(t, sliceSLO("avg:g{*}", "<", 2)).History(src, at(0), at(1200), 10*time.Minute)
	if got := numbers(r.Lines[0].Values); got != "50 100" || r.Step != 600 {
		t.Errorf("slices of ten minutes: %s by %d", got, r.Step)
	}
}

func TestSLOsThatAreRefused(t *testing.T) {
	slice := sliceSLO("avg:g{*}", "<", 2)
	for text, want := range map[string]string{
		`{}`: "thresholds is empty",
		`{"thresholds": [{"timeframe": "7d", "target": 99}], "type": "monitor"}`:                                                        `an SLO of the type "monitor" is not evaluated here`,
		`{"thresholds": [{"timeframe": "7d"}], "type": "metric"}`:                                                                       "thresholds[0]: needs a timeframe such as 30d and a target",
		`{"thresholds": [{"timeframe": "7", "target": 99}], "type": "metric"}`:                                                          "needs a timeframe such as 30d",
		`{"thresholds": [{"timeframe": "0d", "target": 99}], "type": "metric"}`:                                                         "needs a timeframe such as 30d",
		`{"thresholds": [{"timeframe": "7d", "target": 100}], "type": "metric"}`:                                                        "the target 100 is not between 0 and 100",
		`{"thresholds": [{"timeframe": "7d", "target": 0}], "type": "metric"}`:                                                          "the target 0 is not between 0 and 100",
		`{"thresholds": [{"timeframe": "7d", "target": 99}], "type": "metric", "query": {"numerator": "x"}}`:                            "query.numerator",
		`{"thresholds": [{"timeframe": "7d", "target": 99}], "type": "metric", "query": {"numerator": "sum:a{*}", "denominator": "x"}}`: "query.denominator",
		strings.Replace(countSLO, `"formula": "hits - errors"`, `"formula": "hits - none"`, 1):                                          `good_events_formula: "hits - none": unknown query "none"`,
		strings.Replace(countSLO, "good_events_formula", "other", 1):                                                                    "needs good_events_formula",
		strings.Replace(countSLO, "bad_events_formula", "other", 1):                                                                     "needs good_events_formula",
		strings.Replace(countSLO, `"sum:errors{*}.as_count()"`, `"x"`, 1):                                                               "unexpected",
		strings.Replace(slice, `"comparator": "<"`, `"comparator": "=="`, 1):                                                            `the comparator "==" is not one of`,
		strings.Replace(slice, `"threshold": 2`, `"x": 2`, 1):                                                                           "lacks a threshold",
		strings.Replace(slice, `300`, `60000`, 1):                                                                                       "query_interval_seconds is 60 or 300, got 60000",
		strings.Replace(slice, `{"formula": "q"}`, ``, 1):                                                                               "needs one formula, got 0",
		strings.Replace(slice, `{"formula": "q"}`, `{"formula": "r"}`, 1):                                                               `unknown query "r"`,
		strings.Replace(slice, `"avg:g{*}"`, `"avg:g{"`, 1):                                                                             "{ lacks its }",
		strings.Replace(slice, `"name": "latency"`, `"name": 5`, 1):                                                                     "name is not a text: 5",
	} {
		if _, err := NewSLO("s", "s", parsed(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %q", text, err, want)
		}
	}
}
