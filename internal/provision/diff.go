package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Change is a difference between an account and a definition. Have is nil if the
// account lacks the value, Want if the definition does.
type Change struct {
	Path       string
	Have, Want any
}

// diff compares a definition with the API's answer. The API adds fields, fills in
// defaults, reorders lists that are sets, and writes some values in another form.
// None of these are changes. moving lists paths where only the time of day is
// compared, not the date.
func diff(kind Kind, want, have map[string]any, moving map[string]bool) []Change {
	switch kind {
	case Downtime:
		want, have = withoutFirst(want), withoutFirst(have)
	case Dashboard:
		want, have = withPlaces(want), withPlaces(have)
	}
	c := comparer{kind: kind, moving: moving}
	c.object("", want, have)
	return c.changes
}

// withPlaces returns a dashboard whose widgets have no IDs and whose tabs name widgets by
// place, such as @1: the API gives new IDs.
func withPlaces(body map[string]any) map[string]any {
	places := map[string]any{}
	for i, w := range objects(body["widgets"]) {
		if w["id"] != nil {
			places[fmt.Sprint(w["id"])] = fmt.Sprintf("@%d", i+1)
		}
	}
	body = clone(body)
	eachWidget(body["widgets"], func(w, _ map[string]any) { delete(w, "id") })
	for _, t := range objects(body["tabs"]) {
		ids := list(t["widget_ids"])
		for i, id := range ids {
			if at := places[fmt.Sprint(id)]; at != nil {
				ids[i] = at
			}
		}
	}
	return body
}

type comparer struct {
	kind    Kind
	moving  map[string]bool
	changes []Change
}

var index = regexp.MustCompile(`\[\d+\]`)

// sets are lists whose order has no meaning, by kind and path without indexes.
var sets = map[Kind][]string{
	SLO:       {"tags", "groups", "monitor_ids"},
	Dashboard: {"tags", "notify_list", "restricted_roles"},
	Monitor:   {"tags", "restricted_roles", "options.renotify_statuses"},
	Downtime: {"data.attributes.notify_end_states", "data.attributes.notify_end_types",
		"data.attributes.monitor_identifier.monitor_tags"},
}

// watched reports whether apply removes a field that the definition lacks, because
// somebody added it in the pages. Elsewhere the API itself adds fields.
func (c *comparer) watched(path string) bool {
	path = index.ReplaceAllString(path, "")
	switch c.kind {
	case Dashboard:
		// The API returns widgets unchanged, except for an added ID.
		return strings.HasPrefix(path, "widgets.") && !strings.HasSuffix(path, ".id") ||
			path == "template_variables" || path == "template_variable_presets" || path == "tabs"
	case Monitor:
		return slices.Contains(optional, path) || strings.HasPrefix(path, "options.thresholds.")
	}
	return false
}

// optional lists the options of a monitor that are empty, or as in defaults, unless
// somebody sets them.
var optional = []string{
	"options.escalation_message", "options.evaluation_delay", "options.group_retention_duration", "options.locked",
	"options.min_failure_duration", "options.new_group_delay", "options.new_host_delay", "options.no_data_timeframe",
	"options.notification_preset_name", "options.notify_audit", "options.notify_by", "options.notify_no_data", "options.on_missing_data",
	"options.renotify_interval", "options.renotify_occurrences", "options.renotify_statuses", "options.scheduling_options",
	"options.threshold_windows", "options.timeout_h",
}

// defaults are the values that the API fills in where a definition has none, or leaves
// out where a definition has them.
var defaults = map[Kind]map[string]any{
	Monitor: {
		"options.new_host_delay":           json.Number("300"),
		"options.on_missing_data":          "default",
		"options.notification_preset_name": "show_all",
		"draft_status":                     "published",
		"classification":                   "custom",
	},
	Downtime: {
		"data.attributes.display_timezone":  "UTC",
		"data.attributes.schedule.timezone": "UTC",
	},
}

// addedByAPI reports whether the API sets the field at path itself.
func (c *comparer) addedByAPI(path string) bool {
	return slices.Contains(added[c.kind], index.ReplaceAllString(path, ""))
}

func (c *comparer) object(path string, want, have map[string]any) {
	keys := slices.Collect(maps.Keys(want))
	for key := range have {
		if _, ok := want[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		at := below(path, key)
		w, wanted := want[key]
		h := have[key]
		switch {
		case c.addedByAPI(at):
		case wanted:
			c.value(at, w, h)
		case c.watched(at) && !empty(h) && !equal(h, defaults[c.kind][at]):
			c.changes = append(c.changes, Change{at, h, nil})
		}
	}
}

func (c *comparer) value(path string, want, have any) {
	if empty(want) && empty(have) {
		return // to the API, an absent field equals null, false, 0, "", [] and {}
	}
	if d := defaults[c.kind][path]; d != nil && (have == nil && equal(want, d) || empty(want) && equal(have, d)) {
		return
	}
	if c.kind == Downtime && want == nil && strings.HasSuffix(path, ".start") {
		return // the API fills in the time of the request
	}
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			c.object(path, w, h)
			return
		}
	case []any:
		if h, ok := have.([]any); ok {
			c.list(path, w, h)
			return
		}
	default:
		if equal(c.normal(path, want), c.normal(path, have)) {
			return
		}
	}
	c.changes = append(c.changes, Change{path, have, want})
}

func (c *comparer) list(path string, want, have []any) {
	plain := index.ReplaceAllString(path, "")
	if slices.Contains(sets[c.kind], plain) {
		if !slices.Equal(c.set(want), c.set(have)) {
			c.changes = append(c.changes, Change{path, have, want})
		}
		return
	}
	if c.kind == SLO && plain == "thresholds" {
		same, others := partners(want, have)
		have = append(same, others...)
	}
	for i := range max(len(want), len(have)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(want):
			c.changes = append(c.changes, Change{at, have[i], nil})
		case i >= len(have):
			c.changes = append(c.changes, Change{at, nil, want[i]})
		default:
			c.value(at, want[i], have[i])
		}
	}
}

// set returns a list of strings in a form to compare: sorted, without duplicates,
// and in lower case, as the API writes tags.
func (c *comparer) set(list []any) []string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = strings.ToLower(fmt.Sprint(v))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// normal returns a value in the form in which the API may return it.
func (c *comparer) normal(path string, v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	if c.kind == Monitor && path == "type" && sameType(s, "query alert") {
		return "query alert"
	}
	if m := startClock.FindStringSubmatch(s); m != nil && c.moving[path] {
		return m[1]
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at.UTC().Format(time.RFC3339Nano) // the API writes +00:00 for Z
	}
	return s
}

// empty reports whether the API may leave the value out.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return strings.TrimSpace(v) == ""
	case json.Number:
		f, err := v.Float64()
		return err == nil && f == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// equal reports whether two JSON values are equal. Numbers are equal if their
// values are, such as 800 and 8e2.
func equal(a, b any) bool {
	an, aok := a.(json.Number)
	bn, bok := b.(json.Number)
	if aok && bok {
		x, xok := new(big.Rat).SetString(an.String())
		y, yok := new(big.Rat).SetString(bn.String())
		return xok && yok && x.Cmp(y) == 0
	}
	if aok || bok {
		return false
	}
	return bytes.Equal(marshal(a), marshal(b))
}

// writeChanges prints changes for people: the account's value after -, the
// definition's after +.
func writeChanges(w io.Writer, changes []Change) {
	for _, c := range changes {
		have, hok := c.Have.(string)
		want, wok := c.Want.(string)
		switch {
		case hok && wok && strings.Contains(have+want, "\n"):
			fmt.Fprintf(w, "    %s:\n", c.Path)
			for _, line := range lines(strings.TrimSpace(have), strings.TrimSpace(want)) {
				fmt.Fprintf(w, "      %s\n", line)
			}
		case c.Have == nil:
			fmt.Fprintf(w, "    %s: + %s\n", c.Path, short(c.Want))
		case c.Want == nil:
			fmt.Fprintf(w, "    %s: - %s\n", c.Path, short(c.Have))
		default:
			fmt.Fprintf(w, "    %s: %s -> %s\n", c.Path, short(c.Have), short(c.Want))
		}
	}
}

// short returns a value in one line.
func short(v any) string {
	var b bytes.Buffer
	if err := json.Compact(&b, marshal(v)); err != nil {
		return fmt.Sprint(v)
	}
	const most = 300 // characters, so that a widget does not fill the screen
	if s := []rune(b.String()); len(s) > most {
		return string(s[:most]) + "..."
	}
	return b.String()
}

// lines returns the lines of two texts: with - those that only have contains, with +
// those that only want contains.
func lines(have, want string) []string {
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
