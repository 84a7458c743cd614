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

// personal are the fields of people's decisions about one resource, which do not belong in
// a definition: who may see, change and follow it, mutings.
var personal = map[Kind][]string{
	Dashboard: {"is_read_only", "notify_list", "restricted_roles", "experience_type"},
	Monitor: {"restricted_roles", "restriction_policy", "restricted", "draft_status", "run_as",
		"options.silenced", "options.avalanche_window"},
	Downtime: {"data.attributes.canceled"},
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
	body = rewriteStrings(body, func(_, s string) any { return strings.ReplaceAll(s, "${", "$${") }).(map[string]any)
	moveStarts(body)
	return Ref{kind, slug(title, id)}, marshal(body), problems, nil
}

// definitionOf returns the part of a body from the API that belongs in a definition.
func definitionOf(kind Kind, body map[string]any) map[string]any {
	drop := slices.Concat(added[kind], personal[kind])
	switch {
	case kind == Downtime:
		body = map[string]any{"data": map[string]any{"type": "downtime", "attributes": attributes(withoutFirst(body))}}
	case kind == SLO && body["sli_specification"] != nil:
		drop = append(drop, "query") // the API derives it from sli_specification
	case kind == Dashboard && len(list(body["tabs"])) == 0: // tabs name widgets by ID
		eachWidget(body["widgets"], func(w, _ map[string]any) { delete(w, "id") })
	}
	return without(body, func(at string, v any) bool {
		return v == nil || slices.Contains(drop, index.ReplaceAllString(at, ""))
	})
}

// startClock finds the time of day in a start. The API may leave out the seconds.
var startClock = regexp.MustCompile(`T(\d\d:\d\d)(:00)?$`)

// moveStarts replaces the starts of recurrences on days of the week by placeholders: the
// API accepts no past start, and a downtime that has begun has one.
func moveStarts(body map[string]any) {
	for _, r := range objects(scheduleOf(body)["recurrences"]) {
		text, _ := r["start"].(string)
		rule, _ := r["rrule"].(string)
		clock := startClock.FindStringSubmatch(text)
		if on := daysOf(rule); clock != nil && on != nil {
			r["start"] = fmt.Sprintf("${next:%s@%s}", strings.Join(on, ","), clock[1])
		}
	}
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
