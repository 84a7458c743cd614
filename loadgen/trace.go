package main

import (
	"fmt"
	"io"
	"net/http"

	httptrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/net/http"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/ddenv"
)

// serviceName is the service of loadgen's own spans. DD_SERVICE does not change
// it, because that is usually meant for the target.
const serviceName = "loadgen"

// startTracer starts the tracer, which reads DD_ENV, DD_TRACE_AGENT_URL and its
// other variables. It writes a line to warnings for each wrong value.
func startTracer(warnings io.Writer) (stop func()) {
	for _, p := range ddenv.Problems() {
		fmt.Fprintln(warnings, "loadgen: warning:", p.Text)
	}
	tracer.Start(tracer.WithService(serviceName), tracer.WithLogStartup(false))
	return tracer.Stop
}

// traced makes a client span for each request and sends its context in the
// headers.
func traced(next http.RoundTripper) http.RoundTripper {
	return httptrace.WrapRoundTripper(next,
		httptrace.RTWithServiceName(serviceName),
		httptrace.RTWithResourceNamer(func(r *http.Request) string { return r.Method + " " + r.URL.Path }),
	)
}
