package vm

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"apmapp/deploy/verify/vm/debian"
	"apmapp/internal/testing/poll"
)

const (
	repository = "../../.."
	// apiKey is of no account.
	apiKey = "5ec7e75ec7e75ec7e75ec7e75ec7e75e"
)

// bookworm is Debian 12, whose packages have MariaDB.
func bookworm(t testing.TB) string {
	return debian.Root(t, "bookworm", "systemd", "systemd-sysv", "ca-certificates")
}

// sid is Debian unstable, which has MySQL under the names that it has in Ubuntu.
func sid(t testing.TB) string {
	return debian.Root(t, "sid", "systemd", "systemd-sysv", "ca-certificates", "mysql-server-core", "mysql-client-core")
}

// build makes what a machine runs, as make build does.
func build(dir string) error {
	build := exec.Command("go", "build", "-trimpath", "-o", dir, "./cmd/apmapp", "./loadgen")
	build.Dir = repository
	// Without the flags of the tests: the race detector is not at home in a sandbox.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// goShares are what a machine needs to have Go, where it is looked for.
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
		// Go wants to write there, even what is there already.
		{From: lines[2], To: "/root/.cache/go-build", Writable: true},
	}
}

// provisioned is a machine that provision.sh sets up.
type provisioned struct {
	*debian.Machine
	t *testing.T
}

func boot(t *testing.T, root string, shares ...debian.Share) provisioned {
	t.Helper()
	m := debian.Boot(t, root, append(shares, debian.Share{From: repository, To: "/repository"})...)
	// Durability costs an fsync a commit and buys a test nothing.
	m.Write(t, "/etc/mysql/conf.d/test.cnf", "[mysqld]\ninnodb_flush_log_at_trx_commit = 0\nsync_binlog = 0\n")
	t.Cleanup(func() {
		if t.Failed() {
			journal, err := m.Run("journalctl", "--no-pager", "--output=short-precise", "--unit=apmapp")
			t.Logf("the journal of apmapp: %v\n%s", err, journal)
		}
	})
	return provisioned{m, t}
}

// provision runs provision.sh with variables before it and flags behind it, and
// returns what it said.
func (m provisioned) provision(args ...string) string {
	m.t.Helper()
	out := m.MustRun(m.t, append([]string{"env"}, args...)...)
	m.t.Log(out)
	return out
}

// again runs provision.sh another time, with the programs that it installed.
func (m provisioned) again(args ...string) string {
	m.t.Helper()
	return m.provision(append(args, script, "--bin", "/usr/local/bin")...)
}

const script = "/repository/deploy/vm/provision.sh"

// state is everything that provision.sh may change: files with their owners, modes
// and contents, and the server's accounts, grants, schemas and procedures.
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
		state["account "+account] = m.sql("SHOW CREATE USER "+name) + m.sql("SHOW GRANTS FOR "+name)
	}
	state["procedures"] = m.sql("SELECT routine_schema, routine_name, definer, created, routine_definition FROM information_schema.routines WHERE routine_schema IN ('datadog', 'apmapp')")
	state["schemas"] = m.sql("SHOW DATABASES")
	for _, unit := range []string{"apmapp", "mysql", "mariadb"} {
		state["process of "+unit], _ = m.Run("systemctl", "show", "--value", "--property=MainPID", unit)
	}
	return state
}

// sql runs a query with the machine's own client, as its administrator.
func (m provisioned) sql(query string) string {
	m.t.Helper()
	return m.MustRun(m.t, "mysql", "--batch", "--skip-column-names", "--execute", query)
}

// sqlAs is sql for a user with a password, over TCP.
func (m provisioned) sqlAs(user, password, query string) (string, error) {
	return m.Run("env", "MYSQL_PWD="+password, "mysql", "--host=127.0.0.1", "--user="+user, "--batch", "--skip-column-names", "--execute", query)
}

func (m provisioned) wantNothingChanged(was map[string]string, output string) {
	m.t.Helper()
	if !strings.HasSuffix(output, "done, nothing had to be changed") || strings.Contains(output, "changed: ") {
		m.t.Errorf("the second run says:\n%s", output)
	}
	m.wantSame(was, m.state())
}

func (m provisioned) wantSame(was, is map[string]string) {
	m.t.Helper()
	for key := range is {
		if _, ok := was[key]; !ok {
			m.t.Errorf("%s is new: %s", key, is[key])
		}
	}
	for key, value := range was {
		if is[key] != value {
			m.t.Errorf("%s was\n%s\nand is\n%s", key, value, is[key])
		}
	}
}

// wantFile checks mode and owner, as `stat` has them.
func (m provisioned) wantFile(path, want string) {
	m.t.Helper()
	if got, _ := m.Run("stat", "--format=%a %U:%G", path); got != want {
		m.t.Errorf("%s: %s, want %s", path, got, want)
	}
}

// load sends requests for two seconds and wants an answer to each.
func (m provisioned) load() {
	m.t.Helper()
	out := m.MustRun(m.t, "loadgen", "-rps", "50", "-duration", "2s", "-max-error-rate", "0")
	if !strings.Contains(out, "100 due, 100 sent, 0 dropped, 0 failed") {
		m.t.Errorf("loadgen: %s", out)
	}
}

// datadogPassword is what provision.sh made up.
func (m provisioned) datadogPassword() string {
	m.t.Helper()
	return strings.TrimSpace(m.Read(m.t, "/etc/apmapp/datadog_password"))
}

// awaitReady returns when the service answers that it is ready.
func (m provisioned) awaitReady() {
	m.t.Helper()
	poll.Until(m.t, func() error {
		if out, err := m.Run("loadgen", "-rps", "1", "-duration", "1s", "-paths", "/readyz", "-max-error-rate", "0"); err != nil {
			return fmt.Errorf("the service does not come back: %s", out)
		}
		return nil
	})
}
