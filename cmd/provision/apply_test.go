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

	"apmapp/internal/provision"
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
	for _, body := range a.All(provision.Dashboard) {
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
	find := func(kind provision.Kind, key string) (body, id string) {
		for _, b := range a.All(kind) {
			if body := text(b); strings.Contains(body, "apmapp/dev/"+key+`"`) || strings.Contains(body, "apmapp/dev/"+key+`]`) {
				return body, fmt.Sprint(b["id"])
			}
		}
		a.t.Fatalf("there is no %s %s", kind, key)
		return "", ""
	}
	id := func(kind provision.Kind, key string) string { _, id := find(kind, key); return id }
	for _, c := range []struct {
		kind      provision.Kind
		key, want string
	}{
		{provision.Monitor, "my-metric", "Graphs: https://app.datadoghq.com/dashboard/" + id(provision.Dashboard, "timeboard") + `\n`},
		{provision.Monitor, "availability-burn-fast", `burn_rate(\"` + id(provision.SLO, "availability") + `\")`},
		{provision.Monitor, "latency-burn-slow", `burn_rate(\"` + id(provision.SLO, "latency") + `\")`},
		{provision.Dashboard, "apm-overview", `"slo_id":"` + id(provision.SLO, "latency") + `"`},
		{provision.Downtime, "nights", `"monitor_id":` + id(provision.Monitor, "my-metric") + `}`},
		{provision.Downtime, "weekends", `"monitor_id":` + id(provision.Monitor, "my-metric") + `}`},
	} {
		if body, _ := find(c.kind, c.key); !strings.Contains(body, c.want) {
			a.t.Errorf("%s %s does not contain %s: %s", c.kind, c.key, c.want, body)
		}
	}
}

func TestChangesMadeInThePages(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     provision.Kind
		of       string // text that only this resource contains
		edit     func(map[string]any)
		want     string // in the plan
		harmless bool   // plan finds no difference
	}{
		{"a threshold", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["thresholds"].(map[string]any)["warning"] = json.Number("600.0")
		}, "options.thresholds.warning: 600.0 -> 500", false},
		{"a message", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["message"] = strings.Replace(b["message"].(string), "Runbook:", "See also", 1)
		}, "- See also docs/runbooks/my-metric.md\n      + Runbook: docs/runbooks/my-metric.md", false},
		{"an added option", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["evaluation_delay"] = json.Number("900")
		}, "options.evaluation_delay: - 900", false},
		{"a muted monitor", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["silenced"] = map[string]any{"*": nil}
		}, "", true},
		{"tags in another order", provision.Monitor, "my_metric is high", func(b map[string]any) {
			slices.Reverse(b["tags"].([]any))
		}, "", true},
		{"an added tag", provision.SLO, "availability", func(b map[string]any) {
			b["tags"] = append(b["tags"].([]any), "team:apm")
		}, "tags: ", false},
		{"a target", provision.SLO, "availability", func(b map[string]any) {
			b["thresholds"].([]any)[0].(map[string]any)["target"] = json.Number("95.0")
		}, "thresholds[", false},
		{"an added widget", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"] = append(b["widgets"].([]any), map[string]any{"id": 7, "definition": map[string]any{"type": "note", "content": "by hand"}})
		}, `widgets[2]: - {"definition":{"content":"by hand"`, false},
		{"a widget's time", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["time"] = map[string]any{"live_span": "1h"}
		}, `widgets[0].definition.time.live_span: "1h" -> "5m"`, false},
		{"an added field, deep in a dashboard", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			group := b["widgets"].([]any)[1].(map[string]any)["definition"].(map[string]any)
			group["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["show_error_budget"] = true
		}, "widgets[1].definition.widgets[0].definition.show_error_budget: - true", false},
		{"a downtime's duration", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["duration"] = "12h"
		}, `data.attributes.schedule.recurrences[0].duration: "12h" -> "24h"`, false},
		{"a downtime's time of day", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["start"] = "2026-11-28T06:00:00"
		}, "data.attributes.schedule.recurrences[0].start: ", false},
		{"a downtime that started weeks ago", provision.Downtime, "Weekends", func(b map[string]any) {
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
	a.Remove(provision.Monitor, a.pick(provision.Monitor, "my_metric is high"))
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
	if n := a.counts(); n[provision.Monitor] != 0 {
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
	if m := text(a.All(provision.Monitor)); !strings.Contains(m, "Graphs: https://us5.datadoghq.com/dashboard/") {
		t.Errorf("messages of monitors: %s", m)
	}
}

// The client's models accept a value that the API does not store.
func TestValueThatTheAPIDoesNotStore(t *testing.T) {
	a := newSmallAccount(t)
	a.Ignore(provision.Monitor, "priority")
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
	if n := a.counts(); n[provision.Monitor] != 4 {
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
		for i := a.counts()[provision.Dashboard]; i < c.dashboards; i++ {
			if _, err := a.Add(provision.Dashboard, map[string]any{"title": fmt.Sprintf("board %d", i), "layout_type": "ordered", "widgets": []any{}}); err != nil {
				t.Fatal(err)
			}
		}
		// The list begins with the newest dashboards, so that ours is on the last page.
		a.Reverse(provision.Dashboard)
		a.Requests()
		a.same()
		a.Reverse(provision.Dashboard)
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

// A copy made in the pages has the marker too. Only people can decide which one to
// keep.
func TestCopies(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	for _, body := range a.All(provision.Dashboard) {
		if strings.Contains(text(body), "apmapp/dev/timeboard") {
			copied := map[string]any{"title": "(cloned)", "layout_type": "ordered", "widgets": []any{}, "description": body["description"]}
			if _, err := a.Add(provision.Dashboard, copied); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.Requests()
	for _, args := range [][]string{{"plan"}, {"apply"}, {"destroy", "-yes"}} {
		r := a.run(args...)
		if r.status != 1 || !strings.Contains(r.out+r.err, "dashboard timeboard: 2 resources carry its marker") {
			t.Errorf("%v: %s", args, r)
		}
	}
	if writes := a.writes(); len(writes) > 0 {
		t.Errorf("the program sent %v", writes)
	}
	a.Remove(provision.Dashboard, a.pick(provision.Dashboard, "(cloned)"))
	a.same()
}
