package span_test

import (
	"testing"

	"apmapp/internal/local/span"
)

func TestFailure(t *testing.T) {
	exception := []span.Event{{Name: "other", Attributes: map[string]string{"exception.type": "no"}},
		{Name: "exception", Attributes: map[string]string{"exception.type": "T", "exception.message": "m", "exception.stacktrace": "s"}}}
	for name, c := range map[string]struct {
		of   span.Span
		want span.Failure
	}{
		"tags":                        {span.Span{Tags: map[string]string{"error.type": "a", "error.message": "b", "error.stack": "c"}}, span.Failure{Type: "a", Message: "b", Stack: "c"}},
		".NET and OpenTelemetry":      {span.Span{Tags: map[string]string{"error.msg": "b"}}, span.Failure{Message: "b"}},
		"an event":                    {span.Span{Events: exception}, span.Failure{Type: "T", Message: "m", Stack: "s"}},
		"tags before an event":        {span.Span{Tags: map[string]string{"error.type": "a"}, Events: exception}, span.Failure{Type: "a", Message: "m", Stack: "s"}},
		"a description of the status": {span.Span{Tags: map[string]string{"otel.status_description": "d", "http.status_code": "500"}}, span.Failure{Message: "d"}},
		"a status of HTTP":            {span.Span{Tags: map[string]string{"http.status_code": "503"}}, span.Failure{Message: "status 503", OnlyStatus: true}},
		"a status of gRPC":            {span.Span{Tags: map[string]string{"rpc.grpc.status_code": "14"}}, span.Failure{Message: "status 14", OnlyStatus: true}},
		"nothing":                     {span.Span{}, span.Failure{}},
	} {
		c.of.Error = true
		if got, failed := c.of.Failure(); !failed || got != c.want {
			t.Errorf("%s: %+v, %t, want %+v", name, got, failed, c.want)
		}
		c.of.Error = false
		if got, failed := c.of.Failure(); failed || got != (span.Failure{}) {
			t.Errorf("%s, without an error: %+v, %t", name, got, failed)
		}
	}
}
