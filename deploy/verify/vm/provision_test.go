package vm

import (
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"apmapp/deploy/verify/vm/debian"
)

func TestProvision(t *testing.T) {
	programs := t.TempDir()
	built := sync.OnceValue(func() error { return build(programs) })
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		root := bookworm(t)
		// So that the machine's Go finds its work done.
		if err := built(); err != nil {
			t.Fatal(err)
		}
		m := boot(t, root, goShares(t)...)
		testProvision(m, "MariaDB", m.provision("GOPROXY=off", script))
	})
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		root := sid(t)
		if err := built(); err != nil {
			t.Fatal(err)
		}
		m := boot(t, root, debian.Share{From: programs, To: "/opt/programs"})
		testProvision(m, "MySQL", m.provision(script, "--bin", "/opt/programs"))
	})
}

func testProvision(m provisioned, server, said string) {
	t := m.t
	t.Helper()
	if !strings.Contains(said, "agent: skipped, DD_API_KEY is not set") {
		t.Error("it does not say that there is no Agent")
	}
	if got := m.sql("SELECT VERSION()"); strings.Contains(got, "MariaDB") != (server == "MariaDB") {
		t.Fatalf("the server is %s", got)
	}
	m.wantNothingChanged(m.state(), m.again())

	m.wantFile("/etc/apmapp", "700 root:root")
	m.wantFile("/etc/apmapp/dsn", "600 root:root")
	m.wantFile("/etc/apmapp/datadog_password", "600 root:root")
	m.wantFile("/var/log/apmapp", "750 apmapp:apmapp")
	m.wantFile("/usr/local/bin/apmapp", "755 root:root")
	testUnits(m)
	m.load()
	testUsers(m)
	testLog(m)
	testAgent(m, server)
	testRepair(m)
	testStop(m)
	testSecrets(m)
}

// testUsers checks what provision.sh is to have set up in MySQL, as a client.
func testUsers(m provisioned) {
	m.t.Helper()
	dsn := strings.TrimSpace(m.Read(m.t, "/etc/apmapp/dsn"))
	found := regexp.MustCompile(`^apmapp:([0-9a-f]{48})@tcp\(127\.0\.0\.1:3306\)/apmapp$`).FindStringSubmatch(dsn)
	if found == nil {
		m.t.Fatalf("the DSN has an unexpected form: %d characters", len(dsn))
	}
	if out, err := m.sqlAs("apmapp", found[1], "SELECT COUNT(*) > 0 FROM apmapp.visits"); err != nil || out != "1" {
		m.t.Errorf("the service's user reads %q, %v", out, err)
	}
	for _, query := range []string{"SELECT * FROM mysql.user", "CREATE DATABASE other", "CREATE USER other"} {
		if out, err := m.sqlAs("apmapp", found[1], query); err == nil {
			m.t.Errorf("the service's user can %s: %s", query, out)
		}
	}
	if out, err := m.sqlAs("datadog", m.datadogPassword(), "CALL apmapp.explain_statement('SELECT * FROM visits')"); err != nil || !strings.Contains(out, "visits") {
		m.t.Errorf("the Agent's user gets a plan %q, %v", out, err)
	}
	if got := m.sql("SELECT max_user_connections FROM mysql.user WHERE user = 'datadog'"); got != "5" {
		m.t.Errorf("the Agent's user may have %s connections, want 5", got)
	}
	if got := m.sql("SELECT @@performance_schema, @@max_digest_length, @@bind_address"); got != "1\t4096\t127.0.0.1" {
		m.t.Errorf("the server runs with %q", got)
	}
}

// testRepair breaks what provision.sh is there to keep.
func testRepair(m provisioned) {
	m.t.Helper()
	// With a statement history that would keep a password.
	if out, err := m.sqlAs("datadog", m.datadogPassword(), "CALL datadog.enable_events_statements_consumers()"); err != nil {
		m.t.Fatalf("%v %s", err, out)
	}
	was := m.state()
	m.sql("DROP USER datadog@'%'; DROP USER apmapp@'127.0.0.1'")
	m.MustRun(m.t, "rm", "/etc/logrotate.d/apmapp")
	m.MustRun(m.t, "chmod", "644", "/etc/apmapp/dsn")
	m.MustRun(m.t, "systemctl", "stop", "apmapp")
	out := m.again()
	is := m.state()
	for _, volatile := range []string{"procedures", "process of apmapp", "account datadog@%", "account apmapp@127.0.0.1"} {
		// New salts, new processes; testUsers and load look at what they are for.
		delete(was, volatile)
		delete(is, volatile)
	}
	m.wantSame(was, is)
	for _, want := range []string{"MySQL's user datadog", "MySQL's user apmapp", "/etc/logrotate.d/apmapp", "/etc/apmapp/dsn", "apmapp runs"} {
		if !strings.Contains(out, "changed: "+want) {
			m.t.Errorf("it does not say that it changed %s", want)
		}
	}
	m.load()
	testUsers(m)

	// A service that dies comes back.
	m.MustRun(m.t, "bash", "-c", "kill -KILL $(systemctl show --value --property=MainPID apmapp)")
	m.awaitReady()
	if restarts := m.MustRun(m.t, "systemctl", "show", "--value", "--property=NRestarts", "apmapp"); restarts != "1" {
		m.t.Errorf("the service was restarted %s times, want once", restarts)
	}

	// What a run that failed had changed, the next one puts to use.
	const agent, unit = "/opt/datadog-agent/bin/agent/agent", "/etc/systemd/system/apmapp.service"
	m.MustRun(m.t, "bash", "-c", "mv "+agent+" /opt; echo '# old' >>"+unit+"; echo 'exit 1' >/opt/install_script_agent7.sh")
	if out, err := m.Run("env", "DD_API_KEY="+apiKey, "AGENT_INSTALL_SCRIPT=/opt/install_script_agent7.sh", script, "--bin", "/usr/local/bin"); err == nil ||
		!strings.Contains(out, "changed: "+unit) || !strings.Contains(out, "the Agent's install script failed") || strings.Contains(out, apiKey) {
		m.t.Errorf("with a broken install script: %v %s", err, out)
	}
	m.MustRun(m.t, "mv", "/opt/agent", agent)
	if out := m.again(); !strings.Contains(out, "changed: apmapp runs anew") {
		m.t.Error("after a run that failed, the service is not started anew")
	}

	// A database of one's own is left alone.
	dsn := m.Read(m.t, "/etc/apmapp/dsn")
	const own = "me:secret@tcp(database.example.com:3306)/mine\n"
	m.Write(m.t, "/etc/apmapp/dsn", own)
	if out := m.again(); !strings.Contains(out, "names one of your own") || m.Read(m.t, "/etc/apmapp/dsn") != own {
		m.t.Error("a DSN of one's own does not stay as it is")
	}
	m.Write(m.t, "/etc/apmapp/dsn", dsn)
}

// testSecrets looks for the secrets where they have no business.
func testSecrets(m provisioned) {
	m.t.Helper()
	dsn := m.Read(m.t, "/etc/apmapp/dsn")
	servicePassword := regexp.MustCompile(`[0-9a-f]{48}`).FindString(dsn)
	for secret, want := range map[string]string{
		apiKey:              "/etc/datadog-agent/secrets/api_key",
		servicePassword:     "/etc/apmapp/dsn",
		m.datadogPassword(): "/etc/apmapp/datadog_password\n/etc/datadog-agent/secrets/mysql_password",
	} {
		// The journal included, which is in /var/log or /run/log.
		out, _ := m.Run("bash", "-c", `grep --recursive --files-with-matches --text --devices=skip --fixed-strings --exclude-dir=credentials --exclude-dir=go --exclude-dir=go-build -- "$1" /etc /opt /root /run /tmp /usr/local /var 2>/dev/null | sort`, "grep", secret)
		if out != want {
			m.t.Errorf("a secret that belongs in %s is in\n%s", want, out)
		}
		if out, _ := m.Run("bash", "-c", `journalctl --no-pager --output=verbose | grep --count --fixed-strings -- "$1"`, "grep", secret); out != "0" {
			m.t.Errorf("a secret of %s is in the journal: %s times", want, out)
		}
		if out := m.sql("SELECT COUNT(*) FROM performance_schema.events_statements_history_long WHERE sql_text LIKE '%" + secret[:20] + "%' AND sql_text NOT LIKE '%events_statements_history_long%'"); out != "0" {
			m.t.Errorf("a secret of %s is in the statement history %s times", want, out)
		}
	}
}

// TestProvisionRefuses holds that what cannot be is said, with nothing changed.
func TestProvisionRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"an unknown flag", []string{"--laodgen"}, 2, "unknown argument --laodgen"},
		{"a flag without its value", []string{"--bin"}, 2, "--bin needs a directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command("bash", append([]string{repository + "/deploy/vm/provision.sh"}, tc.args...)...)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tc.status || !strings.Contains(string(out), tc.want) {
				t.Errorf("status %d, want %d, and %q in %q", got, tc.status, tc.want, out)
			}
		})
	}
}
