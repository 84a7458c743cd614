package e2e

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
	"apmapp/internal/format"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/testing/poll"
)

// startRecording shows the recording of the demo until the test ends. It returns the URL of
// the pages.
func startRecording(t *testing.T) string {
	t.Helper()
	return startAgent(t, "-replay", "../docs/recordings/demo.tape.gz")
}

// scratch is a folder of this run.
var scratch string

func TestMain(m *testing.M) {
	// The tests wait more than they compute: for intervals of ten seconds, monitors, profiles.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "apmapp-e2e-*")
	if err != nil {
		panic(err)
	}
	scratch = dir
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

var (
	agentProgram = sync.OnceValues(func() (string, error) { return build("localagent") })
	// Without the race detector: under load it finds some in the embedded database's library,
	// and their reports slow everything down. With the flags of a release, as the images are
	// built, it shares their compiled packages.
	demoProgram = sync.OnceValues(func() (string, error) { return build("demo", "CGO_ENABLED=0", "GOFLAGS=-trimpath -ldflags=-w") })
)

// build builds a program with more environment variables, and returns its path.
func build(name string, env ...string) (string, error) {
	program := filepath.Join(scratch, name)
	build := exec.Command("go", "build", "-o", program, "./cmd/"+name)
	build.Dir = ".."
	build.Env = append(os.Environ(), env...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return program, nil
}

// startAgent runs the local agent on free ports until the test ends. It
// returns the URL of the pages.
func startAgent(t *testing.T, args ...string) string {
	t.Helper()
	pages, _ := startAgentAt(t, args...)
	return pages
}

// running starts a program and returns its lines. When the test ends it stops the program,
// whose last lines must contain a text.
func running(t testing.TB, cmd *exec.Cmd, last string) *bufio.Scanner {
	t.Helper()
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
		if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), last) {
			t.Errorf("%s ended with %v:\n%s", filepath.Base(cmd.Path), err, rest)
		}
	})
	return bufio.NewScanner(stdout)
}

// startAgentAt also returns the URL that tracers send to.
func startAgentAt(t testing.TB, args ...string) (pages, traces string) {
	t.Helper()
	program, err := agentProgram()
	if err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	cmd := exec.Command(program, append([]string{"-addr", free, "-dogstatsd", free, "-otlp-grpc", "", "-otlp-http", "", "-pages", free}, args...)...)
	lines := running(t, cmd, "")
	for lines.Scan() {
		if url, is := strings.CutPrefix(lines.Text(), "pages "); is {
			pages = strings.TrimSpace(url)
		}
		if _, url, is := strings.Cut(lines.Text(), "DD_TRACE_AGENT_URL="); is {
			return pages, url
		}
	}
	t.Fatal("the local agent ended before it printed its addresses")
	return "", ""
}

// TestNumbersOfCharts: scripts write durations and rates as the pages' text does.
func TestNumbersOfCharts(t *testing.T) {
	t.Parallel()
	pages, b := startAgent(t), browser.Start(t)
	b.Do(t, chromedp.Navigate(pages+"/"))
	written := func(call string) string { return browser.Get(t, b, chromedp.Evaluate[string](call)) }
	for _, d := range []time.Duration{
		0, 1, 999, 1000, 9994, 9996, 999_400, 999_600, 1_000_000, 1_234_567, 12_345_678, 999_499_999, 999_500_000, 1_000_000_000, 59_950_000_000, 123_456_000_000,
		999_400_000_000, 999_600_000_000, time.Hour, 100*time.Hour + 1*time.Minute + 1*time.Second, -time.Millisecond, -1,
	} {
		if got, want := written(fmt.Sprintf("formats.duration(%g)", float64(d)/1e6)), format.Duration(d); got != want {
			t.Errorf("%d ns: %s, want %s", d, got, want)
		}
	}
	for _, r := range []float64{0, 0.0000001, 0.000001, 0.00123456, 0.5, 0.9996, 1, 9.994, 9.996, 99.95, 100, 999.6, 1234.6, 1e6, 123456789, 1e15, 1.5e20} {
		if got, want := written(fmt.Sprintf("formats.rate(%g)", r)), format.Rate(r); got != want {
			t.Errorf("%g per second: %s, want %s", r, got, want)
		}
	}
	for _, n := range []int64{0, 999, 1000, 1234567, 999_499, 999_500, 999_600, 1e12, -5_000} {
		if got, want := written(fmt.Sprintf("formats.bytes(%d)", n)), format.Bytes(n); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
	for _, v := range []float64{0, 1, 999, 1234567, 0.5, -3.14159, 1e15, 123456.7} {
		if got, want := written(fmt.Sprintf("formats.number(%g)", v)), format.Number(v); got != want {
			t.Errorf("the number %g: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 200: "200", 1500: "1.5K", 999.99: "1K", 1e6: "1M", 12345678: "12.3M", 0.00123: "0.00123", -50: "-50"} {
		if got := written(fmt.Sprintf("formats.short(%g)", v)); got != want {
			t.Errorf("a tick at %g: %s, want %s", v, got, want)
		}
	}
	for ms, want := range map[float64]string{0: "0s", 200: "200ms", 1500: "1.5s", 0.05: "50µs"} {
		if got := written(fmt.Sprintf("formats.duration(%g, formats.short)", ms)); got != want {
			t.Errorf("a tick at %g ms: %s, want %s", ms, got, want)
		}
	}
}

// TestRequestsByStatus: the overview shows the requests of the recording by the class of
// their status: some have failed, and that ended.
func TestRequestsByStatus(t *testing.T) {
	t.Parallel()
	pages, b := startRecording(t), browser.Start(t)
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/services/apmapp"))
	poll.True(t, "charts are drawn", func() bool { return strings.Contains(b.Text(t), "5xx") })
	text := strings.Join(strings.Fields(b.Text(t)), " ")
	for _, want := range []string{"67.3% of requests failed (101 of 150), ended", "2xx5.00/s5xx0/s", "p9919.2ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	// Pointing at the middle of the failures shows the values of that time.
	at := browser.Get(t, b, chromedp.Evaluate[string](`(() => {
		const over = document.querySelector("[data-requests] .u-over"), box = over.getBoundingClientRect();
		over.dispatchEvent(new MouseEvent("mousemove", {clientX: box.left + box.width * 9.5 / 18, clientY: box.top + 5, bubbles: true}));
		return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(document.querySelector("[data-requests] .u-legend").innerText))));
	})()`, chromedp.EvalAwaitPromise))
	if at := strings.Join(strings.Fields(at), " "); !strings.Contains(at, "2xx0/s5xx5.00/s") {
		t.Errorf("the legend at the failures: %s", at)
	}
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}

// TestSlowResource: from the overview, two clicks lead to what a slow request waited for.
func TestSlowResource(t *testing.T) {
	t.Parallel()
	pages, b := startRecording(t), browser.Start(t)
	b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/"))
	follow := func(selector string) string {
		t.Helper()
		b.Follow(t, selector, "")
		return strings.Join(strings.Fields(b.Text(t)), " ")
	}
	text := follow(`a[href*="/resource?"][href*="api%2ftrace" i]`) // the first one of the slowest resources
	for _, want := range []string{"GET /api/trace", "slow: p95 rose from 3.65ms to 316ms, ended", "66.0% of requests failed (33 of 50), ended", "p50 1.29ms", "p99 316ms",
		"calls apmapp-mysql INSERT INTO visits ( route, trace_id, visited_at ) VALUES ( ? )", "99.1%", "Latest warnings and errors in the log", "trace: record a visit", "apmapp.visits.recorded"} {
		if !strings.Contains(text, want) {
			t.Errorf("the resource's page has no %q: %s", want, text)
		}
	}
	bars := browser.Get(t, b, chromedp.Evaluate[int](`[...document.querySelectorAll(".histogram i")].filter(bar => bar.getBoundingClientRect().height > 30).length`))
	if bars < 3 {
		t.Errorf("%d bars of the distribution are high, want several", bars)
	}
	if text := follow(".histogram a:last-child"); !strings.Contains(text, "GET /api/trace") || !strings.Contains(text, " match") {
		t.Errorf("the last bar leads to %s", text)
	}
	// Another way: what changed when it was slow.
	b.Do(t, chromedp.Navigate(pages+"/"))
	b.Text(t)
	text = follow(`.happenings a[href^="/services/apmapp/compare"]`)
	for _, want := range []string{"Now and before", "p95 303ms 3.88ms ×78.3", "apmapp-mysql INSERT INTO visits"} {
		if !strings.Contains(text, want) {
			t.Errorf("the comparison has no %q: %s", want, text)
		}
	}
	shoot(t, b, "/compare", 1280)
	follow("#flame")
	poll.True(t, "the flame graph of what changed is shown", func() bool { return strings.Contains(b.Text(t), "handlers.decodedPath") })
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}

// TestAxisOfDurations: the chart of traces has a line with its duration for each power of ten
// in it, and none below it.
func TestAxisOfDurations(t *testing.T) {
	t.Parallel()
	s := store.New(0)
	for i, d := range []time.Duration{300 * time.Microsecond, 2 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond, 5 * time.Second} {
		s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", i+1), Spans: []span.Span{{SpanID: 1, Service: "web", Resource: "GET /", Start: time.Now().Add(-time.Minute), Duration: d}}})
	}
	pages, b := pagesOf(t, s), browser.Start(t)
	// A chart writes its texts into a canvas.
	b.Do(t, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
			const texts = [], of = CanvasRenderingContext2D.prototype, write = of.fillText;
			of.fillText = function (text, x, y) { texts.push([text, y]); write.apply(this, arguments) };`})
		return err
	}))
	for query, want := range map[string]string{"": "1ms 10ms 100ms 1s 10s", "duration:<1s": "1ms 10ms 100ms 1s"} {
		b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/traces?q="+url.QueryEscape(query)))
		poll.True(t, "the chart is drawn", func() bool {
			return b.Text(t) != "" && browser.Get(t, b, chromedp.Evaluate[bool](`!!document.querySelector(".u-over")`))
		})
		// Above the texts of the time axis, which are below the plot.
		inPlot := browser.Get(t, b, chromedp.Evaluate[string](`(plot => texts.filter(([, y]) => y <= plot.offsetTop + plot.offsetHeight).map(([text]) => text).join(" "))(document.querySelector(".u-over"))`))
		if inPlot != want {
			t.Errorf("%q: %q in the plot, want %q", query, inPlot, want)
		}
		if all := browser.Get(t, b, chromedp.Evaluate[string](`texts.map(([text]) => text).join(" ")`)); !strings.HasSuffix(all, " "+want) || strings.Contains(all, "00:00 00:00") {
			t.Errorf("%q: a duration is outside of the plot, or a time is repeated: %s", query, all)
		}
	}
}

// TestMetricsPage: the programs' own metrics are first, a query finds the others by name and
// tag, counts are rates, one point is drawn, and pointing at a time shows its values.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	pages, b := startRecording(t), browser.Start(t)
	open := func(path string) string {
		b.Do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+path))
		return strings.Join(strings.Fields(b.Text(t)), " ")
	}
	titles := func() string {
		return browser.Get(t, b, chromedp.Evaluate[string](`[...document.querySelectorAll("h2, figcaption > b")].map(e => e.innerText).join(" ")`))
	}
	text := open("/metrics")
	if got, want := titles(), "apmapp apmapp.logs.dropped apmapp.requests.refused apmapp.visits.recorded loadgen loadgen.errors loadgen.requests loadgen.response_time"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, want := range []string{"Also: Runtimes of the languages (", "apmapp.visits.recorded per second 2.00/s", "1.60/s / 2xx"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	open("/metrics?q=" + url.QueryEscape("runtime enabled -limiter service:apmapp"))
	if got := titles(); got != "Runtimes of the languages runtime.go.metrics.enabled" {
		t.Error(got)
	}
	if text := open("/metrics?q=service:none"); !strings.Contains(text, "No metric matches.") {
		t.Error(text)
	}
	open("/metrics?q=cgo_go_to_c") // has one value, that of the start
	poll.True(t, "one point is drawn", func() bool {
		return browser.Get(t, b, chromedp.Evaluate[int](`(() => {
			const canvas = document.querySelector("[data-metric] canvas");
			if (!canvas) return 0;
			const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
			let n = 0;
			for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 128 && data[i + 2] - data[i] > 100) n++; // blue
			return n;
		})()`)) > 10
	})
	open("/metrics?q=visits")
	poll.True(t, "the chart is drawn", func() bool { return browser.Get(t, b, chromedp.Evaluate[bool](`!!document.querySelector(".u-over")`)) })
	for _, at := range []struct{ event, want string }{{"mousemove", "–"}, {"mouseleave", "2.00/s"}} {
		poll.True(t, "after "+at.event+" the legend shows "+at.want, func() bool {
			return browser.Get(t, b, chromedp.Evaluate[string](`(() => {
				const over = document.querySelector(".u-over"), box = over?.getBoundingClientRect();
				if (!over) return ""; // while the page refreshes
				over.dispatchEvent(new MouseEvent("`+at.event+`", {clientX: box.left + 2, clientY: box.top + 5, bubbles: true}));
				return document.querySelector(".line").innerText;
			})()`)) == at.want
		})
	}
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}

// TestProfilesOfATime: the form leads to the flame graph of a time compared with another one,
// in dark colors, and back.
func TestProfilesOfATime(t *testing.T) {
	t.Parallel()
	pages, b := startRecording(t), browser.Start(t)
	b.Do(t, browser.Dark(true), chromedp.EmulateViewport(1280, 900), chromedp.Navigate(pages+"/profiles?service=apmapp"))
	b.Text(t)
	do := func(script string) {
		t.Helper()
		if !browser.Get(t, b, chromedp.Evaluate[bool](script)) {
			t.Fatalf("%s does not find its element", script)
		}
	}
	do(`(form => {
		const times = [...form.elements.from.options].map(o => o.value).slice(1); // the latest first
		form.elements.from.value = times[1];
		form.elements.base_to.value = times[1];
		form.elements.endpoint.value = "GET /api/trace";
		form.querySelector("button").click();
		return times.length === 4;
	})(document.forms[0])`)
	poll.True(t, "the flame graph is shown", func() bool { return strings.Contains(b.Text(t), "handlers.decodedPath") })
	type seen struct {
		Ground        string
		Red, Green    int
		Title, Target string
	}
	s := browser.Get(t, b, chromedp.Evaluate[seen](`({
		Ground: getComputedStyle(document.body).backgroundColor,
		Red: document.querySelectorAll(".positive").length, Green: document.querySelectorAll(".negative").length,
		Title: document.querySelector(".title a").innerText, Target: document.querySelector(".title a").getAttribute("href"),
	})`))
	if s.Ground != "rgb(15, 19, 24)" || s.Red == 0 || s.Green == 0 || s.Title != "← profiles" || s.Target != "/profiles?service=apmapp" {
		t.Errorf("%+v", s)
	}
	shoot(t, b, "/profiles-compared", 1280)
	do(`(a => { a?.click(); return !!a; })(document.querySelector(".title a"))`)
	poll.True(t, "the list is shown again", func() bool { return strings.Contains(b.Text(t), "changes since before") })
	for _, e := range b.Errors() {
		t.Errorf("error on a page: %s", e)
	}
}
