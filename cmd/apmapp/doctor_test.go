//go:build unix

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"apmapp/internal/doctor"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

const apiKey = "0123456789abcdef0123456789abcdef"

// runDoctor runs the program with -doctor, and fails the test if it shows a secret.
func runDoctor(t *testing.T, as *syscall.Credential, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-doctor"}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	if as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if all := out.String() + errs.String(); strings.Contains(all, "hunter2") || strings.Contains(all, apiKey) {
		t.Errorf("a secret is shown:\n%s", all)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// line returns the lines of a check, without repeated spaces.
func linesOf(stdout, check string) (lines []string) {
	for line := range strings.Lines(stdout) {
		line = strings.Join(strings.Fields(line), " ")
		if _, rest, _ := strings.Cut(line, " "); strings.HasPrefix(rest, check+" ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestDoctor runs the program, with variables that package ddenv reads when the process
// starts. internal/doctor has the test of each check.
func TestDoctor(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	in := newIntake(t)
	environ := []string{
		"MYSQL_DSN=" + server.Database(t), "DD_TRACE_AGENT_URL=" + in.url, "DD_DOGSTATSD_HOST=127.0.0.1", "DD_DOGSTATSD_PORT=" + in.statsd,
		"DD_ENV=test", "DD_API_KEY=" + apiKey, "DD_SERVCE=shop", "DD_APM_ENABLED=true", "DD_TRACE_SAMPLE_RATE=abc",
	}
	t.Run("warnings", func(t *testing.T) {
		status, stdout, stderr := runDoctor(t, nil, environ)
		if status != 0 || stderr != "" {
			t.Errorf("exit status %d, standard error %q; warnings are no failure", status, stderr)
		}
		for check, want := range map[string]string{
			"settings": "warning settings DD_SERVCE is not a variable of the tracer, so nothing reads it; did you mean DD_SERVICE?\n" +
				`warning settings DD_TRACE_SAMPLE_RATE="abc" is not valid: want a number from 0 to 1; the default is used → correct it, or remove it` + "\n" +
				"ok settings nothing here reads DD_APM_ENABLED, which may belong to the Agent",
			"database schema": "warning database schema the tables are missing or older than this release; the user may make them → start the service: it makes them",
			// DD_DBM_PROPAGATION_MODE is set by package ddenv.
			"database comment": "ok database comment statements reach MySQL with the ID of their trace",
		} {
			if got := strings.Join(linesOf(stdout, check), "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
		if got := linesOf(stdout, "test trace"); len(got) != 1 || !strings.HasPrefix(got[0], "ok test trace accepted by POST /v1.0/traces; look for trace_id:") {
			t.Errorf("got %q", got)
		}
		if !strings.HasSuffix(stdout, " ok, 3 warnings, 0 failed\n") {
			t.Errorf("the output ends with %q", stdout[max(0, len(stdout)-100):])
		}
		if spans := in.operations("doctor.check"); len(spans) != 1 || spans[0].Service != "apmapp" || spans[0].Tags["env"] != "test" {
			t.Errorf("the Agent has %+v", spans)
		}
	})
	t.Run("a failure, as JSON", func(t *testing.T) {
		status, stdout, stderr := runDoctor(t, nil, append(environ, "DD_TRACE_AGENT_URL=http://127.0.0.1:1"), "-json", "-dsn", "u:hunter2@tcp(127.0.0.1:1)/d")
		if status != 1 || stderr != "" {
			t.Errorf("exit status %d, want 1; standard error %q", status, stderr)
		}
		var report struct {
			doctor.Report
			Failed int `json:"failed"`
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		if report.Failed != 2 || report.Count(doctor.Failed) != 2 || len(report.NotChecked) == 0 {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("a socket without permission", func(t *testing.T) {
		// The directory is open to all, also above: another user must reach it.
		dir, err := os.MkdirTemp("/tmp", "doctor")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		program, err := buildOnce()
		if err != nil {
			t.Fatal(err)
		}
		for _, open := range []string{dir, filepath.Dir(program)} {
			if err := os.Chmod(open, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		socket := filepath.Join(dir, "apm.socket")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := os.Chmod(socket, 0o200); err != nil {
			t.Fatal(err)
		}
		var as *syscall.Credential
		if os.Geteuid() == 0 {
			as = &syscall.Credential{Uid: 65534, Gid: 65534}
		} else if err := os.Chmod(socket, 0o400); err != nil {
			t.Fatal(err)
		}
		status, stdout, _ := runDoctor(t, as, append(environ, "DD_TRACE_AGENT_URL=unix://"+socket))
		got := linesOf(stdout, "agent socket")
		if status != 1 || len(got) != 1 || !strings.Contains(got[0], "may not write to "+socket) || !strings.Contains(got[0], "chmod o+w") {
			t.Errorf("exit status %d, want 1; %q in\n%s", status, got, stdout)
		}
	})
	t.Run("a proxy", func(t *testing.T) {
		environ := append(environ, "DD_TRACE_AGENT_URL=http://agent.example:8126", "HTTP_PROXY=http://user:hunter2@"+strings.TrimPrefix(in.url, "http://"))
		_, stdout, _ := runDoctor(t, nil, environ)
		got := linesOf(stdout, "agent proxy")
		if want := "through the proxy " + strings.TrimPrefix(in.url, "http://") + " → add agent.example to NO_PROXY"; len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("got %q, want %s", got, want)
		}
	})
	t.Run("the service logs it", func(t *testing.T) {
		p := launch(t, append(environ, "APMAPP_LOG_LEVEL=info")...)
		p.awaitStatus("/readyz", http.StatusOK)
		p.awaitLine("traces go to " + in.url + ", from DD_TRACE_AGENT_URL: Agent 7.85.2 answers")
		p = launch(t, append(environ, "DD_TRACE_AGENT_URL=http://127.0.0.1:1", "DD_TRACE_SAMPLE_RATE=0")...)
		poll.True(t, "both problems are logged", func() bool {
			var found int
			for _, l := range p.warnings() {
				msg, _ := l["msg"].(string)
				if strings.HasPrefix(msg, "agent port: nothing listens at 127.0.0.1:1; start the Agent there") || msg == "sampling: no trace is kept, by DD_TRACE_SAMPLE_RATE=0; raise the rate: 1 keeps all" {
					found++
				}
			}
			return found == 2
		})
	})
}

func TestDoctorUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-doctor"}, "no database given"},
		{[]string{"-doctor", "-dsn", "app:hunter2@tcp(db:3306)"}, "the DSN names no database"},
		{[]string{"-json", "-dsn", dsn}, "-json needs -doctor"},
		{[]string{"-doctor", "-healthcheck"}, "-healthcheck and -doctor exclude each other"},
	} {
		if status, stdout, stderr := execute(t, nil, c.args...); status != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit status %d, want 2: %s", c.args, status, stderr)
		}
	}
}
