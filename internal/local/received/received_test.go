package received

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCountersAreBounded: neither many paths and reasons nor long ones fill the memory, and
// texts are printable.
func TestCountersAreBounded(t *testing.T) {
	c := New()
	at := time.Unix(1_700_000_000, 0)
	for i := range 1000 {
		r := httptest.NewRequest("POST", "/x", nil)
		r.URL.Path = fmt.Sprintf("/%d/\x00é%s", i, strings.Repeat("é", 1000))
		r.Header.Set("Datadog-Meta-Lang", strings.Repeat("y", 1000))
		c.Request(r, 404, "no\n"+strings.Repeat("é", 1000), at.Add(time.Duration(i)*time.Second))
		c.Refused(fmt.Sprint("reason ", i), 2)
	}
	r := c.Report()
	if len(r.Requests) != maxRequests+1 || r.Requests[0].Path != others || r.Requests[0].Requests != 1000-maxRequests || !r.Requests[0].Last.Equal(at.Add(999*time.Second)) {
		t.Errorf("%d rows, the first is %+v", len(r.Requests), r.Requests[0])
	}
	if len(r.Reasons) != maxReasons+1 || r.Reasons[others] != 2*(1000-maxReasons) {
		t.Errorf("%d reasons, %d others", len(r.Reasons), r.Reasons[others])
	}
	for _, of := range r.Requests {
		if len(of.Path) > maxText || len(of.Reason) > maxText || len(of.Language) > maxText || strings.ContainsAny(of.Path+of.Reason, "\x00\n\uFFFD") {
			t.Fatalf("%q, %q", of.Path, of.Reason)
		}
	}
}

// TestRefusedFirst: a report lists what was refused before the rest, and names the
// product of a path that is not served.
func TestRefusedFirst(t *testing.T) {
	c := New()
	for i, path := range []string{"/v0.4/traces", "/evp_proxy/v2/api", "/evp_proxy/v2/api", "/v0.1/pipeline_stats", "/other"} {
		status := 404
		if i == 0 {
			status = 200
		}
		c.Request(httptest.NewRequest("POST", path, nil), status, "why", time.Unix(int64(i), 0))
	}
	c.Duplicate()
	var got []string
	r := c.Report()
	for _, q := range r.Requests {
		product, _, _ := strings.Cut(q.Product, ",")
		got = append(got, fmt.Sprint(q.Path, " ", q.Requests, " ", q.Reason, " ", product))
	}
	want := "/other 1 why ; /v0.1/pipeline_stats 1 why Data Streams Monitoring; /evp_proxy/v2/api 2 why CI Visibility; /v0.4/traces 1  "
	if strings.Join(got, "; ") != want || r.Duplicates != 1 || len(r.Tracers) != 0 {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
}

// TestConcurrentCounters has a reader beside writers, for the race detector.
func TestConcurrentCounters(t *testing.T) {
	c := New()
	c.Tracers(func() []Tracer { return []Tracer{{Version: "2"}, {Version: "1"}} })
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range 100 {
				c.Request(httptest.NewRequest("POST", "/x", nil), 200, "", time.Time{})
				c.Refused("x", 1)
				c.Duplicate()
				c.Report()
			}
		})
	}
	all.Wait()
	if r := c.Report(); r.Requests[0].Requests != 200 || r.Reasons["x"] != 200 || r.Duplicates != 200 || r.Tracers[0].Version != "1" {
		t.Errorf("%+v", r)
	}
}
