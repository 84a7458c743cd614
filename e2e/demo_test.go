package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
)

// patience is far longer than anything takes, the first profile after a minute
// included.
const patience = 3 * time.Minute

// demo is a running demo: the URLs of its parts, and the addresses of what is
// none of HTTP.
type demo struct{ pages, service, agent, metrics, database string }

// startDemo builds the demo and runs it on free ports until the test ends.
func startDemo(t *testing.T, rps string) demo {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./cmd/demo")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(dir, "demo"), "-rps", rps, "-port", "0", "-agent-port", "0", "-dogstatsd-port", "0", "-pages-port", "0")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		rest, _ := io.ReadAll(stdout)
		if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "0 failed") {
			t.Errorf("the demo's end: %v\n%s", err, rest)
		}
	})
	var d demo
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		for pattern, to := range map[string]*string{
			`^pages +(http://\S+)`:   &d.pages,
			`^service +(http://\S+)`: &d.service,
			`^agent +(http://\S+)`:   &d.agent,
			`traces, (\S+) for`:      &d.metrics,
			`^database .* -P (\d+)`:  &d.database,
		} {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(lines.Text()); m != nil {
				*to = m[1]
			}
		}
		if strings.HasPrefix(lines.Text(), "try ") {
			return d
		}
	}
	t.Fatal("the demo does not start")
	return d
}

// get reads JSON.
func get[T any](t *testing.T, url string) (v T) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return v
}

// body reads a page without a browser.
func body(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// TestDemoPages goes the way of a newcomer: from the services to a resource, to
// a trace, to its log, to its flame graph.
func TestDemoPages(t *testing.T) {
	t.Parallel() // it waits a minute for a profile
	d := startDemo(t, "50")
	b := browser.Start(t)
	text := func() string { return b.Text(t) }
	click := func(what, selector string) {
		t.Helper()
		before := browser.Get(t, b, chromedp.Location())
		if !browser.Get(t, b, chromedp.Evaluate[bool](fmt.Sprintf(`(e => { if (e) e.click(); return !!e })(document.querySelector(%q))`, selector))) {
			t.Fatalf("no %s (%s) on %s:\n%s", what, selector, before, text())
		}
		eventually(t, what, func() bool {
			text()
			return browser.Get(t, b, chromedp.Location()) != before
		})
	}
	type trace struct {
		ID       string `json:"trace_id"`
		Resource string `json:"resource"`
		Spans    int    `json:"spans"`
	}
	type listing struct {
		Matching int     `json:"matching"`
		Traces   []trace `json:"traces"`
	}
	eventually(t, "traces come", func() bool { return get[listing](t, d.pages+"/api/traces?service=apmapp").Matching > 100 })

	resp, err := http.Get(d.service + "/api/trace")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	link := regexp.MustCompile(`^<(` + regexp.QuoteMeta(d.pages) + `/t/([0-9a-f]{32}))>`).FindStringSubmatch(resp.Header.Get("Link"))
	if link == nil || !strings.Contains(resp.Header.Get("Traceresponse"), link[2]) {
		t.Fatalf("Link: %s, traceresponse: %s", resp.Header.Get("Link"), resp.Header.Get("Traceresponse"))
	}
	eventually(t, "the trace of a response comes", func() bool {
		resp, err := http.Get(d.pages + "/api/traces/" + link[2])
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})

	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+"/"))
	for _, want := range []string{"apmapp", "apmapp-mysql", "web", "sql", "/s"} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q among the services:\n%s", want, text())
		}
	}
	shoot(t, b, "/services", 1280)
	click("service", `a[href="/services/apmapp"]`)
	for _, want := range []string{"GET /", "GET /api/trace", "GET /api/apm"} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q among the resources:\n%s", want, text())
		}
	}
	click("resource", `td a[href*="api%2ftrace" i]`)
	click("trace", `td a[href^="/t/"]`)
	for _, want := range []string{"GET /api/trace", "apmapp-mysql", "INSERT INTO visits", "http.status_code", "Logs of this trace", "INFO request"} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q in the trace:\n%s", want, text())
		}
	}
	if n := browser.Get(t, b, chromedp.Evaluate[int](`document.querySelectorAll("a.span").length`)); n != 2 {
		t.Errorf("%d spans, want 2", n)
	}
	click("statement", `a.span:nth-of-type(2)`)
	eventually(t, "the statement's tags", func() bool { return strings.Contains(text(), "mysql.query") && strings.Contains(text(), "db.name") })
	shoot(t, b, "/trace", 1280)

	b.Do(t, chromedp.Navigate(d.pages+"/logs"))
	click("a line's trace", `li a[href^="/t/"]`)
	// A line comes before its trace, whose page shows it when it has come.
	eventually(t, "a line's trace", func() bool { return strings.Contains(text(), "Logs of this trace") })
	b.Errors() // until then the browser has complained of a 404

	for page, want := range map[string]string{
		"/map":          "apmapp-mysql",
		"/traces":       "match",
		"/metrics":      "runtime.go.metrics",
		"/usage":        "budget",
		"/t/1234567890": "has not come",
	} {
		for _, width := range []int64{1280, 400} {
			eventually(t, want+" on "+page, func() bool {
				b.Do(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(d.pages+page))
				return strings.Contains(text(), want)
			})
			if browser.Get(t, b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)) {
				t.Errorf("%s is wider than %d pixels", page, width)
			}
			shoot(t, b, page, width)
		}
	}
	b.Errors() // the page that is not there is an error of the browser's

	// The first profile comes after a minute. Its endpoint is one click from a
	// trace of that minute.
	type profile struct {
		ID    int64     `json:"id"`
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	}
	var cpu []profile
	eventually(t, "a CPU profile comes", func() bool {
		cpu = get[[]profile](t, d.pages+"/api/profiles?kind=cpu")
		return len(cpu) > 0
	})
	window := fmt.Sprintf("&from=%d&to=%d&limit=1", cpu[0].Start.UnixMilli(), cpu[0].End.UnixMilli())
	of := get[listing](t, d.pages+"/api/traces?service=apmapp&q=api/apm"+window)
	if of.Matching == 0 {
		t.Fatal("no trace of the profile's minute")
	}
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+"/t/"+of.Traces[0].ID))
	click("flame graph", `#flame`)
	eventually(t, "a flame graph of the handler", func() bool { return strings.Contains(text(), "handlers.(*server)") })
	shoot(t, b, "/flamegraph", 1280)

	// A span that a sample was taken in has a flame graph of its own.
	window = strings.Replace(window, "limit=1", "limit=3000", 1)
	var sampled string
	for _, of := range get[listing](t, d.pages+"/api/traces?service=apmapp"+window).Traces {
		if page := body(t, d.pages+"/t/"+of.ID); strings.Contains(page, `id="samples"`) {
			sampled = of.ID
			break
		}
	}
	if sampled == "" {
		t.Fatal("no span has a sample")
	}
	b.Do(t, chromedp.Navigate(d.pages+"/t/"+sampled))
	click("flame graph of a span", `#samples`)
	eventually(t, "a flame graph", func() bool { return strings.Contains(text(), "root") })
	b.Do(t, chromedp.Navigate(d.pages+"/profiles"))
	if !strings.Contains(text(), "cpu") {
		t.Errorf("the profiles:\n%s", text())
	}
	shoot(t, b, "/profiles", 1280)
	for _, e := range b.Errors() {
		t.Errorf("a page complains: %s", e)
	}
}

// shoot keeps a picture of the page where the environment says so.
func shoot(t *testing.T, b *browser.Browser, page string, width int64) {
	t.Helper()
	dir := os.Getenv("APMAPP_TEST_PICTURES")
	if dir == "" {
		return
	}
	name := fmt.Sprintf("%s-%d.png", strings.Trim(strings.ReplaceAll(page, "/", "-"), "-"), width)
	if err := os.WriteFile(filepath.Join(dir, name), browser.Get(t, b, chromedp.CaptureScreenshot()), 0o666); err != nil {
		t.Error(err)
	}
}
