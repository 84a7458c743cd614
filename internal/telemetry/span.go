package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/failure"
)

// IDs identify a span.
type IDs struct {
	// TraceID is the 128-bit trace ID in 32 hex digits. SpanID has 16 hex digits.
	TraceID, SpanID string
	sampled         bool
}

// SpanIDs returns the IDs of the span in ctx, or false if there is no span.
func SpanIDs(ctx context.Context) (IDs, bool) {
	span, ok := tracer.SpanFromContext(ctx)
	if !ok {
		return IDs{}, false
	}
	// Every span context of the v1 paths is an adapter over the v2 engine's.
	sc, ok := span.Context().(tracer.SpanContextV2Adapter)
	if !ok {
		return IDs{}, false
	}
	priority, _ := sc.Ctx.SamplingPriority()
	return IDs{
		TraceID: sc.TraceID128(),
		SpanID:  fmt.Sprintf("%016x", sc.SpanID()),
		sampled: priority >= ext.PriorityAutoKeep,
	}, true
}

// TraceResponse returns the value of the header traceresponse, which W3C Trace
// Context Level 2 had until 2022 (https://www.w3.org/TR/2021/NOTE-trace-context-2-20210406/).
// The working group's draft has the same value as the description of the metric
// "trace" in Server-Timing: https://github.com/w3c/trace-context/pull/560
func (i IDs) TraceResponse() string {
	flags := "00"
	if i.sampled {
		flags = "01"
	}
	return "00-" + i.TraceID + "-" + i.SpanID + "-" + flags
}

// SetError marks the span in ctx as an error, with the type of its cause
// and the stack of the place where the error was made. (The tracer's own
// function uses the outermost type and has no stack.)
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

// Work is a piece of work with a span of its own.
type Work struct{ span ddtrace.Span }

// StartWork starts the span of a piece of work within the trace in ctx. The work uses
// the returned context.
func StartWork(ctx context.Context, operation, resource string) (*Work, context.Context) {
	span, ctx := tracer.StartSpanFromContext(ctx, operation,
		tracer.ResourceName(resource),
		tracer.Tag(ext.SpanKind, ext.SpanKindInternal),
		tracer.Tag(ext.Component, "apmapp"),
	)
	return &Work{span}, ctx
}

// StartJob starts the trace of one run of a periodic job. The run uses the returned
// context.
func StartJob(ctx context.Context, cfg Config, resource string) (*Work, context.Context) {
	span, ctx := tracer.StartSpanFromContext(ctx, "job.run",
		tracer.ServiceName(cfg.JobsService()),
		tracer.ResourceName(resource),
		tracer.SpanType("worker"),
		tracer.Tag(ext.SpanKind, ext.SpanKindInternal),
		tracer.Tag(ext.Component, "apmapp"),
		tracer.Measured(),
	)
	return &Work{span}, ctx
}

// Count records a number of processed items as a tag.
func (w *Work) Count(name string, n int) { w.span.SetTag(name, n) }

// End ends the work. If err is not nil, the work is an error, unless its caller has
// left.
func (w *Work) End(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		setError(w.span, err)
	}
	w.span.Finish()
}

// connectionWait is the tag with the wait of a statement for a connection of the pool,
// in milliseconds.
const connectionWait = "mysql.wait"

// shortestWait is the shortest wait for a connection that is recorded. Without a wait
// it takes microseconds.
const shortestWait = time.Millisecond

// WaitedForConnection records on the span in ctx how long its statement waited for a
// connection of the pool. It is a tag, not a span: under overload every statement
// waits, and a span costs much more.
func WaitedForConnection(ctx context.Context, wait time.Duration) {
	if span, ok := tracer.SpanFromContext(ctx); ok && wait >= shortestWait {
		span.SetTag(connectionWait, float64(wait)/float64(time.Millisecond))
	}
}
