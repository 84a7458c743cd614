package provision

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Problem is a part of a document that the API's specification does not know.
type Problem struct {
	Path string // such as options.thresholds.critical or widgets[2].definition
	What string
	// New reports a field or value that the API may have learned after this program
	// was written. Other problems are mistakes in any version of the API.
	New bool
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.What
	}
	return p.Path + ": " + p.What
}

// model is what the specification says about a type: the fields of an object by name,
// with ! after the names of required ones; or the models that a value may have; or the
// values of an enumeration.
type model struct {
	fields map[string]string
	one    []string
	enum   []any // strings, or numbers as json.Number
}

func (m *model) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &m.one) == nil {
		return nil
	}
	var enum struct{ Enum []any }
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&enum) == nil && enum.Enum != nil {
		m.enum = enum.Enum
		return nil
	}
	return json.Unmarshal(text, &m.fields)
}

// schemaText has the models of the API's published specification. The program in the
// folder schema writes it.
//
//go:embed schema.json
var schemaText []byte

// schema returns the models by name, with the additions.
var schema = sync.OnceValue(func() map[string]model {
	var all map[string]model
	if err := json.Unmarshal(schemaText, &all); err != nil {
		panic(err)
	}
	for name, more := range additions {
		m := all[name]
		m.fields = maps.Clone(m.fields)
		if m.fields == nil && more.fields != nil {
			m.fields = map[string]string{}
		}
		for field, t := range more.fields {
			delete(m.fields, field+"!") // an addition may make a field optional
			delete(m.fields, strings.TrimSuffix(field, "!"))
			m.fields[field] = t
		}
		m.one = slices.Concat(m.one, more.one)
		m.enum = slices.Concat(m.enum, more.enum)
		all[name] = m
	}
	return all
})

// Check compares a document with the model of its kind. It returns unknown fields and
// values at any depth, with their paths.
func Check(kind Kind, body map[string]any) []Problem { return check(apis[kind].model, body, "") }

// scalars are the types of values that are neither lists nor objects.
var scalars = map[string]struct {
	name string // for people
	fits func(v any) bool
}{
	"any":     {"value", func(any) bool { return true }},
	"string":  {"string", is[string]},
	"boolean": {"boolean", is[bool]},
	"number":  {"number", is[json.Number]},
	"integer": {"whole number", func(v any) bool {
		n, _ := v.(json.Number)
		_, err := strconv.ParseInt(n.String(), 10, 64)
		return err == nil
	}},
	"time": {"time such as 2026-01-31T09:00:00Z", func(v any) bool {
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339, s)
		return err == nil
	}},
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

// field returns the type of a field, or "" if the model lacks it.
func (m model) field(name string) (t string, required bool) {
	if t, ok := m.fields[name+"!"]; ok {
		return t, true
	}
	return m.fields[name], false
}

// check compares v, which stands at path, with a type.
func check(t string, v any, path string) []Problem {
	if t, ok := strings.CutPrefix(t, "?"); ok {
		if v == nil {
			return nil
		}
		return check(t, v, path)
	}
	if t, ok := strings.CutPrefix(t, "[]"); ok {
		elements, ok := v.([]any)
		if !ok {
			return []Problem{{Path: path, What: "not a list"}}
		}
		var problems []Problem
		for i, e := range elements {
			problems = append(problems, check(t, e, fmt.Sprintf("%s[%d]", path, i))...)
		}
		return problems
	}
	if t, ok := strings.CutPrefix(t, "map "); ok {
		object, ok := v.(map[string]any)
		if !ok {
			return []Problem{{Path: path, What: "not an object"}}
		}
		var problems []Problem
		for _, key := range slices.Sorted(maps.Keys(object)) {
			problems = append(problems, check(t, object[key], below(path, key))...)
		}
		return problems
	}
	if s, ok := scalars[t]; ok {
		if s.fits(v) {
			return nil
		}
		return []Problem{{Path: path, What: short(v) + " is not a " + s.name}}
	}
	m, ok := schema()[t]
	switch {
	case !ok:
		panic("no model " + t)
	case m.enum != nil:
		return m.checkEnum(v, path)
	case m.one != nil:
		return m.checkOne(t, v, path)
	}
	return m.checkFields(v, path)
}

func (m model) checkEnum(v any, path string) []Problem {
	if slices.ContainsFunc(m.enum, func(known any) bool { return equal(known, v) }) {
		return nil
	}
	return []Problem{{path, fmt.Sprintf("unknown value %s; known values are %v", short(v), m.enum), reflect.TypeOf(v) == reflect.TypeOf(m.enum[0])}}
}

func (m model) checkFields(v any, path string) []Problem {
	object, ok := v.(map[string]any)
	if !ok {
		return []Problem{{Path: path, What: "not an object"}}
	}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(object)) {
		t, required := m.field(name)
		switch at := below(path, name); {
		case t == "":
			problems = append(problems, Problem{at, "unknown field", true})
		case object[name] != nil:
			problems = append(problems, check(t, object[name], at)...)
		case required && !strings.HasPrefix(t, "?"):
			problems = append(problems, Problem{Path: at, What: "is null, but needs a value"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.fields)) {
		if name, required := strings.CutSuffix(name, "!"); required {
			if _, ok := object[name]; !ok {
				problems = append(problems, Problem{Path: path, What: "lacks the required field " + name})
			}
		}
	}
	return problems
}

// checkOne compares v with each model that it may be. If none fits, it returns the
// problems of the closest model with v's type or data source.
func (m model) checkOne(name string, v any, path string) []Problem {
	var closest []Problem
	var wrong []string // why v belongs to other models
	for _, t := range m.one {
		if p := another(t, v, path); p != nil {
			wrong = append(wrong, p.String())
			continue
		}
		problems := check(t, v, path)
		if len(problems) == 0 {
			return nil
		}
		if closest == nil || len(problems) < len(closest) {
			closest = problems
		}
	}
	if closest == nil {
		slices.Sort(wrong)
		_, object := v.(map[string]any)
		return []Problem{{path, fmt.Sprintf("not a %s that the API knows (%s)", name, strings.Join(slices.Compact(wrong), "; ")), object}}
	}
	return closest
}

// another returns why v does not belong to model t: the model does not allow its type,
// data source or request type. It returns nil if v may belong to t.
func another(t string, v any, path string) *Problem {
	m := schema()[t]
	if m.one != nil {
		var last *Problem
		for _, t := range m.one {
			if last = another(t, v, path); last == nil {
				return nil
			}
		}
		return last
	}
	if m.fields == nil {
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return &Problem{Path: path, What: "not an object"}
	}
	for _, name := range []string{"type", "data_source", "request_type"} {
		field, required := m.field(name)
		value, ok := object[name]
		switch enum := schema()[field]; {
		case enum.enum == nil:
		case !ok && required:
			return &Problem{Path: path, What: "lacks the required field " + name}
		case ok:
			if problems := enum.checkEnum(value, below(path, name)); len(problems) > 0 {
				return &problems[0]
			}
		}
	}
	return nil
}
