package provision

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// KindOf returns the kind of resource that an ID of this form belongs to.
func KindOf(id string) (Kind, error) {
	for _, kind := range kinds {
		if apis[kind].id.MatchString(id) {
			return kind, nil
		}
	}
	return "", fmt.Errorf("%q is not an ID: a monitor has a number, a dashboard an ID like abc-def-ghi, an SLO 32 hexadecimal digits, a downtime a UUID", id)
}

// dropped are the fields of an answer that do not belong in a definition: authors,
// dates, states, and who may see and change the resource.
var dropped = map[Kind][]string{
	Dashboard: {"id", "url", "author_handle", "author_name", "created_at", "modified_at", "is_read_only", "notify_list", "restricted_roles", "experience_type"},
	Monitor: {"id", "org_id", "created", "created_at", "creator", "modified", "deleted", "multi", "overall_state", "overall_state_modified",
		"state", "matching_downtimes", "restricted_roles", "restriction_policy", "restricted", "assets", "draft_status", "run_as"},
	SLO: {"id", "created_at", "modified_at", "creator", "monitor_tags", "type_id"},
}

// Export returns a resource as a definition, without a marker and without the fields
// that the API adds. It escapes text that looks like a placeholder. The problems are
// parts that the specification does not know.
func (c *Client) Export(ctx context.Context, id string) (Ref, []byte, []Problem, error) {
	kind, err := KindOf(id)
	if err != nil {
		return Ref{}, nil, nil, err
	}
	o, err := c.get(ctx, kind, id)
	if err != nil {
		return Ref{}, nil, nil, err
	}
	removeMark(kind, o.body)
	title := o.title()
	body := definitionOf(kind, o.body)
	problems := Check(kind, body)
	body = escape(body).(map[string]any)
	moveStarts(body)
	return Ref{kind, slug(title, id)}, marshal(body), problems, nil
}

// definitionOf returns the part of a body from the API that belongs in a definition.
func definitionOf(kind Kind, body map[string]any) map[string]any {
	switch kind {
	case Downtime:
		have := attributes(withoutFirst(body))
		want := map[string]any{}
		for _, name := range []string{"display_timezone", "message", "monitor_identifier", "mute_first_recovery_notification",
			"notify_end_states", "notify_end_types", "schedule", "scope"} {
			if v := have[name]; v != nil {
				want[name] = v
			}
		}
		schedule, _ := want["schedule"].(map[string]any)
		delete(schedule, "current_downtime")
		return map[string]any{"data": map[string]any{"type": "downtime", "attributes": want}}
	case Monitor:
		options, _ := body["options"].(map[string]any)
		delete(options, "silenced")
		delete(options, "avalanche_window")
	case SLO:
		for _, t := range list(body["thresholds"]) {
			t, _ := t.(map[string]any)
			delete(t, "target_display")
			delete(t, "warning_display")
		}
		if body["sli_specification"] != nil {
			delete(body, "query") // the API derives it from sli_specification
		}
	case Dashboard:
		if len(list(body["tabs"])) == 0 { // tabs name widgets by ID
			withoutIDs(body["widgets"])
		}
	}
	for key, v := range body {
		if v == nil || slices.Contains(dropped[kind], key) {
			delete(body, key)
		}
	}
	return body
}

var startClock = regexp.MustCompile(`T(\d\d:\d\d)(:00)?$`)

// moveStarts replaces the starts of recurrences on days of the week by placeholders: the
// API accepts no past start, and a downtime that has begun has one.
func moveStarts(body map[string]any) {
	schedule, _ := attributes(body)["schedule"].(map[string]any)
	for _, r := range list(schedule["recurrences"]) {
		r, _ := r.(map[string]any)
		text, _ := r["start"].(string)
		rule, _ := r["rrule"].(string)
		clock := startClock.FindStringSubmatch(text)
		if on := daysOf(rule); clock != nil && on != nil {
			r["start"] = fmt.Sprintf("${next:%s@%s}", strings.Join(on, ","), clock[1])
		}
	}
}

// withoutIDs removes the IDs of widgets, including those in groups.
func withoutIDs(widgets any) {
	for _, w := range list(widgets) {
		w, _ := w.(map[string]any)
		delete(w, "id")
		definition, _ := w["definition"].(map[string]any)
		withoutIDs(definition["widgets"])
	}
}

// list returns v as a list, or nil.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// escape escapes what looks like a placeholder in the strings of v.
func escape(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "${", "$${")
	case []any:
		for i := range v {
			v[i] = escape(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = escape(v[key])
		}
	}
	return v
}

// slug returns a definition's key for a title, or id if the title gives none.
func slug(title, id string) string {
	s := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(title), "-"), "-")
	const most = 60 // characters: enough to recognize the title in a file name
	if len(s) > most {
		s = strings.Trim(s[:most], "-")
	}
	if s == "" {
		return id
	}
	return s
}
