package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

// logConfig has the settings of a log source that the product uses, from
// https://docs.datadoghq.com/agent/logs/advanced_log_collection.
type logConfig struct {
	Type, Path, Source, Service string
}

func TestLogConfiguration(t *testing.T) {
	path := agentFiles + "conf.d/apmapp.d/conf.yaml"
	conf := decode[struct{ Logs []logConfig }](t, path)
	// The log file in the service's unit.
	unit := read(t, repository+"/deploy/vm/apmapp.service")
	file := regexp.MustCompile(`(?m)^Environment=APMAPP_LOG_FILE=(\S+)$`).FindStringSubmatch(unit)
	if file == nil {
		t.Fatal("apmapp.service sets no APMAPP_LOG_FILE")
	}
	want := []logConfig{{Type: "file", Path: file[1], Source: "go", Service: "apmapp"}}
	if !slices.Equal(conf.Logs, want) {
		t.Errorf("%s: %+v, want %+v", path, conf.Logs, want)
	}
}

// mysqlOptions has the options of the MySQL check that the product uses or may use.
// Their names are from mysql/assets/configuration/spec.yaml of
// github.com/DataDog/integrations-core, and from the templates instances/db and
// instances/default that it includes. Decoding refuses all other options.
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
		t.Fatalf("%s has %d instances, want 1", path, len(conf.Instances))
	}
	instance := conf.Instances[0]
	if instance.Host != "127.0.0.1" || instance.Port != 3306 || instance.Username != "datadog" || !instance.DBM || len(instance.Tags) == 0 {
		t.Errorf("%s: %+v, want datadog at 127.0.0.1:3306 with dbm and tags", path, instance)
	}
	if instance.Password != "ENC[mysql_password]" {
		t.Errorf("%s: the password is not the secret mysql_password", path)
	}
	if instance.Service != "apmapp-mysql" {
		t.Errorf("%s: the service is %s, want apmapp-mysql as in the spans", path, instance.Service)
	}
	for _, bad := range []string{
		"instances: [{hots: 127.0.0.1}]",
		"instances: [{user: datadog}]",
		"instances: [{options: {extra_inodb_metrics: true}}]",
		"instances: [{port: three}]",
	} {
		if strictly([]byte(bad), new(mysqlOptions)) == nil {
			t.Errorf("mysqlOptions accepts %s", bad)
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
		t.Fatalf("my_metric.yaml: %+v, want one instance every 45 s with tags", conf.Instances)
	}
	check := read(t, agentFiles+"checks.d/my_metric.py")
	if found := regexp.MustCompile(`45|interval`).FindString(check); found != "" {
		t.Errorf("the check contains %q: only my_metric.yaml may set the interval", found)
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
		t.Errorf("%d runs sent %d metrics, want one per run", runs, len(sent))
	}
	values := map[float64]int{}
	for _, metric := range sent {
		if metric.Kind != "gauge" || metric.Name != "my_metric" || metric.Value < 0 || metric.Value > 1000 || metric.Value != math.Trunc(metric.Value) {
			t.Fatalf("the check sent %+v, want the gauge my_metric with a whole number from 0 to 1000", metric)
		}
		if !slices.Equal(metric.Tags, conf.Instances[0].Tags) {
			t.Fatalf("the check sent the tags %q, want those of the configuration: %q", metric.Tags, conf.Instances[0].Tags)
		}
		values[metric.Value]++
	}
	// 200 draws from 1001 values give 181 different ones, plus or minus 4.
	if len(values) < 150 {
		t.Errorf("%d runs sent %d different values, want at least 150: %v", runs, len(values), values)
	}
}
