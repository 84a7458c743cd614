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

// datadogYAML is a datadog.yaml, or a part of one.
type datadogYAML map[string]any

// flat is the file with dotted keys, as the Agent's table has them.
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

// isSetting is whether a key is one that has a value. Sections are in the Agent's
// table as well, some of them, and so are settings whose value is a map.
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

// complaints are what the Agent's own table of settings has against a file: keys
// that it does not have, values of another kind than its defaults.
func (file datadogYAML) complaints() (complaints []string) {
	agent := setup.Datadog()
	known := agent.GetKnownKeysLowercased()
	for key, value := range file.flat(known) {
		if _, ok := known[key]; !ok {
			complaints = append(complaints, key+" is no setting of the Agent")
			continue
		}
		if want := kind(agent.Get(key)); want != "" && kind(value) != want {
			complaints = append(complaints, fmt.Sprintf("%s is %v, a %s; the Agent wants a %s", key, value, kind(value), want))
		}
	}
	slices.Sort(complaints)
	return complaints
}

// kind is what a value looks like in YAML; "" where the Agent's default is nothing
// and so tells nothing.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return ""
	case bool:
		return "truth value"
	case int, int64, float64:
		return "number"
	case string:
		return "text"
	case []string, []any:
		return "list"
	}
	return "section"
}

func TestDatadogYAML(t *testing.T) {
	path := agentFiles + "datadog.yaml"
	file := decode[datadogYAML](t, path)
	for _, complaint := range file.complaints() {
		t.Errorf("%s: %s", path, complaint)
	}
	// What the product needs of it.
	for key, want := range map[string]any{
		"api_key":             "ENC[api_key]",
		"secret_backend_type": "file.text",
		"secret_backend_remove_trailing_line_break": true,
		"logs_enabled":                              true,
		"apm_config.enabled":                        true,
		"apm_config.receiver_port":                  8126,
		"apm_config.receiver_socket":                "/var/run/datadog/apm.socket",
		"use_dogstatsd":                             true,
		"dogstatsd_port":                            8125,
		"process_config.process_collection.enabled": true,
		"env": "dev",
	} {
		if got := file.flat(setup.Datadog().GetKnownKeysLowercased())[key]; got != want {
			t.Errorf("%s: %s is %v, want %v", path, key, got, want)
		}
	}
	tags, _ := file["tags"].([]any)
	if len(tags) < 2 {
		t.Errorf("%s: tags are %v, want several", path, tags)
	}
	for _, tag := range tags {
		if key, value, ok := strings.Cut(fmt.Sprint(tag), ":"); !ok || key == "" || value == "" {
			t.Errorf("%s: the tag %v is not of the form key:value", path, tag)
		}
	}
}

// TestDatadogYAMLComplaints holds that the check above can fail.
func TestDatadogYAMLComplaints(t *testing.T) {
	for content, want := range map[string]string{
		"logs_enable: true":                                              "logs_enable is no setting",
		"apm_config: {recever_port: 8126}":                               "apm_config.recever_port is no setting",
		"process_config: {process_collection: {on: true}}":               "process_config.process_collection.on is no setting",
		"logs_enabled: 'yes'":                                            "logs_enabled is yes, a text; the Agent wants a truth value",
		"dogstatsd_port: eight":                                          "dogstatsd_port is eight, a text; the Agent wants a number",
		"tags: project:apmapp":                                           "tags is project:apmapp, a text; the Agent wants a list",
		"secret_backend: {type: file.text}":                              "secret_backend.type is no setting",
		"apm_config: {receiver_socket: {path: /tmp/apm.socket}}":         "apm_config.receiver_socket is",
		"secret_backend_config: {secrets_path: /x}\ndogstatsd_socket: 1": "dogstatsd_socket is 1, a number",
	} {
		var file datadogYAML
		if err := yaml.Unmarshal([]byte(content), &file); err != nil {
			t.Fatal(err)
		}
		if got := file.complaints(); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q, want %q", content, got, want)
		}
	}
}
