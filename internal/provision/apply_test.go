package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// none is a list without SLOs, dashboards or downtimes.
const none = `{"data": [], "dashboards": []}`

// paths is an account: the answers to GET by path, such as monitor/7, and to other methods
// by method and path. An answer is a body or a status. Everything else is empty, and what
// is posted is returned with an ID.
type paths map[string]string

func (p paths) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.SplitN(r.URL.Path, "/", 4)[3] // without /api/v1/
	answer, ok := p[strings.TrimPrefix(r.Method+" "+path, "GET ")]
	status, err := strconv.Atoi(answer)
	switch {
	case err == nil:
		w.WriteHeader(status)
	case ok:
		io.WriteString(w, answer)
	case r.Method == http.MethodPost:
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
		body["id"] = "abc-def-ghi"
		if path == "monitor" {
			body["id"] = 7
		}
		json.NewEncoder(w).Encode(body)
	case path == "monitor":
		io.WriteString(w, `[]`)
	default:
		io.WriteString(w, none)
	}
}

func TestApply(t *testing.T) {
	a := newAPI(t, paths{}.ServeHTTP)
	var out strings.Builder
	if err := a.Apply(t.Context(), loaded(t, small), values(), false, &out); err != nil {
		t.Error(err)
	}
	const want = `created  dashboard d                      https://app.datadoghq.com/dashboard/abc-def-ghi
created  monitor m                        https://app.datadoghq.com/monitors/7
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// What refers to a resource that failed is skipped, and nothing else.
func TestApplyAfterAFailure(t *testing.T) {
	a := newAPI(t, paths{"POST dashboard": "400"}.ServeHTTP)
	files := maps.Clone(small)
	files["monitor.n.json"] = `{"name": "N", "type": "query alert", "query": "q"}`
	var out strings.Builder
	err := a.Apply(t.Context(), loaded(t, files), values(), false, &out)
	const wantErr = `create dashboard d: 400 Bad Request
monitor m: skipped, because it needs dashboard d
done: monitor n
not done: dashboard d, monitor m`
	if fmt.Sprint(err) != wantErr {
		t.Errorf("got\n%v\nwant\n%s", err, wantErr)
	}
	const want = `failed   dashboard d
failed   monitor m
created  monitor n                        https://app.datadoghq.com/monitors/7
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestApplyThatChangesNothing(t *testing.T) {
	a := newAPI(t, paths{"POST dashboard": "400"}.ServeHTTP)
	err := a.Apply(t.Context(), loaded(t, small), values(), false, io.Discard)
	if want := "\nnothing was changed\nnot done: dashboard d, monitor m"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want at its end %s", err, want)
	}
}

// deployed is an account with a monitor and a dashboard.
var deployed = paths{
	"dashboard":             `{"dashboards": [{"id": "abc-def-ghi", "description": "[apmapp-provision:apmapp/dev/d]"}]}`,
	"dashboard/abc-def-ghi": `{"id": "abc-def-ghi", "description": "[apmapp-provision:apmapp/dev/d]"}`,
	"monitor":               `[{"id": 7, "tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/m"]}]`,
	"monitor/7":             `{"id": 7, "tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/m"]}`,
}

func TestDestroy(t *testing.T) {
	const (
		deleted = "deleted  monitor m\ndeleted  dashboard d\n"
		kept    = "failed   monitor m\ndeleted  dashboard d\n"
	)
	for _, c := range []struct {
		name         string
		answers      paths // instead of those of deployed
		wantErr, out string
		deletions    int
	}{
		{"all", nil, "<nil>", deleted, 2},
		{"the monitor no longer exists", paths{"monitor/7": "404"}, "<nil>", deleted, 1},
		{"the monitor lost its marker", paths{"monitor/7": `{"id": 7, "tags": []}`},
			"monitor m: not deleted, because https://app.datadoghq.com/monitors/7 no longer carries the marker\nnot deleted: monitor m", kept, 1},
		{"the monitor cannot be read", paths{"monitor/7": "400"}, "read monitor 7: 400 Bad Request\nnot deleted: monitor m", kept, 1},
		{"deletions are refused", paths{"DELETE monitor/7": "409", "DELETE dashboard/abc-def-ghi": "409"},
			"delete monitor 7: 409 Conflict\ndelete dashboard abc-def-ghi: 409 Conflict\nnot deleted: monitor m, dashboard d", "failed   monitor m\nfailed   dashboard d\n", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			account := maps.Clone(deployed)
			maps.Copy(account, c.answers)
			a := newAPI(t, account.ServeHTTP)
			all, _, err := a.Managed(t.Context(), values())
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := a.Destroy(t.Context(), all, values(), &out); fmt.Sprint(err) != c.wantErr || out.String() != c.out {
				t.Errorf("got\n%v\n%s\nwant\n%s\n%s", err, out.String(), c.wantErr, c.out)
			}
			if n := strings.Count(a.letters(), "D"); n != c.deletions {
				t.Errorf("%d deletions, want %d", n, c.deletions)
			}
		})
	}
}

// A context that has ended keeps everything from being done.
func TestApplyAndDestroyEndWithTheContext(t *testing.T) {
	stopped := errors.New("stopped")
	a := newAPI(t, deployed.ServeHTTP)
	all, _, err := a.Managed(t.Context(), values())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	a.requests = nil
	err = a.Destroy(ctx, all, values(), io.Discard)
	if fmt.Sprint(err) != "stopped\nnot deleted: monitor m, dashboard d\nrun destroy again to continue" || len(a.requests) > 0 {
		t.Errorf("Destroy: %v, requests %v", err, a.requests)
	}
	// Apply ends after the first resource.
	ctx, cancel = context.WithCancelCause(t.Context())
	a = newAPI(t, paths{}.ServeHTTP)
	var out strings.Builder
	err = a.Apply(ctx, loaded(t, small), values(), false, writer(func(line []byte) (int, error) {
		cancel(stopped)
		return out.Write(line)
	}))
	if fmt.Sprint(err) != "stopped\ndone: dashboard d\nnot done: monitor m\nrun apply again to continue" || !errors.Is(err, stopped) || a.letters() != "GGGGP" {
		t.Errorf("Apply: %v, requests %v", err, a.requests)
	}
	if want := "created  dashboard d                      https://app.datadoghq.com/dashboard/abc-def-ghi\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// A rate limit delays apply for minutes. The start of a downtime still lies in the
// future when the API receives it.
func TestStartAfterAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []byte
		waited := false
		c, err := NewClient(Config{APIKey: "a", AppKey: "b"})
		if err != nil {
			t.Fatal(err)
		}
		c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			recorder := httptest.NewRecorder()
			switch {
			case r.Method == http.MethodPost && !waited:
				waited = true
				recorder.Header().Set("X-RateLimit-Reset", "100")
				recorder.WriteHeader(http.StatusTooManyRequests)
			case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/downtime"):
				sent, _ = io.ReadAll(r.Body)
				io.WriteString(recorder, `{"data": {"id": "a"}}`)
			default:
				paths{}.ServeHTTP(recorder, r)
			}
			return recorder.Result(), nil
		})
		v := values()
		v.Now = time.Date(2026, 11, 25, 18, 57, 50, 0, time.UTC)
		all := loaded(t, map[string]string{
			"monitor.m.json": `{"name": "M", "type": "query alert", "query": "q"}`,
			"downtime.n.json": `{"data": {"type": "downtime", "attributes": {"scope": "*", "monitor_identifier": {"monitor_id": "${monitor:m.id}"}, "schedule": {"timezone": "UTC", "recurrences": [
				{"start": "${next:WE,TH@18:59}", "duration": "1h", "rrule": "FREQ=WEEKLY;BYDAY=WE,TH"}]}}}}`,
		})
		if err := c.Apply(t.Context(), all, v, false, io.Discard); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"start": "2026-11-26T18:59:00"`, `"start": "2026-11-25T19:01:00"`, `"duration": "58m"`} {
			if !strings.Contains(string(sent), want) {
				t.Errorf("sent %s\nwant %s", sent, want)
			}
		}
	})
}
