package provision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/provision/standin"
)

// four are definitions of each kind. The later ones refer to the earlier ones.
var four = map[string]string{
	"slo.s.json":       `{"name": "S", "type": "metric", "query": {"numerator": "a", "denominator": "b"}, "thresholds": [{"target": 99, "timeframe": "7d"}]}`,
	"dashboard.d.json": `{"title": "D", "layout_type": "ordered", "widgets": [{"definition": {"type": "slo", "view_type": "detail", "slo_id": "${slo:s.id}"}}]}`,
	"monitor.m.json":   `{"name": "M", "type": "query alert", "query": "avg(last_5m):avg:m{*} > 1", "message": "${dashboard:d.url}"}`,
	"downtime.n.json":  `{"data": {"type": "downtime", "attributes": {"message": "N", "scope": "*", "monitor_identifier": {"monitor_id": "${monitor:m.id}"}}}}`,
}

// An account from its first apply to destroy: what each command prints, and which
// requests change something.
func TestAccountFromApplyToDestroy(t *testing.T) {
	s := standin.New(time.Now)
	defer s.Close()
	a := newAPI(t, s.ServeHTTP)
	a.cfg.APIKey, a.cfg.AppKey = standin.APIKey, standin.AppKey
	all := loaded(t, four)
	ids := map[standin.Kind]string{}
	kinds := []standin.Kind{standin.SLO, standin.Dashboard, standin.Monitor, standin.Downtime}
	// do runs a command, and compares what it prints and writes, with ID for each ID.
	do := func(name string, run func(out *strings.Builder) error, want, wantWrites string) {
		t.Helper()
		a.requests = nil
		var out strings.Builder
		if err := run(&out); err != nil {
			t.Error(err)
		}
		writes := slices.DeleteFunc(a.requests, func(r string) bool { return strings.HasPrefix(r, "GET ") })
		got := out.String() + "\n" + strings.Join(writes, ", ")
		for _, kind := range kinds {
			for _, body := range s.All(kind) {
				ids[kind] = fmt.Sprint(body["id"])
			}
			if ids[kind] != "" {
				got = strings.ReplaceAll(got, ids[kind], "ID")
			}
		}
		if want = strings.ReplaceAll(want, "APP", "https://app.datadoghq.com") + "\n" + wantWrites; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	apply := func(out *strings.Builder) error { return a.Apply(t.Context(), all, values(), false, out) }
	each := func(verb string) string {
		return verb + `  slo s                            APP/slo?slo_id=ID
` + verb + `  dashboard d                      APP/dashboard/ID
` + verb + `  monitor m                        APP/monitors/ID
` + verb + `  downtime n                       APP/monitors/downtimes?selected=ID
`
	}
	do("the first apply", apply, each("created"), "POST /api/v1/slo, POST /api/v1/dashboard, POST /api/v1/monitor, POST /api/v2/downtime")
	if got := compact(s.All(standin.Downtime)); !strings.Contains(got, `"message":"N\n\n[apmapp-provision:apmapp/dev/n]"`) || !strings.Contains(got, `"monitor_id":`+ids[standin.Monitor]+`}`) {
		t.Errorf("the downtime is %s", got)
	}
	do("another apply", apply, each("same   "), "")

	for kind, edit := range map[standin.Kind]func(map[string]any){
		standin.SLO:       func(body map[string]any) { body["name"] = "edited" },
		standin.Dashboard: func(body map[string]any) { body["title"] = "edited" },
		standin.Monitor:   func(body map[string]any) { body["message"] = "edited" },
		standin.Downtime:  func(body map[string]any) { attributes(body)["scope"] = "env:edited" },
	} {
		s.Edit(kind, ids[kind], edit)
	}
	p, err := a.Plan(t.Context(), all, values())
	if got := fmt.Sprint(p.Counts()); got != "map[change:4]" || len(p.Left) != 0 || err != nil {
		t.Errorf("after an edit: %s, left %v, %v", got, p.Left, err)
	}
	do("apply after an edit", apply, each("changed"), "PUT /api/v1/slo/ID, PUT /api/v1/dashboard/ID, PUT /api/v1/monitor/ID, PATCH /api/v2/downtime/ID")
	do("apply after that", apply, each("same   "), "")

	all = loaded(t, map[string]string{"slo.s.json": four["slo.s.json"]})
	do("apply without three definitions", apply, `same     slo s                            APP/slo?slo_id=ID
left     dashboard d                      APP/dashboard/ID no longer has a definition; destroy deletes it
left     monitor m                        APP/monitors/ID no longer has a definition; destroy deletes it
left     downtime n                       APP/monitors/downtimes?selected=ID no longer has a definition; destroy deletes it
`, "")
	do("destroy", func(out *strings.Builder) error {
		managed, _, err := a.Managed(t.Context(), values())
		if err != nil {
			return err
		}
		return a.Destroy(t.Context(), managed, values(), out)
	}, "deleted  downtime n\ndeleted  monitor m\ndeleted  dashboard d\ndeleted  slo s\n",
		"DELETE /api/v2/downtime/ID, DELETE /api/v1/monitor/ID, DELETE /api/v1/dashboard/ID, DELETE /api/v1/slo/ID")
	for _, kind := range kinds {
		if left := s.All(kind); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
