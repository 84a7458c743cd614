package provision

import (
	"strings"
	"testing"
)

// What the API's models do not know is found at any depth, with its path.
func TestUnknownFieldsAndValues(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, says string }{
		{"a field at the top", "monitor.my-metric.json", `"name":`, `"nam": 1, "name":`, "nam: unknown field"},
		{"a field below", "monitor.my-metric.json", `"critical":`, `"critcal": 1, "critical":`, "options.thresholds.critcal: unknown field"},
		{"a value", "monitor.my-metric.json", `"query alert"`, `"query alart"`, `type: "query alart" is unknown, known are [`},
		{"a value in a list", "downtime.nights.json", `"no data"`, `"nodata"`, `data.attributes.notify_end_states[2]: "nodata" is unknown`},
		{"a type", "monitor.my-metric.json", `"critical": 800`, `"critical": "800"`, `options.thresholds.critical: "800" is not a number`},
		{"a type of a nullable", "monitor.my-metric.json", `"priority": 3`, `"priority": "P3"`, `priority: "P3" is not a whole number`},
		{"no list", "slo.latency.json", `"tags": [`, `"tags": "service", "groups": [`, "tags: is not a list"},
		{"a field that is missing", "slo.latency.json", `"type": "time_slice"`, `"description": "x"`, "twice"},
		{"a required field", "slo.latency.json", `"comparator": "<",`, ``, "sli_specification.time_slice: has no comparator"},
		{"a field of a widget", "dashboard.timeboard.json", `"show_legend":`, `"show_legends": true, "show_legend":`, "widgets[0].definition.show_legends: unknown field"},
		{"a value of a widget", "dashboard.timeboard.json", `"live_span": "5m"`, `"live_span": "7m"`, `widgets[0].definition.time.live_span: "7m" is unknown`},
		{"a field of a query", "dashboard.timeboard.json", `"query": "avg:my`, `"qery": "", "query": "avg:my`, "widgets[0].definition.requests[0].queries[0].qery: unknown field"},
		{"a value of a request", "dashboard.timeboard.json", `"display_type": "line"`, `"display_type": "lines"`, `widgets[0].definition.requests[0].display_type: "lines" is unknown`},
		{"a data source", "dashboard.timeboard.json", `"data_source": "metrics"`, `"data_source": "metric"`, "widgets[0].definition.requests[0].queries[0]: is no FormulaAndFunctionQueryDefinition that the API knows ("},
		{"a kind of widget", "dashboard.timeboard.json", `"type": "timeseries"`, `"type": "timeserie"`, "widgets[0].definition: is no WidgetDefinition that the API knows ("},
		{"a field within a group", "dashboard.runtime.json", `"formula": "inuse"`, `"formulae": "", "formula": "inuse"`, "widgets[0].definition.widgets[0].definition.requests[0].formulas[0].formulae: unknown field"},
		{"a field of a downtime", "downtime.nights.json", `"duration":`, `"durration": "", "duration":`, "data.attributes.schedule.recurrences[0].durration: unknown field"},
		{"a layout", "dashboard.timeboard.json", `"width": 6,`, `"width": 6.5,`, "layout.width: 6.5 is not a whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := Load(edited(t, c.file, c.old, c.new))
			for _, d := range all {
				if d.File == c.file {
					err = Definitions{d}.Validate(values())
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.file+": ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s: ... %s", err, c.file, c.says)
			}
		})
	}
}
