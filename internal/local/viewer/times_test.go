package viewer

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

func TestChange(t *testing.T) {
	for _, c := range []struct {
		now, before float64
		want        string
	}{{1, 1, ""}, {0, 0, ""}, {1, 0, "new"}, {0, 1, "gone"}, {2, 1, "×2"}, {3.1, 1, "×3.10"}, {1.5, 1, "+50.0%"}, {1.999, 1, "+99.9%"}, {1, 2, "−50.0%"}, {1, 1000, "−99.9%"}} {
		if got := changeOf(c.now, c.before); got != c.want {
			t.Errorf("%g after %g: %q, want %q", c.now, c.before, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Unix(1_700_000_007, 0)
	const at = 1_700_000_000
	for query, want := range map[string]string{
		"":                                    "-120 0 -240 -120",
		"from=1700000010000&to=1700000040000": "10 40 -20 10",
		"from=1700000010000&to=1700000040000&base_from=1699999900000&base_to=1700000000000": "10 40 -100 0",
		"from=1700000010000":                                        "set from and to, and base_from and base_to or neither of them",
		"base_from=1700000010000&base_to=1700000020000":             "set from and to, and base_from and base_to or neither of them",
		"from=1700000010000&to=1700000040000&base_to=1":             "set from and to, and base_from and base_to or neither of them",
		"from=1700000040000&to=1700000010000":                       "a time must begin before it ends",
		"from=noon&to=1":                                            `from must be a time in milliseconds since 1970, got "noon"`,
		"from=1700000010000&to=1700000040000&base_from=5&base_to=5": "a time must begin before it ends",
	} {
		q, _ := url.ParseQuery(query)
		c, err := newTimes(scope{Service: "web"}, q, now)
		got := fmt.Sprint(c.From.Unix()-at, c.To.Unix()-at, c.BaseFrom.Unix()-at, c.BaseTo.Unix()-at)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestNowAndBefore: from the page of a service, a link leads to what changed in an episode:
// rates, durations and calls.
func TestNowAndBefore(t *testing.T) {
	s := store.New(0)
	begin := time.Unix(1_700_000_000, 0)
	for i := range 12 { // two minutes; the last one is slow, by a statement, and half of it fails
		start := begin.Add(time.Duration(i) * 10 * time.Second)
		slow := i >= 6
		for n := range 4 {
			root := spanOf(1, 0, "web", 0, 10)
			root.Start, root.Resource, root.Operation = start, "GET /", "web.request"
			root.Metrics = map[string]float64{"_top_level": 1}
			child := root
			child.SpanID, child.ParentID, child.Service, child.Resource, child.Duration = 2, 1, "db", "SELECT", 5*time.Millisecond
			if slow {
				root.Duration, child.Duration, root.Error = time.Second, 900*time.Millisecond, n%2 == 0
			}
			s.Replay(start.Add(2 * time.Second))
			s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", 4*i+n+1), Spans: []span.Span{root, child}})
		}
	}
	s.Replay(begin.Add(2 * time.Minute))
	h := New(Config{Store: s})
	page := fetch(t, h, "/services/web").Body.String()
	link := regexp.MustCompile(`href="([^"]*/compare\?[^"]*from=[^"]*)">what changed`).FindStringSubmatch(page)
	if link == nil {
		t.Fatal(page)
	}
	whole := fmt.Sprintf("/services/web/compare?from=%d&to=%d", begin.Add(time.Minute).UnixMilli(), begin.Add(2*time.Minute).UnixMilli())
	for _, path := range []string{html.UnescapeString(link[1]), whole, whole + "&name=GET+/", whole + "&name=GET+/&operation=web.request"} {
		w := fetch(t, h, path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
		var got []string
		for _, m := range regexp.MustCompile(`<td class="n[^>]*>([^<]*)</td>`).FindAllStringSubmatch(w.Body.String(), -1) {
			got = append(got, m[1])
		}
		want := "0.400/s 0.400/s  50.0% 0% new 1.01s 9.92ms ×102 1.01s 9.92ms ×102 1.01s 9.92ms ×102 1 1 900ms 5.00ms ×180 0% 0%"
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", path, strings.Join(got, " "), want)
		}
	}
	twin := fetch(t, h, strings.Replace(whole, "/compare?", "/compare.json?", 1)).Body.String()
	for _, want := range []string{`"now":{`, `"before":{`, `"errors":12`, `"hits":24`, `"callees":[{"service":"db"`} {
		if !strings.Contains(twin, want) {
			t.Errorf("no %s in %s", want, twin)
		}
	}
	for path, status := range map[string]int{"/services/none/compare": 404, "/services/web/compare?name=none": 404, "/services/web/compare?from=x": 400} {
		for _, twin := range []string{path, strings.Replace(path, "/compare", "/compare.json", 1)} {
			if w := fetch(t, h, twin); w.Code != status {
				t.Errorf("%s: %d, want %d", twin, w.Code, status)
			}
		}
	}
}
