package provision

import (
	"encoding/json"
	"slices"
	"strings"
)

// A PUT replaces a resource, so what a request lacks is gone. carryOver adds to a
// definition's body what the account's resource has and the definition does not own: who
// may see, edit and follow a resource, its teams, mutings, the IDs of widgets. diff
// reports every removal, so apply removes nothing that plan does not show.
func carryOver(kind Kind, want, have map[string]any) map[string]any {
	if kind == Downtime {
		return clone(want).(map[string]any) // a PATCH keeps what it lacks
	}
	c := carrier{comparer{kind: kind}}
	return c.object(apis[kind].model, "", want, have)
}

// added are fields that the API sets itself. Requests may have them, without effect. Sent
// back they would be misleading, so neither diff nor carryOver looks at them.
var added = map[Kind][]string{
	Dashboard: {"id", "url", "author_handle", "author_name", "created_at", "modified_at"},
	Monitor: {"id", "created", "created_at", "creator", "deleted", "modified", "multi", "overall_state", "overall_state_modified", "state",
		"matching_downtimes", "assets", "org_id"},
	SLO:      {"id", "created_at", "modified_at", "creator", "monitor_tags", "type_id", "thresholds.target_display", "thresholds.warning_display"},
	Downtime: {"data.id", "data.attributes.created", "data.attributes.modified", "data.attributes.status", "data.attributes.schedule.current_downtime"},
}

// derived are fields that the API derives from others that the definition has. Sent
// back, they would contradict a change.
var derived = map[Kind][]string{
	SLO: {"query", "sli_specification", "timeframe", "target_threshold", "warning_threshold", "monitor_ids"},
}

type carrier struct{ comparer }

func (c carrier) object(t, path string, want, have map[string]any) map[string]any {
	all := map[string]any{}
	m := schema()[t]
	for key, w := range want {
		field := m.field(key)
		if key == "widgets" { // also those of a group
			field = "[]Widget"
		}
		all[key] = c.value(field, below(path, key), w, have[key])
	}
	for key, h := range have {
		at := below(path, key)
		_, wanted := want[key]
		if !wanted && h != nil && !bare(h) && m.field(key) != "" && !c.watched(at) && !equal(h, defaults[c.kind][at]) && !c.addedByAPI(at) && !slices.Contains(derived[c.kind], at) {
			all[key] = clone(h)
		}
	}
	return all
}

func (c carrier) value(t, path string, want, have any) any {
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			return c.object(t, path, w, h)
		}
	case []any:
		h := list(have)
		if c.kind == SLO && path == "thresholds" {
			h = inOrder(w, h, "timeframe")
		}
		all := make([]any, len(w))
		for i := range w {
			var other any
			if i < len(h) && sameElement(w[i], h[i]) {
				other = h[i]
			}
			all[i] = c.value(strings.TrimPrefix(t, "[]"), path, w[i], other)
		}
		return all
	}
	return clone(want)
}

// sameElement reports whether two elements of lists stand for the same: widgets of the
// same type, thresholds of the same time frame.
func sameElement(a, b any) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	kind := func(o map[string]any) any {
		if d, ok := o["definition"].(map[string]any); ok {
			return d["type"]
		}
		return o["timeframe"]
	}
	return x != nil && y != nil && kind(x) == kind(y)
}

// field returns the type of a model's field, or "".
func (m model) field(name string) string {
	if t, ok := m.fields[name+"!"]; ok {
		return t
	}
	return m.fields[name]
}

// clone returns a deep copy of a JSON value.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		all := map[string]any{}
		for key, e := range v {
			all[key] = clone(e)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = clone(e)
		}
		return all
	case json.Number, string, bool, nil:
		return v
	}
	return v
}

// bare reports whether a value is a list or an object without elements.
func bare(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
