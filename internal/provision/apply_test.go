package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// none is a list without SLOs, dashboards or downtimes.
const none = `{"data": [], "dashboards": []}`

// echo is a handler for an account without resources. It returns what is posted,
// with an ID.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if strings.HasSuffix(r.URL.Path, "/monitor") {
			io.WriteString(w, `[]`)
		} else {
			io.WriteString(w, none)
		}
		return
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body["id"] = "abc-def-ghi"
	if strings.HasSuffix(r.URL.Path, "/monitor") {
		body["id"] = 7
	}
	json.NewEncoder(w).Encode(body)
}

func TestApply(t *testing.T) {
	a := newAPI(t, echo)
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
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/dashboard") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		echo(w, r)
	})
	files := map[string]string{"monitor.n.json": `{"name": "N", "type": "query alert", "query": "q"}`}
	for name, text := range small {
		files[name] = text
	}
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
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		echo(w, r)
	})
	err := a.Apply(t.Context(), loaded(t, small), values(), false, io.Discard)
	if want := "\nnothing was changed\nnot done: dashboard d, monitor m"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want at its end %s", err, want)
	}
}

// deployed is a handler for an account with a monitor and a dashboard.
func deployed(w http.ResponseWriter, r *http.Request) {
	const (
		dashboard = `{"id": "abc-def-ghi", "description": "[apmapp-provision:apmapp/dev/d]"}`
		monitor   = `{"id": 7, "tags": ["managed-by:apmapp-provision", "provision-id:apmapp/dev/m"]}`
	)
	switch path := r.URL.Path; {
	case r.Method == http.MethodDelete:
		io.WriteString(w, `{}`)
	case strings.HasSuffix(path, "/dashboard"):
		fmt.Fprintf(w, `{"dashboards": [%s]}`, dashboard)
	case strings.Contains(path, "/dashboard/"):
		io.WriteString(w, dashboard)
	case strings.HasSuffix(path, "/monitor"):
		fmt.Fprintf(w, `[%s]`, monitor)
	case strings.Contains(path, "/monitor/"):
		io.WriteString(w, monitor)
	default:
		io.WriteString(w, none)
	}
}

func TestDestroy(t *testing.T) {
	for _, c := range []struct {
		name         string
		handler      http.HandlerFunc
		wantErr, out string
		deletions    int
	}{
		{"all", deployed, "<nil>", "deleted  monitor m\ndeleted  dashboard d\n", 2},
		{"the monitor no longer exists", func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/monitor/") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			deployed(w, r)
		}, "<nil>", "deleted  monitor m\ndeleted  dashboard d\n", 1},
		{"the monitor lost its marker", func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/monitor/") {
				io.WriteString(w, `{"id": 7, "tags": []}`)
				return
			}
			deployed(w, r)
		}, "monitor m: not deleted, because https://app.datadoghq.com/monitors/7 no longer carries the marker\nnot deleted: monitor m",
			"failed   monitor m\ndeleted  dashboard d\n", 1},
		{"deletions are forbidden", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusConflict)
				return
			}
			deployed(w, r)
		}, "delete monitor 7: 409 Conflict\ndelete dashboard abc-def-ghi: 409 Conflict\nnot deleted: monitor m, dashboard d",
			"failed   monitor m\nfailed   dashboard d\n", 2},
		{"the monitor cannot be read", func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/monitor/") {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			deployed(w, r)
		}, "read monitor 7: 400 Bad Request\nnot deleted: monitor m", "failed   monitor m\ndeleted  dashboard d\n", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t, c.handler)
			all, _, err := a.Managed(t.Context(), values())
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := a.Destroy(t.Context(), all, values(), &out); fmt.Sprint(err) != c.wantErr || out.String() != c.out {
				t.Errorf("got\n%v\n%s\nwant\n%s\n%s", err, out.String(), c.wantErr, c.out)
			}
			if n := strings.Count(strings.Join(a.requests, "\n"), "DELETE "); n != c.deletions {
				t.Errorf("%d deletions, want %d", n, c.deletions)
			}
		})
	}
}

// A context that has ended keeps everything from being done.
func TestApplyAndDestroyEndWithTheContext(t *testing.T) {
	stopped := errors.New("stopped")
	a := newAPI(t, deployed)
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
	a = newAPI(t, echo)
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
				echo(recorder, r)
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
