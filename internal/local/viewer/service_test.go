package viewer

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// TestResourcePage: the page of a resource has its own errors, calls, log lines and metrics of
// its service, and leads to each of them.
func TestResourcePage(t *testing.T) {
	s := store.New(0)
	now := time.Now()
	add := func(id uint64, resource string, status int) {
		root := spanOf(1, 0, "web", 0, 100)
		root.Start, root.Resource, root.Operation, root.Error = now, resource, "web.request", status == 500
		root.Metrics = map[string]float64{"_top_level": 1}
		root.Tags = map[string]string{"http.status_code": fmt.Sprint(status)}
		if root.Error {
			root.Tags["error.type"], root.Tags["error.message"] = "E of "+resource, "no"
		}
		child := root
		child.SpanID, child.ParentID, child.Service, child.Resource, child.Error, child.Tags = 2, 1, "db", "SELECT of "+resource, false, nil
		child.Duration /= 4
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", id), Spans: []span.Span{root, child}})
		s.AddLog(wire.DecodeLog([]byte(fmt.Sprintf(`{"level":"info","msg":"line of %s","service":"web","dd.trace_id":"%d"}`, resource, id)), now))
	}
	add(1, "GET /a", 200)
	add(2, "GET /a", 500)
	add(3, "GET /b", 500)
	s.AddPacket("shop.orders:1|c|#service:web\nother.orders:1|c|#service:db\nruntime.go.x:1|g|#service:web")
	h := New(Config{Store: s})
	for _, test := range []struct {
		path      string
		want, not []string
	}{
		{"/services/web/resource?name=GET+/a", []string{
			`<h1>GET /a</h1>`, `<p class="crumbs"><a href="/services/web">web</a> · web.request</p>`, "E of GET /a", `<dd class="bad">50.0%</dd>`,
			`<a href="/services/db/resource?name=SELECT&#43;of&#43;GET&#43;%2Fa">SELECT of GET /a</a>`, `<td class="n">25.0%</td>`, "In 75.0% of their time",
			"Latest log lines", "line of GET /a", "shop.orders", `href="/traces?resource=GET&#43;%2Fa&amp;service=web"`, `href="/traces?max=`,
		}, []string{"GET /b", "other.orders", "runtime.go.x", "Resources of"}},
		{"/services/web", []string{"<h1>web</h1>", "Resources of web.request", "E of GET /a", "E of GET /b", "SELECT of GET /b", "shop.orders",
			`href="/services/web/resource?name=GET%20%2fa&amp;operation=web.request"`}, []string{"other.orders", "runtime.go.x", "crumbs"}},
	} {
		got := fetch(t, h, test.path)
		if got.Code != http.StatusOK {
			t.Errorf("%s: %d", test.path, got.Code)
		}
		for _, want := range test.want {
			if !strings.Contains(got.Body.String(), want) {
				t.Errorf("%s has no %s: %s", test.path, want, got.Body)
			}
		}
		for _, not := range test.not {
			if strings.Contains(got.Body.String(), not) {
				t.Errorf("%s has %s", test.path, not)
			}
		}
	}
	twin := fetch(t, h, "/services/web/resource.json?name=GET+/a").Body.String()
	for _, want := range []string{`"resource":"GET /a"`, `"hits":2`, `"errors":1`, `"status_classes":[0,0,1,0,0,1]`, `"share":0.25`, `"own":0.75`} {
		if !strings.Contains(twin, want) {
			t.Errorf("no %s in %s", want, twin)
		}
	}
	for _, path := range []string{"/services/web/resource?name=none", "/services/web/resource?name=GET+/a&operation=none", "/services/web/resource", "/services/none", "/services/web/resource.json?name=none"} {
		if got := fetch(t, h, path); got.Code != http.StatusNotFound || !strings.Contains(got.Body.String(), "No span of service ") {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	// The warnings and errors of the log come first.
	s.AddLog(wire.DecodeLog([]byte(`{"level":"warn","msg":"a warning","service":"web","dd.trace_id":"1"}`), now))
	if got := fetch(t, h, "/services/web/resource?name=GET+/a").Body.String(); !strings.Contains(got, "Latest warnings and errors") || !strings.Contains(got, "a warning") || strings.Contains(got, "line of") {
		t.Error(got)
	}
}

// TestHistogramMarks: texts of percentiles do not overlap.
func TestHistogramMarks(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		ms   []int // of a hundred requests
		want string
	}{
		"one duration": {[]int{100}, "0 p50 101ms, p95 101ms, p99 101ms; "},
		"apart":        {append(append(repeated(1, 90), repeated(30, 7)...), repeated(10_000, 3)...), "0 p50 995µs; 37 p95 29.8ms; 100 p99 10.0s; "},
		"near":         {append(repeated(1, 50), repeated(100, 50)...), "0 p50 995µs; 100 p95 101ms, p99 101ms; "},
	} {
		pool, s := series.NewPool(1<<20), series.NewSpans(series.Window)
		for _, ms := range test.ms {
			s.Add(series.Span{End: now, Duration: time.Duration(ms) * time.Millisecond, Weight: 1}, now, pool)
		}
		h, got := newHistogram(s.Numbers(now), scope{Service: "web"}), ""
		for _, m := range h.Marks {
			got += fmt.Sprintf("%.0f %s; ", m.X, m.Text)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		most := 0.0
		for _, b := range h.Bars {
			most = max(most, b.Height)
		}
		if most != 100 {
			t.Errorf("%s: the highest bar has %g %%", name, most)
		}
	}
}

func repeated(v, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = v
	}
	return all
}
