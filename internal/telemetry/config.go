package telemetry

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/DataDog/datadog-agent/pkg/trace/traceutil/normalize"

	"apmapp/internal/ddenv"
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

	database, jobs string            // names of services; "" means made from Service
	tags           map[string]string // of DD_TAGS, without the unified service tags
	errorStatuses  [][2]int          // first and last status of each range
	warnings       []string
}

// DatabaseService returns the name of the database in the service list.
func (c Config) DatabaseService() string { return cmp.Or(c.database, derived(c.Service, "-mysql")) }

// JobsService returns the name of the periodic jobs in the service list.
func (c Config) JobsService() string { return cmp.Or(c.jobs, derived(c.Service, "-jobs")) }

// Warnings returns what was wrong with the names in the environment, one sentence each.
func (c Config) Warnings() []string { return c.warnings }

// derived returns a service's name with a suffix. The Agent cuts longer names,
// which would cut the suffix.
func derived(service, suffix string) string {
	return normalize.TruncateUTF8(service, normalize.MaxServiceLen-len(suffix)) + suffix
}

// ConfigFromEnv reads the variables of Datadog and OpenTelemetry that are about the
// service as a whole. The tracer and the profiler read their other variables
// themselves. service and version are the defaults of DD_SERVICE and DD_VERSION.
// Package ddenv has removed wrong values, so there is no error: Start logs them.
//
// It normalizes the names as the Agent does, so that all kinds of telemetry have the
// same names.
func ConfigFromEnv(getenv func(string) string, service, version string) Config {
	source := "DD_TAGS"
	tags, _ := ddenv.Tags(getenv(source))
	if len(tags) == 0 {
		source = "OTEL_RESOURCE_ATTRIBUTES"
		tags, _ = ddenv.Attributes(getenv(source))
		for _, name := range [][2]string{ // OpenTelemetry's and Datadog's
			{"service.name", "service"}, {"service.version", "version"},
			{"deployment.environment", "env"}, {"deployment.environment.name", "env"},
		} {
			if value := tags[name[0]]; value != "" {
				tags[name[1]] = value
				delete(tags, name[0])
			}
		}
	}
	var cfg Config
	cfg.Service = cfg.first(serviceName, service, value{"DD_SERVICE", getenv("DD_SERVICE")},
		value{"OTEL_SERVICE_NAME", getenv("OTEL_SERVICE_NAME")}, value{source + " service", tags["service"]})
	cfg.Env = cfg.first(normalize.NormalizeTagValue, "", value{"DD_ENV", getenv("DD_ENV")}, value{source + " env", tags["env"]})
	cfg.Version = cfg.first(normalize.NormalizeTagValue, version, value{"DD_VERSION", getenv("DD_VERSION")}, value{source + " version", tags["version"]})
	// The tracer would apply the mapping to spans only: Start hides it.
	mapping, _ := ddenv.Mapping(getenv("DD_SERVICE_MAPPING"))
	mapped := func(name string) string { return cmp.Or(serviceName(mapping[name]), name) }
	cfg.database, cfg.jobs = mapped(cfg.DatabaseService()), mapped(cfg.JobsService())
	cfg.Service = mapped(cfg.Service)
	cfg.tags = tags
	for _, unified := range []string{"service", "env", "version"} {
		delete(cfg.tags, unified)
	}
	cfg.Tracing = enabled(getenv("DD_TRACE_ENABLED"), tracesExported(getenv))
	cfg.Profiling = enabled(getenv("DD_PROFILING_ENABLED"), true)
	cfg.LogsInjection = enabled(getenv("DD_LOGS_INJECTION"), true)
	var ok bool
	if cfg.errorStatuses, ok = ddenv.Statuses(getenv("DD_TRACE_HTTP_SERVER_ERROR_STATUSES")); !ok {
		cfg.errorStatuses = [][2]int{{500, 599}}
	}
	return cfg
}

// value is a value and where it is from.
type value struct{ from, value string }

// first returns the first value that normalize does not make empty, else byDefault.
func (c *Config) first(normalize func(string) string, byDefault string, values ...value) string {
	for _, v := range values {
		if v.value == "" {
			continue
		}
		if name := normalize(v.value); name != "" {
			return name
		}
		c.warnings = append(c.warnings, fmt.Sprintf("%s=%q is not valid: want letters or digits; the default is used", v.from, v.value))
	}
	return normalize(byDefault)
}

// serviceName normalizes a service's name as the Agent does. It returns "" if nothing
// is left of the name.
func serviceName(name string) string {
	normalized, err := normalize.NormalizeService(name, "")
	if err != nil && !errors.Is(err, normalize.ErrTooLong) {
		return ""
	}
	return normalized
}

// tracesExported reports whether OpenTelemetry's variables leave tracing on.
func tracesExported(getenv func(string) string) bool {
	return !enabled(getenv("OTEL_SDK_DISABLED"), false) && !strings.EqualFold(getenv("OTEL_TRACES_EXPORTER"), "none")
}

// enabled parses a switch. auto, a value of DD_PROFILING_ENABLED that the profiler
// itself interprets, counts as not set.
func enabled(value string, byDefault bool) bool {
	on, err := strconv.ParseBool(value)
	if err != nil {
		return byDefault
	}
	return on
}
