package viewer

import (
	"fmt"
	"testing"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

func TestSurroundings(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	// of is a span of a service and a resource, from a time to another one in ms.
	of := func(id, parent uint64, service, resource string, from, to int, failed ...bool) span.Span {
		return span.Span{SpanID: id, ParentID: parent, Service: service, Resource: resource, Error: len(failed) > 0,
			Start: begin.Add(time.Duration(from) * time.Millisecond), Duration: time.Duration(to-from) * time.Millisecond}
	}
	request := store.Trace{Spans: []span.Span{
		of(1, 0, "gate", "GET /shop", 0, 200),
		of(2, 1, "web", "GET /", 0, 100),
		of(3, 2, "web", "step", 10, 90),
		of(4, 3, "db", "SELECT", 20, 60), // below a step of the same service
		of(5, 3, "db", "SELECT", 40, 80, true),
		of(6, 4, "disk", "read", 20, 60),  // the database calls it
		of(7, 2, "cache", "get", 90, 120), // ends after its caller
	}}
	alone := store.Trace{Spans: []span.Span{of(1, 0, "web", "GET /", 0, 100), of(2, 1, "web", "GET /", 0, 50)}}
	partial := span.Span{SpanID: 9, Service: "web", Resource: "GET /", Metrics: map[string]float64{"_dd.partial_version": 1}, Duration: time.Hour}
	circle := store.Trace{Spans: []span.Span{of(1, 2, "db", "a", 0, 10), of(2, 1, "web", "GET /", 0, 10)}}
	written := func(all []neighbor) (text string) {
		for _, n := range all {
			text += fmt.Sprintf("%s %s: %d calls, %d errors, %.4g per request, %s, %.4g; ", n.Service, n.Resource, n.Calls, n.Errors, n.PerRequest, n.Mean, n.Share)
			if n.Rate != 10*n.PerRequest {
				t.Errorf("%s: %g per second, want %g", n.Resource, n.Rate, 10*n.PerRequest)
			}
		}
		return text
	}
	for name, test := range map[string]struct {
		traces           []store.Trace
		of               scope
		requests         int64
		own              float64
		callers, callees string
	}{
		"a request": {[]store.Trace{request}, scope{Service: "web"}, 1, 0.3,
			"gate GET /shop: 1 calls, 0 errors, 1 per request, 100ms, 1; ",
			"db SELECT: 2 calls, 1 errors, 2 per request, 40ms, 0.8; cache get: 1 calls, 0 errors, 1 per request, 30ms, 0.3; "},
		"a resource": {[]store.Trace{request, alone}, scope{Service: "web", Resource: "GET /"}, 2, 0.65,
			" : 1 calls, 0 errors, 0.5 per request, 100ms, 0.5; gate GET /shop: 1 calls, 0 errors, 0.5 per request, 100ms, 0.5; ",
			"db SELECT: 2 calls, 1 errors, 1 per request, 40ms, 0.4; cache get: 1 calls, 0 errors, 0.5 per request, 30ms, 0.15; "},
		"an inner resource": {[]store.Trace{request}, scope{Service: "web", Resource: "step"}, 1, 0.25,
			"web GET /: 1 calls, 0 errors, 1 per request, 80ms, 1; ", "db SELECT: 2 calls, 1 errors, 2 per request, 40ms, 1; "},
		"another operation": {[]store.Trace{request}, scope{Service: "web", Resource: "GET /", Operation: "none"}, 0, 0, "", ""},
		"not ended":         {[]store.Trace{{Spans: []span.Span{partial}}}, scope{Service: "web"}, 0, 0, "", ""},
		"a circle": {[]store.Trace{circle}, scope{Service: "web"}, 1, 0,
			"db a: 1 calls, 0 errors, 1 per request, 10ms, 1; ", "db a: 1 calls, 0 errors, 1 per request, 10ms, 1; "},
		"nothing": {nil, scope{Service: "web"}, 0, 0, "", ""},
	} {
		got := surroundingsOf(test.traces, test.of, 10)
		if got.Requests != test.requests || fmt.Sprintf("%.4g", got.Own) != fmt.Sprintf("%.4g", test.own) {
			t.Errorf("%s: %d requests, own %g, want %d and %g", name, got.Requests, got.Own, test.requests, test.own)
		}
		if got := written(got.Callers); got != test.callers {
			t.Errorf("%s: callers %s, want %s", name, got, test.callers)
		}
		if got := written(got.Callees); got != test.callees {
			t.Errorf("%s: callees %s, want %s", name, got, test.callees)
		}
	}
	var many store.Trace // more spans than a page may look at
	for i := range sampledSpans {
		many.Spans = append(many.Spans, of(uint64(i+1), 0, "web", "GET /", 0, 1))
	}
	if got := surroundingsOf([]store.Trace{many, request}, scope{Service: "web"}, 1); got.Requests != sampledSpans {
		t.Errorf("%d requests, want %d", got.Requests, sampledSpans)
	}
}
