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

// flushOnExit has the profiler send what it has when it is stopped. Without it
// a run shorter than a period leaves no profile at all.
const flushOnExit = "DD_PROFILING_FLUSH_ON_EXIT"

// Start starts the tracer and the profiler as cfg asks. There need be no Agent:
// what cannot be sent is dropped, and the tracer says so now and then through
// logger. StopProfiler and StopTracer end them, in that order, around the
// closing of whatever is still traced.
func Start(cfg Config, logger *slog.Logger) error {
	ddtrace.UseLogger(tracerLog{logger})
	tracer.Start(
		tracer.WithService(cfg.Service),
		tracer.WithEnv(cfg.Env),
		// Each of the three services is of this build.
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
		// Block profiles are left out: upstream discourages them for their cost.
		profiler.WithProfileTypes(profiler.CPUProfile, profiler.HeapProfile, profiler.GoroutineProfile, profiler.MutexProfile),
	)
}

// StopProfiler sends the last profile and stops the profiler.
func StopProfiler() { profiler.Stop() }

// StopTracer sends the remaining traces and their statistics and stops the
// tracer.
func StopTracer() {
	// Stop alone sends the last traces without the word that they are counted
	// already, and the Agent counts them again.
	tracer.Flush()
	tracer.Stop()
}

// tracerLog is the tracer's way into the service's log. Its errors are
// warnings here: the service works without an Agent.
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
