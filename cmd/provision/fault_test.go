package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apmapp/internal/provision/standin"
)

// posts returns a function for Fail that gives the nth POST a fault.
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

// Whatever happens to a creation, in the end there is one resource.
func TestNothingIsCreatedTwice(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault standin.Fault
	}{
		{"done, the answer is lost", standin.Fault{Done: true, Drop: true}},
		{"done, the answer breaks off", standin.Fault{Done: true, Cut: true}},
		{"done, the answer is late", standin.Fault{Done: true, Hang: true}},
		{"done, status 500", standin.Fault{Done: true, Status: 500}},
		{"done, status 504", standin.Fault{Done: true, Status: 504}},
		{"done, status 408", standin.Fault{Done: true, Status: 408}},
		{"not done, the connection breaks", standin.Fault{Drop: true}},
		{"not done, no answer", standin.Fault{Hang: true}},
		{"not done, status 503", standin.Fault{Status: 503}},
		{"not done, status 429", standin.Fault{Status: 429, Reset: 7 * time.Second}},
	} {
		for _, lag := range []int{0, 1} { // lists that omit a new resource
			if c.fault.Hang && lag == 0 {
				continue // each hanging request costs the timeout
			}
			t.Run(fmt.Sprintf("%s, lag %d", c.name, lag), func(t *testing.T) {
				t.Parallel()
				a := newSmallAccount(t)
				for nth := range 5 { // an SLO, a dashboard, two monitors, a downtime
					if c.fault.Hang && nth != 2 {
						continue
					}
					a.Lag(lag)
					a.Fail(posts(nth+1, c.fault))
					// Much longer than an answer takes. If one takes even longer on a busy
					// machine, that is one more fault.
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

// A run that is interrupted during any request leaves an account that the next run
// completes.
func TestInterruptedAnywhere(t *testing.T) {
	a := newSmallAccount(t)
	for nth := 1; ; nth++ {
		ctx, interrupt := context.WithCancel(t.Context())
		n := 0
		a.Fail(func(r *http.Request) standin.Fault {
			if n++; n >= nth {
				interrupt()
				return standin.Fault{Done: n == nth, Drop: true}
			}
			return standin.Fault{}
		})
		r := a.answer(ctx, "", "apply")
		interrupt()
		a.Fail(nil)
		if r.status == 0 {
			if nth <= 4+5 { // four lists, five creations
				t.Fatalf("apply succeeded with %d requests: %s", nth, r)
			}
			break
		}
		a.must(a.run("apply"))
		a.complete()
		a.same()
		a.must(a.run("destroy", "-yes"))
	}
}

// Random faults on any request: after some runs, every resource exists once.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			a := newSmallAccount(t)
			random := rand.New(rand.NewPCG(seed, 0))
			faults := []standin.Fault{{Status: 429, Reset: 3 * time.Second}, {Status: 500}, {Status: 500, Done: true}, {Status: 503}, {Drop: true}, {Drop: true, Done: true}, {Cut: true, Done: true}}
			fault := func(*http.Request) standin.Fault {
				if random.IntN(4) > 0 {
					return standin.Fault{}
				}
				return faults[random.IntN(len(faults))]
			}
			for _, args := range [][]string{{"apply"}, {"destroy", "-yes"}, {"apply"}} {
				a.Fail(fault)
				succeeded := false
				for range 5 { // a run may give up; its error says to run it again
					if r := a.run(args...); r.status == 0 {
						succeeded = true
						break
					}
				}
				a.Fail(nil)
				if !succeeded {
					t.Fatalf("%v failed five times", args)
				}
			}
			a.complete()
			a.same()
		})
	}
}

func TestWaitsForTheRateLimit(t *testing.T) {
	a := newSmallAccount(t)
	a.Fail(posts(1, standin.Fault{Status: 429, Reset: 42 * time.Second}))
	r := a.must(a.run("apply"))
	if len(a.slept) != 1 || a.slept[0] < 42*time.Second || a.slept[0] >= 42500*time.Millisecond {
		t.Errorf("apply waited %v, want the 42 s until the reset and less than half a second more", a.slept)
	}
	if want := "provision: create slo availability: 429 Too Many Requests; the rate limit ends in 42s; retry in 42"; !strings.HasPrefix(r.err, want) {
		t.Errorf("got %q; want %q", r.err, want)
	}
}

func TestTimeout(t *testing.T) {
	a := newSmallAccount(t)
	a.Fail(func(*http.Request) standin.Fault { return standin.Fault{Hang: true} })
	if r := a.run("plan", "-timeout", "10ms"); r.status != 1 || !strings.Contains(r.err, "list slos: no answer within 10ms (after 6 attempts)\n") {
		t.Errorf("got %s", r)
	}
}

// One permission is missing: apply creates what it can. The next run creates the
// rest.
func TestPartialFailure(t *testing.T) {
	a := newSmallAccount(t)
	a.Deny("monitors_write")
	r := a.run("apply")
	const forbidden = ": 403 Forbidden; both keys are valid: the application key, its scopes and its owner's role need the permission monitors_write\n"
	const want = "provision: create monitor availability-burn-fast" + forbidden +
		"create monitor my-metric" + forbidden +
		"downtime weekends: skipped, because it needs monitor my-metric\n" +
		"done: slo availability, dashboard timeboard\n" +
		"not done: monitor availability-burn-fast, monitor my-metric, downtime weekends\n"
	if r.status != 1 || r.err != want {
		t.Errorf("got %s; want %s", r, want)
	}
	if strings.Count(r.out, "\nfailed   ") != 3 {
		t.Errorf("apply does not print a line for each failure: %s", r.out)
	}
	if r := a.run("apply"); r.status != 1 || !strings.Contains(r.err, "\nnothing was changed\nnot done: ") {
		t.Errorf("a second run: %s", r)
	}
	a.Deny()
	a.must(a.run("apply"))
	a.complete()
	a.same()
}

// An interrupted apply names everything that is not done.
func TestInterruptedApplyNamesTheRest(t *testing.T) {
	a := newSmallAccount(t)
	ctx, interrupt := context.WithCancel(t.Context())
	a.Fail(func(r *http.Request) standin.Fault {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/dashboard") {
			interrupt()
			return standin.Fault{Drop: true}
		}
		return standin.Fault{}
	})
	r := a.answer(ctx, "", "apply")
	if r.status != 1 || !strings.Contains(r.err, "context canceled") ||
		!strings.Contains(r.err, "not done: dashboard timeboard, monitor availability-burn-fast, monitor my-metric, downtime weekends\n") {
		t.Errorf("got %s", r)
	}
}

func TestMissingPermissionIsNamed(t *testing.T) {
	for _, c := range []struct {
		permission string
		args       []string
	}{
		{"slos_read", []string{"plan"}}, {"dashboards_read", []string{"plan"}}, {"monitors_read", []string{"plan"}}, {"monitors_downtime", []string{"plan"}},
		{"slos_write", []string{"apply"}}, {"dashboards_write", []string{"apply"}}, {"monitors_write", []string{"apply"}},
		{"dashboards_public_share", []string{"share", "timeboard", "-yes"}},
	} {
		t.Run(c.permission, func(t *testing.T) {
			a := newSmallAccount(t)
			if c.args[0] == "share" {
				a.must(a.run("apply"))
			}
			a.Deny(c.permission)
			if r := a.run(c.args...); r.status != 1 || !strings.Contains(r.err, "permission "+c.permission) {
				t.Errorf("the error does not name the permission: %s", r)
			}
			if len(a.slept) > 0 {
				t.Errorf("a request that is forbidden was sent again")
			}
		})
	}
}

// Keys that the account does not know: the error names the wrong one.
func TestWrongKeys(t *testing.T) {
	for _, c := range []struct{ api, app, want string }{
		{"ffffffffffffffffffffffffffffffff", standin.AppKey, "list slos: 403 Forbidden; DD_API_KEY is not a key of us5.datadoghq.com: the key is wrong, or DD_SITE is; the address of your pages in Datadog shows the site\n"},
		{standin.APIKey, "ffffffffffffffffffffffffffffffffffffffff", "list slos: 403 Forbidden; DD_APP_KEY is not an application key of this account; DD_API_KEY is valid\n"},
		{standin.AppKey, standin.APIKey[:32], "list slos: 403 Forbidden; DD_API_KEY is not a key of us5.datadoghq.com: the key is wrong, or DD_SITE is; the address of your pages in Datadog shows the site; DD_API_KEY and DD_APP_KEY seem to be exchanged\n"},
	} {
		a := newSmallAccount(t)
		a.env = map[string]string{"DD_API_KEY": c.api, "DD_APP_KEY": c.app, "DD_SITE": "us5.datadoghq.com"}
		if r := a.run("plan"); r.status != 1 || r.err != "provision: "+c.want || len(a.slept) > 0 {
			t.Errorf("got %s\nwant %s", r, c.want)
		}
	}
}

// The keys are secret: not even an API that returns them makes them appear.
func TestKeysAreNotPrinted(t *testing.T) {
	a := newSmallAccount(t)
	for _, key := range []string{standin.APIKey, standin.AppKey} {
		echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"errors": ["unknown key %s"]}`, key)
		}))
		defer echo.Close()
		a.URL = echo.URL
		if r := a.run("plan"); r.status != 1 || !strings.Contains(r.err, "unknown key [DD_AP") { // a.run looks for keys
			t.Errorf("got %s", r)
		}
	}
}

// A redirect is an error: its target would receive both keys.
func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		var reached atomic.Int64
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached.Add(1)
			fmt.Fprint(w, `{"data": []}`)
		}))
		defer other.Close()
		target := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) // another host
		redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target+r.URL.Path, status)
		}))
		defer redirect.Close()
		a := newSmallAccount(t)
		a.URL = redirect.URL
		if r := a.run("plan"); r.status != 1 || !strings.Contains(r.err, fmt.Sprintf("list slos: %d ", status)) || !strings.Contains(r.err, "redirects are not followed") {
			t.Errorf("status %d: %s", status, r)
		}
		if n := reached.Load(); n > 0 {
			t.Errorf("status %d: the target received %d requests", status, n)
		}
		a.URL = a.Server.URL
	}
}
