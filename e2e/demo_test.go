package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
	"apmapp/internal/testing/poll"
)

// demo is a running demo. Pages, service and agent are URLs, metrics is a host:port,
// database is a port.
type demo struct{ pages, service, agent, metrics, database string }

// startDemo runs the demo on free ports until the test ends. No request may fail.
func startDemo(t *testing.T, rps string) demo { return runDemo(t, ", 0 failed ", rps) }

// startDisturbed is startDemo where requests may fail, with more flags.
func startDisturbed(t *testing.T, rps string, flags ...string) demo {
	return runDemo(t, "requests", rps, flags...)
}

func runDemo(t *testing.T, report, rps string, flags ...string) demo {
	t.Helper()
	program, err := demoProgram()
	if err != nil {
		t.Fatal(err)
	}
	flags = append(flags, "-database", "embedded", "-rps", rps, "-port", "0", "-agent-port", "0", "-dogstatsd-port", "0", "-otlp-grpc-port", "0", "-otlp-http-port", "0", "-pages-port", "0")
	cmd := exec.Command(program, flags...)
	// With the rate the tracer reports what it lost after seconds, not minutes.
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "DD_LOGGING_RATE=5")
	var d demo
	lines := running(t, cmd, report)
	for lines.Scan() {
		for _, part := range []struct {
			pattern string
			to      *string
		}{
			{`^pages +(http://\S+)`, &d.pages},
			{`^service +(http://\S+)`, &d.service},
			{`^agent +(http://\S+)`, &d.agent},
			{`traces, (\S+) for`, &d.metrics},
			{`^database .* -P (\d+)`, &d.database},
		} {
			if m := regexp.MustCompile(part.pattern).FindStringSubmatch(lines.Text()); m != nil {
				*part.to = m[1]
			}
		}
		if strings.HasPrefix(lines.Text(), "try ") {
			return d
		}
	}
	t.Fatal("the demo ended before it printed all addresses")
	return d
}

// get requests an API and decodes its JSON.
func get[T any](t testing.TB, url string) (v T) {
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

// body returns a page without a browser.
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

// awaitTrace waits until the pages have a trace.
func (d demo) awaitTrace(t *testing.T, id string) {
	t.Helper()
	poll.True(t, "trace "+id+" arrives", func() bool {
		resp, err := http.Get(d.pages + "/api/traces/" + id)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// TestDemoPages follows links like a newcomer: from the services to a resource, a
// trace, its log lines and its flame graph.
func TestDemoPages(t *testing.T) {
	t.Parallel() // the first profile arrives after a minute
	d := startDemo(t, "20")
	b := browser.Start(t)
	text := func() string { return b.Text(t) }
	type trace struct {
		ID       string `json:"trace_id"`
		Resource string `json:"resource"`
		Spans    int    `json:"spans"`
	}
	type listing struct {
		Matching int     `json:"matching"`
		Traces   []trace `json:"traces"`
	}
	poll.True(t, "traces arrive", func() bool { return get[listing](t, d.pages+"/api/traces?service=apmapp").Matching > 100 })

	resp, err := http.Get(d.service + "/api/trace")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	link := regexp.MustCompile(`^<(` + regexp.QuoteMeta(d.pages) + `/t/([0-9a-f]{32}))>`).FindStringSubmatch(resp.Header.Get("Link"))
	if link == nil || !strings.Contains(resp.Header.Get("Traceresponse"), link[2]) {
		t.Fatalf("Link: %s, traceresponse: %s", resp.Header.Get("Link"), resp.Header.Get("Traceresponse"))
	}
	d.awaitTrace(t, link[2])

	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+"/"))
	for _, want := range []string{"apmapp", "apmapp-mysql", "web", "sql", "/s"} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q among the services:\n%s", want, text())
		}
	}
	shoot(t, b, "/services", 1280)
	b.Follow(t, `a[href="/services/apmapp"]`, "")
	for _, want := range []string{"GET /", "GET /api/trace", "GET /api/apm"} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q among the resources:\n%s", want, text())
		}
	}
	b.Follow(t, `td a[href*="api%2ftrace" i]`, "")
	b.Follow(t, `td a[href^="/t/"]`, "")
	for _, want := range []string{"GET /api/trace", "record a visit", "apmapp-mysql", "INSERT INTO visits", "http.status_code", "Logs of this trace", "INFO request"} {
		if !strings.Contains(text(), want) {
			t.Errorf("no %q in the trace:\n%s", want, text())
		}
	}
	if n := browser.Get(t, b, chromedp.Evaluate[int](`document.querySelectorAll("a.span").length`)); n != 3 {
		t.Errorf("%d spans, want 3", n)
	}
	b.Follow(t, `a.span:last-of-type`, "")
	poll.True(t, "the tags of the statement's span are shown", func() bool { return strings.Contains(text(), "mysql.query") && strings.Contains(text(), "db.name") })
	shoot(t, b, "/trace", 1280)

	b.Do(t, chromedp.Navigate(d.pages+"/logs"))
	b.Follow(t, `li a[href^="/t/"]`, "")
	// A log line arrives before its trace. The page of the trace reloads when the trace
	// arrives.
	poll.True(t, "the trace of a log line is shown", func() bool { return strings.Contains(text(), "Logs of this trace") })
	b.Errors() // until then the browser reports status 404 as an error

	for _, page := range []struct{ path, want string }{
		{"/map", "apmapp-mysql"},
		{"/traces", "match"},
		{"/metrics", "Runtimes of the languages"},
		{"/usage", "budget"},
		{"/t/1234567890", "has not arrived"},
	} {
		for _, width := range []int64{1280, 400} {
			poll.True(t, page.path+" shows "+page.want, func() bool {
				b.Do(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(d.pages+page.path))
				return strings.Contains(text(), page.want)
			})
			if browser.Get(t, b, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)) {
				t.Errorf("%s is wider than %d pixels", page.path, width)
			}
			shoot(t, b, page.path, width)
		}
	}
	b.Errors() // the browser reports the missing trace as an error

	// The first profile arrives after a minute. A trace of that minute links to the
	// flame graph of its endpoint.
	type profile struct {
		ID    int64     `json:"id"`
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	}
	var cpu []profile
	poll.Within(t, 3*time.Minute, func() error {
		if cpu = get[[]profile](t, d.pages+"/api/profiles?kind=cpu"); len(cpu) == 0 {
			return errors.New("no CPU profile arrives")
		}
		return nil
	})
	window := fmt.Sprintf("&from=%d&to=%d&limit=1", cpu[0].Start.UnixMilli(), cpu[0].End.UnixMilli())
	of := get[listing](t, d.pages+"/api/traces?service=apmapp&q=api/apm"+window)
	if of.Matching == 0 {
		t.Fatal("no trace from the minute of the profile")
	}
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.pages+"/t/"+of.Traces[0].ID))
	b.Follow(t, `#flame`, "")
	poll.True(t, "the flame graph shows the handler", func() bool { return strings.Contains(text(), "handlers.(*server)") })
	shoot(t, b, "/flamegraph", 1280)

	// A span that has CPU samples has a flame graph of its own.
	window = strings.Replace(window, "limit=1", "limit=3000", 1)
	var sampled string
	for _, of := range get[listing](t, d.pages+"/api/traces?service=apmapp"+window).Traces {
		if page := body(t, d.pages+"/t/"+of.ID); strings.Contains(page, `id="samples"`) {
			sampled = of.ID
			break
		}
	}
	if sampled == "" {
		t.Fatal("no span has CPU samples")
	}
	b.Do(t, chromedp.Navigate(d.pages+"/t/"+sampled))
	b.Follow(t, `#samples`, "")
	poll.True(t, "the flame graph of the span is shown", func() bool { return strings.Contains(text(), "root") })
	b.Do(t, chromedp.Navigate(d.pages+"/profiles"))
	if !strings.Contains(text(), "cpu") {
		t.Errorf("/profiles lists no CPU profile:\n%s", text())
	}
	shoot(t, b, "/profiles", 1280)
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}

// shoot writes a picture of the page into the directory $APMAPP_TEST_PICTURES, if
// that is set.
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
