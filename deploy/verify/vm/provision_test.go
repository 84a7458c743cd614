package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"apmapp/deploy/verify/vm/debian"
)

// TestProvision runs provision.sh on two machines: with MariaDB and Go, and with MySQL
// and built programs.
func TestProvision(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	built := sync.OnceValue(func() error { return build(programs) })
	// Compiles while the roots are downloaded.
	go built()
	t.Cleanup(func() { _ = built() })
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		root := bookworm(t)
		// Fills the cache that the machine's Go uses.
		if err := built(); err != nil {
			t.Fatal(err)
		}
		m := boot(t, root, goShares(t)...)
		testProvision(m, "MariaDB", m.provisionWhileAptIsBusy("GOPROXY=off", script))
	})
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		root := sid(t)
		if err := built(); err != nil {
			t.Fatal(err)
		}
		m := boot(t, root, debian.Share{From: programs, To: "/opt/programs"})
		testProvision(m, "MySQL", m.provisionWhileAptIsBusy(script, "--bin", "/opt/programs"))
	})
}

// build builds the programs of a machine, like make build.
func build(dir string) error {
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir, "./cmd/apmapp", "./loadgen")
	build.Dir = repository
	// Without the flags of the tests: a program with the race detector does not run in
	// the unit's sandbox.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	return nil
}

// testProvision checks a machine after the first run of provision.sh, with its output.
func testProvision(m provisioned, server, output string) {
	t := m.t
	t.Helper()
	if !strings.Contains(output, "agent: skipped, DD_API_KEY is not set") {
		t.Error("provision.sh does not report that it skips the Agent")
	}
	if got := m.sql("SELECT VERSION()"); strings.Contains(got, "MariaDB") != (server == "MariaDB") {
		t.Fatalf("the server is %s, want %s", got, server)
	}
	m.wantNoChange(m.state(), m.again())

	m.wantFile("/etc/apmapp", "700 root:root")
	m.wantFile("/etc/apmapp/dsn", "600 root:root")
	m.wantFile("/etc/apmapp/datadog_password", "600 root:root")
	m.wantFile("/var/log/apmapp", "750 apmapp:apmapp")
	m.wantFile("/usr/local/bin/apmapp", "755 root:root")
	testUnits(m)
	m.load()
	testUsers(m)
	testDoctor(m)
	testLog(m)
	testRotation(m)
	testFullDisk(m)
	testUpgrade(m)
	testAgent(m)
	testRepair(m)
	testStop(m)
	testSecrets(m)
}

// testDoctor runs the command of docs/doctor.md for this machine. Without an Agent, everything but
// the Agent is in order.
func testDoctor(m provisioned) {
	m.t.Helper()
	page, err := os.ReadFile(filepath.Join(repository, "docs", "doctor.md"))
	if err != nil {
		m.t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^sudo (DD_ENV=.*/apmapp -doctor.*)$`).FindSubmatch(page)
	if command == nil {
		m.t.Fatal("docs/doctor.md has no command for systemd")
	}
	out, err := m.Run("bash", "-c", string(command[1]))
	if err == nil {
		m.t.Error("the doctor succeeds without an Agent")
	}
	for _, want := range []string{
		`(?m)^ok +tracing +on, for the service apmapp, env dev`,
		`(?m)^failed +(?:agent port|metrics) +nothing listens`,
		`(?m)^ok +database schema +visits can be read, recorded and deleted$`,
		`(?m)^ok +database comment +statements reach MySQL with the ID of their trace$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			m.t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// testUsers checks the users and settings of the MySQL server as a client sees them.
func testUsers(m provisioned) {
	m.t.Helper()
	dsn := strings.TrimSpace(m.Read(m.t, "/etc/apmapp/dsn"))
	found := regexp.MustCompile(`^apmapp:([0-9a-f]{48})@tcp\(127\.0\.0\.1:3306\)/apmapp$`).FindStringSubmatch(dsn)
	if found == nil {
		m.t.Fatalf("the DSN has an unexpected form (%d characters)", len(dsn))
	}
	if out, err := m.sqlAs("apmapp", found[1], "SELECT COUNT(*) > 0 FROM apmapp.visits"); err != nil || out != "1" {
		m.t.Errorf("the service's user cannot read visits: %q, %v", out, err)
	}
	for _, query := range []string{"SELECT * FROM mysql.user", "CREATE DATABASE other", "CREATE USER other"} {
		if out, err := m.sqlAs("apmapp", found[1], query); err == nil {
			m.t.Errorf("the service's user may run %s: %s", query, out)
		}
	}
	if out, err := m.sqlAs("datadog", m.datadogPassword(), "CALL apmapp.explain_statement('SELECT * FROM visits')"); err != nil || !strings.Contains(out, "visits") {
		m.t.Errorf("the Agent's user gets no plan: %q, %v", out, err)
	}
	if got := m.sql("SELECT max_user_connections FROM mysql.user WHERE user = 'datadog'"); got != "10" {
		m.t.Errorf("the Agent's user may open %s connections, want 10", got)
	}
	if got := m.sql("SELECT @@performance_schema, @@max_digest_length, @@bind_address"); got != "1\t4096\t127.0.0.1" {
		m.t.Errorf("performance_schema, max_digest_length and bind_address are %q", got)
	}
}

// testRepair damages the machine and checks that provision.sh repairs it.
func testRepair(m provisioned) {
	m.t.Helper()
	// From now on the statement history would keep a password.
	if out, err := m.sqlAs("datadog", m.datadogPassword(), "CALL datadog.enable_events_statements_consumers()"); err != nil {
		m.t.Fatalf("%v %s", err, out)
	}
	before := m.state()
	m.sql("DROP USER datadog@'%'; DROP USER apmapp@'127.0.0.1'")
	m.MustRun(m.t, "chmod", "644", "/etc/apmapp/dsn")
	m.MustRun(m.t, "systemctl", "stop", "apmapp")
	out := m.again()
	after := m.state()
	// These have new salts and processes. load and testUsers check that they work.
	for _, changed := range []string{"procedures", "process of apmapp", "account datadog@%", "account apmapp@127.0.0.1"} {
		delete(before, changed)
		delete(after, changed)
	}
	m.wantSame(before, after)
	for _, want := range []string{"MySQL user datadog", "MySQL user apmapp", "/etc/apmapp/dsn", "apmapp started"} {
		if !strings.Contains(out, "changed: "+want) {
			m.t.Errorf("provision.sh does not report %q", "changed: "+want)
		}
	}
	m.load()
	testUsers(m)

	// A service that dies is restarted.
	m.MustRun(m.t, "bash", "-c", "kill -KILL $(systemctl show --value --property=MainPID apmapp)")
	m.awaitReady()
	if restarts := m.show("apmapp", "NRestarts"); restarts != "1" {
		m.t.Errorf("the service was restarted %s times, want once", restarts)
	}

	// The run after a failed one restarts what the failed one changed.
	const agent, unit = "/opt/datadog-agent/bin/agent/agent", "/etc/systemd/system/apmapp.service"
	m.MustRun(m.t, "bash", "-c", "mv "+agent+" /opt; echo '# old' >>"+unit+"; echo 'exit 1' >/opt/install_script_agent7.sh")
	if out, err := m.Run("env", "DD_API_KEY="+apiKey, "AGENT_INSTALL_SCRIPT=/opt/install_script_agent7.sh", script, "--bin", "/usr/local/bin"); err == nil ||
		!strings.Contains(out, "changed: "+unit) || !strings.Contains(out, "the Agent's install script failed") || strings.Contains(out, apiKey) {
		m.t.Errorf("with a broken install script: %v %s", err, out)
	}
	m.MustRun(m.t, "mv", "/opt/agent", agent)
	if out := m.again(); !strings.Contains(out, "changed: apmapp restarted") {
		m.t.Error("after a failed run, the next run does not restart the service")
	}

	// provision.sh does not touch another database.
	dsn := m.Read(m.t, "/etc/apmapp/dsn")
	const own = "me:secret@tcp(database.example.com:3306)/mine\n"
	m.Write(m.t, "/etc/apmapp/dsn", own)
	if out := m.again(); !strings.Contains(out, "names your own database") || m.Read(m.t, "/etc/apmapp/dsn") != own {
		m.t.Error("provision.sh changes the DSN of another database, or does not report it")
	}
	m.Write(m.t, "/etc/apmapp/dsn", dsn)
}

// testSecrets checks that each secret is only in the files for it.
func testSecrets(m provisioned) {
	m.t.Helper()
	for _, secret := range []struct{ value, files string }{
		{apiKey, "/etc/datadog-agent/secrets/api_key"},
		{regexp.MustCompile(`[0-9a-f]{48}`).FindString(m.Read(m.t, "/etc/apmapp/dsn")), "/etc/apmapp/dsn"},
		{m.datadogPassword(), "/etc/apmapp/datadog_password\n/etc/datadog-agent/secrets/mysql_password"},
	} {
		// The journal's files are in /var/log or /run/log.
		out, _ := m.Run("bash", "-c", `grep --recursive --files-with-matches --text --devices=skip --fixed-strings --exclude-dir=credentials --exclude-dir=go --exclude-dir=go-build -- "$1" /etc /opt /root /run /tmp /usr/local /var 2>/dev/null | sort`, "grep", secret.value)
		if out != secret.files {
			m.t.Errorf("a secret is in the files\n%s\nwant only\n%s", out, secret.files)
		}
		if out, _ := m.Run("bash", "-c", `journalctl --no-pager --output=verbose | grep --count --fixed-strings -- "$1"`, "grep", secret.value); out != "0" {
			m.t.Errorf("the secret of %s is %s times in the journal", secret.files, out)
		}
		if out := m.sql("SELECT COUNT(*) FROM performance_schema.events_statements_history_long WHERE sql_text LIKE '%" + secret.value[:20] + "%' AND sql_text NOT LIKE '%events_statements_history_long%'"); out != "0" {
			m.t.Errorf("the secret of %s is %s times in the statement history", secret.files, out)
		}
	}
}

// TestProvisionRefusesFlags checks that provision.sh rejects wrong flags before it
// changes anything.
func TestProvisionRefusesFlags(t *testing.T) {
	for _, tc := range []struct {
		name, wait string
		args       []string
		want       string
	}{
		{"an unknown flag", "", []string{"--laodgen"}, "unknown argument --laodgen"},
		{"a flag without its value", "", []string{"--bin"}, "--bin needs a directory"},
		{"a wait that is no number", "soon", nil, "APT_WAIT must be a number of seconds, got soon"},
		{"a negative wait", "-1", nil, "APT_WAIT must be a number of seconds, got -1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command("bash", append([]string{repository + "/deploy/vm/provision.sh"}, tc.args...)...)
			cmd.Env = append(os.Environ(), "APT_WAIT="+tc.wait)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(string(out), tc.want) {
				t.Errorf("status %d, want 2 with %q: %s", got, tc.want, out)
			}
		})
	}
}
