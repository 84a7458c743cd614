package main

import (
	"net/http"
	"strings"
	"testing"

	"apmapp/internal/provision/standin"
)

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
