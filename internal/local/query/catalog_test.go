package query

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// night returns a downtime of monitor 7 that recurs daily from minute begin to end of the data.
func night(t testing.TB, key string, begin, minutes int, more string) *Downtime {
	t.Helper()
	start := at(60 * begin).UTC().Add(-24 * time.Hour).Format(localTime) // it began a day earlier
	d, err := NewDowntime(key, key, body(t, `{"monitor_identifier": {"monitor_id": 7}, "scope": "*", "schedule": {"timezone": "UTC", "recurrences": [{"start": %q, "duration": "%dm", "rrule": "FREQ=DAILY"}]}%s}`, start, minutes, more))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Source: monitors/downtimes.
func TestDowntimesMute(t *testing.T) {
	for _, c := range []struct {
		name      string
		downtimes []*Downtime
		values    string
		want      string
	}{
		{"an alert within", []*Downtime{night(t, "night", 2, 4, "")}, "1 6 6 1 1 1 6", "1 OK, 2 Alert! muted by night, 4 OK! muted by night, 7 Alert!"},
		{"the start is included, the end is not", []*Downtime{night(t, "night", 2, 2, "")}, "1 6 1 6 1", "1 OK, 2 Alert! muted by night, 3 OK! muted by night, 4 Alert!, 5 OK!"},
		{"the first recovery of an earlier alert is sent", []*Downtime{night(t, "night", 2, 6, "")}, "6 6 1 6 1", "1 Alert!, 3 OK!, 4 Alert! muted by night, 5 OK! muted by night"},
		{"unless it is muted", []*Downtime{night(t, "night", 2, 6, `, "mute_first_recovery_notification": true`)}, "6 6 1 6 1", "1 Alert!, 3 OK! muted by night, 4 Alert! muted by night, 5 OK! muted by night"},
		{"the state at the end is sent", []*Downtime{night(t, "night", 2, 2, "")}, "1 6 6 6 1", "1 OK, 2 Alert! muted by night, 4 Alert! (downtime night ended), 5 OK!"},
		{"no alert at the end", []*Downtime{night(t, "night", 2, 2, "")}, "1 1 1 1 1", "1 OK"},
		{"a change at the end is sent once", []*Downtime{night(t, "night", 2, 2, "")}, "1 6 6 4 1", "1 OK, 2 Alert! muted by night, 4 Warn!, 5 OK!"},
		{"another downtime goes on", []*Downtime{night(t, "one", 2, 2, ""), night(t, "two", 3, 3, "")}, "1 6 6 6 6 6", "1 OK, 2 Alert! muted by one, 6 Alert! (downtime two ended)"},
		{"downtimes that adjoin", []*Downtime{night(t, "one", 2, 2, ""), night(t, "two", 4, 2, "")}, "1 6 6 6 1 1", "1 OK, 2 Alert! muted by one, 5 OK! muted by two"},
		{"an alert from before both", []*Downtime{night(t, "one", 2, 2, ""), night(t, "two", 4, 2, "")}, "6 6 6 6 1 1", "1 Alert!, 5 OK!"},
		{"both mute", []*Downtime{night(t, "one", 2, 3, ""), night(t, "two", 2, 3, "")}, "1 6 1", "1 OK, 2 Alert! muted by one+two, 3 OK! muted by one+two"},
		{"other states are sent at the end only if asked for", []*Downtime{night(t, "night", 2, 2, `, "notify_end_states": ["no data"]`)}, "1 6 6 6", "1 OK, 2 Alert! muted by night"},
		{"nothing is sent when it expires", []*Downtime{night(t, "night", 2, 2, `, "notify_end_types": ["canceled"]`)}, "1 6 6 6", "1 OK, 2 Alert! muted by night"},
	} {
		m := metricMonitor(t, "avg(last_1m):avg:g{*} > 5", `"critical": 5, "warning": 3`, "")
		src := record(t, "gauge g{host:a} 60 "+c.values)
		catalog := &Catalog{Monitors: []*Monitor{m}, Downtimes: c.downtimes}
		if got := history(t, src, catalog, len(strings.Fields(c.values))); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// The notification at the end of a downtime has the message of the state.
func TestMessageAtTheEndOfADowntime(t *testing.T) {
	m := metricMonitor(t, "avg(last_1m):avg:g{*} > 5", `"critical": 5`, "")
	c := &Catalog{Monitors: []*Monitor{m}, Downtimes: []*Downtime{night(t, "night", 2, 2, "")}}
	src := record(t, "gauge g{host:a} 60 1 6 7 8 9")
	for i := 1; i <= 4; i++ {
		all := c.Evaluate(src, at(60*i))
		if i == 4 && (len(all) != 1 || all[0].Message != "v=8" || all[0].Title != "[Triggered] n" || all[0].From != Alert || all[0].To != Alert || all[0].Value != 8 || !all[0].At.Equal(at(240))) {
			t.Errorf("got %+v", all)
		}
	}
}

func TestCatalog(t *testing.T) {
	monitor := func(name, query string) map[string]any {
		return body(t, `{"name": %q, "type": "query alert", "query": %q}`, name, query)
	}
	c := NewCatalog([]Document{
		{"monitor", "a", "1", monitor("a", "avg(last_1m):avg:g{*} > 5")},
		{"monitor", "b", "2", monitor("", "q")},
		{"monitor", "c", "3", monitor("c", "nonsense")},
		{"slo", "d", "4", parsed(t, countSLO)},
		{"slo", "e", "5", parsed(t, `{}`)},
		{"downtime", "f", "6", parsed(t, `{"monitor_identifier": {"monitor_id": 1}}`)},
		{"downtime", "g", "7", parsed(t, `{}`)},
		{"dashboard", "h", "8", nil},
	})
	if len(c.Monitors) != 2 || len(c.SLOs) != 1 || len(c.Downtimes) != 1 {
		t.Fatalf("%d monitors, %d SLOs, %d downtimes", len(c.Monitors), len(c.SLOs), len(c.Downtimes))
	}
	if m := c.Monitors[0]; m.Key != "a" || m.ID != "1" || m.Unevaluated != "" {
		t.Errorf("the first monitor is %+v", m)
	}
	if s, d := c.SLOs[0], c.Downtimes[0]; s.Key != "d" || s.ID != "4" || d.Key != "f" || d.ID != "6" {
		t.Errorf("%+v, %+v", s, d)
	}
	if c.Monitors[1].Unevaluated == "" {
		t.Error("nonsense is evaluated")
	}
	want := []string{"monitor b: name or query is empty", "slo e: thresholds is empty", "downtime g: monitor_identifier names no monitor: set monitor_id or monitor_tags"}
	if got := fmt.Sprint(c.Refused); got != fmt.Sprint(want) {
		t.Errorf("refused: %s, want %s", got, want)
	}
	// Numbers of Go's own decoder serve, too.
	m, err := NewMonitor("m", "7", map[string]any{"name": "n", "type": "query alert", "query": "avg(last_1m):avg:g{*} > 5", "priority": 3.0,
		"options": map[string]any{"thresholds": map[string]any{"critical": 5.0, "warning": 3}}})
	if err != nil || *m.Options.Critical != 5 || *m.Options.Warning != 3 || m.Priority != "P3" {
		t.Errorf("%+v, %v", m, err)
	}
	d, err := NewDowntime("d", "1", map[string]any{"monitor_identifier": map[string]any{"monitor_id": 123456789.0}})
	if err != nil || d.MonitorID != "123456789" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestStrings(t *testing.T) {
	if got := fmt.Sprint(Waiting, OK, Unknown, NoData, Warn, Alert); got != "waiting for first data OK Unknown No Data Warn Alert" {
		t.Error(got)
	}
	if got := fmt.Sprint(Gauge, Count, Rate, Distribution); got != "gauge count rate distribution" {
		t.Error(got)
	}
	tags := NewTags("b:2", "a:1", "b:2", "c")
	if tags.String() != "a:1,b:2,c" {
		t.Error(tags)
	}
	if v, ok := tags.Get("b"); v != "2" || !ok {
		t.Error(v, ok)
	}
	if v, ok := tags.Get("c"); v != "" || !ok {
		t.Error(v, ok)
	}
	if _, ok := tags.Get("d"); ok {
		t.Error("there is no d")
	}
}

// The worst state of the groups is the monitor's; Unknown counts as OK.
func TestOverallState(t *testing.T) {
	for want, states := range map[State][]State{
		Waiting: {}, OK: {OK, Unknown}, NoData: {OK, NoData}, Warn: {Warn, NoData}, Alert: {Warn, Alert, OK},
	} {
		m := &Monitor{}
		for _, s := range states {
			m.groups = append(m.groups, &group{Group: Group{State: s}})
		}
		if got := m.State(); got != want {
			t.Errorf("%v: %s, want %s", states, got, want)
		}
	}
}
