package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"apmapp/e2e/browser"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/viewer"
	"apmapp/internal/testing/poll"
)

// pagesOf serves the pages of a store and returns their URL.
func pagesOf(t *testing.T, s *store.Store) string {
	t.Helper()
	server := httptest.NewServer(viewer.New(viewer.Config{Store: s}))
	t.Cleanup(server.Close)
	return server.URL
}

// addTraces adds traces with consecutive IDs, each later than the one before.
func addTraces(s *store.Store, from, to int) {
	for i := from; i <= to; i++ {
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", i), Spans: []span.Span{{
			SpanID: 1, Service: "web", Operation: "http.request", Resource: fmt.Sprint("GET /", i), Type: "web",
			Start: time.Now().Add(time.Duration(i-10_000) * time.Millisecond), Duration: time.Duration(10+i%90) * time.Millisecond,
			Tags: map[string]string{"span.kind": "server", "http.status_code": "200"}, Metrics: map[string]float64{"_top_level": 1},
		}}})
	}
}

// eval evaluates a script in the page.
func eval[T any](t *testing.T, b *browser.Browser, script string) T {
	t.Helper()
	return browser.Get(t, b, chromedp.Evaluate[T](script))
}

// mouse moves, presses or releases the mouse at a place of the page.
func mouse(t *testing.T, b *browser.Browser, typ input.DispatchMouseEventType, x, y float64, pressed bool) {
	t.Helper()
	b.Do(t, chromedp.MouseEvent(typ, x, y, func(p *input.DispatchMouseEventParams) {
		if pressed {
			p.Button, p.Buttons, p.ClickCount = input.MouseButtonLeft, 1, 1
		}
	}))
}

// TestListsDoNotWorkAgainstTheUser: a live list stays as it is while the user points at it,
// scrolls or selects in it, and shows how many rows are new. Typing does not stop it.
func TestListsDoNotWorkAgainstTheUser(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	addTraces(s, 1, 60)
	pages := pagesOf(t, s)
	b := browser.Start(t)
	first := func() string { return eval[string](t, b, `document.querySelector("[data-key]").innerText`) }
	shows := func(what string, resource int) {
		t.Helper()
		poll.True(t, what, func() bool { return strings.Contains(first(), fmt.Sprint("GET /", resource)) })
	}
	notice := func(what, want string) {
		t.Helper()
		poll.True(t, what, func() bool {
			return eval[string](t, b, `document.getElementById("new").hidden ? "" : document.getElementById("new").innerText`) == want
		})
	}
	away := func() { mouse(t, b, chromedp.MouseMoved, 5, 5, false) }
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/traces"))
	away()
	shows("the latest trace is first", 60)
	addTraces(s, 61, 61)
	shows("a new trace appears", 61)

	// Pointing at the list.
	mouse(t, b, chromedp.MouseMoved, 400, 600, false)
	addTraces(s, 62, 62)
	notice("a new row is counted", "1 new · show")
	addTraces(s, 63, 64)
	notice("three new rows are counted", "3 new · show")
	if got := first(); !strings.Contains(got, "GET /61") {
		t.Errorf("the row under the pointer became %q", got)
	}
	shoot(t, b, "/new", 1280)
	b.Do(t, chromedp.Click("#new"))
	shows("the button shows the new rows", 64)
	notice("the button leaves", "")
	mouse(t, b, chromedp.MouseMoved, 400, 600, false)
	addTraces(s, 65, 65)
	notice("a new row is counted again", "1 new · show")
	away()
	shows("the list goes on when the pointer leaves it", 65)

	mouse(t, b, chromedp.MouseMoved, 400, 600, false)
	s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", 65), Spans: []span.Span{{SpanID: 2, ParentID: 1, Service: "web", Start: time.Now(), Duration: 1}}})
	notice("a row that changed", "new data · show")
	away()
	notice("a row that changed is shown", "")

	// Typing.
	b.Do(t, chromedp.Focus("input[type=search]"), chromedp.KeyEvent("ser"))
	addTraces(s, 66, 66)
	shows("the list goes on while the user types", 66)
	b.Do(t, chromedp.KeyEvent("vice"))
	if got := eval[string](t, b, `document.activeElement.value`); got != "service" {
		t.Errorf("the text in the form is %q, want service", got)
	}
	eval[bool](t, b, `(document.activeElement.blur(), true)`)
	addTraces(s, 67, 67)
	shows("the list goes on after the user has typed", 67)
	if got := eval[string](t, b, `document.querySelector("input[type=search]").value`); got != "service" {
		t.Errorf("the text in the form became %q", got)
	}

	// Selecting.
	eval[bool](t, b, `(getSelection().selectAllChildren(document.querySelector("[data-key]")), true)`)
	addTraces(s, 68, 68)
	notice("a new row is counted during a selection", "1 new · show")
	eval[bool](t, b, `(getSelection().removeAllRanges(), true)`)
	shows("the list goes on without a selection", 68)

	// Scrolling.
	eval[bool](t, b, `(scrollTo(0, 900), true)`)
	addTraces(s, 69, 70)
	notice("new rows are counted in a list that is scrolled", "2 new · show")
	if got := eval[float64](t, b, `scrollY`); got != 900 {
		t.Errorf("the page moved to %g", got)
	}
	b.Do(t, chromedp.Click("#new"))
	shows("the button shows rows above", 70)
	poll.True(t, "the new rows are in sight", func() bool {
		return eval[bool](t, b, `document.querySelector("[data-key]").getBoundingClientRect().top >= 0`)
	})
	eval[bool](t, b, `(scrollTo(0, 0), true)`)

	// Drawing a rectangle.
	chart := eval[[]float64](t, b, `(r => [r.left, r.top])(document.querySelector("#scatter .u-over").getBoundingClientRect())`)
	mouse(t, b, chromedp.MouseMoved, chart[0]+100, chart[1]+20, false)
	mouse(t, b, chromedp.MousePressed, chart[0]+100, chart[1]+20, true)
	mouse(t, b, chromedp.MouseMoved, chart[0]+500, chart[1]+100, true)
	eval[bool](t, b, `(window.drawn = document.querySelector("#scatter canvas"), true)`)
	addTraces(s, 71, 71)
	notice("a new row is counted while a rectangle is drawn", "1 new · show")
	if !eval[bool](t, b, `window.drawn.isConnected && document.querySelector(".u-select").clientWidth > 300`) {
		t.Error("the chart was drawn again under a rectangle")
	}
	mouse(t, b, chromedp.MouseReleased, chart[0]+500, chart[1]+100, true)
	poll.True(t, "the rectangle filters", func() bool {
		b.Text(t)
		return eval[bool](t, b, `/from=\d+&to=\d+&min=/.test(location.search) && !!document.querySelector(".chip")`)
	})
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}

// TestKeysMoveInLists: j and k and the arrows move from row to row, Enter opens one, and the
// way back leads to it.
func TestKeysMoveInLists(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	addTraces(s, 1, 250)
	pages := pagesOf(t, s)
	b := browser.Start(t)
	focused := func() string {
		return eval[string](t, b, `document.activeElement.closest("[data-key]")?.cells[2].innerText ?? ""`)
	}
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/traces"))
	b.Text(t)
	for _, key := range []struct{ key, want string }{
		{"j", "GET /250"}, {"j", "GET /249"}, {kb.ArrowDown, "GET /248"}, {"k", "GET /249"}, {kb.ArrowUp, "GET /250"}, {"k", "GET /250"}, {kb.Escape, ""}, {"j", "GET /250"},
	} {
		b.Do(t, chromedp.KeyEvent(key.key))
		if got := focused(); got != key.want {
			t.Errorf("%q moves to %q, want %q", key.key, got, key.want)
		}
	}
	for range 40 {
		b.Do(t, chromedp.KeyEvent("j"))
	}
	if !eval[bool](t, b, `(r => r.top >= 0 && r.bottom < innerHeight + 1)(document.activeElement.closest("tr").getBoundingClientRect())`) {
		t.Error("the row with the focus is out of sight")
	}
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	poll.True(t, "Enter opens the trace", func() bool { return strings.Contains(b.Text(t), "Logs of this trace") })
	b.Do(t, chromedp.NavigateBack())
	poll.True(t, "the way back leads to the row", func() bool { b.Text(t); return focused() == "GET /210" })
	s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", 300), Spans: []span.Span{{SpanID: 1, Service: "web", Resource: "GET /failed", Start: time.Now(), Duration: 1, Error: true, Tags: map[string]string{"error.type": "Timeout"}}}})
	b.Do(t, chromedp.Navigate(pages+"/errors"))
	b.Text(t)
	b.Do(t, chromedp.KeyEvent("j"), chromedp.KeyEvent(kb.Enter))
	poll.True(t, "Enter opens the trace of an error", func() bool {
		return strings.Contains(b.Text(t), "GET /failed") && strings.Contains(b.Text(t), "Logs of this trace")
	})
	b.Do(t, chromedp.Navigate(pages+"/traces"))
	b.Text(t)
	b.Do(t, chromedp.KeyEvent("/"))
	if !eval[bool](t, b, `document.activeElement.matches("input[type=search]")`) {
		t.Error("a slash does not move to the search")
	}
	b.Do(t, chromedp.KeyEvent("jk"))
	if got := eval[string](t, b, `document.activeElement.value`); !strings.HasSuffix(got, "jk") {
		t.Errorf("keys in the search: %q, want jk", got)
	}
}

// TestSevenTabs: a browser opens six connections to a host. Seven tabs share one stream of
// events, and a pause holds in all of them.
func TestSevenTabs(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	addTraces(s, 1, 1)
	var streams atomic.Int32
	pages := viewer.New(viewer.Config{Store: s})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			streams.Add(1)
			defer streams.Add(-1)
		}
		pages.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b := browser.Start(t)
	tabs := []*browser.Browser{b}
	b.Do(t, chromedp.Navigate(server.URL+"/traces"))
	for range 6 {
		tab := b.Tab(t)
		tab.Do(t, chromedp.Navigate(server.URL+"/traces"))
		tabs = append(tabs, tab)
	}
	last := tabs[6]
	if !strings.Contains(last.Text(t), "GET /1") {
		t.Fatal("the seventh tab does not load")
	}
	if n := streams.Load(); n != 1 {
		t.Errorf("%d streams of events, want 1", n)
	}
	addTraces(s, 2, 2)
	poll.True(t, "the seventh tab is live", func() bool { return strings.Contains(last.Text(t), "GET /2") })

	eval[bool](t, last, `(document.getElementById("live").click(), true)`)
	for i, tab := range tabs {
		poll.True(t, fmt.Sprintf("tab %d is paused", i+1), func() bool {
			return eval[string](t, tab, `document.getElementById("live").innerText`) == "paused"
		})
	}
	poll.True(t, "no tab needs the stream", func() bool { return streams.Load() == 0 })
	addTraces(s, 3, 3)
	eval[bool](t, last, `(document.getElementById("live").click(), true)`)
	poll.True(t, "what arrived during the pause is shown", func() bool { return strings.Contains(last.Text(t), "GET /3") })
	poll.True(t, "the stream is open again", func() bool { return streams.Load() == 1 })
	for _, e := range last.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}
