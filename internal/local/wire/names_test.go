package wire

import (
	"fmt"
	"slices"
	"testing"
)

// TestNames decodes an attribute of each name, and each object in which loggers put
// some.
func TestNames(t *testing.T) {
	decode := func(format string, args ...any) Log { return DecodeLog(fmt.Appendf(nil, format, args...), received) }
	for _, name := range []string{"msg", "message", "@m", "@mt", "event", "body", "log"} {
		if l := decode(`{%q:"x"}`, name); l.Message != "x" {
			t.Errorf("%s: message %q", name, l.Message)
		}
	}
	for _, name := range []string{"dd.service", "dd_service", "service", "service.name", "syslog.appname", "resource.service.name"} {
		if l := decode(`{%q:"x"}`, name); l.Service != "x" {
			t.Errorf("%s: service %q", name, l.Service)
		}
	}
	for _, name := range []string{"timestamp", "time", "date", "@timestamp", "_timestamp", "Timestamp", "eventTime", "published_date", "syslog.timestamp", "ts", "@t", "datetime", "timeMillis", "asctime", "instant.epochSecond"} {
		if l := decode(`{%q:1772600767}`, name); l.Time.Unix() != 1772600767 {
			t.Errorf("%s: time %s", name, l.Time)
		}
	}
	for _, name := range []string{"level", "level_name", "levelname", "status", "severity", "syslog.severity", "log.level", "@l", "severity_text", "SeverityText", "LogLevel", "loglevel", "lvl"} {
		if l := decode(`{%q:"warning"}`, name); l.Level != Warn {
			t.Errorf("%s: level %s", name, l.Level)
		}
	}
	ids := map[string]string{
		"dd.trace_id": "dd.span_id", "dd_trace_id": "dd_span_id", "trace_id": "span_id", "traceId": "spanId", "TraceId": "SpanId",
		"traceID": "spanID", "trace.id": "span.id", "otelTraceID": "otelSpanID",
	}
	for trace, span := range ids {
		if l := decode(`{%q:%q,%q:"a5"}`, trace, hex32, span); l.TraceID != hex32 || l.SpanID != "165" {
			t.Errorf("%s: %s %s", trace, l.TraceID, l.SpanID)
		}
		if l := decode(`%s=%s %s=a5`, trace, hex32, span); l.TraceID != hex32 || l.SpanID != "165" {
			t.Errorf("text with %s: %s %s", trace, l.TraceID, l.SpanID)
		}
	}
	for _, name := range []string{"contextMap", "mdc", "context", "extra", "Properties", "properties", "attributes", "fields", "Scopes"} {
		for _, format := range []string{`{%q:{"dd.trace_id":"12","dd.service":"s"}}`, `{%q:[{"dd.trace_id":"12","dd.service":"s"},{"dd.trace_id":"13"}]}`} {
			if l := decode(format, name); l.TraceID != "12" || l.Service != "s" {
				t.Errorf("%s: %s %s", name, l.TraceID, l.Service)
			}
		}
	}
	if l := decode(`{"trace_id":"12","extra":{"trace_id":"13"}}`); l.TraceID != "12" {
		t.Errorf("trace %s, want that of the line itself", l.TraceID)
	}
}

func TestWordsOfLevels(t *testing.T) {
	for want, all := range map[string][]string{
		Debug:    {"trace", "trc", "trce", "verbose", "vrb", "debug", "dbg", "dbug", "fine", "finer", "finest", "silly", "d", "t", "v"},
		Info:     {"info", "inf", "information", "informational", "notice", "ok", "success", "config", "log", "http", "i", "n"},
		Warn:     {"warn", "wrn", "warning", "w"},
		Error:    {"error", "err", "eror", "severe", "fail", "e"},
		Critical: {"critical", "crit", "fatal", "ftl", "alert", "emergency", "emerg", "panic", "dpanic", "f", "c", "a"},
	} {
		for _, word := range all {
			if got := wordLevel(word); got != want {
				t.Errorf("%s: %s, want %s", word, got, want)
			}
		}
	}
	for text, want := range map[string]string{
		"level=warn m": Warn, "lvl=warn m": Warn, `severity="warn" m`: Warn, "color=warn m": Info, "reason=fail": Info,
	} {
		if got := textLevel(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	for text, want := range map[string]string{
		"6b060d8f-0000-0000-7aa1-645abafb4873": hex32, "0x" + hex32: hex32, " 12 ": "12", "0": "", "00000000000000000000000000000000": "", "": "", "+12": "",
		"18446744073709551615": "18446744073709551615", "g": "", hex32 + "0": "", "6b-06": "", "1234567890123456": "1234567890123456",
	} {
		if got := traceID(text); got != want {
			t.Errorf("trace %q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		hex32 + " 1234567890":            hex32 + " 1234567890",
		hex32 + " 12345678901234567890":  hex32 + " 12345678901234567890",
		hex32 + " 123456789":             " ",
		hex32 + " 123456789012345678901": " ",
		hex32 + " 123456789x":            " ",
		hex32[1:] + " 1234567890":        " ",
	} {
		if trace, span := bareIDs(text); trace+" "+span != want {
			t.Errorf("%q: %s %s, want %s", text, trace, span, want)
		}
	}
}

// TestParseTimeAtItsLimits: the first and the last value of each part of a date.
func TestParseTimeAtItsLimits(t *testing.T) {
	for _, text := range []string{"2026-01-01 00:00:00", "2026-12-31 23:59:60", "2000-01-01 00:00:00", "2199-12-31 23:59:59", "2026-01-01 00:00:00+14:59"} {
		if _, ok := parseTime(text, received.Location()); !ok {
			t.Errorf("%s is refused", text)
		}
	}
	bad := []string{"2026-00-01 00:00:00", "2026-13-01 00:00:00", "2026-01-00 00:00:00", "2026-01-32 00:00:00", "2026-01-01 24:00:00", "2026-01-01 00:60:00", "2026-01-01 00:00:61", "1999-12-31 23:59:59", "2200-01-01 00:00:00", "2026-01-01 00:00:00+15:00", "2026-01-01 00:00:00+01:60"}
	if i := slices.IndexFunc(bad, func(text string) bool { _, ok := parseTime(text, received.Location()); return ok }); i >= 0 {
		t.Errorf("%s is accepted", bad[i])
	}
}
