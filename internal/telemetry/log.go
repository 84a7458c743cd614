package telemetry

import (
	"io"
	"log/slog"

	slogtrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/log/slog"
)

// NewLogger returns a logger that writes JSON lines with the service's name, env
// and version. Lines logged with a request's context also have its trace ID and
// span ID, unless DD_LOGS_INJECTION is off. A line has at most 8 KB.
func NewLogger(w io.Writer, cfg Config) *slog.Logger {
	var handler slog.Handler = lineLimit{Handler: slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level:       cfg.LogLevel,
		ReplaceAttr: datadogNames,
	})}
	if cfg.LogsInjection {
		handler = slogtrace.WrapHandler(handler)
	}
	return slog.New(handler).With(
		slog.String("dd.service", cfg.Service),
		slog.String("dd.env", cfg.Env),
		slog.String("dd.version", cfg.Version),
	)
}

// datadogNames renames slog's time to timestamp. Datadog reads a log's date from
// timestamp or date by default, but not from time.
func datadogNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Key = "timestamp"
	}
	return a
}
