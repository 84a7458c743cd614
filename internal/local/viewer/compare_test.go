package viewer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// twoTraces returns a fast and a slow trace: the slow one has a longer statement, one
// statement twice, and calls a service that the fast one does not call.
func twoTraces() (a, b store.Trace) {
	named := func(s span.Span, operation, resource, typ string) span.Span {
		s.Operation, s.Resource, s.Type = operation, resource, typ
		return s
	}
	a = store.Trace{ID: strings.Repeat("0", 31) + "a", Spans: []span.Span{
		named(spanOf(1, 0, "web", 0, 100), "http.request", "GET /", "web"),
		named(spanOf(2, 1, "db", 10, 30), "query", "SELECT 1", "sql"),
		named(spanOf(3, 1, "cache", 40, 50), "get", "GET key", "redis"),
	}}
	b = store.Trace{ID: strings.Repeat("0", 31) + "b", Spans: []span.Span{
		named(spanOf(1, 0, "web", 0, 300), "http.request", "GET /", "web"),
		named(spanOf(2, 1, "db", 10, 130), "query", "SELECT 1", "sql"),
		named(spanOf(3, 1, "db", 140, 150), "query", "SELECT 1", "sql"),
		named(spanOf(4, 1, "mail", 150, 250), "http.request", "POST /send", "http"),
		named(spanOf(5, 4, "db", 160, 170), "query", "INSERT 1", ""),
	}}
	b.Spans[4].Tags = map[string]string{"db.system": "mysql"}
	b.Spans[3].Error = true
	return a, b
}

func TestCompare(t *testing.T) {
	a, b := twoTraces()
	text := func(rows []comparedRow) string {
		var all []string
		for _, r := range rows {
			all = append(all, fmt.Sprintf("%d %s %s %d/%d %s %s %s%s %.2f", r.Depth, r.Service, r.Resource, r.A.Spans, r.B.Spans, change(r.Total()), change(r.Self()), map[bool]string{true: "only "}[r.Only() != ""], r.Only(), r.Share))
		}
		return strings.Join(all, "\n")
	}
	c := compare(a, b)
	if got, want := text(c.Rows), strings.Join([]string{
		"0 web GET / 1/1 +200ms 0s  0.00",
		"1 db SELECT 1 1/2 +110ms +110ms  1.00",
		"1 cache GET key 1/0 -10.0ms -10.0ms only a -0.09",
		"1 mail POST /send 0/1 +100ms +90.0ms only b 0.82",
		"2 db INSERT 1 0/1 +10.0ms +10.0ms only b 0.09",
	}, "\n"); got != want {
		t.Errorf("rows:\n%s\nwant\n%s", got, want)
	}
	if got, want := text(c.Statements), "0 db SELECT 1 1/2 +110ms +110ms  1.00\n0 db INSERT 1 0/1 +10.0ms +10.0ms only b 0.09"; got != want {
		t.Errorf("statements:\n%s\nwant\n%s", got, want)
	}
	if got, want := strings.Join(c.Summary, " "), "b took 200ms longer than a. The largest difference: 110ms more in db SELECT 1. Only a has 1 of these spans. Only b has 2 of these spans."; got != want {
		t.Errorf("summary: %s, want %s", got, want)
	}
	if c.A.Errors != 0 || c.B.Errors != 1 || c.A.Spans != 3 || c.B.Spans != 5 || c.Difference != 200*time.Millisecond || c.Left != 0 {
		t.Errorf("%+v", c)
	}
	if got := strings.Join(compare(b, a).Summary, " "); !strings.HasPrefix(got, "b was 200ms faster than a. The largest difference: 110ms less in db SELECT 1.") {
		t.Error(got)
	}
	same := compare(a, a)
	if got := strings.Join(same.Summary, " "); got != "Both took the same time." || same.Rows[1].Share != 0 {
		t.Errorf("%s %+v", got, same.Rows)
	}
}

// TestCompareManySpans: a chain of spans and many different ones; the rest is counted.
func TestCompareManySpans(t *testing.T) {
	const n = 20_000
	var chain, wide []span.Span
	for i := range n {
		chain = append(chain, spanOf(uint64(i)+1, uint64(i), "web", i, 2*n-i))
		wide = append(wide, spanOf(uint64(i)+1, min(uint64(i), 1), "web", i, i+1))
	}
	c := compare(store.Trace{Spans: chain}, store.Trace{Spans: wide})
	if len(c.Rows) != compared || c.Left != 2*n-1-1-compared { // r1 and r2 are in both
		t.Errorf("%d rows, %d left out", len(c.Rows), c.Left)
	}
}

// TestComparePage: the page of a trace leads to a comparison with another one of its root.
func TestComparePage(t *testing.T) {
	s := store.New(0)
	id := func(i int) string { return fmt.Sprintf("%032x", i) }
	for i, ms := range []int{50, 10, 70, 30, 5, 90} { // 30 ms is the median without the one that failed
		one := spanOf(1, 0, "web", 0, ms)
		one.Resource, one.Error = "GET /", ms == 5
		s.AddSpans(span.Chunk{TraceID: id(i + 1), Spans: []span.Span{one}})
	}
	other := spanOf(1, 0, "web", 0, 20)
	below := spanOf(2, 1, "web", 0, 1)
	below.Resource = "GET /"
	s.AddSpans(span.Chunk{TraceID: id(9), Spans: []span.Span{other, below}})
	h := New(Config{Store: s})
	for with, want := range map[string]string{
		"usual":   "/compare?a=" + id(1) + "&b=" + id(3), // of 10, 30, 50, 90
		"fastest": "/compare?a=" + id(2) + "&b=" + id(3),
		"slowest": "/compare?a=" + id(6) + "&b=" + id(3),
	} {
		if page := fetch(t, h, "/t/"+id(3)).Body.String(); !strings.Contains(page, `href="/compare?b=`+id(3)+`&amp;with=`+with+`"`) {
			t.Errorf("the page does not lead to %s: %s", with, page)
		}
		w := fetch(t, h, "/compare?b="+id(3)+"&with="+with)
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
			t.Errorf("%s: status %d, %s, want %s", with, w.Code, got, want)
		}
		if got := fetch(t, h, "/compare.json?b="+id(3)+"&with="+with).Header().Get("Location"); got != strings.Replace(want, "?", ".json?", 1) {
			t.Errorf("%s: %s", with, got)
		}
	}
	if got := fetch(t, h, "/compare?b="+id(6)+"&with=slowest").Header().Get("Location"); got != "/compare?a="+id(3)+"&b="+id(6) {
		t.Errorf("the slowest one beside the slowest: %s", got)
	}
	page := fetch(t, h, "/compare?a="+id(2)+"&b="+id(3)).Body.String()
	for _, want := range []string{"b took 60.0ms longer than a.", `<a href="/t/` + id(2) + `">`, `<a href="/compare?a=` + id(3) + `&amp;b=` + id(2) + `">`, `class="more" style="width:50.0%"`, ">&#43;60.0ms<"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	var c comparison
	if err := json.Unmarshal(fetch(t, h, "/compare.json?a="+id(3)+"&b="+id(2)).Body.Bytes(), &c); err != nil || c.Difference != -60*time.Millisecond || len(c.Rows) != 1 || c.Rows[0].A.Spans != 1 || len(c.Summary) != 2 {
		t.Errorf("%v: %+v", err, c)
	}
	for path, want := range map[string]struct {
		page, twin int
		text       string
	}{
		"?a=" + id(2) + "&b=77":       {404, 404, "Trace 77 has not arrived yet, or was evicted."},
		"?a=77&b=" + id(2):            {404, 404, "Trace 77 has not arrived yet, or was evicted."},
		"?b=" + id(2) + "&with=luck":  {400, 400, "with must be one of usual, fastest, slowest, got "},
		"?b=" + id(9) + "&with=usual": {200, 404, "There is no other trace of web r1 to compare with."},
		"":                            {200, 404, ""},
	} {
		w, twin := fetch(t, h, "/compare"+path), fetch(t, h, "/compare.json"+path)
		if w.Code != want.page || twin.Code != want.twin || !strings.Contains(w.Body.String(), want.text) || !strings.Contains(twin.Body.String(), want.text) {
			t.Errorf("%s: status %d and %d, want %d, %d and %q: %s %s", path, w.Code, twin.Code, want.page, want.twin, want.text, w.Body, twin.Body)
		}
	}
}

// TestComparablesAreTheLatest: the traces to compare with are among the latest 2,000.
func TestComparablesAreTheLatest(t *testing.T) {
	s := store.New(64 << 20)
	for i := range comparables + 1 { // the first one is the slowest
		one := spanOf(1, 0, "web", i, i+10+map[bool]int{true: 1000}[i == 0])
		one.Resource = "GET /"
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", i+1), Spans: []span.Span{one}})
	}
	id := fmt.Sprintf("%032x", comparables+1)
	got := fetch(t, New(Config{Store: s}), "/compare?with=slowest&b="+id).Header().Get("Location")
	if strings.Contains(got, fmt.Sprintf("a=%032x&", 1)) || !strings.Contains(got, "&b="+id) {
		t.Errorf("compared with an older one: %s", got)
	}
}
