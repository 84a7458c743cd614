package vm

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apmapp/deploy/verify/vm/debian"
)

const (
	repository = "../../.."
	// patience bounds every wait of a test; nothing takes that long.
	patience = time.Minute
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

// await asks again and again until done returns nil.
func await(t testing.TB, done func() error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Fatal(err)
		}
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

// testUnits asks systemd what it thinks of the units.
func testUnits(m provisioned) {
	m.t.Helper()
	for _, unit := range []string{"apmapp.service", "apmapp-loadgen.service"} {
		// What it does not know it only warns of.
		if out := m.MustRun(m.t, "systemd-analyze", "verify", "/etc/systemd/system/"+unit); out != "" {
			m.t.Errorf("%s: %s", unit, out)
		}
		out := m.MustRun(m.t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "/etc/systemd/system/"+unit)
		found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if found == nil {
			m.t.Fatalf("%s: no score in\n%s", unit, out)
		}
		if score, err := strconv.ParseFloat(found[1], 64); err != nil || score > 2.5 {
			m.t.Errorf("%s: exposure %s, want at most 2.5\n%s", unit, found[1], out)
		}
	}
	// The stop must outlast the drain, and sends what is left.
	stop := m.MustRun(m.t, "systemctl", "show", "--value", "--property=TimeoutStopUSec", "apmapp")
	timeout, err := time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(stop, "min", "m"), " ", ""))
	help := m.MustRun(m.t, "apmapp", "-help")
	drain := regexp.MustCompile(`-drain-timeout[^\n]*\n[^\n]*\(default ([0-9a-z]+)\)`).FindStringSubmatch(help)
	if drain == nil {
		m.t.Fatalf("no default of -drain-timeout in\n%s", help)
	}
	if longest, _ := time.ParseDuration(drain[1]); err != nil || longest == 0 || timeout < longest+5*time.Second {
		m.t.Errorf("TimeoutStopSec is %s, -drain-timeout %s", stop, drain[1])
	}
	// As the sandbox has it, not as the file says.
	pid := m.MustRun(m.t, "systemctl", "show", "--value", "--property=MainPID", "apmapp")
	status := m.MustRun(m.t, "cat", "/proc/"+pid+"/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000", "CapEff:\t0000000000000000"} {
		if !strings.Contains(status, want) {
			m.t.Errorf("the service runs without %q:\n%s", want, status)
		}
	}
	if user := m.MustRun(m.t, "stat", "--format=%U", "/proc/"+pid); user != "apmapp" {
		m.t.Errorf("the service runs as %s", user)
	}
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

// testLog reads the log as the Agent does.
func testLog(m provisioned) {
	m.t.Helper()
	var requests int
	for line := range strings.Lines(m.Read(m.t, "/var/log/apmapp/apmapp.log")) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			m.t.Fatalf("%q: %v", line, err)
		}
		if entry["msg"] == "request" {
			requests++
			if entry["dd.env"] != "dev" || entry["dd.service"] != "apmapp" || entry["dd.trace_id"] == "" {
				m.t.Fatalf("a request's line lacks what joins it: %s", line)
			}
		}
	}
	if requests < 100 {
		m.t.Errorf("the log has %d requests, want the 100 that were sent", requests)
	}
	if out := m.MustRun(m.t, "logrotate", "--debug", "/etc/logrotate.d/apmapp"); strings.Contains(out, "error:") {
		m.t.Errorf("logrotate: %s", out)
	}
	m.MustRun(m.t, "logrotate", "--force", "/etc/logrotate.d/apmapp")
	m.load()
	after := m.Read(m.t, "/var/log/apmapp/apmapp.log")
	if !strings.HasPrefix(after, "{") || strings.Count(after, `"msg":"request"`) < 100 {
		m.t.Errorf("after the rotation the log starts with %.100q", after)
	}
}

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

// awaitReady returns when the service answers that it is ready.
func (m provisioned) awaitReady() {
	m.t.Helper()
	await(m.t, func() error {
		if out, err := m.Run("loadgen", "-rps", "1", "-duration", "1s", "-paths", "/readyz", "-max-error-rate", "0"); err != nil {
			return fmt.Errorf("the service does not come back: %s", out)
		}
		return nil
	})
}

// testStop has loadgen under way when the service is told to stop.
func testStop(m provisioned) {
	m.t.Helper()
	m.provision(script, "--bin", "/usr/local/bin", "--loadgen")
	requests := func() int {
		return strings.Count(m.Read(m.t, "/var/log/apmapp/apmapp.log"), `"msg":"request"`)
	}
	before := requests()
	await(m.t, func() error {
		if n := requests() - before; n < 20 {
			return fmt.Errorf("apmapp-loadgen sent %d requests", n)
		}
		return nil
	})
	m.MustRun(m.t, "systemctl", "stop", "apmapp")
	if got := m.MustRun(m.t, "systemctl", "show", "--property=Result,ExecMainStatus,ExecMainCode", "apmapp"); !strings.Contains(got, "Result=success") || !strings.Contains(got, "ExecMainStatus=0") {
		m.t.Errorf("the service was stopped with %s", got)
	}
	if log := m.Read(m.t, "/var/log/apmapp/apmapp.log"); !strings.Contains(log[max(0, len(log)-1000):], `"msg":"stopped"`) {
		m.t.Errorf("the log ends with %s", log[max(0, len(log)-1000):])
	}
	if state, _ := m.Run("systemctl", "is-active", "apmapp-loadgen"); state != "inactive" {
		m.t.Errorf("with the service stopped, its traffic is %s", state)
	}
	if out := m.MustRun(m.t, "journalctl", "--no-pager", "--output=cat", "--unit=apmapp-loadgen"); !strings.Contains(out, " 0 dropped, 0 failed ") {
		m.t.Errorf("the report of apmapp-loadgen: %s", out)
	}
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

// TestVagrantfile has vagrant read the Vagrantfile. No VM is made: there is neither
// a hypervisor here, nor a way to the box.
func TestVagrantfile(t *testing.T) {
	if _, err := exec.LookPath("vagrant"); err != nil {
		message := "the Vagrantfile is checked by vagrant: apt-get install vagrant"
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	content, err := os.ReadFile(repository + "/deploy/vm/Vagrantfile")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(content []byte) (string, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Vagrantfile"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		// VirtualBox, which is taken for granted, need not be there.
		cmd := exec.Command("vagrant", "validate", "--ignore-provider")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "VAGRANT_HOME="+dir, "VAGRANT_CHECKPOINT_DISABLE=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// The folder that it shares is beside the file, not beside the copy.
	content = bytes.ReplaceAll(content, []byte(`"../.."`), []byte(`"."`))
	if out, err := validate(content); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := validate(bytes.ReplaceAll(content, []byte("shell.inline"), []byte("shell.inlin"))); err == nil {
		t.Errorf("vagrant takes any setting: %s", out)
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
