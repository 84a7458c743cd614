package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadog"
)

// Problem is a place in a document that the API's models do not know.
type Problem struct {
	Path string // as in options.thresholds.critical, widgets[2].definition
	What string
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.What
	}
	return p.Path + ": " + p.What
}

// Check compares a document with the client's model of its kind. The models
// take anything: what they do not know they set aside, at any depth, and send it
// on. Here it is a problem, with its path.
func Check(kind Kind, document []byte) []Problem {
	t := kind.model()
	problems := check(t, document, "")
	if len(problems) > 0 {
		return problems
	}
	// The last word is the model's own: nothing may be set aside in it.
	v := reflect.New(t)
	if err := datadog.Unmarshal(document, v.Interface()); err != nil {
		return []Problem{{What: err.Error()}}
	}
	if odd, where := datadog.ContainsUnparsedObject(v.Interface()); odd {
		return []Problem{{What: fmt.Sprintf("%v does not fit the API's models", where)}}
	}
	return nil
}

// check compares raw with type t of the client, below path.
func check(t reflect.Type, raw json.RawMessage, path string) []Problem {
	switch {
	case t.Kind() == reflect.Pointer:
		if isNull(raw) {
			return nil
		}
		return check(t.Elem(), raw, path)
	case isEnum(t):
		return checkEnum(t, raw, path)
	case isNullable(t):
		if isNull(raw) {
			return nil
		}
		get, _ := t.MethodByName("Get")
		return check(get.Type.Out(0).Elem(), raw, path)
	case isOneOf(t):
		return checkOneOf(t, raw, path)
	case isObject(t):
		return checkObject(t, raw, path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		var elements []json.RawMessage
		if err := json.Unmarshal(raw, &elements); err != nil {
			return []Problem{{path, "is not a list"}}
		}
		var problems []Problem
		for i, e := range elements {
			problems = append(problems, check(t.Elem(), e, fmt.Sprintf("%s[%d]", path, i))...)
		}
		return problems
	default:
		v := reflect.New(t)
		if err := json.Unmarshal(raw, v.Interface()); err != nil {
			return []Problem{{path, fmt.Sprintf("%s is not a %s", raw, describe(t))}}
		}
		return nil
	}
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

func isEnum(t reflect.Type) bool {
	_, ok := t.MethodByName("IsValid")
	return ok && t.Kind() != reflect.Struct && t.Kind() != reflect.Pointer
}

// isNullable says whether t wraps a value that may be null.
func isNullable(t reflect.Type) bool {
	get, ok := t.MethodByName("Get")
	return ok && t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Nullable") &&
		get.Type.NumOut() == 1 && get.Type.Out(0).Kind() == reflect.Pointer
}

func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && len(fields(t)) > 0
}

// isOneOf says whether t is one of several models.
func isOneOf(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || len(fields(t)) > 0 {
		return false
	}
	_, ok := t.FieldByName("UnparsedObject")
	return ok
}

// field is a property of a model.
type field struct {
	reflect.Type
	required bool
}

// fields are the properties of a model, by their name in JSON.
func fields(t reflect.Type) map[string]field {
	all := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			all[name] = field{f.Type, option != "omitempty"}
		}
	}
	return all
}

func checkEnum(t reflect.Type, raw json.RawMessage, path string) []Problem {
	v := reflect.New(t)
	if err := json.Unmarshal(raw, v.Interface()); err != nil {
		return []Problem{{path, fmt.Sprintf("%s is not a %s", raw, describe(t))}}
	}
	if v.MethodByName("IsValid").Call(nil)[0].Bool() {
		return nil
	}
	allowed := v.MethodByName("GetAllowedValues").Call(nil)[0]
	return []Problem{{path, fmt.Sprintf("%s is unknown, known are %v", raw, allowed)}}
}

func checkObject(t reflect.Type, raw json.RawMessage, path string) []Problem {
	var properties map[string]json.RawMessage
	if err := json.Unmarshal(raw, &properties); err != nil || properties == nil {
		return []Problem{{path, "is not an object"}}
	}
	known := fields(t)
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if f, ok := known[name]; ok {
			problems = append(problems, check(f.Type, properties[name], below(path, name))...)
		} else {
			problems = append(problems, Problem{below(path, name), "unknown field"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, ok := properties[name]; known[name].required && !ok {
			problems = append(problems, Problem{path, "has no " + name})
		}
	}
	return problems
}

// checkOneOf compares raw with each model that it may be. Where none fits, the
// problems are those of the closest of those whose type or data source is as in
// raw.
func checkOneOf(t reflect.Type, raw json.RawMessage, path string) []Problem {
	var closest []Problem
	var wrong []string // what raw's type could have been
	fits := 0
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "UnparsedObject" {
			continue
		}
		if p, ok := another(f.Type.Elem(), raw, path); ok {
			wrong = append(wrong, p.String())
			continue
		}
		problems := check(f.Type, raw, path)
		if len(problems) == 0 {
			fits++
		}
		if closest == nil || len(problems) < len(closest) {
			closest = problems
		}
	}
	switch {
	case fits == 1:
		return nil
	case fits > 1:
		return []Problem{{path, "may be more than one kind of " + t.Name()}}
	case closest == nil:
		slices.Sort(wrong)
		return []Problem{{path, fmt.Sprintf("is no %s that the API knows (%s)", t.Name(), strings.Join(slices.Compact(wrong), "; "))}}
	}
	return closest
}

// another says whether raw is of another model than t: its type or data source
// is none of t's.
func another(t reflect.Type, raw json.RawMessage, path string) (Problem, bool) {
	if isOneOf(t) {
		var last Problem
		for i := range t.NumField() {
			if f := t.Field(i); f.Name != "UnparsedObject" {
				p, ok := another(f.Type.Elem(), raw, path)
				if !ok {
					return Problem{}, false
				}
				last = p
			}
		}
		return last, true
	}
	if !isObject(t) {
		return Problem{}, false
	}
	var properties map[string]json.RawMessage
	if json.Unmarshal(raw, &properties) != nil {
		return Problem{path, "is not an object"}, true
	}
	known := fields(t)
	for _, name := range []string{"type", "data_source", "request_type"} {
		f, ok := known[name]
		if ok && f.Kind() == reflect.Pointer {
			f.Type = f.Elem()
		}
		if !ok || !isEnum(f.Type) {
			continue
		}
		value, ok := properties[name]
		if !ok {
			if f.required {
				return Problem{path, "has no " + name}, true
			}
			continue
		}
		if problems := checkEnum(f.Type, value, below(path, name)); len(problems) > 0 {
			return problems[0], true
		}
	}
	return Problem{}, false
}

// describe names a type as JSON does.
func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Map:
		return "map of " + describe(t.Elem())
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "whole number"
	case reflect.Float32, reflect.Float64:
		return "number"
	default:
		return t.Name()
	}
}
