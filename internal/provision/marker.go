package provision

import (
	"regexp"
	"slices"
	"strings"
)

// Each resource that this package creates carries a marker. Monitors and SLOs carry
// two tags. Dashboards, whose tags may only name teams, and downtimes, which have no
// tags, carry a line at the end of their text.
const (
	// ManagedTag is on every monitor and SLO that apply creates. The files do not have it.
	ManagedTag = "managed-by:apmapp-provision"
	idTag      = "provision-id:" // then stack/key
)

// mark returns the marker that identifies a definition among those of its kind in an
// account.
func mark(stack, key string) string { return stack + "/" + key }

// Datadog cuts off longer tags. A marker that was cut off would not be found again.
const longestTag = 200

const markLine = "[apmapp-provision:%]"

var markPattern = regexp.MustCompile(`\[apmapp-provision:([a-z0-9_./-]+)\]`)

// text returns the place of the marker of a kind without tags, or nil.
func (k Kind) text(body map[string]any) (holder map[string]any, field string) {
	switch k {
	case Dashboard:
		return body, "description"
	case Downtime:
		return attributes(body), "message"
	}
	return nil, ""
}

// attributes returns the attributes of a downtime's request or response.
func attributes(body map[string]any) map[string]any {
	if data, ok := body["data"].(map[string]any); ok {
		body = data
	}
	a, _ := body["attributes"].(map[string]any)
	if a == nil {
		a = map[string]any{}
	}
	return a
}

// addMark adds the marker to a body. It leaves a value of the wrong type there as it
// is, for Check to report.
func addMark(kind Kind, body map[string]any, mark string) {
	if holder, field := kind.text(body); holder != nil {
		text, ok := holder[field].(string)
		if !ok && holder[field] != nil {
			return
		}
		holder[field] = strings.TrimSpace(text + "\n\n" + strings.Replace(markLine, "%", mark, 1))
		return
	}
	tags, ok := body["tags"].([]any)
	if !ok && body["tags"] != nil {
		return
	}
	body["tags"] = append(slices.Clone(tags), ManagedTag, idTag+mark)
}

// inText returns the markers in the text of a resource without tags, and the text after
// the last one.
func (k Kind) inText(body map[string]any) (all []string, after string) {
	holder, field := k.text(body)
	text, _ := holder[field].(string)
	for _, m := range markPattern.FindAllStringSubmatchIndex(text, -1) {
		all, after = append(all, text[m[2]:m[3]]), text[m[1]:]
	}
	return all, after
}

// cloned matches the text after the marker of a clone.
var cloned = regexp.MustCompile(`(?i)^\s*(\((cloned|clone|copy)\)\s*)+$`)

// marks returns the markers in a body from the API. A clone that somebody made in the
// pages has none: Datadog adds "(cloned)" to the text that it copies.
func marks(kind Kind, body map[string]any) []string {
	if holder, _ := kind.text(body); holder != nil {
		all, after := kind.inText(body)
		if cloned.MatchString(after) {
			return nil
		}
		return all
	}
	tags := list(body["tags"])
	if !slices.Contains(tags, any(ManagedTag)) {
		return nil
	}
	var all []string
	for _, tag := range tags {
		if s, ok := tag.(string); ok && strings.HasPrefix(s, idTag) {
			all = append(all, strings.TrimPrefix(s, idTag))
		}
	}
	return all
}

// removeMark removes the markers from a body, for Export.
func removeMark(kind Kind, body map[string]any) {
	if holder, field := kind.text(body); holder != nil {
		if text, ok := holder[field].(string); ok {
			holder[field] = strings.TrimSpace(markPattern.ReplaceAllString(text, ""))
		}
		return
	}
	if tags, ok := body["tags"].([]any); ok {
		body["tags"] = slices.DeleteFunc(tags, func(tag any) bool {
			s, _ := tag.(string)
			return s == ManagedTag || strings.HasPrefix(s, idTag)
		})
	}
}
