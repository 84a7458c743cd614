package main

import (
	"net/http"

	httptrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/net/http"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// serviceName is what loadgen's own spans are of, whatever DD_SERVICE says: that
// is more often meant for the target.
const serviceName = "loadgen"

// startTracer starts the tracer; DD_ENV, DD_TRACE_AGENT_URL and its other
// variables keep their meaning.
func startTracer() (stop func()) {
	tracer.Start(tracer.WithService(serviceName), tracer.WithLogStartup(false))
	return tracer.Stop
}

// traced makes a client span of each request and sends its context along.
func traced(next http.RoundTripper) http.RoundTripper {
	return httptrace.WrapRoundTripper(next,
		httptrace.RTWithServiceName(serviceName),
		httptrace.RTWithResourceNamer(func(r *http.Request) string { return r.Method + " " + r.URL.Path }),
	)
}
