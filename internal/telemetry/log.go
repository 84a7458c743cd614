package telemetry

import (
	"io"
	"log/slog"

	slogtrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/log/slog"
)

// NewLogger returns a logger of JSON lines that name the service. Lines logged
// with the context of a request name its trace and span too, unless
// DD_LOGS_INJECTION is off.
func NewLogger(w io.Writer, cfg Config) *slog.Logger {
	var handler slog.Handler = slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level:       cfg.LogLevel,
		ReplaceAttr: datadogNames,
	})
	if cfg.LogsInjection {
		handler = slogtrace.WrapHandler(handler)
	}
	return slog.New(handler).With(
		slog.String("dd.service", cfg.Service),
		slog.String("dd.env", cfg.Env),
		slog.String("dd.version", cfg.Version),
	)
}

// datadogNames calls slog's time by a name that Datadog takes a log's date from
// (its default list has timestamp and date, but not time).
func datadogNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Key = "timestamp"
	}
	return a
}
