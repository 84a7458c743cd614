package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The rules of this file are written by hand from the published specification. They
// share nothing with the product, so that the two can disagree.

// fields are the fields that requests may have, by place. An ! marks required ones.
var fields = map[string]string{
	"dashboard": "title! layout_type! widgets! description id url author_handle author_name created_at modified_at is_read_only notify_list " +
		"reflow_type restricted_roles tabs tags template_variables template_variable_presets default_timeframe experience_type",
	"widget":            "definition! id layout",
	"layout":            "x! y! width! height! is_column_break",
	"template_variable": "name! prefix type available_values default defaults",
	"tab":               "id name! widget_ids!",
	"monitor": "name type! query! message tags options priority restricted_roles classification draft_status id created creator deleted matching_downtimes modified " +
		"multi overall_state state assets",
	"options": "thresholds threshold_windows include_tags notify_audit notify_no_data no_data_timeframe require_full_window renotify_interval renotify_occurrences " +
		"renotify_statuses new_group_delay new_host_delay evaluation_delay timeout_h escalation_message on_missing_data notify_by notification_preset_name " +
		"group_retention_duration scheduling_options silenced locked enable_logs_sample groupby_simple_monitor min_failure_duration min_location_failed " +
		"synthetics_check_id device_ids aggregation variables",
	"thresholds":        "critical critical_recovery ok unknown warning warning_recovery",
	"threshold_windows": "trigger_window recovery_window",
	"slo": "name! type! thresholds! description tags groups monitor_ids query sli_specification target_threshold timeframe warning_threshold " +
		"id created_at modified_at creator monitor_tags type_id",
	"threshold":  "target! timeframe! warning target_display warning_display",
	"downtime":   "type! attributes! id",
	"attributes": "scope! monitor_identifier! display_timezone message mute_first_recovery_notification notify_end_states notify_end_types schedule",
	"change":     "scope monitor_identifier display_timezone message mute_first_recovery_notification notify_end_states notify_end_types schedule",
	"recurring":  "recurrences! timezone",
	"once":       "start end",
	"recurrence": "duration! rrule! start",
}

// definitions are the fields of widgets in addition to those of all. Other types are
// accepted as they are.
const everyWidget = "type! title title_size title_align "

var definitions = map[string]string{
	"timeseries":    "requests! description time custom_links show_legend legend_size legend_layout legend_columns yaxis right_yaxis markers events",
	"query_value":   "requests! description time custom_links autoscale precision custom_unit text_align timeseries_background",
	"toplist":       "requests! description time custom_links style",
	"query_table":   "requests! description time custom_links has_search_bar",
	"list_stream":   "requests! description time show_legend legend_size",
	"note":          "content! background_color font_size text_align vertical_align show_tick tick_pos tick_edge has_padding",
	"group":         "widgets! layout_type! background_color banner_img show_title",
	"slo":           "view_type! slo_id time_windows view_mode show_error_budget global_time_target additional_query_filters description",
	"check_status":  "check! grouping! group group_by tags time description",
	"manage_status": "query! summary_type display_format sort color_preference hide_zero_counts show_last_triggered show_priority show_status count start",
}

// enums are the values of fields with these names, wherever a rule has a place for them.
var enums = map[string][]string{
	"layout_type":       {"ordered", "free"},
	"reflow_type":       {"auto", "fixed"},
	"data.type":         {"downtime"},
	"notify_end_states": {"alert", "no data", "warn"},
	"notify_end_types":  {"canceled", "expired"},
	"on_missing_data":   {"show_no_data", "show_and_notify_no_data", "resolve", "default"},
	"slo.type":          {"metric", "monitor", "time_slice"},
	"timeframe":         {"7d", "30d", "90d", "custom"},
	"data_source": {"metrics", "spans", "logs", "trace_stream", "slo", "events", "rum", "process", "container", "cloud_cost", "apm_resource_stats", "apm_dependency_stats",
		"logs_stream", "monitors"},
}

// rules collects what is wrong with a request.
type rules struct{ problems []string }

func (r *rules) note(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// refusal returns the answer to a request with problems, or the zero value.
func (r *rules) refusal() reply {
	if len(r.problems) == 0 {
		return reply{}
	}
	return refuse(http.StatusBadRequest, "%s", strings.Join(r.problems, "; "))
}

// object compares v with the fields of a place.
func (r *rules) object(place, known string, v any) map[string]any {
	o, ok := v.(map[string]any)
	if !ok {
		r.note("%s: not an object: %v", place, v)
		return nil
	}
	all := strings.Fields(known)
	for key := range o {
		if !slices.Contains(all, key) && !slices.Contains(all, key+"!") {
			r.note("%s: Additional properties are not allowed ('%s' was unexpected)", place, key)
		}
	}
	for _, name := range all {
		if name, required := strings.CutSuffix(name, "!"); required && o[name] == nil {
			r.note("%s: '%s' is a required property", place, name)
		}
	}
	return o
}

// each calls f for each element of a list, which may be absent.
func (r *rules) each(place string, v any, f func(any)) {
	if v == nil {
		return
	}
	all, ok := v.([]any)
	if !ok {
		r.note("%s: not a list", place)
	}
	for _, e := range all {
		f(e)
	}
}

// enum compares v, which may be absent, with the values of a field.
func (r *rules) enum(field string, v any) {
	if s, ok := v.(string); v != nil && (!ok || !slices.Contains(enums[field], s)) {
		r.note("Value of parameter '%s' should be any of these %v, not %v", field, enums[field], v)
	}
}

// kind reports v, which may be absent, unless it has the type of one of the examples.
func (r *rules) kind(place string, v any, examples ...any) {
	if v != nil && !slices.ContainsFunc(examples, func(e any) bool { return fmt.Sprintf("%T", e) == fmt.Sprintf("%T", v) }) {
		r.note("%s: %v has the wrong type", place, v)
	}
}

func (r *rules) dashboard(body map[string]any) {
	r.object("dashboard", fields["dashboard"], body)
	r.enum("layout_type", body["layout_type"])
	r.enum("reflow_type", body["reflow_type"])
	r.kind("title", body["title"], "")
	r.kind("description", body["description"], "")
	r.each("tags", body["tags"], func(tag any) {
		if s, _ := tag.(string); !strings.HasPrefix(s, "team:") {
			r.note("Invalid tag format. Valid tag keys are: team.")
		}
	})
	r.each("template_variables", body["template_variables"], func(v any) { r.object("template variable", fields["template_variable"], v) })
	r.each("tabs", body["tabs"], func(v any) {
		tab := r.object("tab", fields["tab"], v)
		r.each("widget_ids", tab["widget_ids"], func(id any) { r.kind("widget_ids", id, json.Number("1"), "@1") })
	})
	r.widgets(body["widgets"])
}

func (r *rules) widgets(v any) {
	r.each("widgets", v, func(w any) {
		o := r.object("widget", fields["widget"], w)
		r.kind("widget id", o["id"], json.Number("1"))
		if o["layout"] != nil {
			for name, n := range r.object("layout", fields["layout"], o["layout"]) {
				r.kind("layout."+name, n, json.Number("1"), true)
			}
		}
		d, _ := o["definition"].(map[string]any)
		name, _ := d["type"].(string)
		if name == "" {
			r.note("Invalid widget definition: 'type' is a required property")
		}
		if known, ok := definitions[name]; ok {
			r.object(name, everyWidget+known, d)
		}
		r.widgets(d["widgets"])
		r.each("requests", d["requests"], r.request)
	})
}

// request checks that formulas use the queries of the request, and queries their names.
func (r *rules) request(v any) {
	o, _ := v.(map[string]any)
	var names []string
	r.each("queries", o["queries"], func(q any) {
		query := r.object("query", "name! data_source! query search compute indexes group_by aggregator storage cross_org_uuids semantic_mode", q)
		r.enum("data_source", query["data_source"])
		name, _ := query["name"].(string)
		if slices.Contains(names, name) {
			r.note("two queries are named %s", name)
		}
		names = append(names, name)
	})
	r.each("formulas", o["formulas"], func(f any) {
		formula := r.object("formula", "formula! alias limit cell_display_mode cell_display_mode_options conditional_formats number_format style", f)
		text, _ := formula["formula"].(string)
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(text, name) }) {
			r.note("formula %q uses no query", text)
		}
	})
}

func (r *rules) monitor(body map[string]any) {
	r.object("monitor", fields["monitor"], body)
	r.kind("name", body["name"], "")
	r.kind("message", body["message"], "")
	r.kind("priority", body["priority"], json.Number("1"))
	if body["options"] == nil {
		return
	}
	o := r.object("options", fields["options"], body["options"])
	for _, name := range []string{"include_tags", "notify_audit", "notify_no_data", "require_full_window", "locked"} {
		r.kind(name, o[name], true)
	}
	for _, name := range []string{"no_data_timeframe", "renotify_interval", "new_group_delay", "new_host_delay", "evaluation_delay", "timeout_h"} {
		r.kind(name, o[name], json.Number("1"))
	}
	r.enum("on_missing_data", o["on_missing_data"])
	if o["on_missing_data"] != nil && (o["notify_no_data"] == true || o["no_data_timeframe"] != nil) {
		r.note("on_missing_data cannot stand beside notify_no_data and no_data_timeframe")
	}
	if o["thresholds"] != nil {
		for name, v := range r.object("thresholds", fields["thresholds"], o["thresholds"]) {
			r.kind("thresholds."+name, v, json.Number("1"))
		}
	}
	if o["threshold_windows"] != nil {
		r.object("threshold_windows", fields["threshold_windows"], o["threshold_windows"])
	}
	query, _ := body["query"].(string)
	if o["new_group_delay"] != nil && !strings.Contains(query, " by {") && !strings.Contains(query, ".by(") {
		r.note("new_group_delay is for monitors with groups")
	}
}

func (r *rules) slo(body map[string]any) {
	r.object("slo", fields["slo"], body)
	r.enum("slo.type", body["type"])
	if body["type"] == "metric" && body["query"] == nil && body["sli_specification"] == nil {
		r.note("Invalid payload: must specify the query for count types")
	}
	if body["type"] == "monitor" && body["monitor_ids"] == nil {
		r.note("Invalid payload: must specify monitor_ids")
	}
	n := 0
	r.each("thresholds", body["thresholds"], func(v any) {
		n++
		t := r.object("threshold", fields["threshold"], v)
		r.enum("timeframe", t["timeframe"])
		r.kind("target", t["target"], json.Number("1"))
	})
	if n == 0 {
		r.note("an SLO needs a threshold")
	}
}

// downtime checks the attributes of a downtime, of a creation or a change.
func (r *rules) downtime(body map[string]any, known string) {
	data := r.object("data", fields["downtime"], body["data"])
	r.enum("data.type", data["type"])
	a := r.object("attributes", known, data["attributes"])
	for _, name := range []string{"notify_end_states", "notify_end_types"} {
		r.each(name, a[name], func(v any) { r.enum(name, v) })
	}
	if m, ok := a["monitor_identifier"].(map[string]any); ok && (len(m) != 1 || m["monitor_id"] == nil && m["monitor_tags"] == nil) {
		r.note("monitor_identifier needs monitor_id or monitor_tags")
	} else if ok && m["monitor_id"] != nil {
		r.kind("monitor_id", m["monitor_id"], json.Number("1"))
	}
	schedule, ok := a["schedule"].(map[string]any)
	if !ok {
		return
	}
	if schedule["recurrences"] == nil {
		r.object("schedule", fields["once"], schedule)
		return
	}
	r.object("schedule", fields["recurring"], schedule)
	r.each("recurrences", schedule["recurrences"], func(v any) { r.object("recurrence", fields["recurrence"], v) })
}
