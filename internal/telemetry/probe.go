package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/build"
)

// ProbeOperation is the operation of a test trace.
const ProbeOperation = "doctor.check"

// StartProbe starts the tracer of cfg for test traces. Their requests go through
// transport, each for at most timeout. Nothing else is sent: no metrics, no profiles, no
// reports about the tracer, no key.
// The tracer's messages go to logger. Call stop to send the traces.
func StartProbe(cfg Config, transport http.RoundTripper, timeout time.Duration, logger *slog.Logger) (stop func()) {
	cfg.prepareEnvironment(build.Revision())
	for _, name := range []string{
		"DD_INSTRUMENTATION_TELEMETRY_ENABLED", "DD_REMOTE_CONFIGURATION_ENABLED", "DD_RUNTIME_METRICS_V2_ENABLED", "DD_TRACE_INTERNAL_METRICS_ENABLED",
		"DD_TRACE_STARTUP_LOGS", "DD_APPSEC_ENABLED",
	} {
		os.Setenv(name, "false")
	}
	os.Unsetenv("DD_TRACE_SEND_RETRIES") // one attempt shows enough
	os.Unsetenv("DD_API_KEY")
	ddtrace.UseLogger(&tracerLog{logger: logger})
	tracer.Start(
		tracer.WithService(cfg.Service),
		tracer.WithEnv(cfg.Env),
		tracer.WithUniversalVersion(cfg.Version),
		tracer.WithTraceEnabled(cfg.Tracing),
		tracer.WithHTTPClient(&http.Client{Transport: tracesOnly{transport}, Timeout: timeout}),
	)
	return StopTracer
}

// errNotSent is the error of requests that are not about traces.
var errNotSent = errors.New("not sent: it is not about traces")

// tracesOnly is a transport that sends only what is about traces. The tracer also reports
// about itself, to Datadog if the environment has a key.
type tracesOnly struct{ next http.RoundTripper }

func (t tracesOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, path := range []string{"/info", "/traces", "/v0.6/stats"} {
		if strings.HasSuffix(r.URL.Path, path) {
			return t.next.RoundTrip(r)
		}
	}
	return nil, errNotSent
}

// StartTestTrace starts a trace that is kept at every sampling rate. Its operation is not
// one of the service, so it is not in the metrics of requests.
func StartTestTrace(ctx context.Context, resource string) (*Work, context.Context) {
	span, ctx := tracer.StartSpanFromContext(ctx, ProbeOperation,
		tracer.ResourceName(resource),
		tracer.Tag(ext.SpanKind, ext.SpanKindInternal),
		tracer.Tag(ext.Component, "apmapp"),
		tracer.Tag(ext.ManualKeep, true),
	)
	return &Work{span}, ctx
}

// keptFirst is the trace ID that the tracer keeps at every sampling rate above 0: it
// keeps an ID if its product with 1111111111111111111, modulo 2^64, is at most the rate
// times 2^64. This product is 1.
const keptFirst = 3396998997810348023

// Keeps reports whether the tracer keeps at least a share of the traces of a resource, by
// the settings of the environment; with share 0, whether it keeps any. resource is a
// method and a route. Keeps needs a tracer that runs. It sends nothing, because its span
// does not end.
func Keeps(cfg Config, resource string, share float64) bool {
	product := max(1, uint64(share*(1<<64)))
	method, route, _ := strings.Cut(resource, " ")
	span := tracer.StartSpan("http.request",
		tracer.ServiceName(cfg.Service), tracer.ResourceName(resource), tracer.SpanType(ext.SpanTypeWeb), tracer.WithSpanID(product*keptFirst),
		// Rules can ask for these tags, which the span of an answered request has.
		tracer.Tag(ext.SpanKind, ext.SpanKindServer), tracer.Tag(ext.Component, "net/http"),
		tracer.Tag(ext.HTTPMethod, method), tracer.Tag(ext.HTTPRoute, route), tracer.Tag(ext.HTTPCode, "200"))
	sc, ok := span.Context().(tracer.SpanContextV2Adapter)
	if !ok {
		return false
	}
	priority, decided := sc.Ctx.SamplingPriority()
	return decided && priority >= ext.PriorityAutoKeep
}
