package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
	"apmapp/internal/testing/poll"
)

// TestButtonsOfFaults presses the button of each fault, finds its cause from the overview
// with at most two more clicks, and undoes it.
func TestButtonsOfFaults(t *testing.T) {
	t.Parallel()
	d := startDisturbed(t, "20", "-fault-length", "10m")
	b := browser.Start(t)
	b.Do(t, chromedp.EmulateViewport(1280, 900))
	open := func(path string) { b.Do(t, chromedp.Navigate(d.pages+path)) }
	type link struct{ selector, row string }
	for _, tc := range []struct {
		fault  string
		clicks []link   // from the overview
		cause  []string // regular expressions
	}{
		{"bad-migration", []link{{`td a[href^="/t/"]`, "route"}}, []string{"MySQLError", "route"}},
		{"slow-statement", []link{{`td a[href*="/resource"]`, "GET /api/trace"}, {`#slowest + * a[href^="/t/"]`, "GET /api/trace"}}, []string{`INSERT INTO visits.* [1-9]\d*\.\d+s`}},
		{"lock", []link{{`td a[href^="/t/"]`, "record a visit"}}, []string{"INSERT INTO visits", "deadline exceeded"}},
		{"table-gone", []link{{`td a[href^="/t/"]`, "visits"}}, []string{"MySQLError", "visits", "503"}},
		{"database-down", []link{{`td a[href^="/t/"]`, "connection refused"}}, []string{"connection refused"}},
		{"connections", []link{{`td a[href^="/t/"]`, "Too many connections"}}, []string{"Too many connections"}},
		{"spike", []link{{"nav a", "Metrics"}}, []string{"apmapp.requests.refused"}},
		{"no-traffic", nil, []string{"apmapp: no requests"}},
		{"agent-away", []link{{"nav a", "Logs"}}, []string{"connection refused", "ERROR: lost"}},
	} {
		open("/faults")
		if !b.Click(t, "button", tc.fault) {
			t.Fatalf("no button %s:\n%s", tc.fault, b.Text(t))
		}
		poll.True(t, tc.fault+" is running", func() bool { return strings.Contains(b.Text(t), tc.fault+", running") })
		// The demo first waits until all is well.
		poll.Within(t, 3*time.Minute, func() error {
			if page := body(t, d.pages+"/faults"); !strings.Contains(page, "caused: ") {
				return fmt.Errorf("%s is not caused:\n%s", tc.fault, page)
			}
			return nil
		})
		poll.Within(t, 3*time.Minute, func() error {
			open("/")
			for i, l := range tc.clicks {
				if err := b.TryFollow(t, l.selector, l.row); err != nil {
					return fmt.Errorf("%s: click %d: %w", tc.fault, i+1, err)
				}
			}
			text := strings.Join(strings.Fields(b.Text(t)), " ")
			for _, want := range tc.cause {
				if !regexp.MustCompile(want).MatchString(text) {
					return fmt.Errorf("%s: no %q after %d clicks:\n%s", tc.fault, want, len(tc.clicks), text)
				}
			}
			return nil
		})
		shoot(t, b, "/fault-"+tc.fault, 1280)
		open("/faults")
		shoot(t, b, "/faults-"+tc.fault, 1280)
		if !b.Click(t, "button", "Undo now") {
			t.Fatalf("%s: no button to undo it:\n%s", tc.fault, b.Text(t))
		}
		// A machine under a spike answers late.
		poll.Within(t, 3*time.Minute, func() error {
			page := body(t, d.pages+"/faults")
			if strings.Contains(page, "undone after") && !strings.Contains(page, "Undo now") {
				return nil
			}
			return fmt.Errorf("%s is not undone:\n%s", tc.fault, page)
		})
		poll.True(t, "the page after undoing", func() bool { // the browser has followed the redirect
			b.Text(t)
			return browser.Get(t, b, chromedp.Evaluate[bool](`document.readyState === "complete"`))
		})
		for _, e := range b.Errors() {
			t.Errorf("%s: error on a page: %s", tc.fault, e)
		}
	}
	b.Do(t, chromedp.EmulateViewport(400, 900))
	if browser.Get(t, b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)) {
		t.Error("the page Faults is wider than 400 pixels")
	}
	shoot(t, b, "/faults", 400)
	// Another button: everything is forgotten.
	open("/usage")
	if !b.Click(t, "main button", "Clear everything") {
		t.Errorf("no button to clear:\n%s", b.Text(t))
	}
	poll.True(t, "the overview after clearing", func() bool {
		b.Text(t)
		return browser.Get(t, b, chromedp.Location()) == d.pages+"/"
	})
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}
