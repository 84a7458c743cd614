package containers

import (
	"cmp"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose reads a compose file with the library of docker compose.
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
	t.Parallel()
	deploy := deployment(t)
	for _, profile := range []string{"local", "datadog"} {
		t.Run(profile, func(t *testing.T) {
			p, err := compose(t, filepath.Join(deploy, "compose"), profile, "VERSION=1.2.3", "DD_ENV=demo")
			if err != nil {
				t.Fatal(err)
			}
			wantNoProblems(t, composeProblems(p))
			if got := p.Services["apmapp"].Image; got != "apmapp:1.2.3" {
				t.Errorf("with VERSION=1.2.3 the image is %s, want apmapp:1.2.3", got)
			}
		})
	}
}

// TestBrokenCompose breaks one thing at a time and expects the check that notices it.
func TestBrokenCompose(t *testing.T) {
	for _, tc := range []struct{ name, file, old, with, want string }{
		{"key that compose does not know", "", "read_only:", "readonly:", "readonly"},
		{"secret that secrets.sh does not make", "", "secrets/dsn", "secrets/dns", "secrets/dns: no such file"},
		{"missing file", "", "agent/mysql/datadog.sql:", "agent/mysql/datadog.SQL:", "datadog.SQL: no such file"},
		{"missing target", "", "target: loadgen", "target: generator", "no target generator"},
		{"dependency without a health check", "", "    healthcheck:", "    x-healthcheck:", "waits for mysql to be healthy"},
		{"log that the local agent does not follow", "", "APMAPP_LOG_FILE: /var/run/datadog/apmapp.log", "APMAPP_LOG_FILE: /var/run/datadog/app.log", "which the local agent does not follow"},
		{"log in a folder that is not shared", "", "/var/run/datadog/apmapp.log", "/tmp/apmapp.log", "it does not share /tmp with the local agent"},
		{"dependency whose health check is only in the image", "", "test: [CMD, /apmapp, -healthcheck]", "disable: false", "waits for apmapp to be healthy"},
		{"image without its health check", "../../Dockerfile", "HEALTHCHECK ", "# ", "the image or the compose file has no health check"},
		{"health check that differs from the image's", "", "test: [CMD, /apmapp, -healthcheck]", "test: [CMD, /apmapp, -help]", "the health check is"},
		{"label with invalid JSON", "", `"dbm": true,`, `"dbm": true`, "com.datadoghq.ad.checks"},
		{"check without instances", "", `"init_config": {"propagate_agent_tags": true},`, "", "no instances or no init_config"},
		{"password that the Agent cannot read", "", "secrets: [dd_api_key, mysql_datadog_password]", "secrets: [dd_api_key]", "the Agent has no secret mysql_datadog_password"},
		{"password in the file", "", "MYSQL_PASSWORD_FILE: /run/secrets/mysql_apmapp_password", "MYSQL_PASSWORD: hunter2", "MYSQL_PASSWORD holds a secret"},
		{"secret that the service does not get", "", "secrets: [dsn]", "secrets: []", "no secret is mounted at /run/secrets/dsn"},
		{"MySQL check that differs from the VM's", "", `"replication": false`, `"replication": true`, "differs from"},
		{"service tag that differs", "", "com.datadoghq.tags.service: apmapp\n", "com.datadoghq.tags.service: apm\n", "tags.service"},
		{"version tag that differs", "", "com.datadoghq.tags.version: ${VERSION:-dev}", "com.datadoghq.tags.version: dev", "tags.version"},
		{"env tag that differs", "", "com.datadoghq.tags.env: ${DD_ENV:-dev}", "com.datadoghq.tags.env: dev", "tags.env"},
		{"socket that the Agent does not create", "", "DD_APM_RECEIVER_SOCKET: /var/run/datadog/apm.socket", "DD_APM_RECEIVER_SOCKET: /run/apm.socket", "apm.socket, which the Agent does not create"},
		{"sockets that are not shared", "", "    volumes:\n      - *sockets\n", "    volumes:\n", "does not share"},
		{"loadgen without metrics", "", `, -statsd, "unix:///var/run/datadog/dsd.socket"`, "", "loadgen: -statsd is , which the Agent does not create"},
		{"loadgen without the sockets", "", "    volumes: [*sockets]\n    depends_on", "    depends_on", "loadgen: it does not share"},
		{"loadgen in another env", "", "of the service.\n      DD_ENV: ${DD_ENV:-dev}", "of the service.\n      DD_ENV: dev", "loadgen: DD_ENV differs"},
		{"writable root", "", "  read_only: true\n", "", "read_only"},
		{"capabilities", "", "  cap_drop: [ALL]\n", "", "cap_drop"},
		{"port open to other machines", "", `"127.0.0.1:5050:5050"`, `"5050:5050"`, "port 5050 is open"},
		{"stop too early for requests in flight", "", "stop_grace_period: 20s", "stop_grace_period: 10s", "stop_grace_period"},
		{"Go memory limit too close to the container's", "", "GOMEMLIMIT: 236MiB", "GOMEMLIMIT: 256MiB", "GOMEMLIMIT"},
		{"log that fills the container's memory", "", "APMAPP_LOG_FILE_SIZE: 1\n", "APMAPP_LOG_FILE_SIZE: 10\n", "GOMEMLIMIT"},
		{"no Agent", "", "profiles: [datadog]", "profiles: [dd]", "no Agent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			deploy := deployment(t)
			replace(t, filepath.Join(deploy, "compose", cmp.Or(tc.file, "compose.yaml")), tc.old, tc.with)
			var problems []string
			for _, profile := range []string{"local", "datadog"} {
				p, err := compose(t, filepath.Join(deploy, "compose"), profile, "VERSION=1.2.3", "DD_ENV=demo")
				if err != nil {
					problems = append(problems, err.Error())
				} else {
					problems = append(problems, composeProblems(p)...)
				}
			}
			wantProblem(t, problems, tc.want)
		})
	}
}
