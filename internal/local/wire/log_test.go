package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var (
	zone     = time.FixedZone("", 2*60*60)
	received = time.Date(2026, 1, 2, 3, 4, 5, 0, zone)
)

const (
	hex32    = "6b060d8f000000007aa1645abafb4873"
	decimal  = "8836454284724488307"
	hexSpan  = "7aa1645abafb4873"
	nowText  = "03:04:05"
	decimal2 = "1234567890123456789"
)

// TestDecodeLog has a line of each language and logger. Want is level, service, trace
// ID, span ID and message.
func TestDecodeLog(t *testing.T) {
	for line, want := range map[string]string{
		// JSON
		`{"msg":"m","level":"warn","dd.service":"s","dd.trace_id":"` + hex32 + `","dd.span_id":"1"}`:            "WARN s " + hex32 + " 1 m",
		`{"message":"m","status":"error","dd":{"service":"s","trace_id":"12","span_id":7}}`:                     "ERROR s 12 7 m",
		`{"dd":{"trace_id":` + decimal2 + `,"span_id":` + decimal2 + `},"msg":"exact"}`:                         "INFO  " + decimal2 + " " + decimal2 + " exact",
		`{"level":30,"time":1,"msg":"pino","dd":{"trace_id":"` + decimal + `","span_id":"5","service":"node"}}`: "INFO node " + decimal + " 5 pino",
		`{"level":50,"msg":"pino"}`: "ERROR    pino",
		`{"@mt":"x {y}","@m":"x 1","@l":"Warning","dd_trace_id":"` + hex32 + `","dd_span_id":"5","dd_service":"net"}`:                 "WARN net " + hex32 + " 5 x 1",
		`{"Timestamp":"2026-01-01T00:00:00Z","Level":"Fatal","MessageTemplate":"x {y}","Properties":{"dd_service":"net"}}`:            "CRITICAL net   x {y}",
		`{"Level":"Warning","MessageTemplate":"x {y}","RenderedMessage":"x 1"}`:                                                       "WARN    x 1",
		`{"EventId":0,"LogLevel":"Error","Category":"c","Message":"m","State":{"Message":"no"}}`:                                      "ERROR    m",
		`{"Timestamp":"2026-01-01T00:00:00Z","Properties":{"dd_trace_id":"` + hex32 + `"}}`:                                           "INFO  " + hex32 + "  {\"Timestamp\":\"2026-01-01T00:00:00Z\",\"Properties\":{\"dd_trace_id\":\"" + hex32 + "\"}}",
		`{"LogLevel":"Information","Message":"x","Scopes":[{"a":1},{"dd_trace_id":"5","dd_span_id":"6"},7],"msg":"m"}`:                "INFO  5 6 m",
		`{"message":"log4j2","level":"FATAL","contextMap":{"dd.trace_id":"` + hex32 + `","dd.span_id":"5"}}`:                          "CRITICAL  " + hex32 + " 5 log4j2",
		`{"message":"logback","level":"ERROR","mdc":{"dd.trace_id":"12","dd.span_id":"5","dd.service":"java"}}`:                       "ERROR java 12 5 logback",
		`{"message":"php","level":300,"level_name":"WARNING","context":{},"extra":{"dd":{"trace_id":"12","span_id":"5"}}}`:            "WARN  12 5 php",
		`{"event":"structlog","trace_id":"` + hex32 + `","span_id":"` + hexSpan + `"}`:                                                "INFO  " + hex32 + " " + decimal + " structlog",
		`{"body":"otel","otelTraceID":"` + hex32 + `","otelSpanID":"0000000000000010","severity_number":17}`:                          "ERROR  " + hex32 + " 16 otel",
		`{"msg":"ecs","trace.id":"` + hex32 + `","service":{"name":"s"},"log":{"level":"debug"}}`:                                     "DEBUG s " + hex32 + "  ecs",
		`{"msg":"decimal","dd.trace_id":"1234567890123456","dd.span_id":"1234567890123456"}`:                                          "INFO  1234567890123456 1234567890123456 decimal",
		`{"msg":"upper","trace_id":"` + strings.ToUpper(hex32) + `"}`:                                                                 "INFO  " + hex32 + "  upper",
		`{"msg":"none","dd.trace_id":"0","dd.span_id":"0"}`:                                                                           "INFO    none",
		`{"msg":"not an ID","trace_id":"request 5","span_id":"1"}`:                                                                    "INFO    not an ID",
		`{"log":"ERROR text dd.trace_id=12 dd.span_id=5\n","stream":"stdout"}`:                                                        "ERROR  12 5 ERROR text dd.trace_id=12 dd.span_id=5",
		`{"log":"{\"level\":\"warn\",\"msg\":\"m\",\"dd\":{\"trace_id\":\"12\"}}\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}`: "WARN  12  m",
		`{"msg":"text dd.trace_id=12 dd.span_id=5"}`:                                                                                  "INFO  12 5 text dd.trace_id=12 dd.span_id=5",
		`{"msg":{"a":1}}`:        `INFO    {"msg":{"a":1}}`,
		`{"msg":`:                `INFO    {"msg":`,
		`[1]`:                    "INFO    [1]",
		"{\"msg\":\"\xff bad\"}": "INFO    \uFFFD bad",
		`{"msg":"m","contextMap":5,"dd":[],"Scopes":null,"extra":""}`: "INFO    m",
		// JSON that is cut off
		`{"level":"error","dd":{"trace_id":"` + hex32 + `","span_id":"5"},"service":"s","msg":"cut \"off`: `ERROR s ` + hex32 + ` 5 cut \"off`,
		`{"a":"x\",\"level\":\"error","level" : "warn", "dd.trace_id":12, "b":[`:                          `WARN  12  {"a":"x\",\"level\":\"error","level" : "warn", "dd.trace_id":12, "b":[`,
		// Text
		`plain text`: "INFO    plain text",
		`2026-01-02 03:04:05,000 ERROR [app] [app.py:3] [dd.service=py dd.env=e dd.version=v dd.trace_id=` + hex32 + ` dd.span_id=5] - no`:             "ERROR py " + hex32 + " 5 2026-01-02 03:04:05,000 ERROR [app] [app.py:3] - no",
		`2026-01-02 03:04:05,000 WARNING [app] [dd.service= dd.env= dd.version= dd.trace_id=0 dd.span_id=0] - m`:                                       "WARN    2026-01-02 03:04:05,000 WARNING [app] [dd.service= dd.env= dd.version= dd.trace_id=0 dd.span_id=0] - m",
		`CRITICAL:root:dd.trace_id=` + decimal + ` dd.span_id=5 m`:                                                                                     "CRITICAL  " + decimal + " 5 CRITICAL:root:dd.trace_id=" + decimal + " dd.span_id=5 m",
		`E, [2026-01-02T03:04:05.000000 #1] ERROR -- : [dd.env=e dd.service=rb dd.version=v dd.trace_id=` + decimal + ` dd.span_id=5 ddsource=ruby] m`: "ERROR rb " + decimal + " 5 E, [2026-01-02T03:04:05.000000 #1] ERROR -- : m",
		`2026-01-02 03:04:05.000 [main] WARN  a.b.C - dd.trace_id=` + hex32 + `, dd.span_id=5 m`:                                                       "WARN  " + hex32 + " 5 2026-01-02 03:04:05.000 [main] WARN  a.b.C - dd.trace_id=" + hex32 + ", dd.span_id=5 m",
		`2026-01-02 03:04:05 [main] INFO  a.b.C - s e v ` + hex32 + ` 8836454284724488307 - m`:                                                         "INFO  " + hex32 + " 8836454284724488307 2026-01-02 03:04:05 [main] INFO  a.b.C - s e v " + hex32 + " 8836454284724488307 - m",
		`info: App[0] {dd_service:"net", dd_trace_id:"` + hex32 + `", dd_span_id:"5"} m`:                                                               `INFO net ` + hex32 + ` 5 info: App[0] {dd_service:"net", dd_trace_id:"` + hex32 + `", dd_span_id:"5"} m`,
		`fail: App[0] m`:         "ERROR    fail: App[0] m",
		`[03:04:05 WRN] serilog`: "WARN    [03:04:05 WRN] serilog",
		`[2026-01-02 03:04:05] app.ERROR: m [dd.trace_id="` + hex32 + `" dd.span_id="5"]`:                                      `ERROR  ` + hex32 + ` 5 [2026-01-02 03:04:05] app.ERROR: m`,
		`2026/01/02 03:04:05 [error] 7#7: nginx`:                                                                               "ERROR    2026/01/02 03:04:05 [error] 7#7: nginx",
		`time=2026-01-02T03:04:05Z level=WARN msg=m dd.service=go dd.trace_id="` + hex32 + `" dd.span_id="5" dd.parent_id="4"`: `WARN go ` + hex32 + ` 5 time=2026-01-02T03:04:05Z level=WARN msg=m dd.service=go dd.trace_id="` + hex32 + `" dd.span_id="5" dd.parent_id="4"`,
		`otel trace_id=` + hex32 + ` span_id=` + hexSpan + ` m`:                                                                "INFO  " + hex32 + " " + decimal + " otel trace_id=" + hex32 + " span_id=" + hexSpan + " m",
		`otel traceId=` + hex32 + ` spanId=0000000000000010`:                                                                   "INFO  " + hex32 + " 16 otel traceId=" + hex32 + " spanId=0000000000000010",
		`hex dd.trace_id=` + hexSpan + ` dd.span_id=5`:                                                                         "INFO  " + hexSpan + " 5 hex dd.trace_id=" + hexSpan + " dd.span_id=5",
		"\x1b[32minfo\x1b[39m: node {\"dd\":{\"trace_id\":\"12\",\"span_id\":\"5\"}}":                                          `INFO  12 5 info: node {"dd":{"trace_id":"12","span_id":"5"}}`,
		"\x1b[31merror\x1b[39m: red":                                                                                           "ERROR    error: red",
		"\x1b[":                                                                                                                "INFO    ",
		`parent_trace_id=12 m`:                                                                                                 "INFO    parent_trace_id=12 m",
		`trace_id=xyz trace_id = 12`:                                                                                           "INFO  12  trace_id=xyz trace_id = 12",
		`trace_id=12z`:                                                                                                         "INFO    trace_id=12z",
		`GET /ERROR?level=ERROR_1`:                                                                                             "INFO    GET /ERROR?level=ERROR_1",
		`"GET / HTTP/1.1" OK ERROR`:                                                                                            `ERROR    "GET / HTTP/1.1" OK ERROR`,
		`trace_id=abc`:                                                                                                         "INFO  0000000000000abc  trace_id=abc",
		`trace_id=1234567890abcdef12`:                                                                                          "INFO  000000000000001234567890abcdef12  trace_id=1234567890abcdef12",
		`an error: no`:                                                                                                         "INFO    an error: no",
	} {
		l := DecodeLog([]byte(line), received)
		got := fmt.Sprintf("%s %s %s %s %s", l.Level, l.Service, l.TraceID, l.SpanID, l.Message)
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
		if l.Raw != strings.ToValidUTF8(line, "\uFFFD") {
			t.Errorf("%s: raw %q", line, l.Raw)
		}
	}
}

func TestLevels(t *testing.T) {
	for level, want := range map[string]string{
		`"trace"`: Debug, `"DEBUG"`: Debug, `"verbose"`: Debug, `"DEBUG-4"`: Debug, `"FINE"`: Debug,
		`"info"`: Info, `"INFO+2"`: Info, `"Information"`: Info, `"notice"`: Info, `"ok"`: Info,
		`"warning"`: Warn, `"WARN"`: Warn, `"W"`: Warn, `" warn "`: Warn,
		`"err"`: Error, `"ERROR+1"`: Error, `"SEVERE"`: Error,
		`"critical"`: Critical, `"fatal"`: Critical, `"PANIC"`: Critical, `"emerg"`: Critical, `"alert"`: Critical,
		`10`: Debug, `20`: Debug, `29`: Debug, `30`: Info, `39`: Info, `40`: Warn, `50`: Error, `59`: Error, `60`: Critical, `"30"`: Info, `1e999`: Info,
		`0`: Critical, `2`: Critical, `3`: Error, `4`: Warn, `5`: Info, `6`: Info, `7`: Debug, `-4`: Debug,
		`100`: Debug, `200`: Info, `250`: Info, `300`: Warn, `400`: Error, `500`: Critical, `600`: Critical,
		`5000`: Debug, `10000`: Debug, `20000`: Info, `30000`: Warn, `40000`: Error, `50000`: Critical,
		`"audit"`: "AUDIT", `""`: Info, `null`: Info, `true`: Info, `{}`: Info,
	} {
		if got := DecodeLog([]byte(`{"level":`+level+`}`), received).Level; got != want {
			t.Errorf("level %s: %s, want %s", level, got, want)
		}
	}
	for line, want := range map[string]string{
		`{"status":200}`:                  Info,
		`{"status":500}`:                  Info,
		`{"status":"500","level":"warn"}`: Warn,
		`{"status":3}`:                    Error,
		`{"severity":"WARNING"}`:          Warn,
		`{"levelname":"CRITICAL"}`:        Critical,
		`{"levelno":20}`:                  Info,
		`{"levelno":50}`:                  Critical,
		`{"severity_number":1}`:           Debug,
		`{"severity_number":8}`:           Debug,
		`{"severity_number":9}`:           Info,
		`{"severity_number":13}`:          Warn,
		`{"severity_number":20}`:          Error,
		`{"severity_number":24}`:          Critical,
	} {
		if got := DecodeLog([]byte(line), received).Level; got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// TestTimes: all times are in the zone in which the line was received, and times
// without a zone are of that zone.
func TestTimes(t *testing.T) {
	const layout = "2006-01-02 15:04:05.999999999 -0700"
	const none = "2026-01-02 03:04:05 +0200" // received
	for text, want := range map[string]string{
		`"2026-03-04T05:06:07Z"`:               "2026-03-04 07:06:07 +0200",
		`"2026-03-04T05:06:07.123456789Z"`:     "2026-03-04 07:06:07.123456789 +0200",
		`"2026-03-04T05:06:07.1234567891234Z"`: "2026-03-04 07:06:07.123456789 +0200",
		`"2026-03-04T05:06:07-05:30"`:          "2026-03-04 12:36:07 +0200",
		`"2026-03-04T05:06:07+0100"`:           "2026-03-04 06:06:07 +0200",
		`"2026-03-04 05:06:07+01"`:             "2026-03-04 06:06:07 +0200",
		`"2026-03-04 05:06:07 UTC"`:            "2026-03-04 07:06:07 +0200",
		`"2026-03-04 05:06:07,169"`:            "2026-03-04 05:06:07.169 +0200",
		`"2026-03-04T05:06:07"`:                "2026-03-04 05:06:07 +0200",
		`1772600767`:                           "2026-03-04 07:06:07 +0200",
		`1772600767.5`:                         "2026-03-04 07:06:07.5 +0200",
		`1772600767123`:                        "2026-03-04 07:06:07.123 +0200",
		`1772600767123.25`:                     "2026-03-04 07:06:07.12325 +0200",
		`1772600767123456`:                     "2026-03-04 07:06:07.123456 +0200",
		`1772600767123456789`:                  "2026-03-04 07:06:07.123456789 +0200",
		`1.772600767e9`:                        "2026-03-04 07:06:07 +0200",
		`"1772600767123"`:                      "2026-03-04 07:06:07.123 +0200",
		`5`:                                    none,
		`-5`:                                   none,
		`1e300`:                                none,
		`99999999999999999999`:                 none,
		`"yesterday"`:                          none,
		`"2026-13-04T05:06:07Z"`:               none,
		`"2026-03-04T25:06:07Z"`:               none,
		`"9999-03-04T05:06:07Z"`:               none,
		`"2026-03-04"`:                         none,
		`"2026-03-04T05:06:07+99:00"`:          none,
		`"2026-03-04T05:06:07 and more"`:       none,
		`null`:                                 none,
	} {
		for _, name := range []string{"timestamp", "time", "@timestamp", "date", "ts", "@t"} {
			if got := DecodeLog([]byte(`{"`+name+`":`+text+`}`), received).Time.Format(layout); got != want {
				t.Errorf("%s %s: %s, want %s", name, text, got, want)
			}
		}
	}
	for line, want := range map[string]string{
		`{"log":"m","stream":"stdout","time":"2026-03-04T05:06:07Z"}`: "2026-03-04 07:06:07 +0200",
		"2026-03-04 05:06:07,169 INFO m":                              "2026-03-04 05:06:07.169 +0200",
		`time="2026-03-04T05:06:07Z" level=info msg=m`:                "2026-03-04 07:06:07 +0200",
		"time=2026-03-04T05:06:07.5Z level=INFO msg=m":                "2026-03-04 07:06:07.5 +0200",
		"ts=2026-03-04T05:06:07Z m":                                   "2026-03-04 07:06:07 +0200",
		"E, [2026-03-04T05:06:07.5 #12] ERROR -- : m":                 "2026-03-04 05:06:07.5 +0200",
		"E [2026-03-04T05:06:07] m":                                   none,
		"[2026-03-04T05:06:07.5Z] m":                                  "2026-03-04 07:06:07.5 +0200",
		"2026/03/04 05:06:07 m":                                       "2026-03-04 05:06:07 +0200",
		"2026-03-04 05:06:07 -0500 m":                                 "2026-03-04 12:06:07 +0200",
		"2026-03-04 05:06:07 - 12 m":                                  "2026-03-04 05:06:07 +0200",
		"2026-03-04 05:06:07, m":                                      "2026-03-04 05:06:07 +0200",
		"m 2026-03-04 05:06:07":                                       none,
	} {
		if got := DecodeLog([]byte(line), received).Time.Format(layout); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// TestLongLine: a line over 64 KB keeps its level and its trace ID, wherever they are.
func TestLongLine(t *testing.T) {
	for _, long := range []string{strings.Repeat("x", MaxLine), strings.Repeat("é\\n\\\"", MaxLine), strings.Repeat(`\\`, MaxLine), strings.Repeat(`\u00e9`, MaxLine)} {
		for i, line := range []string{
			`{"level":"error","msg":"begin ` + long + `","dd.trace_id":"` + hex32 + `","dd.span_id":"5"}`,
			`{"level":"error","dd":{"trace_id":"` + hex32 + `","span_id":"5"},"msg":"begin ` + long + `"}`,
			`{"msg":"begin ` + long + `","dd":{"trace_id":"` + hex32 + `","span_id":"5"},"level":"error"}`,
			`ERROR begin ` + long + ` dd.trace_id=` + hex32 + ` dd.span_id=5`,
			`ERROR dd.trace_id=` + hex32 + ` dd.span_id=5 begin ` + long,
		} {
			l := DecodeLog([]byte(line), received)
			if l.Level != Error || l.TraceID != hex32 || l.SpanID != "5" || !strings.Contains(l.Message[:100], "begin ") || len(l.Raw) > MaxLine+10 || len(l.Message) > MaxLine+10 {
				t.Errorf("line %d of %.10s: %s %s %s %.20s, raw %d and message %d bytes", i, long, l.Level, l.TraceID, l.SpanID, l.Message, len(l.Raw), len(l.Message))
			}
		}
	}
	for size, want := range map[int]int{MaxLine: MaxLine, MaxLine + 1: MaxLine} {
		line := bytes.Repeat([]byte("x"), size)
		if got := Shorten(line); len(got) != want || bytes.Contains(got, []byte(cut)) != (size > MaxLine) {
			t.Errorf("%d bytes of %d", len(got), size)
		}
	}
}

func FuzzDecodeLog(f *testing.F) {
	for _, seed := range []string{
		`{"dd":{"trace_id":"1"},"msg":"m","level":30,"time":1772600767123}`, `{"level":"error","dd":{"trace_id":"5","msg":"cut \"off`,
		`2026-01-02 03:04:05,000 ERROR [dd.service=py dd.trace_id=` + hex32 + ` dd.span_id=5] - no`, "\x1b[32minfo\x1b[39m: x", `[2026-01-02T03:04:05+01] trace.id: "0x5"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l := DecodeLog([]byte(line), received)
		if len(l.Raw) > 3*len(line) || !utf8.ValidString(l.Raw) || !utf8.ValidString(l.Message) || l.Level == "" || l.Time.Location() != zone {
			t.Errorf("%+v", l)
		}
		if _, err := json.Marshal(l); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	})
}

func BenchmarkDecodeLog(b *testing.B) {
	for name, line := range map[string]string{
		"JSON": `{"timestamp":"2026-01-02T03:04:05.123456789Z","level":"INFO","msg":"request","dd.service":"apmapp","dd.env":"demo","dd.version":"1.2.3","http.method":"GET","http.status_code":200,"duration":1234567,"dd.trace_id":"` + hex32 + `","dd.span_id":"` + decimal + `"}`,
		"text": `2026-01-02 03:04:05,000 INFO [app] [app.py:3] [dd.service=py dd.env=e dd.version=v dd.trace_id=` + hex32 + ` dd.span_id=` + decimal + `] - GET /api/trace`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if l := DecodeLog([]byte(line), received); l.TraceID != hex32 {
					b.Fatal(l)
				}
			}
		})
	}
}
