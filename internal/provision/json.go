package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// absent is the value of a field that rewrite leaves out.
type absent struct{}

// rewrite returns a copy of a JSON value in which f has replaced each value, from the
// outside to the inside, in the order of the paths.
func rewrite(at string, v any, f func(at string, v any) any) any {
	switch v := f(at, v).(type) {
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = rewrite(fmt.Sprintf("%s[%d]", at, i), e, f)
		}
		return all
	case map[string]any:
		all := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if e := rewrite(below(at, key), v[key], f); e != (absent{}) {
				all[key] = e
			}
		}
		return all
	default:
		return v
	}
}

// clone returns a deep copy of a JSON value.
func clone[T any](v T) T {
	c, _ := rewrite("", v, func(_ string, v any) any { return v }).(T)
	return c
}

// rewriteStrings is rewrite for strings only.
func rewriteStrings(v any, f func(at, s string) any) any {
	return rewrite("", v, func(at string, v any) any {
		if s, ok := v.(string); ok {
			return f(at, s)
		}
		return v
	})
}

// without returns a copy of a JSON object without the fields, at any depth, for which drop
// returns true.
func without(body map[string]any, drop func(at string, v any) bool) map[string]any {
	return rewrite("", body, func(at string, v any) any {
		if field := at != "" && !strings.HasSuffix(at, "]"); field && drop(at, v) {
			return absent{}
		}
		return v
	}).(map[string]any)
}

// walk calls f for each string in v with its path, in the order of the paths.
func walk(v any, f func(at, s string)) {
	rewriteStrings(v, func(at, s string) any { f(at, s); return s })
}

// below returns the path of a field of the object at path.
func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// list returns v as a list, or nil.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// objects returns the elements of a list that are objects.
func objects(v any) []map[string]any {
	var all []map[string]any
	for _, e := range list(v) {
		if o, ok := e.(map[string]any); ok {
			all = append(all, o)
		}
	}
	return all
}

// eachWidget calls f for each widget, including those in groups, with its definition.
func eachWidget(widgets any, f func(widget, definition map[string]any)) {
	for _, w := range objects(widgets) {
		definition, _ := w["definition"].(map[string]any)
		f(w, definition)
		eachWidget(definition["widgets"], f)
	}
}

// marshal returns v as JSON in the form of the files: indented, without escapes for
// HTML.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // the values come from JSON
	}
	return b.Bytes()
}
