package provision

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// folder returns a folder of files with these texts.
func folder(files map[string]string) fstest.MapFS {
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

// loaded returns definitions from files with these texts.
func loaded(t *testing.T, files map[string]string) Definitions {
	t.Helper()
	all, err := Load(folder(files))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// small are two definitions: a dashboard and a monitor that links it.
var small = map[string]string{
	"dashboard.d.json": `{"title": "D <&>", "layout_type": "ordered", "widgets": [
		{"definition": {"type": "group", "layout_type": "ordered", "widgets": [{"definition": {"type": "note", "content": "x"}}]}}]}`,
	"monitor.m.json": `{"name": "M", "type": "query alert", "query": "avg(last_5m):avg:m{env:${env}} > 1", "message": "${dashboard:d.url} ${notify}", "tags": ["a:b"]}`,
}

func TestOfflinePlan(t *testing.T) {
	p, err := loaded(t, small).Offline(values())
	if err != nil {
		t.Fatal(err)
	}
	var brief, full strings.Builder
	p.Write(&brief, false)
	p.Write(&full, true)
	const wantBrief = `create  dashboard d
    + D <&>
    + 2 graphs, groups and notes
create  monitor m
    + M
    + avg(last_5m):avg:m{env:dev} > 1

2 to create, 0 to change, 0 the same
`
	if brief.String() != wantBrief {
		t.Errorf("got\n%s\nwant\n%s", brief.String(), wantBrief)
	}
	const wantFull = `create  monitor m
{
  "message": "${dashboard:d.url} @ops@example.com",
  "name": "M",
  "query": "avg(last_5m):avg:m{env:dev} > 1",
  "tags": [
    "a:b",
    "managed-by:apmapp-provision",
    "provision-id:apmapp/dev/m"
  ],
  "type": "query alert"
}

2 to create, 0 to change, 0 the same
`
	if !strings.HasSuffix(full.String(), wantFull) || !strings.Contains(full.String(), `"description": "[apmapp-provision:apmapp/dev/d]",`) {
		t.Errorf("got\n%s\nwant at its end\n%s", full.String(), wantFull)
	}
}

func TestWritePlan(t *testing.T) {
	step := func(kind Kind, key string, action Action) Step {
		return Step{Definition: Definition{Ref: Ref{kind, key}}, Action: action}
	}
	create := step(SLO, "s", Create)
	create.body = map[string]any{"name": "S", "thresholds": []any{map[string]any{"target": 99.9, "timeframe": "7d"}, map[string]any{"target": 99, "timeframe": "30d"}}}
	downtime := step(Downtime, "n", Create)
	downtime.body = map[string]any{"data": map[string]any{"attributes": map[string]any{"message": "Nights: mute.\n\nMore.", "schedule": map[string]any{"timezone": "UTC",
		"recurrences": []any{map[string]any{"start": "2026-11-28T19:00:00", "duration": "14h", "rrule": "FREQ=DAILY"}}}}}}
	change := step(Monitor, "m", Update)
	change.Changes = []Change{{"a", "x", "y"}, {"b", nil, "y"}, {"c", "x", nil}}
	failed := step(Monitor, "f", Failed)
	failed.Err = errors.New("broken")
	p := Plan{Steps: []Step{create, downtime, change, step(Monitor, "e", Same), failed}, Left: []Left{{Ref: Ref{Dashboard, "old"}, Link: "https://example.com/d"}}}
	var out strings.Builder
	p.Write(&out, false)
	const want = `create  slo s
    + S
    + 99.9 % in 7d
    + 99 % in 30d
create  downtime n
    + Nights: mute.
    + from 2026-11-28T19:00:00 UTC, 14h, FREQ=DAILY
change  monitor m
    a: "x" -> "y"
    b: + "y"
    c: - "x"
same    monitor e
failed  monitor f
    broken
left    dashboard old no longer has a definition: https://example.com/d

2 to create, 1 to change, 1 the same, 1 failed, 1 left over
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if got := p.Counts(); fmt.Sprint(got) != "map[change:1 create:2 failed:1 same:1]" {
		t.Errorf("counts %v", got)
	}
}

// All that is wrong with the definitions is one error, in the order of the files.
func TestValidate(t *testing.T) {
	all := loaded(t, map[string]string{"monitor.a.json": `{"nam": "${no}"}`, "monitor.b.json": `{"nam": 1, "type": 1}`, "slo.c.json": `{"tags": 1}`, "downtime.d.json": `{"data": {"attributes": {"message": 1}}}`})
	err := all.Validate(values())
	want := []string{
		"slo.c.json: tags: not a list", "slo.c.json: lacks the required field name", "slo.c.json: lacks the required field thresholds", "slo.c.json: lacks the required field type",
		"monitor.a.json: nam: unknown placeholder ${no}; use ${app}, ${env}, ${host}, ${notify}, ${runbooks}, ${service}, ${timezone}, " +
			"a reference such as ${monitor:key.id} or ${dashboard:key.url}, or a time such as ${next:MO,TU@19:00}; $$ instead of $ keeps the text",
		"monitor.b.json: nam: unknown field", "monitor.b.json: type: unknown value 1; known values are " + fmt.Sprint(schema()["MonitorType"].enum), "monitor.b.json: lacks the required field query",
		"downtime.d.json: data.attributes.message: 1 is not a string", "downtime.d.json: data.attributes: lacks the required field monitor_identifier",
		"downtime.d.json: data.attributes: lacks the required field scope", "downtime.d.json: data: lacks the required field type",
	}
	if got := fmt.Sprint(err); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if _, offline := all.Offline(values()); fmt.Sprint(offline) != fmt.Sprint(err) {
		t.Errorf("Offline: %v", offline)
	}
	// The marker makes no further problem.
	bare := loaded(t, map[string]string{"downtime.d.json": `{"data": {"type": "downtime"}}`, "monitor.m.json": `{"name": "M", "type": "query alert", "query": "q", "tags": "a"}`,
		"dashboard.b.json": `{"title": "B", "layout_type": "ordered", "widgets": [], "description": 1}`})
	if err := bare.Validate(values()); fmt.Sprint(err) != "dashboard.b.json: description: 1 is not a string\nmonitor.m.json: tags: not a list\ndowntime.d.json: data: lacks the required field attributes" {
		t.Errorf("got %v", err)
	}
	// A tag that Datadog would cut off, and the longest that it keeps.
	v := values()
	v.Env, v.Service = strings.Repeat("e", 90), strings.Repeat("s", 92)
	long := loaded(t, map[string]string{"monitor.abc.json": `{"name": "M", "type": "query alert", "query": "q"}`})
	if err := long.Validate(v); err != nil {
		t.Error(err)
	}
	v.Env += "e"
	if err := long.Validate(v); !strings.HasPrefix(fmt.Sprint(err), "monitor.abc.json: its tag provision-id:sss") || !strings.HasSuffix(err.Error(), " has 201 characters, but Datadog keeps 200; shorten the key, the service or the environment") {
		t.Errorf("got %v", err)
	}
	if _, plan := newAPI(t, answers(500, "")).Plan(t.Context(), all, values()); fmt.Sprint(plan) != fmt.Sprint(err) {
		t.Errorf("Plan: %v", plan)
	}
}

func TestPlanWithoutAList(t *testing.T) {
	a := newAPI(t, answers(403, ""))
	if _, err := a.Plan(t.Context(), loaded(t, small), values()); fmt.Sprint(err) != "list slos"+refusedKey || len(a.requests) != 2 {
		t.Errorf("%v after %v", err, a.requests)
	}
	if _, _, err := a.Managed(t.Context(), values()); fmt.Sprint(err) != "list downtimes"+refusedKey || len(a.requests) != 3 {
		t.Errorf("%v after %v", err, a.requests)
	}
}

// A dashboard that cannot be read fails alone. One that was deleted may still be in the
// list.
func TestPlanWithADashboardThatCannotBeRead(t *testing.T) {
	account := paths{"dashboard": deployed["dashboard"], "dashboard/abc-def-ghi": "400"}
	a := newAPI(t, account.ServeHTTP)
	p, err := a.Plan(t.Context(), loaded(t, small), values())
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Steps[0]; s.Action != Failed || fmt.Sprint(s.Err) != "read dashboard abc-def-ghi: 400 Bad Request" {
		t.Errorf("%s: %s, %v", s.Ref, s.Action, s.Err)
	}
	// The dashboard exists, so its link is known.
	if s := p.Steps[1]; s.Action != Create || s.body["message"] != "https://app.datadoghq.com/dashboard/abc-def-ghi @ops@example.com" {
		t.Errorf("%s: %s, %v", s.Ref, s.Action, s.body)
	}
	account["dashboard/abc-def-ghi"] = "404"
	p, err = a.Plan(t.Context(), loaded(t, small), values())
	if err != nil || p.Steps[0].Action != Create || p.Steps[1].body["message"] != "(known after apply) @ops@example.com" {
		t.Errorf("a deleted dashboard: %v, %+v", err, p.Steps)
	}
}

// A resource that does not exist yet has no ID to refer to.
func TestPlanBeforeTheReferenceExists(t *testing.T) {
	a := newAPI(t, paths{"monitor": `[{"id": 7, "name": "M", "type": "metric alert", "query": "avg(last_5m):avg:m{env:dev} > 1",
		"message": "https://app.datadoghq.com/dashboard/x @ops@example.com", "tags": ["a:b", "managed-by:apmapp-provision", "provision-id:apmapp/dev/m"]}]`}.ServeHTTP)
	p, err := a.Plan(t.Context(), loaded(t, small), values())
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Steps[1]; s.Action != Update || len(s.Changes) != 1 || s.Changes[0].Want != "(known after apply) @ops@example.com" {
		t.Errorf("%s: %s, %v", s.Ref, s.Action, s.Changes)
	}
}

func TestMoving(t *testing.T) {
	d := define(t, `{"a": "${next:MO@19:00}", "b": ["${next:TU@19:00} x", "x ${next:TU@19:00}"], "c": "next"}`)
	if got := fmt.Sprint(d.moving()); got != "map[a:true b[0]:true]" {
		t.Errorf("got %s", got)
	}
}

func TestAnyTarget(t *testing.T) {
	for ref, want := range map[Ref]string{
		{Monitor, "a"}: "json.Number 1 https://app.datadoghq.com/monitors/1",
		{SLO, "a"}:     "string a https://app.datadoghq.com/slo/a",
	} {
		if target := anyTarget(ref); fmt.Sprintf("%T %v %s", target.ID, target.ID, target.URL) != want {
			t.Errorf("%s: %T %v %s, want %s", ref, target.ID, target.ID, target.URL, want)
		}
	}
}

// Managed finds every resource of the deployment and the copies, in the order of
// deletion.
func TestManaged(t *testing.T) {
	tags := func(key string) string {
		return fmt.Sprintf(`"tags": ["managed-by:apmapp-provision", "provision-id:apmapp/%s"]`, key)
	}
	monitors := fmt.Sprintf(`[{"id": 1, %s}, {"id": 2, %s}, {"id": 3, %s}, {"id": 4}, {"id": 7, %s}, {"id": 8, %s}]`, tags("dev/m1"), tags("prod/m1"), tags("dev/m2"), tags("dev2/m1"), tags("dev/"))
	account := paths{
		"slo":       fmt.Sprintf(`{"data": [{"id": "s", %s}]}`, tags("dev/s")),
		"dashboard": `{"dashboards": [{"id": "d", "description": "[apmapp-provision:apmapp/dev/d]"}]}`,
		"monitor":   monitors,
		"downtime":  `{"data": [{"id": "t", "attributes": {"message": "[apmapp-provision:apmapp/dev/t]"}}]}`,
	}
	a := newAPI(t, account.ServeHTTP)
	const app = "https://app.datadoghq.com"
	names := func(all []Left) string {
		var s []string
		for _, l := range all {
			s = append(s, l.Ref.String()+" "+l.Link)
		}
		return strings.Join(s, ", ")
	}
	for _, wantCopies := range []string{"", "monitor m1 " + app + "/monitors/6, monitor m2 " + app + "/monitors/5"} {
		all, copies, err := a.Managed(t.Context(), values())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := names(all), "downtime t "+app+"/monitors/downtimes?selected=t, monitor m1 "+app+"/monitors/1, monitor m2 "+app+"/monitors/3, dashboard d "+app+"/dashboard/d, slo s "+app+"/slo?slo_id=s"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := names(copies); got != wantCopies {
			t.Errorf("copies: got %s\nwant %s", got, wantCopies)
		}
		account["monitor"] = strings.TrimSuffix(monitors, "]") + fmt.Sprintf(`, {"id": 5, %s}, {"id": 6, %s}]`, tags("dev/m2"), tags("dev/m1"))
	}
}
