package telemetry

import (
	"context"
	"fmt"
	"runtime/pprof"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/failure"
)

// IDs identify a span.
type IDs struct {
	// TraceID is the 128-bit trace ID in 32 hex digits, SpanID the span's in 16.
	TraceID, SpanID string
	sampled         bool
}

// SpanIDs returns the IDs of the span in ctx; false where there is none.
func SpanIDs(ctx context.Context) (IDs, bool) {
	span, ok := tracer.SpanFromContext(ctx)
	if !ok {
		return IDs{}, false
	}
	sc := span.Context()
	w3c, ok := sc.(ddtrace.SpanContextW3C)
	if !ok || sc.SpanID() == 0 {
		return IDs{}, false
	}
	ids := IDs{TraceID: w3c.TraceID128(), SpanID: fmt.Sprintf("%016x", sc.SpanID())}
	if v2, ok := sc.(tracer.SpanContextV2Adapter); ok {
		priority, _ := v2.Ctx.SamplingPriority()
		ids.sampled = priority >= ext.PriorityAutoKeep
	}
	return ids, true
}

// TraceResponse is the value of the traceresponse header that W3C Trace Context
// Level 2 defines: https://www.w3.org/TR/trace-context-2/#traceresponse-header
func (i IDs) TraceResponse() string {
	flags := "00"
	if i.sampled {
		flags = "01"
	}
	return "00-" + i.TraceID + "-" + i.SpanID + "-" + flags
}

// endpointLabel is the profiler's label for the resource of a request.
const endpointLabel = "trace endpoint"

// SetResource names what the span in ctx works on. On a request's span, called
// before the work, it also labels CPU samples of the work with their endpoint:
// those of this goroutine at once, and those behind a child span where the work
// goes on with the context that it returns.
func SetResource(ctx context.Context, resource string) context.Context {
	span, ok := tracer.SpanFromContext(ctx)
	if !ok {
		return ctx
	}
	span.SetTag(ext.ResourceName, resource)
	// The end of a child span gives the goroutine the labels of its context
	// back; the tag has changed the goroutine's alone.
	if _, labelled := pprof.Label(ctx, endpointLabel); labelled {
		ctx = pprof.WithLabels(ctx, pprof.Labels(endpointLabel, resource))
	}
	return ctx
}

// SetError makes the span in ctx an error: its type is the innermost cause's,
// its stack the one of the place that made it. (The tracer's own way has the
// outermost type, and no stack.)
func SetError(ctx context.Context, err error) {
	if span, ok := tracer.SpanFromContext(ctx); ok {
		setError(span, err)
	}
}

func setError(span ddtrace.Span, err error) {
	span.SetTag(ext.Error, true)
	span.SetTag(ext.ErrorType, failure.Kind(err))
	span.SetTag(ext.ErrorMsg, err.Error())
	if stack := failure.Stack(err); stack != "" {
		span.SetTag(ext.ErrorStack, stack)
	}
}

// Job is one run of a periodic job, with a trace of its own.
type Job struct{ span ddtrace.Span }

// StartJob begins the trace of a run; the context is for what the run does.
func StartJob(ctx context.Context, cfg Config, resource string) (*Job, context.Context) {
	span, ctx := tracer.StartSpanFromContext(ctx, "job.run",
		tracer.ServiceName(cfg.JobsService()),
		tracer.ResourceName(resource),
		tracer.SpanType("worker"),
		tracer.Tag(ext.SpanKind, ext.SpanKindInternal),
		tracer.Tag(ext.Component, "apmapp"),
		tracer.Measured(),
	)
	return &Job{span}, ctx
}

// Count notes how many of something the run has dealt with.
func (j *Job) Count(name string, n int) { j.span.SetTag(name, n) }

// End ends the run, as an error when err is not nil.
func (j *Job) End(err error) {
	if err != nil {
		setError(j.span, err)
	}
	j.span.Finish()
}
