package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/DataDog/datadog-go/v5/statsd"
	"github.com/chromedp/chromedp"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/e2e/browser"
)

// hostile runs a script in a page that does not escape it: in attributes, scripts,
// preformatted text and elements.
const hostile = `'"></script></pre><script>window.owned=1</script><img src=nowhere onerror="window.owned=1"><svg onload="window.owned=1">`

// stackError is an error with a hostile message and stack.
type stackError struct{}

func (stackError) Error() string { return hostile }

func (stackError) Format(f fmt.State, _ rune) { fmt.Fprint(f, hostile+"\nmain."+hostile) }

// TestHostileText sends hostile text with a real tracer, a real DogStatsD client and
// the service's log, and opens every page.
func TestHostileText(t *testing.T) {
	d := startDemo(t, "0.001") // not parallel: the tracer is global to the process
	agent, err := url.Parse(d.agent)
	if err != nil {
		t.Fatal(err)
	}
	tracer.Start(tracer.WithAgentAddr(agent.Host), tracer.WithService(hostile), tracer.WithEnv(hostile), tracer.WithServiceVersion(hostile),
		tracer.WithGlobalTag(hostile, hostile), tracer.WithLogStartup(false), tracer.WithDogstatsdAddress(d.metrics))
	root := tracer.StartSpan(hostile, tracer.ResourceName(hostile), tracer.SpanType(hostile))
	for _, kind := range []string{ext.SpanTypeSQL, ext.SpanTypeWeb} {
		child := tracer.StartSpan(hostile, tracer.ChildOf(root.Context()), tracer.ServiceName("shop "+kind+hostile), tracer.ResourceName("SELECT 1 /*"+hostile), tracer.SpanType(kind))
		child.SetTag("http.status_code", hostile)
		child.Finish(tracer.WithError(stackError{}))
	}
	root.Finish(tracer.WithError(errors.New(hostile)))
	tracer.Stop()

	client, err := statsd.New(d.metrics, statsd.WithoutTelemetry())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.Gauge("shop."+hostile, 1, []string{hostile + ":" + hostile}, 1), client.Close()); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", d.service+"/"+url.PathEscape(hostile)+"?q="+url.QueryEscape(hostile), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", hostile)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	id := fmt.Sprint(root.Context().TraceID())
	d.awaitTrace(t, id)
	type named struct {
		Service string `json:"service"`
	}
	paths := []string{"/", "/map", "/traces", "/traces?q=" + url.QueryEscape(hostile), "/logs", "/logs?q=" + url.QueryEscape(hostile), "/metrics?q=shop", "/profiles", "/received", "/usage",
		"/t/" + id, "/services/" + url.PathEscape(hostile), "/" + url.PathEscape(hostile)}
	for _, s := range get[[]named](t, d.pages+"/api/services") {
		paths = append(paths, "/services/"+url.PathEscape(s.Service), "/traces?service="+url.QueryEscape(s.Service))
	}
	type spans struct {
		Spans []struct {
			ID string `json:"span_id"`
		} `json:"spans"`
	}
	trace := get[spans](t, d.pages+"/api/traces/"+id)
	if len(trace.Spans) != 3 {
		t.Fatalf("%d spans, want 3", len(trace.Spans))
	}
	for _, s := range trace.Spans {
		paths = append(paths, "/t/"+id+"?span="+s.ID)
	}
	b := browser.Start(t)
	seen := 0
	for _, path := range paths {
		b.Do(t, chromedp.Navigate(d.pages+path))
		if strings.Contains(b.Text(t), "onerror=") {
			seen++
		}
		const harm = `JSON.stringify([window.owned, document.querySelectorAll("img, [onload], [onerror]").length, [...document.scripts].filter(s => !s.src && s.type !== "application/json").length])`
		var found []any
		if err := json.Unmarshal([]byte(browser.Get(t, b, chromedp.Evaluate[string](harm))), &found); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(found) != "[<nil> 0 0]" {
			t.Errorf("%s ran a script, or has hostile elements or inline scripts: %v", path, found)
		}
	}
	// The Agent removes such characters from services, operations and tags, but not
	// from resources and errors. Log lines keep them, too.
	if seen < 6 {
		t.Errorf("only %d pages show the text: %v", seen, paths)
	}
	for _, e := range b.Errors() {
		if !strings.Contains(e, "404") { // the browser reports a missing page as an error
			t.Errorf("error on a page: %s", e)
		}
	}
}
