package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/DataDog/datadog-agent/pkg/config/setup"
	"go.yaml.in/yaml/v3"
)

// datadogYAML is a datadog.yaml or a part of one.
type datadogYAML map[string]any

// flat returns the file's values by dotted keys, the form of the Agent's table of
// settings.
func (file datadogYAML) flat(known map[string]any) map[string]any {
	flat := map[string]any{}
	for key, value := range file {
		key = strings.ToLower(key)
		below, hasKeys := value.(datadogYAML)
		if !hasKeys || isSetting(known, key) {
			flat[key] = value
			continue
		}
		prefixed := datadogYAML{}
		for name, value := range below {
			prefixed[key+"."+name] = value
		}
		maps.Copy(flat, prefixed.flat(known))
	}
	return flat
}

// isSetting reports whether a key is a setting and not a section of settings. The
// Agent's table also lists some sections, and settings whose value is a map.
func isSetting(known map[string]any, key string) bool {
	if _, ok := known[key]; !ok {
		return false
	}
	for other := range known {
		if strings.HasPrefix(other, key+".") {
			return false
		}
	}
	return true
}

// problems compares the file with the Agent's table of settings. It returns unknown
// keys, and values of another type than the default.
func (file datadogYAML) problems() (problems []string) {
	agent := setup.Datadog()
	known := agent.GetKnownKeysLowercased()
	flat := file.flat(known)
	for _, key := range slices.Sorted(maps.Keys(flat)) {
		if _, ok := known[key]; !ok {
			problems = append(problems, key+" is not a setting of the Agent")
			continue
		}
		got, want := typeName(flat[key]), typeName(agent.Get(key))
		if want != "" && got != want {
			problems = append(problems, fmt.Sprintf("%s is %v, a %s; the Agent wants a %s", key, flat[key], got, want))
		}
	}
	return problems
}

// typeName returns the YAML type of a value. It returns "" for nil: if the Agent has
// no default, the type is unknown.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return ""
	case bool:
		return "boolean"
	case int, int64, float64:
		return "number"
	case string:
		return "string"
	case []string, []any:
		return "list"
	}
	return "section"
}

func TestDatadogYAML(t *testing.T) {
	path := agentFiles + "datadog.yaml"
	file := decode[datadogYAML](t, path)
	for _, problem := range file.problems() {
		t.Errorf("%s: %s", path, problem)
	}
	// The settings that the product needs.
	flat := file.flat(setup.Datadog().GetKnownKeysLowercased())
	for _, setting := range []struct {
		key  string
		want any
	}{
		{"api_key", "ENC[api_key]"},
		{"secret_backend_type", "file.text"},
		{"secret_backend_remove_trailing_line_break", true},
		{"logs_enabled", true},
		{"apm_config.enabled", true},
		{"apm_config.receiver_port", 8126},
		{"apm_config.receiver_socket", "/var/run/datadog/apm.socket"},
		{"use_dogstatsd", true},
		{"dogstatsd_port", 8125},
		{"process_config.process_collection.enabled", true},
		{"env", "dev"},
	} {
		if got := flat[setting.key]; got != setting.want {
			t.Errorf("%s: %s is %v, want %v", path, setting.key, got, setting.want)
		}
	}
	tags, _ := file["tags"].([]any)
	if len(tags) < 2 {
		t.Errorf("%s: tags are %v, want at least two", path, tags)
	}
	for _, tag := range tags {
		if key, value, ok := strings.Cut(fmt.Sprint(tag), ":"); !ok || key == "" || value == "" {
			t.Errorf("%s: the tag %v is not of the form key:value", path, tag)
		}
	}
}

// TestProblemsOfDatadogYAML shows which mistakes TestDatadogYAML finds.
func TestProblemsOfDatadogYAML(t *testing.T) {
	for _, tc := range []struct{ content, want string }{
		{"logs_enable: true", "logs_enable is not a setting"},
		{"apm_config: {recever_port: 8126}", "apm_config.recever_port is not a setting"},
		{"process_config: {process_collection: {on: true}}", "process_config.process_collection.on is not a setting"},
		{"logs_enabled: 'yes'", "logs_enabled is yes, a string; the Agent wants a boolean"},
		{"dogstatsd_port: eight", "dogstatsd_port is eight, a string; the Agent wants a number"},
		{"tags: project:apmapp", "tags is project:apmapp, a string; the Agent wants a list"},
		{"secret_backend: {type: file.text}", "secret_backend.type is not a setting"},
		{"apm_config: {receiver_socket: {path: /tmp/apm.socket}}", "apm_config.receiver_socket is"},
		{"secret_backend_config: {secrets_path: /x}\ndogstatsd_socket: 1", "dogstatsd_socket is 1, a number"},
	} {
		var file datadogYAML
		if err := yaml.Unmarshal([]byte(tc.content), &file); err != nil {
			t.Fatal(err)
		}
		if got := file.problems(); len(got) != 1 || !strings.Contains(got[0], tc.want) {
			t.Errorf("%s: got the problems %q, want %q", tc.content, got, tc.want)
		}
	}
}
