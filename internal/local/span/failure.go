package span

import "cmp"

// Failure is what a span tells about its error.
type Failure struct{ Type, Message, Stack string }

// Failure returns the span's error, and false if it has none. Tracers write it as tags,
// OpenTelemetry's also as an event. Without a message it is the status.
func (s *Span) Failure() (Failure, bool) {
	if !s.Error {
		return Failure{}, false
	}
	f := Failure{s.Tags["error.type"], cmp.Or(s.Tags["error.message"], s.Tags["error.msg"]), s.Tags["error.stack"]}
	for _, e := range s.Events {
		if e.Name == "exception" {
			f.Type = cmp.Or(f.Type, e.Attributes["exception.type"])
			f.Message = cmp.Or(f.Message, e.Attributes["exception.message"])
			f.Stack = cmp.Or(f.Stack, e.Attributes["exception.stacktrace"])
		}
	}
	f.Message = cmp.Or(f.Message, s.Tags["otel.status_description"])
	if status := cmp.Or(s.Tags["http.status_code"], s.Tags["http.response.status_code"], s.Tags["rpc.grpc.status_code"]); f.Message == "" && status != "" {
		f.Message = "status " + status
	}
	return f, true
}
