package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// memory is an account in memory. It returns what it was sent, with an ID.
type memory struct {
	bodies map[string]map[string]any // by kind and ID, such as monitor/7; a downtime without its data
	last   int                       // ID
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // api, version, kind, ID
	kind := Kind(path[2])
	key := strings.Join(path[2:], "/")
	answer := func(v any) {
		switch {
		case kind == Downtime, kind == SLO:
			v = map[string]any{"data": v}
		case kind == Dashboard && len(path) == 3 && r.Method == http.MethodGet:
			v = map[string]any{"dashboards": v}
		}
		json.NewEncoder(w).Encode(v)
	}
	if len(path) == 4 && m.bodies[key] == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodGet:
		if len(path) == 4 {
			answer(m.bodies[key])
			return
		}
		all := []any{}
		for _, key := range slices.Sorted(maps.Keys(m.bodies)) {
			if strings.HasPrefix(key, path[2]+"/") {
				all = append(all, m.bodies[key])
			}
		}
		answer(all)
	case http.MethodDelete:
		delete(m.bodies, key)
		answer(map[string]any{})
	default: // POST, PUT and PATCH
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if kind == Downtime {
			body = body["data"].(map[string]any)
		}
		if r.Method == http.MethodPost {
			m.last++
			key = fmt.Sprintf("%s/%d", kind, m.last)
			if body["id"] = fmt.Sprint(m.last); kind == Monitor {
				body["id"] = m.last
			}
		} else if kind != Downtime {
			body["id"] = m.bodies[key]["id"]
		}
		m.bodies[key] = body
		if kind == SLO && r.Method == http.MethodPost {
			answer([]any{body})
			return
		}
		answer(body)
	}
}

// four are definitions of each kind. The later ones refer to the earlier ones.
var four = map[string]string{
	"slo.s.json":       `{"name": "S", "type": "metric", "query": {"numerator": "a", "denominator": "b"}, "thresholds": [{"target": 99, "timeframe": "7d"}]}`,
	"dashboard.d.json": `{"title": "D", "layout_type": "ordered", "widgets": [{"definition": {"type": "slo", "view_type": "detail", "slo_id": "${slo:s.id}"}}]}`,
	"monitor.m.json":   `{"name": "M", "type": "query alert", "query": "q", "message": "${dashboard:d.url}"}`,
	"downtime.n.json":  `{"data": {"type": "downtime", "attributes": {"message": "N", "scope": "*", "monitor_identifier": {"monitor_id": "${monitor:m.id}"}}}}`,
}

// An account from its first apply to destroy: what each command prints, and which
// requests change something.
func TestAccountFromApplyToDestroy(t *testing.T) {
	m := &memory{bodies: map[string]map[string]any{}}
	a := newAPI(t, m.ServeHTTP)
	all := loaded(t, four)
	apply := func() string {
		t.Helper()
		var out strings.Builder
		if err := a.Apply(t.Context(), all, values(), false, &out); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	plan := func() Plan {
		t.Helper()
		p, err := a.Plan(t.Context(), all, values())
		if err != nil {
			t.Error(err)
		}
		return p
	}
	check := func(name, got, want, wantWrites string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		writes := slices.DeleteFunc(a.requests, func(r string) bool { return strings.HasPrefix(r, "GET ") })
		if got := strings.Join(writes, ", "); got != wantWrites {
			t.Errorf("%s: requests %s, want %s", name, got, wantWrites)
		}
		a.requests = nil
	}
	const app = "https://app.datadoghq.com"
	check("the first apply", apply(), `created  slo s                            `+app+`/slo?slo_id=1
created  dashboard d                      `+app+`/dashboard/2
created  monitor m                        `+app+`/monitors/3
created  downtime n                       `+app+`/monitors/downtimes?selected=4
`, "POST /api/v1/slo, POST /api/v1/dashboard, POST /api/v1/monitor, POST /api/v2/downtime")
	if got := compact(m.bodies["downtime/4"]); got != `{"attributes":{"message":"N\n\n[apmapp-provision:apmapp/dev/n]","monitor_identifier":{"monitor_id":3},"scope":"*"},"id":"4","type":"downtime"}` {
		t.Errorf("the downtime is %s", got)
	}

	check("another apply", apply(), `same     slo s                            `+app+`/slo?slo_id=1
same     dashboard d                      `+app+`/dashboard/2
same     monitor m                        `+app+`/monitors/3
same     downtime n                       `+app+`/monitors/downtimes?selected=4
`, "")

	m.bodies["slo/1"]["name"] = "edited"
	m.bodies["dashboard/2"]["title"] = "edited"
	m.bodies["monitor/3"]["message"] = "edited"
	m.bodies["downtime/4"]["attributes"].(map[string]any)["scope"] = "edited"
	p := plan()
	if got := fmt.Sprint(p.Counts()); got != "map[change:4]" || len(p.Left) != 0 {
		t.Errorf("after an edit: %s, left %v", got, p.Left)
	}
	check("apply after an edit", apply(), `changed  slo s                            `+app+`/slo?slo_id=1
changed  dashboard d                      `+app+`/dashboard/2
changed  monitor m                        `+app+`/monitors/3
changed  downtime n                       `+app+`/monitors/downtimes?selected=4
`, "PUT /api/v1/slo/1, PUT /api/v1/dashboard/2, PUT /api/v1/monitor/3, PATCH /api/v2/downtime/4")
	if got := fmt.Sprint(plan().Counts()); got != "map[same:4]" {
		t.Errorf("after apply: %s", got)
	}

	all = loaded(t, map[string]string{"slo.s.json": four["slo.s.json"]})
	var left []string
	for _, l := range plan().Left {
		left = append(left, l.Ref.String()+" "+l.Link)
	}
	if got, want := strings.Join(left, ", "), "dashboard d "+app+"/dashboard/2, monitor m "+app+"/monitors/3, downtime n "+app+"/monitors/downtimes?selected=4"; got != want {
		t.Errorf("without three definitions: left %s, want %s", got, want)
	}
	check("apply without three definitions", apply(), `same     slo s                            `+app+`/slo?slo_id=1
left     dashboard d                      `+app+`/dashboard/2 no longer has a definition; destroy deletes it
left     monitor m                        `+app+`/monitors/3 no longer has a definition; destroy deletes it
left     downtime n                       `+app+`/monitors/downtimes?selected=4 no longer has a definition; destroy deletes it
`, "")

	managed, _, err := a.Managed(t.Context(), values())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := a.Destroy(t.Context(), managed, values(), &out); err != nil {
		t.Error(err)
	}
	check("destroy", out.String(), "deleted  downtime n\ndeleted  monitor m\ndeleted  dashboard d\ndeleted  slo s\n",
		"DELETE /api/v2/downtime/4, DELETE /api/v1/monitor/3, DELETE /api/v1/dashboard/2, DELETE /api/v1/slo/1")
	if len(m.bodies) != 0 {
		t.Errorf("left: %v", m.bodies)
	}
}
