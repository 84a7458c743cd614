package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"apmapp/internal/local/wire"
)

// received is what a receiver passed on.
type received struct {
	mu      sync.Mutex
	spans   []string
	logs    []wire.Log
	samples []wire.Sample
	refused map[string]int
	err     error  // of traces
	during  func() // traces are passed on
}

func (r *received) sink() Sink {
	r.refused = map[string]int{}
	return Sink{
		Traces: func(_ context.Context, traces ptrace.Traces) error {
			if r.during != nil {
				r.during()
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, resource := range traces.ResourceSpans().All() {
				for _, scope := range resource.ScopeSpans().All() {
					for _, s := range scope.Spans().All() {
						r.spans = append(r.spans, s.TraceID().String()+" "+s.SpanID().String()+" "+s.Name())
					}
				}
			}
			return r.err
		},
		Logs: func(lines []wire.Log) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.logs = append(r.logs, lines...)
		},
		Metrics: func(samples []wire.Sample) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.samples = append(r.samples, samples...)
		},
		Refused: func(signal, reason string, n int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.refused[signal+": "+reason] += n
		},
	}
}

// refusals returns the refusals so far, sorted.
func (r *received) refusals() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(r.refused)) {
		all = append(all, fmt.Sprintf("%s (%d)", reason, r.refused[reason]))
	}
	clear(r.refused)
	return strings.Join(all, ", ")
}

func newReceiver() (*Receiver, *received) {
	r := &received{}
	return NewReceiver(r.sink(), slog.New(slog.DiscardHandler), func() time.Time { return now }), r
}

const (
	oneSpan   = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdeffedcba9876543210","spanId":"00000000000000a1","name":"a"}]}]}]}`
	oneLog    = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}`
	onePoint  = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"n","gauge":{"dataPoints":[{"asInt":"5"}]}}]}]}]}`
	zeroSpans = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"00000000000000a1"},{"traceId":"0123456789abcdeffedcba9876543210"},{},{"traceId":"0123456789abcdeffedcba9876543210","spanId":"00000000000000a1","name":"good"}]}]}]}`
	badPoints = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"n","gauge":{"dataPoints":[{},{"asInt":"5"}]}},{"name":"x"}]}]}]}`
)

// protobufOf returns the protobuf form of a request in JSON.
func protobufOf(t testing.TB, path, body string) []byte {
	t.Helper()
	in := map[string]interface {
		request
		MarshalProto() ([]byte, error)
	}{"/v1/traces": ptraceotlp.NewExportRequest(), "/v1/logs": plogotlp.NewExportRequest(), "/v1/metrics": pmetricotlp.NewExportRequest()}[path]
	if err := in.UnmarshalJSON([]byte(body)); err != nil {
		t.Fatal(err)
	}
	out, err := in.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func zipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestHTTP sends each signal in each format, and reads the answer in the same.
func TestHTTP(t *testing.T) {
	for _, c := range []struct{ path, body, answer, refused string }{
		{"/v1/traces", oneSpan, `{"partialSuccess":{}}`, ""},
		{"/v1/logs", oneLog, `{"partialSuccess":{}}`, ""},
		{"/v1/metrics", onePoint, `{"partialSuccess":{}}`, ""},
		{"/v1/traces", `{}`, `{"partialSuccess":{}}`, ""},
		{"/v1/logs", `{}`, `{"partialSuccess":{}}`, ""},
		{"/v1/metrics", `{}`, `{"partialSuccess":{}}`, ""},
		{"/v1/traces", zeroSpans, `{"partialSuccess":{"rejectedSpans":"3","errorMessage":"1 spans: zero span ID; 2 spans: zero trace ID"}}`,
			"traces: zero span ID (1), traces: zero trace ID (2)"},
		{"/v1/metrics", badPoints, `{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"1 data points: no data; 1 data points: value is not finite"}}`,
			"metrics: no data (1), metrics: value is not finite (1)"},
	} {
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "application/x-protobuf", "application/protobuf"} {
			for _, encoding := range []string{"", "identity", "gzip", "GZIP"} {
				r, got := newReceiver()
				body := []byte(c.body)
				if strings.Contains(contentType, "protobuf") {
					body = protobufOf(t, c.path, c.body)
				}
				if strings.EqualFold(encoding, "gzip") {
					body = zipped(t, body)
				}
				req := httptest.NewRequest(http.MethodPost, c.path, bytes.NewReader(body))
				req.Header.Set("Content-Type", contentType)
				req.Header.Set("Content-Encoding", encoding)
				answer := httptest.NewRecorder()
				r.Handler().ServeHTTP(answer, req)
				name := fmt.Sprint(c.path, " ", contentType, " ", encoding)
				text := answer.Body.String()
				wantType := "application/json"
				if strings.Contains(contentType, "protobuf") {
					wantType = "application/x-protobuf"
					text = jsonOf(t, c.path, answer.Body.Bytes())
				}
				if answer.Code != http.StatusOK || text != c.answer || answer.Header().Get("Content-Type") != wantType {
					t.Errorf("%s: %d %s %s, want 200 %s %s", name, answer.Code, answer.Header().Get("Content-Type"), text, wantType, c.answer)
				}
				if refused := got.refusals(); refused != c.refused {
					t.Errorf("%s: refused %q, want %q", name, refused, c.refused)
				}
				passed := fmt.Sprint(len(got.spans), len(got.logs), len(got.samples))
				if want := map[string]string{oneSpan: "1 0 0", oneLog: "0 1 0", onePoint: "0 0 1", `{}`: "0 0 0", zeroSpans: "1 0 0", badPoints: "0 0 1"}[c.body]; passed != want {
					t.Errorf("%s: passed on %s, want %s", name, passed, want)
				}
			}
		}
	}
}

// jsonOf returns the JSON form of an answer in protobuf.
func jsonOf(t *testing.T, path string, answer []byte) string {
	t.Helper()
	var to interface {
		UnmarshalProto([]byte) error
		response
	}
	switch path {
	case "/v1/traces":
		r := ptraceotlp.NewExportResponse()
		to = r
	case "/v1/logs":
		r := plogotlp.NewExportResponse()
		to = r
	case "/v1/metrics":
		r := pmetricotlp.NewExportResponse()
		to = r
	}
	if err := to.UnmarshalProto(answer); err != nil {
		t.Fatal(err)
	}
	out, err := to.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// deep returns protobuf of a log record whose body has lists in lists, a bit less than
// size bytes.
func deep(size int) []byte {
	var heads [][]byte
	n := 0
	head := func(field uint64) {
		h := binary.AppendUvarint([]byte{byte(field<<3 | 2)}, uint64(n))
		n += len(h)
		heads = append(heads, h)
	}
	for n < size-30 {
		head(1) // values
		head(5) // array_value
	}
	for _, field := range []uint64{5, 2, 2, 1} { // body, log_records, scope_logs, resource_logs
		head(field)
	}
	slices.Reverse(heads)
	return slices.Concat(heads...)
}

// many returns protobuf with empty spans.
func many(spans int) []byte {
	body := bytes.Repeat([]byte{2<<3 | 2, 0}, spans)
	for _, field := range []byte{2, 1} { // scope_spans, resource_spans
		body = append(binary.AppendUvarint([]byte{field<<3 | 2}, uint64(len(body))), body...)
	}
	return body
}

// TestHostileRequests: each gets the status that its SDK understands, a reason in the
// form of its request, and is counted.
func TestHostileRequests(t *testing.T) {
	const protobufType, jsonType = "application/x-protobuf", "application/json"
	nestedJSON := func(n int) string {
		return `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":` + strings.Repeat(`{"arrayValue":{"values":[`, n) + strings.Repeat(`]}}`, n) + `}]}]}]}`
	}
	for _, c := range []struct {
		name, method, path, contentType, encoding string
		body                                      []byte
		status                                    int
		want                                      string // is part of the message
		refused                                   string
	}{
		{"GET", "GET", "/v1/traces", jsonType, "", nil, 405, "method must be POST, got GET", "traces: method is not POST (1)"},
		{"PUT", "PUT", "/v1/logs", jsonType, "", nil, 405, "method must be POST, got PUT", "logs: method is not POST (1)"},
		{"unknown path", "POST", "/v1/profiles", jsonType, "", nil, 404, "/v1/profiles is not served: use /v1/traces, /v1/logs or /v1/metrics", ": path not served (1)"},
		{"path below", "POST", "/v1/traces/x", jsonType, "", nil, 404, "is not served", ": path not served (1)"},
		{"no content type", "POST", "/v1/traces", "", "", []byte(oneSpan), 415, `content type must be application/x-protobuf or application/json, got ""`, "traces: content type (1)"},
		{"a form of a web site", "POST", "/v1/traces", "text/plain", "", []byte(oneSpan), 415, `got "text/plain"`, "traces: content type (1)"},
		{"malformed content type", "POST", "/v1/traces", "application/json; x", "", []byte(oneSpan), 415, "content type must be", "traces: content type (1)"},
		{"unknown encoding", "POST", "/v1/traces", jsonType, "zstd", []byte(oneSpan), 415, `content encoding must be gzip or none, got "zstd"`, "traces: content encoding (1)"},
		{"not gzip", "POST", "/v1/traces", jsonType, "gzip", []byte(oneSpan), 400, "read body: gzip: invalid header", "traces: unreadable body (1)"},
		{"gzip that is cut off", "POST", "/v1/traces", protobufType, "gzip", zipped(t, []byte(oneSpan))[:20], 400, "read body: unexpected EOF", "traces: unreadable body (1)"},
		{"empty JSON", "POST", "/v1/traces", jsonType, "", nil, 400, "decode request as JSON: it is not a JSON object", "traces: malformed JSON (1)"},
		{"null", "POST", "/v1/metrics", jsonType, "", []byte(" null"), 400, "it is not a JSON object", "metrics: malformed JSON (1)"},
		{"a list", "POST", "/v1/logs", jsonType, "", []byte("[]"), 400, "it is not a JSON object", "logs: malformed JSON (1)"},
		{"text after JSON", "POST", "/v1/traces", jsonType, "", []byte("{}{}"), 400, "it is not a JSON object", "traces: malformed JSON (1)"},
		{"JSON that is cut off", "POST", "/v1/traces", jsonType, "", []byte(oneSpan[:len(oneSpan)-1]), 400, "it is not a JSON object", "traces: malformed JSON (1)"},
		{"another type in JSON", "POST", "/v1/traces", jsonType, "", []byte(`{"resourceSpans":{}}`), 400, "decode request as JSON: ", "traces: malformed JSON (1)"},
		{"short trace ID", "POST", "/v1/traces", jsonType, "", []byte(strings.Replace(oneSpan, "0123", "", 1)), 400, "length mismatch", "traces: malformed JSON (1)"},
		{"trace ID in base64", "POST", "/v1/traces", jsonType, "", []byte(strings.Replace(oneSpan, "0123456789abcdeffedcba9876543210", "ASNFZ4mrze/+3LqYdlQyEA==", 1)), 400, "decode request as JSON: ", "traces: malformed JSON (1)"},
		{"JSON as protobuf", "POST", "/v1/traces", protobufType, "", []byte(oneSpan), 400, "decode request as protobuf: ", "traces: malformed protobuf (1)"},
		{"protobuf as JSON", "POST", "/v1/traces", jsonType, "", protobufOf(t, "/v1/traces", oneSpan), 400, "it is not a JSON object", "traces: malformed JSON (1)"},
		{"protobuf that is cut off", "POST", "/v1/traces", protobufType, "", protobufOf(t, "/v1/traces", oneSpan)[:20], 400, "decode request as protobuf: ", "traces: malformed protobuf (1)"},
		{"another wire type", "POST", "/v1/traces", protobufType, "", []byte{1 << 3, 0}, 400, "decode request as protobuf: ", "traces: malformed protobuf (1)"},
		{"too large", "POST", "/v1/traces", jsonType, "", make([]byte, MaxBody+1), 413, "request must be at most 10485760 bytes without compression; send fewer items at once", "traces: too large (1)"},
		{"too large after decompression", "POST", "/v1/metrics", protobufType, "gzip", zipped(t, make([]byte, MaxBody+1)), 413, "request must be at most 10485760 bytes", "metrics: too large (1)"},
		{"as large as allowed", "POST", "/v1/traces", jsonType, "gzip", zipped(t, make([]byte, MaxBody)), 400, "it is not a JSON object", "traces: malformed JSON (1)"},
		{"deep protobuf", "POST", "/v1/logs", protobufType, "", deep(MaxBody), 400, "decode request as protobuf: values are nested too deep", "logs: malformed protobuf (1)"},
		{"deep JSON", "POST", "/v1/logs", jsonType, "", []byte(nestedJSON(4_000)), 400, "it is not a JSON object", "logs: malformed JSON (1)"},
		{"many messages", "POST", "/v1/traces", protobufType, "", many(maxMessages - 1), 400, "decode request as protobuf: it has too many messages", "traces: malformed protobuf (1)"},
		{"many objects", "POST", "/v1/traces", jsonType, "", []byte(`{"resourceSpans":[{}` + strings.Repeat(",{}", maxMessages-1) + "]}"), 400, "decode request as JSON: it has too many objects", "traces: malformed JSON (1)"},
	} {
		r, got := newReceiver()
		req := httptest.NewRequest(c.method, c.path, bytes.NewReader(c.body))
		req.Header.Set("Content-Type", c.contentType)
		req.Header.Set("Content-Encoding", c.encoding)
		answer := httptest.NewRecorder()
		r.Handler().ServeHTTP(answer, req)
		var s spb.Status
		decode := protojson.Unmarshal
		if c.contentType == protobufType {
			decode = proto.Unmarshal
		}
		if err := decode(answer.Body.Bytes(), &s); err != nil {
			t.Errorf("%s: answer %q is no status: %v", c.name, answer.Body, err)
			continue
		}
		if wantType, _ := formatOf(c.contentType); answer.Header().Get("Content-Type") != wantType.contentType() {
			t.Errorf("%s: content type %s, want %s", c.name, answer.Header().Get("Content-Type"), wantType.contentType())
		}
		if answer.Code != c.status || !strings.Contains(s.Message, c.want) || s.Code == 0 || answer.Header().Get("Retry-After") != "" {
			t.Errorf("%s: %d %v, want %d %s", c.name, answer.Code, &s, c.status, c.want)
		}
		if refused := got.refusals(); refused != c.refused {
			t.Errorf("%s: refused %q, want %q", c.name, refused, c.refused)
		}
		if c.status == 405 && answer.Header().Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", c.name, answer.Header().Get("Allow"))
		}
		if c.encoding == "zstd" && answer.Header().Get("Accept-Encoding") != "gzip" {
			t.Errorf("%s: Accept-Encoding is %q", c.name, answer.Header().Get("Accept-Encoding"))
		}
		if len(got.spans)+len(got.logs)+len(got.samples) > 0 {
			t.Errorf("%s: passed on %+v", c.name, got)
		}
	}
}

// TestOddRequests: requests that look hostile and are not.
func TestOddRequests(t *testing.T) {
	for name, c := range map[string]struct{ path, body, want string }{
		"unknown fields":             {"/v1/traces", strings.Replace(oneSpan, `"name"`, `"future":{"a":[1]},"name"`, 1), "1 0 0"},
		"IDs in capitals":            {"/v1/traces", strings.Replace(oneSpan, "abcdef", "ABCDEF", 1), "1 0 0"},
		"null lists":                 {"/v1/traces", `{"resourceSpans":[{"scopeSpans":null},null]}`, "0 0 0"},
		"a record that is null":      {"/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[null]}]}]}`, "0 1 0"},
		"numbers that are not text":  {"/v1/metrics", strings.Replace(onePoint, `"5"`, "5", 1), "0 0 1"},
		"names of fields with _":     {"/v1/logs", `{"resource_logs":[{"scope_logs":[{"log_records":[{"body":{"string_value":"x"}}]}]}]}`, "0 1 0"},
		"the deepest allowed values": {"/v1/logs", "deep", "0 1 0"},
	} {
		r, got := newReceiver()
		body, format := []byte(c.body), jsonFormat
		if c.body == "deep" {
			body, format = deep(2*maxDepth), protobuf // some 96 lists in lists
		}
		for _, s := range signals {
			if s.path != c.path {
				continue
			}
			if _, err := r.receive(t.Context(), s, format, body); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if passed := fmt.Sprint(len(got.spans), len(got.logs), len(got.samples)); passed != c.want || got.refusals() != "" {
			t.Errorf("%s: passed on %s, want %s", name, passed, c.want)
		}
	}
}

// TestDepth: the limit of nested messages, and of their number.
func TestDepth(t *testing.T) {
	lists := func(n int) []byte {
		body := []byte{}
		for range n { // each is two levels
			body = append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(body))), body...)
			body = append(binary.AppendUvarint([]byte{5<<3 | 2}, uint64(len(body))), body...)
		}
		for _, field := range []byte{5, 2, 2, 1} {
			body = append(binary.AppendUvarint([]byte{field<<3 | 2}, uint64(len(body))), body...)
		}
		return body
	}
	// The request and four messages around the body.
	const most = (maxDepth - 5) / 2
	if why := hostile(logsRequest, protobuf, lists(most)); why != "" {
		t.Errorf("%d lists: %s", most, why)
	}
	if why := hostile(logsRequest, protobuf, lists(most+1)); why != "values are nested too deep" {
		t.Errorf("%d lists: %q", most+1, why)
	}
	if why := hostile(tracesRequest, protobuf, many(maxMessages-2)); why != "" {
		t.Errorf("%d messages: %s", maxMessages, why)
	}
	if why := hostile(tracesRequest, protobuf, many(maxMessages-1)); why != "it has too many messages" {
		t.Errorf("%d messages: %q", maxMessages+1, why)
	}
	for objects, want := range map[int]string{maxMessages: "", maxMessages + 1: "it has too many objects"} {
		if why := hostile(tracesRequest, jsonFormat, bytes.Repeat([]byte("{"), objects)); why != want {
			t.Errorf("%d objects: %q, want %q", objects, why, want)
		}
	}
}

// TestDepthOfEachField: every place in which a value may be has the limit.
func TestDepthOfEachField(t *testing.T) {
	value := func(n int) []byte {
		body := []byte{}
		for range n {
			for _, field := range []byte{1, 5} { // values, array_value
				body = append(binary.AppendUvarint([]byte{field<<3 | 2}, uint64(len(body))), body...)
			}
		}
		return body
	}(maxDepth)
	in := func(fields ...uint64) []byte {
		body := value
		for _, field := range slices.Backward(fields) {
			body = append(binary.AppendUvarint(binary.AppendUvarint(nil, field<<3|2), uint64(len(body))), body...)
		}
		return body
	}
	for _, c := range []struct {
		name   string
		root   kind
		fields []uint64
	}{
		{"resource", tracesRequest, []uint64{1, 1, 1, 2}},
		{"scope", logsRequest, []uint64{1, 2, 1, 3, 2}},
		{"deprecated scopes", metricsRequest, []uint64{1, 1000, 1, 3, 2}},
		{"span", tracesRequest, []uint64{1, 2, 2, 9, 2}},
		{"event", tracesRequest, []uint64{1, 2, 2, 11, 3, 2}},
		{"link", tracesRequest, []uint64{1, 2, 2, 13, 4, 2}},
		{"body", logsRequest, []uint64{1, 2, 2, 5}},
		{"map in a body", logsRequest, []uint64{1, 2, 2, 5, 6, 1, 2}},
		{"record", logsRequest, []uint64{1, 2, 2, 6, 2}},
		{"metadata", metricsRequest, []uint64{1, 2, 2, 12, 2}},
		{"gauge", metricsRequest, []uint64{1, 2, 2, 5, 1, 7, 2}},
		{"sum", metricsRequest, []uint64{1, 2, 2, 7, 1, 7, 2}},
		{"exemplar of a sum", metricsRequest, []uint64{1, 2, 2, 7, 1, 5, 7, 2}},
		{"histogram", metricsRequest, []uint64{1, 2, 2, 9, 1, 9, 2}},
		{"exemplar of a histogram", metricsRequest, []uint64{1, 2, 2, 9, 1, 8, 7, 2}},
		{"exponential histogram", metricsRequest, []uint64{1, 2, 2, 10, 1, 1, 2}},
		{"exemplar of an exponential histogram", metricsRequest, []uint64{1, 2, 2, 10, 1, 11, 7, 2}},
		{"summary", metricsRequest, []uint64{1, 2, 2, 11, 1, 7, 2}},
	} {
		if why := hostile(c.root, protobuf, in(c.fields...)); why != "values are nested too deep" {
			t.Errorf("%s: %q", c.name, why)
		}
	}
	for name, fields := range map[string][]uint64{"name of a span": {1, 2, 2, 5}, "unknown field": {1, 2, 77}} {
		if why := hostile(tracesRequest, protobuf, in(fields...)); why != "" {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// TestTryAgain: clients try again when the agent cannot take a request now.
func TestTryAgain(t *testing.T) {
	r, got := newReceiver()
	got.err = errors.New("the agent has stopped")
	for _, contentType := range []string{"application/json", "application/x-protobuf"} {
		body, decode := []byte(oneSpan), protojson.Unmarshal
		if contentType != "application/json" {
			body, decode = protobufOf(t, "/v1/traces", oneSpan), proto.Unmarshal
		}
		req := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		answer := httptest.NewRecorder()
		r.Handler().ServeHTTP(answer, req)
		var s spb.Status
		if err := decode(answer.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		info := &errdetails.RetryInfo{}
		if answer.Code != 503 || answer.Header().Get("Retry-After") != "1" || s.Message != "the agent has stopped; try again" || codes.Code(s.Code) != codes.Unavailable ||
			len(s.Details) != 1 || s.Details[0].UnmarshalTo(info) != nil || info.RetryDelay.AsDuration() != time.Second {
			t.Errorf("%s: %d, Retry-After %q, %v", contentType, answer.Code, answer.Header().Get("Retry-After"), &s)
		}
	}
	if refused := got.refusals(); refused != "traces: the agent has stopped (2)" {
		t.Errorf("refused %q", refused)
	}
}

// TestTurns: two requests are decoded at once. Others wait, but not longer than SDKs
// do.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, got := newReceiver()
		release := make(chan struct{})
		got.during = func() { <-release }
		export := func(ctx context.Context) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := r.receive(ctx, signals[0], jsonFormat, []byte(oneSpan))
				done <- err
			}()
			synctest.Wait()
			return done
		}
		first, second := export(t.Context()), export(t.Context())
		began := time.Now()
		if err := <-export(t.Context()); err == nil || err.Error() != "the agent is busy; try again" || time.Since(began) != 8*time.Second {
			t.Errorf("third: %v after %s, want 8s", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := <-export(ctx); err == nil || err.Error() != "the client did not wait; try again" {
			t.Errorf("client that left: %v", err)
		}
		waiting := export(t.Context())
		close(release)
		for i, done := range []chan error{first, second, waiting} {
			if err := <-done; err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		if refused := got.refusals(); len(got.spans) != 3 || refused != "traces: the agent is busy (1), traces: the client did not wait (1)" {
			t.Errorf("%d spans, want 3; refused %q", len(got.spans), refused)
		}
	})
}

// TestPanics: a panic of code that processes spans does not end the process.
func TestPanics(t *testing.T) {
	var log bytes.Buffer
	got := &received{}
	got.during = func() { panic("a bug") }
	r := NewReceiver(got.sink(), slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	req := httptest.NewRequest(http.MethodPost, "/v1/traces", strings.NewReader(oneSpan))
	req.Header.Set("Content-Type", "application/json")
	for range concurrent + 1 { // each gives its turn back
		answer := httptest.NewRecorder()
		req.Body = io.NopCloser(strings.NewReader(oneSpan))
		r.Handler().ServeHTTP(answer, req)
		if answer.Code != 500 || !strings.Contains(answer.Body.String(), "the agent failed to process the request") {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	if refused := got.refusals(); refused != "traces: failed (3)" || !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("refused %q, log %s", refused, &log)
	}
}

// TestWebSites: a browser sends what web sites ask it to send.
func TestWebSites(t *testing.T) {
	for name, c := range map[string]struct {
		host, header, value string
		status              int
	}{
		"program":                       {"collector:4318", "", "", 200},
		"another site":                  {"127.0.0.1:4318", "Origin", "https://evil.example", 403},
		"a sandboxed page":              {"127.0.0.1:4318", "Origin", "null", 403},
		"another port":                  {"127.0.0.1:4318", "Sec-Fetch-Site", "same-site", 403},
		"rebound name":                  {"evil.example:4318", "Sec-Fetch-Site", "same-origin", 403},
		"the agent's name in a browser": {"otel.example:4318", "Sec-Fetch-Site", "same-origin", 200},
	} {
		r, got := newReceiver()
		_, url := serve(t, r, "otel.example")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/traces", strings.NewReader(oneSpan))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		req.Header.Set("Content-Type", "application/json")
		if c.header != "" {
			req.Header.Set(c.header, c.value)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.status || len(got.spans) == 1 != (c.status == 200) || answer.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, %d spans, want %d", name, answer.StatusCode, len(got.spans), c.status)
		}
		if refused := got.refusals(); (refused == ": request of a web site (1)") != (c.status == 403) {
			t.Errorf("%s: refused %q", name, refused)
		}
	}
}

// before counts the requests that servers of tests have received, accepted is the last
// one that was accepted.
var (
	before   atomic.Int64
	accepted atomic.Pointer[Request]
)

// serve serves a receiver over gRPC and HTTP until the test ends.
func serve(t *testing.T, r *Receiver, hosts ...string) (conn *grpc.ClientConn, url string) {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	rpc, web := listen(), listen()
	server := Serve(Config{
		GRPC: rpc, HTTP: web, Hosts: hosts, Receiver: r, Logger: slog.New(slog.DiscardHandler),
		Before:   func() { before.Add(1) },
		Accepted: func(r Request) { accepted.Store(&r) },
	})
	conn, err := grpc.NewClient(rpc.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Close(context.Background()), conn.Close()); err != nil {
			t.Error(err)
		}
		for _, l := range []net.Listener{rpc, web} {
			if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
				c.Close()
				t.Errorf("%s is open after the end", l.Addr())
			}
		}
	})
	return conn, "http://" + web.Addr().String()
}

// TestGRPC sends each signal with the clients of the Collector.
func TestGRPC(t *testing.T) {
	r, got := newReceiver()
	conn, url := serve(t, r, "otel.example")
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor(grpcgzip.Name)}} {
		traces := ptraceotlp.NewExportRequest()
		logs := plogotlp.NewExportRequest()
		metrics := pmetricotlp.NewExportRequest()
		if err := errors.Join(traces.UnmarshalJSON([]byte(zeroSpans)), logs.UnmarshalJSON([]byte(oneLog)), metrics.UnmarshalJSON([]byte(badPoints))); err != nil {
			t.Fatal(err)
		}
		spans, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), traces, options...)
		if err != nil || spans.PartialSuccess().RejectedSpans() != 3 || spans.PartialSuccess().ErrorMessage() != "1 spans: zero span ID; 2 spans: zero trace ID" {
			t.Errorf("traces: %v, %+v", err, spans)
		}
		if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), logs, options...); err != nil {
			t.Error(err)
		}
		points, err := pmetricotlp.NewGRPCClient(conn).Export(t.Context(), metrics, options...)
		if err != nil || points.PartialSuccess().RejectedDataPoints() != 2 {
			t.Errorf("metrics: %v, %+v", err, points)
		}
	}
	if len(got.spans) != 2 || len(got.logs) != 2 || len(got.samples) != 2 || got.spans[0] != "0123456789abcdeffedcba9876543210 00000000000000a1 good" {
		t.Errorf("passed on %+v", got)
	}
	got.refusals()

	call := func(ctx context.Context, method string, body []byte, options ...grpc.CallOption) error {
		var answer []byte
		return conn.Invoke(ctx, method, body, &answer, append(options, grpc.ForceCodecV2(clientCodec{}))...)
	}
	const export = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
	outgoing := func(pairs ...string) context.Context { return metadata.AppendToOutgoingContext(t.Context(), pairs...) }
	for _, c := range []struct {
		name string
		err  error
		code codes.Code
		want string
	}{
		{"malformed", call(t.Context(), export, []byte("{}")), codes.InvalidArgument, "decode request as protobuf: "},
		{"deep", call(t.Context(), export, deep(MaxBody)), codes.InvalidArgument, "values are nested too deep"},
		{"too large", call(t.Context(), export, make([]byte, MaxBody+1)), codes.ResourceExhausted, "larger than max (10485761 vs. 10485760)"},
		{"too large after decompression", call(t.Context(), export, make([]byte, MaxBody+1), grpc.UseCompressor(grpcgzip.Name)), codes.ResourceExhausted, "larger than max 10485760"},
		{"as large as allowed", call(t.Context(), export, make([]byte, MaxBody)), codes.InvalidArgument, "decode request as protobuf: "},
		{"not gzip", call(t.Context(), export, []byte("x"), grpc.UseCompressor(broken)), codes.Internal, "gzip: invalid header"},
		{"another service", call(t.Context(), "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", nil), codes.Unimplemented, "only traces, logs and metrics are served"},
		{"another method", call(t.Context(), "/opentelemetry.proto.collector.logs.v1.LogsService/Import", nil), codes.Unimplemented, "only traces, logs and metrics are served"},
		{"web site", call(outgoing("origin", "https://evil.example"), export, nil), codes.PermissionDenied, "requests from other sites are not allowed"},
		{"another port", call(outgoing("sec-fetch-site", "same-site"), export, nil), codes.PermissionDenied, "requests from other sites are not allowed"},
	} {
		if status.Code(c.err) != c.code || !strings.HasPrefix(c.want, "only") && !strings.Contains(c.err.Error(), c.want) ||
			strings.HasPrefix(c.want, "only") && status.Convert(c.err).Message() != c.want {
			t.Errorf("%s: %v, want %s %s", c.name, c.err, c.code, c.want)
		}
	}
	if refused := got.refusals(); refused != ": path not served (2), logs: malformed protobuf (3), logs: request of a web site (2), logs: too large (2), logs: unreadable body (1)" {
		t.Errorf("refused %q", refused)
	}
	got.err = errors.New("the agent has stopped")
	traces := ptraceotlp.NewExportRequest()
	if err := traces.UnmarshalJSON([]byte(oneSpan)); err != nil {
		t.Fatal(err)
	}
	_, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), traces)
	if s := status.Convert(err); s.Code() != codes.Unavailable || len(s.Details()) != 1 || s.Details()[0].(*errdetails.RetryInfo).RetryDelay.AsDuration() != time.Second {
		t.Errorf("stopped: %v with details %v", err, s.Details())
	}

	resp, err := http.Post(url+"/v1/logs", "application/json", strings.NewReader(oneLog))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || len(got.logs) != 3 {
		t.Errorf("HTTP: %s, %d logs", resp.Status, len(got.logs))
	}
}

// broken is a compressor that says gzip and does not compress.
const broken = "broken"

func init() { encoding.RegisterCompressor(notGzip{}) }

type notGzip struct{}

func (notGzip) Name() string                                 { return broken }
func (notGzip) Compress(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }
func (notGzip) Decompress(io.Reader) (io.Reader, error) {
	return nil, errors.New("gzip: invalid header")
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// TestObservers: every request is observed, whatever its transport, and only those that
// are accepted are passed on.
func TestObservers(t *testing.T) {
	r, _ := newReceiver()
	conn, url := serve(t, r)
	observed := func(send func() error) string {
		t.Helper()
		n := before.Load()
		accepted.Store(nil)
		if err := send(); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(before.Load() - n)
		if a := accepted.Load(); a != nil {
			text += fmt.Sprintf(" %s %s %q", a.Path, a.ContentType, a.Body)
		}
		return text
	}
	post := func(path, contentType string, body []byte) func() error {
		return func() error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, bytes.NewReader(zipped(t, body)))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("Content-Encoding", "gzip")
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
	}
	logs := plogotlp.NewExportRequest()
	if err := logs.UnmarshalJSON([]byte(oneLog)); err != nil {
		t.Fatal(err)
	}
	encoded := protobufOf(t, "/v1/logs", oneLog)
	for _, c := range []struct {
		name string
		send func() error
		want string
	}{
		{"JSON", post("/v1/logs", "application/json", []byte(oneLog)), fmt.Sprintf("1 /v1/logs application/json %q", oneLog)},
		{"protobuf", post("/v1/logs", "application/protobuf", encoded), fmt.Sprintf("1 /v1/logs application/x-protobuf %q", encoded)},
		{"gRPC", func() error { _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), logs); return err }, fmt.Sprintf("1 /v1/logs application/x-protobuf %q", encoded)},
		{"refused", post("/v1/logs", "application/json", nil), "1"},
	} {
		if got := observed(c.send); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := fmt.Sprint(Paths()); got != "[/v1/traces /v1/logs /v1/metrics]" {
		t.Errorf("paths %s", got)
	}
}

// clientCodec sends bytes as they are.
type clientCodec struct{ bytesCodec }

// TestForeignHosts: a call of a browser must have a name of the agent.
func TestForeignHosts(t *testing.T) {
	for authority, want := range map[string]bool{"127.0.0.1:4317": true, "otel.example:4317": true, "evil.example:4317": false, "": false} {
		md := metadata.Pairs("sec-fetch-site", "same-origin")
		if authority != "" {
			md.Set(":authority", authority)
		}
		why := foreign(metadata.NewIncomingContext(t.Context(), md), []string{"otel.example"})
		if (why == "") != want {
			t.Errorf("%q: %q", authority, why)
		}
	}
	if why := foreign(t.Context(), nil); why != "" {
		t.Errorf("without metadata: %s", why)
	}
}

// TestClose: requests are answered before Close returns, unless the time is over.
func TestClose(t *testing.T) {
	for _, patient := range []bool{true, false} {
		r, got := newReceiver()
		began, release := make(chan struct{}, 2), make(chan struct{})
		got.during = func() { began <- struct{}{}; <-release }
		rpc, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		web, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := Serve(Config{GRPC: rpc, HTTP: web, Receiver: r, Logger: slog.New(slog.DiscardHandler)})
		conn, err := grpc.NewClient(rpc.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		traces := ptraceotlp.NewExportRequest()
		if err := traces.UnmarshalJSON([]byte(oneSpan)); err != nil {
			t.Fatal(err)
		}
		answers := make(chan error, 2)
		go func() {
			_, err := ptraceotlp.NewGRPCClient(conn).Export(context.Background(), traces)
			answers <- err
		}()
		go func() {
			resp, err := http.Post("http://"+web.Addr().String()+"/v1/traces", "application/json", strings.NewReader(oneSpan))
			if err == nil {
				resp.Body.Close()
			}
			answers <- err
		}()
		<-began
		<-began
		ctx, cancel := context.WithCancel(t.Context())
		closed := make(chan error, 1)
		go func() { closed <- server.Close(ctx) }()
		if patient {
			close(release)
			if err := <-closed; err != nil {
				t.Error(err)
			}
		} else {
			cancel()
			err := <-answers // a connection is closed
			close(release)
			if closeErr := <-closed; err == nil || !errors.Is(closeErr, context.Canceled) || !strings.HasPrefix(closeErr.Error(), "stop OTLP over HTTP: ") {
				t.Errorf("answer %v, close %v", err, closeErr)
			}
			<-answers
			cancel()
			continue
		}
		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		cancel()
	}
}

// TestServeOne: each server is optional.
func TestServeOne(t *testing.T) {
	r, _ := newReceiver()
	if err := Serve(Config{Receiver: r, Logger: slog.New(slog.DiscardHandler)}).Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestConcurrentMetrics: requests share the streams, one at a time. The clock, which is
// read with the lock held, gives others the opportunity to be there too.
func TestConcurrentMetrics(t *testing.T) {
	var inside atomic.Int32
	got := &received{}
	r := NewReceiver(got.sink(), slog.New(slog.DiscardHandler), func() time.Time {
		if inside.Add(1) > 1 {
			t.Error("two requests use the streams at once")
		}
		for range 1000 {
			runtime.Gosched()
		}
		inside.Add(-1)
		return now
	})
	const clients, series = 8, 300
	var all sync.WaitGroup
	for client := range clients {
		in := pmetricotlp.NewExportRequestFromMetrics(export(func(m pmetric.Metric) {
			sum(m, cumulative, true, ago(2*time.Second), ago(time.Second), 5).Attributes().PutInt("client", int64(client))
			for i := range series {
				p := m.Sum().DataPoints().AppendEmpty()
				m.Sum().DataPoints().At(0).CopyTo(p)
				p.Attributes().PutInt("n", int64(i))
			}
		}))
		body, err := in.MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for range 3 {
				if _, err := r.receive(t.Context(), signals[2], protobuf, body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	const points = clients * (series + 1)
	if refused := got.refusals(); len(got.samples) != points || refused != fmt.Sprintf("metrics: %s (%d)", outOfOrder, 2*points) {
		t.Errorf("%d samples, want %d; refused %q", len(got.samples), points, refused)
	}
}

// FuzzReceive: no request of any format makes the receiver panic.
func FuzzReceive(f *testing.F) {
	for i, body := range []string{oneSpan, oneLog, onePoint, zeroSpans, badPoints} {
		s := []int{0, 1, 2, 0, 2}[i]
		f.Add(s, true, []byte(body))
		f.Add(s, false, protobufOf(f, signals[s].path, body))
	}
	f.Fuzz(func(t *testing.T, s int, isJSON bool, body []byte) {
		var log bytes.Buffer
		got := &received{}
		r := NewReceiver(got.sink(), slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
		format := protobuf
		if isJSON {
			format = jsonFormat
		}
		_, _ = r.receive(t.Context(), signals[uint(s)%3], format, body)
		if log.Len() > 0 {
			t.Errorf("panic: %s", &log)
		}
		for _, s := range got.samples {
			for _, v := range s.Values {
				if !finite(v) || !finite(v*s.Weight) {
					t.Errorf("%+v is not finite", s)
				}
			}
		}
	})
}
