package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Attribute is a field of a log line.
type Attribute struct {
	Name, Value string
	Number      bool
}

// pair is a field of a text such as msg="a b" status=200.
var pair = regexp.MustCompile(`(?:^|[\s\[,])([A-Za-z_][\w.\-]*)=("(?:[^"\\]|\\.)*"|[^\s",\]=][^\s",\]]*)`)

// Attributes returns the fields of a line, each name once, sorted: those of JSON, with dots
// between the names of nested objects, or pairs such as status=200 of a text. Fields of
// objects in which loggers put the attributes of a context have no prefix.
func (l *Log) Attributes() []Attribute {
	of := map[string]Attribute{}
	add := func(name, value string, number bool) {
		if _, is := of[name]; !is && value != "" {
			of[name] = Attribute{name, value, number}
		}
	}
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(l.Raw))
	d.UseNumber()
	if strings.HasPrefix(l.Raw, "{") && d.Decode(&object) == nil {
		flatten("", object, add)
	} else {
		for _, m := range pair.FindAllStringSubmatch(l.Raw, -1) {
			value := m[2]
			if text, err := strconv.Unquote(value); err == nil {
				value = text
			}
			_, err := strconv.ParseFloat(value, 64)
			add(m[1], value, err == nil)
		}
	}
	all := make([]Attribute, 0, len(of))
	for _, a := range of {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// flatten adds the fields of an object. Those of the object itself come before those of
// nested objects, and have priority.
func flatten(prefix string, object map[string]any, add func(name, value string, number bool)) {
	var nested []string
	for name, value := range object {
		switch v := value.(type) {
		case map[string]any:
			nested = append(nested, name)
		case string:
			add(prefix+name, v, false)
		case json.Number:
			add(prefix+name, v.String(), true)
		case bool:
			add(prefix+name, strconv.FormatBool(v), false)
		case []any:
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			if e.Encode(v) == nil {
				add(prefix+name, strings.TrimSpace(out.String()), false)
			}
		}
	}
	slices.Sort(nested)
	for _, name := range nested {
		within := prefix + name + "."
		if prefix == "" && slices.Contains(inner, name) {
			within = ""
		}
		flatten(within, object[name].(map[string]any), add)
	}
}

// Duration returns the attribute duration, a number of nanoseconds as in Datadog's standard
// attributes, or a text such as 12ms; 0 without one.
// https://docs.datadoghq.com/standard-attributes/
func (l *Log) Duration() time.Duration {
	for _, a := range l.Attributes() {
		if a.Name != "duration" {
			continue
		}
		if n, err := strconv.ParseFloat(a.Value, 64); err == nil && n > 0 && n < math.MaxInt64 {
			return time.Duration(n)
		}
		d, _ := time.ParseDuration(a.Value)
		return max(d, 0)
	}
	return 0
}
