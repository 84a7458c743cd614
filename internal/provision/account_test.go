package provision

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The requests for lists: what they select, and how they turn pages.
func TestListRequests(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		wrap  string // of the list
		query [2]string
	}{
		{SLO, `{"data": %s}`, [2]string{"/api/v1/slo?limit=100&offset=0&tags_query=managed-by%3Aapmapp-provision", "/api/v1/slo?limit=100&offset=100&tags_query=managed-by%3Aapmapp-provision"}},
		{Dashboard, `{"dashboards": %s}`, [2]string{"/api/v1/dashboard?count=100&start=0", "/api/v1/dashboard?count=100&start=100"}},
		{Monitor, `%s`, [2]string{"/api/v1/monitor?monitor_tags=managed-by%3Aapmapp-provision&page=0&page_size=100", "/api/v1/monitor?monitor_tags=managed-by%3Aapmapp-provision&page=1&page_size=100"}},
		{Downtime, `{"data": %s}`, [2]string{"/api/v2/downtime?page%5Blimit%5D=100&page%5Boffset%5D=0", "/api/v2/downtime?page%5Blimit%5D=100&page%5Boffset%5D=100"}},
	} {
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			first := !strings.Contains(r.URL.RawQuery, "=100&tags") && !strings.Contains(r.URL.RawQuery, "start=100") &&
				!strings.Contains(r.URL.RawQuery, "page=1") && !strings.Contains(r.URL.RawQuery, "offset%5D=100")
			elements := []string{}
			for i := range 100 {
				elements = append(elements, fmt.Sprintf(`{"id": "%d"}`, i))
			}
			if !first { // one resource appears again, one has no ID
				elements = []string{`{"id": "99"}`, `{"id": "100"}`, `{"name": "x"}`}
			}
			fmt.Fprintf(w, c.wrap, "["+strings.Join(elements, ",")+"]")
		})
		all, err := a.list(t.Context(), c.kind)
		if err != nil || len(all) != 101 || all[0].ID() != "0" || all[100].ID() != "100" {
			t.Errorf("%s: %d resources, %v; want 101", c.kind, len(all), err)
		}
		if got, want := strings.Join(a.requests, "\n"), "GET "+c.query[0]+"\nGET "+c.query[1]; got != want {
			t.Errorf("%s: the requests are\n%s\nwant\n%s", c.kind, got, want)
		}
	}
}

// What is not a list is not an empty account, in which apply would create everything.
func TestUnexpectedLists(t *testing.T) {
	const noList = ": the API's answer is not a list; check DD_SITE, -api and the proxy"
	for _, c := range []struct{ kind, body, want string }{
		{"monitor", `{}`, "list monitors" + noList},
		{"monitor", ``, "list monitors" + noList},
		{"monitor", `null`, "list monitors" + noList},
		{"slo", `{"data": 1}`, "list slos" + noList},
		{"slo", `{"data": null}`, ""},
		{"slo", `[]`, "list slos" + noList},
		{"dashboard", `{}`, "list dashboards" + noList},
		{"dashboard", ``, "list dashboards" + noList},
	} {
		all, err := newAPI(t, answers(200, c.body)).list(t.Context(), Kind(c.kind))
		if len(all) > 0 || (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s %s: %d resources, %v; want %s", c.kind, c.body, len(all), err, c.want)
		}
	}
}

// A gateway that drops the number of the page sends the same one without end.
func TestTheSamePageAgain(t *testing.T) {
	page := `{"data": [` + strings.Repeat(`{"id": "1", "attributes": {"status": "ended"}},`, 99) + `{"id": "2"}]}`
	a := newAPI(t, answers(200, page))
	if all, err := a.list(t.Context(), Downtime); err != nil || len(all) != 1 || len(a.requests) != 2 {
		t.Errorf("%d resources, %v after %d requests", len(all), err, len(a.requests))
	}
}

// Downtimes that are over remain in the list for some time.
func TestListWithoutDowntimesThatAreOver(t *testing.T) {
	a := newAPI(t, answers(200, `{"data": [{"id": "1", "attributes": {"status": "canceled"}}, {"id": "2", "attributes": {"status": "ended"}},
		{"id": "3", "attributes": {"status": "active"}}, {"id": "4", "attributes": {"status": "scheduled"}}]}`))
	all, err := a.list(t.Context(), Downtime)
	if err != nil || len(all) != 2 || all[0].ID() != "3" || all[1].ID() != "4" {
		t.Errorf("got %v, %v; want 3 and 4", all, err)
	}
	// A whole page of them is not the last one.
	var over []string
	for i := range pageSize {
		over = append(over, fmt.Sprintf(`{"id": "%d", "attributes": {"status": "ended"}}`, i))
	}
	a = newAPI(t, inTurn([]string{`{"data": [` + strings.Join(over, ",") + `]}`, `{"data": [{"id": "a"}]}`}))
	if all, err := a.list(t.Context(), Downtime); err != nil || len(all) != 1 || all[0].ID() != "a" {
		t.Errorf("after a page of downtimes that are over: %v, %v", all, err)
	}
}

func TestNewObject(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"monitor", `{"id": 7}`, "7"},
		{"dashboard", `{"id": "abc-def-ghi"}`, "abc-def-ghi"},
		{"slo", `{"data": {"id": "0a"}}`, "0a"},
		{"slo", `{"data": [{"id": "0a"}]}`, "0a"},
		{"slo", `{"data": [{"id": "0a"}, {"id": "0b"}]}`, ""},
		{"slo", `{"data": []}`, ""},
		{"downtime", `{"data": {"id": "0b"}}`, "0b"},
		{"downtime", `{"id": "0b"}`, "0b"},
		{"monitor", `{"data": {"id": 7}}`, ""},
		{"monitor", `{"id": null}`, ""},
	} {
		body := parsed(t, c.body)
		o, err := newObject(Kind(c.kind), body)
		if (err != nil) != (c.want == "") || err == nil && o.ID() != c.want {
			t.Errorf("%s %s: %v, %v; want %q", c.kind, c.body, o, err, c.want)
		}
	}
}

func TestTitle(t *testing.T) {
	for body, want := range map[string]string{
		`{"title": "a", "name": "b"}`:                            "a",
		`{"title": "", "name": "b"}`:                             "b",
		`{"data": {"attributes": {"message": "first\nsecond"}}}`: "first",
		`{}`: "",
	} {
		b := parsed(t, body)
		if got := (object{body: b}).title(); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// Someone deletes a resource before remove does.
func TestRemoveWhatIsGone(t *testing.T) {
	for _, kind := range kinds {
		a := newAPI(t, answers(404, `{"errors": ["not found"]}`))
		if err := a.remove(t.Context(), object{kind: kind, id: "7"}); err != nil || len(a.requests) != 1 {
			t.Errorf("%s: %v after %d requests", kind, err, len(a.requests))
		}
		// The next apply creates what somebody deleted after the list.
		if _, err := a.update(t.Context(), Ref{kind, "a"}, object{kind: kind, id: "7"}, bodies()[kind], nil); !notFound(err) || !passes(err) {
			t.Errorf("%s: a change of what is gone: %v", kind, err)
		}
		a = newAPI(t, answers(409, `{"errors": ["in use"]}`))
		if err := a.remove(t.Context(), object{kind: kind, id: "7"}); err == nil || err.Error() != fmt.Sprintf("delete %s 7: 409 Conflict: in use", kind) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// An answer without an ID is an error. The request is not sent again.
func TestCreateWithoutAnID(t *testing.T) {
	a := newAPI(t, answers(200, `{}`))
	if _, err := a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "m"); fmt.Sprint(err) != "create monitor a: the API's answer contains no monitor with an ID" || len(a.requests) != 1 {
		t.Errorf("%v after %v", err, a.requests)
	}
}

// bodies returns a small body of each kind.
func bodies() map[Kind]map[string]any {
	return map[Kind]map[string]any{
		SLO:       {"name": "a", "type": "metric", "thresholds": []any{map[string]any{"target": 99, "timeframe": "7d"}}},
		Dashboard: {"title": "a", "layout_type": "ordered", "widgets": []any{}},
		Monitor:   {"name": "a", "type": "query alert", "query": "q"},
		Downtime:  {"data": map[string]any{"type": "downtime", "attributes": map[string]any{"scope": "*", "monitor_identifier": map[string]any{"monitor_id": 7}}}},
	}
}

// If the connection breaks, the outcome of a write is unknown. Each request is sent six
// times, unless it creates something: then the account is read first.
func TestEachRequestWithoutAnAnswer(t *testing.T) {
	link := Share{URL: "https://p.datadoghq.com/sb/t1", token: "t1"}
	for _, kind := range kinds {
		ref, o, body := Ref{kind, "a"}, object{kind: kind, id: "7"}, bodies()[kind]
		for _, c := range []struct {
			name string
			send func(a *api) error
			want string // the requests' methods
		}{
			{"list", func(a *api) error { _, err := a.list(t.Context(), kind); return err }, "GGGGGG"},
			{"get", func(a *api) error { _, err := a.get(t.Context(), kind, "7"); return err }, "GGGGGG"},
			{"create", func(a *api) error { _, err := a.create(t.Context(), ref, body, "m"); return err }, "PGGGGGG"},
			{"update", func(a *api) error { _, err := a.update(t.Context(), ref, o, body, nil); return err }, "PPPPPP"},
			{"remove", func(a *api) error { return a.remove(t.Context(), o) }, "DDDDDD"},
			{"links", func(a *api) error { _, err := a.links(t.Context(), "7"); return err }, "GGGGGG"},
			{"publish", func(a *api) error { _, _, err := a.Publish(t.Context(), Shared{id: "7"}); return err }, "PGGGGGG"},
			{"revoke", func(a *api) error { return a.Revoke(t.Context(), link) }, "DDDDDD"},
		} {
			a := newAPI(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			err := c.send(a)
			if unknown := errors.Is(err, errUnknown); err == nil || unknown != (c.want[0] != 'G') || !passes(err) || a.letters() != c.want {
				t.Errorf("%s %s: %v after %s, want %s, and an unknown outcome of a write", c.name, kind, err, a.letters(), c.want)
			}
		}
	}
}

// Each request names its resource, and its error the request.
func TestRequestsForOneResource(t *testing.T) {
	for kind, want := range map[Kind]string{
		SLO:       "GET /api/v1/slo/12 PUT /api/v1/slo/12 DELETE /api/v1/slo/12",
		Dashboard: "GET /api/v1/dashboard/12 PUT /api/v1/dashboard/12 DELETE /api/v1/dashboard/12",
		Monitor:   "GET /api/v1/monitor/12 PUT /api/v1/monitor/12 DELETE /api/v1/monitor/12",
		Downtime:  "GET /api/v2/downtime/12 PATCH /api/v2/downtime/12 DELETE /api/v2/downtime/12",
	} {
		a := newAPI(t, answers(400, ""))
		o := object{kind: kind, id: "12"}
		_, getErr := a.get(t.Context(), kind, "12")
		_, updateErr := a.update(t.Context(), Ref{kind, "a"}, o, bodies()[kind], nil)
		removeErr := a.remove(t.Context(), o)
		got := fmt.Sprint(getErr, "\n", updateErr, "\n", removeErr)
		if want := fmt.Sprintf("read %s 12: 400 Bad Request\nchange %s a: 400 Bad Request\ndelete %s 12: 400 Bad Request", kind, kind, kind); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got := strings.Join(a.requests, " "); got != want {
			t.Errorf("requests %s, want %s", got, want)
		}
	}
}

// While create looks for a resource of unknown outcome, an error ends it.
func TestErrorWhileLooking(t *testing.T) {
	a := newAPI(t, paths{"POST monitor": "502", "monitor": "403", "validate": "403"}.ServeHTTP)
	_, err := a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "m")
	if fmt.Sprint(err) != "create monitor a: 502 Bad Gateway: outcome unknown: the request may or may not have taken effect; then: list monitors"+refusedKey || a.letters() != "PGG" {
		t.Errorf("%v: %v", a.requests, err)
	}
}

// If the outcome of a creation is unknown, create looks twice for the marker before
// it sends the request again.
func TestCreateOfUnknownOutcome(t *testing.T) {
	const (
		unknown = "502 Bad Gateway: outcome unknown: the request may or may not have taken effect"
		none    = `[]`
		created = `[{"id": 6}, {"id": 7, "tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/a"]}]`
	)
	for _, c := range []struct {
		name     string
		answers  []string // to POST and GET; see inTurn
		want     string   // ID or error
		requests string   // the first letters
	}{
		{"it appears at once", []string{"", created}, "7", "PG"},
		{"it appears late", []string{"", none, created}, "7", "PGG"},
		{"it was not created", []string{"", none, none, `{"id": 8}`}, "8", "PGGP"},
		{"it was created the second time", []string{"", none, none, "", created}, "7", "PGGPG"},
		{"the second time is refused", []string{"", none, none, "400"}, "create monitor a: 400 Bad Request", "PGGP"},
		{"it is never created", []string{"", none, none, "", none, none, "", none, none, "", none, none, "", none, none, ""},
			"create monitor a: " + unknown + " (after 6 attempts)", "PGGPGGPGGPGGPGGP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t, inTurn(c.answers))
			o, err := a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "apmapp/dev/a")
			got := fmt.Sprint(err)
			if err == nil {
				got = o.ID()
			}
			requests := a.letters()
			if got != c.want || requests != c.requests {
				t.Errorf("got %s after %s, want %s after %s", got, requests, c.want, c.requests)
			}
			if looks := strings.Count(c.requests, "G"); len(a.waits) != looks || len(a.notices) != looks {
				t.Errorf("%d waits, %d notices; want one before each of %d looks", len(a.waits), len(a.notices), looks)
			}
			for i, notice := range a.notices {
				if !strings.HasPrefix(notice, "create monitor a: "+unknown+"; retry in ") {
					t.Errorf("notice %d: %s", i, notice)
				}
			}
		})
	}
}

// A created dashboard that is found by its marker is read in full: the first of two.
func TestFindReadsTheDashboard(t *testing.T) {
	const marked = `{"id": "%s", "description": "[apmapp-provision:apmapp/dev/a]"}`
	one, two := fmt.Sprintf(marked, "abc-def-ghi"), fmt.Sprintf(marked, "abc-def-ghj")
	account := paths{"dashboard": `{"dashboards": [{"id": "x", "description": ""}, ` + one + `, ` + two + `]}`, "dashboard/abc-def-ghi": `{"id": "abc-def-ghi", "widgets": [1]}`}
	a := newAPI(t, account.ServeHTTP)
	o, err := a.find(t.Context(), Ref{Dashboard, "a"}, "apmapp/dev/a")
	if err != nil || o == nil || len(list(o.body["widgets"])) != 1 {
		t.Errorf("got %v, %v", o, err)
	}
	if o, err := a.find(t.Context(), Ref{Dashboard, "b"}, "apmapp/dev/b"); o != nil || err != nil {
		t.Errorf("got %v, %v; want nil", o, err)
	}
	account["dashboard/abc-def-ghi"] = "400"
	if _, err := a.find(t.Context(), Ref{Dashboard, "a"}, "apmapp/dev/a"); fmt.Sprint(err) != "read dashboard abc-def-ghi: 400 Bad Request" {
		t.Errorf("got %v", err)
	}
}
