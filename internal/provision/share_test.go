package provision

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestParseShare(t *testing.T) {
	for link, want := range map[string]string{
		"https://p.datadoghq.com/sb/abc-123":      "abc-123",
		"https://p.datadoghq.com/sb/abc?live=1#x": "abc",
		"https://p.datadoghq.com/sb/":             "",
		"https://p.datadoghq.com/sb/a/b":          "",
		"https://p.datadoghq.com/dashboard/abc":   "",
		"https://p.datadoghq.com/x/sb/abc":        "",
		"https://p.datadoghq.com/sb/%zz":          "",
		"https://example.com/":                    "",
		"":                                        "",
	} {
		s, err := ParseShare(link)
		if s.token != want || (err == nil) != (want != "") {
			t.Errorf("%s: token %q, %v; want %q", link, s.token, err, want)
		}
		if err == nil && s.URL != link || err != nil && err.Error() != fmt.Sprintf("%q is not a public link; public links have the form https://p.datadoghq.com/sb/TOKEN", link) {
			t.Errorf("%s: URL %s, %v", link, s.URL, err)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	for _, link := range []string{"https://p.datadoghq.com/sb/abc-123", "https://p.datadoghq.com/sb/a%2Fb", "/sb/a", "sb/a", "https://p.datadoghq.com/sb/a/b", "%", ""} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		s, err := ParseShare(link)
		if err != nil {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", link)) {
				t.Errorf("the error does not name %q: %v", link, err)
			}
			return
		}
		// The token is one element of a path, and comes from the link.
		if s.URL != link || s.token == "" || strings.Contains(s.token, "/") {
			t.Errorf("%q: %+v", link, s)
		}
		u, err := url.Parse(link)
		if err != nil || u.Path != "/sb/"+s.token {
			t.Errorf("%q: token %q", link, s.token)
		}
	})
}

const shared = `{"id": "abc-def-ghi", "title": "T", "description": "[apmapp-provision:apmapp/dev/t]", "widgets": [
	{"definition": {"type": "timeseries", "title": "A", "requests": [{"queries": [{"query": "q2"}, {"query": "q1"}]}]}},
	{"definition": {"type": "group", "title": "G", "widgets": [
		{"definition": {"type": "check_status", "title": "B", "check": "c1"}},
		{"definition": {"type": "list_stream", "requests": [{"query": {"query_string": "s1"}}, {"query": {"query_string": "q1"}}]}}]}}]}`

func TestShared(t *testing.T) {
	links := `{"data": [{"attributes": {"token": "t1", "url": "https://p.datadoghq.com/sb/t1", "share_type": "invite"}}, {"attributes": {"url": "no token"}}]}`
	account := paths{"dashboard": `{"dashboards": [` + shared + `]}`, "dashboard/abc-def-ghi": shared, "dashboard/abc-def-ghi/shared": links}
	a := newAPI(t, account.ServeHTTP)
	s, err := a.Shared(t.Context(), "t", values())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Title, s.Link, s.Graphs, s.Queries, s.Links, s.Unlisted); got != "Thttps://app.datadoghq.com/dashboard/abc-def-ghi[A B] [c1 q1 q2 s1] [{https://p.datadoghq.com/sb/t1 t1 invite}] false" {
		t.Errorf("got %s", got)
	}
	account["dashboard/abc-def-ghi/shared"] = "404"
	if s, err := a.Shared(t.Context(), "t", values()); err != nil || !s.Unlisted {
		t.Errorf("without a list: %v, %v", s, err)
	}
	account["dashboard/abc-def-ghi/shared"] = "403"
	if _, err := a.Shared(t.Context(), "t", values()); fmt.Sprint(err) != "list the public links of dashboard abc-def-ghi: 403 Forbidden; both keys are valid: the application key, its scopes and its owner's role need the permission dashboards_read" {
		t.Errorf("forbidden: %v", err)
	}
}

func TestSharedWithoutADashboard(t *testing.T) {
	if _, err := newAPI(t, answers(403, "")).Shared(t.Context(), "t", values()); fmt.Sprint(err) != "list dashboards"+refusedKey {
		t.Errorf("forbidden: %v", err)
	}
	if _, err := newAPI(t, answers(200, none)).Shared(t.Context(), "t", values()); fmt.Sprint(err) != "the account has no dashboard t of apmapp/dev; create it with apply" {
		t.Errorf("no dashboard: %v", err)
	}
}

// A link that needs an invitation is not the public link that share creates.
func TestPublish(t *testing.T) {
	var posted map[string]any
	answer := `{"public_url": "https://p.datadoghq.com/sb/t2"}`
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&posted); err != nil {
			t.Error(err)
		}
		io.WriteString(w, answer)
	})
	s := Shared{id: "abc-def-ghi", Links: []Share{{"https://p.datadoghq.com/sb/t1", "t1", "invite"}}}
	if link, created, err := a.Publish(t.Context(), s); link != "https://p.datadoghq.com/sb/t2" || !created || err != nil {
		t.Errorf("got %s, %t, %v", link, created, err)
	}
	if got, want := compact(posted), `{"dashboard_id":"abc-def-ghi","dashboard_type":"custom_timeboard","global_time":{"live_span":"1h"},"global_time_selectable_enabled":false,"share_type":"open"}`; got != want {
		t.Errorf("posted %s, want %s", got, want)
	}
	answer = `{}`
	if link, created, err := a.Publish(t.Context(), s); err == nil || link != "" || created || err.Error() != "share dashboard abc-def-ghi: the API's answer has no public URL" {
		t.Errorf("without a URL: %v", err)
	}
	s.Links = append(s.Links, Share{"https://p.datadoghq.com/sb/t3", "t3", "open"})
	if link, created, err := a.Publish(t.Context(), s); link != "https://p.datadoghq.com/sb/t3" || created || err != nil || len(a.requests) != 2 {
		t.Errorf("with an open link: %s, %t, %v, requests %v", link, created, err, a.requests)
	}
}

// If the outcome of sharing is unknown, Publish looks for the link before it sends
// the request again.
func TestPublishOfUnknownOutcome(t *testing.T) {
	const (
		unknown = "share dashboard abc-def-ghi: 502 Bad Gateway: outcome unknown: the request may or may not have taken effect"
		none    = `{"data": [{"attributes": {"token": "t1", "url": "https://p.datadoghq.com/sb/t1", "share_type": "invite"}}]}`
		created = `{"data": [{"attributes": {"token": "t2", "url": "https://p.datadoghq.com/sb/t2", "share_type": "open"}}]}`
		public  = `{"public_url": "https://p.datadoghq.com/sb/t3"}`
	)
	for _, c := range []struct {
		name     string
		answers  []string // to POST and GET; see inTurn
		want     string   // link, whether it is new, error
		requests string   // the first letters
	}{
		{"it was created", []string{"", created}, "https://p.datadoghq.com/sb/t2 true <nil>", "PG"},
		{"it was not created", []string{"", none, none, public}, "https://p.datadoghq.com/sb/t3 true <nil>", "PGGP"},
		{"the links cannot be listed", []string{"", "400"}, " false " + unknown + "; then: list the public links of dashboard abc-def-ghi: 400 Bad Request", "PG"},
	} {
		a := newAPI(t, inTurn(c.answers))
		link, isNew, err := a.Publish(t.Context(), Shared{id: "abc-def-ghi"})
		if got, requests := fmt.Sprint(link, " ", isNew, " ", err), a.letters(); got != c.want || requests != c.requests {
			t.Errorf("%s: got %s after %s, want %s after %s", c.name, got, requests, c.want, c.requests)
		}
	}
}

func TestRevoke(t *testing.T) {
	s := Share{URL: "https://p.datadoghq.com/sb/t1", token: "t1"}
	a := newAPI(t, answers(404, ""))
	if err := a.Revoke(t.Context(), s); err != nil || strings.Join(a.requests, "") != "DELETE /api/v1/dashboard/public/t1" {
		t.Errorf("%v: %v", a.requests, err)
	}
	if err := newAPI(t, answers(403, "")).Revoke(t.Context(), s); fmt.Sprint(err) != "revoke https://p.datadoghq.com/sb/t1"+refusedKey {
		t.Errorf("forbidden: %v", err)
	}
}
