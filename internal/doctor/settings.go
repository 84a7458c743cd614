package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"apmapp/internal/ddenv"
	"apmapp/internal/site"
)

// variables reports wrong, unknown and contradictory variables.
func (d *doctor) variables() {
	for _, p := range d.Problems {
		do := "correct it, or remove it"
		if strings.HasSuffix(p.Text, "?") { // it suggests another name
			do = ""
		}
		d.add("settings", Warning, p.Text, do)
	}
	for _, text := range d.Telemetry.Warnings() {
		d.add("settings", Warning, text, "")
	}
	contradictions := d.contradictions()
	if len(d.Unknown) > 0 {
		d.add("settings", OK, "nothing here reads "+strings.Join(d.Unknown, ", ")+", which may belong to the Agent", "")
	} else if len(d.Problems)+len(d.Telemetry.Warnings())+contradictions == 0 {
		d.add("settings", OK, "all variables of the tracer that are set are known and valid", "")
	}
}

// twice are pairs of variables that set the same thing. The first one wins.
var twice = [][2]string{
	{"DD_TRACE_AGENT_URL", "DD_AGENT_HOST"},
	{"DD_TRACE_AGENT_URL", "DD_TRACE_AGENT_PORT"},
	{"DD_DOGSTATSD_URL", "DD_DOGSTATSD_HOST"},
	{"DD_DOGSTATSD_URL", "DD_DOGSTATSD_PORT"},
	{"DD_SERVICE", "OTEL_SERVICE_NAME"},
	{"DD_TRACE_SAMPLING_RULES", "DD_TRACE_SAMPLING_RULES_FILE"},
	{"DD_SPAN_SAMPLING_RULES", "DD_SPAN_SAMPLING_RULES_FILE"},
	{"DD_TRACE_SAMPLE_RATE", "OTEL_TRACES_SAMPLER"},
	{"DD_TRACE_ENABLED", "OTEL_SDK_DISABLED"},
	{"DD_TRACE_ENABLED", "OTEL_TRACES_EXPORTER"},
	{"DD_TAGS", "OTEL_RESOURCE_ATTRIBUTES"},
}

// contradictions reports what is set twice with different meanings, and returns how
// often.
func (d *doctor) contradictions() int {
	before := len(d.report.Findings)
	for _, pair := range twice {
		first, second := d.Getenv(pair[0]), d.Getenv(pair[1])
		if first != "" && second != "" && !sameMeaning(pair[1], first, second) {
			found := fmt.Sprintf("%s is used, and %s=%q has no effect", pair[0], pair[1], second)
			if pair[1] == "DD_AGENT_HOST" {
				found += " on traces"
			}
			d.add("settings", Warning, found, "set one of them")
		}
	}
	for _, pair := range dependent {
		if value := d.Getenv(pair.name); value != "" && !slices.ContainsFunc(pair.needs, d.isSet) {
			d.add("settings", Warning, fmt.Sprintf("%s=%s has no effect without %s", pair.name, value, pair.needs[0]), "set both, or remove it")
		}
	}
	tags, _ := ddenv.Tags(d.Getenv("DD_TAGS"))
	for _, c := range [][2]string{{"DD_SERVICE", "service"}, {"DD_ENV", "env"}, {"DD_VERSION", "version"}} {
		if set, tag := d.Getenv(c[0]), tags[c[1]]; set != "" && tag != "" && set != tag {
			d.add("settings", Warning, fmt.Sprintf("%s=%q is used, and %s:%s of DD_TAGS has no effect", c[0], set, c[1], tag), "set one of them")
		}
	}
	return len(d.report.Findings) - before
}

// deciders are the variables that let the tracer decide which traces are kept.
var deciders = []string{"DD_TRACE_SAMPLE_RATE", "DD_TRACE_SAMPLING_RULES", "DD_TRACE_SAMPLING_RULES_FILE", "OTEL_TRACES_SAMPLER"}

// dependent are variables that have no effect unless one of others is set.
var dependent = []struct {
	name  string
	needs []string
}{
	{"DD_TRACE_RATE_LIMIT", deciders},
	{"OTEL_TRACES_SAMPLER_ARG", []string{"OTEL_TRACES_SAMPLER"}},
}

// tracerSamples reports whether the tracer has a rate or rules of its own. Else the Agent
// decides.
func (d *doctor) tracerSamples() bool { return slices.ContainsFunc(deciders, d.isSet) }

func (d *doctor) isSet(name string) bool { return d.Getenv(name) != "" }

// sameMeaning reports whether two values of a pair in twice mean the same.
func sameMeaning(name, first, second string) bool {
	switch name {
	case "DD_AGENT_HOST", "DD_DOGSTATSD_HOST":
		return strings.Contains(first, "//"+second+":") || strings.Contains(first, "//["+second+"]:") || strings.HasPrefix(first, second+":")
	case "DD_TRACE_AGENT_PORT", "DD_DOGSTATSD_PORT":
		return strings.HasSuffix(strings.TrimSuffix(first, "/"), ":"+second)
	case "OTEL_SDK_DISABLED":
		on, disabled := truth(first), truth(second)
		return on != disabled
	case "OTEL_TRACES_EXPORTER":
		return truth(first) != (second == "none")
	}
	return first == second
}

func truth(value string) bool {
	on, _ := strconv.ParseBool(value) // package ddenv has removed other values
	return on
}

// account looks at the form of the site and the keys. Only the Agent needs them, so
// nothing is wrong if they are not set here.
func (d *doctor) account() {
	var set []string
	good := true
	if s := d.Getenv("DD_SITE"); s != "" {
		set = append(set, "DD_SITE")
		if err := site.Check(s); err != nil {
			d.add("account", Warning, err.Error(), "")
			good = false
		}
	}
	for _, name := range []string{"DD_API_KEY", "DD_APP_KEY"} {
		key := d.Getenv(name)
		if key == "" {
			continue
		}
		set = append(set, name)
		d.apiKey = d.apiKey || name == "DD_API_KEY"
		if err := site.CheckKey(name, key); err != nil {
			d.add("account", Warning, err.Error(), "")
			good = false
		} else if name == "DD_API_KEY" && !isHex(key, 32) {
			d.add("account", Warning, "DD_API_KEY has not the form of an API key, which is 32 hexadecimal digits", "copy it again from Organization Settings, API Keys")
			good = false
		}
	}
	switch {
	case len(set) == 0:
		d.add("account", OK, "DD_SITE and DD_API_KEY are not set here: only the Agent needs them", "")
	case good:
		d.add("account", OK, strings.Join(set, ", ")+": the form is right; only the Agent can find out whether Datadog takes the key", "")
	}
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// tracing reports whether traces are made at all.
func (d *doctor) tracing() {
	names := fmt.Sprintf("on, for the service %s, env %s, version %s", d.Telemetry.Service, cmp.Or(d.Telemetry.Env, "(none)"), cmp.Or(d.Telemetry.Version, "(none)"))
	switch {
	case !d.Telemetry.Tracing:
		cause := "DD_TRACE_ENABLED=" + d.Getenv("DD_TRACE_ENABLED")
		if d.Getenv("DD_TRACE_ENABLED") == "" {
			cause = "OTEL_TRACES_EXPORTER=none"
			if truth(d.Getenv("OTEL_SDK_DISABLED")) {
				cause = "OTEL_SDK_DISABLED=" + d.Getenv("OTEL_SDK_DISABLED")
			}
		}
		d.add("tracing", Failed, "off, by "+cause, "remove it")
	case !d.tracesAll():
		d.add("tracing", Failed, "DD_APM_TRACING_ENABLED="+d.Getenv("DD_APM_TRACING_ENABLED")+" leaves one trace a minute, which Datadog does not show", "remove it")
	case d.Getenv("OTEL_TRACES_EXPORTER") == "otlp":
		d.add("tracing", Warning, names+"; traces leave by OTLP, not in the protocol of the Agent", "remove OTEL_TRACES_EXPORTER unless that is meant")
	case d.Telemetry.Env == "":
		d.add("tracing", OK, names, "set DD_ENV: Datadog's pages and the dashboards filter by it")
	default:
		d.add("tracing", OK, names, "")
	}
}

// samplers are the variables that decide which traces are kept.
var samplers = []string{"DD_TRACE_SAMPLING_RULES", "DD_TRACE_SAMPLING_RULES_FILE", "DD_TRACE_SAMPLE_RATE", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "DD_TRACE_RATE_LIMIT"}

// few is a share of kept traces that looks like none in a small service: at 20 requests
// per second, a trace in 50 s.
const few = 0.001

// tracesAll reports whether the tracer makes traces as usual.
func (d *doctor) tracesAll() bool {
	apm := d.Getenv("DD_APM_TRACING_ENABLED")
	return d.Telemetry.Tracing && (apm == "" || truth(apm))
}

// sampling asks the tracer which routes' traces it keeps. running calls a function while
// a tracer runs.
func (d *doctor) sampling(running func(func())) {
	if !d.tracesAll() {
		d.skip("sampling")
		return
	}
	var set []string
	for _, name := range samplers {
		if value := d.Getenv(name); value != "" {
			set = append(set, name+"="+short(value))
		}
	}
	if !d.tracerSamples() {
		set = nil // the others have no effect without these
	}
	resources := d.Resources
	limit, err := strconv.ParseFloat(d.Getenv("DD_TRACE_RATE_LIMIT"), 64)
	limited := err == nil && limit < float64(2*len(resources)) // two questions for each would exceed the limit
	if limited && limit > 0 && int(limit) < len(resources) {
		resources = resources[:1]
	}
	var dropped, rare []string
	running(func() {
		for _, r := range resources {
			if !d.keeps(r, 0) {
				dropped = append(dropped, r)
			} else if !limited && !d.keeps(r, few) {
				rare = append(rare, r)
			}
		}
	})
	by := strings.Join(set, ", ")
	switch {
	case len(dropped) == len(resources):
		d.add("sampling", Failed, "no trace is kept, by "+by, "raise the rate: 1 keeps all")
	case len(dropped) > 0:
		slices.Sort(dropped)
		d.add("sampling", Warning, "no trace of "+strings.Join(dropped, ", ")+" is kept, by "+by, "raise the rate of these")
	case len(rare) > 0 && len(set) > 0:
		slices.Sort(rare)
		d.add("sampling", Warning, fmt.Sprintf("fewer than 1 in %.0f traces of %s are kept, by %s", 1/few, strings.Join(rare, ", "), by), "raise the rate of these, unless that is meant")
	case len(set) > 0:
		d.add("sampling", OK, "traces are kept, by "+by, "")
	default:
		d.add("sampling", OK, "the Agent decides, by default 10 traces a second", "")
	}
}

// longest is the number of bytes of a value or an answer that a finding shows.
const longest = 100

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
