package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
)

// axe returns the source of axe-core, which finds barriers for people with disabilities. The
// package's license is MPL-2.0: it is installed for the test, and is not in this repository.
func axe(t *testing.T) string {
	t.Helper()
	missing := func(reason string) {
		t.Helper()
		if os.Getenv("CI") != "" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing("npm is not installed: apt-get install npm")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	lock, err := os.ReadFile("axe/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(lock), `"axe-core": "`)
	version, _, _ = strings.Cut(version, `"`)
	installed := filepath.Join(cache, "apmapp-axe-"+version)
	source, err := os.ReadFile(filepath.Join(installed, "node_modules/axe-core/axe.min.js"))
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			t.Fatal(err)
		}
		return string(source)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("axe")); err != nil {
		t.Fatal(err)
	}
	install := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		missing(fmt.Sprintf("install axe-core: %v\n%s", err, out))
	}
	if err := errors.Join(os.RemoveAll(installed), os.MkdirAll(cache, 0o755), os.CopyFS(installed, os.DirFS(dir))); err != nil {
		t.Fatal(err)
	}
	return axe(t)
}

// TestAccessibility: axe-core finds nothing serious or critical on any page, light and dark,
// wide and narrow, with data and without. No page is wider than its window, also at a zoom
// of 200 % and with text of twice the size.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	source := axe(t)
	full, empty := startAgent(t, append([]string{"-replay", "../docs/recordings/demo.tape.gz"}, defined...)...), startAgent(t, defined...)
	type listing struct {
		Traces []struct {
			ID string `json:"trace_id"`
		} `json:"traces"`
	}
	failed := get[listing](t, full+"/api/traces?errors=1&limit=1").Traces[0].ID
	paths := []string{"/", "/errors", "/services/apmapp", "/services/apmapp/resource?name=GET+/api/trace", "/services/apmapp/compare", "/map", "/traces", "/traces?q=status:5xx", "/traces?q=(a:b)", "/t/" + failed, "/compare?with=usual&b=" + failed, "/logs", "/logs?level=ERROR", "/logs?view=patterns", "/logs/100",
		"/profiles", "/metrics", "/received", "/usage", "/design", "/nonesuch",
		"/dashboards", "/dashboards/apm-overview", "/dashboards/timeboard", "/dashboards/trace-analytics", "/monitors", "/monitors/error-rate", "/slos"}
	var pages []string
	for _, path := range paths {
		pages = append(pages, full+path)
		if !strings.HasPrefix(path, "/services/") && !strings.HasPrefix(path, "/t/") {
			pages = append(pages, empty+path)
		}
	}
	b := browser.Start(t)
	type violation struct {
		ID, Impact, Help string
		Nodes            []string
	}
	// Later rows of a list are like the first ones, and axe needs 50 ms for each.
	const fewRows = `; document.querySelectorAll("tr:nth-child(n+15), .lines li:nth-child(n+15), .charts figure:nth-child(n+9)").forEach(row => row.remove()), true`
	// Tables become focusable when the browser has laid them out.
	const run = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => axe.run({resultTypes: ["violations"]}).then(r => r.violations
		.filter(v => ["serious", "critical"].includes(v.impact))
		.map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 5).map(n => n.target + " " + n.html.slice(0, 200) + " " + n.any.map(c => c.message))}))))`
	wide := func(page, how string) {
		t.Helper()
		if browser.Get(t, b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)) {
			which := browser.Get(t, b, chromedp.Evaluate[string](`[...document.querySelectorAll("main *, header *")].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".table, svg, pre")).map(e => e.outerHTML.slice(0, 120)).slice(0, 3).join("\n")`))
			t.Errorf("%s is wider than its window %s:\n%s", page, how, which)
		}
	}
	for _, page := range pages {
		b.Do(t, chromedp.Navigate(page))
		b.Text(t)
		browser.Get(t, b, chromedp.Evaluate[bool](source+fewRows))
		name, kind := strings.TrimPrefix(page, full), "recording"
		if path, is := strings.CutPrefix(page, empty); is {
			name, kind = path, "empty"
		}
		for _, width := range []int64{1280, 400} {
			for scheme, dark := range map[string]bool{"light": false, "dark": true} {
				// axe and pictures need seconds for a page: axe reads it at each width and in
				// each scheme once. Empty pages have no picture of their own in the other two.
				both := dark != (width == 400)
				if both && kind == "empty" {
					continue
				}
				b.Do(t, browser.Dark(dark), chromedp.EmulateViewport(width, 900))
				wide(name+" ("+kind+")", fmt.Sprintf("of %d pixels", width))
				shoot(t, b, "/pages"+name+"-"+kind+"-"+scheme, width)
				if both {
					continue
				}
				for _, v := range browser.Get(t, b, chromedp.Evaluate[[]violation](run, chromedp.EvalAwaitPromise)) {
					t.Errorf("%s (%s), %d pixels, %s: %s: %s: %s\n  %s", name, kind, width, scheme, v.Impact, v.ID, v.Help, strings.Join(v.Nodes, "\n  "))
				}
			}
		}
		b.Do(t, chromedp.EmulateViewport(640, 450)) // 1280 pixels at a zoom of 200 %
		wide(name, "at a zoom of 200 %")
		b.Do(t, chromedp.EmulateViewport(1280, 900))
		browser.Get(t, b, chromedp.Evaluate[bool](`document.documentElement.style.fontSize = "200%", true`))
		wide(name, "with text of twice the size")
	}
	// The check can fail.
	browser.Get(t, b, chromedp.Evaluate[bool](`document.querySelector("main").append(document.createElement("button")), true`))
	found := browser.Get(t, b, chromedp.Evaluate[[]violation](run, chromedp.EvalAwaitPromise))
	if text := fmt.Sprint(found); !strings.Contains(text, "button-name") {
		t.Errorf("axe does not find a button without a name: %v", found)
	}
}
