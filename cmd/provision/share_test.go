package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/provision/standin"
)

// unlisted is a function for Fail: the list of links, which is in preview, is missing.
func unlisted(r *http.Request) standin.Fault {
	if strings.HasSuffix(r.URL.Path, "/shared") {
		return standin.Fault{Status: 404}
	}
	return standin.Fault{}
}

func TestShare(t *testing.T) {
	a := newAccount(t)
	a.dir, a.has = t.TempDir(), map[standin.Kind]int{standin.SLO: 0, standin.Dashboard: 1, standin.Monitor: 0, standin.Downtime: 0}
	timeboard, err := os.ReadFile("../../deploy/datadog/dashboard.timeboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "dashboard.timeboard.json"), timeboard, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := a.run("share", "timeboard", "-yes"); r.status != 1 || r.err != "provision: the account has no dashboard timeboard of apmapp/dev; create it with apply\n" {
		t.Errorf("no dashboard: %s", r)
	}
	a.must(a.run("apply"))
	if links := a.Links(); len(links) > 0 {
		t.Fatalf("apply created the links %v", links)
	}
	r := a.run("share", "timeboard")
	if r.status != 1 || len(a.Links()) > 0 {
		t.Errorf("share created a link without a yes: %s", r)
	}
	const want = `With a public link anybody can see "apmapp timeboard (dev)" without a login, until you run unshare:
  live graphs of the past hour: my_metric by host; MySQL queries, with anomalies; my_metric, sum per hour; my_metric, sum of the past hour
  the names of hosts, services, routes and statements that these queries return:
    avg:my_metric{$env,$host} by {host}
    avg:mysql.performance.queries{$env,$host} by {host}
    sum:my_metric{$env,$host} by {host}.rollup(sum, 3600)
    sum:my_metric{$env,$host}.rollup(sum, 60)
`
	if r.out != want+"Create the link? Type yes to confirm: \n" {
		t.Errorf("got %s; want %s", r, want)
	}
	if r := a.must(a.run("share", "timeboard", "-dry-run", "-yes")); r.out != want || len(a.Links()) > 0 {
		t.Errorf("-dry-run: links %v; %s", a.Links(), r)
	}
	// The answer is lost. The link is found in the list, not created again.
	a.Fail(posts(1, standin.Fault{Done: true, Drop: true}))
	r = a.must(a.answer(t.Context(), "yes\n", "share", "timeboard"))
	a.Fail(nil)
	links := a.Links()
	if len(links) != 1 || !strings.HasSuffix(r.out, "confirm: "+links[0]+"\n") {
		t.Errorf("links %v; %s", links, r)
	}
	again := a.must(a.run("share", "timeboard", "-yes"))
	if len(a.Links()) != 1 || again.out != want+"The dashboard already has a link:\n"+links[0]+"\n" {
		t.Errorf("links %v; %s", a.Links(), again)
	}
	a.same()
}

func TestShareRetries(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.Fail(posts(1, standin.Fault{Drop: true})) // not done
	if r := a.must(a.run("share", "timeboard", "-yes")); len(a.Links()) != 1 || len(a.slept) != 2 {
		t.Errorf("links %v, waits %v; %s", a.Links(), a.slept, r)
	}
	a.must(a.run("unshare", "timeboard"))
	a.Fail(func(r *http.Request) standin.Fault { return standin.Fault{Drop: r.Method == http.MethodPost} })
	a.Requests()
	r := a.run("share", "timeboard", "-yes")
	posted := slices.DeleteFunc(a.Requests(), func(r string) bool { return !strings.HasPrefix(r, "POST ") })
	if r.status != 1 || len(posted) != 6 || len(a.Links()) != 0 {
		t.Errorf("%d attempts, want 6; %s", len(posted), r)
	}
}

func TestUnshare(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.must(a.run("share", "timeboard", "-yes"))
	link := a.Links()[0]
	if r := a.must(a.run("unshare", "timeboard", "-dry-run")); len(a.Links()) != 1 || r.out != "would revoke "+link+"\n" {
		t.Errorf("-dry-run: links %v; %s", a.Links(), r)
	}
	if r := a.must(a.run("unshare", "timeboard")); len(a.Links()) != 0 || r.out != "revoked "+link+"\n" {
		t.Errorf("links %v; %s", a.Links(), r)
	}
	if r := a.must(a.run("unshare", "timeboard")); r.out != `"apmapp (dev)" has no public link.`+"\n" {
		t.Errorf("no link: %s", r)
	}
	a.must(a.run("unshare", link)) // revoked already
	a.must(a.run("share", "timeboard", "-yes"))
	a.must(a.run("unshare", a.Links()[0]))
	if links := a.Links(); len(links) != 0 {
		t.Errorf("links %v", links)
	}
}

func TestShareWithoutAListOfLinks(t *testing.T) {
	a := newSmallAccount(t)
	a.must(a.run("apply"))
	a.Fail(unlisted)
	if r := a.must(a.run("share", "timeboard", "-yes")); len(a.Links()) != 1 || !strings.Contains(r.out, "The API does not list this account's public links: if the dashboard has one, this creates a second one.\n") {
		t.Errorf("share: links %v; %s", a.Links(), r)
	}
	if r := a.run("unshare", "timeboard"); r.status != 1 || !strings.Contains(r.err, "give the URL of the link to unshare") {
		t.Errorf("unshare: %s", r)
	}
	if r := a.run("share", "no-such", "-yes"); r.status != 1 {
		t.Errorf("share no-such: %s", r)
	}
}
