package provision

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Unknown fields and values are found at any depth, with their paths.
func TestUnknownFieldsAndValues(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, want string }{
		{"a field at the top", "monitor.my-metric.json", `"name":`, `"nam": 1, "name":`, "nam: unknown field"},
		{"a field below", "monitor.my-metric.json", `"critical":`, `"critcal": 1, "critical":`, "options.thresholds.critcal: unknown field"},
		{"a value", "monitor.my-metric.json", `"query alert"`, `"query alart"`, `type: unknown value "query alart"; known values are [`},
		{"a type", "monitor.my-metric.json", `"critical": 800`, `"critical": "800"`, `options.thresholds.critical: "800" is not a number`},
		{"a type of a nullable", "monitor.my-metric.json", `"priority": 3`, `"priority": "P3"`, `priority: "P3" is not a whole number`},
		{"a value that is no list", "slo.latency.json", `"tags": [`, `"tags": "service", "groups": [`, "tags: not a list"},
		{"a required field at the top", "slo.latency.json", ",\n  \"type\": \"time_slice\"", ``, "slo.latency.json: lacks the required field type"},
		{"a value that is no object", "monitor.my-metric.json", `"options": {`, `"options": 1, "x": {`, "options: not an object"},
		{"null instead of an object", "downtime.nights.json", `"attributes": {`, `"attributes": null, "x": {`, "data.attributes: not an object"},
		{"null for a field that must have a value", "monitor.my-metric.json", `"type": "query alert"`, `"type": null`, `type: unknown value null`},
		{"a number as a type", "monitor.my-metric.json", `"type": "query alert"`, `"type": 1`, `type: 1 is not a string`},
		{"a boolean", "monitor.my-metric.json", `"notify_audit": false`, `"notify_audit": "no"`, `options.notify_audit: "no" is not a boolean`},
		{"a required field", "slo.latency.json", `"comparator": "<",`, ``, "sli_specification.time_slice: lacks the required field comparator"},
		{"a field of a widget", "dashboard.timeboard.json", `"show_legend":`, `"show_legends": true, "show_legend":`, "widgets[0].definition.show_legends: unknown field"},
		{"a value of a widget", "dashboard.timeboard.json", `"live_span": "5m"`, `"live_span": "7m"`, `widgets[0].definition.time.live_span: unknown value "7m"`},
		{"a field of a query", "dashboard.timeboard.json", `"query": "avg:my`, `"qery": "", "query": "avg:my`, "widgets[0].definition.requests[0].queries[0].qery: unknown field"},
		{"a value of a request", "dashboard.timeboard.json", `"display_type": "line"`, `"display_type": "lines"`, `widgets[0].definition.requests[0].display_type: unknown value "lines"`},
		{"a data source", "dashboard.timeboard.json", `"data_source": "metrics"`, `"data_source": "metric"`, "widgets[0].definition.requests[0].queries[0]: not a FormulaAndFunctionQueryDefinition that the API knows ("},
		{"a kind of widget", "dashboard.timeboard.json", `"type": "timeseries"`, `"type": "timeserie"`, "widgets[0].definition: not a WidgetDefinition that the API knows ("},
		{"a field within a group", "dashboard.runtime.json", `"formula": "inuse"`, `"formulae": "", "formula": "inuse"`, "widgets[0].definition.widgets[0].definition.requests[0].formulas[0].formulae: unknown field"},
		{"a field of a downtime", "downtime.nights.json", `"duration":`, `"durration": "", "duration":`, "data.attributes.schedule.recurrences[0].durration: unknown field"},
		{"a layout", "dashboard.timeboard.json", `"width": 6,`, `"width": 6.5,`, "layout.width: 6.5 is not a whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := Load(edited(t, c.file, c.old, c.new))
			for _, d := range all {
				if d.File == c.file {
					err = Definitions{d}.Validate(values())
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.file+": ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s: ... %s", err, c.file, c.want)
			}
		})
	}
}

// Models in the form of the client's: an enumeration is a string with IsValid, a
// model has fields with JSON tags, and a type that stands for several models has a
// pointer to each of them and UnparsedObject.
type (
	shape  string
	labels map[string]string
	circle struct {
		Type   *shape     `json:"type,omitempty"`
		Radius float64    `json:"radius"`
		Names  []string   `json:"names,omitempty"`
		Size   int64      `json:"size,omitempty"`
		Filled *bool      `json:"filled,omitempty"`
		Labels labels     `json:"labels,omitempty"`
		Drawn  *time.Time `json:"drawn,omitempty"` // a struct that is no model
	}
	square struct {
		Type shape   `json:"type"`
		Side float64 `json:"side"`
	}
	cube struct {
		Type shape   `json:"type"`
		Side float64 `json:"side"`
		Edge float64 `json:"edge"`
	}
	either struct {
		Circle         *circle
		Square         *square
		UnparsedObject any
	}
	twice struct {
		A, B           *square
		UnparsedObject any
	}
	several struct {
		Either         *either
		Cube           *cube
		Text           *string
		UnparsedObject any
	}
	table struct {
		Request shape `json:"request_type"`
	}
	tables struct {
		Table          *table
		Square         *square
		UnparsedObject any
	}
	nested struct {
		Twice          *twice
		Table          *table
		UnparsedObject any
	}
	point struct {
		X    float64 `json:"x"`
		Type string  `json:"type,omitempty"` // any text
	}
	line struct {
		X float64 `json:"x"`
		Y float64 `json:"y"`
	}
	drawing struct {
		Line           *line
		Point          *point
		UnparsedObject any
	}

	NullableShape struct{ value *shape }
	// These only resemble it.
	optionalShape  struct{ value *shape }
	NullableLabels map[string]string
	NullableText   struct{}
	NullablePair   struct{}
	NullableNone   struct{}
)

func (n NullableShape) Get() *shape               { return n.value }
func (o optionalShape) Get() *shape               { return o.value }
func (l NullableLabels) Get() *string             { return nil }
func (NullableText) Get() string                  { return "" }
func (NullablePair) Get() (first *shape, ok bool) { return nil, false }

// A nullable value has a name with Nullable and a method Get that returns a pointer.
func TestIsNullable(t *testing.T) {
	for typ, want := range map[reflect.Type]bool{
		reflect.TypeFor[NullableShape]():  true,
		reflect.TypeFor[optionalShape]():  false,
		reflect.TypeFor[NullableLabels](): false,
		reflect.TypeFor[NullableText]():   false,
		reflect.TypeFor[NullablePair]():   false,
		reflect.TypeFor[NullableNone]():   false,
	} {
		if got := isNullable(typ); got != want {
			t.Errorf("%s: %t, want %t", typ, got, want)
		}
	}
}

func (s shape) IsValid() bool               { return s == "circle" || s == "square" }
func (s *shape) GetAllowedValues() []string { return []string{"circle", "square"} }

func TestCheckModels(t *testing.T) {
	for _, c := range []struct {
		model any
		raw   string
		want  string // the problems
	}{
		{circle{}, `{"radius": 1}`, "[]"},
		{circle{}, `{"radius": 1, "type": null, "names": ["a"], "size": 2, "filled": null, "labels": {"a": "b"}, "drawn": "2026-01-02T03:04:05Z"}`, "[]"},
		{circle{}, `{"radius": 1, "drawn": "today"}`, `[x.drawn: "today" is not a Time]`},
		{circle{}, `{}`, "[x: lacks the required field radius]"},
		{circle{}, `{"radius": "1", "names": [1, "a", 2], "size": 1.5, "filled": 1, "labels": {"a": 1}, "x": 1}`,
			`[x.filled: 1 is not a boolean x.labels: {"a": 1} is not a map of string x.names[0]: 1 is not a string x.names[2]: 2 is not a string x.radius: "1" is not a number x.size: 1.5 is not a whole number x.x: unknown field]`},
		{circle{}, `{"radius": 1, "type": "oval"}`, `[x.type: unknown value "oval"; known values are [circle square]]`},
		{circle{}, `{"radius": 1, "type": 1}`, `[x.type: 1 is not a string]`},
		{circle{}, `{"radius": 1, "names": {}}`, "[x.names: not a list]"},
		{circle{}, `[]`, "[x: not an object]"},
		{circle{}, `null`, "[x: not an object]"},
		{square{}, `{"type": null, "side": 1}`, "[x.type: unknown value null; known values are [circle square]]"},
		// An optional type may be absent: the circle fits.
		{either{}, `{"radius": 1}`, "[]"},
		{either{}, `{"side": 1, "type": "square"}`, "[]"},
		{either{}, `{"radius": 1, "data_source": "a"}`, "[x.data_source: unknown field]"},
		// Neither fits: the problems of the closer one.
		{either{}, `{"side": 1, "type": "square", "b": 1}`, "[x.b: unknown field]"},
		{either{}, `{"radius": 1, "type": "square", "b": 1}`, "[x.b: unknown field]"},
		// Another type than both: the reasons.
		{either{}, `{"type": "oval"}`, `[x: not a either that the API knows (x.type: unknown value "oval"; known values are [circle square])]`},
		{either{}, `1`, `[x: not a either that the API knows (x: not an object)]`},
		// A square and a cube have the same type; the cube has one more field.
		{several{}, `{"type": "square", "side": 1, "edge": 1}`, "[]"},
		{several{}, `{"type": "square", "side": 1, "edge": "1"}`, `[x.edge: unknown field]`},
		{several{}, `"text"`, "[]"},
		{several{}, `{"radius": 1}`, "[]"},
		{several{}, `1`, `[x: 1 is not a string]`},
		// Both lack the same field. The one with fewer problems counts, else the first.
		{twice{}, `{"side": 1}`, "[x: not a twice that the API knows (x: lacks the required field type)]"},
		{drawing{}, `{"x": 1, "z": 1}`, "[x.z: unknown field]"},
		{drawing{}, `{"x": "1", "y": 1}`, `[x.x: "1" is not a number]`},
		{drawing{}, `{"y": 1, "type": "a"}`, "[x.type: unknown field x: lacks the required field x]"},
		{drawing{}, `{"x": 1, "type": "a"}`, "[]"},
		{tables{}, `{"request_type": "square"}`, "[]"},
		{tables{}, `{"request_type": "oval"}`, `[x: not a tables that the API knows (x.request_type: unknown value "oval"; known values are [circle square]; x: lacks the required field type)]`},
		{nested{}, `{"type": "oval"}`, `[x: not a nested that the API knows (x.type: unknown value "oval"; known values are [circle square]; x: lacks the required field request_type)]`},
		{NullableShape{}, `null`, "[]"},
		{NullableShape{}, `"circle"`, "[]"},
		{NullableShape{}, `"oval"`, `[x: unknown value "oval"; known values are [circle square]]`},
		{twice{}, `{"type": "square", "side": 1}`, "[x: fits more than one kind of twice]"},
	} {
		if got := fmt.Sprint(check(reflect.TypeOf(c.model), json.RawMessage(c.raw), "x")); got != c.want {
			t.Errorf("%T %s:\n%s\nwant\n%s", c.model, c.raw, got, c.want)
		}
	}
}

// The values of a map are compared with their model, without a path.
func TestCheckMap(t *testing.T) {
	const monitor = `{"query": "q", "type": "query alert", "state": {"groups": {"a": {"status": %q}}}}`
	if got := Check(Monitor, []byte(fmt.Sprintf(monitor, "OK"))); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	if got := fmt.Sprint(Check(Monitor, []byte(fmt.Sprintf(monitor, "Odd")))); got != "[map[status:Odd] does not fit the API's models]" {
		t.Errorf("got %s", got)
	}
}
