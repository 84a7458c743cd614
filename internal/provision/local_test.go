package provision

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// Keys take the place of IDs, and tonight's downtime has begun.
func TestLocal(t *testing.T) {
	v := values() // Wednesday, 03:00
	all, err := definitions(t).Local(v, func(ref Ref) string { return "/local/" + string(ref.Kind) + "/" + ref.Key })
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(definitions(t)) {
		t.Errorf("%d definitions, want %d", len(all), len(definitions(t)))
	}
	for _, c := range []struct{ definition, want string }{
		{"monitor availability-burn-fast", `burn_rate(\"availability\")`},
		{"monitor my-metric", `Graphs: /local/dashboard/timeboard\n`},
		{"monitor my-metric", `"managed-by:apmapp-provision"`},
		{"downtime nights", `"monitor_id":"my-metric"`},
		{"downtime nights", `"start":"2026-11-17T19:00:00"`},
	} {
		found := false
		for _, d := range all {
			if d.String() == c.definition {
				found = true
				if text := compact(d.Body); !strings.Contains(text, c.want) {
					t.Errorf("%s does not contain %s: %s", c.definition, c.want, text)
				}
			}
		}
		if !found {
			t.Errorf("no %s", c.definition)
		}
	}
	for _, d := range all {
		if d.Kind != Downtime {
			continue
		}
		for _, r := range attributes(d.Body)["schedule"].(map[string]any)["recurrences"].([]any) {
			start, err := time.Parse("2006-01-02T15:04:05", r.(map[string]any)["start"].(string))
			if err != nil || !start.Before(v.Now) {
				t.Errorf("%s begins at %v, %v", d.File, start, err)
			}
		}
	}
}

func TestLocalRefusesWhatApplyRefuses(t *testing.T) {
	all, err := Load(fstest.MapFS{"monitor.a.json": {Data: []byte(`{"name": "a", "type": "query alert", "query": "q", "nonsense": 1}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Local(values(), func(Ref) string { return "" }); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v, want an error about the field nonsense", err)
	}
	all, err = Load(fstest.MapFS{"monitor.a.json": {Data: []byte(`{"name": "${nonsense}", "type": "query alert", "query": "q"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Local(values(), func(Ref) string { return "" }); err == nil || !strings.Contains(err.Error(), "unknown placeholder") {
		t.Errorf("got %v, want an error about the placeholder", err)
	}
}
