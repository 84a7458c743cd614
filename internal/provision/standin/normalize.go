package standin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// normalize fills in fields and rewrites values, as the API does.
func (s *Server) normalize(kind Kind, o *object) {
	b := o.body
	b["id"] = o.id
	delete(b, s.ignored[kind])
	fill := func(m map[string]any, values map[string]any) {
		for key, v := range values {
			if m[key] == nil {
				m[key] = v
			}
		}
	}
	author := map[string]any{"name": nil, "handle": "frog@example.com", "email": "frog@example.com"}
	switch kind {
	case SLO:
		fill(b, map[string]any{"description": "", "monitor_tags": []any{}})
		b["type_id"] = map[any]int{"metric": 1, "monitor": 0, "time_slice": 2}[b["type"]]
		b["creator"], b["created_at"], b["modified_at"] = author, s.now().Unix(), s.now().Unix()
		b["tags"] = sorted(b["tags"])
		thresholds := b["thresholds"].([]any)
		days := func(threshold any) int {
			n, _ := strconv.Atoi(strings.TrimSuffix(fmt.Sprint(threshold.(map[string]any)["timeframe"]), "d"))
			return n
		}
		slices.SortFunc(thresholds, func(x, y any) int { return days(y) - days(x) }) // the longest timeframe first
		for _, t := range thresholds {
			t := t.(map[string]any)
			t["target"] = float(t["target"])
			t["target_display"] = strings.TrimSuffix(text(t["target"]), "0")
			if t["warning"] != nil {
				t["warning_display"] = strings.TrimSuffix(text(t["warning"]), "0")
			}
		}
		spec, _ := b["sli_specification"].(map[string]any)
		if slice, ok := spec["time_slice"].(map[string]any); ok {
			fill(slice, map[string]any{"query_interval_seconds": 300})
		}
		if _, ok := spec["count"]; ok {
			b["query"] = map[string]any{"numerator": "good", "denominator": "good + bad"}
		}
	case Dashboard:
		fill(b, map[string]any{"description": nil, "notify_list": nil, "template_variables": nil, "author_name": nil, "is_read_only": false, "restricted_roles": []any{}})
		b["author_handle"] = "frog@example.com"
		b["url"] = "/dashboard/" + o.id + "/" + strings.ReplaceAll(strings.ToLower(fmt.Sprint(b["title"])), " ", "-")
		b["created_at"], b["modified_at"] = s.time(), s.time()
		s.identify(b["widgets"])
		places(b)
	case Monitor:
		b["id"] = json.Number(o.id)
		b["query"] = strings.TrimSpace(b["query"].(string))
		if simple.MatchString(b["query"].(string)) && b["type"] == "query alert" {
			b["type"] = "metric alert"
		}
		options, _ := b["options"].(map[string]any)
		if options == nil {
			options = map[string]any{}
		}
		fill(options, map[string]any{"notify_audit": false, "include_tags": true, "new_host_delay": 300, "notify_no_data": false,
			"groupby_simple_monitor": false, "silenced": map[string]any{}})
		if strings.Contains(b["query"].(string), "anomalies(") {
			options["avalanche_window"] = 20
		}
		thresholds, _ := options["thresholds"].(map[string]any)
		for key, v := range thresholds {
			if v == nil {
				delete(thresholds, key)
				continue
			}
			thresholds[key] = float(v)
		}
		b["options"] = options
		b["multi"] = strings.Contains(b["query"].(string), " by {") || strings.Contains(b["query"].(string), ".by(")
		fill(b, map[string]any{"org_id": 321813, "creator": author, "overall_state": "No Data", "overall_state_modified": nil, "deleted": nil,
			"restricted_roles": nil, "restriction_policy": nil, "draft_status": "published", "assets": []any{}, "tags": []any{}, "priority": nil})
		b["created"], b["created_at"], b["modified"] = s.time(), s.now().UnixMilli(), s.time()
	case Downtime:
		a := b["attributes"].(map[string]any)
		fill(a, map[string]any{"display_timezone": "UTC", "message": nil, "mute_first_recovery_notification": false, "notify_end_states": []any{"alert", "no data", "warn"},
			"notify_end_types": []any{"expired"}, "status": "scheduled", "canceled": nil, "created": s.time()})
		a["modified"] = s.time()
		if schedule, ok := a["schedule"].(map[string]any); ok {
			schedule["current_downtime"] = map[string]any{"start": s.time(), "end": s.time()}
		}
		b["relationships"] = map[string]any{"monitor": map[string]any{"data": nil}}
	}
}

// places replaces the places that tabs name widgets by, such as @1, with IDs.
func places(b map[string]any) {
	widgets, _ := b["widgets"].([]any)
	tabs, _ := b["tabs"].([]any)
	for _, t := range tabs {
		ids, _ := t.(map[string]any)["widget_ids"].([]any)
		for i, id := range ids {
			if n, err := strconv.Atoi(strings.TrimPrefix(fmt.Sprint(id), "@")); err == nil && n <= len(widgets) && strings.HasPrefix(fmt.Sprint(id), "@") {
				ids[i] = widgets[n-1].(map[string]any)["id"]
			}
		}
	}
}

// identify gives each widget an ID, including those in groups.
func (s *Server) identify(widgets any) {
	list, _ := widgets.([]any)
	for _, w := range list {
		w := w.(map[string]any)
		if w["id"] == nil {
			w["id"] = json.Number(strconv.FormatInt(1+s.random.Int64N(9_000_000_000_000_000), 10))
		}
		s.identify(w["definition"].(map[string]any)["widgets"])
	}
}

// float returns a number in the API's form: 800.0 for 800.
func float(v any) any {
	if n, ok := v.(json.Number); ok && !strings.ContainsAny(n.String(), ".eE") {
		return json.Number(n.String() + ".0")
	}
	return v
}

// sorted returns tags in lower case and sorted, as the API stores those of an SLO.
func sorted(tags any) []any {
	list, _ := tags.([]any)
	out := []any{}
	for _, tag := range list {
		out = append(out, strings.ToLower(tag.(string)))
	}
	slices.SortFunc(out, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return out
}
