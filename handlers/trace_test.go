package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/mocktracer"

	"apmapp/handlers"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// recordSpans replaces the tracer during the test and returns its record.
func recordSpans(t *testing.T) mocktracer.Tracer {
	telemetry.StopTracer()
	spans := mocktracer.Start()
	t.Cleanup(func() {
		spans.Stop()
		startTracer()
	})
	return spans
}

// requestSpans returns the finished spans of requests.
func requestSpans(t mocktracer.Tracer) []mocktracer.Span {
	return slices.DeleteFunc(t.FinishedSpans(), func(s mocktracer.Span) bool { return s.OperationName() != "http.request" })
}

func TestSpans(t *testing.T) {
	spans := recordSpans(t)
	v := &visits{latest: func(ctx context.Context) (store.Visit, bool, error) {
		return store.Visit{}, false, ctx.Err()
	}}
	failing := &visits{latest: latest(store.Visit{}, false, errors.New("no such column"))}
	for _, tc := range []struct {
		visits       *visits
		method, path string
		statuses     string // that are errors
		resource     string // "" for no span
		err          string
	}{
		{v, "GET", "/", "", "GET /", ""},
		{v, "GET", "//", "", "GET /", ""},
		{v, "HEAD", "/api/apm", "", "HEAD /api/apm", ""},
		{v, "GET", "/api/trace?id=1", "", "GET /api/trace", ""},
		{v, "OPTIONS", "/", "", "OPTIONS /", ""},
		{v, "GET", "/no/such/page", "", "GET 404", ""},
		{v, "POST", "/no/such/page", "", "POST 404", ""},
		{v, "PROPFIND", "/no/such/page", "", "OTHER 404", ""},
		{v, "POST", "/", "", "POST 405", ""},
		{v, "PUT", "/", "", "PUT 405", ""},
		{v, "PATCH", "/", "", "PATCH 405", ""},
		{v, "DELETE", "/", "", "DELETE 405", ""},
		{v, "CONNECT", "/", "", "CONNECT 405", ""},
		{v, "TRACE", "/", "", "TRACE 405", ""},
		{v, "PROPFIND", "/", "", "OTHER 405", ""},
		{v, "get", "/", "", "OTHER 405", ""},
		{v, "GET", "/healthz", "", "", ""},
		{v, "GET", "/readyz", "", "", ""},
		{failing, "GET", "/", "", "GET /", "home: no such column"},
		{failing, "GET", "/", "404", "GET /", ""},
		{v, "GET", "/no/such/page", "404", "GET 404", "no such path"},
		{v, "POST", "/", "405", "POST 405", "method not allowed"},
		{v, "GET", "/", "200", "GET /", "200 OK"},
	} {
		spans.Reset()
		h, logs := surface(t, tc.visits, func(c *handlers.Config) { c.Telemetry = telemetryConfig(t, tc.statuses) })
		r, err := http.NewRequest(tc.method, "http://apmapp"+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		do(h, r)
		finished := requestSpans(spans)
		if tc.resource == "" {
			if len(finished) != 0 {
				t.Errorf("%s %s: %d spans, want none", tc.method, tc.path, len(finished))
			}
			continue
		}
		if len(finished) != 1 {
			t.Errorf("%s %s: %d spans, want 1", tc.method, tc.path, len(finished))
			continue
		}
		if got := finished[0].Tag("resource.name"); got != tc.resource {
			t.Errorf("%s %s: resource %v, want %s", tc.method, tc.path, got, tc.resource)
		}
		message := ""
		if tag := finished[0].Tag("error.message"); tag != nil {
			message = fmt.Sprint(tag)
		}
		if message != tc.err {
			t.Errorf("%s %s with error statuses %q: error %q, want %q", tc.method, tc.path, tc.statuses, message, tc.err)
		}
		if l := logs()[0]; (l["level"] == "ERROR") != (tc.err != "") || tc.err != "" && l["error.message"] != tc.err {
			t.Errorf("%s %s with error statuses %q: logged %v, want the error %q of the span", tc.method, tc.path, tc.statuses, l, tc.err)
		}
	}
}

// CPU samples of a route's work have its resource as a label.
func TestWorkIsLabeled(t *testing.T) {
	var label string
	h, _ := surface(t, &visits{latest: func(ctx context.Context) (store.Visit, bool, error) {
		label, _ = pprof.Label(ctx, "trace endpoint")
		return store.Visit{}, false, nil
	}})
	if do(h, get("/")); label != "GET /" {
		t.Errorf("label %q, want GET /", label)
	}
}

func TestTracesAreContinued(t *testing.T) {
	h, _ := surface(t, &visits{})
	for _, tc := range []struct {
		name    string
		headers map[string]string
	}{
		{"W3C", map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
		{"Datadog", map[string]string{"x-datadog-trace-id": "11803532876627986230", "x-datadog-parent-id": "67667974448284343", "x-datadog-tags": "_dd.p.tid=4bf92f3577b34da6", "x-datadog-sampling-priority": "1"}},
	} {
		r := get("/")
		for key, value := range tc.headers {
			r.Header.Set(key, value)
		}
		got := do(h, r).Header().Get("Traceresponse")
		if want := "00-4bf92f3577b34da6a3ce929d0e0e4736-"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "-01") {
			t.Errorf("%s: traceresponse %q, want %s…-01", tc.name, got, want)
		}
	}
	r := get("/")
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	if got := do(h, r).Header().Get("Traceresponse"); !strings.HasSuffix(got, "-00") {
		t.Errorf("the caller did not sample the trace, traceresponse %q", got)
	}
}

func TestAnswersLinkToTheirTrace(t *testing.T) {
	h, _ := surface(t, &visits{}, func(c *handlers.Config) {
		c.TracePage = func(traceID string) string { return "http://pages/t/" + traceID }
	})
	header := do(h, get("/")).Header()
	traceID := strings.Split(header.Get("Traceresponse"), "-")[1]
	if got, want := header.Get("Link"), "<http://pages/t/"+traceID+`>; rel="describedby"; title="trace"`; got != want {
		t.Errorf("Link %s, want %s", got, want)
	}
	if got := do(h, get("/healthz")).Header().Get("Link"); got != "" {
		t.Errorf("a probe has no trace, but Link %s", got)
	}
	h, _ = surface(t, &visits{})
	if got := do(h, get("/")).Header().Get("Link"); got != "" {
		t.Errorf("no page shows traces, but Link %s", got)
	}
}
