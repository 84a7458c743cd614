package main

import (
	"io"
	"strings"
	"testing"

	"apmapp/internal/provision"
)

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
