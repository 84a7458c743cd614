package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"apmapp/e2e/browser"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
	"apmapp/internal/testing/poll"
)

// TestLogsPage finds a line in three ways: by a field of another line, by a bar of its time,
// and by its pattern.
func TestLogsPage(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	add := func(i int) {
		line := fmt.Sprintf(`{"level":"info","msg":"request","dd.service":"web","http.method":"GET","http.url_details.path":"/items/%d","http.status_code":200,"duration":%d}`, i, 1_000_000+i)
		if i == 77 {
			line = `{"level":"error","msg":"request","dd.service":"web","http.method":"GET","http.url_details.path":"/items/77","http.status_code":500,"error.message":"lock wait"}`
		}
		l := wire.DecodeLog([]byte(line), time.Now())
		l.Time = time.Now().Add(time.Duration(i-300) * time.Second)
		s.AddLog(l)
	}
	for i := range 150 {
		add(i)
	}
	pages := pagesOf(t, s)
	b := browser.Start(t)
	lines := func() int { return eval[int](t, b, `document.querySelectorAll(".lines > li").length`) }
	click := func(selector string) {
		t.Helper()
		if !eval[bool](t, b, fmt.Sprintf(`(e => { if (e) e.click(); return !!e })(document.querySelector(%q))`, selector)) {
			t.Fatalf("no %s", selector)
		}
	}
	await := func(what string, want int) {
		t.Helper()
		poll.True(t, what, func() bool { b.Text(t); return lines() == want })
	}
	open := func(path string) { b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+path)) }
	open("/logs?q=service%3Aweb")
	await("all lines are listed", 150)
	shoot(t, b, "/logs", 1280)

	// A click opens a line, also with the keyboard; a field filters.
	b.Do(t, chromedp.KeyEvent("j"), chromedp.KeyEvent("j"), chromedp.KeyEvent(kb.Enter))
	poll.True(t, "the second line is open", func() bool {
		return eval[string](t, b, `document.querySelector(".lines li:nth-child(2) .fields")?.innerText ?? ""`) != "" && lines() == 150
	})
	add(150)
	poll.True(t, "the list stays while a line is open", func() bool {
		return eval[string](t, b, `document.getElementById("new").innerText`) == "1 new · show" && lines() == 150
	})
	shoot(t, b, "/logline", 1280)
	eval[bool](t, b, `([...document.querySelectorAll(".fields a")].find(a => a.innerText === "/items/148").click(), true)`)
	await("a field filters", 1)
	if got := eval[string](t, b, `document.querySelector("input[type=search]").value`); got != `service:web @http.url_details.path:"/items/148"` {
		t.Errorf("the query is %s", got)
	}

	// A bar with an error leads to its time.
	open("/logs")
	await("all lines are listed again", 151)
	eval[bool](t, b, `([...document.querySelectorAll(".histogram a")].find(a => a.querySelector(".errors").clientHeight > 0).click(), true)`)
	poll.True(t, "a bar filters by time", func() bool {
		text := b.Text(t)
		return strings.Contains(text, "lock wait") && lines() < 10 && eval[bool](t, b, `!!document.querySelector(".chip")`)
	})
	click(".chip a")
	await("the time can be removed", 151)

	// Patterns.
	click(`a[href="/logs?view=patterns"]`)
	poll.True(t, "two patterns", func() bool {
		b.Text(t)
		return eval[int](t, b, `document.querySelectorAll(".patterns tr[data-key]").length`) == 2
	})
	shoot(t, b, "/patterns", 1280)
	click(".patterns tr:last-child a")
	await("a pattern leads to its lines", 1)

	// The query is completed after each term.
	open("/logs")
	b.Do(t, chromedp.Focus("input[type=search]"), chromedp.KeyEvent("level:error @http.s"))
	if !eval[bool](t, b, `[...document.getElementById("terms").options].some(o => o.value === "level:error @http.status_code:")`) {
		t.Error("the second term of a query is not completed")
	}
	b.Do(t, chromedp.KeyEvent("tatus_code:>=500"), chromedp.KeyEvent(kb.Enter))
	await("the query filters", 1)
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}
