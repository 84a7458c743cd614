package telemetry

import (
	"net/http"
	"slices"

	httptrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/net/http"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// Handler returns h with a span for each request. method and resource are known
// values, because the statistics have both as dimensions: a client that invents
// methods or paths must not make new ones.
//
// Call it once per route, inside the router. So the span starts with its resource:
// sampling rules, the flags of traceresponse and the labels of CPU samples need it
// from the start. The tracer's middleware for chi runs before the route is known.
// The span's http.route is the request's Pattern, which chi sets.
func Handler(cfg Config, method, resource string, h http.Handler) http.Handler {
	return fromArrival(func(start ...ddtrace.StartSpanOption) http.Handler {
		return httptrace.WrapHandler(h, cfg.Service, resource,
			httptrace.WithSpanOptions(append(start, tracer.Tag(ext.HTTPMethod, method))...),
			// For an error status the tracer overwrites the span's error with
			// "500: Internal Server Error". The handlers record the real error with
			// SetError instead, as in the log.
			httptrace.WithStatusCheck(func(int) bool { return false }),
		)
	})
}

// IsErrorStatus reports whether a response with this status makes its span an
// error. By default a 5xx does; DD_TRACE_HTTP_SERVER_ERROR_STATUSES changes that.
func (c Config) IsErrorStatus(status int) bool {
	return slices.ContainsFunc(c.errorStatuses, func(r [2]int) bool { return r[0] <= status && status <= r[1] })
}
