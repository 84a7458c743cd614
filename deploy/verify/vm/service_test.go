package vm

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

// testUnits checks the units with systemd's own tools, and the running service's
// sandbox.
func testUnits(m provisioned) {
	m.t.Helper()
	for _, unit := range []string{"apmapp.service", "apmapp-loadgen.service"} {
		// systemd only warns of settings that it does not know.
		if out := m.MustRun(m.t, "systemd-analyze", "verify", "/etc/systemd/system/"+unit); out != "" {
			m.t.Errorf("systemd-analyze verify %s: %s", unit, out)
		}
		out := m.MustRun(m.t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "/etc/systemd/system/"+unit)
		found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if found == nil {
			m.t.Fatalf("systemd-analyze security %s prints no exposure:\n%s", unit, out)
		}
		if score, err := strconv.ParseFloat(found[1], 64); err != nil || score > 2.5 {
			m.t.Errorf("%s: exposure %s, want at most 2.5\n%s", unit, found[1], out)
		}
	}
	// After the drain, the service needs time to send the last telemetry.
	stop := m.show("apmapp", "TimeoutStopUSec")
	timeout, err := time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(stop, "min", "m"), " ", ""))
	help := m.MustRun(m.t, "apmapp", "-help")
	drain := regexp.MustCompile(`-drain-timeout[^\n]*\n[^\n]*\(default ([0-9a-z]+)\)`).FindStringSubmatch(help)
	if drain == nil {
		m.t.Fatalf("-help shows no default of -drain-timeout:\n%s", help)
	}
	if longest, _ := time.ParseDuration(drain[1]); err != nil || longest == 0 || timeout < longest+5*time.Second {
		m.t.Errorf("TimeoutStopSec is %s, want at least 5 s more than -drain-timeout %s", stop, drain[1])
	}
	// The sandbox as the kernel sees it.
	pid := m.show("apmapp", "MainPID")
	status := m.MustRun(m.t, "cat", "/proc/"+pid+"/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000", "CapEff:\t0000000000000000"} {
		if !strings.Contains(status, want) {
			m.t.Errorf("the service's process is not %q:\n%s", want, status)
		}
	}
	if user := m.MustRun(m.t, "stat", "--format=%U", "/proc/"+pid); user != "apmapp" {
		m.t.Errorf("the service runs as %s, want apmapp", user)
	}
}

// testStop stops the service while loadgen sends requests, and its metrics to the
// Agent's socket.
func testStop(m provisioned) {
	m.t.Helper()
	metrics := listenDogStatsD(m)
	m.provision(script, "--bin", "/usr/local/bin", "--loadgen")
	requests := func() int {
		return strings.Count(m.Read(m.t, "/var/log/apmapp/apmapp.log"), `"msg":"request"`)
	}
	before := requests()
	poll.Until(m.t, func() error {
		if n := requests() - before; n < 20 {
			return fmt.Errorf("apmapp-loadgen sent %d requests, want 20", n)
		}
		return nil
	})
	m.MustRun(m.t, "systemctl", "stop", "apmapp")
	if got := m.MustRun(m.t, "systemctl", "show", "--property=Result,ExecMainStatus,ExecMainCode", "apmapp"); !strings.Contains(got, "Result=success") || !strings.Contains(got, "ExecMainStatus=0") {
		m.t.Errorf("after systemctl stop the service has %s, want success with status 0", got)
	}
	if log := m.Read(m.t, "/var/log/apmapp/apmapp.log"); !strings.Contains(log[max(0, len(log)-1000):], `"msg":"stopped"`) {
		m.t.Errorf("the log does not end with stopped: %s", log[max(0, len(log)-1000):])
	}
	if state, _ := m.Run("systemctl", "is-active", "apmapp-loadgen"); state != "inactive" {
		m.t.Errorf("after the service stopped, apmapp-loadgen is %s, want inactive", state)
	}
	if out := m.MustRun(m.t, "journalctl", "--no-pager", "--output=cat", "--unit=apmapp-loadgen"); !strings.Contains(out, " 0 dropped, 0 failed ") {
		m.t.Errorf("apmapp-loadgen reports dropped or failed requests: %s", out)
	}
	var n int
	for _, found := range regexp.MustCompile(`(?m)^loadgen\.requests:([0-9]+)\|c\|#\S*\benv:dev\b`).FindAllStringSubmatch(metrics(), -1) {
		count, _ := strconv.Atoi(found[1])
		n += count
	}
	if n < 20 {
		m.t.Errorf("the Agent's socket received the metrics of %d requests of env dev, want at least 20: %s", n, metrics())
	}
}

// listenDogStatsD creates the Agent's socket for metrics. It returns a function that
// returns the packets so far.
func listenDogStatsD(m provisioned) (packets func() string) {
	m.t.Helper()
	m.MustRun(m.t, "install", "--directory", "--owner=dd-agent", "/run/datadog")
	conn, err := net.ListenPacket("unixgram", m.Path("/run/datadog/dsd.socket"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	m.MustRun(m.t, "chmod", "722", "/run/datadog/dsd.socket")
	var received lockedbuffer.Buffer
	go func() {
		packet := make([]byte, 1<<16)
		for {
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return // closed
			}
			_, _ = received.Write(append(packet[:n], '\n'))
		}
	}()
	return received.String
}
