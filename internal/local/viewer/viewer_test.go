package viewer

import (
	"apmapp/internal/local/wire"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"log/slog"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"

	"apmapp/internal/format"
	"apmapp/internal/local/received"
	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`

// filled returns a store with a trace, a log line and a metric in which every text
// is hostile.
func filled(t *testing.T) *store.Store {
	t.Helper()
	return filledInto(t, store.New(0))
}

func filledInto(t *testing.T, s *store.Store) *store.Store {
	t.Helper()
	bad := spanOf(1, 0, hostile, 0, 100)
	bad.Start = time.Now()
	bad.Resource, bad.Operation, bad.Type, bad.Error = hostile, hostile, "sql", true
	bad.Tags = map[string]string{hostile: hostile, "error.type": hostile, "error.message": hostile, "error.stack": hostile, "http.status_code": hostile}
	bad.Metrics = map[string]float64{"_top_level": 1}
	below := spanOf(2, 1, "db", 10, 20)
	below.Start, below.Metrics = bad.Start, bad.Metrics
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{bad, below}})
	line, err := json.Marshal(map[string]string{"msg": hostile, "level": hostile, "dd.service": hostile, "dd.trace_id": trace1, "dd.span_id": hostile})
	if err != nil {
		t.Fatal(err)
	}
	s.AddLog(wire.DecodeLog(line, time.Now()))
	s.AddPacket("<script>alert(3)</script>.x:1|g|#" + hostile)
	s.AddPacket(fmt.Sprintf("_e{%d,%[1]d}:%[2]s|%[2]s|t:warning|#%[2]s\n_e{1,1}:a|b\n_sc|%[2]s|2|h:%[2]s|#%[2]s|m:%[2]s\n%[2]s", len(hostile), hostile))
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
		"/", "/errors", "/services/" + url.PathEscape(hostile), "/map", "/traces", "/traces?q=" + url.QueryEscape(hostile), "/t/" + trace1, "/t/" + trace1 + "?span=2",
		"/t/8836454284724488307", "/logs", "/logs?q=" + url.QueryEscape(hostile), "/profiles", "/metrics", "/received", "/usage",
	} {
		w := fetch(t, h, path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
		for _, raw := range []string{"<script>alert", "<img src=x", "onerror=alert(2)>{{"} {
			if strings.Contains(w.Body.String(), raw) {
				t.Errorf("%s contains %s", path, raw)
			}
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

// TestLinksWork follows all links between pages.
func TestLinksWork(t *testing.T) {
	s := filled(t)
	odd := spanOf(1, 0, "a/b c?d=e&f#g%", 0, 5)
	odd.Start = time.Now()
	odd.Resource, odd.Metrics = "GET /x?y=1&z=%2F+#", map[string]float64{"_top_level": 1}
	s.AddSpans(span.Chunk{TraceID: trace1[1:] + "0", Spans: []span.Span{odd}})
	h := New(Config{Store: s})
	seen := map[string]bool{}
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		if seen[todo[0]] {
			continue
		}
		seen[todo[0]] = true
		w := fetch(t, h, todo[0])
		if to := w.Header().Get("Location"); w.Code == http.StatusSeeOther {
			todo = append(todo, to)
		} else if w.Code != http.StatusOK {
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

// TestFind: a query finds spans of a trace by any of their fields, tags and errors.
func TestFind(t *testing.T) {
	s := store.New(0)
	web, db := spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50)
	db.Error, db.Tags, db.Metrics = true, map[string]string{"error.message": "Lock wait", "db.name": "shop"}, map[string]float64{"rows": 7}
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{web, db}})
	h := New(Config{Store: s})
	for q, want := range map[string]string{
		"":                    `{"matching":2,"span_ids":["1","2"]}`,
		"lock":                `{"matching":1,"span_ids":["2"]}`,
		"service:web":         `{"matching":1,"span_ids":["1"]}`,
		"service:web lock":    `{"matching":0,"span_ids":[]}`,
		"@db.name:shop":       `{"matching":1,"span_ids":["2"]}`,
		"@rows:>5 error:true": `{"matching":1,"span_ids":["2"]}`,
		"duration:>50ms":      `{"matching":1,"span_ids":["1"]}`,
		"-lock":               `{"matching":1,"span_ids":["1"]}`,
		"r2":                  `{"matching":1,"span_ids":["2"]}`,
		trace1[16:]:           `{"matching":0,"span_ids":[]}`, // the ID of the trace is not in a span
	} {
		if got := strings.TrimSpace(fetch(t, h, "/api/traces/"+trace1+"/find?q="+url.QueryEscape(q)).Body.String()); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	for path, want := range map[string]int{"/api/traces/" + trace1 + "/find?q=rows:": 400, "/api/traces/77/find?q=x": 404} {
		if w := fetch(t, h, path); w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

// TestSpanPart requests the details of a span without the page around it.
func TestSpanPart(t *testing.T) {
	h := New(Config{Store: filled(t)})
	w := fetch(t, h, "/t/"+trace1+"?span=2&part=span")
	if got := w.Body.String(); w.Code != http.StatusOK || !strings.HasPrefix(got, `<section id="span"`) || !strings.Contains(got, "<code>2</code>") || strings.Contains(got, "waterfall") {
		t.Errorf("status %d: %s", w.Code, got)
	}
}

func TestEmptyPagesShowHowToSendData(t *testing.T) {
	h := New(Config{Store: store.New(0), Waiting: "Send data to port 1234."})
	for _, path := range []string{"/", "/map", "/traces", "/logs", "/profiles", "/metrics"} {
		if w := fetch(t, h, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Send data to port 1234.") {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	h := New(Config{Store: filled(t)})
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/nonesuch", 404, "There is no page /nonesuch."},
		{"/services/nobody", 404, "No span of service nobody has arrived in the last half hour."},
		{"/t/123", 404, "Trace 123 has not arrived yet, or was evicted."},
		{"/profiles/1/flamegraph", 404, "Profile 1 has not arrived, or was evicted."},
		{"/profiles/x/flamegraph", 404, "Profile x has not arrived, or was evicted."},
		{"/api/traces/123", 404, "Trace 123 has not arrived yet, or was evicted."},
		{"/traces?min=fast", 400, "min must be a duration such as 10ms, got &#34;fast&#34;"},
		{"/traces?from=noon", 400, "from must be a time in milliseconds since 1970, got &#34;noon&#34;"},
		{"/api/traces?to=noon", 400, `to must be a time in milliseconds since 1970, got "noon"`},
		{"/api/traces?max=-1s", 400, `max must be a duration such as 10ms, got "-1s"`},
	} {
		if w := fetch(t, h, c.path); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: status %d, want %d and %q: %s", c.path, w.Code, c.status, c.want, w.Body)
		}
	}
}

// TestMissingTraceIsAwaited: the page of a trace that has not arrived names the request
// whose answer shows that it has.
func TestMissingTraceIsAwaited(t *testing.T) {
	s := store.New(0)
	h := New(Config{Store: s})
	wait := regexp.MustCompile(`data-wait="([^"]*)"`).FindStringSubmatch(fetch(t, h, "/t/"+trace1).Body.String())
	if wait == nil {
		t.Fatal("the page does not wait")
	}
	for _, want := range []string{`"matching":0`, `"matching":1`} {
		if got := fetch(t, h, html.UnescapeString(wait[1])).Body.String(); !strings.Contains(got, want) {
			t.Errorf("%s answers %s, want %s", wait[1], got, want)
		}
		s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{spanOf(1, 0, "web", 0, 1)}})
	}
}

// TestProfiles uploads a CPU profile of a span, and follows the links to its graphs.
func TestProfiles(t *testing.T) {
	fn := func(id uint64, name string) *profile.Function {
		return &profile.Function{ID: id, Name: name, Filename: "main.go"}
	}
	one, other := fn(1, "main.one"), fn(2, "main.other")
	location := func(f *profile.Function) *profile.Location {
		return &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f, Line: 1}}}
	}
	sample := func(f *profile.Location, endpoint, span string) *profile.Sample {
		return &profile.Sample{Location: []*profile.Location{f}, Value: []int64{int64(20 * time.Millisecond)}, Label: map[string][]string{"trace endpoint": {endpoint}, "span id": {span}}}
	}
	locations := []*profile.Location{location(one), location(other)}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}}, Function: []*profile.Function{one, other}, Location: locations,
		Sample: []*profile.Sample{sample(locations[0], "r1", "1"), sample(locations[1], "r2", "2")},
	}
	var form bytes.Buffer
	upload := multipart.NewWriter(&form)
	for name, data := range map[string]any{"event.json": map[string]any{"start": begin, "end": begin.Add(time.Minute), "tags_profiler": "service:web"}, "cpu.pprof": p, "main.jfr": nil} {
		part, err := upload.CreateFormFile(strings.TrimSuffix(name, path.Ext(name)), name)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := data.(*profile.Profile); ok {
			err = p.Write(part)
		} else {
			err = json.NewEncoder(part).Encode(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	upload.Close()
	s := store.New(0)
	decoded, err := wire.DecodeUpload(upload.FormDataContentType(), &form)
	if err != nil {
		t.Fatal(err)
	}
	s.AddProfiles(decoded)
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{spanOf(1, 0, "web", 0, 100)}})
	h := New(Config{Store: s})
	for _, c := range []struct{ path, want, not string }{
		{"/profiles", `href="/profiles/1/flamegraph?endpoint=r1">r1</a>`, "No profiles"},
		{"/profiles?service=web&kind=cpu", `<a href="/profiles/1/flamegraph">cpu</a>`, "No profiles"},
		{"/profiles?service=web&kind=heap", "No profiles", `/profiles/1/flamegraph`},
		{"/profiles", "<code>.jfr</code> (1)", ""},
		{"/t/" + trace1, `id="flame" href="/profiles/1/flamegraph?endpoint=r1"`, ""},
		{"/t/" + trace1, `id="samples" href="/profiles/1/flamegraph?span=1">flame graph of this span: 20.0ms of CPU`, ""},
		{"/profiles/1/flamegraph", "main.one", ""},
		{"/profiles/1/flamegraph", "main.other", ""},
		{"/profiles/1/flamegraph?endpoint=r1", "main.one", "main.other"},
		{"/profiles/1/flamegraph?span=2", "main.other", "main.one"},
		{"/profiles/1/top", "main.one", ""},
	} {
		w := fetch(t, h, c.path)
		if got := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%s: status %d, want %q and no %q in %d bytes", c.path, w.Code, c.want, c.not, len(got))
		}
		inline := strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'self' 'unsafe-inline'")
		if pprof := strings.HasPrefix(c.path, "/profiles/1/"); inline != pprof {
			t.Errorf("%s: inline scripts allowed: %t, want %t", c.path, inline, pprof)
		}
	}
	if w := fetch(t, h, "/profiles/1/flamegraph?span=x"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `span must be a decimal span ID, got "x"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w := fetch(t, h, "/profiles/1/nonesuch"); w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

// TestRequestsOfOtherSites: a link from another site works, a script of it does not.
// The pages' own scripts work.
func TestRequestsOfOtherSites(t *testing.T) {
	h := New(Config{Store: filled(t)})
	for _, c := range []struct {
		site, mode, origin string
		want               int
	}{
		{"cross-site", "navigate", "", http.StatusOK},
		{"cross-site", "cors", "", http.StatusForbidden},
		{"cross-site", "no-cors", "", http.StatusForbidden},
		{"same-site", "cors", "", http.StatusForbidden},
		{"", "", "https://evil.example", http.StatusForbidden},
		{"same-origin", "cors", "http://127.0.0.1:8127", http.StatusOK},
		{"", "", "", http.StatusOK},
	} {
		for _, path := range []string{"/", "/t/" + trace1, "/events", "/api/traces", assetPath("lists.js")} {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // ends the stream of events
			w := fetch(t, h, path, func(r *http.Request) {
				*r = *r.WithContext(ctx)
				for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode, "Origin": c.origin} {
					if value != "" {
						r.Header.Set(name, value)
					}
				}
			})
			if w.Code != c.want {
				t.Errorf("%s, %+v: status %d", path, c, w.Code)
			}
		}
	}
}

// TestAssetsAreKeptByBrowsers: what a page loads may be kept for ever, because its path has the
// version. A page of another version gets the files, too.
func TestAssetsAreKeptByBrowsers(t *testing.T) {
	h := New(Config{Store: store.New(0)})
	paths := regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(fetch(t, h, "/").Body.String(), -1)
	if len(paths) < 9 {
		t.Fatalf("the page loads %v", paths)
	}
	for _, path := range append(paths, []string{"", assetPath("stream.js")}) {
		w := fetch(t, h, path[1])
		if got := w.Header().Get("Cache-Control"); w.Code != http.StatusOK || w.Body.Len() == 0 || got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: status %d, %d bytes, %s", path[1], w.Code, w.Body.Len(), got)
		}
	}
	for path, status := range map[string]int{"/assets/0123/charts.js": http.StatusOK, assetPath("none.js"): http.StatusNotFound, assetPath("uplot/none.js"): http.StatusNotFound} {
		w := fetch(t, h, path)
		if got := w.Header().Get("Cache-Control"); w.Code != status || strings.Contains(got, "immutable") {
			t.Errorf("%s: status %d, %s", path, w.Code, got)
		}
	}
}

// TestPagesShowTheNumbersOfTheStore compares each table with the store, cell by cell.
func TestPagesShowTheNumbersOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(0)
		for i := range 200 {
			root := spanOf(1, 0, "web", 0, 1+i)
			root.Start, root.Error, root.Resource = time.Now(), i < 3, "GET /"
			root.Metrics = map[string]float64{"_top_level": 1}
			child := root
			child.SpanID, child.ParentID, child.Service, child.Resource, child.Error = 2, 1, "db", "SELECT", i < 199
			child.Duration /= 2
			s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", i+1), Spans: []span.Span{root, child}})
		}
		s.AddLog(wire.DecodeLog([]byte("x"), time.Now()))
		s.AddPacket("a:1|c\nbroken\nbroken")
		time.Sleep(11 * time.Second)
		h := New(Config{Store: s})
		cells := func(path, pattern string) (all []string) {
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(fetch(t, h, path).Body.String(), -1) {
				all = append(all, m[1])
			}
			return all
		}
		numbers := func(n series.Numbers) []string {
			return []string{format.Rate(n.Rate), format.Percent(float64(n.Errors) / float64(n.Hits)), format.Duration(n.P50), format.Duration(n.P95), format.Duration(n.P99)}
		}
		const cell = `<td class="n[^>]*>([^<]*)</td>`
		services := s.Services()
		if got, want := cells("/", cell), slices.Concat(numbers(services[0].Numbers), numbers(services[1].Numbers), []string{"199", "3"},
			numbers(services[1].Numbers)[:4], numbers(services[0].Numbers)[:4]); !slices.Equal(got, want) {
			t.Errorf("services: %q, want %q", got, want)
		}
		rate := format.Rate(services[1].Rate)
		around := []string{"1", rate, "1.50%", "100ms", "100%", "1", rate, "99.5%", "50.2ms", "50.0%"} // of the caller and of the database
		if got, want := cells("/services/web", cell)[:16], slices.Concat(numbers(s.Resources("web")[0].Numbers), []string{"3"}, around); !slices.Equal(got, want) {
			t.Errorf("service: %q, want %q", got, want)
		}
		if got, want := cells("/services/web/resource?name=GET+/", cell)[:11], slices.Concat([]string{"3"}, around); !slices.Equal(got, want) {
			t.Errorf("resource: %q, want %q", got, want)
		}
		for _, path := range []string{"/services/web", "/services/web/resource?name=GET+/"} {
			if got := cells(path, `<dd[^>]*>([^<]*)</dd>`); !slices.Equal(got, []string{rate, "1.50%", "101ms", "192ms", "199ms"}) {
				t.Errorf("%s: %q", path, got)
			}
		}
		if got := numbers(services[0].Numbers)[1]; got != "99.5%" { // was printed as 1e+02 %
			t.Errorf("errors of the database: %s, want 99.5%%", got)
		}
		call, web, db := numbers(s.Calls()[0].Numbers), numbers(services[1].Numbers), numbers(services[0].Numbers)
		want := []string{call[0] + ", " + call[1] + " errors", "p95 " + call[3], web[0] + " · p95 " + web[3], db[0] + " · p95 " + db[3]}
		if got := cells("/map", `class="label[^>]*>([^<]*)<`); !slices.Equal(got, want) {
			t.Errorf("map: %q, want %q", got, want)
		}
		u := s.Usage()
		want = []string{
			"200", format.Bytes(u.TraceBytes), "0", "1", format.Bytes(u.LogBytes), "0", "0", "0B",
			"1", format.Bytes(u.MetricBytes), "0", "0B", "2", format.Bytes(u.ServiceBytes),
		}
		if got := cells("/usage", cell); !slices.Equal(got, want) {
			t.Errorf("memory: %q, want %q", got, want)
		}
		if got := fetch(t, h, "/usage").Body.String(); !strings.Contains(got, "The budget is "+format.Bytes(u.Budget)+". 2 metric lines were malformed.") {
			t.Errorf("memory: %s", got)
		}
	})
}

// TestLimits: a page lists 200 traces and log lines, the API what it is asked for.
func TestLimits(t *testing.T) {
	s := store.New(64 << 20)
	const n = 10_001
	for i := range n {
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", i+1), Spans: []span.Span{spanOf(1, 0, "web", i, i+1)}})
		s.AddLog(wire.DecodeLog([]byte("x"), begin))
	}
	h := New(Config{Store: s})
	for path, row := range map[string]string{"/traces": `href="/t/`, "/logs": "<li "} {
		got := fetch(t, h, path).Body.String()
		if strings.Count(got, row) != 200 || !strings.Contains(got, "10,001 match; the latest 200 are listed") {
			t.Errorf("%s lists %d: %.3000s", path, strings.Count(got, row), got)
		}
	}
	for limit, want := range map[string]int{"": 200, "x": 200, "0": 200, "-1": 200, "1": 1, "10001": 10_000} {
		for _, path := range []string{"/api/traces", "/api/logs"} {
			var answer struct {
				Matching      int
				Traces, Lines []json.RawMessage
			}
			if err := json.Unmarshal(fetch(t, h, path+"?limit="+limit).Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if got := len(answer.Traces) + len(answer.Lines); got != want || answer.Matching != n {
				t.Errorf("%s?limit=%s: %d of %d, want %d of %d", path, limit, got, answer.Matching, want, n)
			}
		}
	}
	if got := strings.Count(fetch(t, h, "/traces").Body.String(), "null"); got != scattered { // each point is in one of two lines
		t.Errorf("%d points in the chart, want %d", got, scattered)
	}
}

// TestHosts requests pages by names of this machine, and by names of others that may
// resolve to it.
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
		"/api/errors":                       "1",
		"/api/errors?service=none":          "0",
		"/api/intervals":                    "2",
		"/api/intervals?service=db":         "1",
		"/api/calls":                        "1",
		"/api/traces":                       "1",
		"/api/traces?service=db":            "1",
		"/api/traces?id=7aa1645abafb4873":   "1",
		"/api/traces?id=7aa1645abafb4874":   "0",
		"/api/traces?errors=1&min=1ms":      "1",
		"/api/traces/" + trace1:             "2",
		"/api/logs?trace_id=" + trace1:      "1",
		"/api/logs?trace_id=" + trace1[:31]: "0",
		"/api/profiles":                     "0",
		"/api/metrics?q=alert":              "1",
		"/api/metrics/refused":              "1",
		"/api/events":                       "2",
		"/api/events?limit=1":               "1",
		"/api/checks":                       "1",
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

// TestAnswersThatFail: an answer that cannot be written is status 500 with the reason,
// and nothing of it is sent. The reason is logged.
func TestAnswersThatFail(t *testing.T) {
	var log bytes.Buffer
	v := &viewer{Config: Config{Store: store.New(0), Logger: slog.New(slog.NewTextHandler(&log, nil))}, pages: map[string]*template.Template{
		"half": template.Must(template.New("layout.html").Parse(`half a page {{.Data.None}}`)),
	}}
	for name, answer := range map[string]func(http.ResponseWriter){
		"unsupported value": func(w http.ResponseWriter) {
			v.answer(w, map[string]any{"first": "half", "second": math.Inf(1)})
		},
		"evaluate field None": func(w http.ResponseWriter) {
			v.show(w, http.StatusOK, "half", page{Data: struct{}{}})
		},
	} {
		w := httptest.NewRecorder()
		answer(w)
		if got := w.Body.String(); w.Code != http.StatusInternalServerError || !strings.Contains(got, name) || strings.Contains(got, "half a page") || strings.Contains(got, "first") {
			t.Errorf("status %d, want 500 and %q: %s", w.Code, name, got)
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), name) {
			t.Errorf("the log has no %q: %s", name, &log)
		}
	}
}

// TestNumbersThatAreNotFinite: a span with such numbers is shown, as JSON and as a page.
func TestNumbersThatAreNotFinite(t *testing.T) {
	s := store.New(0)
	odd := spanOf(1, 0, "web", 0, 5)
	odd.Metrics = map[string]float64{"ratio": math.NaN(), "most": math.Inf(1), "least": math.Inf(-1), "items": 3}
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{odd}})
	h := New(Config{Store: s})
	var got store.Trace
	if w := fetch(t, h, "/api/traces/"+trace1); json.Unmarshal(w.Body.Bytes(), &got) != nil || len(got.Spans) != 1 {
		t.Fatalf("status %d: %q", w.Code, w.Body)
	}
	if tags := got.Spans[0].Tags; tags["ratio"] != "NaN" || tags["most"] != "+Inf" || tags["least"] != "-Inf" || len(got.Spans[0].Metrics) != 1 {
		t.Errorf("tags %v, metrics %v", tags, got.Spans[0].Metrics)
	}
	for path, want := range map[string]string{"/t/" + trace1: "NaN", "/usage": "3 numbers of spans were NaN or infinite: they are shown as text."} {
		if w := fetch(t, h, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, want %q: %s", path, w.Code, want, w.Body)
		}
	}
}

// TestRefusedHistory: the page names the values that dashboards lack.
func TestRefusedHistory(t *testing.T) {
	s := store.New(0)
	s.KeepHistory([]string{"c"}, nil, store.Host{})
	for i := range 2002 {
		s.AddPacket(fmt.Sprintf("c:1|c|#n:%d", i))
	}
	want := "Dashboards, monitors and SLOs lack 2 values, because their metrics have too many series."
	if got := fetch(t, New(Config{Store: s}), "/usage").Body.String(); !strings.Contains(got, want) {
		t.Errorf("no %q: %s", want, got)
	}
}

// TestEventsAndLinks shows them below the span, and in the API.
func TestEventsAndLinks(t *testing.T) {
	s := store.New(0)
	from := spanOf(1, 0, "web", 0, 5)
	from.Events = []span.Event{{Time: begin, Name: hostile, Attributes: map[string]string{"exception.message": hostile + "!"}}}
	from.Links = []span.Link{{TraceID: trace1[1:] + "0", SpanID: 77, Attributes: map[string]string{"kind": hostile}}}
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{from}})
	h := New(Config{Store: s})
	w := fetch(t, h, "/t/"+trace1)
	for _, want := range []string{
		"<b>" + template.HTMLEscapeString(hostile) + "</b>", "exception.message: " + template.HTMLEscapeString(hostile+"!"),
		`href="/t/` + trace1[1:] + `0?span=77"`, "kind: " + template.HTMLEscapeString(hostile), begin.Local().Format("2006-01-02 15:04:05.000"),
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page has no %s: %s", want, w.Body)
		}
	}
	var got store.Trace
	if err := json.Unmarshal(fetch(t, h, "/api/traces/"+trace1).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if e, l := got.Spans[0].Events, got.Spans[0].Links; len(e) != 1 || e[0].Name != hostile || len(l) != 1 || l[0].SpanID != 77 {
		t.Errorf("events %+v, links %+v", e, l)
	}
}

func TestCharts(t *testing.T) {
	s := store.New(0)
	now := time.Unix(1_700_000_000, 0)
	s.Replay(now)
	s.AddPacket("datadog.dogstatsd.client.x:1|g\ndatadog.tracer.y:1|g\nrequests:1|c|#env:dev,route:/a\nrequests:2|c|#env:dev,route:/b")
	s.Replay(now.Add(10 * time.Second))
	s.AddPacket("requests:5|c|#env:dev,route:/b")
	for i := range colors + 2 {
		s.AddPacket(fmt.Sprintf("wide:1|g|#n:%d", i))
	}
	s.Replay(now.Add(20 * time.Second))
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
		"requests [env:dev] 2+0 route:/a [[1699999710,1700000000,1700000010],[null,0.1,0],[null,0.2,0.5]]",
		"wide [] 8+2 n:0 ",
		"datadog.dogstatsd.client.x [] 1+0  [[1699999700,1700000000],[null,1]]",
		"datadog.tracer.y [] 1+0  [[1699999700,1700000000],[null,1]]",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMetricsPageShowsWhatIsNotAChart: refused lines with their reasons, events and
// service checks.
func TestMetricsPageShowsWhatIsNotAChart(t *testing.T) {
	s := store.New(0)
	h := New(Config{Store: s})
	if got := fetch(t, h, "/metrics").Body.String(); strings.Contains(got, "<h2>") {
		t.Errorf("an empty page has sections: %s", got)
	}
	s.AddPacket("boom:1e308|c|@0.001\nboom:1e308|c|@0.001\n_e{6,9}:deploy|version 2|t:error|#env:dev\n_sc|db.up|2|h:one|m:refused\nh:4:4|h\nc:20|c")
	got := fetch(t, h, "/metrics").Body.String()
	for _, want := range []string{
		"<td>value is not finite</td><td class=\"n\">2</td><td><code>boom:1e308|c|@0.001</code></td>",
		"<b>deploy</b> version 2 <small> env:dev </small>", `<li class="error">`,
		"<td>db.up</td><td>critical</td>", "<td>refused</td>",
		"<b>h</b> <small>mean</small>", "<b>4</b>", "median 4, p95 4, max 4", "<b>c</b> <small>per second</small>", "</i><b>2.00/s</b></span>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// TestLevelsAndTimesOfLogs: the page has the levels of its filter for any logger, and
// times in this machine's zone for a line in any zone.
func TestLevelsAndTimesOfLogs(t *testing.T) {
	s := store.New(0)
	h := New(Config{Store: s})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for level, zone := range map[string]*time.Location{"60": time.UTC, `"fatal"`: time.FixedZone("", 5*60*60), `"critical"`: time.FixedZone("", -5*60*60)} {
		s.AddLog(wire.DecodeLog([]byte(`{"level":`+level+`,"msg":"m","time":"`+at.In(zone).Format(time.RFC3339)+`"}`), time.Now()))
	}
	s.AddLog(wire.DecodeLog([]byte(`{"level":30,"msg":"m"}`), time.Now()))
	const row = `<time>2026-01-02 03:04:05.000</time> <b>CRITICAL</b>`
	if got := fetch(t, h, "/logs?level=CRITICAL").Body.String(); strings.Count(got, row) != 3 || strings.Count(got, `class="critical"`) != 3 || strings.Count(got, "<li ") != 3 || !strings.Contains(got, "<option selected>CRITICAL</option>") {
		t.Errorf("not three times %s: %s", row, got)
	}
}

// TestChartsOfRestarts: series of ended processes do not replace those of the running
// one in a chart.
func TestChartsOfRestarts(t *testing.T) {
	s := store.New(0)
	now := time.Unix(1_700_000_000, 0)
	s.Replay(now)
	for i := range colors + 1 {
		s.AddPacket(fmt.Sprintf("wide:1|g|#id:%d", i))
	}
	s.Replay(now.Add(60 * time.Second))
	s.AddPacket("wide:1|g|#id:z")
	if c := newCharts(s.Metrics(""))[0]; c.Lines[0].Tags != "id:z" || c.Lines[1].Tags != "id:0" || c.More != 2 {
		t.Errorf("%+v", c)
	}
}

// TestLivePages: pages of lists refresh, and the page of a trace that is not complete.
func TestLivePages(t *testing.T) {
	s := filled(t)
	s.AddSpans(span.Chunk{TraceID: trace1[1:] + "0", Spans: []span.Span{spanOf(1, 0, "web", 0, 1)}}) // years ago
	h := New(Config{Store: s})
	for path, want := range map[string]bool{
		"/": true, "/errors": true, "/services/db": true, "/map": true, "/traces": true, "/logs": true, "/profiles": true, "/metrics": true, "/received": true, "/usage": true,
		"/t/123": true, "/t/" + trace1: true, "/t/" + trace1[1:] + "0": false, "/nonesuch": false,
	} {
		if got := strings.Contains(fetch(t, h, path).Body.String(), `id="live"`); got != want {
			t.Errorf("%s is live: %t, want %t", path, got, want)
		}
	}
}

func TestStatusClass(t *testing.T) {
	for status, want := range map[string]string{"": "", "0": "", "100": "s1", "200": "s2", "404": "s4", "503": "s5", "600": "", "ok": ""} {
		if got := statusClass(status); got != want {
			t.Errorf("%q: %q, want %q", status, got, want)
		}
	}
}

// TestServer: Close also ends a request that waits for events.
func TestServer(t *testing.T) {
	cfg, logger := Config{Store: store.New(0)}, slog.New(slog.DiscardHandler)
	s, err := Listen(t.Context(), "127.0.0.1:0", cfg, logger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), s.Addr().String(), cfg, logger); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("second server on the address: %v, want EADDRINUSE", err)
	}
	if got, want := s.Trace("12"), "http://"+s.Addr().String()+"/t/12"; got != want {
		t.Errorf("trace at %s, want %s", got, want)
	}
	resp, err := http.Get(s.URL() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the stream ended as if it was complete")
	}
	if _, err := http.Get(s.URL()); err == nil {
		t.Error("the server answers after Close")
	}
}

// TestEvents: the stream names the pages whose data has arrived, all of them or one.
func TestEvents(t *testing.T) {
	for query, want := range map[string]string{"": "faults logs received trace usage", "?page=logs": "logs", "?page=usage": "usage"} {
		s := store.New(0)
		server := httptest.NewServer(New(Config{Store: s}))
		defer server.Close()
		resp, err := http.Get(server.URL + "/events" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		if !lines.Scan() || lines.Text() != ": here" {
			t.Fatalf("%q", lines.Text())
		}
		if query == "?page=logs" {
			s.AddPacket("a:1|c") // a metric is on other pages
		}
		s.AddLog(wire.DecodeLog([]byte("x"), time.Now()))
		for lines.Scan() && lines.Text() == "" {
		}
		if got := lines.Text(); got != "data: "+want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if w := fetch(t, New(Config{Store: store.New(0)}), "/events?page=x"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `page must be one of dashboards, errors, faults, logs, map, metrics, monitors, profiles, received, services, slos, trace, traces, usage, got "x"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// TestReceivedPage: the page and the API say what arrived and what did not, and the empty
// page what may be wrong.
func TestReceivedPage(t *testing.T) {
	s, counters := store.New(0), received.New()
	h := New(Config{Store: s, Received: counters, Waiting: "Send data to port 1234."})
	if got := fetch(t, h, "/received").Body.String(); !strings.Contains(got, "No tracer has sent anything. Send data to port 1234.") || !strings.Contains(got, "DD_TRACE_ENABLED=false") {
		t.Error(got)
	}
	counters.Tracers(func() []received.Tracer {
		return []received.Tracer{{Language: "nodejs", Version: "5.1", Protocol: "v0.4", Services: []string{hostile, "web"}, Payloads: 2, Traces: 1234, Spans: 4, Bytes: 5000,
			Refused: map[string]int64{"span_id_zero": 1, "trace_id_zero": 2}, SampledOut: 7}}
	})
	refused := httptest.NewRequest("PUT", "/v0.4/traces", nil)
	refused.Header.Set("Datadog-Meta-Lang", "nodejs")
	counters.Request(refused, 400, "unexpected-eof "+hostile, time.Now())
	counters.Request(httptest.NewRequest("PUT", "/telemetry/proxy/x", nil), 404, "", time.Now())
	counters.Request(httptest.NewRequest("PUT", "/v0.5/traces", nil), 200, "", time.Now())
	counters.Duplicate()
	counters.Refused("100% odd", 2)
	old := spanOf(1, 0, "web", 0, 5)
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{old}})
	late := spanOf(2, 0, "web", 0, 5)
	late.Metrics = map[string]float64{"_top_level": 1, "ratio": math.NaN()}
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{late, old}})
	s.AddPacket("50%")
	got := fetch(t, h, "/received").Body.String()
	for _, want := range []string{
		"nodejs 5.1</td><td>v0.4</td>", `">web</a>`, `<td class="n">1,234</td>`, `class="bad">2 trace id zero, 1 span id zero</td>`,
		`<td class="n bad">400</td>`, "unexpected-eof &#34;&gt;", `<td class="n">404</td>`, "Instrumentation Telemetry: how the tracer is configured: not kept here",
		"PUT /v0.5/traces", `<td class="n">1</td><td class="wide">payloads that arrived again`, `1</td><td class="wide">spans that arrived again`,
		`1</td><td class="wide">spans that ended more than five minutes before`, `1</td><td class="wide">numbers of spans that were NaN`,
		`2</td><td class="wide">100% odd</td>`, `1</td><td class="wide">DogStatsD lines: no name. The last one: 50%</td>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "No tracer has sent") || strings.Contains(got, "<script>alert") {
		t.Error(got)
	}
	var report receivedReport
	if err := json.Unmarshal(fetch(t, h, "/api/received").Body.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Tracers) != 1 || len(report.Requests) != 3 || report.Duplicates != 1 || report.Reasons["100% odd"] != 2 || report.Spans.Late != 1 || report.Spans.Duplicate != 1 || report.Spans.NotFinite != 1 || len(report.Metrics) != 1 {
		t.Errorf("%+v", report)
	}
}

// TestDates: a time of another day has its date.
func TestDates(t *testing.T) {
	now := time.Date(2026, 3, 4, 0, 0, 1, 0, time.Local)
	for at, want := range map[time.Time]string{
		now:                       "00:00:01.000",
		now.Add(2 * time.Hour):    "02:00:01.000",
		now.Add(-2 * time.Second): "2026-03-03 23:59:59.000",
		now.AddDate(-1, 0, 0):     "2025-03-04 00:00:01.000",
	} {
		if got := clock(at.UTC(), now.UTC()); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// TestRecordingIsNamed: pages name the time of a recording, until something arrives.
func TestRecordingIsNamed(t *testing.T) {
	s := filled(t)
	h := New(Config{Store: s})
	const text = "A recording, at its end: 2023-11-"
	s.Replay(time.Unix(1_700_000_000, 0))
	for _, path := range []string{"/", "/traces", "/received", "/nonesuch"} {
		if got := fetch(t, h, path).Body.String(); !strings.Contains(got, text) {
			t.Errorf("%s does not name the recording: %s", path, got)
		}
	}
	s.Live()
	if got := fetch(t, h, "/").Body.String(); strings.Contains(got, text) {
		t.Error(got)
	}
}

// TestOverviewShowsWhatHappened: an episode of errors and one of slowness are named with
// their times and traces, also after they have ended, and charts have complete intervals.
func TestOverviewShowsWhatHappened(t *testing.T) {
	s := store.New(0)
	begin := time.Now().Truncate(time.Minute).Add(-10 * time.Minute)
	id := 0
	request := func(at time.Time, d time.Duration, failed bool) {
		id++
		root := spanOf(uint64(id), 0, "web", 0, 1)
		root.Start, root.Duration, root.Resource, root.Error = at, d, "GET /", failed
		root.Tags, root.Metrics = map[string]string{"span.kind": "server"}, map[string]float64{"_top_level": 1}
		if failed {
			root.Tags["error.type"], root.Tags["error.message"], root.Tags["error.stack"], root.Tags["version"] = "sql.Error", "no such column", "web/db.rows\n\t/src/db.go:7", "1.2"
		}
		s.Replay(at.Add(d))
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", id), Spans: []span.Span{root}})
	}
	for i := range 30 { // five minutes
		at := begin.Add(time.Duration(i) * 10 * time.Second)
		d := 10 * time.Millisecond
		if i >= 20 && i < 22 {
			d = 400 * time.Millisecond
		}
		for range 4 {
			request(at, d, i >= 10 && i < 13)
		}
	}
	h := New(Config{Store: s})
	clockOf := func(i int) string { return begin.Add(time.Duration(i) * 10 * time.Second).Local().Format("15:04:05") }
	got := fetch(t, h, "/").Body.String()
	for _, want := range []string{
		"<time>" + clockOf(10) + "</time> – <time>" + clockOf(13) + `</time> <a href="/services/web">web</a>: 100% of requests failed (12 of 12), ended`,
		"<time>" + clockOf(20) + "</time> – <time>" + clockOf(22) + `</time> <a href="/services/web">web</a>: slow: p95 rose from `,
		`<b class="bad">sql.Error</b> no such column<br><small><a href="/services/web">web</a> · web/db.rows · GET / · 1.2</small>`, `<td class="n">12</td>`,
		fmt.Sprintf(`href="/traces?errors=1&amp;from=%d&amp;service=web&amp;to=%d"`, begin.Add(100*time.Second).UnixMilli(), begin.Add(130*time.Second).UnixMilli()),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if n := strings.Count(got, "<li><time>"); n != 2 {
		t.Errorf("%d episodes, want 2", n)
	}
	service := s.Services()[0]
	o := newOverTime(service.Operations[0].Intervals(), s.Now())
	if len(o.Time) != 29 || o.Time[0] != begin.Unix() || len(o.Layers) != 2 || o.Layers[0].Top[0] != 0.4 || o.Layers[1].Values[10] != 0.4 || o.Layers[1].Values[13] != 0 || *o.P95[21] < 390 || *o.P95[0] > 11 {
		t.Errorf("%+v", o)
	}
	later := newOverTime(service.Operations[0].Intervals(), s.Now().Add(2*time.Minute))
	if n := len(later.Time); n != 41 || later.Layers[0].Top[40] != 0 || later.P50[40] != nil {
		t.Errorf("two minutes later: %d intervals, want 41: %+v", n, later)
	}
	// The links lead to the traces of the episode.
	link := regexp.MustCompile(`href="(/traces[^"]+)"`)
	for i, want := range []int{8, 12} { // the slow ones are later
		path := html.UnescapeString(link.FindAllStringSubmatch(got, -1)[i][1])
		if n := strings.Count(fetch(t, h, path).Body.String(), `"/t/`); n != want {
			t.Errorf("%s lists %d traces, want %d", path, n, want)
		}
	}
	if list := fetch(t, h, "/errors?service=web").Body.String(); !strings.Contains(list, "no such column") || !strings.Contains(list, "<pre>web/db.rows") {
		t.Error(list)
	}
	if list := fetch(t, h, "/errors?service=none").Body.String(); !strings.Contains(list, "No span with an error has arrived of none.") {
		t.Error(list)
	}
	if list := fetch(t, h, "/traces?errors=1").Body.String(); strings.Count(list, `<small class="bad">sql.Error no such column</small>`) != 12 {
		t.Error(list)
	}
	page := fetch(t, h, "/services/web").Body.String()
	for _, want := range []string{"100% of requests failed", "data-overtime=", "Slowest traces", `<td class="n">400ms</td>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the service's page has no %s: %s", want, page)
		}
	}
}

// TestTwins: each page has an answer as JSON under its own URL.
func TestTwins(t *testing.T) {
	h := New(Config{Store: filled(t)})
	accept := func(r *http.Request) { r.Header.Set("Accept", "application/json") }
	for page, api := range map[string]string{
		"/": "/api/services", "/errors": "/api/errors", "/map": "/api/calls", "/traces": "/api/traces", "/traces?errors=1&q=none": "/api/traces?errors=1&q=none", "/t/" + trace1: "/api/traces/" + trace1,
		"/logs": "/api/logs", "/profiles": "/api/profiles", "/metrics": "/api/metrics", "/services/db": "/api/resources?service=db", "/received": "/api/received",
	} {
		want := fetch(t, h, api).Body.String()
		if got := fetch(t, h, page, accept); got.Body.String() != want || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s as JSON: %s %s, want %s", page, got.Header().Get("Content-Type"), got.Body, want)
		}
		path, query, _ := strings.Cut(page, "?")
		if path == "/" {
			continue
		}
		if got := fetch(t, h, path+".json?"+query).Body.String(); got != want {
			t.Errorf("%s.json: %s, want %s", path, got, want)
		}
	}
	if got := fetch(t, h, "/usage.json").Body.String(); !strings.Contains(got, `"traces":1,"trace_bytes":`) {
		t.Error(got)
	}
	for path, want := range map[string]int{"/nonesuch.json": 404, "/services/nobody.json": 404, "/t/77.json": 404, "/traces.json?min=x": 400} {
		if got := fetch(t, h, path).Code; got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
	}
	browser := func(r *http.Request) {
		r.Header.Set("Accept", "text/html,application/xhtml+xml,application/json;q=0.5,*/*")
	}
	if got := fetch(t, h, "/traces", browser).Header().Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
		t.Errorf("a browser gets %s", got)
	}
}

// TestClear: everything is forgotten, and new data is kept. Other sites cannot clear.
func TestClear(t *testing.T) {
	s, counters := filled(t), received.New()
	s.AddProfiles(wire.Upload{Profiles: []*wire.Profile{{Kind: "cpu"}}, Others: []string{".jfr"}})
	counters.Duplicate()
	counters.Refused("x", 1)
	counters.Request(httptest.NewRequest("GET", "/x", nil), 404, "", time.Now())
	h := New(Config{Store: s, Received: counters})
	s.Replay(time.Now())
	post := func(header, value string) int {
		return fetch(t, h, "/clear", func(r *http.Request) {
			r.Method = http.MethodPost
			r.Header.Set(header, value)
		}).Code
	}
	for header, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
		if code := post(header, value); code != http.StatusForbidden {
			t.Errorf("%s %s: status %d, want 403", header, value, code)
		}
	}
	if code := fetch(t, h, "/clear").Code; code == http.StatusSeeOther || s.Usage().Traces != 1 {
		t.Errorf("GET clears: status %d", code)
	}
	if code := post("Sec-Fetch-Site", "same-origin"); code != http.StatusSeeOther {
		t.Errorf("status %d, want 303", code)
	}
	if u, empty := s.Usage(), store.New(0).Usage(); u != empty {
		t.Errorf("%+v, want %+v", u, empty)
	}
	if n := len(s.Services()) + len(s.Failures("")) + len(s.Calls()) + len(s.StatsdEvents()) + len(s.StatsdChecks()) + len(s.LeftOut()) + len(s.RefusedMetrics()); n != 0 {
		t.Errorf("%d things are left", n)
	}
	if r := counters.Report(); len(r.Requests)+len(r.Reasons)+int(r.Duplicates) != 0 {
		t.Errorf("%+v", r)
	}
	if _, is := s.Recording(); is {
		t.Error("the recording goes on")
	}
	again := filledInto(t, s)
	if again.Usage().Traces != 1 || len(again.Services()) != 2 || len(again.Profiles("", "")) != 0 {
		t.Errorf("%+v", again.Usage())
	}
	s.AddProfiles(wire.Upload{Profiles: []*wire.Profile{{Kind: "heap"}}})
	if p := s.Profiles("", ""); len(p) != 1 || p[0].ID != 2 {
		t.Errorf("%+v, want the ID 2", p)
	}
}

// TestTracePageExplains: what is odd in a trace is said in words, and spans are summed up by
// service and resource.
func TestTracePageExplains(t *testing.T) {
	s := store.New(0)
	early := spanOf(3, 1, "db", -5, 10)
	partial := spanOf(4, 1, "web", 20, 5)
	partial.Metrics = map[string]float64{"_dd.partial_version": 1}
	lost := spanOf(5, 99, "other", 30, 5)
	lost.Error, lost.Tags = true, map[string]string{"error.msg": "told as error.msg", "odd \"tag\"": "a b"}
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 0, "web", 0, 50), early, partial, lost}})
	h := New(Config{Store: s})
	got := fetch(t, h, "/t/"+trace1+"?span=5").Body.String()
	for _, want := range []string{
		"Missing spans: 1. Others name them", "Roots: 2. Several requests", "outside the time of their parent: 1.", "Spans that have not ended: 1.",
		`<i class="c0"></i>`, `<small style="left:0%">0s</small>`, `<small style="left:100%">105ms</small>`,
		"told as error.msg</div>", `complete</span>`, `data-copy="` + trace1 + `"`, `data-copy="5"`, `data-link="/t/` + trace1 + `?span=5"`,
		`href="/t/` + trace1 + `?find=service%3a%22web%22%20resource%3a%22r1%22"`, `href="/traces?q=%40%22odd%20%5c%22tag%5c%22%22%3a%22a%20b%22"`, `<td>web</td><td class="wide">`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if n := strings.Count(got, `<p class="note">`); n != 4 {
		t.Errorf("%d notes, want 4", n)
	}
	s.AddSpans(span.Chunk{TraceID: "1" + trace1[1:], Spans: []span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 0, 100)}})
	if got := fetch(t, h, "/t/1"+trace1[1:]).Body.String(); strings.Contains(got, `<p class="note">`) || strings.Contains(got, "by service and resource") {
		t.Errorf("a plain trace has notes or groups: %s", got)
	}
}

// TestTagsFilter: the link of a tag finds the trace, whatever characters it has.
func TestTagsFilter(t *testing.T) {
	s := store.New(0)
	for _, tag := range []tagLine{{"plain", "a"}, {"quote", `say "x" \ y`}, {"space", "a b:c"}, {"star", "a*b"}, {"minus", "-a"}, {"compare", ">5"}} {
		one := spanOf(7, 0, "web", 0, 5)
		one.Tags = map[string]string{tag.Name: tag.Value}
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", len(tag.Name)), Spans: []span.Span{one}})
		q, err := store.ParseQuery(tag.Query())
		if err != nil {
			t.Errorf("%s: %v", tag.Query(), err)
			continue
		}
		if _, n := s.Traces(store.Filter{Query: q}); n < 1 {
			t.Errorf("%s finds nothing", tag.Query())
		}
	}
}

// TestChosenTime: a rectangle of the chart is visible in the form, stays with other filters,
// and can be removed without them.
func TestChosenTime(t *testing.T) {
	h := New(Config{Store: filled(t)})
	at := time.Now().Truncate(time.Millisecond)
	from, to := fmt.Sprint(at.UnixMilli()), fmt.Sprint(at.Add(time.Second).UnixMilli())
	for query, want := range map[string]string{
		"?from=" + from + "&to=" + to + "&service=a+b&errors=1&q=x:y&min=1ms": "started from " + clock(at, at) + " to " + clock(at.Add(time.Second), at) + ` <a href="/traces?errors=1&amp;min=1ms&amp;q=x%3Ay&amp;service=a&#43;b"`,
		"?from=" + from:                   "started from " + clock(at, at) + ` <a href="/traces?"`,
		"?to=" + to:                       "started before " + clock(at.Add(time.Second), at) + ` <a href="/traces?"`,
		"?to=" + url.QueryEscape(hostile): "started before &#34;&gt;",
	} {
		got := fetch(t, h, "/traces"+query).Body.String()
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %s in %s", query, want, got)
		}
	}
	got := fetch(t, h, "/traces?from="+from).Body.String()
	if !strings.Contains(got, `name="from" value="`+from+`"`) || strings.Contains(got, `name="to"`) {
		t.Error(got)
	}
	if got := fetch(t, h, "/traces").Body.String(); strings.Contains(got, "chip") {
		t.Error(got)
	}
}
