package vm

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"apmapp/deploy/verify/vm/debian"
	"apmapp/internal/testing/poll"
)

const (
	repository = "../../.."
	// script is provision.sh in a machine.
	script = "/repository/deploy/vm/provision.sh"
)

// bookworm returns the root of a Debian 12, whose packages contain MariaDB.
func bookworm(t testing.TB) string {
	return debian.Root(t, "bookworm", "systemd", "systemd-sysv", "ca-certificates")
}

// sid returns the root of a Debian unstable. It has MySQL with the same package names
// as Ubuntu.
func sid(t testing.TB) string {
	return debian.Root(t, "sid", "systemd", "systemd-sysv", "ca-certificates", "mysql-server-core", "mysql-client-core")
}

// goShares returns the shares that give a machine this machine's Go and its caches, at
// the default paths.
func goShares(t testing.TB) []debian.Share {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	return []debian.Share{
		{From: lines[0], To: "/usr/local/go"},
		{From: lines[1], To: "/root/go/pkg/mod"},
		// Go writes to its cache even if it finds everything there.
		{From: lines[2], To: "/root/.cache/go-build", Writable: true},
	}
}

// provisioned is a machine that provision.sh sets up.
type provisioned struct {
	*debian.Machine
	t *testing.T
}

// boot boots a machine that shares this repository.
func boot(t *testing.T, root string, shares ...debian.Share) provisioned {
	t.Helper()
	m := debian.Boot(t, root, append(shares, debian.Share{From: repository, To: "/repository"})...)
	// Without durability a commit needs no fsync. Tests do not need durability.
	m.Write(t, "/etc/mysql/conf.d/test.cnf", "[mysqld]\ninnodb_flush_log_at_trx_commit = 0\nsync_binlog = 0\n")
	t.Cleanup(func() {
		if t.Failed() {
			journal, err := m.Run("journalctl", "--no-pager", "--output=short-precise", "--unit=apmapp")
			t.Logf("journal of apmapp (%v):\n%s", err, journal)
		}
	})
	return provisioned{m, t}
}

// provision runs provision.sh, given as variables, program and flags, and returns its
// output. Its standard input is not empty, like a terminal's.
func (m provisioned) provision(args ...string) string {
	m.t.Helper()
	cmd := m.Command(m.t.Context(), append([]string{"env"}, args...)...)
	cmd.Stdin = strings.NewReader("an answer\n")
	content, err := cmd.CombinedOutput()
	out := strings.TrimSpace(string(content))
	m.t.Log(out)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// again runs provision.sh another time, with variables and with the programs that it
// installed.
func (m provisioned) again(variables ...string) string {
	m.t.Helper()
	return m.provision(append(variables, script, "--bin", "/usr/local/bin")...)
}

// state returns everything that provision.sh may change: files with mode, owner and
// content; accounts, grants, schemas and procedures of the server; and processes.
func (m provisioned) state() map[string]string {
	m.t.Helper()
	state := map[string]string{}
	files := m.MustRun(m.t, "find", "/etc", "/usr/local", "/opt", "/var/log/apmapp", "-path", "/usr/local/go", "-prune", "-o",
		"(", "-type", "f", "-o", "-type", "d", "-o", "-type", "l", ")", "-printf", `%p\t%M %U:%G %l\n`)
	for line := range strings.Lines(files) {
		path, about, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(about, "-") && !strings.HasPrefix(path, "/var/log/") {
			about += fmt.Sprintf(" %x", sha256.Sum256([]byte(m.Read(m.t, path))))
		}
		state[path] = about
	}
	for _, account := range strings.Fields(m.sql("SELECT CONCAT(user, '@', host) FROM mysql.user")) {
		user, host, _ := strings.Cut(account, "@")
		name := fmt.Sprintf("'%s'@'%s'", user, host)
		state["account "+account] = m.sql("SHOW CREATE USER " + name + "; SHOW GRANTS FOR " + name)
	}
	state["procedures"] = m.sql("SELECT routine_schema, routine_name, definer, created, routine_definition FROM information_schema.routines WHERE routine_schema IN ('datadog', 'apmapp')")
	state["schemas"] = m.sql("SHOW DATABASES")
	for _, unit := range []string{"apmapp", "mysql", "mariadb"} {
		state["process of "+unit], _ = m.Run("systemctl", "show", "--value", "--property=MainPID", unit)
	}
	return state
}

// sql runs statements with the machine's own client as administrator.
func (m provisioned) sql(statements string) string {
	m.t.Helper()
	return m.MustRun(m.t, "mysql", "--batch", "--skip-column-names", "--execute", statements)
}

// sqlAs runs statements as a user with a password, over TCP.
func (m provisioned) sqlAs(user, password, statements string) (string, error) {
	return m.Run("env", "MYSQL_PWD="+password, "mysql", "--host=127.0.0.1", "--user="+user, "--batch", "--skip-column-names", "--execute", statements)
}

// wantNoChange checks that a run of provision.sh reported no change and made none.
func (m provisioned) wantNoChange(before map[string]string, output string) {
	m.t.Helper()
	if !strings.HasSuffix(output, "done, nothing to change") || strings.Contains(output, "changed: ") {
		m.t.Errorf("a run without a reason to change anything reports:\n%s", output)
	}
	m.wantSame(before, m.state())
}

// wantSame compares two states.
func (m provisioned) wantSame(before, after map[string]string) {
	m.t.Helper()
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[key]; !ok {
			m.t.Errorf("%s is new: %s", key, after[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if after[key] != before[key] {
			m.t.Errorf("%s was\n%s\nand is now\n%s", key, before[key], after[key])
		}
	}
}

// wantFile checks mode and owner of a file, in the form "600 root:root".
func (m provisioned) wantFile(path, want string) {
	m.t.Helper()
	if got, _ := m.Run("stat", "--format=%a %U:%G", path); got != want {
		m.t.Errorf("%s has mode and owner %q, want %q", path, got, want)
	}
}

// show returns properties of a unit.
func (m provisioned) show(unit, properties string) string {
	m.t.Helper()
	return m.MustRun(m.t, "systemctl", "show", "--value", "--property="+properties, unit)
}

// load sends 100 requests in one second and wants an answer to each.
func (m provisioned) load() {
	m.t.Helper()
	out := m.MustRun(m.t, "loadgen", "-rps", "100", "-duration", "1s", "-max-error-rate", "0")
	if !strings.Contains(out, "100 due, 100 sent, 0 dropped, 0 failed") {
		m.t.Errorf("loadgen reports %s, want 100 answers", out)
	}
}

// datadogPassword returns the password that provision.sh made for the Agent's user.
func (m provisioned) datadogPassword() string {
	m.t.Helper()
	return strings.TrimSpace(m.Read(m.t, "/etc/apmapp/datadog_password"))
}

// awaitReady waits until the service is ready.
func (m provisioned) awaitReady() {
	m.t.Helper()
	poll.Until(m.t, func() error {
		if out, err := m.Run("loadgen", "-rps", "10", "-duration", "100ms", "-paths", "/readyz", "-max-error-rate", "0"); err != nil {
			return fmt.Errorf("the service is not ready: %s", out)
		}
		return nil
	})
}
