package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// filter is a tag that a query of deploy/datadog filters or groups a metric by.
type filter struct{ metric, key string }

var (
	metricQuery  = regexp.MustCompile(`\b(?:avg|sum|min|max|p[0-9]{2}):([A-Za-z_][\w.]*)\{([^}]*)\}(?: by \{([^}]*)\})?`)
	serviceCheck = regexp.MustCompile(`"([\w.]+)"\.over\(([^)]*)\)\.by\(([^)]*)\)`)
)

// filters returns the filters of a definition, each once. A template variable of a
// dashboard filters by its prefix.
func filters(t *testing.T, definition string) []filter {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(definition), &value); err != nil {
		t.Fatal(err)
	}
	prefixes := map[string]string{}
	found := map[filter]bool{}
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if name, ok := v["name"].(string); ok && v["prefix"] != nil {
				prefixes["$"+name] = fmt.Sprint(v["prefix"])
			}
			for _, below := range v {
				visit(below)
			}
		case []any:
			for _, below := range v {
				visit(below)
			}
		case string:
			for _, m := range append(metricQuery.FindAllStringSubmatch(v, -1), serviceCheck.FindAllStringSubmatch(v, -1)...) {
				for _, tag := range strings.Split(m[2]+","+m[3], ",") {
					key, _, _ := strings.Cut(strings.Trim(tag, `" `), ":")
					if key != "" && key != "*" {
						found[filter{m[1], key}] = true
					}
				}
			}
		}
	}
	visit(value)
	var all []filter
	for f := range found {
		if prefix, ok := prefixes[f.key]; ok {
			f.key = prefix
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b filter) int { return strings.Compare(a.metric+a.key, b.metric+b.key) })
	return slices.Compact(all)
}

// tagging is what decides about the tags in one deployment. A value is empty if the
// deployment does not set it.
type tagging struct {
	// host is env in the Agent's configuration: a tag of everything with its host name.
	host string
	// service and loadgen are DD_ENV of the programs.
	service, loadgen string
	mysql            mysqlCheck
	// mysqlPod is env of the container of MySQL, which the Agent adds to its checks.
	mysqlPod string
}

type mysqlCheck struct {
	InitConfig struct {
		PropagateAgentTags bool `yaml:"propagate_agent_tags"`
	} `yaml:"init_config"`
	Instances []struct {
		Service            string
		DisableGenericTags bool `yaml:"disable_generic_tags"`
	}
}

// tags returns the values of the tags of a metric or service check by key; "*" if the
// value differs between series.
func (s tagging) tags(metric string) map[string]string {
	tags := map[string]string{"host": "*"}
	env := func(v string) {
		if v != "" {
			tags["env"] = v
		}
	}
	// The Agent's tags of the host.
	env(s.host)
	switch prefix, _, _ := strings.Cut(metric, "."); prefix {
	case "trace":
		env(s.service)
		tags["service"], tags["resource_name"] = "*", "*"
	case "runtime", "datadog", "apmapp":
		env(s.service)
		tags["service"], tags["version"] = "*", "*"
	case "loadgen":
		env(s.loadgen)
		tags["service"] = "loadgen"
	case "mysql":
		// The check runs with the address of its server. The Agent does not know tags of that
		// host, unless it is its own. So the check has to send the tags itself.
		delete(tags, "env")
		instance := s.mysql.Instances[0]
		tags["service"] = instance.Service
		switch {
		case instance.DisableGenericTags: // env becomes mysql_env
		case s.mysqlPod != "":
			env(s.mysqlPod)
		case s.mysql.InitConfig.PropagateAgentTags:
			env(s.host)
		}
	}
	return tags
}

// problems returns the filters that find nothing in a deployment.
func (s tagging) problems(filters []filter) (problems []string) {
	for _, f := range filters {
		switch value, ok := s.tags(f.metric)[f.key]; {
		case !ok || value == "":
			problems = append(problems, fmt.Sprintf("%s has no tag %s", f.metric, f.key))
		case f.key == "env" && value != s.service:
			problems = append(problems, fmt.Sprintf("%s has env:%s, the service env:%s", f.metric, value, s.service))
		}
	}
	return problems
}

// dig returns the value at a path of keys and indexes.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// parse decodes a check from a label or an annotation.
func parse(t *testing.T, checks any) mysqlCheck {
	t.Helper()
	all := map[string]mysqlCheck{}
	if err := yaml.Unmarshal([]byte(text(checks)), &all); err != nil {
		t.Fatal(err)
	}
	return all["mysql"]
}

// variable returns the value of a variable in a pod's environment.
func variable(env any, name string) string {
	list, _ := env.([]any)
	for _, e := range list {
		if dig(e, "name") == name {
			return text(dig(e, "value"))
		}
	}
	return ""
}

// taggings reads the three deployments with the Datadog Agent.
func taggings(t *testing.T) map[string]tagging {
	t.Helper()
	object := func(file string) any {
		return decode[any](t, filepath.Join(repository, "deploy", file))
	}
	unit := func(file string) string {
		found := regexp.MustCompile(`(?m)^Environment=DD_ENV=(\S+)$`).FindStringSubmatch(read(t, repository+"/deploy/vm/"+file))
		if found == nil {
			return ""
		}
		return found[1]
	}
	var onVM mysqlCheck
	if err := yaml.Unmarshal([]byte(read(t, agentFiles+"conf.d/mysql.d/conf.yaml")), &onVM); err != nil {
		t.Fatal(err)
	}
	compose := object("compose/compose.yaml")
	service := func(name string, path ...any) any {
		return dig(compose, append([]any{"services", name}, path...)...)
	}
	agent := object("kubernetes/overlays/datadog/agent/datadogagent.yaml")
	const label = "tags.datadoghq.com/env"
	mysqlPod := text(dig(object("kubernetes/components/mysql/statefulset.yaml"), "spec", "template", "metadata", "labels", label))
	annotations := dig(object("kubernetes/overlays/datadog/mysql.yaml"), "spec", "template", "metadata", "annotations")
	return map[string]tagging{
		"vm": {
			host:    text(dig(object("agent/datadog.yaml"), "env")),
			service: unit("apmapp.service"), loadgen: unit("apmapp-loadgen.service"), mysql: onVM,
		},
		"compose": {
			host:    text(service("agent", "environment", "DD_ENV")),
			service: text(service("apmapp", "environment", "DD_ENV")), loadgen: text(service("loadgen", "environment", "DD_ENV")),
			mysql: parse(t, service("mysql", "labels", "com.datadoghq.ad.checks")), mysqlPod: text(service("mysql", "labels", "com.datadoghq.tags.env")),
		},
		"kubernetes": {
			host:    variable(dig(agent, "spec", "global", "env"), "DD_ENV"),
			service: text(dig(object("kubernetes/base/deployment.yaml"), "spec", "template", "metadata", "labels", label)),
			loadgen: text(dig(object("kubernetes/loadgen/job.yaml"), "spec", "template", "metadata", "labels", label)),
			mysql:   parse(t, dig(annotations, "ad.datadoghq.com/mysql.checks")), mysqlPod: mysqlPod,
		},
	}
}

// TestTags checks, for each deployment, that the tags by which dashboards, monitors and
// SLOs filter are on what is emitted.
func TestTags(t *testing.T) {
	all := map[filter]bool{}
	walk(t, repository+"/deploy/datadog", func(path string) {
		if filepath.Ext(path) != ".json" {
			return
		}
		for _, f := range filters(t, read(t, path)) {
			if strings.HasPrefix(f.key, "$") {
				t.Errorf("%s: no template variable %s", path, f.key)
			}
			all[f] = true
		}
	})
	var sorted []filter
	for f := range all {
		sorted = append(sorted, f)
	}
	if len(sorted) < 50 {
		t.Errorf("the definitions filter by %d tags of metrics, want at least 50", len(sorted))
	}
	deployments := taggings(t)
	for _, name := range slices.Sorted(maps.Keys(deployments)) {
		s := deployments[name]
		if s.service == "" || len(s.mysql.Instances) != 1 {
			t.Fatalf("%s: %+v", name, s)
		}
		for _, problem := range s.problems(sorted) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// TestMissingTags shows which filters find nothing.
func TestMissingTags(t *testing.T) {
	check := mysqlCheck{}
	check.Instances = append(check.Instances, struct {
		Service            string
		DisableGenericTags bool `yaml:"disable_generic_tags"`
	}{Service: "apmapp-mysql"})
	check.InitConfig.PropagateAgentTags = true
	renamed := check
	renamed.Instances = slices.Clone(check.Instances)
	renamed.Instances[0].DisableGenericTags = true
	good := tagging{host: "dev", service: "dev", loadgen: "dev", mysql: check}
	for _, c := range []struct {
		name, query string
		change      func(*tagging)
		want        []string
	}{
		{"all there", `avg:mysql.net.connections{$env,$host} by {host}`, func(*tagging) {}, nil},
		{"renamed by the check", `avg:mysql.net.connections{$env}`, func(s *tagging) { s.mysql = renamed }, []string{"mysql.net.connections has no tag env"}},
		{"service check", `"mysql.can_connect".over("env:x","service:y").by("host")`, func(s *tagging) { s.mysql = renamed }, []string{"mysql.can_connect has no tag env"}},
		{"Agent without env", `avg:system.load.1{$env}`, func(s *tagging) { s.host = "" }, []string{"system.load.1 has no tag env"}},
		{"env of the container", `avg:mysql.net.connections{$env}`, func(s *tagging) { s.host, s.mysqlPod = "", "dev" }, nil},
		{"another env", `sum:loadgen.requests{$env}.as_rate()`, func(s *tagging) { s.loadgen = "prod" }, []string{"loadgen.requests has env:prod, the service env:dev"}},
		{"unknown tag", `sum:trace.http.request.hits{team:web} by {zone}`, func(*tagging) {}, []string{"trace.http.request.hits has no tag team", "trace.http.request.hits has no tag zone"}},
	} {
		s := good
		c.change(&s)
		definition, err := json.Marshal(map[string]any{"q": c.query, "template_variables": []any{
			map[string]string{"name": "env", "prefix": "env"}, map[string]string{"name": "host", "prefix": "host"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.problems(filters(t, string(definition))); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
