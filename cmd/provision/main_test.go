package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/provision"
	"apmapp/internal/provision/standin"
)

// The tests of this file run the program against a stand-in of the API.

// account is a stand-in, and how the program is run on it.
type account struct {
	*standin.Server
	t   *testing.T
	dir string                 // of definitions, where not all are needed
	has map[provision.Kind]int // once all of them are applied

	mu    sync.Mutex
	slept []time.Duration
}

// newAccount is for all definitions. Under the race detector the client's models
// take seconds to read them: tests that do so run side by side.
func newAccount(t *testing.T) *account {
	a := &account{Server: standin.New(time.Now), t: t,
		has: map[provision.Kind]int{provision.SLO: 2, provision.Dashboard: 5, provision.Monitor: 10, provision.Downtime: 2}}
	t.Cleanup(a.Close)
	t.Cleanup(func() {
		for _, p := range a.Problems() {
			t.Errorf("the API had to refuse %s", p)
		}
	})
	return a
}

// newSmallAccount is for five definitions, of every kind and with references: what
// is run hundreds of times takes seconds with it, not minutes.
func newSmallAccount(t *testing.T) *account {
	a := newAccount(t)
	a.dir = "testdata/small"
	a.has = map[provision.Kind]int{provision.SLO: 1, provision.Dashboard: 1, provision.Monitor: 2, provision.Downtime: 1}
	return a
}

// result is what a run leaves.
type result struct {
	status   int
	out, err string
}

func (r result) String() string { return fmt.Sprintf("status %d\n%s%s", r.status, r.out, r.err) }

// run runs the program with nothing to read, and without waiting for retries.
func (a *account) run(args ...string) result {
	a.t.Helper()
	return a.answer(a.t.Context(), "", args...)
}

func (a *account) answer(ctx context.Context, stdin string, args ...string) result {
	a.t.Helper()
	return a.read(ctx, strings.NewReader(stdin), args...)
}

func (a *account) read(ctx context.Context, stdin io.Reader, args ...string) result {
	a.t.Helper()
	env := map[string]string{"DD_API_KEY": standin.APIKey, "DD_APP_KEY": standin.AppKey, "APMAPP_NOTIFY": "@ops@example.com"}
	args = append(args, "-api", a.URL)
	if a.dir != "" {
		args = append(args, "-dir", a.dir)
	}
	o, err := parse(args, func(name string) string { return env[name] })
	if err != nil {
		a.t.Fatal(err)
	}
	o.sleep = func(ctx context.Context, d time.Duration) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.slept = append(a.slept, d)
		return ctx.Err()
	}
	var out, errOut bytes.Buffer
	status := execute(ctx, o, stdin, &out, &errOut)
	r := result{status, out.String(), errOut.String()}
	if secret := r.out + r.err; strings.Contains(secret, standin.APIKey) || strings.Contains(secret, standin.AppKey) {
		a.t.Errorf("a key is printed: %s", r)
	}
	return r
}

// must fails the test unless the run ended well.
func (a *account) must(r result) result {
	a.t.Helper()
	if r.status != 0 {
		a.t.Fatal(r)
	}
	return r
}

var allKinds = []provision.Kind{provision.SLO, provision.Dashboard, provision.Monitor, provision.Downtime}

// counts are how many resources there are, by kind.
func (a *account) counts() map[provision.Kind]int {
	n := map[provision.Kind]int{}
	for _, kind := range allKinds {
		n[kind] = len(a.All(kind))
	}
	return n
}

// complete fails the test unless there is exactly one of each definition.
func (a *account) complete() {
	a.t.Helper()
	if got := a.counts(); !maps.Equal(got, a.has) {
		a.t.Fatalf("the account has %v, want %v", got, a.has)
	}
	seen := map[string]bool{}
	for _, kind := range allKinds {
		for _, body := range a.All(kind) {
			m := regexp.MustCompile(`provision(?:-id)?:apmapp/dev/[a-z0-9-]+`).FindString(text(body))
			if m == "" || seen[string(kind)+m] {
				a.t.Errorf("%s with marker %q: missing, or there twice", kind, m)
			}
			seen[string(kind)+m] = true
			if b := text(body); strings.Contains(b, "${") || strings.Contains(b, "known after") {
				a.t.Errorf("%s has a variable left: %s", kind, b)
			}
		}
	}
}

// same fails the test unless a plan finds nothing to do.
func (a *account) same() {
	a.t.Helper()
	all := 0
	for _, n := range a.has {
		all += n
	}
	if r := a.run("plan", "-detailed-exitcode"); r.status != 0 || !strings.HasSuffix(r.out, fmt.Sprintf("\n0 to create, 0 to change, %d the same\n", all)) {
		a.t.Fatalf("a plan finds something to do: %s", r)
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// writes are the requests that change something.
func (a *account) writes() []string {
	return slices.DeleteFunc(a.Requests(), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

func TestApply(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if r := a.run("plan", "-detailed-exitcode"); r.status != 3 || !strings.Contains(r.out, "19 to create") {
		t.Fatalf("plan of an empty account: %s", r)
	}
	if writes := a.writes(); len(writes) > 0 {
		t.Fatalf("plan has sent %v", writes)
	}
	r := a.must(a.run("apply"))
	a.complete()
	for _, body := range a.All(provision.Dashboard) {
		if link := "https://app.datadoghq.com/dashboard/" + body["id"].(string); !strings.Contains(r.out, link+"\n") {
			t.Errorf("apply does not print %s", link)
		}
	}
	a.same()
	a.Requests()
	a.must(a.run("apply"))
	if writes := a.writes(); len(writes) > 0 {
		t.Errorf("a second apply has sent %v", writes)
	}
	a.same()
	if len(a.slept) > 0 {
		t.Errorf("without faults, it has waited %v", a.slept)
	}
}

func TestReferencesLeadToWhatWasMade(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	id := func(kind provision.Kind, key string) string {
		for _, body := range a.All(kind) {
			if strings.Contains(text(body), "apmapp/dev/"+key+`"`) || strings.Contains(text(body), "apmapp/dev/"+key+`]`) {
				return fmt.Sprint(body["id"])
			}
		}
		t.Fatalf("there is no %s %s", kind, key)
		return ""
	}
	find := func(kind provision.Kind, key string) string {
		for _, body := range a.All(kind) {
			if fmt.Sprint(body["id"]) == id(kind, key) {
				return text(body)
			}
		}
		return ""
	}
	for _, c := range []struct {
		kind       provision.Kind
		key, holds string
	}{
		{provision.Monitor, "my-metric", "Graphs: https://app.datadoghq.com/dashboard/" + id(provision.Dashboard, "timeboard") + `\n`},
		{provision.Monitor, "availability-burn-fast", `burn_rate(\"` + id(provision.SLO, "availability") + `\")`},
		{provision.Monitor, "latency-burn-slow", `burn_rate(\"` + id(provision.SLO, "latency") + `\")`},
		{provision.Dashboard, "apm-overview", `"slo_id":"` + id(provision.SLO, "latency") + `"`},
		{provision.Downtime, "nights", `"monitor_id":` + id(provision.Monitor, "my-metric") + `}`},
		{provision.Downtime, "weekends", `"monitor_id":` + id(provision.Monitor, "my-metric") + `}`},
	} {
		if body := find(c.kind, c.key); !strings.Contains(body, c.holds) {
			t.Errorf("%s %s has no %s: %s", c.kind, c.key, c.holds, body)
		}
	}
}

// pick returns the ID of the resource whose body contains a text.
func (a *account) pick(kind provision.Kind, contains string) string {
	a.t.Helper()
	for _, body := range a.All(kind) {
		if strings.Contains(text(body), contains) {
			return fmt.Sprint(body["id"])
		}
	}
	a.t.Fatalf("no %s contains %s", kind, contains)
	return ""
}

func TestDriftMadeByHand(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     provision.Kind
		of       string // what the resource contains
		edit     func(map[string]any)
		shown    string // in the plan
		harmless bool
	}{
		{"a threshold", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["thresholds"].(map[string]any)["warning"] = json.Number("600.0")
		}, "options.thresholds.warning: 600.0 -> 500", false},
		{"a message", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["message"] = strings.Replace(b["message"].(string), "Runbook:", "See also", 1)
		}, "- See also docs/runbooks/my-metric.md\n      + Runbook: docs/runbooks/my-metric.md", false},
		{"an option that no definition has", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["evaluation_delay"] = json.Number("900")
		}, "options.evaluation_delay: - 900", false},
		{"a monitor muted", provision.Monitor, "my_metric is high", func(b map[string]any) {
			b["options"].(map[string]any)["silenced"] = map[string]any{"*": nil}
		}, "", true},
		{"tags in another order", provision.Monitor, "my_metric is high", func(b map[string]any) {
			slices.Reverse(b["tags"].([]any))
		}, "", true},
		{"a tag", provision.SLO, "availability", func(b map[string]any) {
			b["tags"] = append(b["tags"].([]any), "team:apm")
		}, "tags: ", false},
		{"a target", provision.SLO, "availability", func(b map[string]any) {
			b["thresholds"].([]any)[0].(map[string]any)["target"] = json.Number("95.0")
		}, "thresholds[", false},
		{"a widget more", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"] = append(b["widgets"].([]any), map[string]any{"id": 7, "definition": map[string]any{"type": "note", "content": "by hand"}})
		}, `widgets[2]: - {"definition":{"content":"by hand"`, false},
		{"a widget's time", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			b["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["time"] = map[string]any{"live_span": "1h"}
		}, `widgets[0].definition.time.live_span: "1h" -> "5m"`, false},
		{"a field more, deep in a dashboard", provision.Dashboard, "apmapp/dev/timeboard", func(b map[string]any) {
			group := b["widgets"].([]any)[1].(map[string]any)["definition"].(map[string]any)
			group["widgets"].([]any)[0].(map[string]any)["definition"].(map[string]any)["show_error_budget"] = true
		}, "widgets[1].definition.widgets[0].definition.show_error_budget: - true", false},
		{"a downtime's duration", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["duration"] = "12h"
		}, `data.attributes.schedule.recurrences[0].duration: "12h" -> "24h"`, false},
		{"a downtime's time of day", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["start"] = "2026-11-28T06:00:00"
		}, "data.attributes.schedule.recurrences[0].start: ", false},
		{"a downtime that began weeks ago", provision.Downtime, "Weekends", func(b map[string]any) {
			b["attributes"].(map[string]any)["schedule"].(map[string]any)["recurrences"].([]any)[0].(map[string]any)["start"] = "2026-10-03T00:00:00"
		}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newSmallAccount(t)
			a.must(a.run("apply"))
			id := a.pick(c.kind, c.of)
			a.Edit(c.kind, id, c.edit)
			a.Requests()
			if c.harmless {
				a.same()
				a.must(a.run("apply"))
				if writes := a.writes(); len(writes) > 0 {
					t.Errorf("apply has sent %v", writes)
				}
				return
			}
			r := a.run("plan", "-detailed-exitcode")
			if r.status != 3 || !strings.Contains(r.out, "0 to create, 1 to change, 4 the same") || !strings.Contains(r.out, c.shown) {
				t.Errorf("the plan does not show %q: %s", c.shown, r)
			}
			a.Requests()
			a.must(a.run("apply"))
			if writes := a.writes(); len(writes) != 1 || !strings.Contains(writes[0], id) {
				t.Errorf("apply has sent %v, want one change of %s", writes, id)
			}
			a.complete()
			a.same()
		})
	}
}

func TestDeletedByHand(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.Remove(provision.Monitor, a.pick(provision.Monitor, "my_metric is high"))
	if r := a.run("plan"); !strings.Contains(r.out, "1 to create, 1 to change, 3 the same") {
		t.Errorf("the plan does not want the monitor again, with its downtime: %s", r)
	}
	a.must(a.run("apply"))
	a.complete()
	a.same()
}

func TestTwoDeploymentsOfAnAccount(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply", "-env", "prod"))
	a.must(a.run("apply"))
	if n := a.counts(); n[provision.Monitor] != 4 {
		t.Errorf("the account has %v", n)
	}
	a.same()
	a.must(a.run("destroy", "-yes"))
	if n := a.counts(); !maps.Equal(n, a.has) {
		t.Errorf("destroy of dev leaves %v of prod", n)
	}
}

// A list longer than a page hides nothing.
func TestManyResources(t *testing.T) {
	a := newSmallAccount(t)
	for i := range 250 {
		if _, err := a.Add(provision.Dashboard, map[string]any{"title": fmt.Sprintf("board %d", i), "layout_type": "ordered", "widgets": []any{}}); err != nil {
			t.Fatal(err)
		}
	}
	a.must(a.run("apply"))
	a.same()
	if n := a.counts()[provision.Dashboard]; n != 251 {
		t.Errorf("%d dashboards, want 251", n)
	}
}

// posts fails the nth creation, and says how.
func posts(nth int, f standin.Fault) func(*http.Request) standin.Fault {
	n := 0
	return func(r *http.Request) standin.Fault {
		if r.Method != http.MethodPost {
			return standin.Fault{}
		}
		if n++; n == nth {
			return f
		}
		return standin.Fault{}
	}
}

func TestNothingIsMadeTwice(t *testing.T) {
	for name, f := range map[string]standin.Fault{
		"done, and the answer is lost":          {Done: true, Drop: true},
		"done, and the answer is late":          {Done: true, Hang: true},
		"done, and the answer is an error":      {Done: true, Status: 500},
		"done, and the gateway's time ran out":  {Done: true, Status: 504},
		"not done, and the connection breaks":   {Drop: true},
		"not done, and no answer comes":         {Hang: true},
		"not done, and the answer is an error":  {Status: 503},
		"not done, and the rate limit is over":  {Status: 429, Reset: 7 * time.Second},
		"not done, and the answer has no error": {Status: 502},
	} {
		for _, lag := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, lists %d behind", name, lag), func(t *testing.T) {
				t.Parallel()
				a := newSmallAccount(t)
				for nth := range 5 { // an SLO, a dashboard, two monitors, a downtime
					if f.Hang && nth != 2 {
						continue // each costs the time that is waited for an answer
					}
					a.Lag(lag)
					a.Fail(posts(nth+1, f))
					// Much longer than an answer takes; one that takes longer still, on a busy
					// machine, is one more fault.
					a.must(a.run("apply", "-timeout", "3s"))
					a.Fail(nil)
					a.Lag(0)
					a.complete()
					a.same()
					a.must(a.run("destroy", "-yes"))
				}
			})
		}
	}
}

// A run that is ended at any request leaves what the next one goes on from.
func TestEndedAnywhere(t *testing.T) {
	a := newSmallAccount(t)
	for nth := 1; ; nth++ {
		ctx, end := context.WithCancel(t.Context())
		n := 0
		a.Fail(func(r *http.Request) standin.Fault {
			if n++; n >= nth {
				end() // while this request is under way
				return standin.Fault{Done: n == nth, Drop: true}
			}
			return standin.Fault{}
		})
		r := a.answer(ctx, "", "apply")
		end()
		a.Fail(nil)
		if r.status == 0 {
			if nth <= 4+5 { // four lists, five creations
				t.Fatalf("it took %d requests: %s", nth, r)
			}
			break
		}
		a.must(a.run("apply"))
		a.complete()
		a.same()
		a.must(a.run("destroy", "-yes"))
	}
}

// Faults at random, on anything: in the end all is there once.
func TestFaultsAtRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			a := newSmallAccount(t)
			random := rand.New(rand.NewPCG(seed, 0))
			faults := []standin.Fault{{Status: 429, Reset: 3 * time.Second}, {Status: 500}, {Status: 500, Done: true}, {Status: 503}, {Drop: true}, {Drop: true, Done: true}}
			fault := func(*http.Request) standin.Fault {
				if random.IntN(4) > 0 {
					return standin.Fault{}
				}
				return faults[random.IntN(len(faults))]
			}
			for _, command := range [][]string{{"apply"}, {"destroy", "-yes"}, {"apply"}} {
				a.Fail(fault)
				done := false
				for range 5 { // it gives up now and then; running it again is what it says to do
					if r := a.run(command...); r.status == 0 {
						done = true
						break
					}
				}
				a.Fail(nil)
				if !done {
					t.Fatalf("%v has not come to an end", command)
				}
			}
			a.complete()
			a.same()
		})
	}
}

func TestRateLimitIsWaitedFor(t *testing.T) {
	a := newSmallAccount(t)
	a.Fail(posts(1, standin.Fault{Status: 429, Reset: 42 * time.Second}))
	r := a.must(a.run("apply"))
	if len(a.slept) != 1 || a.slept[0] < 42*time.Second || a.slept[0] > 43*time.Second {
		t.Errorf("it has waited %v, want the 42 s of the reset and a bit", a.slept)
	}
	if !strings.Contains(r.err, "429 Too Many Requests") {
		t.Errorf("it says nothing of the wait: %s", r.err)
	}
	a.Fail(posts(1, standin.Fault{Status: 429, Reset: time.Hour}))
	a.must(a.run("destroy", "-yes"))
	if r := a.run("apply"); r.status != 1 || !strings.Contains(r.err, "the rate limit did not end in time") {
		t.Errorf("an hour's wait: %s", r)
	}
}

func TestRetriesEndAndBackOff(t *testing.T) {
	a := newSmallAccount(t)
	a.Fail(func(*http.Request) standin.Fault { return standin.Fault{Status: 500} })
	r := a.run("plan")
	if n := len(a.Requests()); r.status != 1 || n != 6 || !strings.Contains(r.err, "list slos: 500 Internal Server Error") || !strings.Contains(r.err, "after 6 attempts") {
		t.Errorf("%d requests: %s", n, r)
	}
	for i, d := range a.slept {
		// Twice the wait before, give or take half of it, and up to half a second more.
		base := time.Second << i
		if d < base/2 || d > base*3/2+500*time.Millisecond {
			t.Errorf("wait %d is %v, want about %v", i, d, base)
		}
	}
}

func TestPartialFailure(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Deny("monitors_write")
	r := a.run("apply")
	for _, want := range []string{
		"create monitor my-metric: 403 Forbidden: Forbidden; the application key, its scopes and its owner's role need the permission monitors_write",
		"downtime nights: not done, it needs monitor my-metric",
		"done: slo availability, slo latency, dashboard apm-overview,",
		"not done: monitor availability-burn-fast,",
		"run it again to go on",
	} {
		if r.status != 1 || !strings.Contains(r.err, want) {
			t.Errorf("it does not say %q: %s", want, r)
		}
	}
	a.Deny()
	a.must(a.run("apply"))
	a.complete()
	a.same()
}

func TestPermissions(t *testing.T) {
	for permission, command := range map[string][]string{
		"slos_read": {"plan"}, "dashboards_read": {"plan"}, "monitors_read": {"plan"}, "monitors_downtime": {"plan"},
		"slos_write": {"apply"}, "dashboards_write": {"apply"}, "monitors_write": {"apply"},
		"dashboards_public_share": {"share", "timeboard", "-yes"},
	} {
		t.Run(permission, func(t *testing.T) {
			a := newSmallAccount(t)
			if command[0] == "share" {
				a.must(a.run("apply"))
			}
			a.Deny(permission)
			if r := a.run(command...); r.status != 1 || !strings.Contains(r.err, "permission "+permission) {
				t.Errorf("it does not name the permission: %s", r)
			}
			if len(a.slept) > 0 {
				t.Errorf("what is forbidden was tried again")
			}
		})
	}
}

func TestDestroy(t *testing.T) {
	a := newSmallAccount(t)
	hand := map[string]any{"title": "apmapp (dev)", "layout_type": "ordered", "widgets": []any{}}
	if _, err := a.Add(provision.Dashboard, hand); err != nil {
		t.Fatal(err)
	}
	a.must(a.run("apply"))
	for _, answer := range []string{"", "\n", "y\n", "no\n", "YES\n"} {
		a.Requests()
		r := a.answer(t.Context(), answer, "destroy")
		if writes := a.writes(); r.status != 1 || len(writes) > 0 || !strings.Contains(r.err, "not confirmed") {
			t.Errorf("answer %q: it has sent %v: %s", answer, writes, r)
		}
	}
	a.must(a.run("destroy", "-dry-run"))
	a.Remove(provision.Monitor, a.pick(provision.Monitor, "my_metric is high"))
	r := a.must(a.answer(t.Context(), "yes\n", "destroy"))
	if n := a.counts(); n[provision.Dashboard] != 1 || n[provision.Monitor]+n[provision.SLO]+n[provision.Downtime] != 0 {
		t.Errorf("destroy leaves %v, want the dashboard made by hand, which has the same title: %s", n, r)
	}
	if r := a.must(a.run("destroy")); !strings.Contains(r.out, "Nothing carries the marker") {
		t.Errorf("a second destroy: %s", r)
	}
}

// slowly is an answer that comes after something else has happened.
type slowly struct {
	first  func()
	answer io.Reader
}

func (s slowly) Read(b []byte) (int, error) {
	s.first()
	return s.answer.Read(b)
}

// While destroy asks, somebody makes a monitor their own.
func TestDestroyLooksAgain(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	id := a.pick(provision.Monitor, "my_metric is high")
	r := a.read(t.Context(), slowly{func() {
		a.Edit(provision.Monitor, id, func(b map[string]any) { b["tags"] = []any{"team:ours"} })
	}, strings.NewReader("yes\n")}, "destroy")
	if r.status != 1 || !strings.Contains(r.err, "has no marker any more, so it stays") || !strings.Contains(r.err, "still there: monitor my-metric") {
		t.Errorf("it does not say that the monitor stays: %s", r)
	}
	if n := a.counts(); n[provision.Monitor] != 1 || n[provision.SLO]+n[provision.Dashboard]+n[provision.Downtime] != 0 {
		t.Errorf("destroy leaves %v", n)
	}
}

// A copy made in the pages has the marker too: which is whose, only people know.
func TestCopies(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	for _, body := range a.All(provision.Dashboard) {
		if strings.Contains(text(body), "apmapp/dev/timeboard") {
			copied := map[string]any{"title": "(cloned)", "layout_type": "ordered", "widgets": []any{}, "description": body["description"]}
			if _, err := a.Add(provision.Dashboard, copied); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.Requests()
	for _, args := range [][]string{{"plan"}, {"apply"}, {"destroy", "-yes"}} {
		r := a.run(args...)
		if r.status != 1 || !strings.Contains(r.out+r.err, "dashboard timeboard: 2 resources carry its marker") {
			t.Errorf("%v: %s", args, r)
		}
	}
	if writes := a.writes(); len(writes) > 0 {
		t.Errorf("it has sent %v", writes)
	}
	a.Remove(provision.Dashboard, a.pick(provision.Dashboard, "(cloned)"))
	a.same()
}

func TestDefinitionsThatAreGone(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	dir := t.TempDir()
	copyDefinitions(t, dir)
	if err := os.Remove(filepath.Join(dir, "monitor.no-traffic.json")); err != nil {
		t.Fatal(err)
	}
	r := a.must(a.run("plan", "-dir", dir))
	if !strings.Contains(r.out, "left    monitor no-traffic has no definition any more: https://app.datadoghq.com/monitors/") || !strings.Contains(r.out, "18 the same, 1 left over") {
		t.Errorf("the plan does not show it: %s", r)
	}
	a.must(a.run("apply", "-dir", dir))
	a.complete() // it is there still
	a.must(a.run("destroy", "-yes", "-dir", dir))
	if n := a.counts(); n[provision.Monitor] != 0 {
		t.Errorf("destroy leaves %v", n)
	}
}

// copyDefinitions puts the definitions into a folder.
func copyDefinitions(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS("../../deploy/datadog")); err != nil {
		t.Fatal(err)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	hand, err := a.Add(provision.Monitor, map[string]any{"name": "CPU of ${whatever} / day", "type": "query alert", "query": "avg(last_5m):avg:system.cpu.user{*} > 90",
		"message": "by hand", "options": map[string]any{"thresholds": map[string]any{"critical": 90}}})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{hand}
	for _, kind := range allKinds {
		for _, body := range a.All(kind) {
			if id := fmt.Sprint(body["id"]); id != hand {
				ids = append(ids, id)
			}
		}
	}
	dir := t.TempDir()
	for _, id := range ids {
		r := a.must(a.run("export", id, "-dir", dir))
		name, _, _ := strings.Cut(r.out, "\n")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "apmapp-provision") && !strings.Contains(string(b), "manage_status") {
			t.Errorf("%s has a marker: %s", name, b)
		}
		if r := a.run("export", id, "-dir", dir); r.status != 1 || !strings.Contains(r.err, "file exists") {
			t.Errorf("a second export writes over the first: %s", r)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "monitor.cpu-of-whatever-day.json")); err != nil {
		t.Error(err)
	}
	// What was exported can be applied, and is then what was exported.
	b := newAccount(t)
	args := []string{"-dir", dir}
	// The exported monitors and downtimes name IDs of the other account; take those out.
	for _, pattern := range []string{"downtime.*", "monitor.*budget*"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 {
			t.Errorf("no file is named %s", pattern)
		}
		for _, name := range names {
			os.Remove(name)
		}
	}
	b.must(b.run(append([]string{"apply"}, args...)...))
	if r := b.run(append([]string{"plan", "-detailed-exitcode"}, args...)...); r.status != 0 {
		t.Errorf("what was exported is not what is there then: %s", r)
	}
	if r := a.run("export", "999999"); r.status != 1 || !strings.Contains(r.err, "404") {
		t.Errorf("no such monitor: %s", r)
	}
	if r := a.must(a.run("export", hand, "-o", "-")); !strings.HasPrefix(r.out, "{\n") {
		t.Errorf("-o - writes %s", r.out)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if r := a.run("share", "timeboard", "-yes"); r.status != 1 || !strings.Contains(r.err, "apply makes it") {
		t.Errorf("nothing to share: %s", r)
	}
	a.must(a.run("apply"))
	if links := a.Links(); len(links) > 0 {
		t.Fatalf("apply has shared %v", links)
	}
	r := a.run("share", "timeboard")
	if r.status != 1 || len(a.Links()) > 0 {
		t.Errorf("it was shared without a yes: %s", r)
	}
	for _, want := range []string{"to anybody who has it, without a login", "my_metric by host", "avg:my_metric{$env,$host} by {host}"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("it does not say %q: %s", want, r)
		}
	}
	a.Fail(posts(1, standin.Fault{Done: true, Drop: true}))
	r = a.must(a.answer(t.Context(), "yes\n", "share", "timeboard"))
	a.Fail(nil)
	again := a.must(a.run("share", "timeboard", "-yes"))
	if links := a.Links(); len(links) != 1 || !strings.Contains(r.out, links[0]) || !strings.Contains(again.out, links[0]) {
		t.Errorf("links %v; %s; %s", links, r, again)
	}
	a.same()
	a.must(a.run("unshare", "timeboard", "-dry-run"))
	if len(a.Links()) != 1 {
		t.Error("-dry-run has revoked the link")
	}
	a.must(a.run("unshare", "timeboard"))
	if r := a.must(a.run("unshare", "timeboard")); len(a.Links()) != 0 || !strings.Contains(r.out, "has no public link") {
		t.Errorf("links %v; %s", a.Links(), r)
	}
	a.must(a.run("share", "timeboard", "-yes"))
	if r := a.run("unshare", "https://example.com/"); r.status != 2 || len(a.Links()) != 1 {
		t.Errorf("what is no link: %s", r)
	}
	a.must(a.run("unshare", a.Links()[0]))
	// Where the list of links, which is in preview, is not there.
	a.Fail(func(r *http.Request) standin.Fault {
		if strings.HasSuffix(r.URL.Path, "/shared") {
			return standin.Fault{Status: 404}
		}
		return standin.Fault{}
	})
	if r := a.must(a.run("share", "timeboard", "-yes")); len(a.Links()) != 1 || !strings.Contains(r.out, "lists no public links") {
		t.Errorf("without the list: %s", r)
	}
	if r := a.run("unshare", "timeboard"); r.status != 1 || !strings.Contains(r.err, "give unshare the link itself") {
		t.Errorf("without the list: %s", r)
	}
	if r := a.run("share", "no-such", "-yes"); r.status != 1 {
		t.Errorf("no such dashboard: %s", r)
	}
}

func TestWrongKeys(t *testing.T) {
	s := standin.New(time.Now)
	defer s.Close()
	secret := "feedfacefeedfacefeedfacefeedface"
	var out, errOut bytes.Buffer
	env := map[string]string{"DD_API_KEY": secret, "DD_APP_KEY": secret, "APMAPP_NOTIFY": "@a"}
	status := run(t.Context(), []string{"plan", "-api", s.URL}, func(name string) string { return env[name] }, strings.NewReader(""), &out, &errOut)
	if got := errOut.String(); status != 1 || strings.Contains(got, secret) || !strings.Contains(got, "slos_read (or the keys are not of this DD_SITE)") {
		t.Errorf("status %d: %s", status, got)
	}
}

// A machine with nothing set: all is printed, no account is asked.
func TestOffline(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"plan", "-offline"}, {"apply", "-dry-run"}, {"plan", "-dry-run"}, {"plan", "-offline", "-full"}} {
		var out, errOut bytes.Buffer
		status := run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &out, &errOut)
		if status != 0 || strings.Count(out.String(), "\ncreate ")+1 != 19 || !strings.Contains(out.String(), "19 to create") {
			t.Errorf("%v: status %d: %s%s", args, status, out.String(), errOut.String())
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args, env string
		status    int
		says      string
	}{
		{"", "", 2, "say what to do"},
		{"aply", "", 2, `"aply" is not a command`},
		{"plan now", "", 2, `"now" is too much`},
		{"export", "", 2, "ID is missing"},
		{"export nonsense", "", 2, `"nonsense" is no ID`},
		{"share", "", 2, "NAME is missing"},
		{"plan -ofline", "", 2, "-ofline"},
		{"apply -offline", "", 2, "-offline is for plan"},
		{"plan -o x.json", "", 2, "-o is for export"},
		{"plan", "APMAPP_NOTIFY=@a", 2, "DD_API_KEY and DD_APP_KEY not set"},
		{"plan", "APMAPP_NOTIFY=@a DD_API_KEY=x", 2, "DD_APP_KEY not set"},
		{"plan", "DD_API_KEY=x DD_APP_KEY=y", 2, "-notify or APMAPP_NOTIFY"},
		{"plan -offline", "DD_SITE=datadog.com", 2, "DD_SITE"},
		{"plan -offline -timezone Mars", "", 2, "-timezone"},
		{"plan -offline -notify ops", "", 2, `"ops" is not a handle`},
		{"plan -offline -notify @a{{value}}", "", 2, "is not a handle"},
		{"plan -offline -env Prod", "", 2, `env "Prod"`},
		{"plan -offline -env p}", "", 2, `env "p}"`},
		{"plan -offline -host a,b", "", 2, `host "a,b"`},
		{"plan -offline -dir /no/such", "", 2, "-dir"},
		{"plan -notify @a -api http://example.com", "DD_API_KEY=x DD_APP_KEY=y", 2, "keys go over https"},
		{"plan -offline -timeout 0s", "", 2, "-timeout"},
		{"plan -notify @a -api nonsense", "DD_API_KEY=x DD_APP_KEY=y", 2, "-api"},
		{"-help", "", 0, "provision plan"},
	} {
		t.Run(c.args+" "+c.env, func(t *testing.T) {
			env := map[string]string{}
			for _, pair := range strings.Fields(c.env) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
			var out, errOut bytes.Buffer
			status := run(t.Context(), strings.Fields(c.args), func(name string) string { return env[name] }, strings.NewReader(""), &out, &errOut)
			if got := out.String() + errOut.String(); status != c.status || !strings.Contains(got, c.says) {
				t.Errorf("status %d, want %d and %q: %s", status, c.status, c.says, got)
			}
		})
	}
}

func TestBrokenDefinitions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyDefinitions(t, dir)
	name := filepath.Join(dir, "monitor.my-metric.json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte(`"warning"`), []byte(`"waning"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	a := newAccount(t)
	for _, args := range [][]string{{"plan", "-offline"}, {"plan"}, {"apply"}} {
		r := a.run(append(args, "-dir", dir)...)
		if r.status != 1 || !strings.Contains(r.err, "monitor.my-metric.json: options.thresholds.waning: unknown field") {
			t.Errorf("%v: %s", args, r)
		}
	}
	if requests := a.Requests(); len(requests) > 0 {
		t.Errorf("it has sent %v", requests)
	}
}

// The service links none of this.
func TestServiceLinksNoClient(t *testing.T) {
	deps, err := exec.Command("go", "list", "-deps", "apmapp/cmd/apmapp").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(deps)) {
		if strings.Contains(dep, "datadog-api-client-go") || strings.Contains(dep, "apmapp/internal/provision") || strings.Contains(dep, "apmapp/deploy") {
			t.Errorf("the service links %s", dep)
		}
	}
}
