package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"apmapp/internal/provision/standin"
)

func TestDestroy(t *testing.T) {
	a := newSmallAccount(t)
	hand := map[string]any{"title": "apmapp (dev)", "layout_type": "ordered", "widgets": []any{}}
	if _, err := a.Add(standin.Dashboard, hand); err != nil {
		t.Fatal(err)
	}
	a.must(a.run("apply"))
	for _, answer := range []string{"", "\n", "y\n", "no\n", "YES\n"} {
		a.Requests()
		r := a.answer(t.Context(), answer, "destroy")
		if writes := a.writes(); r.status != 1 || len(writes) > 0 || r.err != "provision: not confirmed, so nothing was changed; -yes skips the question\n" {
			t.Errorf("answer %q: destroy sent %v: %s", answer, writes, r)
		}
	}
	r := a.must(a.run("destroy", "-dry-run", "-yes"))
	if writes := a.writes(); len(writes) > 0 || !strings.HasPrefix(r.out, "provision created for apmapp/dev:\n  downtime weekends ") || strings.Count(r.out, "https://app.datadoghq.com/") != 5 {
		t.Errorf("-dry-run sent %v: %s", writes, r)
	}
	a.Remove(standin.Monitor, a.pick(standin.Monitor, "my_metric is high"))
	r = a.must(a.answer(t.Context(), "yes\n", "destroy"))
	if n := a.counts(); n[standin.Dashboard] != 1 || n[standin.Monitor]+n[standin.SLO]+n[standin.Downtime] != 0 {
		t.Errorf("destroy leaves %v, want the dashboard made by hand, which has the same title: %s", n, r)
	}
	if !strings.Contains(r.out, "Delete these 4 resources? Type yes to confirm: ") || !strings.HasSuffix(r.out, "\ndeleted  slo availability\n") {
		t.Errorf("got %s", r)
	}
	if r := a.must(a.run("destroy")); r.out != "The account has nothing with the marker of apmapp/dev.\n" {
		t.Errorf("a second destroy: %s", r)
	}
}

// slowly is an input whose reader first waits for something else.
type slowly struct {
	first  func()
	answer io.Reader
}

func (s slowly) Read(b []byte) (int, error) {
	s.first()
	return s.answer.Read(b)
}

// While destroy asks, somebody removes a marker. The resource stays.
func TestDestroyReadsAgain(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	id := a.pick(standin.Monitor, "my_metric is high")
	r := a.read(t.Context(), slowly{func() {
		a.Edit(standin.Monitor, id, func(b map[string]any) { b["tags"] = []any{"team:ours"} })
	}, strings.NewReader("yes\n")}, "destroy")
	if r.status != 1 || !strings.Contains(r.err, "monitor my-metric: not deleted, because https://app.datadoghq.com/monitors/"+id+" no longer carries the marker\nnot deleted: monitor my-metric\n") {
		t.Errorf("destroy does not name the monitor that stays: %s", r)
	}
	if n := a.counts(); n[standin.Monitor] != 1 || n[standin.SLO]+n[standin.Dashboard]+n[standin.Downtime] != 0 {
		t.Errorf("destroy leaves %v", n)
	}
}

// An interrupt while destroy asks is no confirmation.
func TestInterruptedQuestion(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.Requests()
	ctx, interrupt := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	defer writer.Close()
	r := a.read(ctx, slowly{interrupt, reader}, "destroy")
	if writes := a.writes(); r.status != 1 || len(writes) > 0 || !strings.Contains(r.err, "not confirmed") {
		t.Errorf("destroy sent %v: %s", writes, r)
	}
}

// An interrupt during the deletions ends destroy, which names the rest.
func TestInterruptedDestroy(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	ctx, interrupt := context.WithCancel(t.Context())
	reads := 0
	a.Fail(func(r *http.Request) standin.Fault {
		if reads++; reads == 4+3 { // four lists; a read, a deletion and a read
			interrupt()
		}
		return standin.Fault{}
	})
	r := a.answer(ctx, "", "destroy", "-yes")
	if r.status != 1 || !strings.Contains(r.err, "context canceled") || !strings.Contains(r.err, "\nnot deleted: monitor ") || !strings.Contains(r.err, ", dashboard timeboard, slo availability\n") {
		t.Errorf("got %s", r)
	}
	a.Fail(nil)
	a.must(a.run("destroy", "-yes"))
}
