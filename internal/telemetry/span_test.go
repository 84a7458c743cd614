package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/mocktracer"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/failure"
)

// startTracer starts the real tracer until the test ends, without an Agent.
func startTracer(t *testing.T) {
	t.Helper()
	t.Setenv("DD_TRACE_AGENT_URL", "http://127.0.0.1:1")
	t.Setenv("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
	Start(Config{Service: "shop", Tracing: true}, slog.New(slog.DiscardHandler))
	t.Cleanup(StopTracer)
}

func TestSpanIDs(t *testing.T) {
	if ids, ok := SpanIDs(context.Background()); ok {
		t.Errorf("without a span: %+v", ids)
	}
	startTracer(t)
	for _, c := range []struct {
		name     string
		priority int
		flags    string
	}{
		{"dropped by a user", ext.PriorityUserReject, "00"},
		{"not sampled", ext.PriorityAutoReject, "00"},
		{"sampled", ext.PriorityAutoKeep, "01"},
		{"kept by a user", ext.PriorityUserKeep, "01"},
	} {
		span, ctx := tracer.StartSpanFromContext(context.Background(), "work")
		span.SetTag(ext.SamplingPriority, c.priority)
		ids, ok := SpanIDs(ctx)
		if !ok || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(ids.SpanID) || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(ids.TraceID) {
			t.Errorf("%s: IDs %+v, %v, want 32 and 16 hex digits", c.name, ids, ok)
		}
		if ids.SpanID != fmt.Sprintf("%016x", span.Context().SpanID()) || !strings.HasSuffix(ids.TraceID, fmt.Sprintf("%016x", span.Context().TraceID())) {
			t.Errorf("%s: IDs %+v are not the span's", c.name, ids)
		}
		if got, want := ids.TraceResponse(), "00-"+ids.TraceID+"-"+ids.SpanID+"-"+c.flags; got != want {
			t.Errorf("%s: traceresponse %s, want %s", c.name, got, want)
		}
		span.Finish()
	}
}

func TestSpanIDsWithoutTracing(t *testing.T) {
	span, ctx := tracer.StartSpanFromContext(context.Background(), "work") // no tracer runs
	defer span.Finish()
	if ids, ok := SpanIDs(ctx); ok {
		t.Errorf("IDs %+v, want none", ids)
	}
}

// endpoint returns the label of this goroutine in profiles.
func endpoint(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, "telemetry.endpoint+") {
			if label := regexp.MustCompile(`"trace endpoint":"([^"]*)"`).FindStringSubmatch(stack); label != nil {
				return label[1]
			}
			return ""
		}
	}
	t.Fatalf("this goroutine is not in the profile:\n%s", &b)
	return ""
}

// The samples of a request's work have its resource, also after a statement.
func TestHandlerLabelsSamples(t *testing.T) {
	startTracer(t)
	Handler(Config{Service: "shop"}, "GET", "GET /cart", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := endpoint(t); got != "GET /cart" {
			t.Errorf("label %q, want GET /cart", got)
		}
		statement, _ := tracer.StartSpanFromContext(r.Context(), "mysql.query", tracer.SpanType(ext.SpanTypeSQL))
		statement.Finish()
		if got := endpoint(t); got != "GET /cart" {
			t.Errorf("label %q after a child span, want GET /cart", got)
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/cart", nil))
}

func TestSetError(t *testing.T) {
	SetError(context.Background(), errors.New("without a span")) // does nothing
	spans := mocktracer.Start()
	defer spans.Stop()
	for _, c := range []struct {
		err   error
		stack bool
	}{
		{fmt.Errorf("home: %w", failure.New("read", errors.New("broken"))), true},
		{errors.New("plain"), false},
	} {
		spans.Reset()
		span, ctx := tracer.StartSpanFromContext(context.Background(), "work")
		SetError(ctx, c.err)
		span.Finish()
		s := spans.FinishedSpans()[0]
		if s.Tag("error.type") != "*errors.errorString" || s.Tag("error.message") != c.err.Error() || s.Tag("_ddtrace.span_error") != int32(1) {
			t.Errorf("%v: span %v", c.err, s)
		}
		stack, hasStack := s.(mocktracer.MockspanV2Adapter).Span.Tags()["error.stack"]
		if hasStack != c.stack || hasStack && !strings.Contains(fmt.Sprint(stack), "span_test.go") {
			t.Errorf("%v: stack %v, want one: %v", c.err, stack, c.stack)
		}
	}
}

func TestJob(t *testing.T) {
	spans := mocktracer.Start()
	defer spans.Stop()
	for _, err := range []error{nil, errors.New("the disk is full")} {
		spans.Reset()
		job, ctx := StartJob(context.Background(), Config{Service: "shop"}, "delete expired visits")
		statement, _ := tracer.StartSpanFromContext(ctx, "mysql.query")
		statement.Finish()
		job.Count("visits.deleted", 3)
		job.End(err)
		finished := spans.FinishedSpans()
		if len(finished) != 2 {
			t.Fatalf("%d spans, want the statement and the job", len(finished))
		}
		s := finished[1]
		if s.OperationName() != "job.run" || s.ParentID() != 0 || finished[0].ParentID() != s.SpanID() {
			t.Errorf("span %v of statement %v, want a root span job.run with the statement as its child", s, finished[0])
		}
		for tag, want := range map[string]any{
			"service.name": "shop-jobs", "resource.name": "delete expired visits", "span.type": "worker",
			"span.kind": "internal", "component": "apmapp", "visits.deleted": 3.0,
		} {
			if got := s.Tag(tag); got != want {
				t.Errorf("%s: %v, want %v", tag, got, want)
			}
		}
		if got := s.Tag("error.message"); (got == nil) != (err == nil) {
			t.Errorf("error %v, want %v", got, err)
		}
	}
}

func TestWork(t *testing.T) {
	for _, c := range []struct {
		err     error
		message any
	}{{nil, nil}, {errors.New("broken"), "broken"}, {fmt.Errorf("record: %w", context.Canceled), nil}} {
		spans := mocktracer.Start()
		request, ctx := tracer.StartSpanFromContext(context.Background(), "http.request")
		work, ctx := StartWork(ctx, "visit.record", "record a visit")
		work.Count("visits", 3)
		inner, _ := tracer.StartSpanFromContext(ctx, "mysql.query")
		inner.Finish()
		work.End(c.err)
		request.Finish()
		finished := spans.FinishedSpans()
		s := finished[1]
		if s.OperationName() != "visit.record" || s.Tag("resource.name") != "record a visit" || s.Tag("span.kind") != "internal" ||
			s.Tag("visits") != float64(3) || s.ParentID() != request.Context().SpanID() || finished[0].ParentID() != s.SpanID() {
			t.Errorf("span %v between %v and %v", s, finished[0], finished[2])
		}
		if got := s.Tag("error.message"); got != c.message {
			t.Errorf("%v: the span's error is %v, want %v", c.err, got, c.message)
		}
		spans.Stop()
	}
}

func TestWaitedForConnection(t *testing.T) {
	WaitedForConnection(context.Background(), time.Second) // without a trace
	for wait, want := range map[time.Duration]any{shortestWait - 1: nil, shortestWait: 1.0, 2500 * time.Microsecond: 2.5} {
		spans := mocktracer.Start()
		request, ctx := tracer.StartSpanFromContext(context.Background(), "http.request")
		WaitedForConnection(ctx, wait)
		request.Finish()
		if got := spans.FinishedSpans()[0].Tag("mysql.wait"); got != want {
			t.Errorf("%s: the tag is %v, want %v", wait, got, want)
		}
		spans.Stop()
	}
}
