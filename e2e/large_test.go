package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
	"apmapp/internal/format"
	"apmapp/internal/testing/poll"
)

// TestLargeTrace opens a trace of 10,000 spans and navigates in it.
func TestLargeTrace(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "0.001")
	const n = 10_000
	now := time.Now().Add(-time.Minute)
	var spans strings.Builder
	for i := range n {
		if i > 0 {
			spans.WriteByte(',')
		}
		// A tree: each span has ten children; five levels.
		fmt.Fprintf(&spans, `{"trace_id":77,"span_id":%d,"parent_id":%d,"service":"shop-%d","name":"step","resource":"step %d","type":"web","start":%d,"duration":%d,"meta":{"env":"test"},"metrics":{"_sampling_priority_v1":1,"_top_level":1}}`,
			i+1, (i+9)/10, i%7, i, now.Add(time.Duration(i)*time.Millisecond).UnixNano(), int64(n-i)*int64(time.Millisecond))
	}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", d.agent+"/v0.4/traces", strings.NewReader("[["+spans.String()+"]]"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Datadog-Trace-Count", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	d.awaitTrace(t, "77")

	b := browser.Start(t)
	opened := time.Now()
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+"/t/77"))
	b.Text(t)
	t.Logf("the page loads in %s", format.Duration(time.Since(opened)))
	if got := browser.Get(t, b, chromedp.Evaluate[int](`document.querySelectorAll("a.span").length`)); got != n {
		t.Errorf("%d spans are drawn, want %d", got, n)
	}
	// Select the last span.
	clicked := time.Now()
	browser.Get(t, b, chromedp.Evaluate[bool](`(e => { e.scrollIntoView(); e.click(); return true })([...document.querySelectorAll("a.span")].at(-1))`))
	poll.True(t, "the last span is selected", func() bool {
		return browser.Get(t, b, chromedp.Evaluate[bool](`location.search === "?span=" + document.querySelector("#span code").innerText && !!document.querySelector("a.span:last-of-type[aria-current]")`))
	})
	t.Logf("another span is shown in %s", format.Duration(time.Since(clicked)))
	b.Do(t, chromedp.NavigateBack())
	poll.True(t, "the first span is selected again", func() bool {
		return browser.Get(t, b, chromedp.Evaluate[bool](`document.readyState === "complete" && location.search === "" && document.querySelector("#span code")?.innerText === "1"`))
	})
	// Arrow keys move the focus.
	for _, key := range []struct {
		name string
		to   int
	}{{"Up", 99}, {"Down", 101}} {
		moved := browser.Get(t, b, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
			const all = [...document.querySelectorAll("a.span")], from = all[100];
			from.focus();
			from.dispatchEvent(new KeyboardEvent("keydown", {key: "Arrow%s", bubbles: true}));
			return document.activeElement === all[%d];
		})()`, key.name, key.to)))
		if !moved {
			t.Errorf("the key Arrow%s does not move the focus", key.name)
		}
	}
	for _, e := range b.Errors() {
		t.Errorf("error on the page: %s", e)
	}
}
