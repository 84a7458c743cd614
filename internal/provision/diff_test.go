package provision

import (
	"strings"
	"testing"
)

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
