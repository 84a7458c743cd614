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
	cfg := ConfigFromEnv(env("DD_TRACE_HTTP_SERVER_ERROR_STATUSES=404,500-599"), "shop", "dev")
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/ok", 200},
		{"/missing", 404},
		{"/refused", 403},
		{"/failed", 500},
		{"/last", 499},
	} {
		spans.Reset()
		h := Handler(cfg, "OTHER", "resource "+c.path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("INVENTED", c.path, nil))
		finished := spans.FinishedSpans()
		if len(finished) != 1 {
			t.Fatalf("%d spans, want 1", len(finished))
		}
		s := finished[0]
		if s.OperationName() != "http.request" || s.Tag("service.name") != "shop" || s.Tag("resource.name") != "resource "+c.path || s.Tag("http.method") != "OTHER" || s.Tag("error.message") != nil {
			t.Errorf("%d: span %v, want no error: the handlers record it", c.status, s)
		}
	}
}
