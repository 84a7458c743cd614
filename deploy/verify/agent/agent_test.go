package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/DataDog/datadog-agent/pkg/config/setup"
	"go.yaml.in/yaml/v3"
)

const (
	repository = "../../.."
	agentFiles = repository + "/deploy/agent/"
)

// decode reads a YAML file into a value, and knows no key that the value has not.
func decode[T any](t *testing.T, path string) (value T) {
	t.Helper()
	if err := strictly([]byte(read(t, path)), &value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return value
}

func strictly(content []byte, value any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	return decoder.Decode(value)
}

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

// logConfig are the settings of a log source that are used here, after
// https://docs.datadoghq.com/agent/logs/advanced_log_collection.
type logConfig struct {
	Type, Path, Source, Service string
}

func TestLogConfiguration(t *testing.T) {
	path := agentFiles + "conf.d/apmapp.d/conf.yaml"
	conf := decode[struct{ Logs []logConfig }](t, path)
	// The file that the service's unit writes to.
	unit := read(t, repository+"/deploy/vm/apmapp.service")
	output := regexp.MustCompile(`(?m)^StandardOutput=append:(\S+)$`).FindStringSubmatch(unit)
	if output == nil {
		t.Fatal("apmapp.service appends to no file")
	}
	want := []logConfig{{Type: "file", Path: output[1], Source: "go", Service: "apmapp"}}
	if !slices.Equal(conf.Logs, want) {
		t.Errorf("%s: %+v, want %+v", path, conf.Logs, want)
	}
}

// mysqlOptions are the options of an instance of the MySQL check, and of its
// sections that are used here, by name: from mysql/assets/configuration/spec.yaml of
// github.com/DataDog/integrations-core, with the templates instances/db and
// instances/default that it includes. KnownFields refuses any other.
type mysqlOptions struct {
	InitConfig struct {
		PropagateAgentTags  *bool `yaml:"propagate_agent_tags"`
		GlobalCustomQueries []any `yaml:"global_custom_queries"`
		Service             string
	} `yaml:"init_config"`
	Instances []struct {
		Host, Username, Password, Sock, Service string
		Port                                    int
		DBM                                     bool
		Tags                                    []string
		PropagateAgentTags                      *bool   `yaml:"propagate_agent_tags"`
		DisableGenericTags                      *bool   `yaml:"disable_generic_tags"`
		ReportedHostname                        string  `yaml:"reported_hostname"`
		ConnectTimeout                          float64 `yaml:"connect_timeout"`
		MinCollectionInterval                   float64 `yaml:"min_collection_interval"`
		Options                                 struct {
			Replication            *bool
			ReplicationChannel     string `yaml:"replication_channel"`
			GaleraCluster          *bool  `yaml:"galera_cluster"`
			ExtraStatusMetrics     *bool  `yaml:"extra_status_metrics"`
			ExtraInnodbMetrics     *bool  `yaml:"extra_innodb_metrics"`
			DisableInnodbMetrics   *bool  `yaml:"disable_innodb_metrics"`
			SchemaSizeMetrics      *bool  `yaml:"schema_size_metrics"`
			TableSizeMetrics       *bool  `yaml:"table_size_metrics"`
			SystemTableSizeMetrics *bool  `yaml:"system_table_size_metrics"`
			TableRowsStatsMetrics  *bool  `yaml:"table_rows_stats_metrics"`
			ExtraPerformance       *bool  `yaml:"extra_performance_metrics"`
		}
		CollectSettings collection `yaml:"collect_settings"`
		CollectSchemas  collection `yaml:"collect_schemas"`
		QueryMetrics    collection `yaml:"query_metrics"`
		QuerySamples    collection `yaml:"query_samples"`
		QueryActivity   collection `yaml:"query_activity"`
		IndexMetrics    collection `yaml:"index_metrics"`
	}
}

type collection struct {
	Enabled            *bool
	CollectionInterval float64 `yaml:"collection_interval"`
}

func TestMySQLConfiguration(t *testing.T) {
	path := agentFiles + "conf.d/mysql.d/conf.yaml"
	conf := decode[mysqlOptions](t, path)
	if len(conf.Instances) != 1 {
		t.Fatalf("%s has %d instances", path, len(conf.Instances))
	}
	instance := conf.Instances[0]
	if instance.Host != "127.0.0.1" || instance.Port != 3306 || instance.Username != "datadog" || !instance.DBM || len(instance.Tags) == 0 {
		t.Errorf("%s: %+v", path, instance)
	}
	if instance.Password != "ENC[mysql_password]" {
		t.Errorf("%s: the password is not that of the secret mysql_password", path)
	}
	if instance.Service != "apmapp-mysql" {
		t.Errorf("%s: the service is %s, that of the spans is apmapp-mysql", path, instance.Service)
	}
	for _, bad := range []string{
		"instances: [{hots: 127.0.0.1}]",
		"instances: [{user: datadog}]",
		"instances: [{options: {extra_inodb_metrics: true}}]",
		"instances: [{port: three}]",
	} {
		if strictly([]byte(bad), new(mysqlOptions)) == nil {
			t.Errorf("the check's specification lets %s pass", bad)
		}
	}
}

// TestMyMetric runs checks.d/my_metric.py with conf.d/my_metric.yaml.
func TestMyMetric(t *testing.T) {
	type instance struct {
		MinCollectionInterval int `yaml:"min_collection_interval"`
		Tags                  []string
	}
	conf := decode[struct {
		InitConfig map[string]any `yaml:"init_config"`
		Instances  []instance
	}](t, agentFiles+"conf.d/my_metric.yaml")
	if len(conf.Instances) != 1 || conf.Instances[0].MinCollectionInterval != 45 || len(conf.Instances[0].Tags) == 0 {
		t.Fatalf("my_metric.yaml: %+v", conf.Instances)
	}
	check := read(t, agentFiles+"checks.d/my_metric.py")
	if found := regexp.MustCompile(`45|interval`).FindString(check); found != "" {
		t.Errorf("the check knows how often it runs: %q", found)
	}

	config, err := json.Marshal(map[string]any{"tags": conf.Instances[0].Tags, "min_collection_interval": 45})
	if err != nil {
		t.Fatal(err)
	}
	const runs = 200
	python := exec.Command("python3", "testdata/run_check.py", agentFiles+"checks.d/my_metric.py", fmt.Sprint(runs))
	python.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	python.Stdin = bytes.NewReader(config)
	out, err := python.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr(err))
	}
	var sent []struct {
		Kind, Name string
		Value      float64
		Tags       []string
	}
	if err := json.Unmarshal(out, &sent); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(sent) != runs {
		t.Errorf("%d runs sent %d metrics", runs, len(sent))
	}
	values := map[float64]int{}
	for _, metric := range sent {
		if metric.Kind != "gauge" || metric.Name != "my_metric" || metric.Value < 0 || metric.Value > 1000 || metric.Value != math.Trunc(metric.Value) {
			t.Fatalf("it sent %+v", metric)
		}
		if !slices.Equal(metric.Tags, conf.Instances[0].Tags) {
			t.Fatalf("its tags are %q, the configuration's are %q", metric.Tags, conf.Instances[0].Tags)
		}
		values[metric.Value]++
	}
	// Of 1001 values, 200 draws have 181 different ones, give or take 4.
	if len(values) < 150 {
		t.Errorf("%d runs sent %d different values: %v", runs, len(values), values)
	}
}

func stderr(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}
