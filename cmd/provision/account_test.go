package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/provision"
	"apmapp/internal/provision/standin"
)

// The tests of this package run the program against a stand-in of the API.

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

// writes are the requests that change something.
func (a *account) writes() []string {
	return slices.DeleteFunc(a.Requests(), func(r string) bool { return strings.HasPrefix(r, "GET ") })
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// copyDefinitions puts the definitions into a folder.
func copyDefinitions(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS("../../deploy/datadog")); err != nil {
		t.Fatal(err)
	}
}
