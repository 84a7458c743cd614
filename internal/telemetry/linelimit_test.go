package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// Whatever the values are, a line has at most 8 KB, is valid JSON and keeps its
// short attributes.
func TestLogLinesAreBounded(t *testing.T) {
	invalid := strings.Repeat("\xff", 16<<10)
	long := strings.Repeat("long path ", 2000)
	for _, c := range []struct {
		name  string
		msg   string
		attrs []slog.Attr
	}{
		{"one value", "request", []slog.Attr{slog.String("http.useragent", invalid)}},
		{"every value", "request", []slog.Attr{slog.String("http.method", long), slog.String("http.useragent", invalid), slog.String("error.stack", long)}},
		{"message", invalid, nil},
		{"quotes", "request", []slog.Attr{slog.String("http.useragent", strings.Repeat(`"\`, 8<<10))}},
		{"control characters", "request", []slog.Attr{slog.String("http.useragent", strings.Repeat("\x00\n\t", 8<<10))}},
		{"separators that JSON escapes", "request", []slog.Attr{slog.String("http.useragent", strings.Repeat("\u2028", 8<<10))}},
		{"characters of four bytes", "request", []slog.Attr{slog.String("http.useragent", strings.Repeat("😀", 8<<10))}},
		{"error", "request", []slog.Attr{slog.Any("err", errors.New(long))}},
		{"structure", "request", []slog.Attr{slog.Any("list", strings.Fields(long))}},
		{"group", "request", []slog.Attr{slog.Group("g", slog.String("a", long), slog.String("b", invalid))}},
		{"value that cannot be encoded", "request", []slog.Attr{slog.Any("f", func() {}), slog.String("a", long)}},
		{"just too long", "request", []slog.Attr{slog.String("a", strings.Repeat("a", maxLine))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := limitedLine(t, c.msg, append(c.attrs, slog.String("http.route", "/api/trace"), slog.Int("http.status_code", 200)))
			if len(line) > maxLine {
				t.Errorf("%d bytes, want at most %d: %.200s", len(line), maxLine, line)
			}
			if len(line) < maxLine/2 {
				t.Errorf("%d bytes, want most of the %d that are allowed", len(line), maxLine)
			}
			var got map[string]any
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v: %.200s", err, line)
			}
			if got["http.route"] != "/api/trace" || got["http.status_code"] != 200.0 || got["dd.service"] != "shop" || len(got["dd.trace_id"].(string)) != 32 {
				t.Errorf("a short attribute is lost: %.200s", line)
			}
			if !strings.Contains(string(line), " … (cut, ") {
				t.Errorf("the line does not say that it was cut: %.200s", line)
			}
		})
	}
}

func TestLinesWithinTheLimitAreNotCut(t *testing.T) {
	for _, value := range []string{"curl/8", strings.Repeat("a", 7<<10), strings.Repeat("\xff", 1000)} {
		var got map[string]any
		if err := json.Unmarshal(limitedLine(t, "request", []slog.Attr{slog.String("v", value)}), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(strings.ReplaceAll(value, "\xff", "\ufffd"), "\ufffd"); got["v"] != want {
			t.Errorf("%.20q is logged as %.20q", value, got["v"])
		}
	}
}

func TestACutValueEndsWithItsLength(t *testing.T) {
	var got map[string]string
	line := limitedLine(t, "request", []slog.Attr{slog.String("v", strings.Repeat("é", 10<<10))})
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutSuffix(got["v"], " … (cut, 20480 bytes)")
	if !ok || strings.Trim(rest, "é") != "" {
		t.Errorf("got %.20q … %q", got["v"], got["v"][len(got["v"])-40:])
	}
}

// limitedLine returns the line that a service's logger writes for a request.
func limitedLine(t *testing.T, msg string, attrs []slog.Attr) []byte {
	t.Helper()
	tracer.Start(tracer.WithLogStartup(false))
	defer tracer.Stop()
	span, ctx := tracer.StartSpanFromContext(context.Background(), "http.request")
	defer span.Finish()
	var out bytes.Buffer
	NewLogger(&out, Config{Service: "shop", LogsInjection: true}).LogAttrs(ctx, slog.LevelInfo, msg, attrs...)
	return out.Bytes()
}

// escapedLen is the length in a JSON string, or more.
func TestEscapedLen(t *testing.T) {
	for s, want := range map[string]int{
		" ": 1, "~": 1, "\x7f": 1, `"`: 2, `\`: 2, "\x00": 6, "\x1f": 6, "é": 2, "\u2028": 6, "\u2029": 6, "\u2030": 3, "\xff": 6, "\ufffd": 6, "ab": 2, "": 0,
	} {
		var line bytes.Buffer
		slog.New(slog.NewJSONHandler(&line, nil)).Info(s)
		_, value, _ := strings.Cut(line.String(), `"msg":"`)
		if got, inLine := escapedLen(s), len(value)-len("\"}\n"); got != want || got < inLine {
			t.Errorf("%q: %d, want %d; it takes %d in a line", s, got, want, inLine)
		}
	}
}

type brokenHandler struct{ slog.Handler }

func (brokenHandler) Handle(context.Context, slog.Record) error { return io.ErrClosedPipe }

func TestErrorsOfTheHandlerAreReturned(t *testing.T) {
	l := lineLimit{Handler: brokenHandler{slog.DiscardHandler}}
	for _, message := range []string{"short", strings.Repeat("long", maxLine)} {
		if err := l.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, message, 0)); err != io.ErrClosedPipe {
			t.Errorf("a message of %d bytes: %v, want %v", len(message), err, io.ErrClosedPipe)
		}
	}
}
