package otel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// goSDK is OpenTelemetry's SDK for Go, without its globals.
type goSDK struct {
	traces  *sdktrace.TracerProvider
	logs    *sdklog.LoggerProvider
	metrics *sdkmetric.MeterProvider
}

// newGoSDK returns the SDK of the service cart with OTLP over a protocol.
func newGoSDK(t *testing.T, protocol string, a agent, temporality sdkmetric.TemporalitySelector) goSDK {
	t.Helper()
	ctx := t.Context()
	var spans sdktrace.SpanExporter
	var records sdklog.Exporter
	var numbers sdkmetric.Exporter
	var errs [3]error
	if protocol == "grpc" {
		spans, errs[0] = otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(a.grpc), otlptracegrpc.WithCompressor("gzip"))
		records, errs[1] = otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(a.grpc))
		numbers, errs[2] = otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(a.grpc), otlpmetricgrpc.WithTemporalitySelector(temporality))
	} else {
		spans, errs[0] = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(a.http+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		records, errs[1] = otlploghttp.New(ctx, otlploghttp.WithEndpointURL(a.http+"/v1/logs"))
		numbers, errs[2] = otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(a.http+"/v1/metrics"), otlpmetrichttp.WithTemporalitySelector(temporality))
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	of := resource.NewSchemaless(attribute.String("service.name", "cart"), attribute.String("deployment.environment.name", "test"),
		attribute.String("service.version", "1.2"), attribute.Int("process.pid", 7))
	return goSDK{
		sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(of)),
		sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(records)), sdklog.WithResource(of)),
		sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(numbers)), sdkmetric.WithResource(of),
			sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: "cart.size"},
				sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}}))),
	}
}

// shutdown sends everything.
func (s goSDK) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), minute)
	defer cancel()
	if err := errors.Join(s.traces.Shutdown(ctx), s.logs.Shutdown(ctx), s.metrics.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
}

// TestGo sends each signal over each protocol with the SDK for Go.
func TestGo(t *testing.T) {
	for protocol, temporality := range map[string]sdkmetric.TemporalitySelector{
		"grpc": sdkmetric.CumulativeTemporalitySelector, "http/protobuf": sdkmetric.DeltaTemporalitySelector,
	} {
		t.Run(protocol, func(t *testing.T) {
			a := startAgent(t)
			sdk := newGoSDK(t, protocol, a, temporality)
			tracer := sdk.traces.Tracer("cart")
			linked := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 2}})
			ctx, server := tracer.Start(t.Context(), "POST /cart", trace.WithSpanKind(trace.SpanKindServer), trace.WithLinks(trace.Link{SpanContext: linked}),
				trace.WithAttributes(attribute.String("http.request.method", "POST"), attribute.String("http.route", "/cart"), attribute.Int("http.response.status_code", 500)))
			within, inner := tracer.Start(ctx, "save")
			inner.RecordError(errors.New("disk full"), trace.WithStackTrace(true))
			inner.SetStatus(codes.Error, "not saved")
			var record log.Record
			record.SetSeverity(log.SeverityError)
			record.SetBody(attribute.StringValue("cart was not saved"))
			record.AddAttributes(attribute.Int("items", 3))
			sdk.logs.Logger("cart").Emit(within, record)
			inner.End()
			server.End()

			meter := sdk.metrics.Meter("cart")
			orders, err1 := meter.Int64Counter("cart.orders")
			open, err2 := meter.Int64UpDownCounter("cart.open")
			times, err3 := meter.Float64Histogram("cart.time", metric.WithExplicitBucketBoundaries(10, 100))
			size, err4 := meter.Float64Histogram("cart.size")
			level, err5 := meter.Float64Gauge("cart.level")
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				t.Fatal(err)
			}
			by := metric.WithAttributes(attribute.String("shop", "a"))
			for i := range 5 {
				orders.Add(ctx, 1, by)
				open.Add(ctx, 2)
				times.Record(ctx, float64(20+i))
				size.Record(ctx, float64(100*i))
			}
			open.Add(ctx, -3)
			level.Record(ctx, 0.5)
			// The second export has only the differences.
			if err := sdk.metrics.ForceFlush(ctx); err != nil {
				t.Fatal(err)
			}
			orders.Add(ctx, 2, by)
			times.Record(ctx, 50)
			size.Record(ctx, 1)
			sdk.shutdown(t)

			id := server.SpanContext().TraceID().String()
			spans := a.trace(t, id, 2)
			first, second := spans[0], spans[1]
			if got, want := fmt.Sprintln(first.Service, first.Operation, first.Resource, first.Type, first.Error, first.Tags["env"], first.Tags["version"], first.Metrics["http.status_code"], first.Links),
				"cart http.server.request POST /cart web false test 1.2 500 [{00000000000000000000000000000001}]\n"; got != want {
				t.Errorf("span %swant %s", got, want)
			}
			if got, want := fmt.Sprintln(second.Service, second.Resource, second.Error, second.Tags["error.type"], second.Tags["error.message"], second.Events),
				"cart save true *errors.errorString disk full [{exception}]\n"; got != want || !strings.Contains(second.Tags["error.stack"], "otel_test.go") {
				t.Errorf("span %swant %s; stack %s", got, want, second.Tags["error.stack"])
			}
			l := a.lines(t, id, 1)[0]
			if l.Level != "ERROR" || l.Service != "cart" || l.Message != "cart was not saved" || l.TraceID != id || l.SpanID != second.SpanID || !strings.Contains(l.Raw, `"items":3`) {
				t.Errorf("line %+v of span %s", l, second.SpanID)
			}
			const tags = "env:test,service:cart,version:1.2"
			a.metric(t, "cart.orders", "c", "env:test,service:cart,shop:a,version:1.2", 7)
			a.metric(t, "cart.open", "g", tags, 7)
			a.metric(t, "cart.time", "d", tags, 20+21+22+23+24+50)
			a.metric(t, "cart.size", "d", tags, 100+200+300+400+1)
			a.metric(t, "cart.level", "g", tags, 0.5)
		})
	}
}

// TestNode sends each signal over each protocol with the SDK for Node.
func TestNode(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf", "http/json"} {
		t.Run(protocol, func(t *testing.T) {
			a := startAgent(t)
			endpoint := a.http
			if protocol == "grpc" {
				endpoint = a.grpc
			}
			service := startNode(t, protocol, endpoint)
			const id = "0123456789abcdeffedcba9876543210"
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.url+"/stock/none", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("traceparent", "00-"+id+"-00000000000000b2-01")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			service.stop()

			spans := a.trace(t, id, 2)
			if got, want := fmt.Sprintln(spans[0].ParentID, spans[0].Service, spans[0].Operation, spans[0].Type, spans[0].Tags["env"], spans[0].Tags["version"], spans[0].Metrics["http.status_code"]),
				"178 stock http.server.request web test 1.2 404\n"; got != want {
				t.Errorf("span %swant %s", got, want)
			}
			if got, want := fmt.Sprintln(spans[1].Resource, spans[1].Error, spans[1].Tags["error.type"], spans[1].Tags["error.message"], spans[1].Tags["item"]),
				"look up true RangeError no such item none\n"; got != want || !strings.Contains(spans[1].Tags["error.stack"], "service-") {
				t.Errorf("span %swant %s; stack %s", got, want, spans[1].Tags["error.stack"])
			}
			l := a.lines(t, id, 1)[0]
			if l.Level != "ERROR" || l.Service != "stock" || l.Message != "no such item" || l.SpanID != spans[1].SpanID {
				t.Errorf("line %+v of span %s", l, spans[1].SpanID)
			}
			a.metric(t, "stock.requests", "c", "env:test,item:none,service:stock,version:1.2", 1)
			a.metric(t, "stock.pending", "g", "env:test,service:stock,version:1.2", 1)
			a.metric(t, "stock.time", "d", "env:test,item:none,service:stock,version:1.2", 7)
		})
	}
}

// TestOneTrace: a request passes a service with Datadog's tracer (shop), one with
// OpenTelemetry for Go (cart), again one with Datadog's tracer, and one with
// OpenTelemetry for Node (stock). Its spans and log lines are one trace.
func TestOneTrace(t *testing.T) {
	a := startAgent(t)
	stock := startNode(t, "http/protobuf", a.http)
	sdk := newGoSDK(t, "grpc", a, sdkmetric.DefaultTemporalitySelector)
	tracer.Start(tracer.WithAgentAddr(strings.TrimPrefix(a.traces, "http://")), tracer.WithService("shop"), tracer.WithEnv("test"), tracer.WithLogStartup(false))
	stopped := false
	defer func() {
		if !stopped {
			tracer.Stop()
		}
	}()
	fail := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	get := func(ctx context.Context, url string, header http.Header) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		fail(err)
		req.Header = header
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	shipping := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		parent, err := tracer.Extract(tracer.HTTPHeadersCarrier(r.Header))
		fail(err)
		s := tracer.StartSpan("web.request", tracer.ServiceName("shipping"), tracer.ResourceName("GET /ship"), tracer.SpanType("web"), tracer.ChildOf(parent))
		defer s.Finish()
		header := http.Header{}
		fail(tracer.Inject(s.Context(), tracer.HTTPHeadersCarrier(header)))
		get(r.Context(), stock.url+"/stock/pen", header)
	}))
	defer shipping.Close()
	cart := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, s := sdk.traces.Tracer("cart").Start(ctx, "GET /cart", trace.WithSpanKind(trace.SpanKindServer))
		defer s.End()
		header := http.Header{}
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
		get(ctx, shipping.URL, header)
	}))
	defer cart.Close()

	rootSpan := tracer.StartSpan("web.request", tracer.ResourceName("GET /buy"), tracer.SpanType("web"))
	header := http.Header{}
	fail(tracer.Inject(rootSpan.Context(), tracer.HTTPHeadersCarrier(header)))
	get(t.Context(), cart.URL, header)
	rootSpan.Finish()
	id := strings.Split(header.Get("traceparent"), "-")[1]
	tracer.Stop()
	stopped = true
	sdk.shutdown(t)
	stock.stop()

	var got []string
	spans := a.trace(t, id, 5)
	for i, s := range spans {
		got = append(got, s.Service)
		if i > 0 && s.ParentID != spans[i-1].SpanID {
			t.Errorf("%s has the parent %s, want %s", s.Service, s.ParentID, spans[i-1].SpanID)
		}
	}
	if services := strings.Join(got, " "); services != "shop cart shipping stock stock" {
		t.Errorf("services %s", services)
	}
	var traces struct{ Matching int }
	if err := a.api("/api/traces", &traces); err != nil || traces.Matching != 1 {
		t.Errorf("%d traces, want one: %v", traces.Matching, err)
	}
	if l := a.lines(t, id, 1)[0]; l.Service != "stock" || l.Message != "looked up" {
		t.Errorf("line %+v", l)
	}
	page, err := a.get("/t/" + id)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"shop", "cart", "shipping", "stock", "looked up"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page of the trace does not show %s", want)
		}
	}
	var calls []struct{ From, To string }
	if err := a.api("/api/calls", &calls); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(calls); !strings.Contains(got, "{shop cart}") || !strings.Contains(got, "{cart shipping}") || !strings.Contains(got, "{shipping stock}") {
		t.Errorf("calls %s", got)
	}
}
