package query

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// object is a JSON object of a definition. Its methods return the zero value for an absent
// field, and an error that names the path for a field of another type.
type object struct {
	at     string
	fields map[string]any
	err    *error // the first one
}

func newObject(fields map[string]any, err *error) object { return object{"", fields, err} }

func (o object) path(key string) string {
	if o.at == "" {
		return key
	}
	return o.at + "." + key
}

func (o object) wrong(key, want string) {
	if *o.err == nil {
		*o.err = fmt.Errorf("%s is not %s: %s", o.path(key), want, Compact(o.fields[key]))
	}
}

func (o object) has(key string) bool { return o.fields[key] != nil }

func (o object) text(key string) string {
	switch v := o.fields[key].(type) {
	case nil:
		return ""
	case string:
		return v
	}
	o.wrong(key, "a text")
	return ""
}

// id returns a text or a number as text.
func (o object) id(key string) string {
	switch v := o.fields[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	o.wrong(key, "an ID")
	return ""
}

func (o object) flag(key string) bool {
	switch v := o.fields[key].(type) {
	case nil:
		return false
	case bool:
		return v
	}
	o.wrong(key, "true or false")
	return false
}

// number returns nil for an absent field and for null.
func (o object) number(key string) *float64 {
	switch v := o.fields[key].(type) {
	case nil:
		return nil
	case json.Number:
		if n, err := v.Float64(); err == nil && !math.IsInf(n, 0) {
			return &n
		}
	case float64:
		return &v
	case int:
		n := float64(v)
		return &n
	}
	o.wrong(key, "a number")
	return nil
}

func (o object) object(key string) object {
	switch v := o.fields[key].(type) {
	case nil:
		return object{o.path(key), nil, o.err}
	case map[string]any:
		return object{o.path(key), v, o.err}
	}
	o.wrong(key, "an object")
	return object{o.path(key), nil, o.err}
}

func (o object) objects(key string) []object {
	list, ok := o.fields[key].([]any)
	if !ok && o.fields[key] != nil {
		o.wrong(key, "a list")
	}
	var all []object
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", o.path(key), i)
		fields, ok := v.(map[string]any)
		if !ok {
			o.wrong(key, "a list of objects")
		}
		all = append(all, object{at, fields, o.err})
	}
	return all
}

func (o object) texts(key string) []string {
	list, ok := o.fields[key].([]any)
	if !ok && o.fields[key] != nil {
		o.wrong(key, "a list")
	}
	var all []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			o.wrong(key, "a list of texts")
		}
		all = append(all, s)
	}
	return all
}

// Compact writes a part of a definition on one line, as JSON.
func Compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
