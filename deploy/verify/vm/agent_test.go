package vm

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// standIn takes the place of the Agent's install script, which cannot be reached
// here. It leaves behind what provision.sh deals with: a user, directories, a
// program, a unit. It is no Agent and reads none of its files; those are checked by
// TestDatadogYAML and its neighbours.
const standIn = `#!/bin/bash
set -eu
[[ ${DD_INSTALL_ONLY:-} == true ]] || { echo 'it would start before it is configured'; exit 1; }
[[ -e /etc/datadog-agent/datadog.yaml ]] || { echo 'it would ask for a key and write it to datadog.yaml'; exit 1; }
[[ -z ${DD_API_KEY:-} ]] || { echo 'it has no need of the key'; exit 1; }
useradd --system --user-group --no-create-home --shell /usr/sbin/nologin dd-agent
mkdir -p /etc/datadog-agent/{conf.d,checks.d} /opt/datadog-agent/bin/agent
chown -R dd-agent:dd-agent /etc/datadog-agent
ln -s /bin/sleep /opt/datadog-agent/bin/agent/agent
cat >/etc/systemd/system/datadog-agent.service <<'UNIT'
[Service]
User=dd-agent
ExecStart=/opt/datadog-agent/bin/agent/agent infinity
[Install]
WantedBy=multi-user.target
UNIT
`

func testAgent(m provisioned, server string) {
	m.t.Helper()
	m.Write(m.t, "/opt/install_script_agent7.sh", standIn)
	m.again("DD_API_KEY="+apiKey, "DD_SITE=datadoghq.eu", "AGENT_INSTALL_SCRIPT=/opt/install_script_agent7.sh")
	was := m.state()
	m.wantNothingChanged(was, m.again("DD_API_KEY="+apiKey, "DD_SITE=datadoghq.eu"))
	// Without the key, the one that there is stays.
	m.wantNothingChanged(was, m.again())

	for path, want := range map[string]string{
		"datadog.yaml":              "640 dd-agent:dd-agent",
		"environment":               "640 dd-agent:dd-agent",
		"secrets":                   "700 dd-agent:dd-agent",
		"secrets/api_key":           "400 dd-agent:dd-agent",
		"secrets/mysql_password":    "400 dd-agent:dd-agent",
		"conf.d/mysql.d/conf.yaml":  "640 dd-agent:dd-agent",
		"conf.d/apmapp.d/conf.yaml": "640 dd-agent:dd-agent",
		"conf.d/my_metric.yaml":     "640 dd-agent:dd-agent",
		"checks.d/my_metric.py":     "640 dd-agent:dd-agent",
	} {
		m.wantFile("/etc/datadog-agent/"+path, want)
	}
	for path, want := range map[string]string{
		"secrets/api_key":        apiKey + "\n",
		"secrets/mysql_password": m.datadogPassword() + "\n",
		"environment":            "DD_SITE=datadoghq.eu\n",
	} {
		if m.Read(m.t, "/etc/datadog-agent/"+path) != want {
			m.t.Errorf("%s holds something else", path)
		}
	}
	innodb := "disable_innodb_metrics: " + strconv.FormatBool(server == "MariaDB")
	if conf := m.Read(m.t, "/etc/datadog-agent/conf.d/mysql.d/conf.yaml"); !strings.Contains(conf, innodb) {
		m.t.Errorf("on %s the MySQL check is not told %s", server, innodb)
	}
	// What the Agent's configuration names, the Agent's user can read.
	m.MustRun(m.t, "runuser", "-u", "dd-agent", "--", "head", "-c1", "/var/log/apmapp/apmapp.log")
	if out, err := m.Run("runuser", "-u", "nobody", "--", "cat", "/var/log/apmapp/apmapp.log"); err == nil {
		m.t.Errorf("anyone can read the log: %.100s", out)
	}
	m.MustRun(m.t, "systemctl", "is-active", "--quiet", "datadog-agent")
	testSocket(m)
}

// testSocket sees traces come to where the Agent listens: the sandbox lets them out.
func testSocket(m provisioned) {
	m.t.Helper()
	m.MustRun(m.t, "install", "--directory", "--owner=dd-agent", "/run/datadog")
	listener, err := net.Listen("unix", m.Path("/run/datadog/apm.socket"))
	if err != nil {
		m.t.Fatal(err)
	}
	// As the Agent makes its socket: others may write, that is, connect.
	m.MustRun(m.t, "chmod", "722", "/run/datadog/apm.socket")
	var traces, profiles atomic.Int64
	agent := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/traces"):
			n, _ := strconv.Atoi(r.Header.Get("X-Datadog-Trace-Count"))
			traces.Add(int64(n))
		case r.URL.Path == "/profiling/v1/input":
			profiles.Add(1)
		}
		fmt.Fprintln(w, "{}")
	})}
	go func() { _ = agent.Serve(listener) }()
	defer agent.Close()
	m.MustRun(m.t, "systemctl", "restart", "apmapp")
	m.awaitReady()
	m.load()
	m.MustRun(m.t, "systemctl", "restart", "apmapp")
	if traces.Load() < 100 || profiles.Load() == 0 {
		m.t.Errorf("%d traces and %d profiles came to the Agent's socket, want 100 and one", traces.Load(), profiles.Load())
	}
}
