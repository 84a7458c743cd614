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
	if r := a.run("plan", "-detailed-exitcode"); r.status != 3 || !strings.Contains(r.out, "19 to create") {
		t.Fatalf("plan of an empty account: %s", r)
	}
	if writes := a.writes(); len(writes) > 0 {
		t.Fatalf("plan has sent %v", writes)
	}
	r := a.must(a.run("apply"))
	a.complete()
	for _, body := range a.All(provision.Dashboard) {
		if link := "https://app.datadoghq.com/dashboard/" + body["id"].(string); !strings.Contains(r.out, link+"\n") {
			t.Errorf("apply does not print %s", link)
		}
	}
	a.same()
	a.Requests()
	a.must(a.run("apply"))
	if writes := a.writes(); len(writes) > 0 {
		t.Errorf("a second apply has sent %v", writes)
	}
	a.same()
	if len(a.slept) > 0 {
		t.Errorf("without faults, it has waited %v", a.slept)
	}
}

func TestReferencesLeadToWhatWasMade(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	id := func(kind provision.Kind, key string) string {
		for _, body := range a.All(kind) {
			if strings.Contains(text(body), "apmapp/dev/"+key+`"`) || strings.Contains(text(body), "apmapp/dev/"+key+`]`) {
				return fmt.Sprint(body["id"])
			}
		}
		t.Fatalf("there is no %s %s", kind, key)
		return ""
	}
	find := func(kind provision.Kind, key string) string {
		for _, body := range a.All(kind) {
			if fmt.Sprint(body["id"]) == id(kind, key) {
				return text(body)
			}
		}
		return ""
	}
	for _, c := range []struct {
		kind       provision.Kind
		key, holds string
	}{
		{provision.Monitor, "my-metric", "Graphs: https://app.datadoghq.com/dashboard/" + id(provision.Dashboard, "timeboard") + `\n`},
		{provision.Monitor, "availability-burn-fast", `burn_rate(\"` + id(provision.SLO, "availability") + `\")`},
		{provision.Monitor, "latency-burn-slow", `burn_rate(\"` + id(provision.SLO, "latency") + `\")`},
		{provision.Dashboard, "apm-overview", `"slo_id":"` + id(provision.SLO, "latency") + `"`},
		{provision.Downtime, "nights", `"monitor_id":` + id(provision.Monitor, "my-metric") + `}`},
		{provision.Downtime, "weekends", `"monitor_id":` + id(provision.Monitor, "my-metric") + `}`},
	} {
		if body := find(c.kind, c.key); !strings.Contains(body, c.holds) {
			t.Errorf("%s %s has no %s: %s", c.kind, c.key, c.holds, body)
		}
	}
}

func TestDriftMadeByHand(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     provision.Kind
		of       string // what the resource contains
		edit     func(map[string]any)
		shown    string // in the plan
		harmless bool
	}{
		{"a threshold", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["thresholds"].(map[string]any)["warning"] = json.Number("600.0")
		}, "options.thresholds.warning: 600.0 -> 500", false},
		{"a message", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["message"] = strings.Replace(b["message"].(string), "Runbook:", "See also", 1)
		}, "- See also docs/runbooks/my-metric.md\n      + Runbook: docs/runbooks/my-metric.md", false},
		{"an option that no definition has", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["evaluation_delay"] = json.Number("900")
		}, "options.evaluation_delay: - 900", false},
		{"a monitor muted", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["silenced"] = map[string]any{"*": nil}
		}, "", true},
		{"tags in another order", provision.Monitor, "my_metric is high", func(b map[string]any) {
			slices.Reverse(b["tags"].([]any))
		}, "", true},
		{"a tag", provision.SLO, "availability", func(b map[string]any) {
			b["tags"] = append(b["tags"].([]any), "team:apm")
		}, "tags: ", false},
		{"a target", provision.SLO, "availability", func(b map[string]any) {
			b["thresholds"].([]any)[0].(map[string]any)["target"] = json.Number("95.0")
		}, "thresholds[", false},
		{"a widget more", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"] = append(b["widgets"].([]any), map[string]any{"id": 7, "definition": map[string]any{"type": "note", "content": "by hand"}})
		}, `widgets[2]: - {"definition":{"content":"by hand"`, false},
		{"a widget's time", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["time"] = map[string]any{"live_span": "1h"}
		}, `widgets[0].definition.time.live_span: "1h" -> "5m"`, false},
		{"a field more, deep in a dashboard", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			group := b["widgets"].([]any)[1].(map[string]any)["definition"].(map[string]any)
			group["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["show_error_budget"] = true
		}, "widgets[1].definition.widgets[0].definition.show_error_budget: - true", false},
		{"a downtime's duration", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["duration"] = "12h"
		}, `data.attributes.schedule.recurrences[0].duration: "12h" -> "24h"`, false},
		{"a downtime's time of day", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["start"] = "2026-11-28T06:00:00"
		}, "data.attributes.schedule.recurrences[0].start: ", false},
		{"a downtime that began weeks ago", provision.Downtime, "Weekends", func(b map[string]any) {
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
					t.Errorf("apply has sent %v", writes)
				}
				return
			}
			r := a.run("plan", "-detailed-exitcode")
			if r.status != 3 || !strings.Contains(r.out, "0 to create, 1 to change, 4 the same") || !strings.Contains(r.out, c.shown) {
				t.Errorf("the plan does not show %q: %s", c.shown, r)
			}
			a.Requests()
			a.must(a.run("apply"))
			if writes := a.writes(); len(writes) != 1 || !strings.Contains(writes[0], id) {
				t.Errorf("apply has sent %v, want one change of %s", writes, id)
			}
			a.complete()
			a.same()
		})
	}
}

func TestDeletedByHand(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.Remove(provision.Monitor, a.pick(provision.Monitor, "my_metric is high"))
	if r := a.run("plan"); !strings.Contains(r.out, "1 to create, 1 to change, 3 the same") {
		t.Errorf("the plan does not want the monitor again, with its downtime: %s", r)
	}
	a.must(a.run("apply"))
	a.complete()
	a.same()
}

func TestDefinitionsThatAreGone(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	dir := t.TempDir()
	copyDefinitions(t, dir)
	if err := os.Remove(filepath.Join(dir, "monitor.no-traffic.json")); err != nil {
		t.Fatal(err)
	}
	r := a.must(a.run("plan", "-dir", dir))
	if !strings.Contains(r.out, "left    monitor no-traffic has no definition any more: https://app.datadoghq.com/monitors/") || !strings.Contains(r.out, "18 the same, 1 left over") {
		t.Errorf("the plan does not show it: %s", r)
	}
	a.must(a.run("apply", "-dir", dir))
	a.complete() // it is there still
	a.must(a.run("destroy", "-yes", "-dir", dir))
	if n := a.counts(); n[provision.Monitor] != 0 {
		t.Errorf("destroy leaves %v", n)
	}
}

func TestBrokenDefinitions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyDefinitions(t, dir)
	name := filepath.Join(dir, "monitor.my-metric.json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte(`"warning"`), []byte(`"waning"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	a := newAccount(t)
	for _, args := range [][]string{{"plan", "-offline"}, {"plan"}, {"apply"}} {
		r := a.run(append(args, "-dir", dir)...)
		if r.status != 1 || !strings.Contains(r.err, "monitor.my-metric.json: options.thresholds.waning: unknown field") {
			t.Errorf("%v: %s", args, r)
		}
	}
	if requests := a.Requests(); len(requests) > 0 {
		t.Errorf("it has sent %v", requests)
	}
}

func TestTwoDeploymentsOfAnAccount(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply", "-env", "prod"))
	a.must(a.run("apply"))
	if n := a.counts(); n[provision.Monitor] != 4 {
		t.Errorf("the account has %v", n)
	}
	a.same()
	a.must(a.run("destroy", "-yes"))
	if n := a.counts(); !maps.Equal(n, a.has) {
		t.Errorf("destroy of dev leaves %v of prod", n)
	}
}

// A list longer than a page hides nothing.
func TestManyResources(t *testing.T) {
	a := newSmallAccount(t)
	for i := range 250 {
		if _, err := a.Add(provision.Dashboard, map[string]any{"title": fmt.Sprintf("board %d", i), "layout_type": "ordered", "widgets": []any{}}); err != nil {
			t.Fatal(err)
		}
	}
	a.must(a.run("apply"))
	a.same()
	if n := a.counts()[provision.Dashboard]; n != 251 {
		t.Errorf("%d dashboards, want 251", n)
	}
}

// A copy made in the pages has the marker too: which is whose, only people know.
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
		t.Errorf("it has sent %v", writes)
	}
	a.Remove(provision.Dashboard, a.pick(provision.Dashboard, "(cloned)"))
	a.same()
}

// A machine with nothing set: all is printed, no account is asked.
func TestOffline(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"plan", "-offline"}, {"apply", "-dry-run"}, {"plan", "-dry-run"}, {"plan", "-offline", "-full"}} {
		var out, errOut bytes.Buffer
		status := run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &out, &errOut)
		if status != 0 || strings.Count(out.String(), "\ncreate ")+1 != 19 || !strings.Contains(out.String(), "19 to create") {
			t.Errorf("%v: status %d: %s%s", args, status, out.String(), errOut.String())
		}
	}
}
