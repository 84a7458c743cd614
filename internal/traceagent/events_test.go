package traceagent_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/trace/api"

	"apmapp/internal/local/span"
)

// TestEventsAndLinks sends a span with events and links in each form that tracers use.
func TestEventsAndLinks(t *testing.T) {
	now := time.Now()
	newSpan := func(change func(*pb.Span)) *pb.Span {
		s := &pb.Span{
			TraceID: 1, SpanID: 7, Service: "shop", Name: "http.request", Resource: "GET /", Start: now.UnixNano(), Duration: 1000,
			Meta: map[string]string{}, Metrics: map[string]float64{"_sampling_priority_v1": 1},
		}
		change(s)
		return s
	}
	native := newSpan(func(s *pb.Span) {
		s.SpanEvents = []*pb.SpanEvent{{TimeUnixNano: 1_700_000_000_000_000_001, Name: "exception", Attributes: map[string]*pb.AttributeAnyValue{
			"exception.message": {Type: pb.AttributeAnyValue_STRING_VALUE, StringValue: "no"},
			"escaped":           {Type: pb.AttributeAnyValue_BOOL_VALUE, BoolValue: true},
			"tries":             {Type: pb.AttributeAnyValue_INT_VALUE, IntValue: 3},
			"ratio":             {Type: pb.AttributeAnyValue_DOUBLE_VALUE, DoubleValue: 0.5},
		}}}
		s.SpanLinks = []*pb.SpanLink{{TraceID: 0xef, TraceIDHigh: 0xab, SpanID: 18446744073709551615, Attributes: map[string]string{"kind": "message"}}}
	})
	tagged := newSpan(func(s *pb.Span) {
		s.Meta["events"] = `[{"name":"exception","time_unix_nano":1700000000000000001,"attributes":{"exception.message":"no","escaped":true,"tries":3,"ratio":0.5}}]`
		s.Meta["_dd.span_links"] = `[{"trace_id":"00000000000000ab00000000000000ef","span_id":"ffffffffffffffff","attributes":{"kind":"message"},"flags":1}]`
	})
	payload := func(s *pb.Span) *pb.TracerPayload {
		return &pb.TracerPayload{Chunks: []*pb.TraceChunk{{Priority: 1, Spans: []*pb.Span{s}}}}
	}
	encoded := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, form := range []struct{ name, path, contentType, body string }{
		{"v0.4, native", "/v0.4/traces", "application/msgpack", string(encoded(pb.Traces{{native}}.MarshalMsg(nil)))},
		{"v0.4, JSON", "/v0.4/traces", "application/json", string(encoded(json.Marshal(pb.Traces{{native}})))},
		{"v0.4, tags", "/v0.4/traces", "application/msgpack", string(encoded(pb.Traces{{tagged}}.MarshalMsg(nil)))},
		{"v0.7", "/v0.7/traces", "application/msgpack", string(encoded(payload(native).MarshalMsg(nil)))},
		{"v1.0", "/v1.0/traces", "application/msgpack", string(encoded(api.ConvertToIdx(payload(native), "").MarshalMsg(nil)))},
	} {
		agent, r, url := start(t)
		resp, err := http.Post(url+form.path, form.contentType, bytes.NewReader([]byte(form.body)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		agent.Stop()
		if len(r.chunks) != 1 || len(r.chunks[0].Spans) != 1 {
			t.Errorf("%s: %+v, want one span", form.name, r.chunks)
			continue
		}
		s := r.chunks[0].Spans[0]
		for i := range s.Events {
			s.Events[i].Time = s.Events[i].Time.UTC()
		}
		got := string(encoded(json.Marshal([]any{s.Events, s.Links})))
		const want = `[[{"time":"2023-11-14T22:13:20.000000001Z","name":"exception","attributes":{"escaped":"true","exception.message":"no","ratio":"0.5","tries":"3"}}],` +
			`[{"trace_id":"00000000000000ab00000000000000ef","span_id":"18446744073709551615","attributes":{"kind":"message"}}]]`
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", form.name, got, want)
		}
		if s.Tags["events"] != "" || s.Tags["_dd.span_links"] != "" {
			t.Errorf("%s: tags %v", form.name, s.Tags)
		}
	}
}

// TestTaggedEvents: forms of tags that tracers send, and tags that remain because they
// are malformed.
func TestTaggedEvents(t *testing.T) {
	agent, r, url := start(t)
	tags := []struct{ name, value, want string }{
		{"events", `[{"name":"a","time_unix_nano":1.7e+18,"attributes":{"x":null,"y":[1,"b"]}},{"name":"b","time_unix_nano":5}]`,
			`[{"name":"a","attributes":{"x":"null","y":"[1,\"b\"]"}},{"name":"b","attributes":{}}]`},
		{"events", `[{"name":"a","time_unix_nano":1700000...`, ""},
		{"events", `[{"name":"a"}]`, ""},
		{"events", `[{"name":"a","time_unix_nano":1e300}]`, ""},
		{"events", `[{"name":"a","time_unix_nano":9223372036854775808}]`, ""},
		{"events", `7`, ""},
		{"_dd.span_links", `[{"trace_id":"ef","span_id":"0f"}]`, `[{"trace_id":"000000000000000000000000000000ef","span_id":"15","attributes":{}}]`},
		{"_dd.span_links", `[{"trace_id":"javascript:alert(1)","span_id":"0f"}]`, ""},
		{"_dd.span_links", `[{"trace_id":"ef","span_id":"x"}]`, ""},
		{"_dd.span_links", `[{"trace_id":"ef"...`, ""},
	}
	var spans []*pb.Span
	for i, tag := range tags {
		spans = append(spans, &pb.Span{
			TraceID: 1, SpanID: uint64(i + 1), Service: "shop", Name: "a", Resource: "b", Start: time.Now().UnixNano(), Duration: 1000,
			Meta: map[string]string{tag.name: tag.value}, Metrics: map[string]float64{"_sampling_priority_v1": 1},
		})
	}
	body, err := pb.Traces{spans}.MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/v0.4/traces", "application/msgpack", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	agent.Stop()
	for i, tag := range tags {
		at := slices.IndexFunc(r.chunks[0].Spans, func(s span.Span) bool { return s.SpanID == uint64(i+1) })
		s := r.chunks[0].Spans[at]
		type event struct {
			Name       string            `json:"name"`
			Attributes map[string]string `json:"attributes"`
		}
		var events []event
		for _, e := range s.Events {
			events = append(events, event{e.Name, e.Attributes})
		}
		var list any = events
		if len(s.Links) > 0 {
			list = s.Links
		}
		got, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		remains := s.Tags[tag.name] == tag.value
		if string(got) != tag.want && tag.want != "" || remains != (tag.want == "") || tag.want == "" && len(s.Events)+len(s.Links) > 0 {
			t.Errorf("%s: %s, and the tag remains: %t; want %s", tag.value, got, remains, tag.want)
		}
	}
}
