package provision

import (
	"fmt"
	"strings"
	"testing"
)

// compared returns the printed differences between two bodies.
func compared(t *testing.T, kind Kind, want, have string, moving map[string]bool) string {
	t.Helper()
	w := parsed(t, want)
	h := parsed(t, have)
	var out strings.Builder
	writeChanges(&out, diff(kind, w, h, moving))
	return strings.ReplaceAll(strings.TrimSuffix(out.String(), "\n"), "\n    ", "\n")
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ name, kind, want, have, shows string }{
		{"equal numbers", "monitor", `{"priority": 3, "x": 800}`, `{"priority": 3.0, "x": 8e2}`, ""},
		{"large numbers that differ in the last digit", "monitor", `{"x": 9007199254740993}`, `{"x": 9007199254740992}`, "x: 9007199254740992 -> 9007199254740993"},
		{"a number and a string", "monitor", `{"x": 1}`, `{"x": "1"}`, `x: "1" -> 1`},
		{"booleans", "monitor", `{"x": true}`, `{"x": false}`, "x: false -> true"},
		{"equal booleans", "monitor", `{"x": true}`, `{"x": true}`, ""},
		{"empty values", "monitor", `{"message": "", "options": {"locked": false, "renotify_interval": 0}, "a": [], "b": {}, "c": null, "d": " "}`, `{"options": {"renotify_interval": null}}`, ""},
		{"empty and not", "monitor", `{"a": 0, "b": false, "c": [], "d": {}, "e": "", "f": null}`, `{"a": 1, "b": true, "c": [1], "d": {"x": 1}, "e": "x", "f": 1}`,
			"a: 1 -> 0\nb: true -> false\nc[0]: - 1\ne: \"x\" -> \"\"\nf: - 1"},
		{"a missing field", "monitor", `{"a": 1}`, `{}`, "a: + 1"},
		{"white space", "monitor", `{"message": "a\nb", "query": "q"}`, `{"message": " a\r\nb\n", "query": "q "}`, ""},
		{"both names of a type", "monitor", `{"type": "query alert"}`, `{"type": "metric alert"}`, ""},
		{"both names of a type, the other way", "monitor", `{"type": "metric alert"}`, `{"type": "query alert"}`, ""},
		{"the names of other fields", "monitor", `{"name": "query alert"}`, `{"name": "metric alert"}`, `name: "metric alert" -> "query alert"`},
		{"the names of other kinds", "slo", `{"type": "query alert"}`, `{"type": "metric alert"}`, `type: "metric alert" -> "query alert"`},
		{"another type", "monitor", `{"type": "query alert"}`, `{"type": "log alert"}`, `type: "log alert" -> "query alert"`},
		{"what the API adds", "monitor", `{"name": "a"}`, `{"name": "a", "id": 1, "creator": {"email": "x"}, "options": {"new_host_delay": 300, "include_tags": true, "avalanche_window": 20, "silenced": {"*": null}, "on_missing_data": "default", "notification_preset_name": "show_all"}}`, ""},
		{"other values than the defaults", "monitor", `{"options": {"include_tags": true}}`, `{"options": {"include_tags": true, "new_host_delay": 301, "on_missing_data": "show_no_data", "notification_preset_name": "hide_all"}}`,
			"options.new_host_delay: - 301\noptions.notification_preset_name: - \"hide_all\"\noptions.on_missing_data: - \"show_no_data\""},
		{"an added threshold", "monitor", `{"options": {"thresholds": {"critical": 1}}}`, `{"options": {"thresholds": {"critical": 1, "warning": 0.5}}}`, "options.thresholds.warning: - 0.5"},
		{"sets", "monitor", `{"tags": ["B:x", "a:y"], "restricted_roles": ["1", "2"], "options": {"renotify_statuses": ["alert", "warn"]}}`, `{"tags": ["a:y", "b:x", "a:y"], "restricted_roles": ["2", "1"], "options": {"renotify_statuses": ["warn", "alert"]}}`, ""},
		{"sets of an SLO", "slo", `{"tags": ["a", "b"], "groups": ["c", "d"], "monitor_ids": [1, 2]}`, `{"tags": ["b", "a"], "groups": ["d", "c"], "monitor_ids": [2, 1]}`, ""},
		{"sets of a dashboard", "dashboard", `{"tags": ["a", "b"], "notify_list": ["c", "d"], "restricted_roles": ["e", "f"]}`, `{"tags": ["b", "a"], "notify_list": ["d", "c"], "restricted_roles": ["f", "e"]}`, ""},
		{"sets of a downtime", "downtime", `{"data": {"attributes": {"notify_end_states": ["a", "b"], "notify_end_types": ["c", "d"], "monitor_identifier": {"monitor_tags": ["e", "f"]}}}}`,
			`{"data": {"attributes": {"notify_end_states": ["b", "a"], "notify_end_types": ["d", "c"], "monitor_identifier": {"monitor_tags": ["f", "e"]}}}}`, ""},
		{"lists", "monitor", `{"x": ["a", "b"]}`, `{"x": ["b", "a"]}`, "x[0]: \"b\" -> \"a\"\nx[1]: \"a\" -> \"b\""},
		{"a removed tag", "monitor", `{"tags": ["a:y"]}`, `{"tags": []}`, `tags: [] -> ["a:y"]`},
		{"an added tag", "monitor", `{"tags": ["a:y"]}`, `{"tags": ["a:y", "b:z"]}`, `tags: ["a:y","b:z"] -> ["a:y"]`},
		{"thresholds in another order", "slo", `{"thresholds": [{"timeframe": "7d", "target": 99}, {"timeframe": "30d", "target": 98}]}`, `{"thresholds": [{"timeframe": "30d", "target": 98.0, "target_display": "98."}, {"timeframe": "7d", "target": 99.0}]}`, ""},
		{"thresholds, one more", "slo", `{"thresholds": [{"timeframe": "7d", "target": 99}]}`, `{"thresholds": [{"timeframe": "90d", "target": 95}, {"timeframe": "7d", "target": 99.0}]}`, `thresholds[1]: - {"target":95,"timeframe":"90d"}`},
		{"only an SLO's thresholds have no order", "slo", `{"x": [{"timeframe": "7d"}, {"timeframe": "30d"}]}`, `{"x": [{"timeframe": "30d"}, {"timeframe": "7d"}]}`,
			"x[0].timeframe: \"30d\" -> \"7d\"\nx[1].timeframe: \"7d\" -> \"30d\""},
		{"times in two forms", "downtime", `{"data": {"attributes": {"schedule": {"start": "2026-11-28T06:00:00Z", "end": "2026-11-28T09:00:00+02:00"}}}}`,
			`{"data": {"attributes": {"schedule": {"start": "2026-11-28T06:00:00.000000+00:00", "end": "2026-11-28T07:00:00+00:00"}}}}`, ""},
		{"times that differ", "downtime", `{"data": {"attributes": {"schedule": {"start": "2026-11-28T06:00:00Z"}}}}`,
			`{"data": {"attributes": {"schedule": {"start": "2026-11-28T06:00:01+00:00"}}}}`, `data.attributes.schedule.start: "2026-11-28T06:00:01+00:00" -> "2026-11-28T06:00:00Z"`},
		{"a start that the API fills in", "downtime", `{"data": {"attributes": {"display_timezone": "", "schedule": {"start": null, "end": null}}}}`,
			`{"data": {"attributes": {"display_timezone": "UTC", "schedule": {"start": "2026-11-28T06:00:00Z", "end": null}}}}`, ""},
		{"an added end", "downtime", `{"data": {"attributes": {"schedule": {"start": null, "end": null}}}}`,
			`{"data": {"attributes": {"schedule": {"start": null, "end": "2026-11-28T06:00:00Z"}}}}`, `data.attributes.schedule.end: - "2026-11-28T06:00:00Z"`},
		{"defaults that the API leaves out", "monitor", `{"draft_status": "published", "classification": "custom", "options": {"on_missing_data": "default", "new_host_delay": 300, "notification_preset_name": "show_all"}}`, `{"options": {}}`, ""},
		{"defaults of a monitor, in another kind", "slo", `{"draft_status": "published"}`, `{}`, `draft_status: + "published"`},
		{"another value than the default", "monitor", `{"options": {"on_missing_data": "default"}}`, `{"options": {"on_missing_data": "resolve"}}`, `options.on_missing_data: "resolve" -> "default"`},
		{"what the API sets itself", "slo", `{"id": "", "created_at": 1, "thresholds": [{"timeframe": "7d", "target_display": "99.0"}]}`, `{"id": "0a", "created_at": 2, "thresholds": [{"timeframe": "7d", "target_display": "99."}]}`, ""},
		{"what the API sets itself, in a dashboard", "dashboard", `{"id": "", "url": "/x", "author_handle": "a"}`, `{"id": "abc-def-ghi", "url": "/y", "author_handle": "b"}`, ""},
		{"tabs that name widgets by place", "dashboard", `{"tabs": [{"name": "a", "widget_ids": ["@2", 5]}], "widgets": [{"id": 5, "x": 1}, {"x": 2}]}`,
			`{"tabs": [{"id": "t", "name": "a", "widget_ids": [8, 7]}], "widgets": [{"id": 7, "x": 1}, {"id": 8, "x": 2}]}`, ""},
		{"tabs that name other widgets", "dashboard", `{"tabs": [{"name": "a", "widget_ids": ["@1"]}], "widgets": [{"x": 1}, {"x": 2}]}`,
			`{"tabs": [{"name": "a", "widget_ids": [8]}], "widgets": [{"id": 7, "x": 1}, {"id": 8, "x": 2}]}`, `tabs[0].widget_ids[0]: "@2" -> "@1"`},
		{"added tabs", "dashboard", `{"widgets": []}`, `{"widgets": [], "tabs": [{"name": "a"}]}`, `tabs: - [{"name":"a"}]`},
		{"a widget's ID", "dashboard", `{"widgets": [{"definition": {"type": "note", "content": "x"}}]}`, `{"widgets": [{"id": 1, "definition": {"type": "note", "content": "x"}}]}`, ""},
		{"a removed widget", "dashboard", `{"widgets": [{"definition": {"content": "x"}}, {"definition": {"content": "y"}}]}`, `{"widgets": [{"definition": {"content": "x"}}]}`, `widgets[1]: + {"definition":{"content":"y"}}`},
		{"added fields of a dashboard", "dashboard", `{"title": "a", "widgets": [{"definition": {"widgets": [{"x": 1}]}}]}`,
			`{"title": "a", "url": "/a", "template_variables": [{"name": "a"}], "template_variable_presets": [{"name": "b"}], "widgets": [{"id": 1, "definition": {"widgets": [{"id": 2, "x": 1, "y": 2}]}}]}`,
			"template_variable_presets: - [{\"name\":\"b\"}]\ntemplate_variables: - [{\"name\":\"a\"}]\nwidgets[0].definition.widgets[0].y: - 2"},
		{"added fields of an SLO and a downtime", "slo", `{"name": "a"}`, `{"name": "a", "widgets": [1], "options": {"locked": true}}`, ""},
		{"a list instead of an object", "dashboard", `{"widgets": {"a": 1}}`, `{"widgets": [1]}`, `widgets: [1] -> {"a":1}`},
		{"an object instead of a list", "dashboard", `{"widgets": [1]}`, `{"widgets": {"a": 1}}`, `widgets: {"a":1} -> [1]`},
		{"text of several lines", "monitor", `{"message": "a\nb\nc\nd"}`, `{"message": "a\nx\nc\nd\ne\n"}`, "message:\n    a\n  - x\n  + b\n    c\n    d\n  - e"},
		{"a line before all others", "monitor", `{"message": "a\nb"}`, `{"message": "b\nc"}`, "message:\n  + a\n    b\n  - c"},
		{"the first line removed", "monitor", `{"message": "b\nc"}`, `{"message": "x\nb\nc"}`, "message:\n  - x\n    b\n    c"},
		{"text of one line", "monitor", `{"message": "a"}`, `{"message": "b"}`, `message: "b" -> "a"`},
		{"one line becomes several", "monitor", `{"message": "a\nb"}`, `{"message": "a"}`, "message:\n    a\n  + b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.TrimSpace(compared(t, Kind(c.kind), c.want, c.have, nil)); got != c.shows {
				t.Errorf("got\n%s\nwant\n%s", got, c.shows)
			}
		})
	}
}

// Each of these options is removed if the definition lacks it.
func TestAddedOptions(t *testing.T) {
	for option := range strings.FieldsSeq(`escalation_message evaluation_delay group_retention_duration locked min_failure_duration new_group_delay new_host_delay
		no_data_timeframe notification_preset_name notify_audit notify_by notify_no_data on_missing_data renotify_interval renotify_occurrences renotify_statuses
		scheduling_options threshold_windows timeout_h`) {
		have := fmt.Sprintf(`{"options": {"include_tags": true, %q: "x"}}`, option)
		if got, want := compared(t, Monitor, `{"options": {"include_tags": true}}`, have, nil), fmt.Sprintf(`    options.%s: - "x"`, option); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := compared(t, SLO, `{"options": {"include_tags": true}}`, have, nil); got != "" {
			t.Errorf("of an SLO: %q", got)
		}
	}
}

// Where only the time of day counts, another day is no difference.
func TestMovingTimes(t *testing.T) {
	moving := map[string]bool{"start": true}
	for _, c := range []struct{ want, have, shows string }{
		{"2026-11-28T06:00:00", "2026-10-03T06:00", ""},
		{"2026-11-28T06:00:00", "2026-11-28T07:00:00", `    start: "2026-11-28T07:00:00" -> "2026-11-28T06:00:00"`},
		{"2026-11-28T06:00:01", "2026-11-28T06:00:00", `    start: "2026-11-28T06:00:00" -> "2026-11-28T06:00:01"`},
		{"2026-11-28", "2026-11-29", `    start: "2026-11-29" -> "2026-11-28"`},
	} {
		body := func(v string) string { return fmt.Sprintf(`{"start": %q}`, v) }
		if got := compared(t, Downtime, body(c.want), body(c.have), moving); got != c.shows {
			t.Errorf("%s and %s: %q, want %q", c.want, c.have, got, c.shows)
		}
	}
	if got := compared(t, Downtime, `{"end": "2026-11-28T06:00:00"}`, `{"end": "2026-11-29T06:00:00"}`, moving); got == "" {
		t.Error("another path: no difference")
	}
}

// A long value is cut after 300 characters.
func TestShort(t *testing.T) {
	if got := short(strings.Repeat("ä", 298)); len([]rune(got)) != 300 || strings.HasSuffix(got, "...") {
		t.Errorf("300 characters become %d: %s", len([]rune(got)), got)
	}
	if got := short(strings.Repeat("ä", 299)); got != `"`+strings.Repeat("ä", 299)+"..." {
		t.Errorf("301 characters become %s", got)
	}
	if got := short(map[string]any{"a": []any{"<&>"}}); got != `{"a":["<&>"]}` {
		t.Errorf("got %s", got)
	}
}
