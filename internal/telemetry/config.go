package telemetry

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Config names the service and selects what it emits.
type Config struct {
	// Service, Env and Version are Datadog's unified service tags. Only Env may be
	// empty.
	Service, Env, Version string
	// Tracing, Profiling and LogsInjection are on unless their variable turns them
	// off.
	Tracing, Profiling, LogsInjection bool
	// LogLevel is the lowest level that is logged.
	LogLevel slog.Level

	errorStatuses statusRanges
}

// DatabaseService returns the name of the database in the service list.
func (c Config) DatabaseService() string { return c.Service + "-mysql" }

// JobsService returns the name of the periodic jobs in the service list.
func (c Config) JobsService() string { return c.Service + "-jobs" }

// ConfigFromEnv reads DD_SERVICE, DD_ENV, DD_VERSION, DD_TAGS,
// DD_TRACE_ENABLED, DD_PROFILING_ENABLED, DD_LOGS_INJECTION and
// DD_TRACE_HTTP_SERVER_ERROR_STATUSES. The tracer and the profiler read their
// other variables themselves. service and version are the defaults of DD_SERVICE
// and DD_VERSION. An error names the variable.
func ConfigFromEnv(getenv func(string) string, service, version string) (Config, error) {
	tags := parseTags(getenv("DD_TAGS"))
	cfg := Config{
		Service: first(getenv("DD_SERVICE"), tags["service"], service),
		Env:     first(getenv("DD_ENV"), tags["env"]),
		Version: first(getenv("DD_VERSION"), tags["version"], version),
	}
	var err error
	for _, v := range []struct {
		name string
		to   *bool
	}{
		{"DD_TRACE_ENABLED", &cfg.Tracing},
		{"DD_PROFILING_ENABLED", &cfg.Profiling},
		{"DD_LOGS_INJECTION", &cfg.LogsInjection},
	} {
		if *v.to, err = enabled(getenv(v.name)); err != nil {
			return Config{}, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	cfg.errorStatuses, err = parseStatusRanges(first(getenv("DD_TRACE_HTTP_SERVER_ERROR_STATUSES"), "500-599"))
	if err != nil {
		return Config{}, fmt.Errorf("DD_TRACE_HTTP_SERVER_ERROR_STATUSES: %w", err)
	}
	return cfg, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// enabled parses a variable that is true if unset. DD_PROFILING_ENABLED may also
// be auto, which the profiler itself interprets.
func enabled(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "", "auto":
		return true, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", value)
	}
	return on, nil
}

// parseTags parses DD_TAGS: key:value pairs separated by commas, or by spaces if
// there is no comma.
func parseTags(s string) map[string]string {
	separator := ","
	if !strings.Contains(s, separator) {
		separator = " "
	}
	tags := map[string]string{}
	for pair := range strings.SplitSeq(s, separator) {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), ":")
		tags[key] = value
	}
	return tags
}

// statusRanges are the HTTP statuses that make a span an error.
type statusRanges [][2]int

func (s statusRanges) contain(status int) bool {
	for _, r := range s {
		if r[0] <= status && status <= r[1] {
			return true
		}
	}
	return false
}

// parseStatusRanges parses a list such as "500-599,404".
func parseStatusRanges(s string) (statusRanges, error) {
	var ranges statusRanges
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, errFrom := strconv.Atoi(low)
		to, errTo := strconv.Atoi(high)
		if errFrom != nil || errTo != nil || from > to {
			return nil, fmt.Errorf("%q is neither a status nor a range such as 500-599", part)
		}
		ranges = append(ranges, [2]int{from, to})
	}
	return ranges, nil
}
