package ddenv

import (
	_ "embed"
	"encoding/json"
	"math"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// form is the accepted form of a variable's value.
type form struct {
	want string // completes "want …"
	// correct returns the value as the library accepts it, and false if the value
	// is wrong. If it is nil, every value is accepted.
	correct func(value string) (string, bool)
}

// variables has the tracer's variables and their types, one per line. It is made
// from the tracer's own list (supported_configurations.json); a test compares them.
//
//go:embed variables.txt
var variables string

// known has the names of all variables that the tracer, the profiler and this project
// read, and typeOf the types of the tracer's.
var known, typeOf = parseVariables()

func parseVariables() (names []string, types map[string]string) {
	names, types = []string{"DD_LOGS_INJECTION"}, map[string]string{}
	for line := range strings.Lines(variables) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		names = append(names, name)
		types[name] = kind
	}
	return names, types
}

// formOf returns the form of a variable: its own, else that of its type.
func formOf(name string) form {
	if f, ok := forms[name]; ok {
		return f
	}
	return types[typeOf[name]]
}

// types are the forms of variables that have no entry in forms.
var types = map[string]form{
	"boolean": boolean,
	"int":     whole(math.MinInt32, math.MaxInt32),
	"decimal": decimal(0, math.MaxInt32),
}

var (
	boolean  = form{want: "true or false", correct: is(func(v string) bool { _, err := strconv.ParseBool(v); return err == nil })}
	port     = form{want: "a port from 1 to 65535", correct: whole(1, 65535).correct}
	host     = form{want: "a host name or an IP address, without scheme, port and zone", correct: hostname}
	share    = form{want: "a number from 0 to 1", correct: decimal(0, 1).correct}
	natural  = whole(0, math.MaxInt32)
	positive = whole(1, math.MaxInt32)
	// Times count as int64 of nanoseconds, so a year is far from an overflow.
	seconds  = form{want: "a number of seconds greater than 0, at most a year", correct: decimal(1e-3, 365*86400).correct}
	wholeSec = form{want: "a whole number of seconds from 1 to 31536000", correct: whole(1, 365*86400).correct}
	duration = form{want: "a duration greater than 0 with its unit, such as 10s or 5m", correct: is(func(v string) bool {
		d, err := time.ParseDuration(v)
		return err == nil && d > 0
	})}
	httpURL = form{want: "a URL that begins with http:// or https://", correct: address("http", "https")}
	pairs   = form{want: "pairs of from:to, separated by commas", correct: is(func(v string) bool { _, ok := Mapping(v); return ok })}
	styles  = form{want: "a list of datadog, tracecontext, baggage, b3, b3multi, b3 single header or none", correct: is(func(v string) bool {
		return all(strings.ToLower(v), ",", in("datadog", "tracecontext", "baggage", "b3", "b3multi", "b3 single header", "none"))
	})}
	statuses    = form{want: "HTTP statuses and ranges, such as 500-599,404", correct: is(func(v string) bool { _, ok := Statuses(v); return ok })}
	rules       = form{want: `a JSON list of rules, such as [{"resource": "GET /", "sample_rate": 0.5}]`, correct: is(isRules)}
	rulesFile   = form{want: `the path of a file with a JSON list of rules, such as [{"resource": "GET /", "sample_rate": 0.5}]`, correct: is(isRulesFile)}
	plainFile   = form{want: "the path of a file", correct: is(isPlainFile)}
	commentMode = oneOf("disabled", "service", "dynamic_service", "full")
	otlp        = oneOf("grpc", "http", "http/protobuf", "http/json")
	exporter    = oneOf("none", "otlp")
)

// forms are the forms of variables whose type alone does not say it.
var forms = map[string]form{
	"DD_LOGS_INJECTION": boolean,

	"DD_AGENT_HOST":        host,
	"DD_TRACE_AGENT_PORT":  port,
	"DD_TRACE_AGENT_URL":   {want: "http://host:port, https://host:port or unix:///path/to/socket", correct: address("http", "https", "unix")},
	"DD_DOGSTATSD_HOST":    host,
	"DD_DOGSTATSD_PORT":    port,
	"DD_DOGSTATSD_URL":     {want: "udp://host:port, host:port or unix:///path/to/socket", correct: DogStatsD},
	"DD_PROFILING_URL":     httpURL,
	"DD_SITE":              {want: "the host of Datadog's pages without app., such as datadoghq.eu", correct: hostname},
	"DD_PROFILING_ENABLED": {want: "true, false or auto", correct: is(func(v string) bool { return v == "auto" || valid(boolean, v) })},

	"DD_DBM_PROPAGATION_MODE":                  commentMode,
	"DD_TRACE_SQL_COMMENT_INJECTION_MODE":      commentMode,
	"DD_TRACE_SPAN_ATTRIBUTE_SCHEMA":           oneOf("v0", "v1"),
	"DD_TRACE_AGENT_PROTOCOL_VERSION":          oneOf("0.4", "1.0"),
	"DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT":    oneOf("continue", "restart", "ignore"),
	"DD_TRACE_PROPAGATION_STYLE":               styles,
	"DD_TRACE_PROPAGATION_STYLE_EXTRACT":       styles,
	"DD_TRACE_PROPAGATION_STYLE_INJECT":        styles,
	"DD_TRACE_HTTP_SERVER_ERROR_STATUSES":      statuses,
	"DD_TRACE_HTTP_CLIENT_ERROR_STATUSES":      statuses,
	"DD_SERVICE_MAPPING":                       pairs,
	"DD_TRACE_PEER_SERVICE_MAPPING":            pairs,
	"DD_TAGS":                                  {want: "pairs of key:value, separated by commas or spaces", correct: is(func(v string) bool { _, ok := Tags(v); return ok })},
	"DD_TRACE_SAMPLING_RULES":                  rules,
	"DD_SPAN_SAMPLING_RULES":                   rules,
	"DD_TRACE_SAMPLING_RULES_FILE":             rulesFile,
	"DD_SPAN_SAMPLING_RULES_FILE":              rulesFile,
	"DD_APPSEC_RULES":                          plainFile,
	"DD_APPSEC_HTTP_BLOCKED_TEMPLATE_HTML":     plainFile,
	"DD_APPSEC_HTTP_BLOCKED_TEMPLATE_JSON":     plainFile,
	"DD_TRACE_SAMPLE_RATE":                     share,
	"DD_API_SECURITY_REQUEST_SAMPLE_RATE":      share,
	"DD_TRACE_RATE_LIMIT":                      decimal(0, math.MaxInt32),
	"DD_TRACE_AGENT_TIMEOUT":                   whole(0, 365*86400),
	"DD_TRACE_SEND_RETRIES":                    whole(0, 100),
	"DD_TRACE_PARTIAL_FLUSH_MIN_SPANS":         whole(1, 1e5-1),
	"DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH":       whole(0, 512),
	"DD_HTTP_SERVER_TAG_QUERY_STRING_SIZE":     natural,
	"DD_TRACE_ABANDONED_SPAN_TIMEOUT":          duration,
	"DD_TRACE_RETRY_INTERVAL":                  duration,
	"DD_PROFILING_UPLOAD_TIMEOUT":              duration,
	"DD_PROFILING_EXECUTION_TRACE_PERIOD":      duration,
	"DD_LOGGING_RATE":                          whole(0, 365*86400),
	"DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS":   seconds,
	"DD_TELEMETRY_HEARTBEAT_INTERVAL":          seconds,
	"DD_TELEMETRY_EXTENDED_HEARTBEAT_INTERVAL": wholeSec,
	"DD_DATA_STREAMS_INTAKE_BUFFER_SIZE":       positive,
	"DD_PROFILING_EXECUTION_TRACE_LIMIT_BYTES": positive,

	"DD_TRACE_STATS_CARDINALITY_LIMIT":                 positive,
	"DD_TRACE_STATS_ADDITIONAL_TAGS_CARDINALITY_LIMIT": positive,
	"DD_TRACE_STATS_RESOURCE_CARDINALITY_LIMIT":        positive,
	"DD_TRACE_STATS_HTTP_ENDPOINT_CARDINALITY_LIMIT":   positive,
	"DD_TRACE_STATS_PEER_TAGS_CARDINALITY_LIMIT":       positive,
	"DD_TRACE_STATS_ORIGIN_CARDINALITY_LIMIT":          positive,

	"OTEL_TRACES_EXPORTER":                exporter,
	"OTEL_METRICS_EXPORTER":               exporter,
	"OTEL_LOGS_EXPORTER":                  exporter,
	"OTEL_LOG_LEVEL":                      oneOf("debug", "info", "warn", "error"),
	"OTEL_PROPAGATORS":                    {want: "a list of tracecontext, baggage, b3, b3multi, datadog or none", correct: propagators},
	"OTEL_RESOURCE_ATTRIBUTES":            {want: "pairs of key=value, separated by commas", correct: is(func(v string) bool { _, ok := Attributes(v); return ok })},
	"OTEL_TRACES_SAMPLER":                 oneOf("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "always_on", "always_off", "traceidratio"),
	"OTEL_TRACES_SAMPLER_ARG":             share,
	"OTEL_EXPORTER_OTLP_ENDPOINT":         httpURL,
	"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":  httpURL,
	"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": httpURL,
	"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT":    httpURL,
	"OTEL_EXPORTER_OTLP_PROTOCOL":         otlp,
	"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": otlp,
	"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL":    otlp,
	"OTEL_EXPORTER_OTLP_TIMEOUT":          natural,
	"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT":  natural,
	"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT":     natural,
	"OTEL_METRIC_EXPORT_INTERVAL":         positive,
	"OTEL_METRIC_EXPORT_TIMEOUT":          positive,
	"OTEL_BLRP_SCHEDULE_DELAY":            positive,
	"OTEL_BLRP_EXPORT_TIMEOUT":            positive,
	"OTEL_BLRP_MAX_QUEUE_SIZE":            positive,
	"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE":     positive,

	"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": oneOf("delta", "cumulative"),
}

func valid(f form, value string) bool {
	_, ok := f.correct(value)
	return ok
}

// is returns a correct function that changes nothing.
func is(valid func(string) bool) func(string) (string, bool) {
	return func(v string) (string, bool) { return v, valid(v) }
}

// in returns whether a value, in lower case, is one of values.
func in(values ...string) func(string) bool {
	return func(v string) bool {
		for _, value := range values {
			if v == value {
				return true
			}
		}
		return false
	}
}

// oneOf is the form of a few words. OpenTelemetry's and the tracer's own readers
// take them in lower case.
func oneOf(words ...string) form {
	last := len(words) - 1
	return form{
		want:    strings.Join(words[:last], ", ") + " or " + words[last],
		correct: func(v string) (string, bool) { v = strings.ToLower(v); return v, in(words...)(v) },
	}
}

func whole(least, most int64) form {
	want := "a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10)
	return form{want: want, correct: is(func(v string) bool {
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && least <= n && n <= most
	})}
}

func decimal(least, most float64) form {
	want := "a number from " + strconv.FormatFloat(least, 'f', -1, 64) + " to " + strconv.FormatFloat(most, 'f', -1, 64)
	return form{want: want, correct: is(func(v string) bool {
		n, err := strconv.ParseFloat(v, 64)
		return err == nil && least <= n && n <= most // false for NaN
	})}
}

// hostname accepts a host name or an IP address. The brackets of an IPv6 address
// belong to addresses with a port; the tracer adds them itself. It crashes on an IPv6
// address with a zone, such as fe80::1%eth0.
func hostname(v string) (string, bool) {
	if inner, ok := strings.CutPrefix(v, "["); ok {
		v = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(v); err == nil {
		return v, ip.Zone() == ""
	}
	return v, len(v) <= 253 && all(strings.TrimSuffix(v, "."), ".", isLabel)
}

// isLabel reports whether v is a part of a host name. Underscores are not in
// host names of the Internet, but Compose and Docker have them.
func isLabel(v string) bool {
	return v != "" && len(v) <= 63 && strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// address accepts a URL with one of schemes, a valid host and a valid port. The URL
// of a unix socket has a path instead. No URL may have a user, a password or a
// query: the tracer logs its addresses, and nothing here reads those parts.
func address(schemes ...string) func(string) (string, bool) {
	return is(func(v string) bool {
		u, err := url.Parse(v)
		if err != nil || !in(schemes...)(u.Scheme) || strings.ContainsAny(v, "@?#") {
			return false
		}
		if u.Scheme == "unix" {
			return u.Host == "" && u.Path != ""
		}
		_, validHost := hostname(u.Hostname())
		return validHost && !strings.HasSuffix(u.Host, ":") && (u.Port() == "" || valid(port, u.Port()))
	})
}

// DogStatsD parses DD_DOGSTATSD_URL: the documented udp://host:port, which the tracer
// does not know, and what the tracer knows. It returns the address in the tracer's
// form, and false if it is wrong.
func DogStatsD(v string) (string, bool) {
	for _, scheme := range []string{"unix://", "unixgram://", "unixstream://"} {
		if path, ok := strings.CutPrefix(v, scheme); ok {
			return v, strings.HasPrefix(path, "/")
		}
	}
	if strings.HasPrefix(v, `\\.\pipe\`) {
		return v, true
	}
	v = strings.TrimSuffix(strings.TrimPrefix(v, "udp://"), "/")
	if valid(host, v) { // without a port
		if strings.Contains(v, ":") && !strings.HasPrefix(v, "[") {
			v = "[" + v + "]"
		}
		v += ":8125"
	}
	_, ok := address("http")("http://" + v)
	return v, ok && !strings.Contains(v, "/")
}

// propagators accepts OpenTelemetry's list. Its default has baggage, which the
// tracer does not take from this variable.
func propagators(v string) (string, bool) {
	var kept []string
	for style := range strings.SplitSeq(strings.ToLower(v), ",") {
		switch style = strings.TrimSpace(style); style {
		case "tracecontext", "b3", "b3multi", "datadog", "none":
			kept = append(kept, style)
		case "baggage":
		default:
			return "", false
		}
	}
	return strings.Join(kept, ","), true
}

// all reports whether each element of a list is valid. White space around an
// element does not count.
func all(list, separator string, valid func(string) bool) bool {
	for element := range strings.SplitSeq(list, separator) {
		if !valid(strings.TrimSpace(element)) {
			return false
		}
	}
	return true
}

// Tags parses DD_TAGS: key:value pairs separated by commas, or by white space if
// there is no comma. It returns false if an element is not a pair.
func Tags(v string) (map[string]string, bool) {
	if !strings.Contains(v, ",") {
		v = strings.Join(strings.Fields(v), ",")
	}
	return splitPairs(v, ":")
}

// Attributes parses OTEL_RESOURCE_ATTRIBUTES: key=value pairs separated by commas.
// It returns false if an element is not a pair.
func Attributes(v string) (map[string]string, bool) { return splitPairs(v, "=") }

// Mapping parses DD_SERVICE_MAPPING: from:to pairs separated by commas. It returns
// false if an element is not a pair.
func Mapping(v string) (map[string]string, bool) {
	mapping, ok := splitPairs(v, ":")
	for _, to := range mapping {
		ok = ok && to != ""
	}
	return mapping, ok
}

// splitPairs ignores empty elements, such as the one after a trailing comma.
func splitPairs(v, delimiter string) (map[string]string, bool) {
	pairs, valid := map[string]string{}, true
	for pair := range strings.SplitSeq(v, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, delimiter)
		key = strings.TrimSpace(key)
		valid = valid && ok && key != ""
		pairs[key] = strings.TrimSpace(value)
	}
	return pairs, valid
}

// Statuses parses a list of HTTP statuses and ranges, such as 500-599,404. It
// returns the first and the last status of each range, and false if the list is
// wrong.
func Statuses(v string) ([][2]int, bool) {
	var ranges [][2]int
	for element := range strings.SplitSeq(v, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(element), "-")
		if !isRange {
			high = low
		}
		first, errFirst := strconv.Atoi(low)
		last, errLast := strconv.Atoi(high)
		if errFirst != nil || errLast != nil || first < 100 || first > last || last > 999 {
			return nil, false
		}
		ranges = append(ranges, [2]int{first, last})
	}
	return ranges, true
}

func isRules(v string) bool {
	var rules []struct {
		Rate *json.Number `json:"sample_rate"`
	}
	if err := json.Unmarshal([]byte(v), &rules); err != nil {
		return false
	}
	for _, r := range rules {
		if r.Rate != nil && !valid(share, r.Rate.String()) {
			return false
		}
	}
	return true
}

// isRulesFile reads the file: the tracer ignores one that it cannot read, and hangs on a
// pipe or a device.
func isRulesFile(path string) bool {
	if !isPlainFile(path) {
		return false
	}
	content, err := os.ReadFile(path)
	return err == nil && isRules(string(content))
}

// isPlainFile reports whether a path is a file that ends: the tracer reads it at start.
func isPlainFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
