package otlp

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"apmapp/internal/local/wire"
)

// line decodes one record of the service shop.
func line(t *testing.T, fill func(plog.LogRecord)) wire.Log {
	t.Helper()
	in := plog.NewLogs()
	resource := in.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("shop.cart")
	fill(scope.LogRecords().AppendEmpty())
	lines := Logs(in, now)
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1", len(lines))
	}
	return lines[0]
}

func TestLog(t *testing.T) {
	got := line(t, func(r plog.LogRecord) {
		r.SetTimestamp(ago(time.Second + 5))
		r.SetSeverityNumber(plog.SeverityNumberError2)
		r.SetSeverityText("fehler")
		r.Body().SetStr("a <b> & \"c\"")
		r.SetTraceID(pcommon.TraceID{1, 15: 0xab})
		r.SetSpanID(pcommon.SpanID{0x80, 7: 1})
		r.Attributes().PutStr("user", "u")
		r.Attributes().PutDouble("ratio", math.NaN())
		r.Attributes().PutInt("n", 1<<62)
		r.Attributes().PutEmptySlice("list").AppendEmpty().SetBool(true)
		r.Attributes().PutEmptyBytes("bytes").FromRaw([]byte("hi"))
		r.Attributes().PutEmpty("none")
	})
	want := wire.Log{
		Time: now.Add(-time.Second - 5), Level: "ERROR", Service: "shop", Message: "a <b> & \"c\"",
		TraceID: "010000000000000000000000000000ab", SpanID: "9223372036854775809",
		Raw: `{"attributes":{"bytes":"aGk=","list":[true],"n":4611686018427387904,"none":null,"ratio":"NaN","user":"u"},` +
			`"level":"ERROR","logger":"shop.cart","message":"a <b> & \"c\"","resource":{"service.name":"shop"},` +
			`"span_id":"8000000000000001","timestamp":"2026-01-02T03:04:03.999999995Z","trace_id":"010000000000000000000000000000ab"}`,
	}
	if got != want {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	// Another agent reads the same from the line.
	again := wire.DecodeLog([]byte(got.Raw), now)
	again.Service = want.Service // is in the resource
	if again != want {
		t.Errorf("read again\n%+v\nwant\n%+v", again, want)
	}
}

func TestLogLevels(t *testing.T) {
	for _, c := range []struct {
		number plog.SeverityNumber
		text   string
		body   string
		want   string
	}{
		{0, "", "plain", "INFO"},
		{1, "", "", "DEBUG"}, {4, "", "", "DEBUG"}, {5, "", "", "DEBUG"}, {8, "", "", "DEBUG"},
		{9, "", "", "INFO"}, {12, "", "", "INFO"}, {13, "", "", "WARN"}, {16, "", "", "WARN"},
		{17, "", "", "ERROR"}, {20, "", "", "ERROR"}, {21, "", "", "CRITICAL"}, {24, "", "", "CRITICAL"}, {99, "", "", "CRITICAL"},
		{-5, "warning", "", "WARN"},
		{9, "ERROR", "", "INFO"},
		{0, "Error", "", "ERROR"},
		{0, "audit", "", "AUDIT"},
		{0, strings.Repeat("x", 32), "", strings.Repeat("X", 32)},
		{0, strings.Repeat("x", 33), "", "INFO"},
		{0, "", "2026-01-02 ERROR broken", "ERROR"},
		{0, "", `{"level":"warn","msg":"x"}`, "WARN"},
		{9, "", "ERROR broken", "INFO"},
	} {
		got := line(t, func(r plog.LogRecord) {
			r.SetSeverityNumber(c.number)
			r.SetSeverityText(c.text)
			r.Body().SetStr(c.body)
		}).Level
		if got != c.want {
			t.Errorf("%d %q %q: %s, want %s", c.number, c.text, c.body, got, c.want)
		}
	}
}

func TestLogTimes(t *testing.T) {
	year := func(y int) pcommon.Timestamp {
		return pcommon.NewTimestampFromTime(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	for name, c := range map[string]struct {
		at, observed pcommon.Timestamp
		want         time.Time
	}{
		"its own":         {ago(2 * time.Second), ago(time.Second), now.Add(-2 * time.Second)},
		"observed":        {0, ago(time.Second), now.Add(-time.Second)},
		"none":            {0, 0, now},
		"too early":       {year(1999), ago(time.Second), now.Add(-time.Second)},
		"earliest":        {year(2000), 0, year(2000).AsTime()},
		"latest":          {year(2199), 0, year(2199).AsTime()},
		"too late":        {year(2200), 0, now},
		"beyond any date": {1 << 63, 0, now},
	} {
		got := line(t, func(r plog.LogRecord) {
			r.SetTimestamp(c.at)
			r.SetObservedTimestamp(c.observed)
		}).Time
		if !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	zone := time.FixedZone("", 3600)
	in := plog.NewLogs()
	in.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().SetTimestamp(ago(0))
	if got := Logs(in, now.In(zone))[0].Time; got.Location() != zone {
		t.Errorf("time zone %s, want that of the arrival", got.Location())
	}
}

func TestLogMessages(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(plog.LogRecord)
		want string
		raw  string // is part of the line
	}{
		"empty":     {func(plog.LogRecord) {}, "", `"message":""`},
		"integer":   {func(r plog.LogRecord) { r.Body().SetInt(3) }, "3", `"body":3`},
		"not UTF-8": {func(r plog.LogRecord) { r.Body().SetStr("a\xff") }, "a\uFFFD", `"message":"a` + "\uFFFD" + `"`},
		"map with a message": {func(r plog.LogRecord) {
			r.Body().SetEmptyMap().PutStr("message", "hi\xff")
			r.Body().Map().PutInt("n", 1)
		}, "hi\uFFFD", `"body":{"message":"hi` + "\uFFFD" + `","n":1}`},
		"map with msg":             {func(r plog.LogRecord) { r.Body().SetEmptyMap().PutStr("msg", "hi") }, "hi", `"body":{"msg":"hi"}`},
		"map with another message": {func(r plog.LogRecord) { r.Body().SetEmptyMap().PutInt("message", 1) }, `{"message":1}`, ""},
		"list":                     {func(r plog.LogRecord) { r.Body().SetEmptySlice().AppendEmpty().SetStr("a") }, `["a"]`, `"body":["a"]`},
		"exception": {func(r plog.LogRecord) {
			r.Attributes().PutStr("exception.message", "disk full\xff")
			r.SetEventName("e")
		}, "disk full\uFFFD", ""},
		"event":                     {func(r plog.LogRecord) { r.SetEventName("login\xff") }, "login\uFFFD", ""},
		"attribute that is no name": {func(r plog.LogRecord) { r.Attributes().PutStr("a\xff", "b\xff") }, "", `{"a` + "\uFFFD" + `":"b` + "\uFFFD" + `"}`},
	} {
		got := line(t, c.fill)
		if got.Message != c.want || !strings.Contains(got.Raw, c.raw) || !json.Valid([]byte(got.Raw)) {
			t.Errorf("%s: %q in %s, want %q and %s", name, got.Message, got.Raw, c.want, c.raw)
		}
	}
}

// TestLogIDs: a collector that reads files leaves the IDs in the text or in attributes.
func TestLogIDs(t *testing.T) {
	const id = "68a1b2c3000000000123456789abcdef"
	for name, c := range map[string]struct {
		fill func(plog.LogRecord)
		want string
	}{
		"text": {func(r plog.LogRecord) { r.Body().SetStr("[dd.trace_id=" + id + " dd.span_id=7] hi") }, id + " 7"},
		"JSON": {func(r plog.LogRecord) { r.Body().SetStr(`{"dd.trace_id":"` + id + `","dd.span_id":"7"}`) }, id + " 7"},
		"attributes": {func(r plog.LogRecord) {
			r.Attributes().PutStr("trace_id", id)
			r.Attributes().PutStr("span_id", "000000000000000f")
		}, id + " 15"},
		"no span":        {func(r plog.LogRecord) { r.SetTraceID(pcommon.TraceID{15: 1}) }, "00000000000000000000000000000001 "},
		"span, no trace": {func(r plog.LogRecord) { r.SetSpanID(pcommon.SpanID{7: 1}) }, " "},
		"its own win": {func(r plog.LogRecord) {
			r.SetTraceID(pcommon.TraceID{15: 1})
			r.SetSpanID(pcommon.SpanID{7: 2})
			r.Body().SetStr("dd.trace_id=" + id)
		}, "00000000000000000000000000000001 2"},
	} {
		if got := line(t, c.fill); got.TraceID+" "+got.SpanID != c.want {
			t.Errorf("%s: %s %s, want %s", name, got.TraceID, got.SpanID, c.want)
		}
	}
}

func TestLongLog(t *testing.T) {
	got := line(t, func(r plog.LogRecord) {
		r.Body().SetStr(strings.Repeat("x", 1<<20))
		r.SetTraceID(pcommon.TraceID{15: 1})
	})
	if len(got.Raw) != wire.MaxLine || len(got.Message) != wire.MaxLine || got.TraceID == "" {
		t.Errorf("%d bytes, message of %d, trace %s; want %d", len(got.Raw), len(got.Message), got.TraceID, wire.MaxLine)
	}
}

// TestLogService: a line has the service of its own resource, or none.
func TestLogService(t *testing.T) {
	in := plog.NewLogs()
	for _, name := range []string{"a", "", "b\xff"} {
		resource := in.ResourceLogs().AppendEmpty()
		if name != "" {
			resource.Resource().Attributes().PutStr("service.name", name)
		}
		resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	}
	lines := Logs(in, now)
	if len(lines) != 3 || lines[0].Service != "a" || lines[1].Service != "" || lines[2].Service != "b\uFFFD" {
		t.Errorf("%+v", lines)
	}
	if strings.Contains(lines[0].Raw, "logger") || strings.Contains(lines[0].Raw, "attributes") || strings.Contains(lines[0].Raw, "body") {
		t.Errorf("%s, want no logger, attributes and body", lines[0].Raw)
	}
}
