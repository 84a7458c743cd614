package telemetry

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
	"gopkg.in/DataDog/dd-trace-go.v1/profiler"
)

// flushOnExit makes the profiler send its data when it stops. Without it, a run
// shorter than one period of 60 s leaves no profile.
const flushOnExit = "DD_PROFILING_FLUSH_ON_EXIT"

// Start starts the tracer and the profiler according to cfg. It works without an
// Agent: the tracer drops what it cannot send and logs a warning to logger from
// time to time. At the end, call StopProfiler, close what is traced, then call
// StopTracer.
func Start(cfg Config, logger *slog.Logger) error {
	ddtrace.UseLogger(tracerLog{logger})
	tracer.Start(
		tracer.WithService(cfg.Service),
		tracer.WithEnv(cfg.Env),
		// All three services have the version of this build.
		tracer.WithUniversalVersion(cfg.Version),
		tracer.WithTraceEnabled(cfg.Tracing),
	)
	if !cfg.Profiling {
		return nil
	}
	if _, set := os.LookupEnv(flushOnExit); !set {
		if err := os.Setenv(flushOnExit, "true"); err != nil {
			return err
		}
	}
	return profiler.Start(
		profiler.WithService(cfg.Service),
		profiler.WithEnv(cfg.Env),
		profiler.WithVersion(cfg.Version),
		// No block profiles: Datadog discourages them because of their cost.
		profiler.WithProfileTypes(profiler.CPUProfile, profiler.HeapProfile, profiler.GoroutineProfile, profiler.MutexProfile),
	)
}

// StopProfiler sends the last profile and stops the profiler.
func StopProfiler() { profiler.Stop() }

// StopTracer sends the remaining traces and their statistics and stops the
// tracer.
func StopTracer() {
	// Stop alone sends the last traces without the mark that their statistics are
	// computed, so the Agent would count them twice.
	tracer.Flush()
	tracer.Stop()
}

// tracerLog writes the tracer's messages to the service's log. The tracer's
// errors become warnings, because the service works without an Agent.
type tracerLog struct{ logger *slog.Logger }

func (l tracerLog) Log(msg string) {
	level := slog.LevelInfo
	switch {
	case strings.Contains(msg, " ERROR: "), strings.Contains(msg, " WARN: "):
		level = slog.LevelWarn
	case strings.Contains(msg, " DEBUG: "):
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, strings.TrimSpace(msg))
}
