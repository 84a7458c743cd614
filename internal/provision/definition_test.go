package provision

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// edited returns one of the product's definitions, with a text replaced.
func edited(t *testing.T, name, old, new string) Definitions {
	t.Helper()
	d := definition(t, name)
	text := string(marshal(d.Body))
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not contain %q", name, old)
	}
	d.Body = parsed(t, strings.Replace(text, old, new, 1))
	return Definitions{d}
}

func TestUnreadableFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"monitor.a.json", "{", "monitor.a.json: line 1: unexpected EOF"},
		{"monitor.a.json", "[1,\n2", "monitor.a.json: line 2: unexpected EOF"},
		{"monitor.a.json", "{\n\"a\": 1,\n\"a\": 2}", "monitor.a.json: line 3: a: repeated field"},
		{"monitor.a.json", `{"a": [0, {"b": {"c": 1, "c": 2}}]}`, "monitor.a.json: line 1: a[1].b.c: repeated field"},
		{"monitor.a.json", "{} {}", "monitor.a.json: unexpected text after the JSON object"},
		{"monitor.a.json", "[]", "monitor.a.json: not a JSON object"},
		{"monitor.a.json", "{\n\"a\" 1}", "monitor.a.json: line 2: invalid character '1' after object key"},
		{"monitor.a.json", "", "monitor.a.json: line 1: unexpected EOF"},
		{"monitor.a.json", "{\n1: 2}", "monitor.a.json: line 2: invalid character '1'"},
		{"monitor.a.json", "{\"a\": 1,\n}", "monitor.a.json: line 2: invalid character '}' looking for beginning of object key string"},
		{"monitor.a.json", "{\"a\":\n}", "monitor.a.json: line 2: invalid character '}' looking for beginning of value"},
		{"monitor.a.json", "[1\n2]", "monitor.a.json: line 2: invalid character '2' after array element"},
		{"monitor.a.json", "{\"a\": [1\n}", "monitor.a.json: line 2: invalid character '}' after array element"},
		{"monitor.a.json/x", "", // a folder
			"monitor.a.json: read monitor.a.json: invalid argument"},
		{"monitors.a.json", "{}", "monitors.a.json: the file name must be KIND.KEY.json: KIND is slo, dashboard, monitor or downtime, KEY consists of a–z, 0–9 and -"},
		{"monitor.A b.json", "{}", "monitor.A b.json: the file name must be KIND.KEY.json: KIND is slo, dashboard, monitor or downtime, KEY consists of a–z, 0–9 and -"},
		{"monitor.-a.json", "{}", "monitor.-a.json: the file name must be KIND.KEY.json: KIND is slo, dashboard, monitor or downtime, KEY consists of a–z, 0–9 and -"},
		{"a.json", "{}", "a.json: the file name must be KIND.KEY.json: KIND is slo, dashboard, monitor or downtime, KEY consists of a–z, 0–9 and -"},
		{"monitor.a.json", `{"message": "${monitor:b.id}"}`, "monitor.a.json: message: monitor.b.json does not exist"},
		{"monitor.a.json", `{"message": "${monitor:a.id}"}`, "monitor.a.json: refers to itself: monitor a > monitor a"},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := Load(folder(map[string]string{c.name: c.text}))
			if fmt.Sprint(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := Load(folder(map[string]string{"README.md": ""})); fmt.Sprint(err) != "the folder has no definitions: no file name ends in .json" {
		t.Errorf("a folder without definitions: %v", err)
	}
}

func TestDefinitionsFollowTheirReferences(t *testing.T) {
	place := map[Ref]int{}
	for i, d := range definitions(t) {
		for ref := range d.references() {
			if at, ok := place[ref]; !ok || at > i {
				t.Errorf("%s precedes %s, to which it refers", d.Ref, ref)
			}
		}
		place[d.Ref] = i
	}
	if len(place) != 20 {
		t.Errorf("%d definitions", len(place))
	}
}

// The order of definitions and errors depends on kinds, keys and references only.
func TestOrderOfDefinitionsAndErrors(t *testing.T) {
	for range 10 { // maps have another order each time
		all, err := Load(folder(map[string]string{
			"downtime.a.json": `{"a": "${monitor:b.id}"}`, "monitor.a.json": `{"a": ["${monitor:c.id} ${dashboard:b.url}"]}`,
			"monitor.b.json": `{}`, "monitor.c.json": `{"a": "${slo:a.id}"}`,
			"dashboard.b.json": `{}`, "slo.a.json": `{"a": "${dashboard:b.id}"}`,
		}))
		if got, want := fmt.Sprint(refs(all)), "[dashboard b slo a monitor c monitor a monitor b downtime a]"; err != nil || got != want {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
		_, err = Load(folder(map[string]string{
			"monitor.b.json":   `{"x": "${slo:b.id}", "y": ["${monitor:a.id} ${slo:a.url}"]}`,
			"monitor.c.json":   `{"x": "${dashboard:c.id}"}`,
			"dashboard.c.json": `{"x": "${monitor:c.id}"}`,
		}))
		const want = "dashboard.c.json: refers to itself: dashboard c > monitor c > dashboard c\n" +
			"monitor.b.json: y[0]: monitor.a.json does not exist\n" +
			"monitor.b.json: y[0]: slo.a.json does not exist\n" +
			"monitor.b.json: x: slo.b.json does not exist"
		if err == nil || err.Error() != want {
			t.Fatalf("got %v; want %s", err, want)
		}
		_, err = Load(folder(map[string]string{"b.json": ``, "monitor.b.json": `[]`, "a.json": ``}))
		if err == nil || !regexp.MustCompile(`^a\.json: .*\nb\.json: .*\nmonitor\.b\.json: not a JSON object$`).MatchString(err.Error()) {
			t.Fatalf("got %v", err)
		}
	}
}

// A file that is wrong does not hide the others, and no reference to it is an error of its own.
func TestLoadEach(t *testing.T) {
	files := map[string]string{"monitor.a.json": `{"x": "${slo:b.id}"}`, "slo.b.json": `{`, "mine.json": `{}`, "dashboard.c.json": `{}`}
	all, errs := LoadEach(folder(files))
	if got := fmt.Sprint(refs(all)); got != "[dashboard c monitor a]" || len(errs) != 2 || !strings.HasPrefix(errs[0].Error(), "mine.json: the file name must be") || !strings.HasPrefix(errs[1].Error(), "slo.b.json: line 1: ") {
		t.Errorf("%s, %v", got, errs)
	}
	delete(files, "slo.b.json")
	delete(files, "mine.json")
	if all, errs := LoadEach(folder(files)); len(all) != 2 || fmt.Sprint(errs) != "[monitor.a.json: x: slo.b.json does not exist]" {
		t.Errorf("%v, %v", refs(all), errs)
	}
}

func refs(all Definitions) []Ref {
	var refs []Ref
	for _, d := range all {
		refs = append(refs, d.Ref)
	}
	return refs
}

// Load and Validate do not panic, and each error begins with the file's name.
func FuzzDefinition(f *testing.F) {
	f.Add(byte(0), `{"name": "S", "type": "metric", "query": {"numerator": "a", "denominator": "b"}, "thresholds": [{"target": 99, "timeframe": "7d"}]}`)
	f.Add(byte(1), `{"title": "D ${env}", "layout_type": "ordered", "widgets": [{"definition": {"type": "group", "layout_type": "ordered", "widgets": [{"definition": {"type": "note", "content": "$${x}"}}]}}]}`)
	f.Add(byte(2), `{"name": "M", "type": "query alert", "query": "avg(last_5m):avg:m{*} > 1", "message": "${notify}", "tags": ["a"], "options": {"thresholds": {"critical": 1e0}, "no_data_timeframe": null}}`)
	f.Add(byte(3), `{"data": {"type": "downtime", "attributes": {"monitor_identifier": {"monitor_id": 7}, "scope": "*", "message": "${next:MO@19:00}", "schedule": {"timezone": "UTC", "recurrences": [{"start": "${next:MO,TU@19:00}", "duration": "1h", "rrule": "FREQ=DAILY"}]}}}}`)
	f.Add(byte(2), `{"a": 1, "a": "${monitor:b.id}"}`)
	f.Add(byte(3), `{"data": [], "tags": {}}`)
	f.Add(byte(0), "[\n\n{\"\ufffd\": \"${\"}]")
	f.Fuzz(func(t *testing.T, kind byte, text string) {
		name := string(kinds[int(kind)%len(kinds)]) + ".a.json"
		all, err := Load(folder(map[string]string{name: text}))
		if err == nil {
			// What was read can be written and read again.
			again, parseErr := parse(marshal(all[0].Body))
			if parseErr != nil || !reflect.DeepEqual(again, all[0].Body) {
				t.Fatalf("%s is read as %v, written and read again as %v, %v", text, all[0].Body, again, parseErr)
			}
			var plan Plan
			if plan, err = all.Offline(values()); err == nil {
				plan.Write(io.Discard, false)
				return
			}
		}
		if !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("the error does not begin with %s: %v", name, err)
		}
	})
}
