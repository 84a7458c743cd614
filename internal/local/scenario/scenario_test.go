package scenario

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/query"
)

func same(text string) string { return text }

// definitions are a monitor of gauges by host, one of a distribution and one of a check.
func definitions(t testing.TB) []query.Document {
	t.Helper()
	var all []query.Document
	for kind, text := range map[[2]string]string{
		{"monitor", "gauge"}: `{"name": "high on {{host.name}}", "type": "query alert", "query": "avg(last_1m):avg:g{*} by {host} > 5", "message": "{{#is_alert}}\nA {{value}} {{host.ip}}\n{{/is_alert}}\n{{#is_recovery}}\nR\n{{/is_recovery}}\n\n@ops",
			"options": {"new_group_delay": 0, "thresholds": {"critical": 5}}}`,
		{"monitor", "slow"}:    `{"name": "slow", "type": "query alert", "query": "percentile(last_1m):p99:d{*} > 5", "options": {"thresholds": {"critical": 5}}}`,
		{"monitor", "check"}:   `{"name": "check", "type": "service check", "query": "\"c\".over(\"a:b\").last(2).count_by_status()", "message": "{{check_message}}", "options": {"thresholds": {"critical": 2}}}`,
		{"monitor", "rate"}:    `{"name": "rate", "type": "query alert", "query": "sum(last_1m):sum:r{*}.as_count() > 5", "options": {"thresholds": {"critical": 5}}}`,
		{"monitor", "unknown"}: `{"name": "x {{nothing}}", "type": "query alert", "query": "avg(last_1m):avg:g{*} > 5"}`,
		{"monitor", "other"}:   `{"name": "other", "type": "rum alert", "query": "rum()"}`,
		{"monitor", "both"}:    `{"name": "both", "type": "composite", "query": "gauge && !rate"}`,
		{"monitor", "broken"}:  `{"name": "{{"}`,
		{"downtime", "night"}:  `{"monitor_identifier": {"monitor_id": "gauge"}, "scope": "host:b", "schedule": {"start": "2026-11-25T12:00:00Z"}}`,
	} {
		var body map[string]any
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		all = append(all, query.Document{Kind: kind[0], Key: kind[1], ID: kind[1], Body: body})
	}
	return all
}

// failures runs a test of a monitor and returns what failed.
func failures(t testing.TB, monitor, test string) string {
	t.Helper()
	f, err := Parse([]byte(fmt.Sprintf("monitor: %s\ntests:\n- name: x\n%s", monitor, test)), same)
	if err != nil {
		t.Fatalf("%v:\n%s", err, test)
	}
	outcomes, _, err := f.Run(definitions(t))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(outcomes[0].Failures, "\n")
}

const gauges = `
  series:
  - {metric: g, tags: ["host:a"], values: "1 for 2m, 9 for 2m, 1 for 2m"}
`

func TestWhatIsCompared(t *testing.T) {
	for _, c := range []struct{ name, monitor, test, want string }{
		{"all notifications", "gauge", gauges + "  notifications: [{at: 3m, to: Alert}, {at: 5m, to: OK}]", ""},
		{"one is missing", "gauge", gauges + "  notifications: [{at: 3m, to: Alert}, {at: 5m, to: OK}, {at: 6m, to: Alert, group: 'host:a'}]", "notification 3: got none, want Alert at 6m host:a"},
		{"one is too many", "gauge", gauges + "  notifications: [{at: 3m, to: Alert}]", "notification 2: got OK at 5m host:a\n    R\n    @ops, want none"},
		{"another time", "gauge", gauges + "  notifications: [{at: 4m, to: Alert}, {at: 5m, to: OK}]", "notification 1: got Alert at 3m host:a\n    A 9 \n    @ops\nwant Alert at 4m"},
		{"another state", "gauge", gauges + "  notifications: [{at: 3m, to: Warn}, {at: 5m, to: OK}]", "notification 1: got Alert at 3m host:a\n    A 9 \n    @ops\nwant Warn at 3m"},
		{"another group", "gauge", gauges + "  notifications: [{at: 3m, to: Alert, group: 'host:b'}, {at: 5m, to: OK}]", "notification 1: got Alert at 3m host:a\n    A 9 \n    @ops\nwant Alert at 3m host:b"},
		{"the title", "gauge", gauges + "  notifications: [{at: 3m, to: Alert, title: '[Triggered on {host:a}] high on a'}, {at: 5m, to: OK, title: x}]", "notification 2: title: got [Recovered on {host:a}] high on a, want x"},
		{"the message, without empty lines", "gauge", "  hosts: {a: 10.0.0.7}" + gauges + "  notifications: [{at: 3m, to: Alert, message: \"A 9 10.0.0.7\\n@ops\"}, {at: 5m, to: OK, message: \"R\\n\\n\\n@ops\"}]", ""},
		{"another message", "gauge", gauges + "  notifications: [{at: 3m, to: Alert}, {at: 5m, to: OK, message: R}]", "notification 2: message: got \n    R\n    @ops\n, want \n    R"},
		{"a part of the message", "gauge", gauges + "  notifications: [{at: 3m, to: Alert, contains: 'A 9'}, {at: 5m, to: OK, contains: 'A 9'}]", "notification 2: message: got \n    R\n    @ops\n, want text that contains\n    A 9"},
		{"not muted", "gauge", gauges + "  notifications: [{at: 3m, to: Alert, muted: [night]}, {at: 5m, to: OK}]", `notification 1: muted by: got [], want ["night"]`},
		{"muted", "gauge", strings.ReplaceAll(gauges, "host:a", "host:b") + "  notifications: [{at: 3m, to: Alert, muted: [night]}, {at: 5m, to: OK, muted: [night]}]", ""},
		{"muted unexpectedly", "gauge", strings.ReplaceAll(gauges, "host:a", "host:b") + "  notifications: [{at: 3m, to: Alert}, {at: 5m, to: OK, muted: [night]}]", `notification 1: muted by: got ["night"], want []`},
		{"nothing", "gauge", gauges + "  for: 2m\n  notifications: []", ""},
		{"states", "gauge", gauges + "  states: [{at: 2m, group: 'host:a', state: OK, value: 1}, {at: 4m, state: Alert}, {at: 6m, state: OK}]", ""},
		{"another state at a time", "gauge", gauges + "  states: [{at: 4m, state: Warn}]", "at 4m: got the state Alert, want Warn"},
		{"another value", "gauge", gauges + "  states: [{at: 4m, group: 'host:a', value: 8}]", "at 4m host:a: got the value 9, want 8"},
		{"a value within 1 %", "gauge", gauges + "  states: [{at: 4m, group: 'host:a', value: 9.09}]", ""},
		{"a value that is just too far", "gauge", gauges + "  states: [{at: 4m, group: 'host:a', value: 9.1}]", "at 4m host:a: got the value 9, want 9.1"},
		{"no value", "gauge", "  for: 1m\n  states: [{at: 1m, value: 5}]", "at 1m: got no value, want 5"},
		{"a value of a check", "check", "  checks: [{check: c, tags: ['a:b'], results: [{status: CRITICAL, for: 10s}]}]\n  for: 1m\n  states: [{at: 1m, value: 5}]", "at 1m: got the value 2, want 5 (1 of 2 results in a row are CRITICAL)"},
		{"a group that does not exist", "gauge", gauges + "  states: [{at: 4m, group: 'host:b', state: OK}]", "at 4m host:b: no such group; the groups are {host:a}"},
		{"a group before any data", "gauge", "  for: 1m\n  states: [{at: 1m, group: 'host:b', state: OK}]", "at 1m host:b: no such group; the groups are none"},
		{"a reason", "gauge", gauges + "  for: 8m\n  states: [{at: 8m, group: 'host:a', state: OK, skipped: no data}]", ""},
		{"another reason", "gauge", gauges + "  for: 8m\n  states: [{at: 8m, group: 'host:a', state: Warn, skipped: x}]", "at 8m host:a: got the state OK, want Warn (no data in the window)\nat 8m host:a: the evaluation was skipped for \"no data in the window\", want \"x\""},
		{"a later begin", "gauge", gauges + "  after: 3m\n  notifications: [{at: 4m, to: Alert}, {at: 5m, to: OK}]", ""},
		{"a distribution", "slow", "  series: [{metric: d, type: distribution, values: 1 x 98 and 9 x 2 for 1m}]\n  states: [{at: 1m, state: Alert, value: 9}]", ""},
		{"a distribution with fewer", "slow", "  series: [{metric: d, type: distribution, values: 1 x 999 and 9 x 1 for 1m}]\n  states: [{at: 1m, state: OK, value: 1}]", ""},
		{"a rate", "rate", "  series: [{metric: r, type: rate, every: 30s, values: 3 for 1m}]\n  states: [{at: 1m, state: Alert, value: 180}]", ""},
		{"a count", "rate", "  series: [{metric: r, type: count, every: 30s, values: 3 for 1m}]\n  states: [{at: 1m, state: Alert, value: 6}]", ""},
		{"a ramp", "rate", "  series: [{metric: r, type: count, values: 0 to 60 for 1m}]\n  states: [{at: 1m, value: 150}]", ""}, // 0 10 20 30 40 50
		{"a negative ramp after a pause", "rate", "  series: [{metric: r, type: count, values: 'none for 1m, 60 to 0 for 1m'}]\n  states: [{at: 1m, state: waiting for first data}, {at: 2m, value: 210}]", ""},
		{"a composite, with the monitors that it joins", "both", gauges + "  - {metric: r, type: count, values: '1 for 3m, 0 for 3m'}\n  notifications: [{at: 4m, to: Alert, group: 'host:a'}, {at: 5m, to: OK, group: 'host:a'}]", ""},
		{"a check", "check", "  checks: [{check: c, tags: ['a:b'], results: [{status: OK, for: 1m}, {status: CRITICAL, for: 30s, message: gone}, {for: 2m}, {status: OK, for: 30s}]}]\n  notifications: [{at: 2m, to: Alert, message: gone}, {at: 4m, to: OK}]", ""},
		{"a check that is not often enough", "check", "  checks: [{check: c, tags: ['a:b'], every: 1m, results: [{status: CRITICAL, for: 1m}]}]\n  for: 2m\n  notifications: []", ""},
		{"two checks are ordered by time", "check", "  checks: [{check: c, tags: ['a:b'], every: 30s, results: [{for: 30s}, {status: CRITICAL, for: 30s}]}, {check: c, tags: ['a:b'], every: 1m, results: [{status: CRITICAL, for: 1m}]}]\n  notifications: [{at: 1m, to: Alert}]", ""},
		{"a message that is not rendered in full", "unknown", gauges + "  notifications: [{at: 3m, to: Alert}, {at: 5m, to: OK}]", "notification 1: message: got {{nothing}} is empty: this monitor has no such variable here, want a message that is rendered in full\nnotification 2: message: got {{nothing}} is empty: this monitor has no such variable here, want a message that is rendered in full"},
	} {
		if got := failures(t, c.monitor, c.test); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	expects := "\n  notifications: []"
	for text, want := range map[string]string{
		"":                                  "the file is empty",
		"tests: []":                         "monitor is missing",
		"monitor: gauge":                    "the file has no tests",
		"monitor: [gauge]":                  "line 1",
		"monitor: gauge\nx: 1":              "field x not found",
		"monitor: gauge\ntests:\n- for: 1m": "tests[0] \"\": name is missing",
		"monitor: gauge\ntests:\n- name: a\n  for: 1m":                                                               `tests[0] "a": expects nothing`,
		"monitor: gauge\ntests:\n- name: a" + expects:                                                                "from 0s to 0s there are 0 minutes to evaluate, want 1 to 10080",
		"monitor: gauge\ntests:\n- name: a\n  for: 8d" + expects:                                                     "from 0s to 8d there are 11520 minutes to evaluate",
		"monitor: gauge\ntests:\n- name: a\n  for: 5m\n  after: 5m" + expects:                                        "from 5m to 5m there are 0 minutes",
		"monitor: gauge\ntests:\n- name: a\n  for: x" + expects:                                                      `line 4: "x" is not a time such as 90s, 5m, 4h or 3d`,
		"monitor: gauge\ntests:\n- name: a\n  for: -5m" + expects:                                                    `"-5m" is not a time`,
		"monitor: gauge\ntests:\n- name: a\n  for: 5m\n  start: x" + expects:                                         "x",
		"monitor: gauge\ntests:\n- name: a\n  series: [{values: 1 for 5m}]" + expects:                                "series[0]: metric or values is missing",
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g}]" + expects:                                       "series[0]: metric or values is missing",
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: 1}]" + expects:                            `"1" lacks its length; write it like 100 for 10m`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: x for 1m}]" + expects:                     `"x" is not a number`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: NaN for 1m}]" + expects:                   `"NaN" is not a number`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: 1 to x for 1m}]" + expects:                `"x" is not a number`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: 1 for x}]" + expects:                      `"x" is not a time`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: 1 x y for 1m}]" + expects:                 `"y" is not a number`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: y x 1 for 1m}]" + expects:                 `"y" is not a number`,
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, values: 1 x 1 for 1m}]" + expects:                 "values of a distribution have the form 0.1 x 95",
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, type: distribution, values: 1 for 1m}]" + expects: "values of a distribution have the form 0.1 x 95",
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, type: set, values: 1 for 1m}]" + expects:          `the type "set" is not gauge, count, rate or distribution`,
		"monitor: gauge\ntests:\n- name: a\n  checks: [{results: [{for: 1m}]}]" + expects:                            "checks[0]: check or results is missing",
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, every: 1ns, values: 1 for 1m}]" + expects:         "series[0]: every must be whole seconds, at least 1s, got 1ns",
		"monitor: gauge\ntests:\n- name: a\n  series: [{metric: g, every: 1500ms, values: 1 for 1m}]" + expects:      "series[0]: every must be whole seconds, at least 1s, got 1.5s",
		"monitor: gauge\ntests:\n- name: a\n  checks: [{check: c, every: 500ms, results: [{for: 1m}]}]" + expects:    "checks[0]: every must be whole seconds, at least 1s, got 500ms",
		"monitor: gauge\ntests:\n- name: a\n  checks: [{check: c}]" + expects:                                        "checks[0]: check or results is missing",
		"monitor: gauge\ntests:\n- name: a\n  checks: [{check: c, results: [{status: X, for: 1m}]}]" + expects:       `the status "X" is not OK, WARNING, CRITICAL or UNKNOWN`,
		"monitor: gauge\ntests:\n- name: a\n  for: 5m\n  notifications: [{at: 6m}]":                                  "notifications[0]: at 6m: the monitor is evaluated each minute after 0s, until 5m",
		"monitor: gauge\ntests:\n- name: a\n  for: 5m\n  notifications: [{at: 90s}]":                                 "notifications[0]: at 1m30s: the monitor is evaluated each minute",
		"monitor: gauge\ntests:\n- name: a\n  for: 5m\n  notifications: [{to: Alert}]":                               "notifications[0]: at 0s",
		"monitor: gauge\ntests:\n- name: a\n  for: 5m\n  after: 2m\n  states: [{at: 2m}]":                            "states[0]: at 2m: the monitor is evaluated each minute after 2m, until 5m",
	} {
		if _, err := Parse([]byte(text), same); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %q", text, err, want)
		}
	}
	for monitor, want := range map[string]string{"none": "there is no monitor none", "other": `monitor other is not evaluated here: monitors of the type "rum alert"`, "broken": "monitor broken: "} {
		f, err := Parse([]byte("monitor: "+monitor+"\ntests: [{name: a, for: 1m, notifications: []}]"), same)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Run(definitions(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("monitor %s: %v, want %q", monitor, err, want)
		}
	}
}

// Placeholders are replaced before the file is parsed, and a byte order mark is ignored.
func TestExpand(t *testing.T) {
	f, err := Parse([]byte("\ufeffmonitor: ${x}\ntests: [{name: a, for: 1m, notifications: []}]"), func(s string) string { return strings.ReplaceAll(s, "${x}", "gauge") })
	if err != nil || f.Monitor != "gauge" {
		t.Fatalf("%+v, %v", f, err)
	}
	if !f.Tests[0].Start.Equal(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("the default start is %s", f.Tests[0].Start)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for d, want := range map[time.Duration]string{90 * time.Second: "1m30s", 5 * time.Minute: "5m", 90 * time.Minute: "1h30m", 72 * time.Hour: "3d", 10 * time.Second: "10s", 100 * time.Minute: "1h40m"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, text := range []string{"100 for 10m, none for 5m, 0 to 60 for 1m", "0.1 x 95 and 2 x 5 for 10m", "-1e3 for 1d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseValues(text)
		if err != nil {
			return
		}
		for _, v := range all {
			if v.length < 0 || math.IsInf(v.first, 0) || math.IsInf(v.last, 0) {
				t.Errorf("%q: %+v", text, v)
			}
		}
	})
}
