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

	"apmapp/internal/command"
	"apmapp/internal/provision/standin"
)

// account is a stand-in of Datadog's API. The tests of this package run the program
// on it.
type account struct {
	*standin.Server
	t   *testing.T
	env map[string]string    // environment variables of runs, in addition to the keys
	dir string               // definitions; "" for the built-in ones
	has map[standin.Kind]int // resources by kind after apply

	mu    sync.Mutex
	slept []time.Duration
}

// newAccount returns an empty account for the built-in definitions.
func newAccount(t *testing.T) *account {
	a := &account{Server: standin.New(time.Now), t: t,
		has: map[standin.Kind]int{standin.SLO: 2, standin.Dashboard: 5, standin.Monitor: 11, standin.Downtime: 2}}
	t.Cleanup(a.Close)
	t.Cleanup(func() {
		for _, p := range a.Problems() {
			t.Errorf("the API refused %s", p)
		}
	})
	return a
}

// newSmallAccount returns an empty account for five definitions, of every kind and
// with references. Hundreds of runs with it take seconds, not minutes.
func newSmallAccount(t *testing.T) *account {
	a := newAccount(t)
	a.dir = "testdata/small"
	a.has = map[standin.Kind]int{standin.SLO: 1, standin.Dashboard: 1, standin.Monitor: 2, standin.Downtime: 1}
	return a
}

// result is the outcome of a run.
type result struct {
	status   int
	out, err string
}

func (r result) String() string { return fmt.Sprintf("status %d\n%s%s", r.status, r.out, r.err) }

// run runs the program with empty input. Retries do not wait.
func (a *account) run(args ...string) result {
	a.t.Helper()
	return a.answer(a.t.Context(), "", args...)
}

// answer runs the program with input.
func (a *account) answer(ctx context.Context, stdin string, args ...string) result {
	a.t.Helper()
	return a.read(ctx, strings.NewReader(stdin), args...)
}

// read runs the program with a reader as its input.
func (a *account) read(ctx context.Context, stdin io.Reader, args ...string) result {
	a.t.Helper()
	env := map[string]string{"DD_API_KEY": standin.APIKey, "DD_APP_KEY": standin.AppKey, "APMAPP_NOTIFY": "@ops@example.com"}
	maps.Copy(env, a.env)
	args = append(args, "-api", a.URL)
	if a.dir != "" {
		args = append(args, "-dir", a.dir)
	}
	var out, errOut bytes.Buffer
	p := program{
		Process: command.Process{Args: args, Getenv: func(name string) string { return env[name] }, Stdin: stdin, Stdout: &out, Stderr: &errOut},
		sleep: func(ctx context.Context, d time.Duration) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.slept = append(a.slept, d)
			return ctx.Err()
		},
	}
	status := p.execute(ctx)
	r := result{status, out.String(), errOut.String()}
	if secret := r.out + r.err; strings.Contains(secret, standin.APIKey) || strings.Contains(secret, standin.AppKey) {
		a.t.Errorf("the output contains a key: %s", r)
	}
	return r
}

// must fails the test unless the run succeeded.
func (a *account) must(r result) result {
	a.t.Helper()
	if r.status != 0 {
		a.t.Fatal(r)
	}
	return r
}

var allKinds = []standin.Kind{standin.SLO, standin.Dashboard, standin.Monitor, standin.Downtime}

// counts returns the number of resources by kind.
func (a *account) counts() map[standin.Kind]int {
	n := map[standin.Kind]int{}
	for _, kind := range allKinds {
		n[kind] = len(a.All(kind))
	}
	return n
}

// complete fails the test unless the account has exactly one resource for each
// definition.
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
				a.t.Errorf("%s: marker %q is missing or repeated", kind, m)
			}
			seen[string(kind)+m] = true
			if b := text(body); strings.Contains(b, "${") || strings.Contains(b, "known after") {
				a.t.Errorf("%s contains a placeholder: %s", kind, b)
			}
		}
	}
}

// same fails the test unless plan finds no difference.
func (a *account) same() {
	a.t.Helper()
	all := 0
	for _, n := range a.has {
		all += n
	}
	if r := a.run("plan", "-detailed-exitcode"); r.status != 0 || !strings.HasSuffix(r.out, fmt.Sprintf("\n0 to create, 0 to change, %d the same\n", all)) {
		a.t.Fatalf("plan finds a difference: %s", r)
	}
}

// pick returns the ID of a resource whose body contains a text.
func (a *account) pick(kind standin.Kind, contains string) string {
	a.t.Helper()
	for _, body := range a.All(kind) {
		if strings.Contains(text(body), contains) {
			return fmt.Sprint(body["id"])
		}
	}
	a.t.Fatalf("no %s contains %s", kind, contains)
	return ""
}

// writes returns the requests since the last call that are not GET.
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

// copyDefinitions makes the account use a copy of its definitions, which a test may
// change, and returns the folder.
func (a *account) copyDefinitions() string {
	a.t.Helper()
	dir := a.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(a.dir)); err != nil {
		a.t.Fatal(err)
	}
	a.dir = dir
	return dir
}
