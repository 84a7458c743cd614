package viewer

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/store"
)

// onlyFault is one fault that can begin once.
type onlyFault struct{ started, ended bool }

func (f *onlyFault) Faults() []Fault {
	return []Fault{{Name: "outage", Why: "Everything fails.", Signs: []string{"status 503", "a log line"}}}
}

func (f *onlyFault) Last() (string, bool, []FaultLine) {
	if !f.started {
		return "", false, nil
	}
	return "outage", !f.ended, []FaultLine{{At: time.Now(), Text: hostile, Page: "/traces?q=x&from=1"}, {Text: "not seen", Bad: true}}
}

func (f *onlyFault) Start(name string) error {
	if f.started {
		return errors.New(name + " cannot begin: outage has not ended yet")
	}
	f.started = name == "outage"
	return nil
}

func (f *onlyFault) End() { f.ended = true }

func TestFaultsPage(t *testing.T) {
	f := new(onlyFault)
	h := New(Config{Store: store.New(0), Faults: f})
	post := func(path, header, value string) (int, string) {
		w := fetch(t, h, path, func(r *http.Request) {
			*r = *r.WithContext(t.Context())
			r.Method, r.PostForm = http.MethodPost, url.Values{"name": {"outage"}}
			r.Header.Set(header, value)
		})
		return w.Code, w.Body.String()
	}
	for _, path := range []string{"/faults", "/faults/undo"} {
		for header, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
			if code, _ := post(path, header, value); code != http.StatusForbidden || f.started || f.ended {
				t.Errorf("%s with %s %s: status %d, want 403", path, header, value, code)
			}
		}
	}
	shows := func(page string, want ...string) {
		t.Helper()
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("no %q in\n%s", text, page)
			}
		}
	}
	page := func() string { return fetch(t, h, "/faults").Body.String() }
	shows(page(), `<button name="name" value="outage">outage</button>`, "Everything fails.", "status 503; a log line", `<a href="/faults" aria-current="page">`)
	if strings.Contains(page(), "Undo now") {
		t.Error("a button for undoing without a fault")
	}
	shows(fetch(t, h, "/").Body.String(), `<a href="/faults">`)
	if code, _ := post("/faults", "Sec-Fetch-Site", "same-origin"); code != http.StatusSeeOther || !f.started {
		t.Errorf("status %d, started: %t", code, f.started)
	}
	shows(page(), "outage, running", "Undo now", `value="outage" disabled`, `<a href="/traces?q=x&amp;from=1">&#34;`, `class="ongoing"`)
	code, text := post("/faults", "Sec-Fetch-Site", "same-origin")
	if code != http.StatusConflict {
		t.Errorf("a second fault: status %d, want 409", code)
	}
	shows(text, `<p class="problem">outage cannot begin: outage has not ended yet</p>`)
	for _, path := range []string{"/api/faults", "/faults.json"} {
		shows(fetch(t, h, path).Body.String(), `"name":"outage","why":"Everything fails.","signs":["status 503","a log line"]`, `"last":"outage","running":true`, `"text":"not seen","bad":true`)
	}
	if code, _ := post("/faults/undo", "Sec-Fetch-Site", "same-origin"); code != http.StatusSeeOther || !f.ended {
		t.Errorf("undo: status %d, ended: %t", code, f.ended)
	}
	if strings.Contains(page(), "Undo now") || strings.Contains(page(), "disabled") {
		t.Error("buttons of a running fault after its end")
	}

	without := New(Config{Store: store.New(0)})
	for _, path := range []string{"/faults", "/api/faults", "/faults.json"} {
		if code := fetch(t, without, path).Code; code != http.StatusNotFound {
			t.Errorf("%s without faults: status %d, want 404", path, code)
		}
	}
	if strings.Contains(fetch(t, without, "/").Body.String(), "/faults") {
		t.Error("a link to faults without faults")
	}
}
