package viewer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/wire"
)

// facts is what a log line tells about a request, besides its message.
type facts struct{ Method, Path, Status, Duration, Error string }

// String returns the facts in one line.
func (f facts) String() string {
	all := []string{f.Method, f.Path, f.Status, f.Duration, f.Error}
	return strings.Join(slices.DeleteFunc(all, func(fact string) bool { return fact == "" }), " ")
}

// factsOf returns the facts of a line from Datadog's standard attributes.
// https://docs.datadoghq.com/standard-attributes/
func factsOf(l wire.Log) facts {
	var attributes map[string]any
	if !strings.HasPrefix(l.Raw, "{") || json.Unmarshal([]byte(l.Raw), &attributes) != nil {
		return facts{}
	}
	text := func(names ...string) string {
		for _, name := range names {
			found := ""
			switch v := attribute(attributes, name).(type) {
			case string:
				found = v
			case float64:
				if v == math.Trunc(v) && math.Abs(v) < 1e15 {
					found = fmt.Sprintf("%.0f", v)
				}
			}
			if found != "" && found != l.Message {
				return found
			}
		}
		return ""
	}
	return facts{
		Method:   text("http.method"),
		Path:     text("http.url_details.path", "http.route", "http.target", "http.url"),
		Status:   text("http.status_code", "http.response.status_code"),
		Duration: durationOf(attribute(attributes, "duration")),
		Error:    text("error.message", "error", "err"),
	}
}

// durationOf writes a duration in nanoseconds.
func durationOf(v any) string {
	if n, is := v.(float64); is && n > 0 && n < math.MaxInt64 {
		return format.Duration(time.Duration(n))
	}
	return ""
}

// attribute returns an attribute by its name, such as http.method, which may be in nested
// objects.
func attribute(in map[string]any, name string) any {
	if v, is := in[name]; is {
		return v
	}
	for at := strings.IndexByte(name, '.'); at >= 0; {
		if inner, is := in[name[:at]].(map[string]any); is {
			if v := attribute(inner, name[at+1:]); v != nil {
				return v
			}
		}
		next := strings.IndexByte(name[at+1:], '.')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return nil
}
