package telemetry

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/mocktracer"
)

func TestHTTP(t *testing.T) {
	spans := mocktracer.Start()
	defer spans.Stop()
	cfg, err := ConfigFromEnv(env("DD_TRACE_HTTP_SERVER_ERROR_STATUSES=404,500-599"), "shop", "dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path    string
		status  int
		message any // of the span's error
	}{
		{"/ok", 200, nil},
		{"/missing", 404, "404: Not Found"},
		{"/refused", 403, nil},
		// The handler itself records the error of a 5xx.
		{"/failed", 500, nil},
		{"/last", 499, nil},
	} {
		spans.Reset()
		ignore := func(r *http.Request) bool { return r.URL.Path == "/probe" }
		resource := func(r *http.Request) string { return "resource " + r.URL.Path }
		h := HTTP(cfg, ignore, resource)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
		for _, path := range []string{"/probe", c.path} {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
		finished := spans.FinishedSpans()
		if len(finished) != 1 {
			t.Fatalf("%d spans, want 1: none for the probe", len(finished))
		}
		s := finished[0]
		if s.OperationName() != "http.request" || s.Tag("service.name") != "shop" || s.Tag("resource.name") != "resource "+c.path || s.Tag("error.message") != c.message {
			t.Errorf("%d: span %v, want the error %v", c.status, s, c.message)
		}
	}
}
