// Package ddenv checks the environment variables of Datadog's tracer and profiler
// before they read them. It corrects the environment when it is initialized:
// a wrong value is removed, so the library uses its default, and Problems returns it.
//
// It must run first, because the tracer reads its variables while its packages are
// initialized, and crashes there on a malformed DD_AGENT_HOST. Go initializes
// packages in the order of their import paths as soon as their own imports are
// ready (https://go.dev/ref/spec#Program_initialization). So this package imports
// few packages, all of the standard library or of this module, and "apmapp" sorts
// before "github.com". A test holds the order. (The tracer's package of logging is
// still earlier; it reads DD_LOGGING_RATE and ignores a wrong value.)
package ddenv

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"apmapp/internal/nearest"
)

// problems are the problems that init found, and unknown the names that nothing here
// reads.
var (
	problems []Problem
	unknown  []string
)

func init() {
	environ := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		environ[name] = value
	}
	unknown = unread(environ)
	var changes []change
	changes, problems = check(environ)
	for _, c := range changes {
		var err error
		if c.unset {
			err = os.Unsetenv(c.name)
		} else {
			err = os.Setenv(c.name, c.value)
		}
		if err != nil {
			problems = append(problems, Problem{c.name, err.Error()})
		}
	}
}

// Problem is a variable whose value is not used.
type Problem struct {
	// Name is the variable.
	Name string
	// Text names the variable, its value, unless that may be a secret, and the
	// accepted form.
	Text string
}

// Problems returns the variables whose value at the start of the process was not
// used, sorted by name.
func Problems() []Problem { return slices.Clone(problems) }

// Unknown returns the variables whose names neither the tracer nor the profiler knows and
// that resemble none of their variables, sorted. They may belong to another program, such as the
// Agent.
func Unknown() []string { return slices.Clone(unknown) }

// unread returns the names for Unknown.
func unread(environ map[string]string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if isTracers(name) && !slices.Contains(known, name) && misspelled(name) == "" {
			names = append(names, name)
		}
	}
	return names
}

// isTracers reports whether a name begins like the variables of the tracer.
func isTracers(name string) bool {
	return strings.HasPrefix(name, "DD_") || strings.HasPrefix(name, "OTEL_")
}

// change is a correction of the environment.
type change struct {
	name, value string
	unset       bool
}

// check returns what is wrong with an environment and how to correct it.
func check(environ map[string]string) (changes []change, problems []Problem) {
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if !isTracers(name) {
			continue
		}
		before := environ[name]
		if text := misspelled(name); text != "" {
			problems = append(problems, Problem{name, text})
		}
		if name == "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP" && before == "" {
			continue // its empty value has a meaning: no redaction
		}
		after, problem := correct(name, before)
		if problem != "" {
			problems = append(problems, Problem{name, problem})
		}
		if after != before || after == "" {
			changes = append(changes, change{name, after, after == ""})
			environ[name] = after
		}
	}
	for _, d := range defaults {
		if !slices.ContainsFunc(append(d.instead, d.name), func(name string) bool { return environ[name] != "" }) {
			changes = append(changes, change{name: d.name, value: d.value})
		}
	}
	return changes, problems
}

// defaults are the defaults of this project where they differ from the libraries'.
// docs/telemetry.md lists them.
var defaults = []struct {
	name, value string
	instead     []string // variables that set the same thing
}{
	// Database Monitoring then shows the trace of each statement.
	{"DD_DBM_PROPAGATION_MODE", "full", []string{"DD_TRACE_SQL_COMMENT_INJECTION_MODE"}},
	// Without it, a run shorter than one period of 60 s leaves no profile.
	{"DD_PROFILING_FLUSH_ON_EXIT", "true", nil},
	// No route reads a query, and no pattern finds every secret in one.
	{"DD_TRACE_HTTP_URL_QUERY_STRING_DISABLED", "true", []string{
		"DD_TRACE_HTTP_URL_QUERY_STRING_ALLOWLIST", "DD_TRACE_HTTP_URL_QUERY_STRING_ALLOWLIST_SERVER", "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP",
	}},
	// The tracer's default also reads baggage, whose user.id and similar keys any
	// client could put on spans.
	{"DD_TRACE_PROPAGATION_STYLE", "datadog,tracecontext", []string{
		"DD_TRACE_PROPAGATION_STYLE_EXTRACT", "DD_TRACE_PROPAGATION_STYLE_INJECT", "OTEL_PROPAGATORS",
	}},
}

// notFollowed are variables that would change the names of spans and tags. The
// dashboards and monitors of this project rely on those, so the variables are
// removed unless they have their default.
var notFollowed = map[string]string{
	"DD_TRACE_SPAN_ATTRIBUTE_SCHEMA":                    "v0",
	"DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED": "false",
	"DD_TRACE_OTEL_SEMANTICS_ENABLED":                   "false",
	// It would make the process a test run, which sends no traces of a service.
	"DD_CIVISIBILITY_ENABLED": "false",
	"OTEL_LOGS_EXPORTER":      "none",
}

// correct returns the value to use, or "" for the default. problem is not empty if
// the value is wrong.
func correct(name, value string) (corrected, problem string) {
	value = strings.TrimSpace(value) // a value from a file often ends in a newline
	if value == "" {
		return "", ""
	}
	f := formOf(name)
	corrected, ok := value, true
	if f.correct != nil {
		corrected, ok = f.correct(value)
	}
	if !ok {
		return "", fmt.Sprintf("%s%s is not valid: want %s; the default is used", name, shown(value), f.want)
	}
	if standard, limited := notFollowed[name]; limited {
		if !same(standard, corrected) {
			return "", fmt.Sprintf("%s%s is not followed: docs/telemetry.md fixes the names that it would change", name, shown(value))
		}
		return "", ""
	}
	return corrected, ""
}

// misspelled returns what is wrong with a name that nothing reads: "" if it may
// belong to another program, such as the Agent or a tracer of another language.
func misspelled(name string) string {
	if slices.Contains(known, name) {
		return ""
	}
	near, most := nearest.Name(name, known), mistakes
	if elsewhere[name] != "" {
		near, most = elsewhere[name], len(name)
	}
	if strings.HasPrefix(name, "OTEL_") {
		most = 1 // OpenTelemetry's SDKs read many more variables with similar names
	}
	if near == "" || nearest.Distance(name, near) > most {
		return ""
	}
	return fmt.Sprintf("%s is not a variable of the tracer, so nothing reads it; did you mean %s?", name, near)
}

// elsewhere are names that tracers of other languages read, or that people expect, with
// the names that mean the same here.
var elsewhere = map[string]string{
	"DD_AGENT_PORT":            "DD_TRACE_AGENT_PORT",
	"DD_AGENT_URL":             "DD_TRACE_AGENT_URL",
	"DD_ENVIRONMENT":           "DD_ENV",
	"DD_SERVICE_NAME":          "DD_SERVICE",
	"DD_TRACE_AGENT_HOST":      "DD_AGENT_HOST",
	"DD_TRACE_AGENT_HOSTNAME":  "DD_AGENT_HOST",
	"DD_TRACE_GLOBAL_TAGS":     "DD_TAGS",
	"DD_TRACE_SAMPLING_RATE":   "DD_TRACE_SAMPLE_RATE",
	"DD_TRACE_SERVICE_MAPPING": "DD_SERVICE_MAPPING",
	"DD_TRACING_ENABLED":       "DD_TRACE_ENABLED",
}

// mistakes is the most letters of a misspelled name that may be wrong. The names of the
// Agent's own variables differ from the tracer's by more.
const mistakes = 2

// same reports whether two values are equal, also as truth values.
func same(standard, value string) bool {
	if on, err := strconv.ParseBool(value); err == nil {
		value = strconv.FormatBool(on)
	}
	return strings.EqualFold(standard, value)
}

// longest is the number of bytes of a value that a message shows.
const longest = 64

// shown returns the value for a message, unless it may contain a secret.
func shown(value string) string {
	// An address may have a password before @, and a token in its query. Keys and
	// headers have no form, so they are never wrong.
	if strings.ContainsAny(value, "@?") {
		return " (its value is not shown)"
	}
	if len(value) > longest {
		value = value[:longest] + "…"
	}
	return "=" + strconv.Quote(value)
}
