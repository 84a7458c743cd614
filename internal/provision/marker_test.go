package provision

import (
	"fmt"
	"testing"
)

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
		// A clone, and a clone of a clone, are not ours; an edited text is.
		{"dashboard", `{"description": "x\n\n[apmapp-provision:apmapp/dev/a] (cloned)"}`, "[]"},
		{"dashboard", `{"description": "x\n\n[apmapp-provision:apmapp/dev/a] (Cloned) (cloned)\n"}`, "[]"},
		{"downtime", `{"data": {"attributes": {"message": "[apmapp-provision:apmapp/dev/a](copy)"}}}`, "[]"},
		{"dashboard", `{"description": "[apmapp-provision:apmapp/dev/a] (cloned) by Ann"}`, "[apmapp/dev/a]"},
		{"dashboard", `{"description": "(cloned) [apmapp-provision:apmapp/dev/a]"}`, "[apmapp/dev/a]"},
	} {
		body := parsed(t, c.body)
		if got := fmt.Sprint(marks(Kind(c.kind), body)); got != c.want {
			t.Errorf("%s %s: marks %s, want %s", c.kind, c.body, got, c.want)
		}
	}
}
