package vm

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// apiKey is an invalid key.
const apiKey = "5ec7e75ec7e75ec7e75ec7e75ec7e75e"

// standIn replaces the Agent's install script, which the tests cannot download. It
// creates what provision.sh works with: a user, directories, a program and a unit. It is
// not an Agent and reads no configuration; the module deploy/verify/agent checks these
// files.
const standIn = `#!/bin/bash
set -eu
[[ ${DD_INSTALL_ONLY:-} == true ]] || { echo 'without DD_INSTALL_ONLY, the Agent would start before it is configured'; exit 1; }
[[ -e /etc/datadog-agent/datadog.yaml ]] || { echo 'without datadog.yaml, the script would ask for a key and write it there'; exit 1; }
[[ -z ${DD_API_KEY:-} ]] || { echo 'DD_API_KEY is set, but the script does not need it'; exit 1; }
! read -r || { echo 'after a failure, the script would read an answer from standard input'; exit 1; }
if [[ ! -e /opt/tried ]]; then
    touch /opt/tried
    echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1043 (unattended-upgr)'
    exit 100
fi
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

// testAgent installs the stand-in for the Agent and checks its configuration.
func testAgent(m provisioned) {
	m.t.Helper()
	m.Write(m.t, "/opt/install_script_agent7.sh", standIn)
	if out := m.again("DD_API_KEY="+apiKey, "DD_SITE=datadoghq.eu", "AGENT_INSTALL_SCRIPT=/opt/install_script_agent7.sh"); !strings.Contains(out, "waiting for another program that uses apt, at most 900 s: Could not get lock /var/lib/dpkg/lock-frontend") {
		m.t.Error("provision.sh does not report that the Agent's install script waits for another program that uses apt")
	}
	before := m.state()
	m.wantNoChange(before, m.again("DD_API_KEY="+apiKey, "DD_SITE=datadoghq.eu"))
	// A run without the key keeps the existing one.
	m.wantNoChange(before, m.again())

	for _, f := range []struct{ path, modeAndOwner string }{
		{"datadog.yaml", "640 dd-agent:dd-agent"},
		{"environment", "640 dd-agent:dd-agent"},
		{"secrets", "700 dd-agent:dd-agent"},
		{"secrets/api_key", "400 dd-agent:dd-agent"},
		{"secrets/mysql_password", "400 dd-agent:dd-agent"},
		{"conf.d/mysql.d/conf.yaml", "640 dd-agent:dd-agent"},
		{"conf.d/apmapp.d/conf.yaml", "640 dd-agent:dd-agent"},
		{"conf.d/my_metric.yaml", "640 dd-agent:dd-agent"},
		{"checks.d/my_metric.py", "640 dd-agent:dd-agent"},
	} {
		m.wantFile("/etc/datadog-agent/"+f.path, f.modeAndOwner)
	}
	for _, f := range []struct{ path, content string }{
		{"secrets/api_key", apiKey + "\n"},
		{"secrets/mysql_password", m.datadogPassword() + "\n"},
		{"environment", "DD_SITE=datadoghq.eu\n"},
	} {
		if m.Read(m.t, "/etc/datadog-agent/"+f.path) != f.content {
			m.t.Errorf("/etc/datadog-agent/%s has unexpected content", f.path)
		}
	}
	// The Agent can read the log, other users cannot.
	m.MustRun(m.t, "runuser", "-u", "dd-agent", "--", "head", "-c1", "/var/log/apmapp/apmapp.log")
	if out, err := m.Run("runuser", "-u", "nobody", "--", "cat", "/var/log/apmapp/apmapp.log"); err == nil {
		m.t.Errorf("any user can read the log: %.100s", out)
	}
	m.MustRun(m.t, "systemctl", "is-active", "--quiet", "datadog-agent")
	testSocket(m)
}

// testSocket checks that traces and profiles leave the service's sandbox through the
// Agent's socket.
func testSocket(m provisioned) {
	m.t.Helper()
	m.MustRun(m.t, "install", "--directory", "--owner=dd-agent", "/run/datadog")
	listener, err := net.Listen("unix", m.Path("/run/datadog/apm.socket"))
	if err != nil {
		m.t.Fatal(err)
	}
	// The mode that the Agent sets: other users can write, that is, connect.
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
		m.t.Errorf("the Agent's socket received %d traces and %d profiles, want at least 100 and 1", traces.Load(), profiles.Load())
	}
}
