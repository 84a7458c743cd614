package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
	"apmapp/internal/testing/poll"
)

// defined are the flags with the product's definitions, for the recording's environment.
var defined = []string{"-definitions", "../deploy/datadog", "-env", "demo"}

// TestDefinitions: from the overview, the failure of the recording is found in the monitors,
// with the message that Datadog would send, and in a dashboard.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	pages := startAgent(t, append([]string{"-replay", "../docs/recordings/demo.tape.gz"}, defined...)...)
	b := browser.Start(t)
	poll.True(t, "the recording is evaluated", func() bool {
		for _, m := range get[struct {
			Monitors []struct{ Key, State string }
		}](t, pages+"/api/monitors").Monitors {
			if m.Key == "error-rate" {
				return m.State == "Alert"
			}
		}
		return false
	})
	shows := func(want string) {
		t.Helper()
		poll.True(t, "the page shows "+want, func() bool { return strings.Contains(b.Text(t), want) })
	}
	charts := func(selector string) int {
		t.Helper()
		return browser.Get(t, b, chromedp.Evaluate[int](fmt.Sprintf(`document.querySelectorAll(%q).length`, selector)))
	}

	b.Do(t, chromedp.EmulateViewport(1280, 3000), chromedp.Navigate(pages)) // charts in view are drawn
	b.Text(t)
	b.Follow(t, "nav a", "Monitors")
	shows("apmapp (demo): high error rate")
	b.Follow(t, `a[href*="error-rate"]`, "high error rate")
	shows("Alert apmapp (demo): high error rate")
	poll.True(t, "the chart of the value", func() bool { return charts(".u-wrap canvas") == 1 })
	browser.Get(t, b, chromedp.Evaluate[bool](`document.querySelector(".transition summary").click(), true`))
	shows("% of the requests in the last five minutes failed, above the threshold of 5 %.")
	b.Follow(t, "a", "/dashboards/apm-overview")
	shows("apmapp APM overview (demo)")
	shows("Failed requests")
	drawn := func() bool { return charts(".widget .u-wrap canvas") >= 6 }
	poll.True(t, "at least six charts", drawn)
	// Another time frame, and a template variable without data.
	browser.Get(t, b, chromedp.Evaluate[bool](`document.querySelector("select[name=span]").value = "15m", document.querySelector("form.filter").requestSubmit(), true`))
	poll.True(t, "the time frame is in the URL", func() bool {
		return strings.Contains(browser.Get(t, b, chromedp.Location()), "span=15m")
	})
	poll.True(t, "the charts again", drawn)
	with := charts(".widget .u-wrap canvas")
	b.Do(t, chromedp.Navigate(pages+"/dashboards/apm-overview?tpl_var_env=none"))
	shows("no data in this time")
	if without := charts(".widget .u-wrap canvas"); without >= with {
		t.Errorf("%d charts of an environment without data, %d of the other", without, with)
	}
	b.Do(t, chromedp.Navigate(pages+"/slos"))
	shows("apmapp availability (demo)")
	shows("of the ")
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}
