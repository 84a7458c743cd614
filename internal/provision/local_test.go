package provision

import (
	"slices"
	"strings"
	"testing"
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
		i := slices.IndexFunc(all, func(d Definition) bool { return d.String() == c.definition })
		if i < 0 || !strings.Contains(compact(all[i].Body), c.want) {
			t.Errorf("%s does not contain %s", c.definition, c.want)
		}
	}
	for _, d := range all {
		for _, r := range objects(scheduleOf(d.Body)["recurrences"]) {
			start, err := time.Parse("2006-01-02T15:04:05", r["start"].(string))
			if err != nil || !start.Before(v.Now) {
				t.Errorf("%s begins at %v, %v", d.File, start, err)
			}
		}
	}
}

func TestLocalRefusesWhatApplyRefuses(t *testing.T) {
	for field, want := range map[string]string{`"nonsense": 1`: "nonsense: unknown field", `"message": "${nonsense}"`: "unknown placeholder"} {
		all := loaded(t, map[string]string{"monitor.a.json": `{"name": "a", "type": "query alert", "query": "q", ` + field + `}`})
		if _, err := all.Local(values(), func(Ref) string { return "" }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
