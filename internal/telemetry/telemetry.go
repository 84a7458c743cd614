package telemetry

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
	"gopkg.in/DataDog/dd-trace-go.v1/profiler"

	"apmapp/internal/build"
	"apmapp/internal/ddenv"
)

// Start starts the tracer and the profiler according to cfg. It works without an
// Agent: the tracer drops what it cannot send and logs a warning to logger from
// time to time. It logs a warning for each variable with a wrong value. Wrong
// telemetry never stops the service, so Start returns no error. At the end, call
// StopProfiler, close what is traced, then call StopTracer.
func Start(cfg Config, logger *slog.Logger) {
	for _, p := range ddenv.Problems() {
		logger.Warn(p.Text)
	}
	for _, text := range cfg.warnings {
		logger.Warn(text)
	}
	cfg.prepareEnvironment(build.Revision())
	ddtrace.UseLogger(&tracerLog{logger: logger})
	tracer.Start(
		tracer.WithService(cfg.Service),
		tracer.WithEnv(cfg.Env),
		// All three services have the version of this build.
		tracer.WithUniversalVersion(cfg.Version),
		tracer.WithTraceEnabled(cfg.Tracing),
	)
	if !cfg.Profiling {
		return
	}
	err := profiler.Start(
		profiler.WithService(cfg.Service),
		profiler.WithEnv(cfg.Env),
		profiler.WithVersion(cfg.Version),
		// No block profiles: Datadog discourages them because of their cost.
		profiler.WithProfileTypes(profiler.CPUProfile, profiler.HeapProfile, profiler.GoroutineProfile, profiler.MutexProfile),
	)
	if err != nil {
		logger.Warn("the profiler did not start, so there are no profiles", "error.message", err.Error())
	}
}

// prepareEnvironment changes the variables that the libraries read when they start.
// The names are in c, normalized and mapped. The libraries, also the client for
// DogStatsD, would add the raw ones or map them a second time. revision is the commit
// of the build.
func (c Config) prepareEnvironment(revision string) {
	for _, name := range []string{"DD_SERVICE", "DD_SERVICE_MAPPING", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "DD_TAGS"} {
		os.Unsetenv(name)
	}
	// Only the client for DogStatsD knows the version of metrics.
	os.Setenv("DD_ENV", c.Env)
	os.Setenv("DD_VERSION", c.Version)
	var tags []string
	for _, key := range slices.Sorted(maps.Keys(c.tags)) {
		tags = append(tags, key+":"+c.tags[key])
	}
	if len(tags) > 0 {
		os.Setenv("DD_TAGS", strings.Join(tags, ","))
	}
	// Go records the commit in a binary only if it was built in a repository. Images
	// are not, so their build sets it.
	if commit, dirty := strings.CutSuffix(revision, "-dirty"); os.Getenv("DD_GIT_COMMIT_SHA") == "" && commit != "" && !dirty {
		os.Setenv("DD_GIT_COMMIT_SHA", commit)
	}
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
// errors become warnings, because the service works without an Agent. Its debug
// messages, which DD_TRACE_DEBUG turns on, become INFO, so that they are visible.
type tracerLog struct {
	logger *slog.Logger

	mu         sync.Mutex
	window     time.Time // start of the current minute
	logged     int       // warnings since then
	suppressed int       // warnings that were not logged since then
}

// warningsPerMinute bounds the tracer's warnings: it writes two for each request
// whose trace headers are malformed, and any client can send those.
const warningsPerMinute = 10

func (l *tracerLog) Log(msg string) {
	if !strings.Contains(msg, " ERROR: ") && !strings.Contains(msg, " WARN: ") {
		l.logger.Info(strings.TrimSpace(msg))
		return
	}
	allowed, suppressed := l.allow(time.Now())
	if suppressed > 0 {
		l.logger.Warn(fmt.Sprintf("%d more warnings of the tracer were not logged in the minute before", suppressed))
	}
	if allowed {
		l.logger.Warn(strings.TrimSpace(msg))
	}
}

// allow reports whether a warning may be logged now. At the first warning of a new
// minute it also returns how many the last minute suppressed.
func (l *tracerLog) allow(now time.Time) (ok bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.window) >= time.Minute {
		suppressed = l.suppressed
		l.window, l.logged, l.suppressed = now, 0, 0
	}
	if l.logged == warningsPerMinute {
		l.suppressed++
		return false, suppressed
	}
	l.logged++
	return true, suppressed
}
