package provision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A PUT replaces a resource, so what a request lacks is gone. carryOver adds to a
// definition's body what the account's resource has and the definition does not own: who
// may see, edit and follow a resource, its teams, mutings, the IDs of widgets. diff
// reports every removal, so apply removes nothing that plan does not show.
func carryOver(kind Kind, want, have map[string]any) map[string]any {
	if kind == Downtime {
		return clone(want) // a PATCH keeps what it lacks
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
		field, _ := m.field(key)
		if key == "widgets" { // also those of a group
			field = "[]Widget"
		}
		all[key] = c.value(field, below(path, key), w, have[key])
	}
	for key, h := range have {
		at := below(path, key)
		_, wanted := want[key]
		field, _ := m.field(key)
		bare := slices.Contains([]string{"null", "[]", "{}"}, short(h))
		if !wanted && !bare && field != "" && !c.watched(at) && !equal(h, defaults[c.kind][at]) && !c.addedByAPI(at) && !slices.Contains(derived[c.kind], at) {
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
		all := make([]any, len(w))
		others, _ := partners(w, list(have))
		for i, other := range others {
			all[i] = c.value(strings.TrimPrefix(t, "[]"), path, w[i], other)
		}
		return all
	}
	return clone(want)
}

// partners returns for each element of want the element of have that stands for the same,
// or nil, and the other elements of have. People insert, remove and reorder elements, so the
// same place in both lists counts only for a widget whose title changed.
func partners(want, have []any) (all, rest []any) {
	all = make([]any, len(want))
	used := map[int]bool{}
	match := func(same func(i, j int) bool) {
		for i := range want {
			for j := range have {
				if all[i] == nil && !used[j] && same(i, j) {
					all[i], used[j] = have[j], true
				}
			}
		}
	}
	match(func(i, j int) bool { n := nameOf(want[i]); return n != "" && n == nameOf(have[j]) })
	match(func(i, j int) bool {
		t := widgetType(want[i])
		return i == j && t != "" && t == widgetType(have[j])
	})
	for j, h := range have {
		if !used[j] {
			rest = append(rest, h)
		}
	}
	return all, rest
}

// widgetType returns the type of a widget. It returns "" for all other values.
func widgetType(v any) string {
	o, _ := v.(map[string]any)
	d, _ := o["definition"].(map[string]any)
	t, _ := d["type"].(string)
	return t
}

// nameOf returns a text that identifies an element of a list: a widget's type and title, a
// threshold's time frame, or the field name of any other element. It returns "" if the
// element has no such field.
func nameOf(v any) string {
	o, _ := v.(map[string]any)
	if t := widgetType(v); t != "" {
		return fmt.Sprint(t, " ", o["definition"].(map[string]any)["title"])
	}
	name, _ := cmp.Or(o["timeframe"], o["name"]).(string)
	return name
}
