// Package browser lets tests open pages in headless Chromium.
package browser

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"apmapp/internal/testing/poll"
)

// limit bounds a test that uses a browser. The longest one, of all pages, takes two minutes.
const limit = 8 * time.Minute

// Browser is a running Chromium with one page.
type Browser struct {
	ctx    context.Context
	errors chan string
}

// Start starts a browser that ends with the test. If none is installed, the test is
// skipped, or fails if CI is set.
func Start(t testing.TB) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // it opens only pages of this repository
		chromedp.WSURLReadTimeout(limit),
	)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &Browser{errors: make(chan string, 100)}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	return b
}

// Tab opens another tab of the browser. It ends with the test.
func (b *Browser) Tab(t testing.TB) *Browser {
	t.Helper()
	tab := &Browser{errors: make(chan string, 100)}
	var cancel context.CancelFunc
	tab.ctx, cancel = chromedp.NewContext(b.ctx, chromedp.WithListener(tab.listen))
	t.Cleanup(cancel)
	return tab
}

func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const message = "no browser: apt-get install chromium"
	if os.Getenv("CI") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

func (b *Browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.errors <- text
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.errors <- e.Entry.Text + " " + e.Entry.URL
		}
	}
}

// Do performs actions on the page.
func (b *Browser) Do(t testing.TB, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// Get performs an action on the page and returns its result.
func Get[T any](t testing.TB, b *Browser, action chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Click clicks the first element with the selector whose row, list item or form contains the
// text. It returns false if no element matches.
func (b *Browser) Click(t testing.TB, selector, text string) bool {
	t.Helper()
	return Get(t, b, chromedp.Evaluate[bool](fmt.Sprintf(
		`(e => { if (e) e.click(); return !!e })([...document.querySelectorAll(%q)].find(e => (e.closest("tr, li, form") ?? e).innerText.includes(%q)))`, selector, text)))
}

// Follow clicks as Click does, and waits until another page is loaded. It fails the test if no
// element matches.
func (b *Browser) Follow(t testing.TB, selector, text string) {
	t.Helper()
	if err := b.TryFollow(t, selector, text); err != nil {
		t.Fatal(err)
	}
}

// TryFollow is Follow with an error if no element matches.
func (b *Browser) TryFollow(t testing.TB, selector, text string) error {
	t.Helper()
	before := Get(t, b, chromedp.Location())
	if !b.Click(t, selector, text) {
		return fmt.Errorf("no %s with %q on %s:\n%s", selector, text, before, b.Text(t))
	}
	poll.True(t, "the page behind "+selector, func() bool {
		b.Text(t)
		return Get(t, b, chromedp.Location()) != before
	})
	b.Text(t)
	return nil
}

// Text waits until the page is loaded and returns its visible text.
func (b *Browser) Text(t testing.TB) string {
	t.Helper()
	const read = `document.readyState === "complete" ? document.body.innerText : ""`
	for {
		// The browser returns an error during navigation.
		text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](read))
		if err == nil && text != "" {
			return text
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-b.ctx.Done():
			t.Fatalf("the page does not load: %v", err)
		}
	}
}

// Dark sets the color scheme that the user prefers: dark or light.
func Dark(dark bool) chromedp.Action[chromedp.Void] {
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// CPU returns the processor time that the page has used for its tasks. Unlike the time of a
// clock, it does not depend on what else the machine does.
func (b *Browser) CPU(t testing.TB) time.Duration {
	t.Helper()
	return Get(t, b, func(ctx context.Context, target *chromedp.Target) (time.Duration, error) {
		if _, err := chromedp.Call(ctx, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
			return 0, err
		}
		all, err := chromedp.Call(ctx, performance.GetMetrics, chromedp.Void{})
		for _, m := range all.Metrics {
			if m.Name == "TaskDuration" {
				return time.Duration(m.Value * float64(time.Second)), err
			}
		}
		return 0, cmp.Or(err, errors.New("the browser has no TaskDuration"))
	})
}

// Errors returns the errors and warnings of pages since the last call.
func (b *Browser) Errors() []string {
	var all []string
	for {
		select {
		case e := <-b.errors:
			all = append(all, e)
		default:
			return all
		}
	}
}
