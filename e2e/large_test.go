package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"apmapp/e2e/browser"
	"apmapp/internal/format"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
	"apmapp/internal/testing/poll"
)

// largeTrace returns a trace of n spans, a tree in which each span has ten children. It ended
// a minute ago.
func largeTrace(n int) span.Chunk {
	c := span.Chunk{TraceID: fmt.Sprintf("%032x", n)}
	end := time.Now().Add(-time.Minute)
	for i := range n {
		c.Spans = append(c.Spans, span.Span{
			SpanID: 1_000_000_000_000_000_000 + uint64(i), ParentID: 1_000_000_000_000_000_000 + uint64(i+9)/10 - 1, Service: fmt.Sprint("shop-", i%7), Operation: "step", Resource: fmt.Sprint("step ", i), Type: "web",
			Start: end.Add(time.Duration(i-n) * time.Millisecond), Duration: time.Duration(n-i) * time.Millisecond,
			Tags: map[string]string{"order": fmt.Sprint("order-", i)}, Metrics: map[string]float64{"_top_level": 1},
		})
	}
	c.Spans[0].ParentID = 0
	return c
}

// TestLargeTraces opens traces of 10,000 and 20,000 spans. Only the rows in sight are
// elements, they are drawn soon after the answer, and no step of scrolling takes long. The
// limits are processor time: tests run beside other programs.
func TestLargeTraces(t *testing.T) {
	s := store.New(256_000_000)
	pages := pagesOf(t, s)
	b := browser.Start(t)
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/traces"))
	for _, n := range []int{10_000, 20_000} {
		c := largeTrace(n)
		s.AddSpans(c)
		b.Text(t)
		before := b.CPU(t)
		b.Do(t, chromedp.Navigate(pages+"/t/"+c.TraceID))
		b.Text(t)
		loaded := b.CPU(t)
		if loaded > before { // in the same process of the browser
			loaded -= before
		} else {
			before = 0
		}
		type timing struct{ Served, Painted, Drawn, Longest, Steps, Bytes float64 }
		scroll := browser.Get(t, b, chromedp.Evaluate[timing](`(async () => {
			const [page] = performance.getEntriesByType("navigation");
			const painted = performance.getEntriesByName("first-contentful-paint")[0].startTime;
			const box = document.getElementById("waterfall");
			let longest = 0, steps = 0;
			const observer = new PerformanceObserver(list => longest = Math.max(longest, ...list.getEntries().map(e => e.duration)));
			observer.observe({type: "longtask"});
			for (; steps < 200; steps++) {
				box.scrollTop = box.scrollHeight * steps / 200;
				await new Promise(requestAnimationFrame);
			}
			observer.disconnect();
			return {Served: page.responseEnd, Painted: painted - page.responseEnd, Drawn: page.domContentLoadedEventEnd - page.responseEnd, Longest: longest, Steps: steps, Bytes: page.transferSize};
		})()`, chromedp.EvalAwaitPromise))
		step := (b.CPU(t) - before - loaded) / time.Duration(scroll.Steps)
		t.Logf("%d spans: %s to load, %s for a step, processor time; milliseconds of the clock: %+v", n, format.Duration(loaded), format.Duration(step), scroll)
		if most := 300 * time.Millisecond; loaded <= 0 || loaded > most {
			t.Errorf("%d spans: %s to load, want at most %s", n, loaded, most)
		}
		if most := 25 * time.Millisecond; step <= 0 || step > most {
			t.Errorf("%d spans: %s for a step of scrolling, want at most %s", n, step, most)
		}
		if most := 80 * float64(n); scroll.Bytes > most {
			t.Errorf("%d spans: %g bytes, want at most %g", n, scroll.Bytes, most)
		}
		if rows := eval[int](t, b, `document.querySelectorAll("a.span").length`); rows < 10 || rows > 100 {
			t.Errorf("%d rows are elements, want only those in sight", rows)
		}
	}
	for _, e := range b.Errors() {
		t.Errorf("error on the page: %s", e)
	}
}

// TestTrace navigates in a trace: by clicks, keys, folding and finding.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	c := largeTrace(500)
	c.Spans[300].Error, c.Spans[300].Tags["error.message"] = true, "out of stock"
	c.Spans[20].Type, c.Spans[20].Resource = "sql", "SELECT 1 FROM orders"
	s.AddSpans(c)
	id := func(i int) string { return fmt.Sprint(c.Spans[i].SpanID) }
	s.AddLog(wire.Log{Time: c.Spans[499].Start, Level: "INFO", Message: "late", TraceID: c.TraceID, SpanID: id(499)})
	pages := pagesOf(t, s)
	b := browser.Start(t)
	click := func(selector string) {
		t.Helper()
		if !eval[bool](t, b, fmt.Sprintf(`(e => { if (e) e.click(); return !!e })(document.querySelector(%q))`, selector)) {
			t.Fatalf("no %s", selector)
		}
	}
	shown := func(what string, i int) {
		t.Helper()
		poll.True(t, what, func() bool {
			return eval[bool](t, b, fmt.Sprintf(`document.readyState === "complete" && document.querySelector("#span code")?.innerText === %q && document.querySelectorAll("a.span[aria-current]").length === 1 &&
				(a => a.href.endsWith(%[1]q) && (r => r.top >= -1 && r.bottom <= innerHeight)(a.getBoundingClientRect()))(document.querySelector("a.span[aria-current]"))`, id(i)))
		})
	}
	rows := func() string {
		return eval[string](t, b, `String(document.getElementById("waterfall").firstElementChild.clientHeight / 26)`)
	}
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/t/"+c.TraceID))
	shown("the first span is selected", 0)

	// The details are beside the waterfall.
	if !eval[bool](t, b, `(r => r.left > document.getElementById("waterfall").getBoundingClientRect().right && r.top < 300)(document.getElementById("span").getBoundingClientRect())`) {
		t.Error("the details are not beside the waterfall")
	}
	click("a.span:nth-child(3)")
	shown("a click selects", 11)
	if got := eval[string](t, b, `location.search`); got != "?span="+id(11) {
		t.Errorf("the address is %s", got)
	}
	b.Do(t, chromedp.NavigateBack())
	shown("the way back selects the span before", 0)

	// Keys. Rows are a walk through the tree: 0, 1, 11, 111, …
	for _, key := range []struct {
		key string
		to  int
	}{{"j", 1}, {"j", 11}, {"k", 1}} {
		b.Do(t, chromedp.KeyEvent(key.key))
		shown("key "+key.key, key.to)
	}
	eval[bool](t, b, `(document.getElementById("waterfall").focus(), true)`)
	for _, key := range []struct {
		key string
		to  int
	}{{kb.ArrowDown, 11}, {kb.ArrowUp, 1}, {kb.End, 110}, {kb.ArrowLeft, 10}, {kb.Home, 0}} {
		b.Do(t, chromedp.KeyEvent(key.key))
		shown("key "+key.key, key.to)
	}

	// Folding.
	if got := rows(); got != "500" {
		t.Errorf("%s rows, want 500", got)
	}
	b.Do(t, chromedp.KeyEvent(kb.ArrowLeft))
	if got := rows(); got != "1" || !strings.Contains(b.Text(t), "+ 499") {
		t.Errorf("%s rows after folding, want 1:\n%s", got, b.Text(t))
	}
	b.Do(t, chromedp.KeyEvent(kb.ArrowRight))
	click("a.span:nth-child(2) .fold")
	if got := rows(); got != "390" { // without the 110 below the first child
		t.Errorf("%s rows after folding the first child, want 390", got)
	}
	shown("folding does not select", 0)
	click("#fold")
	if got := rows(); got != "500" {
		t.Errorf("%s rows after unfolding all, want 500", got)
	}
	click("#fold")
	if got := rows(); got != "11" {
		t.Errorf("%s rows after folding all, want 11", got)
	}
	if n := eval[int](t, b, `document.querySelectorAll("a.span small.bad").length`); n != 1 {
		t.Errorf("%d folded rows show that a span below failed, want 1", n)
	}

	// Finding unfolds.
	b.Do(t, chromedp.Focus("#find"), chromedp.KeyEvent("stock"), chromedp.KeyEvent(kb.Enter))
	shown("Enter moves to the span that is found", 300)
	shows := func(want string) {
		t.Helper()
		poll.True(t, want, func() bool { return eval[string](t, b, `document.getElementById("found").innerText`) == want })
	}
	shows("1 of 1")
	shoot(t, b, "/find", 1280)
	b.Do(t, chromedp.Navigate(pages+"/t/"+c.TraceID+"?find=order-49"))
	shows("11 found") // 49, 490 … 499
	eval[bool](t, b, `(document.activeElement.blur(), true)`)
	for _, key := range []struct {
		key, shows string
		to         int
	}{{"n", "1 of 11", 490}, {"n", "2 of 11", 49}, {"N", "1 of 11", 490}, {"N", "11 of 11", 499}, {"n", "1 of 11", 490}} {
		b.Do(t, chromedp.KeyEvent(key.key))
		shown("key "+key.key, key.to)
		shows(key.shows)
	}
	if n := eval[int](t, b, `document.querySelectorAll("a.span.found").length`); n < 10 {
		t.Errorf("%d found rows are marked", n)
	}
	b.Do(t, chromedp.Navigate(pages+"/t/"+c.TraceID+"?find=duration%3A%3Efast"))
	shows(`q: duration: limit must be a duration such as 10ms, got "fast"`)

	// A log line leads to its span.
	click("#logs a[data-span]")
	shown("the span of a log line", 499)
	if n := eval[int](t, b, `document.querySelectorAll("a.span[aria-current] .mark.info").length`); n != 1 {
		t.Errorf("%d dots, want 1", n)
	}

	// Copying.
	b.Do(t, chromedp.Navigate(pages+"/t/"+c.TraceID+"?span="+id(20)))
	shown("a link selects", 20)
	eval[bool](t, b, `(window.copied = [], navigator.clipboard.writeText = async text => { copied.push(text) }, document.querySelectorAll("button.copy").forEach(b => b.click()), true)`)
	want := strings.Join([]string{c.TraceID, id(20), pages + "/t/" + c.TraceID + "?span=" + id(20), "SELECT 1 FROM orders"}, "|")
	if got := eval[string](t, b, `copied.join("|")`); got != want {
		t.Errorf("copied %s, want %s", got, want)
	}

	// On a narrow page the details are below the waterfall, which has a height of its own.
	b.Do(t, chromedp.EmulateViewport(400, 900), chromedp.Navigate(pages+"/t/"+c.TraceID))
	shown("the first span is selected", 0)
	if top := eval[float64](t, b, `document.getElementById("span").getBoundingClientRect().top`); top > 1100 {
		t.Errorf("the details are at %g pixels", top)
	}
	if eval[bool](t, b, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page is wider than 400 pixels")
	}
	for _, e := range b.Errors() {
		if !strings.Contains(e, "400 (Bad Request)") { // of the wrong query
			t.Errorf("error on the page: %s", e)
		}
	}
}

// TestTraceIsLiveUntilItIsComplete: spans that arrive later appear, and the selection, what is
// folded and the place in the waterfall stay.
func TestTraceIsLiveUntilItIsComplete(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	now := time.Now()
	c := largeTrace(300)
	for i := range c.Spans {
		c.Spans[i].Start = now
	}
	late := c.Spans[299]
	c.Spans = c.Spans[:299]
	s.AddSpans(c)
	pages := pagesOf(t, s)
	b := browser.Start(t)
	text := func(what, want string) {
		t.Helper()
		poll.True(t, what, func() bool { return strings.Contains(b.Text(t), want) })
	}
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/t/"+c.TraceID+"?span="+fmt.Sprint(c.Spans[250].SpanID)))
	text("the page says that it is live", "299 spans · still arriving: the last span has just ended")
	eval[bool](t, b, `(document.getElementById("waterfall").scrollTop = 1000, true)`)
	s.AddSpans(span.Chunk{TraceID: c.TraceID, Spans: []span.Span{late}})
	text("a late span appears", "300 spans")
	s.AddLog(wire.Log{Time: now, Level: "INFO", Message: "late line", TraceID: c.TraceID, SpanID: fmt.Sprint(late.SpanID)})
	text("a late log line appears", "late line")
	if got := eval[float64](t, b, `document.getElementById("waterfall").scrollTop`); got != 1000 {
		t.Errorf("the waterfall moved to %g", got)
	}
	if got := eval[string](t, b, `document.querySelector("#span code").innerText`); got != fmt.Sprint(c.Spans[250].SpanID) {
		t.Errorf("the span %s is shown", got)
	}
	for _, e := range b.Errors() {
		t.Errorf("error on the page: %s", e)
	}
}

// TestMissingTraceArrives: the page of a trace that has not arrived shows it when it does.
func TestMissingTraceArrives(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	pages := pagesOf(t, s)
	b := browser.Start(t)
	b.Do(t, chromedp.Navigate(pages+fmt.Sprintf("/t/%032x", 7)))
	if !strings.Contains(b.Text(t), "has not arrived yet") {
		t.Fatal(b.Text(t))
	}
	addTraces(s, 7, 7)
	poll.True(t, "the trace is shown", func() bool { return strings.Contains(b.Text(t), "GET /7") })
	for _, e := range b.Errors() {
		if !strings.Contains(e, fmt.Sprint(http.StatusNotFound)) {
			t.Errorf("error on the page: %s", e)
		}
	}
}

// TestCompareTraces goes from a trace to its comparison with the slowest one of its resource.
func TestCompareTraces(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	add := func(id int, statement, total time.Duration, more bool) {
		now := time.Now().Add(-time.Minute)
		spans := []span.Span{
			{SpanID: 1, Service: "web", Operation: "http.request", Resource: "GET /", Type: "web", Start: now, Duration: total},
			{SpanID: 2, ParentID: 1, Service: "db", Operation: "query", Resource: "SELECT 1 FROM orders", Type: "sql", Start: now, Duration: statement},
		}
		if more {
			spans = append(spans, span.Span{SpanID: 3, ParentID: 1, Service: "mail", Operation: "http.request", Resource: "POST /send", Type: "http", Start: now, Duration: time.Millisecond})
		}
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", id), Spans: spans})
	}
	add(1, 10*time.Millisecond, 20*time.Millisecond, false)
	add(2, 200*time.Millisecond, 220*time.Millisecond, true)
	pages := pagesOf(t, s)
	b := browser.Start(t)
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+fmt.Sprintf("/t/%032x", 1)))
	b.Text(t)
	b.Do(t, chromedp.Click(`a[href$="with=slowest"]`))
	text := ""
	poll.True(t, "the comparison is shown", func() bool {
		text = b.Text(t)
		return strings.Contains(text, "b was 200ms faster than a.")
	})
	for _, want := range []string{"The largest difference: 190ms less in db SELECT 1 FROM orders.", "Only a has 1 of these spans.", "only in a", "-190ms", "Statements"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	shoot(t, b, "/compare", 1280)
	b.Do(t, chromedp.EmulateViewport(400, 900))
	if eval[bool](t, b, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page is wider than 400 pixels")
	}
	for _, e := range b.Errors() {
		t.Errorf("error on the page: %s", e)
	}
}
