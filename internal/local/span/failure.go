package span

import "cmp"

// Failure is what a span tells about its error.
type Failure struct {
	Type, Message, Stack string
	// OnlyStatus means that there was no message: it is the status.
	OnlyStatus bool
}

// Failure returns the span's error, and false if it has none. Tracers write it as tags,
// OpenTelemetry's also as an event. Without a message it is the status.
func (s *Span) Failure() (Failure, bool) {
	if !s.Error {
		return Failure{}, false
	}
	f := Failure{Type: s.Tags["error.type"], Message: cmp.Or(s.Tags["error.message"], s.Tags["error.msg"]), Stack: s.Tags["error.stack"]}
	for _, e := range s.Events {
		if e.Name == "exception" {
			f.Type = cmp.Or(f.Type, e.Attributes["exception.type"])
			f.Message = cmp.Or(f.Message, e.Attributes["exception.message"])
			f.Stack = cmp.Or(f.Stack, e.Attributes["exception.stacktrace"])
		}
	}
	f.Message = cmp.Or(f.Message, s.Tags["otel.status_description"])
	if status := cmp.Or(s.Tags["http.status_code"], s.Tags["http.response.status_code"], s.Tags["rpc.grpc.status_code"]); f.Message == "" && status != "" {
		f.Message, f.OnlyStatus = "status "+status, true
	}
	return f, true
}
