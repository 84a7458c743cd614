package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/provision/standin"
)

func TestApply(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if r := a.run("plan", "-detailed-exitcode"); r.status != 3 || !strings.Contains(r.out, "20 to create") {
		t.Fatalf("plan of an empty account: %s", r)
	}
	if writes := a.writes(); len(writes) > 0 {
		t.Fatalf("plan sent %v", writes)
	}
	r := a.must(a.run("apply"))
	a.complete()
	for _, body := range a.All(standin.Dashboard) {
		if link := "https://app.datadoghq.com/dashboard/" + body["id"].(string); !strings.Contains(r.out, link+"\n") {
			t.Errorf("apply does not print %s", link)
		}
	}
	a.references()
	a.same()
	a.Requests()
	r = a.must(a.run("apply"))
	if writes := a.writes(); len(writes) > 0 || strings.Count(r.out, "same ") != 20 {
		t.Errorf("a second apply sent %v: %s", writes, r)
	}
	if len(a.slept) > 0 {
		t.Errorf("apply waited %v although no request failed", a.slept)
	}
}

// references fails the test unless resources refer to those that apply created.
func (a *account) references() {
	a.t.Helper()
	// find returns the resource of a definition as JSON, and its ID.
	find := func(kind standin.Kind, key string) (body, id string) {
		for _, b := range a.All(kind) {
			if body := text(b); strings.Contains(body, "apmapp/dev/"+key+`"`) || strings.Contains(body, "apmapp/dev/"+key+`]`) {
				return body, fmt.Sprint(b["id"])
			}
		}
		a.t.Fatalf("there is no %s %s", kind, key)
		return "", ""
	}
	id := func(kind standin.Kind, key string) string { _, id := find(kind, key); return id }
	for _, c := range []struct {
		kind      standin.Kind
		key, want string
	}{
		{standin.Monitor, "my-metric", "Graphs: https://app.datadoghq.com/dashboard/" + id(standin.Dashboard, "timeboard") + `\n`},
		{standin.Monitor, "availability-burn-fast", `burn_rate(\"` + id(standin.SLO, "availability") + `\")`},
		{standin.Monitor, "latency-burn-slow", `burn_rate(\"` + id(standin.SLO, "latency") + `\")`},
		{standin.Dashboard, "apm-overview", `"slo_id":"` + id(standin.SLO, "latency") + `"`},
		{standin.Downtime, "nights", `"monitor_id":` + id(standin.Monitor, "my-metric") + `}`},
		{standin.Downtime, "weekends", `"monitor_id":` + id(standin.Monitor, "my-metric") + `}`},
	} {
		if body, _ := find(c.kind, c.key); !strings.Contains(body, c.want) {
			a.t.Errorf("%s %s does not contain %s: %s", c.kind, c.key, c.want, body)
		}
	}
}

func TestChangesMadeInThePages(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     standin.Kind
		of       string // text that only this resource contains
		edit     func(map[string]any)
		want     string // in the plan
		harmless bool   // plan finds no difference
	}{
		{"a threshold", standin.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["thresholds"].(map[string]any)["warning"] = json.Number("600.0")
		}, "options.thresholds.warning: 600.0 -> 500", false},
		{"a message", standin.Monitor, "my_metric is high", func(b map[string]any) {
			b["message"] = strings.Replace(b["message"].(string), "Runbook:", "See also", 1)
		}, "- See also docs/runbooks/my-metric.md\n      + Runbook: docs/runbooks/my-metric.md", false},
		{"an added option", standin.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["evaluation_delay"] = json.Number("900")
		}, "options.evaluation_delay: - 900", false},
		{"a muted monitor", standin.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["silenced"] = map[string]any{"*": nil}
		}, "", true},
		{"tags in another order", standin.Monitor, "my_metric is high", func(b map[string]any) {
			slices.Reverse(b["tags"].([]any))
		}, "", true},
		{"an added tag", standin.SLO, "availability", func(b map[string]any) {
			b["tags"] = append(b["tags"].([]any), "team:apm")
		}, "tags: ", false},
		{"a target", standin.SLO, "availability", func(b map[string]any) {
			b["thresholds"].([]any)[0].(map[string]any)["target"] = json.Number("95.0")
		}, "thresholds[", false},
		{"an added widget", standin.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"] = append(b["widgets"].([]any), map[string]any{"id": 7, "definition": map[string]any{"type": "note", "content": "by hand"}})
		}, `widgets[2]: - {"definition":{"content":"by hand"`, false},
		{"a widget's time", standin.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["time"] = map[string]any{"live_span": "1h"}
		}, `widgets[0].definition.time.live_span: "1h" -> "5m"`, false},
		{"an added field, deep in a dashboard", standin.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			group := b["widgets"].([]any)[1].(map[string]any)["definition"].(map[string]any)
			group["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["show_error_budget"] = true
		}, "widgets[1].definition.widgets[0].definition.show_error_budget: - true", false},
		{"a downtime's duration", standin.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["duration"] = "12h"
		}, `data.attributes.schedule.recurrences[0].duration: "12h" -> "24h"`, false},
		{"a downtime's time of day", standin.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["start"] = "2026-11-28T06:00:00"
		}, "data.attributes.schedule.recurrences[0].start: ", false},
		{"a downtime that started weeks ago", standin.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["start"] = "2026-10-03T00:00:00"
		}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newSmallAccount(t)
			a.must(a.run("apply"))
			id := a.pick(c.kind, c.of)
			a.Edit(c.kind, id, c.edit)
			a.Requests()
			if c.harmless {
				a.same()
				a.must(a.run("apply"))
				if writes := a.writes(); len(writes) > 0 {
					t.Errorf("apply sent %v", writes)
				}
				return
			}
			r := a.run("plan", "-detailed-exitcode")
			if r.status != 3 || !strings.Contains(r.out, "0 to create, 1 to change, 4 the same") || !strings.Contains(r.out, c.want) {
				t.Errorf("the plan does not show %q: %s", c.want, r)
			}
			a.Requests()
			a.must(a.run("apply"))
			if writes := a.writes(); len(writes) != 1 || !strings.Contains(writes[0], id) {
				t.Errorf("apply sent %v, want one change of %s", writes, id)
			}
			a.complete()
			a.same()
		})
	}
}

func TestDeletedInThePages(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.Remove(standin.Monitor, a.pick(standin.Monitor, "my_metric is high"))
	if r := a.run("plan"); !strings.Contains(r.out, "1 to create, 1 to change, 3 the same") {
		t.Errorf("the plan does not create the monitor and change its downtime: %s", r)
	}
	a.must(a.run("apply"))
	a.complete()
	a.same()
}

// A resource without a definition stays until destroy.
func TestDeletedDefinition(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	if err := os.Remove(filepath.Join(a.copyDefinitions(), "monitor.availability-burn-fast.json")); err != nil {
		t.Fatal(err)
	}
	r := a.must(a.run("plan"))
	if !strings.Contains(r.out, "left    monitor availability-burn-fast no longer has a definition: https://app.datadoghq.com/monitors/") ||
		!strings.HasSuffix(r.out, "\n0 to create, 0 to change, 4 the same, 1 left over\n") {
		t.Errorf("the plan does not list it: %s", r)
	}
	if r := a.run("plan", "-detailed-exitcode"); r.status != 3 {
		t.Errorf("plan -detailed-exitcode ignores a resource without a definition: %s", r)
	}
	r = a.must(a.run("apply"))
	if want := "monitor availability-burn-fast   https://app.datadoghq.com/monitors/"; !strings.Contains(r.out, "\nleft     "+want) || !strings.Contains(r.out, "no longer has a definition; destroy deletes it\n") {
		t.Errorf("apply does not list it: %s", r)
	}
	a.complete() // apply does not delete
	a.must(a.run("destroy", "-yes"))
	if n := a.counts(); n[standin.Monitor] != 0 {
		t.Errorf("after destroy, the account has %v", n)
	}
}

// A wrong definition is an error before any request.
func TestWrongDefinition(t *testing.T) {
	a := newSmallAccount(t)
	name := filepath.Join(a.copyDefinitions(), "monitor.my-metric.json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte(`"warning"`), []byte(`"waning"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"plan", "-offline"}, {"plan"}, {"apply"}} {
		r := a.run(args...)
		if r.status != 1 || r.err != "provision: monitor.my-metric.json: options.thresholds.waning: unknown field\n" {
			t.Errorf("%v: %s", args, r)
		}
	}
	if err := os.WriteFile(name, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"plan", "-offline"}, {"plan"}, {"apply"}} {
		if r := a.run(args...); r.status != 1 || r.err != "provision: monitor.my-metric.json: line 1: unexpected EOF\n" {
			t.Errorf("%v: %s", args, r)
		}
	}
	if requests := a.Requests(); len(requests) > 0 {
		t.Errorf("the program sent %v", requests)
	}
}

// -dry-run and -offline change nothing, whatever the account has.
func TestDryRun(t *testing.T) {
	a := newSmallAccount(t)
	if r := a.must(a.run("apply", "-dry-run")); !strings.HasSuffix(r.out, "\n5 to create, 0 to change, 0 the same\n") {
		t.Errorf("apply -dry-run: %s", r)
	}
	a.must(a.run("apply"))
	a.Requests()
	if r := a.must(a.run("apply", "-dry-run")); !strings.HasSuffix(r.out, "\n0 to create, 0 to change, 5 the same\n") {
		t.Errorf("apply -dry-run: %s", r)
	}
	if writes := a.writes(); len(writes) > 0 {
		t.Errorf("apply -dry-run sent %v", writes)
	}
	if r := a.must(a.run("plan", "-offline")); !strings.HasSuffix(r.out, "\n5 to create, 0 to change, 0 the same\n") {
		t.Errorf("plan -offline: %s", r)
	}
	if requests := a.Requests(); len(requests) > 0 {
		t.Errorf("plan -offline sent %v", requests)
	}
}

// Links lead to the pages of the account's site.
func TestSite(t *testing.T) {
	a := newSmallAccount(t)
	a.env = map[string]string{"DD_SITE": "us5.datadoghq.com"}
	if r := a.must(a.run("apply")); strings.Count(r.out, "https://us5.datadoghq.com/") != 5 {
		t.Errorf("apply: %s", r)
	}
	if m := text(a.All(standin.Monitor)); !strings.Contains(m, "Graphs: https://us5.datadoghq.com/dashboard/") {
		t.Errorf("messages of monitors: %s", m)
	}
}

// The check accepts a value that the API does not store.
func TestValueThatTheAPIDoesNotStore(t *testing.T) {
	a := newSmallAccount(t)
	a.Ignore(standin.Monitor, "priority")
	r := a.must(a.run("apply"))
	if want := "the API did not accept all of monitor my-metric:\n    priority: + 3\n"; !strings.Contains(r.out, want) {
		t.Errorf("got %s; want %s", r, want)
	}
	if r := a.run("plan", "-detailed-exitcode"); r.status != 3 || !strings.Contains(r.out, "\n0 to create, 2 to change, 3 the same\n") {
		t.Errorf("plan: %s", r)
	}
}

func TestTwoDeploymentsInOneAccount(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply", "-env", "prod"))
	a.must(a.run("apply"))
	if n := a.counts(); n[standin.Monitor] != 4 {
		t.Errorf("the account has %v", n)
	}
	a.same()
	a.must(a.run("destroy", "-yes"))
	if n := a.counts(); !maps.Equal(n, a.has) {
		t.Errorf("after destroy of dev, the account has %v, want all of prod: %v", n, a.has)
	}
}

// Lists are read to their end, in pages of 100. A page with fewer is the last.
func TestLongLists(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply")) // creates one dashboard
	for _, c := range []struct{ dashboards, pages int }{{99, 1}, {100, 2}, {101, 2}, {251, 3}} {
		for i := a.counts()[standin.Dashboard]; i < c.dashboards; i++ {
			if _, err := a.Add(standin.Dashboard, map[string]any{"title": fmt.Sprintf("board %d", i), "layout_type": "ordered", "widgets": []any{}}); err != nil {
				t.Fatal(err)
			}
		}
		// The list begins with the newest dashboards, so that ours is on the last page.
		a.Reverse(standin.Dashboard)
		a.Requests()
		a.same()
		a.Reverse(standin.Dashboard)
		pages := 0
		for _, r := range a.Requests() {
			if r == "GET /api/v1/dashboard" {
				pages++
			}
		}
		if pages != c.pages {
			t.Errorf("%d dashboards: %d pages read, want %d", c.dashboards, pages, c.pages)
		}
	}
}

// A clone made in the pages keeps nobody from changing and deleting the rest, and stays.
func TestClones(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	for _, body := range a.All(standin.Dashboard) { // the pages add "(cloned)"
		copied := map[string]any{"title": "by hand", "layout_type": "ordered", "widgets": []any{}, "description": body["description"].(string) + " (cloned)"}
		if _, err := a.Add(standin.Dashboard, copied); err != nil {
			t.Fatal(err)
		}
	}
	original := a.pick(standin.Monitor, "my_metric is high")
	clone, err := a.Add(standin.Monitor, map[string]any{"name": "my_metric by hand", "type": "query alert", "query": "avg(last_5m):avg:my_metric{*} > 9",
		"tags": []any{"managed-by:apmapp-provision", "provision-id:apmapp/dev/my-metric"}})
	if err != nil {
		t.Fatal(err)
	}
	a.Edit(standin.Monitor, original, func(b map[string]any) { b["message"] = "edited" })
	a.Requests()
	link := "a younger resource carries the same marker: https://app.datadoghq.com/monitors/" + clone
	if r := a.must(a.run("plan")); !strings.Contains(r.out, "\ncopy    monitor my-metric: "+link) || !strings.Contains(r.out, "0 to create, 1 to change, 4 the same") {
		t.Errorf("plan: %s", r)
	}
	r := a.must(a.run("apply"))
	if writes := a.writes(); len(writes) != 1 || writes[0] != "PUT /api/v1/monitor/"+original || !strings.Contains(r.out, "\ncopy     monitor my-metric: "+link) {
		t.Errorf("apply sent %v: %s", writes, r)
	}
	a.must(a.run("plan", "-detailed-exitcode"))
	r = a.must(a.run("destroy", "-yes"))
	if n := a.counts(); n[standin.Dashboard] != 1 || n[standin.Monitor] != 1 || n[standin.SLO]+n[standin.Downtime] != 0 || a.pick(standin.Monitor, "by hand") != clone {
		t.Errorf("destroy leaves %v: %s", n, r)
	}
	if !strings.HasPrefix(r.out, "copy, not deleted: monitor my-metric: "+link) {
		t.Errorf("destroy does not name the clone: %s", r)
	}
}

// A creation whose answer was lost, while lists omit the new resource for long, makes
// two. plan and apply go on, and destroy -copies deletes the younger one.
func TestCreatedTwice(t *testing.T) {
	a := newSmallAccount(t)
	a.Lag(9)
	a.Fail(posts(3, standin.Fault{Done: true, Drop: true})) // a monitor
	a.must(a.run("apply"))
	a.Fail(nil)
	a.Lag(0)
	if n := a.counts()[standin.Monitor]; n != 3 {
		t.Fatalf("%d monitors", n)
	}
	if r := a.must(a.run("plan", "-detailed-exitcode")); strings.Count(r.out, "\ncopy    monitor availability-burn-fast: ") != 1 {
		t.Errorf("plan: %s", r)
	}
	before := a.pick(standin.Monitor, "availability-burn-fast") // the first one
	if r := a.must(a.run("destroy", "-copies", "-dry-run")); !strings.HasPrefix(r.out, "younger resources with the marker of another one of apmapp/dev:\n  monitor availability-burn-fast ") || strings.Count(r.out, "https://") != 1 {
		t.Errorf("destroy -copies -dry-run: %s", r)
	}
	if r := a.run("destroy", "-copies"); r.status != 1 || a.counts()[standin.Monitor] != 3 {
		t.Errorf("destroy -copies without a yes: %s", r)
	}
	a.must(a.run("destroy", "-copies", "-yes"))
	a.complete()
	a.same()
	if a.pick(standin.Monitor, "availability-burn-fast") != before {
		t.Error("the older one was deleted")
	}
	if r := a.must(a.run("destroy", "-copies", "-yes")); r.out != "Each marker of apmapp/dev is on one resource only.\n" {
		t.Errorf("no copies: %s", r)
	}
}

// What definitions do not own survives a change.
func TestChangesKeepWhatPeopleSet(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	board, monitor := a.pick(standin.Dashboard, "apmapp/dev/timeboard"), a.pick(standin.Monitor, "my_metric is high")
	widget := func() any { return a.All(standin.Dashboard)[0]["widgets"].([]any)[0].(map[string]any)["id"] }
	before := widget()
	a.Edit(standin.Dashboard, board, func(b map[string]any) {
		b["restricted_roles"], b["tags"], b["notify_list"] = []any{"role"}, []any{"team:apm"}, []any{"ann@example.com"}
	})
	a.Edit(standin.Monitor, monitor, func(b map[string]any) {
		b["options"].(map[string]any)["silenced"] = map[string]any{"*": json.Number("1")}
		b["restricted_roles"] = []any{"role"}
	})
	a.same()
	a.must(a.run("apply"))
	a.Edit(standin.Dashboard, board, func(b map[string]any) { b["title"] = "edited" })
	a.Edit(standin.Monitor, monitor, func(b map[string]any) { b["message"] = "edited" })
	a.Requests()
	a.must(a.run("apply"))
	if writes := a.writes(); len(writes) != 2 {
		t.Fatalf("apply sent %v", writes)
	}
	a.same()
	for kind, want := range map[standin.Kind][]string{
		standin.Dashboard: {`"restricted_roles":["role"]`, `"tags":["team:apm"]`, `"notify_list":["ann@example.com"]`},
		standin.Monitor:   {`"silenced":{"*":1}`, `"restricted_roles":["role"]`},
	} {
		for _, want := range want {
			if all := text(a.All(kind)); !strings.Contains(all, want) {
				t.Errorf("%s: %s is gone: %s", kind, want, all)
			}
		}
	}
	if after := widget(); after != before {
		t.Errorf("the widget's ID was %v and is %v", before, after)
	}
}

// A change of the handles while a downtime is active does not end it.
func TestActiveDowntimeStaysActive(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	id := a.pick(standin.Downtime, "Weekends")
	a.Edit(standin.Downtime, id, func(b map[string]any) { b["attributes"].(map[string]any)["status"] = "active" })
	a.Requests()
	a.must(a.run("apply", "-notify", "@other@example.com"))
	if writes := a.writes(); !slices.Contains(writes, "PATCH /api/v2/downtime/"+id) {
		t.Errorf("apply sent %v", writes)
	}
	status := func() any { return a.All(standin.Downtime)[0]["attributes"].(map[string]any)["status"] }
	if all := text(a.All(standin.Downtime)); status() != "active" || !strings.Contains(all, "@other@example.com") {
		t.Errorf("the downtime is %s: %s", status(), all)
	}
	a.must(a.run("apply", "-notify", "@other@example.com", "-timezone", "Europe/Berlin"))
	if status() != "scheduled" {
		t.Errorf("another schedule: %s", status())
	}
}

// A monitor of another type is replaced on request, and what refers to it follows.
func TestReplacedMonitor(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	old := a.pick(standin.Monitor, "my_metric is high")
	a.Edit(standin.Monitor, old, func(b map[string]any) { b["type"] = "log alert" })
	if r := a.run("plan", "-detailed-exitcode"); r.status != 3 || !strings.Contains(r.out, "\nreplace monitor my-metric\n") {
		t.Errorf("plan: %s", r)
	}
	if r := a.run("apply"); r.status != 1 || !strings.Contains(r.err, "apply -replace deletes the monitor") || strings.Contains(r.err, "run apply again") {
		t.Errorf("apply: %s", r)
	}
	a.must(a.run("apply", "-replace"))
	a.complete()
	a.same()
	if id := a.pick(standin.Monitor, "my_metric is high"); id == old || !strings.Contains(text(a.All(standin.Downtime)), `"monitor_id":`+id) {
		t.Errorf("the monitor was %s and is %s; downtimes %s", old, id, text(a.All(standin.Downtime)))
	}
}

// A dashboard with tabs: its export keeps what the tabs point to, and can be applied.
func TestTabs(t *testing.T) {
	a := newSmallAccount(t)
	note := func(text string) any {
		return map[string]any{"definition": map[string]any{"type": "note", "content": text}}
	}
	id, err := a.Add(standin.Dashboard, map[string]any{"title": "Tabs", "layout_type": "ordered", "widgets": []any{note("x"), note("y")},
		"tabs": []any{map[string]any{"name": "second", "widget_ids": []any{"@2"}}}})
	if err != nil {
		t.Fatal(err)
	}
	a.dir = t.TempDir()
	a.must(a.run("export", id))
	a.has = map[standin.Kind]int{standin.SLO: 0, standin.Dashboard: 1, standin.Monitor: 0, standin.Downtime: 0}
	a.Remove(standin.Dashboard, id)
	a.must(a.run("apply"))
	a.complete()
	a.same()
	board := a.All(standin.Dashboard)[0]
	if got, want := text(board["tabs"].([]any)[0].(map[string]any)["widget_ids"]), text([]any{board["widgets"].([]any)[1].(map[string]any)["id"]}); got != want {
		t.Errorf("the tab shows %s, want %s", got, want)
	}
}

// Fields that the specification does not know are refused, unless a flag lets them pass.
func TestUnknownFields(t *testing.T) {
	a := newSmallAccount(t)
	a.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(a.dir, "slo.s.json"), []byte(`{"name": "S", "type": "metric", "query": {"numerator": "a", "denominator": "b"},
		"thresholds": [{"target": 99, "timeframe": "7d", "new_field": 1}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	const unknown = "provision: slo.s.json: thresholds[0].new_field: unknown field\n"
	for _, args := range [][]string{{"plan", "-offline"}, {"plan"}, {"apply"}} {
		if r := a.run(args...); r.status != 1 || r.err != unknown {
			t.Errorf("%v: %s", args, r)
		}
		r := a.run(append(args, "-allow-unknown")...)
		if args[0] == "plan" && r.status != 0 || strings.Contains(r.err, unknown) {
			t.Errorf("%v -allow-unknown: %s", args, r)
		}
	}
	if len(a.Problems()) != 1 { // the stand-in does not know the field, either
		t.Errorf("apply did not send the field: %v", a.Problems())
	}
	a.Forget()
}

// At 20:00 local time, a night or a weekend is running. After the first apply it is
// muted, and a second apply finds no difference.
func TestRunningNightIsCovered(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	now := time.Now().UTC()
	east := 20 - now.Hour() // hours to the zone where it is 20:00
	if east > 12 {
		east -= 24
	}
	zone := fmt.Sprintf("Etc/GMT%+d", -east) // the names count westward
	a.must(a.run("apply", "-timezone", zone))
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	soon := now.Add(10 * time.Minute)
	muted := false
	for _, body := range a.All(standin.Downtime) {
		for _, r := range body["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any) {
			r := r.(map[string]any)
			start, err := time.ParseInLocation("2006-01-02T15:04:05", r["start"].(string), location)
			if err != nil {
				t.Fatal(err)
			}
			length, err := time.ParseDuration(r["duration"].(string))
			if err != nil {
				t.Fatal(err)
			}
			muted = muted || start.Before(soon) && start.Add(length).After(soon)
		}
	}
	if !muted {
		t.Errorf("in %s at %s, nothing is muted: %s", zone, now.In(location).Format("Mon 15:04"), text(a.All(standin.Downtime)))
	}
	if r := a.run("plan", "-detailed-exitcode", "-timezone", zone); r.status != 0 {
		t.Errorf("plan finds a difference: %s", r)
	}
}
