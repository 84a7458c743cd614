package provision

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a request to change a resource has: the definition's values, and what the
// definition does not own.
func TestCarryOver(t *testing.T) {
	for _, c := range []struct{ name, kind, want, have, sent string }{
		{"who may see, edit and follow a dashboard", "dashboard",
			`{"title": "new", "layout_type": "ordered", "widgets": []}`,
			`{"id": "abc-def-ghi", "title": "old", "layout_type": "ordered", "widgets": [], "restricted_roles": ["r"], "tags": ["team:a"], "notify_list": ["a@example.com"], "is_read_only": true,
				"reflow_type": "auto", "url": "/d", "author_handle": "a", "created_at": "x", "modified_at": "x", "experience_type": "x", "description": null}`,
			`{"experience_type":"x","is_read_only":true,"layout_type":"ordered","notify_list":["a@example.com"],"reflow_type":"auto","restricted_roles":["r"],"tags":["team:a"],"title":"new","widgets":[]}`},
		{"what the definition owns", "dashboard", `{"tags": [], "restricted_roles": ["mine"]}`, `{"tags": ["team:a"], "restricted_roles": ["r"]}`, `{"restricted_roles":["mine"],"tags":[]}`},
		{"what plan reports as removed", "dashboard", `{}`, `{"template_variables": [{"name": "a"}], "template_variable_presets": [{"name": "b"}], "tabs": [{"name": "c"}]}`, `{}`},
		{"the IDs of widgets of the same type, also in groups", "dashboard",
			`{"widgets": [{"definition": {"type": "group", "widgets": [{"definition": {"type": "note", "content": "new"}}]}}, {"definition": {"type": "note"}}, {"definition": {"type": "note"}}]}`,
			`{"widgets": [{"id": 1, "definition": {"type": "group", "title": "t", "widgets": [{"id": 2, "definition": {"type": "note"}}]}}, {"id": 3, "definition": {"type": "toplist"}}]}`,
			`{"widgets":[{"definition":{"type":"group","widgets":[{"definition":{"content":"new","type":"note"},"id":2}]},"id":1},{"definition":{"type":"note"}},{"definition":{"type":"note"}}]}`},
		{"the IDs of widgets that somebody moved, retitled or deleted", "dashboard",
			`{"widgets": [{"definition": {"type": "note", "content": "new"}}, {"id": 5, "definition": {"type": "toplist", "title": "A"}}, {"definition": {"type": "toplist", "title": "B"}}, {"definition": {"type": "slo", "title": "new"}}, {"definition": {"type": "note"}}]}`,
			`{"widgets": [{"id": 2, "definition": {"type": "toplist", "title": "B"}}, {"id": 5, "definition": {"type": "toplist", "title": "A"}}, {"id": 3, "definition": {"type": "toplist", "title": "C"}}, {"id": 4, "definition": {"type": "slo", "title": "old"}}]}`,
			`{"widgets":[{"definition":{"content":"new","type":"note"}},{"definition":{"title":"A","type":"toplist"},"id":5},{"definition":{"title":"B","type":"toplist"},"id":2},{"definition":{"title":"new","type":"slo"},"id":4},{"definition":{"type":"note"}}]}`},
		{"the values of template variables of the same name", "dashboard",
			`{"template_variables": [{"name": "service"}, {"name": "env"}]}`,
			`{"template_variables": [{"name": "env", "available_values": ["dev"]}, {"name": "host", "available_values": ["h"]}]}`,
			`{"template_variables":[{"name":"service"},{"available_values":["dev"],"name":"env"}]}`},
		{"mutings, roles and samples of a monitor", "monitor",
			`{"name": "new", "options": {"thresholds": {"critical": 1}}}`,
			`{"id": 7, "name": "old", "priority": 2, "restricted_roles": ["r"], "draft_status": "draft", "tags": [], "creator": {}, "created": "x", "multi": true, "overall_state": "OK", "state": {},
				"options": {"silenced": {"*": 1}, "variables": [], "scheduling_options": {}, "enable_logs_sample": true, "include_tags": false, "evaluation_delay": 60, "new_host_delay": 300, "avalanche_window": 20, "thresholds": {"critical": 2, "warning": 1}}}`,
			`{"draft_status":"draft","name":"new","options":{"enable_logs_sample":true,"include_tags":false,"silenced":{"*":1},"thresholds":{"critical":1}},"priority":2,"restricted_roles":["r"]}`},
		{"a default", "monitor", `{"name": "a"}`, `{"draft_status": "published"}`, `{"name":"a"}`},
		{"the description and a warning of an SLO", "slo",
			`{"name": "new", "thresholds": [{"timeframe": "7d", "target": 99}, {"timeframe": "30d", "target": 98}]}`,
			`{"id": "0a", "name": "old", "description": "d", "groups": ["g"], "query": {"numerator": "a"}, "timeframe": "7d", "target_threshold": 90, "warning_threshold": 95, "monitor_ids": [1], "type_id": 1, "creator": {}, "created_at": 1,
				"thresholds": [{"timeframe": "30d", "target": 90, "warning": 95, "target_display": "90."}, {"timeframe": "7d", "target": 90}]}`,
			`{"description":"d","groups":["g"],"name":"new","thresholds":[{"target":99,"timeframe":"7d"},{"target":98,"timeframe":"30d","warning":95}]}`},
		{"a downtime: a PATCH keeps what it lacks", "downtime", `{"data": {"attributes": {"message": "new"}}}`, `{"data": {"attributes": {"message": "old", "notify_end_types": ["expired"]}}}`, `{"data":{"attributes":{"message":"new"}}}`},
	} {
		want, have := parsed(t, c.want), parsed(t, c.have)
		before := compact(want) + compact(have)
		if got := compact(carryOver(Kind(c.kind), want, have)); got != c.sent {
			t.Errorf("%s: sent\n%s\nwant\n%s", c.name, got, c.sent)
		}
		if after := compact(want) + compact(have); after != before {
			t.Errorf("%s: changed its arguments: %s, before %s", c.name, after, before)
		}
	}
}

// A change that does not concern the schedule of a downtime does not send it: a new
// schedule ends the night that is running. The request contains the ID, which the
// definition's body does not.
func TestUpdateSendsAScheduleOnlyIfItChanged(t *testing.T) {
	for path, want := range map[string]string{
		"data.attributes.message":                          `{"data":{"attributes":{"message":"new"},"id":"0b"}}`,
		"data.attributes.schedule.recurrences[0].duration": `{"data":{"attributes":{"message":"new","schedule":{"timezone":"UTC"}},"id":"0b"}}`,
		"data.attributes.schedule":                         `{"data":{"attributes":{"message":"new","schedule":{"timezone":"UTC"}},"id":"0b"}}`,
	} {
		var sent []byte
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			sent, _ = io.ReadAll(r.Body)
			io.WriteString(w, `{"data": {"id": "0b"}}`)
		})
		body := parsed(t, `{"data": {"attributes": {"message": "new", "schedule": {"timezone": "UTC"}}}}`)
		before := compact(body)
		o, err := a.update(t.Context(), Ref{Downtime, "n"}, object{kind: Downtime, id: "0b", body: map[string]any{}}, body, []Change{{Path: path}})
		if err != nil || o.ID() != "0b" || compact(body) != before {
			t.Errorf("%v, %v, the body is now %s", o, err, compact(body))
		}
		if got := compact(value(t, string(sent))); got != want {
			t.Errorf("a change of %s sends %s, want %s", path, got, want)
		}
	}
}

// The original is the oldest resource with a marker; one whose text a person continued
// counts as younger.
func TestOriginal(t *testing.T) {
	const tags = `"tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/a"]`
	const mark = `[apmapp-provision:apmapp/dev/a]`
	for _, c := range []struct {
		kind, objects, want string // IDs: the original, then the copies
	}{
		{"monitor", `[]`, ""},
		{"monitor", `[{"id": 9}]`, ""},
		{"monitor", `[{"id": 9, ` + tags + `}, {"id": 10, ` + tags + `}]`, "9 10"},
		{"monitor", `[{"id": 10, ` + tags + `}, {"id": 9, ` + tags + `}]`, "9 10"},
		{"slo", `[{"id": "b", ` + tags + `}, {"id": "a", ` + tags + `}]`, "a b"}, // the order of the list changes
		{"monitor", `[{"id": 9, "created": "2026-01-02T03:04:05.000000+00:00", ` + tags + `}, {"id": 10, "created": "2026-01-02T03:04:04.000000+00:00", ` + tags + `}]`, "10 9"},
		{"slo", `[{"id": "a", "created_at": 1700000001, ` + tags + `}, {"id": "b", "created_at": 1700000000, ` + tags + `}, {"id": "c", ` + tags + `}]`, "b a c"},
		{"slo", `[{"id": "a", "created_at": 1700000000001, ` + tags + `}, {"id": "b", "created_at": 1699999999, ` + tags + `}]`, "b a"},
		{"dashboard", `[{"id": "a", "created_at": "2026-01-01T00:00:00Z", "description": "` + mark + ` see Bob"}, {"id": "b", "created_at": "2026-01-02T00:00:00Z", "description": "` + mark + `"}]`, "b a"},
		{"dashboard", `[{"id": "a", "description": "` + mark + ` (cloned)"}, {"id": "b", "description": "` + mark + `"}]`, "b"},
		{"dashboard", `[{"id": "a", "description": "` + mark + ` see Bob"}]`, "a"},
		{"dashboard", `[{"id": "a", "created_at": "2026-01-01T00:00:00Z", "description": "` + mark + ` \n"}, {"id": "b", "created_at": "2026-01-02T00:00:00Z", "description": "` + mark + `"}]`, "a b"},
		{"downtime", `[{"data": {"id": "a", "attributes": {"created": "2026-01-02T00:00:00Z", "message": "` + mark + `"}}}, {"data": {"id": "b", "attributes": {"created": "2026-01-01T00:00:00Z", "message": "` + mark + `"}}}]`, "b a"},
	} {
		var all []object
		for _, v := range value(t, c.objects).([]any) {
			body := v.(map[string]any)
			all = append(all, object{Kind(c.kind), idOf(Kind(c.kind), body), body})
		}
		original, copies := withMark(all, "apmapp/dev/a")
		got := ""
		if original != nil {
			got = original.ID()
		}
		for _, o := range copies {
			got += " " + o.ID()
		}
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind, c.objects, got, c.want)
		}
	}
}

// Copies do not keep plan, apply and destroy from their work. All three name them.
func TestCopies(t *testing.T) {
	const tags = `"name": "N", "type": "query alert", "query": "q", "tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/n"]`
	a := newAPI(t, paths{"monitor": `[{"id": 8, ` + tags + `}, {"id": 7, ` + tags + `}]`, "monitor/8": `{"id": 8, ` + tags + `}`}.ServeHTTP)
	all := loaded(t, map[string]string{"monitor.n.json": `{"name": "N", "type": "query alert", "query": "q"}`})
	p, err := a.Plan(t.Context(), all, values())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p.Write(&out, false)
	const copied = "monitor n: a younger resource carries the same marker: https://app.datadoghq.com/monitors/8; if it is yours, remove its tag provision-id:...; destroy -copies deletes it\n"
	if got, want := out.String(), "same    monitor n\ncopy    "+copied+"\n0 to create, 0 to change, 1 the same\n"; got != want {
		t.Errorf("plan prints\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	if err := a.Apply(t.Context(), all, values(), false, &out); err != nil {
		t.Error(err)
	}
	if got, want := out.String(), "same     monitor n                        https://app.datadoghq.com/monitors/7\ncopy     "+copied; got != want {
		t.Errorf("apply prints\n%s\nwant\n%s", got, want)
	}
	for range 2 {
		originals, copies, err := a.Managed(t.Context(), values())
		if err != nil || len(originals) != 1 || originals[0].ID() != "7" || len(copies) != 1 || copies[0].ID() != "8" {
			t.Fatalf("managed: %v, %v, %v", originals, copies, err)
		}
		a.requests = nil
		if err := a.Destroy(t.Context(), copies, values(), io.Discard); err != nil || a.requests[1] != "DELETE /api/v1/monitor/8" {
			t.Errorf("Destroy of the copies: %v, %v", err, a.requests)
		}
	}
	l := Left{Ref{Dashboard, "d"}, "https://app.datadoghq.com/dashboard/x", object{kind: Dashboard, body: map[string]any{}}}
	if got, want := l.String(), "dashboard d: a younger resource carries the same marker: https://app.datadoghq.com/dashboard/x; if it is yours, remove the line [apmapp-provision:...] from its text; destroy -copies deletes it"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A monitor whose type changes: the API refuses the change, so plan offers to replace
// the monitor. apply does that only if it is asked to.
func TestReplace(t *testing.T) {
	for _, c := range []struct {
		name     string
		replace  bool
		validate string // the answer to the validation
		want     string
		requests string // after the lists
	}{
		{"not asked", false, `{}`, `monitor n: its type is query alert and shall be log alert; ` + replaceNote, ""},
		{"asked", true, `{}`, "", "POST /api/v1/monitor/validate DELETE /api/v1/monitor/7 POST /api/v1/monitor"},
		{"the new one is invalid", true, "400", "validate monitor n: 400 Bad Request", "POST /api/v1/monitor/validate"},
		{"an API without validation", true, "404", "", "POST /api/v1/monitor/validate DELETE /api/v1/monitor/7 POST /api/v1/monitor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t, paths{"POST monitor/validate": c.validate,
				"monitor": `[{"id": 7, "name": "N", "type": "query alert", "query": "q", "tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/n"]}]`}.ServeHTTP)
			all := loaded(t, map[string]string{"monitor.n.json": `{"name": "N", "type": "log alert", "query": "q"}`})
			p, err := a.Plan(t.Context(), all, values())
			if err != nil || p.Counts()[Replace] != 1 {
				t.Fatalf("plan %v, %v", p.Counts(), err)
			}
			var out bytes.Buffer
			p.Write(&out, false)
			if want := "replace monitor n\n    type: \"query alert\" -> \"log alert\"\n    " + replaceNote + "\n\n0 to create, 0 to change, 0 the same, 1 to replace\n"; out.String() != want {
				t.Errorf("plan prints\n%s\nwant\n%s", out.String(), want)
			}
			both := loaded(t, map[string]string{"monitor.n.json": `{"name": "N", "type": "log alert", "query": "q"}`, "dashboard.d.json": `{"title": "of ${monitor:n.id}", "layout_type": "ordered", "widgets": []}`})
			if p, err := a.Plan(t.Context(), both, values()); err != nil || p.Steps[1].body["title"] != "of (known after apply)" {
				t.Errorf("the plan of a dashboard with the new ID: %v, %v", err, p.Steps)
			}
			a.requests = nil
			err = a.Apply(t.Context(), all, values(), c.replace, io.Discard)
			if c.want == "" && err != nil || c.want != "" && !strings.HasPrefix(fmt.Sprint(err), c.want+"\n") {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if got := strings.Join(a.requests[4:], " "); got != c.requests {
				t.Errorf("requests %s, want %s", got, c.requests)
			}
		})
	}
}

// apply at night: the window that is open is covered, too, although the API accepts no
// start in the past.
func TestOpenWindow(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	nights := define(t, `{"data": {"attributes": {"schedule": {"timezone": "Europe/Berlin", "recurrences": [
		{"start": "${next:MO,TU,WE,TH,FR@19:00}", "duration": "14h", "rrule": "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU,WE,TH,FR"},
		{"start": "${next:MO@00:00}", "duration": "9h", "rrule": "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO"}]}}}}`)
	nights.Kind = Downtime
	for now, want := range map[string]string{
		"2026-11-25 18:59": "",                         // a Wednesday
		"2026-11-25 19:00": "2026-11-25T19:02:00 838m", // until 09:00
		"2026-11-25 22:30": "2026-11-25T22:32:00 628m", //
		"2026-11-26 03:00": "2026-11-26T03:02:00 358m", //
		"2026-11-26 08:57": "2026-11-26T08:59:00 1m",   //
		"2026-11-26 08:58": "",                         // too short to matter
		"2026-11-26 09:00": "",                         //
		"2026-11-28 03:00": "2026-11-28T03:02:00 358m", // Saturday, after Friday's night
		"2026-11-28 22:00": "",                         // the weekend has a downtime of its own
		"2026-11-30 03:00": "2026-11-30T03:02:00 358m", // Monday, the second recurrence
		"2026-10-24 23:00": "",                         // a Saturday
		"2026-03-27 23:00": "2026-03-27T23:02:00 598m", // the Friday before summer time
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", now, berlin)
		if err != nil {
			t.Fatal(err)
		}
		v := values()
		v.Location, v.Now = berlin, at
		body, err := nights.Fill(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := compact(body)
		sent := Step{Definition: nights, body: body}.toSend(v)
		recurrences := list(attributes(sent)["schedule"].(map[string]any)["recurrences"])
		got := ""
		if len(recurrences) == 3 {
			r := recurrences[2].(map[string]any)
			got = fmt.Sprint(r["start"], " ", r["duration"])
			if r["rrule"] != "FREQ=DAILY;INTERVAL=1;COUNT=1" {
				t.Errorf("rrule %v", r["rrule"])
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", now, got, want)
		}
		if compact(body) != before {
			t.Errorf("%s: toSend changed the step", now)
		}
		// What was sent is no difference afterwards.
		if changes := diff(Downtime, body, sent, nights.moving()); len(changes) > 0 {
			t.Errorf("%s: %v", now, changes)
		}
	}
}

// Windows of other forms.
func TestOpenUntil(t *testing.T) {
	now := time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC) // a Wednesday
	for _, c := range []struct{ start, duration, rule, want string }{
		{"2026-11-26T19:00:00", "14h", "FREQ=DAILY;INTERVAL=1", "2026-11-26 09:00"},
		{"2026-11-26T19:00:00", "14h", "FREQ=DAILY", "2026-11-26 09:00"},
		{"2026-11-26T19:00:00", "840m", "FREQ=WEEKLY;BYDAY=WE", "2026-11-26 09:00"},
		{"2026-11-26T19:00:00", "2d", "FREQ=WEEKLY;BYDAY=MO", ""}, // 19:00 on Wednesday
		{"2026-11-26T22:00:00", "2d", "FREQ=WEEKLY;BYDAY=MO", ""},
		{"2026-11-26T22:01:00", "2d", "FREQ=WEEKLY;BYDAY=MO", "2026-11-25 22:01"},
		{"2026-11-26T22:00:00", "1h", "FREQ=WEEKLY;BYDAY=WE", "2026-11-25 23:00"},
		{"2026-11-26T19:00:00", "1w", "FREQ=WEEKLY;BYDAY=WE", "2026-12-02 19:00"},
		{"2026-11-26T19:00:00", "14h", "FREQ=WEEKLY;BYDAY=TH", ""},
		{"2026-11-26T19:00:00", "14h", "INTERVAL=1;BYDAY=WE;FREQ=WEEKLY", "2026-11-26 09:00"},
		{"2026-11-26T19:00:00", "14h", "FREQ=DAILY;BYDAY=TU,WE", "2026-11-26 09:00"},
		{"2026-11-26T19:00:00", "14h", "FREQ=DAILY;BYDAY=TH", ""},
		{"2026-11-26T19:00:00", "14h", "FREQ=WEEKLY", ""}, // its day depends on the start
		{"2026-11-26T19:00:00", "14h", "FREQ=DAILY;UNTIL=20261101T000000Z", ""},
		{"2026-11-26T19:00:00", "14h", "FREQ=WEEKLY;INTERVAL=2;BYDAY=WE", ""},
		{"2026-11-26T19:00:00", "14h", "FREQ=DAILY;COUNT=3", ""},
		{"2026-11-26T19:00:00", "14h", "FREQ=MONTHLY", ""},
		{"2026-11-26T19:00:00", "long", "FREQ=DAILY", ""},
		{"2026-11-26T19:00:00", "14y", "FREQ=DAILY", ""},
		{"later", "14h", "FREQ=DAILY", ""},
	} {
		got := ""
		if end := openUntil(map[string]any{"start": c.start, "duration": c.duration, "rrule": c.rule}, now); !end.IsZero() {
			got = end.Format("2006-01-02 15:04")
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Only a downtime gets a recurrence, only for starts that depend on the date, and only
// while the API accepts one more.
func TestNoOpenWindow(t *testing.T) {
	one := func(start string) string {
		return `{"start": "` + start + `", "duration": "14h", "rrule": "FREQ=DAILY"}`
	}
	all := func(recurrences ...string) string {
		return `{"data": {"attributes": {"schedule": {"timezone": "UTC", "recurrences": [` + strings.Join(recurrences, ",") + `]}}}}`
	}
	const daily = "${next:MO,TU,WE,TH,FR,SA,SU@19:00}"
	for _, c := range []struct {
		kind Kind
		body string
		want int // recurrences
	}{
		{Downtime, all(one(daily)), 2},
		{Downtime, all(one("2026-11-25T19:00:00")), 1},
		{Downtime, all(one(daily), one(daily), one(daily), one(daily)), 5},
		{Downtime, all(one(daily), one(daily), one(daily), one(daily), one(daily)), 5},
		{Monitor, all(one(daily)), 1},
	} {
		d := define(t, c.body)
		d.Kind = c.kind
		v := values()
		v.Now = time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC)
		body, err := d.Fill(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		sent := Step{Definition: d, body: body}.toSend(v)
		if got := len(list(attributes(sent)["schedule"].(map[string]any)["recurrences"])); got != c.want {
			t.Errorf("%s %s: %d recurrences, want %d", c.kind, c.body, got, c.want)
		}
	}
}

// Null clears a field where a request changes only what it has. Elsewhere it is left out.
func TestWithoutNull(t *testing.T) {
	const body = `{"a": null, "b": {"c": null, "d": [null, {"e": null, "f": 1}]}, "data": {"attributes": {"message": null}}}`
	for kind, want := range map[Kind]string{
		SLO:       `{"b":{"d":[null,{"f":1}]},"data":{"attributes":{}}}`,
		Dashboard: `{"b":{"d":[null,{"f":1}]},"data":{"attributes":{}}}`,
		Monitor:   `{"a":null,"b":{"d":[null,{"f":1}]},"data":{"attributes":{}}}`,
		Downtime:  `{"a":null,"b":{"c":null,"d":[null,{"f":1}]},"data":{"attributes":{"message":null}}}`,
	} {
		if got := compact(withoutNull(kind, parsed(t, body))); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}

// The recurrences that apply adds are left out, and nothing else.
func TestWithoutFirst(t *testing.T) {
	for body, want := range map[string]string{
		`{"data": {"attributes": {"schedule": {"recurrences": [{"rrule": "FREQ=DAILY;INTERVAL=1;COUNT=1"}, {"rrule": "FREQ=DAILY"}, 1]}}}}`: `{"data":{"attributes":{"schedule":{"recurrences":[{"rrule":"FREQ=DAILY"},1]}}}}`,
		`{"data": {"attributes": {"schedule": {"start": null}}}}`:                                                                           `{"data":{"attributes":{"schedule":{"start":null}}}}`,
		`{"data": {"attributes": {}}}`: `{"data":{"attributes":{}}}`,
		`{}`:                           `{}`,
	} {
		given := parsed(t, body)
		before := compact(given)
		if got := compact(withoutFirst(given)); got != want || compact(given) != before {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
