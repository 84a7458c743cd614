package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"apmapp/internal/provision/standin"
)

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
