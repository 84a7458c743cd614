package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
)

// TestLargeTrace opens a trace of 10,000 spans, and goes on in it.
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
		// A tree: ten calls of each, up to five deep.
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
	eventually(t, "the trace comes", func() bool {
		resp, err := http.Get(d.pages + "/api/traces/77")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})

	b := browser.Start(t)
	opened := time.Now()
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+"/t/77"))
	b.Text(t)
	t.Logf("the page is there after %s", time.Since(opened).Round(time.Millisecond))
	if got := browser.Get(t, b, chromedp.Evaluate[int](`document.querySelectorAll("a.span").length`)); got != n {
		t.Errorf("%d spans are drawn, want %d", got, n)
	}
	// To the last span, and its tags.
	went := time.Now()
	browser.Get(t, b, chromedp.Evaluate[bool](`(e => { e.scrollIntoView(); e.click(); return true })([...document.querySelectorAll("a.span")].at(-1))`))
	eventually(t, "the last span's tags", func() bool {
		return browser.Get(t, b, chromedp.Evaluate[bool](`location.search === "?span=" + document.querySelector("#span code").innerText && !!document.querySelector("a.span:last-of-type[aria-current]")`))
	})
	t.Logf("another span is there after %s", time.Since(went).Round(time.Millisecond))
	b.Do(t, chromedp.NavigateBack())
	eventually(t, "the way back", func() bool {
		return browser.Get(t, b, chromedp.Evaluate[bool](`document.readyState === "complete" && location.search === "" && document.querySelector("#span code")?.innerText === "1"`))
	})
	// With the keyboard, from span to span.
	for _, want := range []string{"Up", "Down"} {
		moved := browser.Get(t, b, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
			const all = [...document.querySelectorAll("a.span")], from = all[100];
			from.focus();
			from.dispatchEvent(new KeyboardEvent("keydown", {key: "Arrow%s", bubbles: true}));
			return document.activeElement === all[%s];
		})()`, want, map[string]string{"Up": "99", "Down": "101"}[want])))
		if !moved {
			t.Errorf("the key %s leads nowhere", want)
		}
	}
	for _, e := range b.Errors() {
		t.Errorf("the page complains: %s", e)
	}
}
