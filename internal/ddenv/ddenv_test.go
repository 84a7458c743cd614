package ddenv

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write variables.txt")

func TestVariablesAreTheTracers(t *testing.T) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/DataDog/dd-trace-go/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "internal", "env", "supported_configurations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var supported struct {
		Configurations map[string][]struct{ Type string } `json:"supportedConfigurations"`
	}
	if err := json.Unmarshal(list, &supported); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, name := range slices.Sorted(maps.Keys(supported.Configurations)) {
		fmt.Fprintln(&want, name, supported.Configurations[name][0].Type)
	}
	if *update {
		if err := os.WriteFile("variables.txt", []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if variables != want.String() {
		t.Error("variables.txt is not the list of the tracer in go.mod: run go test ./internal/ddenv -update")
	}
}

func TestWrongValueOfEachVariable(t *testing.T) {
	const wrong = ":wrong value:"
	checked := 0
	for _, name := range slices.Sorted(slices.Values(append(slices.Clone(known), slices.Collect(maps.Keys(forms))...))) {
		f := formOf(name)
		if f.correct == nil {
			continue
		}
		checked++
		changes, problems := check(map[string]string{name: wrong})
		want := name + `=":wrong value:" is not valid: want ` + f.want + "; the default is used"
		if len(problems) != 1 || problems[0] != (Problem{name, want}) {
			t.Errorf("%s: problems %q, want %s", name, problems, want)
		}
		if !slices.Contains(changes, change{name, "", true}) {
			t.Errorf("%s: the wrong value stays: %v", name, changes)
		}
	}
	// All variables of the types boolean, int and decimal, and those in forms.
	if checked < 200 {
		t.Errorf("%d variables have a form, want more than 200", checked)
	}
}

func TestAcceptedValues(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, value, want string }{
		{"DD_AGENT_HOST", "agent", "agent"},
		{"DD_AGENT_HOST", "datadog_agent.monitoring.svc.", "datadog_agent.monitoring.svc."},
		{"DD_AGENT_HOST", "10.0.0.7", "10.0.0.7"},
		{"DD_AGENT_HOST", "[::1]", "::1"},
		{"DD_AGENT_HOST", " fe80::1\n", "fe80::1"},
		{"DD_TRACE_AGENT_PORT", "1", "1"},
		{"DD_TRACE_AGENT_PORT", "65535", "65535"},
		{"DD_TRACE_AGENT_URL", "http://agent", "http://agent"},
		{"DD_TRACE_AGENT_URL", "https://[::1]:8126", "https://[::1]:8126"},
		{"DD_TRACE_AGENT_URL", "unix:///var/run/datadog/apm.socket", "unix:///var/run/datadog/apm.socket"},
		{"DD_DOGSTATSD_URL", "udp://agent:8125", "agent:8125"},
		{"DD_DOGSTATSD_URL", "udp://agent", "agent:8125"},
		{"DD_DOGSTATSD_URL", "udp://[::1]:9125/", "[::1]:9125"},
		{"DD_DOGSTATSD_URL", "::1", "[::1]:8125"},
		{"DD_DOGSTATSD_URL", "agent:8125", "agent:8125"},
		{"DD_DOGSTATSD_URL", "unix:///run/dsd.socket", "unix:///run/dsd.socket"},
		{"DD_DOGSTATSD_URL", "unixstream:///run/dsd.socket", "unixstream:///run/dsd.socket"},
		{"DD_DOGSTATSD_URL", `\\.\pipe\dsd`, `\\.\pipe\dsd`},
		{"DD_DBM_PROPAGATION_MODE", "FULL", "full"},
		{"DD_DBM_PROPAGATION_MODE", "disabled", "disabled"},
		{"DD_PROFILING_ENABLED", "auto", "auto"},
		{"DD_TRACE_SAMPLE_RATE", "0", "0"},
		{"DD_TRACE_SAMPLE_RATE", "1.0", "1.0"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "500-599, 404", "500-599, 404"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "100-999", "100-999"},
		{"DD_TRACE_SAMPLING_RULES", `[{"resource":"GET /","sample_rate":0.5}]`, `[{"resource":"GET /","sample_rate":0.5}]`},
		{"DD_TRACE_SAMPLING_RULES_FILE", filepath.Join(dir, "rules"), filepath.Join(dir, "rules")},
		{"DD_APPSEC_RULES", "ddenv.go", "ddenv.go"},
		{"DD_SERVICE_MAPPING", "a:b, c:d", "a:b, c:d"},
		{"DD_TAGS", "team:web  zone:a", "team:web  zone:a"},
		{"DD_TAGS", "url:http://a,", "url:http://a,"},
		{"DD_PROFILING_UPLOAD_TIMEOUT", "1m30s", "1m30s"},
		{"DD_LOGGING_RATE", "0", "0"},
		{"DD_TRACE_STARTUP_LOGS", "T", "T"},
		{"DD_SERVICE", "\tMy Shop\n", "My Shop"},
		{"OTEL_PROPAGATORS", "tracecontext,baggage", "tracecontext"},
		{"OTEL_TRACES_EXPORTER", "None", "none"},
		{"OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment=b", "service.name=a,deployment.environment=b"},
		{"DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "V0", ""},
		{"DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED", "0", ""},
		{"DD_SERVICE", " ", ""},
		{"DD_TRACE_STARTUP_LOGS", "", ""},
	} {
		if err := os.WriteFile(filepath.Join(dir, "rules"), []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, problem := correct(c.name, c.value); got != c.want || problem != "" {
			t.Errorf("%s=%q: %q, problem %q; want %q", c.name, c.value, got, problem, c.want)
		}
	}
}

func TestWrongValues(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"DD_AGENT_HOST", "http://127.0.0.1"},
		{"DD_AGENT_HOST", "127.0.0.1:8126"},
		{"DD_AGENT_HOST", "[::1]:8126"},
		{"DD_AGENT_HOST", "a host"},
		{"DD_AGENT_HOST", "agent..local"},
		{"DD_AGENT_HOST", "agent/path"},
		{"DD_AGENT_HOST", strings.Repeat("a", 64)},
		{"DD_AGENT_HOST", strings.Repeat("a.", 127)},
		{"DD_AGENT_HOST", "%zz"},
		{"DD_AGENT_HOST", "fe80::1%eth0"},
		{"DD_TRACE_AGENT_URL", "http://[fe80::1%25eth0]:8126"},
		{"DD_SITE", "https://app.datadoghq.eu"},
		{"DD_TRACE_AGENT_PORT", "abc"},
		{"DD_TRACE_AGENT_PORT", "0"},
		{"DD_TRACE_AGENT_PORT", "65536"},
		{"DD_TRACE_AGENT_PORT", ":8126"},
		{"DD_TRACE_AGENT_URL", "agent:8126"},
		{"DD_TRACE_AGENT_URL", "http://"},
		{"DD_TRACE_AGENT_URL", "http://agent:"},
		{"DD_TRACE_AGENT_URL", "http://agent:99999"},
		{"DD_TRACE_AGENT_URL", "http://[::1"},
		{"DD_TRACE_AGENT_URL", "unix://"},
		{"DD_TRACE_AGENT_URL", "unix://run/apm.socket"},
		{"DD_TRACE_AGENT_URL", "tcp://agent:8126"},
		{"DD_DOGSTATSD_URL", "http://agent:8125"},
		{"DD_DOGSTATSD_URL", "udp://agent:port"},
		{"DD_DOGSTATSD_URL", "udp://"},
		{"DD_DOGSTATSD_URL", "unix://run/dsd.socket"},
		{"DD_DBM_PROPAGATION_MODE", "none"},
		{"DD_DBM_PROPAGATION_MODE", "true"},
		{"DD_TRACE_SAMPLE_RATE", "abc"},
		{"DD_TRACE_SAMPLE_RATE", "1.01"},
		{"DD_TRACE_SAMPLE_RATE", "-0.1"},
		{"DD_TRACE_SAMPLE_RATE", "NaN"},
		{"DD_TRACE_SAMPLE_RATE", "50%"},
		{"DD_TRACE_RATE_LIMIT", "Inf"},
		{"DD_PROFILING_UPLOAD_TIMEOUT", "abc"},
		{"DD_PROFILING_UPLOAD_TIMEOUT", "10"},
		{"DD_PROFILING_UPLOAD_TIMEOUT", "0s"},
		{"DD_TELEMETRY_HEARTBEAT_INTERVAL", "0"},
		{"DD_TELEMETRY_HEARTBEAT_INTERVAL", "1e300"},
		{"DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS", "-1"},
		{"DD_TRACE_ENABLED", "yes"},
		{"DD_LOGS_INJECTION", "on"},
		{"DD_PROFILING_ENABLED", "automatic"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "5xx"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "599-500"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "99"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "500-1000"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "500,,"},
		{"DD_TRACE_SAMPLING_RULES", "resource=GET /"},
		{"DD_TRACE_SAMPLING_RULES", `[{"sample_rate": 2}]`},
		{"DD_TRACE_SAMPLING_RULES", `{"sample_rate": 1}`},
		{"DD_TRACE_SAMPLING_RULES_FILE", "/nonexistent/rules.json"},
		{"DD_TRACE_SAMPLING_RULES_FILE", "/"},
		{"DD_TRACE_SAMPLING_RULES_FILE", os.DevNull},
		{"DD_SPAN_SAMPLING_RULES_FILE", "ddenv.go"},
		{"DD_APPSEC_RULES", "/dev/zero"},
		{"DD_APPSEC_HTTP_BLOCKED_TEMPLATE_HTML", "/dev/zero"},
		{"DD_APPSEC_HTTP_BLOCKED_TEMPLATE_JSON", "/nonexistent/blocked.json"},
		{"DD_SERVICE_MAPPING", "a=b"},
		{"DD_SERVICE_MAPPING", "a:,"},
		{"DD_TAGS", "team=web"},
		{"DD_TAGS", "team web"},
		{"DD_TAGS", ":web"},
		{"DD_TRACE_PROPAGATION_STYLE", "w3c"},
		{"OTEL_PROPAGATORS", "jaeger"},
		{"OTEL_TRACES_EXPORTER", "jaeger"},
		{"OTEL_TRACES_SAMPLER", "half"},
		{"OTEL_TRACES_SAMPLER_ARG", "2"},
		{"OTEL_RESOURCE_ATTRIBUTES", "service.name:a"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"},
		{"DD_TRACE_STATS_CARDINALITY_LIMIT", "0"},
	} {
		want := c.name + "=" + fmt.Sprintf("%q", c.value) + " is not valid: want " + formOf(c.name).want + "; the default is used"
		if len(c.value) > longest {
			want = c.name + "=" + fmt.Sprintf("%q", c.value[:longest]+"…") + " is not valid: want " + formOf(c.name).want + "; the default is used"
		}
		if got, problem := correct(c.name, c.value); got != "" || problem != want {
			t.Errorf("%s=%q: %q, problem %q; want %q", c.name, c.value, got, problem, want)
		}
	}
}

func TestLimits(t *testing.T) {
	label := strings.Repeat("a", 63)
	name253 := label + "." + label + "." + label + "." + label[:61]
	for _, c := range []struct {
		name       string
		low, least string // "" if there is no lower limit
		most, high string
	}{
		{"DD_TRACE_AGENT_PORT", "0", "1", "65535", "65536"},
		{"DD_TRACE_AGENT_TIMEOUT", "-1", "0", "31536000", "31536001"},
		{"DD_LOGGING_RATE", "-1", "0", "31536000", "31536001"},
		{"DD_TELEMETRY_EXTENDED_HEARTBEAT_INTERVAL", "0", "1", "31536000", "31536001"},
		{"DD_TELEMETRY_HEARTBEAT_INTERVAL", "0.0009", "0.001", "31536000", "31536000.5"},
		{"DD_TRACE_SEND_RETRIES", "-1", "0", "100", "101"},
		{"DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "0", "1", "99999", "100000"},
		{"DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH", "-1", "0", "512", "513"},
		{"DD_TRACE_STATS_CARDINALITY_LIMIT", "0", "1", "2147483647", "2147483648"},
		{"DD_HTTP_SERVER_TAG_QUERY_STRING_SIZE", "-1", "0", "2147483647", "2147483648"},
		{"DD_CIVISIBILITY_FLAKY_RETRY_COUNT", "-2147483649", "-2147483648", "2147483647", "2147483648"},
		{"DD_LLMOBS_PROMPTS_TIMEOUT", "-0.1", "0", "2147483647", "2147483648"},
		{"DD_TRACE_RATE_LIMIT", "-0.1", "0", "2147483647", "2147483648"},
		{"DD_TRACE_SAMPLE_RATE", "-0.01", "0", "1", "1.01"},
		{"DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "99", "100", "999", "1000"},
		{"DD_AGENT_HOST", "", "", label, label + "a"},
		{"DD_AGENT_HOST", "", "", name253, name253 + "a"},
	} {
		for _, value := range []string{c.least, c.most} {
			if got, problem := correct(c.name, value); got != value || problem != "" {
				t.Errorf("%s=%s: %q, problem %q; want the value", c.name, value, got, problem)
			}
		}
		for _, value := range []string{c.low, c.high} {
			if _, problem := correct(c.name, value); (problem == "") != (value == "") {
				t.Errorf("%s=%s is accepted", c.name, value)
			}
		}
	}
}

func TestEmptyPatternIsKept(t *testing.T) {
	const name = "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP" // empty turns the redaction off
	changes, problems := check(map[string]string{name: ""})
	if len(problems) != 0 || slices.ContainsFunc(changes, func(c change) bool { return c.name == name }) {
		t.Errorf("changes %v, problems %v", changes, problems)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"DD_TRACE_AGENT_URL", "http://user:hunter2@agent:8126"},
		{"DD_TRACE_AGENT_URL", "http://agent:8126/?api_key=hunter2"},
		{"DD_TRACE_AGENT_URL", "user:hunter2@agent"},
		{"DD_DOGSTATSD_URL", "udp://user:hunter2@agent:8125"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@collector"},
		{"DD_PROFILING_URL", "https://intake?key=hunter2"},
	} {
		_, problem := correct(c.name, c.value)
		want := c.name + " (its value is not shown) is not valid: want " + formOf(c.name).want + "; the default is used"
		if problem != want {
			t.Errorf("%s=%s: %q, want %q", c.name, c.value, problem, want)
		}
	}
}

func TestNotFollowed(t *testing.T) {
	for name, value := range map[string]string{
		"DD_TRACE_SPAN_ATTRIBUTE_SCHEMA":                    "v1",
		"DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED": "true",
		"DD_TRACE_OTEL_SEMANTICS_ENABLED":                   "1",
		"DD_CIVISIBILITY_ENABLED":                           "true",
		"OTEL_LOGS_EXPORTER":                                "otlp",
	} {
		got, problem := correct(name, value)
		want := fmt.Sprintf("%s=%q is not followed: docs/telemetry.md fixes the names that it would change", name, value)
		if got != "" || problem != want {
			t.Errorf("%s=%s: %q, problem %q; want %q", name, value, got, problem, want)
		}
	}
	if len(notFollowed) != 5 {
		t.Errorf("%d variables are not followed, and this test knows 5", len(notFollowed))
	}
}

func TestDefaults(t *testing.T) {
	set := func(environ map[string]string) map[string]string {
		changes, _ := check(environ)
		values := map[string]string{}
		for _, c := range changes {
			values[c.name] = c.value
		}
		return values
	}
	want := map[string]string{
		"DD_DBM_PROPAGATION_MODE": "full", "DD_PROFILING_FLUSH_ON_EXIT": "true",
		"DD_TRACE_HTTP_URL_QUERY_STRING_DISABLED": "true", "DD_TRACE_PROPAGATION_STYLE": "datadog,tracecontext",
	}
	if got := set(map[string]string{"PATH": "/bin", "HOME": ""}); !maps.Equal(got, want) {
		t.Errorf("an empty environment gets %v, want %v", got, want)
	}
	// A wrong value is replaced by the default of this project.
	if got := set(map[string]string{"DD_DBM_PROPAGATION_MODE": "none"}); !maps.Equal(got, want) {
		t.Errorf("a wrong mode gets %v, want %v", got, want)
	}
	for _, d := range defaults {
		for _, name := range append(d.instead, d.name) {
			value := map[string]string{
				"DD_DBM_PROPAGATION_MODE": "service", "DD_TRACE_SQL_COMMENT_INJECTION_MODE": "service", "DD_PROFILING_FLUSH_ON_EXIT": "false",
				"DD_TRACE_HTTP_URL_QUERY_STRING_DISABLED": "false", "DD_TRACE_PROPAGATION_STYLE": "b3",
				"DD_TRACE_PROPAGATION_STYLE_EXTRACT": "b3", "DD_TRACE_PROPAGATION_STYLE_INJECT": "b3", "OTEL_PROPAGATORS": "b3",
			}[name]
			if value == "" {
				value = "page"
			}
			if got, ok := set(map[string]string{name: value})[d.name]; ok {
				t.Errorf("%s=%s: %s becomes %q", name, value, d.name, got)
			}
		}
	}
}

func TestMisspelledNames(t *testing.T) {
	for name, near := range map[string]string{
		"DD_SERVCE": "DD_SERVICE", "DD_ENVV": "DD_ENV", "DD_TRACE_ENABLE": "DD_TRACE_ENABLED", "DD_AGENT_HOTS": "DD_AGENT_HOST",
		"DD_TRACE_AGENT_HOST": "DD_AGENT_HOST", "DD_TRACE_AGENT_HOSTNAME": "DD_AGENT_HOST", "DD_SERVICE_NAME": "DD_SERVICE", "DD_TRACE_SAMPLING_RATE": "DD_TRACE_SAMPLE_RATE",
		"DD_PROFILLING_ENABLED": "DD_PROFILING_ENABLED", "DD_LOG_INJECTION": "DD_LOGS_INJECTION", "OTEL_SERVICENAME": "OTEL_SERVICE_NAME",
	} {
		changes, problems := check(map[string]string{name: "x"})
		want := name + " is not a variable of the tracer, so nothing reads it; did you mean " + near + "?"
		if len(problems) != 1 || problems[0] != (Problem{name, want}) {
			t.Errorf("%s: problems %q, want %s", name, problems, want)
		}
		if len(changes) != len(defaults) {
			t.Errorf("%s: changes %v, want the defaults only", name, changes)
		}
	}
	// Variables of the Agent, of its images, and of other tracers and SDKs.
	for _, name := range []string{
		"DD_APM_ENABLED", "DD_APM_NON_LOCAL_TRAFFIC", "DD_DOGSTATSD_NON_LOCAL_TRAFFIC", "DD_LOGS_ENABLED", "DD_URL", "DD_DD_URL", "DD_HOST_TAGS",
		"DD_LOGS_CONFIG_CONTAINER_COLLECT_ALL", "DD_PROCESS_AGENT_ENABLED", "DD_BIND_HOST", "DD_LOG_LEVEL", "DD_TRACE_CLI_ENABLED", "DD_AUTH_TOKEN_FILE_PATH",
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_ATTRIBUTE_COUNT_LIMIT", "DD_RUNTIME_SECURITY_CONFIG_ENABLED", "DD_CLUSTER_NAME", "DD_KUBERNETES_KUBELET_HOST",
	} {
		if _, problems := check(map[string]string{name: "x"}); len(problems) != 0 {
			t.Errorf("%s: problems %q, want none", name, problems)
		}
		if got := unread(map[string]string{name: "x"}); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: unread %q", name, got)
		}
	}
}

// Every name that elsewhere suggests is one that the tracer reads, and no name is one.
func TestElsewhere(t *testing.T) {
	for name, instead := range elsewhere {
		if slices.Contains(known, name) || !slices.Contains(known, instead) {
			t.Errorf("%s: %s", name, instead)
		}
	}
}

func TestUnread(t *testing.T) {
	environ := map[string]string{"DD_SERVICE": "a", "DD_SERVCE": "a", "DD_URL": "a", "DD_APM_ENABLED": "a", "PATH": "a", "OTEL_BSP_SCHEDULE_DELAY": "1"}
	if got, want := unread(environ), []string{"DD_APM_ENABLED", "DD_URL", "OTEL_BSP_SCHEDULE_DELAY"}; !slices.Equal(got, want) {
		t.Errorf("unread %q, want %q", got, want)
	}
}

func TestProblemsAreSorted(t *testing.T) {
	_, problems := check(map[string]string{"OTEL_LOG_LEVEL": "x", "DD_TRACE_ENABLED": "x", "DD_AGENT_HOST": "/", "FOO": "x"})
	var names []string
	for _, p := range problems {
		names = append(names, p.Name)
	}
	if want := []string{"DD_AGENT_HOST", "DD_TRACE_ENABLED", "OTEL_LOG_LEVEL"}; !slices.Equal(names, want) {
		t.Errorf("problems of %v, want %v", names, want)
	}
}

// TestProgramsCheckTheirEnvironment: each program that links the tracer also links
// this package.
func TestProgramsCheckTheirEnvironment(t *testing.T) {
	for _, program := range []string{"./cmd/apmapp", "./cmd/demo", "./cmd/localagent", "./cmd/provision", "./loadgen"} {
		list := exec.Command("go", "list", "-deps", program)
		list.Dir = filepath.Join("..", "..")
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		packages := strings.Fields(string(out))
		if slices.Contains(packages, "github.com/DataDog/dd-trace-go/v2/internal/env") && !slices.Contains(packages, "apmapp/internal/ddenv") {
			t.Errorf("%s links the tracer, but not this package", program)
		}
	}
}
