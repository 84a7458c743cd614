package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/mocktracer"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// logLine logs one line and returns it, decoded.
func logLine(t *testing.T, cfg Config, log func(*slog.Logger)) map[string]any {
	t.Helper()
	var out bytes.Buffer
	log(NewLogger(&out, cfg))
	if out.Len() == 0 {
		return nil
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return line
}

func TestLogLine(t *testing.T) {
	cfg := Config{Service: "shop", Env: "prod", Version: "7"}
	line := logLine(t, cfg, func(l *slog.Logger) {
		l.Info("sold", "items", 3, slog.Group("when", "time", "now"))
	})
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(line["timestamp"])); err != nil {
		t.Error(err)
	}
	delete(line, "timestamp")
	want := map[string]any{
		"level": "INFO", "msg": "sold", "items": 3.0,
		"dd.service": "shop", "dd.env": "prod", "dd.version": "7",
		"when": map[string]any{"time": "now"}, // only slog's own time is renamed
	}
	if fmt.Sprint(line) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", line, want)
	}
}

func TestLogLevel(t *testing.T) {
	cfg := Config{LogLevel: slog.LevelWarn}
	if line := logLine(t, cfg, func(l *slog.Logger) { l.Info("hidden") }); line != nil {
		t.Errorf("below the level: logged %v", line)
	}
	if line := logLine(t, cfg, func(l *slog.Logger) { l.Warn("shown") }); line == nil {
		t.Error("at the level: not logged")
	}
}

func TestLogLineNamesItsSpan(t *testing.T) {
	defer mocktracer.Start().Stop()
	span, ctx := tracer.StartSpanFromContext(context.Background(), "work")
	defer span.Finish()
	ids, _ := SpanIDs(ctx)
	spanID, err := strconv.ParseUint(ids.SpanID, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, injection := range []bool{true, false} {
		line := logLine(t, Config{LogsInjection: injection}, func(l *slog.Logger) { l.InfoContext(ctx, "in a span") })
		var want [2]any
		if injection {
			want = [2]any{ids.TraceID, strconv.FormatUint(spanID, 10)}
		}
		if got := [2]any{line["dd.trace_id"], line["dd.span_id"]}; got != want {
			t.Errorf("injection %v: IDs %v, want %v", injection, got, want)
		}
	}
}
