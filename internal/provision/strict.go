package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadog"
)

// Problem is a part of a document that does not fit the API's models.
type Problem struct {
	Path string // such as options.thresholds.critical or widgets[2].definition
	What string
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.What
	}
	return p.Path + ": " + p.What
}

// Check compares a document with the client's model of its kind. The models accept
// everything: they set aside unknown fields and values at any depth, and send them
// on. Check reports these, with their paths.
func Check(kind Kind, document []byte) []Problem {
	// A run checks each definition several times, and that is slow: the models of the
	// client try each type of widget.
	key := checkedKey{kind, string(document)}
	if problems, ok := checked.Load(key); ok {
		return slices.Clone(problems.([]Problem))
	}
	problems := checkDocument(kind, document)
	checked.Store(key, problems)
	return slices.Clone(problems)
}

// checked has the problems of the documents that were checked, by checkedKey. There
// are as many as a run has definitions and objects of the account.
var checked sync.Map

type checkedKey struct {
	kind     Kind
	document string
}

func checkDocument(kind Kind, document []byte) []Problem {
	t := apis[kind].model
	problems := check(t, document, "")
	if len(problems) > 0 {
		return problems
	}
	// Finally, the model itself must not have set anything aside.
	v := reflect.New(t)
	if err := datadog.Unmarshal(document, v.Interface()); err != nil {
		return []Problem{{What: err.Error()}}
	}
	if odd, where := datadog.ContainsUnparsedObject(v.Interface()); odd {
		return []Problem{{What: fmt.Sprintf("%v does not fit the API's models", where)}}
	}
	return nil
}

// check compares raw, which stands at path, with type t of the client.
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
			return []Problem{{path, "not a list"}}
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

// isNull reports whether raw is null.
func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// isEnum reports whether t is an enumeration.
func isEnum(t reflect.Type) bool {
	_, ok := t.MethodByName("IsValid")
	return ok
}

// isNullable reports whether t wraps a value that may be null.
func isNullable(t reflect.Type) bool {
	get, ok := t.MethodByName("Get")
	return ok && t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Nullable") &&
		get.Type.NumOut() == 1 && get.Type.Out(0).Kind() == reflect.Pointer
}

// isObject reports whether t is a model with properties.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && len(fields(t)) > 0
}

// isOneOf reports whether t stands for one of several models.
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

// fieldsOf has the fields of the models that were asked for, by reflect.Type.
var fieldsOf sync.Map

// fields returns the properties of a model, by their names in JSON.
func fields(t reflect.Type) map[string]field {
	if all, ok := fieldsOf.Load(t); ok {
		return all.(map[string]field)
	}
	all := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			all[name] = field{f.Type, option == ""}
		}
	}
	fieldsOf.Store(t, all)
	return all
}

// checkEnum compares raw with the values that an enumeration allows.
func checkEnum(t reflect.Type, raw json.RawMessage, path string) []Problem {
	v := reflect.New(t)
	if err := json.Unmarshal(raw, v.Interface()); err != nil {
		return []Problem{{path, fmt.Sprintf("%s is not a %s", raw, describe(t))}}
	}
	if v.MethodByName("IsValid").Call(nil)[0].Bool() {
		return nil
	}
	allowed := v.MethodByName("GetAllowedValues").Call(nil)[0]
	return []Problem{{path, fmt.Sprintf("unknown value %s; known values are %v", raw, allowed)}}
}

// checkObject compares raw with the properties of model t.
func checkObject(t reflect.Type, raw json.RawMessage, path string) []Problem {
	var properties map[string]json.RawMessage
	if err := json.Unmarshal(raw, &properties); err != nil || properties == nil {
		return []Problem{{path, "not an object"}}
	}
	known := fields(t)
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		f, ok := known[name]
		if !ok {
			problems = append(problems, Problem{below(path, name), "unknown field"})
			continue
		}
		wrong := check(f.Type, properties[name], below(path, name))
		if len(wrong) == 0 && f.required && isNull(properties[name]) && !isNullable(f.Type) {
			wrong = []Problem{{path, "lacks the required field " + name}}
		}
		problems = append(problems, wrong...)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, ok := properties[name]; known[name].required && !ok {
			problems = append(problems, Problem{path, "lacks the required field " + name})
		}
	}
	return problems
}

// checkOneOf compares raw with each model that t stands for. If none fits, it returns
// the problems of the closest model with raw's type or data source.
func checkOneOf(t reflect.Type, raw json.RawMessage, path string) []Problem {
	var closest []Problem
	var wrong []string // why raw belongs to other models
	var properties map[string]json.RawMessage
	if json.Unmarshal(raw, &properties) != nil {
		properties = nil // not an object
	} else if properties == nil { // null
		properties = map[string]json.RawMessage{}
	}
	fits := 0
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "UnparsedObject" {
			continue
		}
		if p, ok := another(f.Type.Elem(), properties, path); ok {
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
		return []Problem{{path, "fits more than one kind of " + t.Name()}}
	case closest == nil:
		slices.Sort(wrong)
		return []Problem{{path, fmt.Sprintf("not a %s that the API knows (%s)", t.Name(), strings.Join(slices.Compact(wrong), "; "))}}
	}
	return closest
}

// another reports whether an object belongs to another model than t, because t does not
// allow its type or data source. The problem names it. Its properties are nil if it is
// not an object.
func another(t reflect.Type, properties map[string]json.RawMessage, path string) (Problem, bool) {
	if isOneOf(t) {
		var last Problem
		for i := range t.NumField() {
			if f := t.Field(i); f.Name != "UnparsedObject" {
				p, ok := another(f.Type.Elem(), properties, path)
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
	if properties == nil {
		return Problem{path, "not an object"}, true
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
				return Problem{path, "lacks the required field " + name}, true
			}
			continue
		}
		if problems := checkEnum(f.Type, value, below(path, name)); len(problems) > 0 {
			return problems[0], true
		}
	}
	return Problem{}, false
}

// describe returns the name of a type in JSON's terms.
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
