package provision

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// edited is the definitions with one text of a file replaced.
func edited(t *testing.T, file, old, new string) fstest.MapFS {
	t.Helper()
	dir := fstest.MapFS{}
	for _, d := range definitions(t) {
		text := string(marshal(d.Body))
		if d.File == file {
			if !strings.Contains(text, old) {
				t.Fatalf("%s has no %q", file, old)
			}
			text = strings.Replace(text, old, new, 1)
		}
		dir[d.File] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

// What the API's models do not know is found at any depth, with its path.
func TestUnknownFieldsAndValues(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, says string }{
		{"a field at the top", "monitor.my-metric.json", `"name":`, `"nam": 1, "name":`, "nam: unknown field"},
		{"a field below", "monitor.my-metric.json", `"critical":`, `"critcal": 1, "critical":`, "options.thresholds.critcal: unknown field"},
		{"a value", "monitor.my-metric.json", `"query alert"`, `"query alart"`, `type: "query alart" is unknown, known are [`},
		{"a value in a list", "downtime.nights.json", `"no data"`, `"nodata"`, `data.attributes.notify_end_states[2]: "nodata" is unknown`},
		{"a type", "monitor.my-metric.json", `"critical": 800`, `"critical": "800"`, `options.thresholds.critical: "800" is not a number`},
		{"a type of a nullable", "monitor.my-metric.json", `"priority": 3`, `"priority": "P3"`, `priority: "P3" is not a whole number`},
		{"no list", "slo.latency.json", `"tags": [`, `"tags": "service", "groups": [`, "tags: is not a list"},
		{"a field that is missing", "slo.latency.json", `"type": "time_slice"`, `"description": "x"`, "twice"},
		{"a required field", "slo.latency.json", `"comparator": "<",`, ``, "sli_specification.time_slice: has no comparator"},
		{"a field of a widget", "dashboard.timeboard.json", `"show_legend":`, `"show_legends": true, "show_legend":`, "widgets[0].definition.show_legends: unknown field"},
		{"a value of a widget", "dashboard.timeboard.json", `"live_span": "5m"`, `"live_span": "7m"`, `widgets[0].definition.time.live_span: "7m" is unknown`},
		{"a field of a query", "dashboard.timeboard.json", `"query": "avg:my`, `"qery": "", "query": "avg:my`, "widgets[0].definition.requests[0].queries[0].qery: unknown field"},
		{"a value of a request", "dashboard.timeboard.json", `"display_type": "line"`, `"display_type": "lines"`, `widgets[0].definition.requests[0].display_type: "lines" is unknown`},
		{"a data source", "dashboard.timeboard.json", `"data_source": "metrics"`, `"data_source": "metric"`, "widgets[0].definition.requests[0].queries[0]: is no FormulaAndFunctionQueryDefinition that the API knows ("},
		{"a kind of widget", "dashboard.timeboard.json", `"type": "timeseries"`, `"type": "timeserie"`, "widgets[0].definition: is no WidgetDefinition that the API knows ("},
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
			if err == nil || !strings.Contains(err.Error(), c.file+": ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s: ... %s", err, c.file, c.says)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"monitor.a.json", "{", "monitor.a.json: line 1: unexpected EOF"},
		{"monitor.a.json", "{\n\"a\": 1,\n\"a\": 2}", "line 3: a: is here twice"},
		{"monitor.a.json", "{} {}", "something follows"},
		{"monitor.a.json", "[]", "is not a JSON object"},
		{"monitor.a.json", "{\n\"a\" 1}", "line 2"},
		{"monitors.a.json", "{}", "a file is named"},
		{"monitor.A b.json", "{}", "a file is named"},
		{"a.json", "{}", "a file is named"},
		{"monitor.a.json", `{"message": "${monitor:b.id}"}`, "monitor.a.json: message: there is no monitor.b.json"},
		{"monitor.a.json", `{"message": "${monitor:a.id}"}`, "refers to itself: monitor a > monitor a"},
	} {
		t.Run(c.says, func(t *testing.T) {
			_, err := Load(fstest.MapFS{c.name: &fstest.MapFile{Data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s", err, c.says)
			}
		})
	}
	if _, err := Load(fstest.MapFS{"README.md": &fstest.MapFile{}}); err == nil {
		t.Error("a folder without definitions is fine")
	}
}

func TestOrder(t *testing.T) {
	place := map[Ref]int{}
	for i, d := range definitions(t) {
		for ref := range d.references() {
			if at, ok := place[ref]; !ok || at > i {
				t.Errorf("%s stands before %s, to which it refers", d.Ref, ref)
			}
		}
		place[d.Ref] = i
	}
	if len(place) != 19 {
		t.Errorf("%d definitions", len(place))
	}
}

func define(t *testing.T, text string) Definition {
	t.Helper()
	body, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Definition{Ref: Ref{Monitor, "a"}, File: "monitor.a.json", Body: body}
}

func TestFill(t *testing.T) {
	target := func(ref Ref) (Target, error) {
		return Target{ID: json.Number("42"), URL: "https://app.datadoghq.com/monitors/42"}, nil
	}
	v := values()
	v.Notify = "@a  @b"
	for text, want := range map[string]string{
		`"${service} in ${env}"`:            `"apmapp in dev"`,
		`"${notify}"`:                       `"@a @b"`,
		`"${monitor:b.id}"`:                 `42`,
		`"id ${monitor:b.id}"`:              `"id 42"`,
		`"${monitor:b.url}"`:                `"https://app.datadoghq.com/monitors/42"`,
		`"$${env} and $host and {{value}}"`: `"${env} and $host and {{value}}"`,
		`"$${env}"`:                         `"${env}"`,
		`"${next:WE@03:00}"`:                `"2026-12-02T03:00:00"`,
		`"${next:WE,FR@19:00}"`:             `"2026-11-25T19:00:00"`,
		`[{"a": ["${env}"]}]`:               `[{"a":["dev"]}]`,
		`3`:                                 `3`,
	} {
		body, err := define(t, `{"x": `+text+`}`).Fill(v, target)
		if err != nil || short(body["x"]) != want {
			t.Errorf("%s: %s, %v, want %s", text, short(body["x"]), err, want)
		}
	}
	for text, says := range map[string]string{
		`"${envv}"`:             "monitor.a.json: x: ${envv} is unknown; there are ${app}, ${env},",
		`"${env"`:               `x: "${env" has no }`,
		`[1, {"y": "a ${no}"}]`: "x[1].y: ${no} is unknown",
		`"${monitor:b.name}"`:   "is unknown",
		`"${next:XX@19:00}"`:    "XX is no weekday",
		`"${next:MO@25:00}"`:    "25:00 is no time of day",
	} {
		if _, err := define(t, `{"x": `+text+`}`).Fill(v, target); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
}

// Whatever a value is, it stays a value.
func TestFillKeepsTheForm(t *testing.T) {
	for _, value := range []string{`"`, `\`, "\n", `", "type": "x`, "${service}", "$${", "\u2028", "{{#is_alert}}"} {
		v := values()
		v.Env = value
		body, err := define(t, `{"name": "<${env}>", "list": ["${env}"]}`).Fill(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(marshal(body))
		if err != nil {
			t.Fatal(err)
		}
		if len(again) != 2 || again["name"] != "<"+value+">" || list(again["list"])[0] != value {
			t.Errorf("%q becomes %s", value, marshal(body))
		}
	}
}

func TestNextIsInTheFuture(t *testing.T) {
	for hour := range 24 * 8 {
		now := time.Date(2026, 3, 27, hour, 59, 30, 0, time.UTC)
		s, err := next(now, "MO,TU,WE,TH,FR", "19:00")
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006-01-02T15:04:05", s)
		if err != nil || !at.After(now.Add(time.Minute)) || at.Sub(now) > 4*24*time.Hour || at.Weekday() == time.Saturday || at.Weekday() == time.Sunday || at.Hour() != 19 {
			t.Errorf("after %s comes %s: %v", now.Format("Mon 15:04"), s, err)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ name, kind, want, have, shows string }{
		{"numbers", "monitor", `{"priority": 3, "x": 800}`, `{"priority": 3.0, "x": 8e2}`, ""},
		{"nothing", "monitor", `{"message": "", "options": {"locked": false, "renotify_interval": 0}}`, `{"options": {"renotify_interval": null}}`, ""},
		{"white space", "monitor", `{"message": "a\nb", "query": "q"}`, `{"message": " a\r\nb\n", "query": "q "}`, ""},
		{"names of a type", "monitor", `{"type": "query alert"}`, `{"type": "metric alert"}`, ""},
		{"another type", "monitor", `{"type": "query alert"}`, `{"type": "log alert"}`, `type: "log alert" -> "query alert"`},
		{"what the API adds", "monitor", `{"name": "a"}`, `{"name": "a", "id": 1, "creator": {"email": "x"}, "options": {"new_host_delay": 300, "include_tags": true, "avalanche_window": 20, "silenced": {"*": null}}}`, ""},
		{"tags", "monitor", `{"tags": ["B:x", "a:y"]}`, `{"tags": ["a:y", "b:x"]}`, ""},
		{"a tag less", "monitor", `{"tags": ["a:y"]}`, `{"tags": []}`, `tags: [] -> ["a:y"]`},
		{"thresholds", "slo", `{"thresholds": [{"timeframe": "7d", "target": 99}, {"timeframe": "30d", "target": 98}]}`, `{"thresholds": [{"timeframe": "30d", "target": 98.0, "target_display": "98."}, {"timeframe": "7d", "target": 99.0}]}`, ""},
		{"a widget's ID", "dashboard", `{"widgets": [{"definition": {"type": "note", "content": "x"}}]}`, `{"widgets": [{"id": 1, "definition": {"type": "note", "content": "x"}}]}`, ""},
		{"a widget less", "dashboard", `{"widgets": [{"definition": {"content": "x"}}, {"definition": {"content": "y"}}]}`, `{"widgets": [{"definition": {"content": "x"}}]}`, `widgets[1]: + {"definition":{"content":"y"}}`},
		{"an object that is a list there", "dashboard", `{"widgets": {"a": 1}}`, `{"widgets": [1]}`, `widgets: [1] -> {"a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := parse([]byte(c.want))
			if err != nil {
				t.Fatal(err)
			}
			have, err := parse([]byte(c.have))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			writeChanges(&out, diff(Kind(c.kind), want, have, nil))
			if got := strings.TrimSpace(out.String()); got != c.shows {
				t.Errorf("got %q, want %q", got, c.shows)
			}
		})
	}
}

func TestMarks(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"monitor", `{"tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/a"]}`, "[apmapp/dev/a]"},
		{"monitor", `{"tags": ["provision-id:apmapp/dev/a"]}`, "[]"},
		{"monitor", `{"tags": ["managed-by:apmapp-provision"], "message": "[apmapp-provision:apmapp/dev/a]"}`, "[]"},
		{"slo", `{"tags": ["managed-by:terraform", "provision-id:apmapp/dev/a"]}`, "[]"},
		{"dashboard", `{"title": "apmapp/dev/a", "description": "x\n\n[apmapp-provision:apmapp/dev/a]"}`, "[apmapp/dev/a]"},
		{"dashboard", `{"title": "[apmapp-provision:apmapp/dev/a]", "description": null}`, "[]"},
		{"downtime", `{"data": {"attributes": {"message": "[apmapp-provision:apmapp/dev/a] ours"}}}`, "[apmapp/dev/a]"},
		{"downtime", `{"data": {"attributes": {"message": null}}}`, "[]"},
	} {
		body, err := parse([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(marks(Kind(c.kind), body)); got != c.want {
			t.Errorf("%s %s: marks %s, want %s", c.kind, c.body, got, c.want)
		}
	}
	for mark, want := range map[string]string{"apmapp/dev/a": "a", "apmapp/prod/a": "", "apmapp/dev2/a": "", "apmapp/dev/": ""} {
		if got := keyOf(mark, "apmapp/dev"); got != want {
			t.Errorf("the key in %s is %q, want %q", mark, got, want)
		}
	}
}

func TestSites(t *testing.T) {
	for site, want := range map[string]string{
		"datadoghq.com": "https://app.datadoghq.com/monitors/7", "datadoghq.eu": "https://app.datadoghq.eu/monitors/7",
		"us3.datadoghq.com": "https://us3.datadoghq.com/monitors/7", "ddog-gov.com": "https://app.ddog-gov.com/monitors/7",
	} {
		c, err := NewClient(Config{APIKey: "a", AppKey: "b", Site: site})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.link(object{kind: Monitor, id: json.Number("7")}); got != want {
			t.Errorf("%s: %s, want %s", site, got, want)
		}
	}
	if fmt.Sprint(anyTarget(Ref{Monitor, "a"}).ID) != "1" {
		t.Error("a monitor's ID is a number")
	}
}
