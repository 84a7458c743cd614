package query

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// composite returns a composite monitor in a state, with the monitors that it joins: each a text
// such as "alert", or "host:a=OK host:b=Alert" with groups.
func composite(t *testing.T, query, options, before string, members ...string) (*Catalog, *Monitor) {
	t.Helper()
	stateOf := func(name string) State {
		for i, s := range stateNames {
			if s == name {
				return State(i)
			}
		}
		t.Fatalf("there is no state %q", name)
		return Waiting
	}
	c := &Catalog{}
	for i, text := range members {
		m := metricMonitor(t, "avg(last_5m):avg:g{*} > 5", "", "")
		m.ID, m.Key = fmt.Sprint(i+1), fmt.Sprintf("m%d", i+1)
		for _, one := range strings.Split(text, ";") {
			tags, state, grouped := strings.Cut(one, "=")
			g := &group{Group: Group{Value: float64(10 * (i + 1))}}
			if !grouped {
				state = tags
			} else {
				g.Tags = NewTags(strings.Split(tags, ",")...)
			}
			g.State = stateOf(state)
			if g.State == Waiting {
				g.Value = math.NaN()
			}
			m.groups = append(m.groups, g)
		}
		c.Monitors = append(c.Monitors, m)
	}
	m, err := NewMonitor("c", "100", body(t, `{"name": "both", "type": "composite", "query": %q, "message": "{{a.status}} {{a.value}} / {{b.status}} {{b.value}}", "options": {%s}}`, query, options))
	if err != nil {
		t.Fatal(err)
	}
	if before != "" {
		m.groups = []*group{{Group: Group{State: stateOf(before), Value: math.NaN()}}}
	}
	c.Monitors = append(c.Monitors, m)
	return c, m
}

// The table of the page monitors/types/composite, and its rules for !.
func TestComposite(t *testing.T) {
	const notify = `"notify_no_data": true`
	for _, c := range []struct{ a, b, query, options, before, want string }{
		{"Alert", "Warn", "1 && 2", "", "", "Warn"},
		{"Alert", "Warn", "1 || 2", "", "", "Alert"},
		{"Alert", "OK", "1 && 2", "", "", "OK"},
		{"Alert", "OK", "1 || 2", "", "", "Alert"},
		{"Warn", "OK", "1 && 2", "", "", "OK"},
		{"Warn", "OK", "1 || 2", "", "", "Warn"},
		{"No Data", "Warn", "1 && 2", notify, "", "No Data"},
		{"No Data", "Warn", "1 || 2", notify, "", "Warn"},
		{"No Data", "Warn", "1 && 2", "", "Alert", "Alert"}, // the last known one
		{"No Data", "Warn", "1 || 2", "", "", "Warn"},
		{"No Data", "OK", "1 && 2", "", "", "OK"},
		{"No Data", "OK", "1 || 2", "", "Warn", "Warn"}, // the last known one
		{"No Data", "OK", "1 || 2", "", "", "waiting for first data"},
		{"No Data", "OK", "1 && 2", notify, "", "OK"},
		{"No Data", "OK", "1 || 2", notify, "", "No Data"},
		{"No Data", "No Data", "1 && 2", notify, "", "No Data"},
		{"No Data", "No Data", "1 || 2", notify, "", "No Data"},

		{"No Data", "OK", "!1", notify, "", "No Data"},
		{"Alert", "OK", "!1", "", "", "OK"},
		{"Warn", "OK", "!1", "", "", "OK"},
		{"OK", "OK", "!1", "", "", "Alert"},
		{"OK", "OK", "!!1", "", "", "OK"},
		{"Warn", "OK", "1 && !2", "", "", "Warn"},
		{"Alert", "Alert", "!(1 && 2)", "", "", "OK"},
		{"Alert", "OK", "!(1 && 2)", "", "", "Alert"},
		{"OK", "Alert", "1 && 1 || 2", "", "", "Alert"}, // && binds first
		{"OK", "Alert", "1 && (1 || 2)", "", "", "OK"},
		{"Warn", "OK", "  ( 1||2 )&&1  ", "", "", "Warn"},

		// Without data there is no state, and never OK.
		{"waiting for first data", "OK", "1 && 2", "", "", "waiting for first data"},
		{"waiting for first data", "OK", "!1 && 2", "", "Alert", "Alert"},
		{"Unknown", "OK", "1 && 2", "", "", "waiting for first data"}, // the page has no rule for it
	} {
		catalog, m := composite(t, c.query, c.options, c.before, c.a, c.b)
		m.evaluate(record(t), catalog, at(0))
		if got := m.State().String(); got != c.want || m.Unevaluated != "" {
			t.Errorf("%s of %s and %s after %q: %s (%s), want %s", c.query, c.a, c.b, c.before, got, m.Unevaluated, c.want)
		}
	}
}

// Sources: "Common reporting sources" of monitors/types/composite.
func TestGroupsOfComposites(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []string
		want    string
	}{
		{"hosts of both", []string{"host:1=Alert;host:2=Alert", "host:2=Alert;host:3=Alert"}, "host:2 Alert"},
		{"values, not keys", []string{"host:web04=Alert;host:web05=Alert", "service:web04=Warn"}, "host:web04 Warn"},
		{"fewer tags", []string{"device:sda,host:1=Alert;device:sdb,host:1=OK;device:sda,host:2=Alert", "host:1=Alert"}, "device:sda,host:1 Alert | device:sdb,host:1 OK"},
		{"the same, in the other order", []string{"host:1=Alert", "device:sda,host:1=Warn"}, "device:sda,host:1 Warn"},
		{"too different", []string{"device:sda,host:1=Alert", "host:1,url:x=Alert"}, ""},
		{"a value of two keys", []string{"host:1,zone:2=Alert", "host:2=Alert;zone:2=Warn"}, "host:1,zone:2 Warn"},
		{"one without groups", []string{"host:1=Alert;host:2=OK", "Warn"}, "host:1 Warn | host:2 OK"},
		{"nothing in common", []string{"host:1=Alert", "host:2=Alert"}, ""},
	} {
		catalog, m := composite(t, "1 && 2", "", "", c.members...)
		m.evaluate(record(t), catalog, at(0))
		var got []string
		for _, g := range m.Groups() {
			got = append(got, g.Tags.String()+" "+g.State.String())
		}
		if strings.Join(got, " | ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if empty := len(m.LastNotes) == 1 && m.LastNotes[0] == "the monitors have no groups in common so far"; empty != (c.want == "") {
			t.Errorf("%s: notes %q", c.name, m.LastNotes)
		}
	}
}

func TestCompositesThatCannotBeComputed(t *testing.T) {
	catalog, m := composite(t, "1 && 9", "", "", "Alert")
	m.evaluate(record(t), catalog, at(0))
	if got := m.Groups(); len(got) != 1 || got[0].State != Waiting || got[0].Skipped != "the monitor 9 is not among the definitions" {
		t.Errorf("a monitor that is missing: %+v", got)
	}
	catalog, m = composite(t, "1 && 100", "", "", "Alert")
	m.evaluate(record(t), catalog, at(0))
	if got := m.Groups()[0].Skipped; got != "the monitor c is a composite: Datadog joins no composites" {
		t.Errorf("a composite of itself: %s", got)
	}
	catalog, m = composite(t, "1", "", "", "Alert")
	catalog.Monitors[0].rule, catalog.Monitors[0].Unevaluated = nil, "too new"
	m.evaluate(record(t), catalog, at(0))
	if got := m.Groups()[0].Skipped; got != "the monitor m1 is not evaluated here: too new" {
		t.Errorf("a monitor that is not evaluated: %s", got)
	}
	if h := m.History(record(t), catalog, at(0), at(60), 10*time.Second); len(h.Lines) != 0 || len(h.Notes) != 1 {
		t.Errorf("history: %+v", h)
	}
}

// A composite follows its monitors within one evaluation, wherever they are in the catalog, and
// its message has their states and values.
func TestCompositeFollowsItsMonitors(t *testing.T) {
	src := record(t, "gauge g{host:a} 60 1 1 1 9 9 9 9 1 1 1 1 1 1")
	high, low := metricMonitor(t, "min(last_1m):avg:g{*} > 5", "", ""), metricMonitor(t, "min(last_1m):avg:g{*} < 100", "", "")
	high.ID, high.Account, low.ID, low.Key = "monitor:high", "55", "monitor:low", "low"
	m, err := NewMonitor("c", "100", body(t, `{"name": "both", "type": "composite", "query": "55 && monitor:low", "message": "{{a.status}} {{a.value}} / {{b.status}} {{b.value}} @me"}`))
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{Monitors: []*Monitor{m, high, low}}
	var got []string
	for minute := 1; minute <= 10; minute++ {
		for _, tr := range c.Evaluate(src, at(60*minute)) {
			if tr.Monitor == m {
				got = append(got, fmt.Sprintf("%d %s: %s (%t)", minute, tr.To, tr.Message, tr.Notify))
			}
		}
	}
	want := "1 OK: OK 1 / Alert 1 @me (false) | 4 Alert: Alert 9 / Alert 9 @me (true) | 8 OK: OK 1 / Alert 1 @me (true)"
	if strings.Join(got, " | ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " | "), want)
	}
}
