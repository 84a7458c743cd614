package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Unknown fields and values are found at any depth, with their paths.
func TestUnknownFieldsAndValues(t *testing.T) {
	for _, c := range []struct{ name, definition, old, new, want string }{
		{"a field at the top", "monitor my-metric", `"name":`, `"nam": 1, "name":`, "nam: unknown field"},
		{"a field below", "monitor my-metric", `"critical":`, `"critcal": 1, "critical":`, "options.thresholds.critcal: unknown field"},
		{"a value", "monitor my-metric", `"query alert"`, `"query alart"`, `type: unknown value "query alart"; known values are [`},
		{"a type", "monitor my-metric", `"critical": 800`, `"critical": "800"`, `options.thresholds.critical: "800" is not a number`},
		{"a type of a nullable", "monitor my-metric", `"priority": 3`, `"priority": "P3"`, `priority: "P3" is not a whole number`},
		{"a value that is no list", "slo latency", `"tags": [`, `"tags": "service", "groups": [`, "tags: not a list"},
		{"a required field at the top", "slo latency", ",\n  \"type\": \"time_slice\"", ``, "slo.latency.json: lacks the required field type"},
		{"a value that is no object", "monitor my-metric", `"options": {`, `"options": 1, "x": {`, "options: not an object"},
		{"null instead of an object", "downtime nights", `"attributes": {`, `"attributes": null, "x": {`, "data.attributes: is null, but needs a value"},
		{"null for a field that must have a value", "monitor my-metric", `"type": "query alert"`, `"type": null`, `type: is null, but needs a value`},
		{"a number as a type", "monitor my-metric", `"type": "query alert"`, `"type": 1`, `type: unknown value 1; known values are [`},
		{"a boolean", "monitor my-metric", `"notify_audit": false`, `"notify_audit": "no"`, `options.notify_audit: "no" is not a boolean`},
		{"a required field", "slo latency", `"comparator": "<",`, ``, "sli_specification.time_slice: lacks the required field comparator"},
		{"a field of a widget", "dashboard timeboard", `"show_legend":`, `"show_legends": true, "show_legend":`, "widgets[0].definition.show_legends: unknown field"},
		{"a value of a widget", "dashboard timeboard", `"live_span": "1h"`, `"live_span": "7m"`, `widgets[3].definition.time.live_span: unknown value "7m"`},
		{"a field of a query", "dashboard timeboard", `"query": "avg:my`, `"qery": "", "query": "avg:my`, "widgets[0].definition.requests[0].queries[0].qery: unknown field"},
		{"a value of a request", "dashboard timeboard", `"display_type": "line"`, `"display_type": "lines"`, `widgets[0].definition.requests[0].display_type: unknown value "lines"`},
		{"a data source", "dashboard timeboard", `"data_source": "metrics"`, `"data_source": "metric"`, "widgets[0].definition.requests[0].queries[0]: not a FormulaAndFunctionQueryDefinition that the API knows ("},
		{"a kind of widget", "dashboard timeboard", `"type": "timeseries"`, `"type": "timeserie"`, "widgets[0].definition: not a WidgetDefinition that the API knows ("},
		{"a field within a group", "dashboard runtime", `"formula": "inuse"`, `"formulae": "", "formula": "inuse"`, "widgets[0].definition.widgets[0].definition.requests[0].formulas[0].formulae: unknown field"},
		{"a field of a downtime", "downtime nights", `"duration":`, `"durration": "", "duration":`, "data.attributes.schedule.recurrences[0].durration: unknown field"},
		{"a layout", "dashboard timeboard", `"width": 6,`, `"width": 6.5,`, "layout.width: 6.5 is not a whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := edited(t, c.definition, c.old, c.new)
			if err := all.Validate(values()); err == nil || !strings.Contains(err.Error(), all[0].File+": ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s: ... %s", err, all[0].File, c.want)
			}
		})
	}
}

// The models of the table, and what Check returns for values that do not fit them.
func TestCheckModels(t *testing.T) {
	models := schema()
	for name, m := range map[string]model{
		"shape":  {enum: []any{"circle", "square"}},
		"sizes":  {enum: []any{json.Number("60"), json.Number("300")}},
		"circle": {fields: map[string]string{"type": "shape", "radius!": "number", "names": "[]string", "size": "integer", "filled": "boolean", "labels": "map string", "drawn": "time", "other": "any", "steps": "sizes"}},
		"square": {fields: map[string]string{"type!": "shape", "side!": "number", "name!": "?string"}},
		"cube":   {fields: map[string]string{"type!": "shape", "side!": "number", "edge!": "number"}},
		"table":  {fields: map[string]string{"request_type!": "shape"}},
		"either": {one: []string{"circle", "square"}},
		"text":   {one: []string{"either", "cube", "string"}},
		"tables": {one: []string{"table", "square"}},
	} {
		models[name] = m
		defer delete(models, name)
	}
	for _, c := range []struct{ model, value, want string }{
		{"circle", `{"radius": 1}`, "[]"},
		{"circle", `{"radius": 1, "type": null, "names": ["a"], "size": 2, "filled": null, "labels": {"a": "b"}, "drawn": "2026-01-02T03:04:05Z", "other": [1], "steps": 300}`, "[]"},
		{"circle", `{"radius": 1, "drawn": "today", "steps": 61}`, `[x.drawn: "today" is not a time such as 2026-01-31T09:00:00Z x.steps: unknown value 61; known values are [60 300]]`},
		{"circle", `{}`, "[x: lacks the required field radius]"},
		{"circle", `{"radius": null}`, "[x.radius: is null, but needs a value]"},
		{"circle", `{"radius": "1", "names": [1, "a", null], "size": 1.5, "filled": 1, "labels": {"a": 1}, "x": 1}`,
			`[x.filled: 1 is not a boolean x.labels.a: 1 is not a string x.names[0]: 1 is not a string x.names[2]: null is not a string x.radius: "1" is not a number x.size: 1.5 is not a whole number x.x: unknown field]`},
		{"circle", `{"radius": 1, "type": "oval"}`, `[x.type: unknown value "oval"; known values are [circle square]]`},
		{"circle", `{"radius": 1, "names": {}, "labels": []}`, "[x.labels: not an object x.names: not a list]"},
		{"circle", `[]`, "[x: not an object]"},
		{"circle", `null`, "[x: not an object]"},
		// A required field may be null only if the specification allows it.
		{"square", `{"type": "square", "side": 1, "name": null}`, "[]"},
		{"square", `{"type": null, "side": 1}`, "[x.type: is null, but needs a value x: lacks the required field name]"},
		// An optional type may be absent: the circle fits.
		{"either", `{"radius": 1}`, "[]"},
		{"either", `{"side": 1, "type": "square", "name": "a"}`, "[]"},
		{"either", `{"radius": 1, "data_source": "a"}`, "[x.data_source: unknown field]"},
		// Neither fits: the problems of the closer one.
		{"either", `{"side": 1, "type": "square", "name": "a", "b": 1}`, "[x.b: unknown field]"},
		{"either", `{"radius": 1, "type": "square", "b": 1}`, "[x.b: unknown field]"},
		// Another type than both: the reasons.
		{"either", `{"type": "oval"}`, `[x: not a either that the API knows (x.type: unknown value "oval"; known values are [circle square])]`},
		{"either", `1`, `[x: not a either that the API knows (x: not an object)]`},
		// A value that fits several models is right.
		{"text", `{"type": "square", "side": 1, "edge": 1}`, "[]"},
		{"text", `"a"`, "[]"},
		{"text", `1`, `[x: 1 is not a string]`},
		{"tables", `{"request_type": "square"}`, "[]"},
		{"tables", `{"request_type": "oval"}`, `[x: not a tables that the API knows (x.request_type: unknown value "oval"; known values are [circle square]; x: lacks the required field type)]`},
	} {
		if got := fmt.Sprint(check(c.model, value(t, c.value), "x")); got != c.want {
			t.Errorf("%s %s:\n%s\nwant\n%s", c.model, c.value, got, c.want)
		}
	}
}

// What the API took in recordings although the published specification lacks it.
func TestCheckAcceptsWhatTheAPITakes(t *testing.T) {
	const board = `{"title": "t", "layout_type": "ordered", "widgets": [{"id": 7, "definition": %s}]%s}`
	const note = `{"type": "note", "content": "c"}`
	for _, c := range []struct {
		kind Kind
		body string
	}{
		{Dashboard, fmt.Sprintf(board, note, `, "tabs": [{"id": "a", "name": "n", "widget_ids": ["@1"]}]`)},
		{Dashboard, fmt.Sprintf(board, note, `, "tabs": [{"name": "n", "widget_ids": [7]}]`)},
		{Dashboard, fmt.Sprintf(board, `{"type": "timeseries", "requests": [{"q": "avg:a{*}"}], "time": {"live_span": "1h", "hide_incomplete_cost_data": true}}`, "")},
		{Dashboard, fmt.Sprintf(board, `{"type": "timeseries", "requests": [{"q": "avg:a{*}"}], "time": {"hide_incomplete_cost_data": true}}`, "")},
		{Dashboard, fmt.Sprintf(board, `{"type": "sunburst", "requests": [{"response_format": "scalar", "sort": {"count": 25, "order_by": [{"order": "desc", "type": "formula"}]}}]}`, "")},
		{Dashboard, fmt.Sprintf(board, `{"type": "wildcard", "specification": {"type": "vega-lite", "contents": {}}, "requests": [{"response_format": "timeseries", "queries": [{"data_source": "metrics", "name": "a", "query": "avg:a{*}"}], "formulas": [{"formula": "a"}]}]}`, "")},
		{Monitor, `{"type": "query alert", "query": "q", "classification": "custom"}`},
		{SLO, `{"name": "n", "type": "metric", "created_at": 1, "thresholds": [{"target": 99, "timeframe": "7d", "target_display": "99."}]}`},
		{Downtime, `{"data": {"id": "", "type": "downtime", "attributes": {"scope": "*", "monitor_identifier": {"monitor_id": 1}, "schedule": {"start": null, "end": null}}}}`},
	} {
		body := parsed(t, c.body)
		if got := Check(c.kind, body); len(got) > 0 {
			t.Errorf("%s: %v", c.body, got)
		}
	}
}

// Only what a newer API may know passes with AllowUnknown.
func TestAllowUnknown(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"name":`, `"new_field": 1, "name":`, ""},
		{`"query alert"`, `"query alert of a new type"`, ""},
		{`"critical": 800`, `"critical": "800"`, `monitor.my-metric.json: options.thresholds.critical: "800" is not a number`},
		{`"type": "query alert"`, `"type": 1`, `monitor.my-metric.json: type: unknown value 1; known values are [`},
	} {
		all := edited(t, "monitor my-metric", c.old, c.new)
		v := values()
		v.AllowUnknown = true
		if err := all.Validate(v); (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}

// Each type in the table exists.
func TestSchemaIsComplete(t *testing.T) {
	known := []string{"string", "integer", "number", "boolean", "time", "any"}
	plain := func(name string) string {
		for {
			rest := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "?"), "[]"), "map ")
			if rest == name {
				return name
			}
			name = rest
		}
	}
	for name, m := range schema() {
		for _, used := range slices.Concat(slices.Collect(maps.Values(m.fields)), m.one) {
			if _, ok := schema()[plain(used)]; !ok && !slices.Contains(known, plain(used)) {
				t.Errorf("%s: no model %s", name, used)
			}
		}
		if len(m.enum) == 0 && len(m.one) == 0 && m.fields == nil {
			t.Errorf("%s is empty", name)
		}
	}
}
