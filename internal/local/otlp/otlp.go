// Package otlp receives OpenTelemetry's protocol: OTLP over gRPC, and over HTTP as
// protobuf or JSON. It passes traces on as they are and turns logs and metrics into
// the forms of package wire. What it cannot use it refuses, and counts with a reason.
// https://opentelemetry.io/docs/specs/otlp/
package otlp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"

	"apmapp/internal/local/wire"
)

// MaxBody is the largest request in bytes, after decompression: the Agent's limit for
// OTLP. SDKs send up to 512 spans or log records at once, which rarely have 1 MB.
const MaxBody = 10 << 20

const (
	// concurrent requests are decoded: a request takes up to twenty times its size in
	// memory.
	concurrent = 2
	// patience is the time that a request waits for its turn. SDKs give up after 10 s.
	patience = 8 * time.Second
	// retryAfter is the time after which a client should try again.
	retryAfter = time.Second
)

// Sink has the functions to which a Receiver passes telemetry. Several goroutines call
// them.
type Sink struct {
	// Traces receives spans whose trace and span IDs are not 0. An error means that
	// no traces can be taken now.
	Traces func(context.Context, ptrace.Traces) error
	// Logs receives log records.
	Logs func([]wire.Log)
	// Metrics receives samples.
	Metrics func([]wire.Sample)
	// Refused receives the number of requests, spans or data points that are refused
	// for a reason. Signal is traces, logs, metrics, or "" if it is unknown.
	Refused func(signal, reason string, n int)
	// Repeated reports whether a request was accepted before, in any form of transport:
	// SDKs send again when an answer was lost. Such a request is answered and not passed
	// on. Accepted receives each other request that was accepted. Both may be nil.
	Repeated func(path string, body []byte) bool
	Accepted func(path string, body []byte)
}

// Receiver decodes requests. It is safe for concurrent use.
type Receiver struct {
	sink   Sink
	logger *slog.Logger
	now    func() time.Time
	turns  chan struct{}

	mu      sync.Mutex // protects the streams
	streams *streams
}

// NewReceiver returns a receiver. Now is the clock for arrivals.
func NewReceiver(sink Sink, logger *slog.Logger, now func() time.Time) *Receiver {
	return &Receiver{
		sink:    sink,
		logger:  logger,
		now:     now,
		turns:   make(chan struct{}, concurrent),
		streams: newStreams(),
	}
}

// signal is a kind of telemetry.
type signal struct {
	name, path, service string
	request             kind
	receive             func(*Receiver, context.Context, format, []byte) ([]byte, error)
}

var signals = []signal{
	{"traces", "/v1/traces", "opentelemetry.proto.collector.trace.v1.TraceService", tracesRequest, (*Receiver).traces},
	{"logs", "/v1/logs", "opentelemetry.proto.collector.logs.v1.LogsService", logsRequest, (*Receiver).logs},
	{"metrics", "/v1/metrics", "opentelemetry.proto.collector.metrics.v1.MetricsService", metricsRequest, (*Receiver).metrics},
}

// format is the encoding of a request and of its answer.
type format int

const (
	protobuf format = iota
	jsonFormat
)

func (f format) String() string { return [...]string{"protobuf", "JSON"}[f] }

type request interface {
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}

type response interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}

func (f format) decode(body []byte, to request) error {
	unmarshal := to.UnmarshalProto
	if f == jsonFormat {
		// The decoder ignores what follows the object.
		if !json.Valid(body) || !isObject(body) {
			return malformed(f, "it is not a JSON object")
		}
		unmarshal = to.UnmarshalJSON
	}
	if err := unmarshal(body); err != nil {
		return malformed(f, err.Error())
	}
	return nil
}

func isObject(body []byte) bool {
	for _, c := range body {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c == '{'
		}
	}
	return false
}

func (f format) encode(r response) ([]byte, error) {
	if f == jsonFormat {
		return r.MarshalJSON()
	}
	return r.MarshalProto()
}

// failure is why a whole request is refused. It is an error.
type failure struct {
	code    codes.Code // InvalidArgument means that a repetition is useless, Unavailable that it is not
	reason  string     // is counted
	message string     // is the answer
}

// Error implements error.
func (f *failure) Error() string { return f.message }

func malformed(f format, why string) *failure {
	const most = 300 // the decoder quotes the body
	why = valid(why[:min(len(why), most)])
	return &failure{codes.InvalidArgument, "malformed " + f.String(), fmt.Sprintf("decode request as %s: %s", f, why)}
}

func unavailable(why string) *failure {
	return &failure{codes.Unavailable, why, why + "; try again"}
}

// receive decodes a request of at most MaxBody, passes it to the sink and returns the
// answer. An error is a *failure, unless the answer cannot be encoded.
func (r *Receiver) receive(ctx context.Context, s signal, f format, body []byte) (answer []byte, err error) {
	defer func() {
		// A panic of the decoder or of the Agent's code would end the process.
		if p := recover(); p != nil {
			r.logger.Error("a request of OTLP was not processed", "signal", s.name, "error.message", fmt.Sprint(p), "error.stack", string(debug.Stack()))
			err = &failure{codes.Internal, "failed", "the agent failed to process the request; its log has the reason"}
		}
		if failed, ok := err.(*failure); ok {
			r.sink.Refused(s.name, failed.reason, 1)
		}
	}()
	if why := hostile(s.request, f, body); why != "" {
		return nil, malformed(f, why)
	}
	waiting := time.NewTimer(patience)
	defer waiting.Stop()
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-waiting.C:
		return nil, unavailable("the agent is busy")
	case <-ctx.Done():
		return nil, unavailable("the client did not wait")
	}
	if r.sink.Repeated != nil && r.sink.Repeated(s.path, body) {
		if f == jsonFormat {
			return []byte("{}"), nil
		}
		return nil, nil // an empty message
	}
	answer, err = s.receive(r, ctx, f, body)
	if err == nil && r.sink.Accepted != nil {
		r.sink.Accepted(s.path, body)
	}
	return answer, err
}

// unreadable is the reason for which a body is refused that is cut off or cannot be
// decompressed.
const unreadable = "unreadable body"

func tooLarge() *failure {
	return &failure{codes.ResourceExhausted, "too large", fmt.Sprintf("request must be at most %d bytes without compression; send fewer items at once", MaxBody)}
}

func (r *Receiver) traces(ctx context.Context, f format, body []byte) ([]byte, error) {
	in := ptraceotlp.NewExportRequest()
	if err := f.decode(body, in); err != nil {
		return nil, err
	}
	refused := withoutIDs(in.Traces())
	if in.Traces().SpanCount() > 0 {
		if err := r.sink.Traces(ctx, in.Traces()); err != nil {
			return nil, unavailable(err.Error())
		}
	}
	out := ptraceotlp.NewExportResponse()
	if n, why := r.count("traces", "spans", refused); n > 0 {
		out.PartialSuccess().SetRejectedSpans(n)
		out.PartialSuccess().SetErrorMessage(why)
	}
	return f.encode(out)
}

func (r *Receiver) logs(_ context.Context, f format, body []byte) ([]byte, error) {
	in := plogotlp.NewExportRequest()
	if err := f.decode(body, in); err != nil {
		return nil, err
	}
	if lines := Logs(in.Logs(), r.now()); len(lines) > 0 {
		r.sink.Logs(lines)
	}
	return f.encode(plogotlp.NewExportResponse())
}

func (r *Receiver) metrics(_ context.Context, f format, body []byte) ([]byte, error) {
	in := pmetricotlp.NewExportRequest()
	if err := f.decode(body, in); err != nil {
		return nil, err
	}
	r.mu.Lock()
	samples, refused := r.streams.decode(in.Metrics(), r.now())
	r.mu.Unlock()
	if len(samples) > 0 {
		r.sink.Metrics(samples)
	}
	out := pmetricotlp.NewExportResponse()
	if n, why := r.count("metrics", "data points", refused); n > 0 {
		out.PartialSuccess().SetRejectedDataPoints(n)
		out.PartialSuccess().SetErrorMessage(why)
	}
	return f.encode(out)
}
