package provision

import (
	"regexp"
	"slices"
	"strings"
)

// What was made here says so. A monitor and an SLO carry two tags; a dashboard,
// whose tags may only name teams, and a downtime, which has none, carry a line at
// the end of the text that people read.
const (
	managedTag = "managed-by:apmapp-provision"
	idTag      = "provision-id:" // of stack/key
)

// mark names a definition within an account, but for its kind.
func mark(stack, key string) string { return stack + "/" + key }

const markLine = "[apmapp-provision:%]"

var markPattern = regexp.MustCompile(`\[apmapp-provision:([a-z0-9_./-]+)\]`)

// text is where a kind without tags keeps its marker.
func (k Kind) text(body map[string]any) (holder map[string]any, field string) {
	switch k {
	case Dashboard:
		return body, "description"
	case Downtime:
		return attributes(body), "message"
	}
	return nil, ""
}

// attributes are a downtime's, in a request or a response.
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

// addMark marks a body that is about to be sent. Where the place is taken by what
// has no business there, it stays, for Check to find.
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
	body["tags"] = append(slices.Clone(tags), managedTag, idTag+mark)
}

// marks are the markers in a body from the API.
func marks(kind Kind, body map[string]any) []string {
	var all []string
	if holder, field := kind.text(body); holder != nil {
		text, _ := holder[field].(string)
		for _, m := range markPattern.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		return all
	}
	tags, _ := body["tags"].([]any)
	if !slices.Contains(tags, any(managedTag)) {
		return nil
	}
	for _, tag := range tags {
		if s, ok := tag.(string); ok && strings.HasPrefix(s, idTag) {
			all = append(all, strings.TrimPrefix(s, idTag))
		}
	}
	return all
}

// removeMark takes markers away, as export does.
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
			return s == managedTag || strings.HasPrefix(s, idTag)
		})
	}
}
