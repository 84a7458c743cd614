package viewer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"apmapp/internal/localagent"
	"apmapp/internal/traceagent"
)

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`

// filled is a store with a trace, a line and a metric whose every text is
// hostile.
func filled(t *testing.T) *localagent.Store {
	t.Helper()
	s := localagent.NewStore(0)
	bad := span(1, 0, hostile, 0, 100)
	bad.Start = time.Now()
	bad.Resource, bad.Operation, bad.Type, bad.Error = hostile, hostile, "sql", true
	bad.Tags = map[string]string{hostile: hostile, "error.type": hostile, "error.message": hostile, "error.stack": hostile, "http.status_code": hostile}
	bad.Metrics = map[string]float64{"_top_level": 1}
	below := span(2, 1, "db", 10, 20)
	below.Metrics = bad.Metrics
	s.AddSpans(traceagent.Chunk{TraceID: trace1, Spans: []traceagent.Span{bad, below}})
	line, err := json.Marshal(map[string]string{"msg": hostile, "level": hostile, "dd.service": hostile, "dd.trace_id": trace1, "dd.span_id": hostile})
	if err != nil {
		t.Fatal(err)
	}
	s.AddLog(localagent.ParseLog(line, time.Now()))
	s.AddPacket("<script>alert(3)</script>.x:1|g|#"+hostile, time.Now())
	return s
}

const trace1 = "6b060d8f000000007aa1645abafb4873"

func fetch(t *testing.T, h http.Handler, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "127.0.0.1:8127"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPagesShowHostileTextAsText(t *testing.T) {
	h := New(Config{Store: filled(t)})
	for _, path := range []string{
		"/", "/services/" + url.PathEscape(hostile), "/map", "/traces", "/traces?q=" + url.QueryEscape(hostile), "/t/" + trace1, "/t/" + trace1 + "?span=2",
		"/t/8836454284724488307", "/logs", "/logs?q=" + url.QueryEscape(hostile), "/profiles", "/metrics", "/usage",
	} {
		w := fetch(t, h, path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
		for _, raw := range []string{"<script>alert", "<img src=x", "onerror=alert(2)>{{"} {
			if strings.Contains(w.Body.String(), raw) {
				t.Errorf("%s has %s", path, raw)
			}
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

// TestLinksLead follows the links of every page, within the pages.
func TestLinksLead(t *testing.T) {
	s := filled(t)
	odd := span(1, 0, "a/b c?d=e&f#g%", 0, 5)
	odd.Resource, odd.Metrics = "GET /x?y=1&z=%2F+#", map[string]float64{"_top_level": 1}
	s.AddSpans(traceagent.Chunk{TraceID: trace1[1:] + "0", Spans: []traceagent.Span{odd}})
	h := New(Config{Store: s})
	seen := map[string]bool{}
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		if seen[todo[0]] {
			continue
		}
		seen[todo[0]] = true
		w := fetch(t, h, todo[0])
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", todo[0], w.Code)
		}
		for _, m := range regexp.MustCompile(`<a [^>]*href="(/[^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			todo = append(todo, html.UnescapeString(m[1]))
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d pages: %v", len(seen), seen)
	}
	query := url.Values{"service": {odd.Service}, "resource": {odd.Resource}}
	found := false
	for link := range seen {
		u, err := url.Parse(link)
		found = found || err == nil && u.Path == "/traces" && u.Query().Encode() == query.Encode()
	}
	if !found {
		t.Errorf("no link to the traces of an odd resource: %v", seen)
	}
}

// TestSpanAlone has a span shown without the page around it.
func TestSpanAlone(t *testing.T) {
	h := New(Config{Store: filled(t)})
	w := fetch(t, h, "/t/"+trace1+"?span=2&part=span")
	if got := w.Body.String(); w.Code != http.StatusOK || !strings.HasPrefix(got, `<section id="span">`) || !strings.Contains(got, "<code>2</code>") || strings.Contains(got, "waterfall") {
		t.Errorf("status %d: %s", w.Code, got)
	}
}

func TestEmptyPagesSayWhatTheyWaitFor(t *testing.T) {
	h := New(Config{Store: localagent.NewStore(0), Waiting: "Send some to port 1234."})
	for _, path := range []string{"/", "/map", "/traces", "/logs", "/profiles", "/metrics"} {
		if w := fetch(t, h, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Send some to port 1234.") {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	h := New(Config{Store: filled(t)})
	for path, want := range map[string]int{
		"/nonesuch":              404,
		"/services/nobody":       404,
		"/t/123":                 404,
		"/profiles/1/flamegraph": 404,
		"/profiles/x/flamegraph": 404,
		"/api/traces/123":        404,
		"/traces?min=fast":       400,
		"/traces?from=noon":      400,
		"/api/traces?max=-1s":    400,
	} {
		if w := fetch(t, h, path); w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
	other := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "cors")
	}
	if w := fetch(t, h, "/api/traces", other); w.Code != http.StatusForbidden {
		t.Errorf("another site: status %d", w.Code)
	}
}

// TestHosts has names that lead to this machine, and may be anybody's, refused.
func TestHosts(t *testing.T) {
	h := New(Config{Store: filled(t), Hosts: []string{"demo.example"}})
	for host, want := range map[string]int{
		"127.0.0.1:8127":     200,
		"[::1]:8127":         200,
		"192.0.2.7":          200,
		"localhost:8127":     200,
		"LocalHost.":         200,
		"apm.localhost:8127": 200,
		"demo.example:8127":  200,
		"evil.example:8127":  403,
		"127.0.0.1.evil.com": 403,
		"localhost.evil.com": 403,
		"notlocalhost":       403,
		"x.demo.example":     403,
		"evil.com:8127:8127": 403,
		"":                   403,
	} {
		if w := fetch(t, h, "/api/traces", func(r *http.Request) { r.Host = host }); w.Code != want {
			t.Errorf("%q: status %d, want %d", host, w.Code, want)
		}
	}
}

func TestAPI(t *testing.T) {
	h := New(Config{Store: filled(t)})
	for path, want := range map[string]string{
		"/api/services":                     "2",
		"/api/resources?service=db":         "1",
		"/api/calls":                        "1",
		"/api/traces":                       "1",
		"/api/traces?service=db":            "0",
		"/api/traces?id=7aa1645abafb4873":   "1",
		"/api/traces?id=7aa1645abafb4874":   "0",
		"/api/traces?errors=1&min=1ms":      "1",
		"/api/traces/" + trace1:             "2",
		"/api/logs?trace_id=" + trace1:      "1",
		"/api/logs?trace_id=" + trace1[:31]: "0",
		"/api/profiles":                     "0",
		"/api/metrics?q=alert":              "1",
	} {
		w := fetch(t, h, path)
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Errorf("%s: %v: %s", path, err, w.Body)
			continue
		}
		list, ok := v.([]any)
		if object, is := v.(map[string]any); is {
			for _, name := range []string{"traces", "lines", "spans"} {
				if inner, has := object[name].([]any); has {
					list, ok = inner, true
				}
			}
		}
		if got := fmt.Sprint(len(list)); !ok || got != want {
			t.Errorf("%s: %s, want %s: %s", path, got, want, w.Body)
		}
	}
}

func TestCharts(t *testing.T) {
	s := localagent.NewStore(0)
	now := time.Unix(1_700_000_000, 0)
	s.AddPacket("datadog.dogstatsd.client.x:1|g\ndatadog.tracer.y:1|g\nrequests:1|c|#env:dev,route:/a\nrequests:2|c|#env:dev,route:/b", now)
	s.AddPacket("requests:5|c|#env:dev,route:/b", now.Add(10*time.Second))
	for i := range colors + 2 {
		s.AddPacket(fmt.Sprintf("wide:1|g|#n:%d", i), now)
	}
	var got []string
	for _, c := range newCharts(s.Metrics("")) {
		data, err := json.Marshal(c.Data)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == "wide" {
			data = nil
		}
		got = append(got, fmt.Sprint(c.Name, " ", c.Tags, " ", len(c.Lines), "+", c.More, " ", c.Lines[0].Tags, " ", string(data)))
	}
	want := []string{
		"requests [env:dev] 2+0 route:/a [[1699999710,1700000000,1700000010],[null,1,null],[null,2,5]]",
		"wide [] 8+2 n:0 ",
		"datadog.tracer.y [] 1+0  [[1699999700,1700000000],[null,1]]",
		"datadog.dogstatsd.client.x [] 1+0  [[1699999700,1700000000],[null,1]]",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEvents(t *testing.T) {
	s := localagent.NewStore(0)
	server := httptest.NewServer(New(Config{Store: s}))
	defer server.Close()
	resp, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != ": here" {
		t.Fatalf("%q", lines.Text())
	}
	s.AddLog(localagent.ParseLog([]byte("x"), time.Now()))
	for lines.Scan() {
		if lines.Text() == "data: changed" {
			return
		}
	}
	t.Error("no event comes")
}
