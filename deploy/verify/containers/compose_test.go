package containers

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// compose reads a compose file as docker compose config does, with its library.
func compose(t *testing.T, dir, profile string, environment ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")},
		cli.WithProfiles([]string{profile}), cli.WithEnv(environment), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func TestCompose(t *testing.T) {
	deploy := deployment(t)
	makeSecrets(t, keys, filepath.Join(deploy, "compose/secrets"))
	for _, profile := range []string{"local", "datadog"} {
		t.Run(profile, func(t *testing.T) {
			p, err := compose(t, filepath.Join(deploy, "compose"), profile, "VERSION=1.2.3", "DD_ENV=demo")
			if err != nil {
				t.Fatal(err)
			}
			complain(t, composeProblems(p), "")
			if got := p.Services["apmapp"].Image; got != "apmapp:1.2.3" {
				t.Errorf("VERSION=1.2.3 makes the image %s", got)
			}
		})
	}
}

func TestBrokenCompose(t *testing.T) {
	for name, c := range map[string]struct{ file, old, with, want string }{
		"key that compose does not know": {"", "read_only:", "readonly:", "readonly"},
		"secret that nobody makes":       {"", "secrets/dsn", "secrets/dns", "secrets/dns: no such file"},
		"path that is not there":         {"", "agent/mysql/datadog.sql:", "agent/mysql/datadog.SQL:", "datadog.SQL: no such file"},
		"target that is not there":       {"", "target: loadgen", "target: generator", "no target generator"},
		"dependency without a check":     {"", "    healthcheck:", "    x-healthcheck:", "waits for the health of mysql"},
		"health check lost in the image": {"../../Dockerfile", "HEALTHCHECK ", "# ", "waits for the health of apmapp"},
		"label that is no JSON":          {"", `"dbm": true,`, `"dbm": true`, "com.datadoghq.ad.checks"},
		"check without instances":        {"", `"init_config": {"propagate_agent_tags": true},`, "", "no instances or no init_config"},
		"password that the Agent cannot read": {"", "secrets: [dd_api_key, mysql_datadog_password]", "secrets: [dd_api_key]",
			"the Agent has no secret mysql_datadog_password"},
		"password in the file":      {"", "MYSQL_PASSWORD_FILE: /run/secrets/mysql_apmapp_password", "MYSQL_PASSWORD: hunter2", "MYSQL_PASSWORD"},
		"secret that is not given":  {"", "secrets: [dsn]", "secrets: []", "/run/secrets/dsn"},
		"check that differs":        {"", `"replication": false`, `"replication": true`, "differs from"},
		"another service":           {"", "com.datadoghq.tags.service: apmapp\n", "com.datadoghq.tags.service: apm\n", "tags.service"},
		"another version":           {"", "com.datadoghq.tags.version: ${VERSION:-dev}", "com.datadoghq.tags.version: dev", "tags.version"},
		"another env":               {"", "com.datadoghq.tags.env: ${DD_ENV:-dev}", "com.datadoghq.tags.env: dev", "tags.env"},
		"socket that nobody makes":  {"", "DD_APM_RECEIVER_SOCKET: /var/run/datadog/apm.socket", "DD_APM_RECEIVER_SOCKET: /run/apm.socket", "apm.socket, which the Agent does not make"},
		"sockets that nobody sees":  {"", "    volumes:\n      - *sockets\n", "    volumes:\n", "does not share"},
		"root that can be written":  {"", "  read_only: true\n", "", "read_only"},
		"capabilities":              {"", "  cap_drop: [ALL]\n", "", "cap_drop"},
		"port that all can reach":   {"", `"127.0.0.1:5050:5050"`, `"5050:5050"`, "port 5050 is open"},
		"stop that cuts requests":   {"", "stop_grace_period: 20s", "stop_grace_period: 10s", "stop_grace_period"},
		"memory limit without room": {"", "GOMEMLIMIT: 244MiB", "GOMEMLIMIT: 256MiB", "GOMEMLIMIT"},
		"no Agent":                  {"", "profiles: [datadog]", "profiles: [dd]", "no Agent"},
	} {
		t.Run(name, func(t *testing.T) {
			deploy := deployment(t)
			makeSecrets(t, keys, filepath.Join(deploy, "compose/secrets"))
			replace(t, filepath.Join(deploy, "compose", first(c.file, "compose.yaml")), c.old, c.with)
			var problems []string
			p, err := compose(t, filepath.Join(deploy, "compose"), "datadog", "VERSION=1.2.3", "DD_ENV=demo")
			if err != nil {
				problems = []string{err.Error()}
			} else {
				problems = composeProblems(p)
			}
			complain(t, problems, c.want)
		})
	}
}

func first(s ...string) string {
	for _, s := range s {
		if s != "" {
			return s
		}
	}
	return ""
}

// drainTime is what the service needs to stop: -drain-timeout, and as much as two
// uploads may take on a bad day.
const drainTime = 15 * time.Second

// agentSockets are the variables and the flags by which the Agents are told where
// to make their sockets.
var agentSockets = []string{"DD_APM_RECEIVER_SOCKET=", "DD_DOGSTATSD_SOCKET=", "-socket=", "-dogstatsd-socket="}

// composeProblems says what is wrong with a project that compose itself takes.
func composeProblems(p *types.Project) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	agent, ok := p.Services["agent"]
	if local, isLocal := p.Services["localagent"]; isLocal {
		if ok {
			say("two Agents")
		}
		agent, ok = local, true
	}
	if !ok {
		say("no Agent")
	}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		say := func(format string, args ...any) { say("%s: "+format, append([]any{name}, args...)...) }

		given := map[string]bool{}
		for _, secret := range s.Secrets {
			given[secretPath(secret)] = true
			if _, err := os.Stat(p.Secrets[secret.Source].File); err != nil {
				say("%v", err)
			}
		}
		for _, v := range s.Volumes {
			// What is outside of the repository is the engine's machine.
			if v.Type == types.VolumeTypeBind && strings.HasPrefix(v.Source, filepath.Dir(filepath.Dir(p.WorkingDir))) {
				if _, err := os.Stat(v.Source); err != nil {
					say("%v", err)
				}
			}
		}
		for variable, value := range s.Environment {
			if strings.HasSuffix(variable, "_FILE") && !given[*value] {
				say("%s: no secret is at %s", variable, *value)
			}
			for _, file := range encFiles(*value) {
				if !given[file] {
					say("%s: no secret is at %s", variable, file)
				}
			}
			if regexp.MustCompile(`(PASSWORD|KEY|DSN)$`).MatchString(variable) && !strings.HasPrefix(*value, "ENC[") {
				say("%s is in the file for all to see", variable)
			}
		}
		for dependency, d := range s.DependsOn {
			if d.Condition == types.ServiceConditionHealthy && !hasHealthCheck(p.Services[dependency]) {
				say("waits for the health of %s, which is never checked", dependency)
			}
		}
		if s.Build != nil {
			if _, ok := target(s.Build); !ok {
				say("the Dockerfile has no target %s", s.Build.Target)
			}
			if !s.ReadOnly {
				say("read_only is not set")
			}
			if !slices.Contains(s.CapDrop, "ALL") {
				say("cap_drop is not ALL")
			}
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") && name != "agent" {
			say("it may gain privileges")
		}
		for _, port := range s.Ports {
			if ip := net.ParseIP(port.HostIP); !ip.IsLoopback() {
				say("port %s is open to other machines", port.Published)
			}
		}
		problems = append(problems, labelProblems(p, name, agent)...)
	}
	return append(problems, serviceProblems(p.Services["apmapp"], agent)...)
}

// serviceProblems are those of the service itself.
func serviceProblems(s, agent types.ServiceConfig) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf("apmapp: "+format, args...)) }

	variable := func(name string) string {
		if v := s.Environment[name]; v != nil {
			return *v
		}
		return ""
	}
	told := strings.Join(agent.Command, "\n") + "\n"
	for name, value := range agent.Environment {
		told += name + "=" + *value + "\n"
	}
	for _, name := range []string{"DD_TRACE_AGENT_URL", "DD_DOGSTATSD_URL"} {
		socket, isSocket := strings.CutPrefix(variable(name), "unix://")
		if !isSocket || !slices.ContainsFunc(agentSockets, func(s string) bool { return strings.Contains(told, s+socket+"\n") }) {
			say("%s is %s, which the Agent does not make", name, variable(name))
		}
		if a, b := volumeAt(s, filepath.Dir(socket)), volumeAt(agent, filepath.Dir(socket)); a == "" || a != b {
			say("it does not share %s with the Agent", filepath.Dir(socket))
		}
	}
	for label, want := range map[string]string{
		"com.datadoghq.tags.service": variable("DD_SERVICE"),
		"com.datadoghq.tags.env":     variable("DD_ENV"),
	} {
		if s.Labels[label] != want {
			say("%s is %q, its spans say %q", label, s.Labels[label], want)
		}
	}
	// The version is in the image, by the build's argument.
	if v := s.Build.Args["VERSION"]; v == nil || *v != s.Labels["com.datadoghq.tags.version"] {
		say("com.datadoghq.tags.version is %q, the image's is another", s.Labels["com.datadoghq.tags.version"])
	}
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < drainTime {
		say("stop_grace_period is %v, to stop takes up to %s", s.StopGracePeriod, drainTime)
	}
	var mib float64
	_, err := fmt.Sscanf(variable("GOMEMLIMIT"), "%fMiB", &mib)
	if share := mib * (1 << 20) / float64(s.MemLimit); err != nil || !headroom(share) {
		say("GOMEMLIMIT is %s, %.0f %% of the limit", variable("GOMEMLIMIT"), 100*share)
	}
	return problems
}

// headroom tells whether a share of the memory leaves the kernel and the program
// itself their room, and the heap most.
func headroom(share float64) bool {
	return !math.IsNaN(share) && share >= 0.85 && share <= 0.97
}

// secretPath is where a service finds a secret.
func secretPath(s types.ServiceSecretConfig) string {
	if filepath.IsAbs(s.Target) {
		return s.Target
	}
	return filepath.Join("/run/secrets", first(s.Target, s.Source))
}

func volumeAt(s types.ServiceConfig, path string) string {
	for _, v := range s.Volumes {
		if v.Target == path {
			return v.Source
		}
	}
	return ""
}

// target returns the stage that a build ends with.
func target(b *types.BuildConfig) (stage string, ok bool) {
	dockerfile, err := os.ReadFile(filepath.Join(b.Context, first(b.Dockerfile, "Dockerfile")))
	if err != nil {
		return "", false
	}
	for _, stage := range regexp.MustCompile(`(?m)^FROM `).Split(string(dockerfile), -1) {
		line, _, _ := strings.Cut(stage, "\n")
		if strings.HasSuffix(line, " AS "+b.Target) {
			return stage, true
		}
	}
	return "", false
}

func hasHealthCheck(s types.ServiceConfig) bool {
	if s.HealthCheck != nil && len(s.HealthCheck.Test) > 0 {
		return true
	}
	if s.Build == nil {
		return false
	}
	stage, _ := target(s.Build)
	return regexp.MustCompile(`(?m)^HEALTHCHECK `).MatchString(stage)
}

// encFiles are the files that the Agent is told to read secrets from.
func encFiles(s string) (files []string) {
	for _, m := range regexp.MustCompile(`ENC\[file@([^\]]*)\]`).FindAllStringSubmatch(s, -1) {
		files = append(files, m[1])
	}
	return files
}

// labelProblems are those of the labels that tell the Agent what to do.
func labelProblems(p *types.Project, name string, agent types.ServiceConfig) (problems []string) {
	labels := p.Services[name].Labels
	say := func(label string, err any) { problems = append(problems, fmt.Sprintf("%s: %s: %v", name, label, err)) }

	if checks, ok := labels["com.datadoghq.ad.checks"]; ok {
		if err := validChecks(checks); err != nil {
			say("com.datadoghq.ad.checks", err)
		} else if err := sameCheck(checks, filepath.Join(p.WorkingDir, "../agent/conf.d/mysql.d/conf.yaml")); err != nil {
			say("com.datadoghq.ad.checks", err)
		}
		for _, file := range encFiles(checks) {
			if !slices.ContainsFunc(agent.Secrets, func(s types.ServiceSecretConfig) bool { return secretPath(s) == file }) && agent.Name == "agent" {
				say("com.datadoghq.ad.checks", "the Agent has no secret "+filepath.Base(file))
			}
		}
	}
	if logs, ok := labels["com.datadoghq.ad.logs"]; ok {
		if err := validLogs(logs, labels["com.datadoghq.tags.service"]); err != nil {
			say("com.datadoghq.ad.logs", err)
		}
	}
	return problems
}

// validChecks reads what autodiscovery reads of a container's checks.
// https://docs.datadoghq.com/containers/guide/ad_identifiers/
func validChecks(s string) error {
	var checks map[string]struct {
		InitConfig *map[string]any  `json:"init_config"`
		Instances  []map[string]any `json:"instances"`
		Logs       []map[string]any `json:"logs"`
	}
	if err := strictJSON(s, &checks); err != nil {
		return err
	}
	for name, check := range checks {
		if len(check.Instances) == 0 || check.InitConfig == nil {
			return fmt.Errorf("the check %s has no instances or no init_config", name)
		}
	}
	return nil
}

// sameCheck compares the MySQL check of a label with the one of the Agent on a VM:
// they differ in where the server and its password are.
func sameCheck(s, file string) error {
	var labelled map[string]map[string]any
	var onVM map[string]any
	if err := json.Unmarshal([]byte(s), &labelled); err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(content, &onVM); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	plain := func(check map[string]any) string {
		instance := check["instances"].([]any)[0].(map[string]any)
		delete(instance, "host")
		delete(instance, "password")
		text, _ := json.Marshal(map[string]any{"init_config": check["init_config"], "instance": instance})
		return string(text)
	}
	if a, b := plain(labelled["mysql"]), plain(onVM); a != b {
		return fmt.Errorf("differs from agent/conf.d/mysql.d/conf.yaml:\n%s\n%s", a, b)
	}
	return nil
}

// validLogs reads what autodiscovery reads of a container's logs.
func validLogs(s, service string) error {
	var logs []struct{ Source, Service string }
	if err := strictJSON(s, &logs); err != nil {
		return err
	}
	for _, l := range logs {
		if l.Source == "" || l.Service != service {
			return fmt.Errorf("source %q, service %q: the container's service is %q", l.Source, l.Service, service)
		}
	}
	return nil
}

func strictJSON(s string, v any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
