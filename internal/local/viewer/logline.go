package viewer

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/wire"
)

// factsOf returns what a log line tells about a request, besides its message: method,
// path, status, duration and the error's message, from Datadog's standard attributes.
// https://docs.datadoghq.com/standard-attributes/
func factsOf(l wire.Log) string {
	if !strings.HasPrefix(l.Raw, "{") {
		return ""
	}
	var attributes map[string]any
	if json.Unmarshal([]byte(l.Raw), &attributes) != nil {
		return ""
	}
	text := func(names ...string) string {
		for _, name := range names {
			switch v := attribute(attributes, name).(type) {
			case string:
				if v != "" {
					return v
				}
			case float64:
				if v == math.Trunc(v) && math.Abs(v) < 1e15 {
					return fmt.Sprintf("%.0f", v)
				}
			}
		}
		return ""
	}
	var facts []string
	for _, fact := range []string{
		text("http.method"),
		text("http.url_details.path", "http.route", "http.target", "http.url"),
		text("http.status_code", "http.response.status_code"),
		durationOf(attribute(attributes, "duration")),
		text("error.message", "error", "err"),
	} {
		if fact != "" && fact != l.Message {
			facts = append(facts, fact)
		}
	}
	return strings.Join(facts, " ")
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
