package containers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// composeProblems returns what is wrong with a project that compose itself accepts.
func composeProblems(p *types.Project) (problems []string) {
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	agent, ok := p.Services["agent"]
	if local, isLocal := p.Services["localagent"]; isLocal {
		if ok {
			report("two Agents")
		}
		agent, ok = local, true
	}
	if !ok {
		report("no Agent")
	}
	for _, name := range p.ServiceNames() {
		problems = append(problems, containerProblems(p, p.Services[name])...)
		problems = append(problems, labelProblems(p, p.Services[name], agent)...)
	}
	problems = append(problems, serviceProblems(p.Services["apmapp"], agent)...)
	return append(problems, trafficProblems(p, agent)...)
}

// containerProblems checks what all services have in common: secrets, files,
// dependencies, privileges and ports.
func containerProblems(p *types.Project, s types.ServiceConfig) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, s.Name+": "+fmt.Sprintf(format, args...))
	}
	mounted := map[string]bool{}
	for _, secret := range s.Secrets {
		mounted[secretPath(secret)] = true
		if _, err := os.Stat(p.Secrets[secret.Source].File); err != nil {
			report("%v", err)
		}
	}
	for _, v := range s.Volumes {
		// Paths outside of the repository belong to the machine of the engine.
		if v.Type == types.VolumeTypeBind && strings.HasPrefix(v.Source, filepath.Dir(filepath.Dir(p.WorkingDir))) {
			if _, err := os.Stat(v.Source); err != nil {
				report("%v", err)
			}
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
		value := *s.Environment[variable]
		if strings.HasSuffix(variable, "_FILE") && variable != "APMAPP_LOG_FILE" && !mounted[value] {
			report("%s: no secret is mounted at %s", variable, value)
		}
		for _, file := range encFiles(value) {
			if !mounted[file] {
				report("%s: no secret is mounted at %s", variable, file)
			}
		}
		if regexp.MustCompile(`(PASSWORD|KEY|DSN)$`).MatchString(variable) && !strings.HasPrefix(value, "ENC[") {
			report("%s holds a secret in the file", variable)
		}
	}
	for _, dependency := range slices.Sorted(maps.Keys(s.DependsOn)) {
		if s.DependsOn[dependency].Condition == types.ServiceConditionHealthy && !hasHealthCheck(p.Services[dependency]) {
			report("waits for %s to be healthy, which has no health check", dependency)
		}
	}
	if s.Build != nil {
		if _, ok := target(s.Build); !ok {
			report("the Dockerfile has no target %s", s.Build.Target)
		}
		if !s.ReadOnly {
			report("read_only is not set")
		}
		if !slices.Contains(s.CapDrop, "ALL") {
			report("cap_drop is not ALL")
		}
	}
	// Datadog's Agent needs more privileges than the others.
	if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") && s.Name != "agent" {
		report("security_opt lacks no-new-privileges:true")
	}
	for _, port := range s.Ports {
		if ip := net.ParseIP(port.HostIP); !ip.IsLoopback() {
			report("port %s is open to other machines", port.Published)
		}
	}
	return problems
}

// agentSockets are the variables and flags that tell an Agent where to create its
// sockets.
var agentSockets = []string{"DD_APM_RECEIVER_SOCKET=", "DD_DOGSTATSD_SOCKET=", "-socket=", "-dogstatsd-socket="}

// serviceProblems checks the service itself: its way to the Agent, its tags, its stop
// and its memory limit.
func serviceProblems(s, agent types.ServiceConfig) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("apmapp: "+format, args...))
	}
	variable := func(name string) string {
		if v := s.Environment[name]; v != nil {
			return *v
		}
		return ""
	}
	for _, name := range []string{"DD_TRACE_AGENT_URL", "DD_DOGSTATSD_URL"} {
		problems = append(problems, socketProblems(s, agent, name, variable(name))...)
	}
	for _, tag := range []struct{ label, variable string }{
		{"com.datadoghq.tags.service", "DD_SERVICE"},
		{"com.datadoghq.tags.env", "DD_ENV"},
	} {
		if got, want := s.Labels[tag.label], variable(tag.variable); got != want {
			report("%s is %q, the tag of its spans is %q", tag.label, got, want)
		}
	}
	// The build argument sets the version in the image.
	if v := s.Build.Args["VERSION"]; v == nil || *v != s.Labels["com.datadoghq.tags.version"] {
		report("com.datadoghq.tags.version is %q, which differs from the image's version", s.Labels["com.datadoghq.tags.version"])
	}
	problems = append(problems, imageHealthCheck(s)...)
	problems = append(problems, logProblems(s, agent)...)
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < drainTime {
		report("stop_grace_period is %v, a stop takes up to %s", s.StopGracePeriod, drainTime)
	}
	var mib, logMB float64
	_, err := fmt.Sscanf(variable("GOMEMLIMIT"), "%fMiB", &mib)
	// The log is in a tmpfs, which counts as memory of the service: six files.
	_, logErr := fmt.Sscan(variable("APMAPP_LOG_FILE_SIZE"), &logMB)
	if share := (mib*(1<<20) + 6*logMB*1e6) / float64(s.MemLimit); err != nil || logErr != nil || !headroom(share) {
		report("GOMEMLIMIT is %s, %.0f %% of the limit", variable("GOMEMLIMIT"), 100*share)
	}
	return problems
}

// logProblems checks that the local agent follows the service's log, in a file that both
// have. The Datadog Agent reads standard output.
func logProblems(s, agent types.ServiceConfig) (problems []string) {
	if agent.Name != "localagent" {
		return nil
	}
	var path string
	if v := s.Environment["APMAPP_LOG_FILE"]; v != nil {
		path = *v
	}
	if !slices.Contains(agent.Command, "-logs="+path) {
		problems = append(problems, fmt.Sprintf("%s: APMAPP_LOG_FILE is %q, which the local agent does not follow", s.Name, path))
	}
	if a, b := volumeAt(s, filepath.Dir(path)), volumeAt(agent, filepath.Dir(path)); a == "" || a != b {
		problems = append(problems, fmt.Sprintf("%s: it does not share %s with the local agent", s.Name, filepath.Dir(path)))
	}
	return problems
}

// socketProblems checks the address of an Agent's socket, which name gives to a
// service.
func socketProblems(s, agent types.ServiceConfig, name, address string) (problems []string) {
	settings := slices.Clone([]string(agent.Command))
	for name, value := range agent.Environment {
		settings = append(settings, name+"="+*value)
	}
	socket, isSocket := strings.CutPrefix(address, "unix://")
	if !isSocket || !slices.ContainsFunc(agentSockets, func(setting string) bool { return slices.Contains(settings, setting+socket) }) {
		problems = append(problems, fmt.Sprintf("%s: %s is %s, which the Agent does not create", s.Name, name, address))
	}
	if a, b := volumeAt(s, filepath.Dir(socket)), volumeAt(agent, filepath.Dir(socket)); a == "" || a != b {
		problems = append(problems, fmt.Sprintf("%s: it does not share %s with the Agent", s.Name, filepath.Dir(socket)))
	}
	return problems
}

// trafficProblems checks that the metrics of loadgen reach the Agent, with the env of
// the service.
func trafficProblems(p *types.Project, agent types.ServiceConfig) (problems []string) {
	s := p.Services["loadgen"]
	var address string
	if i := slices.Index(s.Command, "-statsd"); i >= 0 && i+1 < len(s.Command) {
		address = s.Command[i+1]
	}
	problems = socketProblems(s, agent, "-statsd", address)
	if got, want := s.Environment["DD_ENV"], p.Services["apmapp"].Environment["DD_ENV"]; got == nil || want == nil || *got != *want {
		problems = append(problems, "loadgen: DD_ENV differs from that of apmapp")
	}
	return problems
}

// labelProblems checks the labels that configure the Agent.
func labelProblems(p *types.Project, s, agent types.ServiceConfig) (problems []string) {
	report := func(label, problem string) {
		problems = append(problems, fmt.Sprintf("%s: %s: %s", s.Name, label, problem))
	}
	if checks, ok := s.Labels["com.datadoghq.ad.checks"]; ok {
		if err := validChecks(checks); err != nil {
			report("com.datadoghq.ad.checks", err.Error())
		} else if err := sameCheck(checks, filepath.Join(p.WorkingDir, "../agent/conf.d/mysql.d/conf.yaml")); err != nil {
			report("com.datadoghq.ad.checks", err.Error())
		}
		for _, file := range encFiles(checks) {
			if !slices.ContainsFunc(agent.Secrets, func(s types.ServiceSecretConfig) bool { return secretPath(s) == file }) && agent.Name == "agent" {
				report("com.datadoghq.ad.checks", "the Agent has no secret "+filepath.Base(file))
			}
		}
	}
	if logs, ok := s.Labels["com.datadoghq.ad.logs"]; ok {
		if err := validLogs(logs, s.Labels["com.datadoghq.tags.service"]); err != nil {
			report("com.datadoghq.ad.logs", err.Error())
		}
	}
	return problems
}

// secretPath returns where a service finds a secret.
func secretPath(s types.ServiceSecretConfig) string {
	if filepath.IsAbs(s.Target) {
		return s.Target
	}
	return filepath.Join("/run/secrets", cmp.Or(s.Target, s.Source))
}

// volumeAt returns the source of the volume that a service mounts at a path.
func volumeAt(s types.ServiceConfig, path string) string {
	for _, v := range s.Volumes {
		if v.Target == path {
			return v.Source
		}
	}
	return ""
}

// target returns the text of the Dockerfile's stage that a build ends with.
func target(b *types.BuildConfig) (stage string, ok bool) {
	dockerfile, err := os.ReadFile(filepath.Join(b.Context, cmp.Or(b.Dockerfile, "Dockerfile")))
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

// hasHealthCheck reports whether the compose file has a health check for a service.
// One in the Dockerfile does not count: images in OCI format have none.
func hasHealthCheck(s types.ServiceConfig) bool {
	return s.HealthCheck != nil && len(s.HealthCheck.Test) > 0
}

// imageHealthCheck checks that the health check of a service is the one of its image.
func imageHealthCheck(s types.ServiceConfig) (problems []string) {
	stage, _ := target(s.Build)
	want := regexp.MustCompile(`(?m)^HEALTHCHECK .*CMD (\[.*\])$`).FindStringSubmatch(stage)
	if want == nil || !hasHealthCheck(s) {
		return []string{s.Name + ": the image or the compose file has no health check"}
	}
	command, err := json.Marshal(s.HealthCheck.Test[1:])
	if err != nil || string(command) != strings.ReplaceAll(want[1], ", ", ",") {
		return []string{fmt.Sprintf("%s: the health check is %s, in the image %s", s.Name, command, want[1])}
	}
	return nil
}

// encFiles returns the files of all ENC[file@…] in a text. The Agent reads secrets
// from them.
func encFiles(s string) (files []string) {
	for _, m := range regexp.MustCompile(`ENC\[file@([^\]]*)\]`).FindAllStringSubmatch(s, -1) {
		files = append(files, m[1])
	}
	return files
}
